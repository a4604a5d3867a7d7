"""An SMS ends once, as the worst of its parts, however its receipts come."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.receipts import Outcome
from ussd_server.subscribers.deliveries import MOST_AWAITED, Awaited, Ended, await_receipts, give_up, receive

OUTCOMES: list[Outcome] = ["delivered", "failed", "expired"]
outcomes = st.sampled_from(OUTCOMES)


def awaiting(**sms: list[str]) -> dict[str, Awaited]:
    return {name: Awaited("a", 1000, dict.fromkeys(ids, "")) for name, ids in sms.items()}


@pytest.mark.parametrize(
    ("parts", "end"),
    [
        (["delivered"], "delivered"),
        (["failed"], "failed"),
        (["expired"], "expired"),
        (["delivered", "delivered"], "delivered"),
        (["delivered", "expired"], "expired"),
        (["delivered", "expired", "failed"], "failed"),
    ],
)
def test_an_sms_ends_as_the_worst_of_its_parts_in_any_order(parts: list[Outcome], end: Outcome) -> None:
    for order in permutations(enumerate(parts)):
        awaited = awaiting(one=[str(number) for number in range(len(parts))], other=["x"])
        ends = []
        for number, outcome in order:
            received = receive(awaited, "a", str(number), outcome, "")
            assert received is not None
            awaited = received.awaited
            ends.append(received.ended)
        assert ends[:-1] == [None] * (len(parts) - 1)
        assert ends[-1] is not None
        assert (ends[-1].sms, ends[-1].outcome) == ("one", end)
        assert awaited == awaiting(other=["x"])


@given(st.lists(st.tuples(st.sampled_from(["1", "2", "3", "9"]), outcomes), max_size=12))
def test_the_first_receipt_of_a_part_counts_and_repetitions_change_nothing(
    receipts: list[tuple[str, Outcome]],
) -> None:
    awaited, first, ended = awaiting(one=["1", "2", "3"]), dict[str, Outcome](), list[Ended]()
    for message_id, outcome in receipts:
        received = receive(awaited, "a", message_id, outcome, "")
        if received is None:
            assert message_id == "9" or ended
            continue
        if message_id in first:
            assert received.awaited == awaited
        first.setdefault(message_id, outcome)
        awaited = received.awaited
        ended += [received.ended] if received.ended else []
    assert len(ended) == (first.keys() >= {"1", "2", "3"})
    for each in ended:
        assert each.awaited.parts == first


def test_ids_are_those_of_an_account_and_the_latest_comes_first() -> None:
    awaited = {**awaiting(old=["1"]), **awaiting(new=["1"])}
    assert receive(awaited, "b", "1", "delivered", "") is None
    received = receive(awaited, "a", "1", "delivered", "")
    assert received is not None
    assert received.awaited == awaiting(old=["1"])


def test_the_reason_of_a_part_that_failed_is_kept() -> None:
    awaited = awaiting(one=["1", "2"])
    for message_id, outcome, error in (("1", "failed", "011"), ("2", "delivered", "000")):
        received = receive(awaited, "a", message_id, outcome, error)  # type: ignore[arg-type]
        assert received is not None
        awaited = received.awaited
    assert received is not None
    assert received.ended is not None
    assert received.ended.awaited.error == "011"


@pytest.mark.parametrize(
    ("parts", "end"),
    [({"1": ""}, "expired"), ({"1": "delivered", "2": ""}, "expired"), ({"1": "failed", "2": ""}, "failed")],
)
def test_without_its_receipts_an_sms_has_expired(parts: dict[str, str], end: str) -> None:
    given_up = give_up({"one": Awaited("a", 1, parts), **awaiting(other=["x"])}, "one")
    assert given_up.awaited == awaiting(other=["x"])
    assert given_up.ended is not None
    assert given_up.ended.outcome == end
    assert give_up(given_up.awaited, "one") == (given_up.awaited, None)


def test_what_is_awaited_is_bounded_and_the_oldest_ends_first() -> None:
    awaited: dict[str, Awaited] = {}
    gone: list[str] = []
    for number in range(MOST_AWAITED + 3):
        awaited, ended = await_receipts(awaited, f"sms {number}", Awaited("a", number, {str(number): ""}))
        gone += [each.sms for each in ended]
        assert {each.outcome for each in ended} <= {"expired"}
    assert gone == ["sms 0", "sms 1", "sms 2"]
    assert list(awaited) == [f"sms {number}" for number in range(3, MOST_AWAITED + 3)]
