"""A person may be wrong a few times a day; a machine in a loop falls silent by itself."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.subscribers.record import Subscriber
from ussd_server.turns.patience import DAY_MS, HOUR_MS, Patience

PATIENCE = Patience(replies_an_hour=20)
NOW = 1_800_000_000_000


def answered(known: list[bool], every_ms: int) -> list[bool]:
    """Return which of these messages, one `every_ms`, are answered."""
    record, answers = Subscriber("79100000001"), []
    for number, is_known in enumerate(known):
        after = PATIENCE.one_more(record, NOW + number * every_ms, is_known)
        answers.append(after is not None)
        record = after or record
    return answers


def test_texts_that_lead_nowhere_are_explained_three_times_a_day() -> None:
    assert answered([False] * 6, every_ms=HOUR_MS) == [True] * 3 + [False] * 3


def test_a_known_text_makes_the_sender_a_person_again() -> None:
    assert answered([False] * 4 + [True] + [False], every_ms=1000) == [True, True, True, False, True, True]


def test_the_next_day_one_is_explained_to_again() -> None:
    record = Subscriber("79100000001", strays=(NOW, NOW, NOW))
    assert PATIENCE.one_more(record, NOW + DAY_MS - 1, known=False) is None
    assert PATIENCE.one_more(record, NOW + DAY_MS, known=False) is not None


def test_known_texts_have_a_limit_an_hour() -> None:
    assert answered([True] * 25, every_ms=1000).count(True) == 20


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 10_000))
def test_no_hour_has_more_answers_than_the_limit_and_the_record_stays_small(known: list[bool], every_ms: int) -> None:
    record = Subscriber("79100000001")
    times = []
    for number, is_known in enumerate(known):
        now = NOW + number * every_ms
        after = PATIENCE.one_more(record, now, is_known)
        if after is not None:
            record = after
            times.append(now)
        assert len(record.replies) <= PATIENCE.replies_an_hour
        assert len(record.strays) <= PATIENCE.strays_a_day
    for at in times:
        assert sum(at <= other < at + HOUR_MS for other in times) <= PATIENCE.replies_an_hour
