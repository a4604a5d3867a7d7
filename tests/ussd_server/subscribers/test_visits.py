"""A visit is one person's at one terminal, and closes by itself when nobody is there."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.subscribers import visits
from ussd_server.subscribers.record import Subscriber, decode, encode
from ussd_server.subscribers.visits import IDLE_MS, LONGEST_MS, MAX_ORDERS, MAX_QUOTES

NOW = 1_800_000_000_000
VISIT = visits.open("v1", "hall", "en", NOW)


@given(st.lists(st.integers(0, 2 * IDLE_MS), max_size=20))
def test_a_visit_lives_as_long_as_somebody_does_something(waits: list[int]) -> None:
    visit, now = VISIT, NOW
    for wait in waits:
        now += wait
        touched = visits.touch(visit, "v1", "hall", now)
        if wait >= IDLE_MS or now - NOW >= LONGEST_MS:
            assert touched is None
            return
        assert touched is not None
        assert (touched.at, touched.opened_at) == (now, NOW)
        visit = touched


def test_a_visit_that_is_kept_alive_ends_half_an_hour_after_it_was_opened() -> None:
    visit = VISIT
    for now in range(NOW, NOW + LONGEST_MS, IDLE_MS - 1):
        touched = visits.touch(visit, "v1", "hall", now)
        assert touched is not None
        visit = touched
    assert visits.touch(visit, "v1", "hall", NOW + LONGEST_MS - 1) is not None
    assert visits.touch(visit, "v1", "hall", NOW + LONGEST_MS) is None


def test_a_visit_is_known_by_its_id_at_its_terminal_only() -> None:
    assert visits.touch(None, "v1", "hall", NOW) is None
    assert visits.touch(VISIT, "v2", "hall", NOW) is None
    assert visits.touch(VISIT, "v1", "street", NOW) is None
    assert visits.touch(VISIT, "v1", "hall", NOW) == VISIT


def test_a_clock_that_is_set_back_ends_no_visit() -> None:
    touched = visits.touch(VISIT, "v1", "hall", NOW - IDLE_MS)
    assert touched == VISIT


def test_each_screen_has_a_number_of_its_own() -> None:
    first = visits.next_screen(VISIT)
    assert [VISIT.screen, first.screen, visits.next_screen(first).screen] == [0, 1, 2]


@given(st.lists(st.sampled_from("abcdefgh"), max_size=20))
def test_the_latest_prices_may_be_agreed_to(asked: list[str]) -> None:
    visit, latest = VISIT, dict[str, int]()
    for number, id in enumerate(asked):
        visit = visits.with_quote(visit, id, {"price": number})
        latest.pop(id, None)
        latest[id] = number
    kept = list(latest.items())[-MAX_QUOTES:]
    assert [(id, quote["price"]) for id, quote in visit.quotes.items()] == kept


def test_a_price_is_agreed_to_once() -> None:
    visit = visits.with_quote(visits.with_quote(VISIT, "q1", {}), "q2", {})
    ordered = visits.with_order(visit, "q1", "o1")
    assert (list(ordered.quotes), ordered.orders) == (["q2"], ("o1",))


def test_the_latest_orders_are_kept() -> None:
    visit = VISIT
    for number in range(MAX_ORDERS + 3):
        visit = visits.with_order(visit, "", f"o{number}")
    assert visit.orders == tuple(f"o{number}" for number in range(3, MAX_ORDERS + 3))


def test_a_visit_is_stored_with_the_record() -> None:
    record = Subscriber("79101234567", visit=visits.with_order(visits.with_quote(VISIT, "q", {"id": "q"}), "", "o"))
    assert decode(encode(record)) == record
