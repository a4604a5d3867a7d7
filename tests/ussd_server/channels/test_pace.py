"""Messages keep the agreed rate, stand still when throttled, go on at half the speed, and regain it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.channels.pace import (
    FIRST,
    LONGEST_STANDSTILL_S,
    PATIENCE_S,
    SLOWEST,
    STANDSTILL_S,
    STEP,
    UNLIMITED,
    Pace,
)


def sent_at(pace: Pace, now: float, amount: int) -> list[float]:
    """Return when so many messages go, each as soon as it may."""
    times = []
    for _ in range(amount):
        now += pace.wait(now)
        pace.went(now)
        times.append(now)
    return times


def test_without_a_rate_nothing_waits() -> None:
    assert sent_at(Pace(None), 7.0, 5) == [7.0] * 5


def test_messages_of_one_moment_go_one_after_the_other() -> None:
    assert sent_at(Pace(2), 7.0, 4) == [7.0, 7.5, 8.0, 8.5]


def test_time_that_was_not_used_is_not_saved_up() -> None:
    pace = Pace(2)
    sent_at(pace, 7.0, 1)
    assert sent_at(pace, 100.0, 2) == [100.0, 100.5]


def test_turns_are_given_in_the_order_in_which_they_are_asked_for() -> None:
    pace = Pace(2)
    assert [pace.turn(7.0) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_a_throttling_stops_everything_for_a_moment_and_then_halves_the_speed() -> None:
    pace = Pace(4)
    sent_at(pace, 7.0, 1)
    assert pace.throttled(7.0)
    assert pace.limit == 2
    assert sent_at(pace, 7.0, 3) == [8.0, 8.5, 9.0]


def test_many_messages_that_were_throttled_at_once_count_once() -> None:
    pace = Pace(8)
    assert [pace.throttled(7.0 + n / 100) for n in range(40)] == [True] + [False] * 39
    assert pace.limit == 4


def test_each_throttling_with_nothing_accepted_between_stops_everything_longer() -> None:
    pace, now, stops = Pace(None), 7.0, []
    for _ in range(7):
        assert pace.throttled(now)
        stops.append(pace.wait(now))
        now += stops[-1]
    assert stops == [1, 2, 4, 8, 16, LONGEST_STANDSTILL_S, LONGEST_STANDSTILL_S]
    pace.taken(now)
    assert pace.throttled(now)
    assert pace.wait(now) == STANDSTILL_S


def test_without_an_agreed_rate_the_first_throttling_halves_what_was_reached() -> None:
    pace = Pace(None)
    for number in range(100):
        pace.taken(7 + number / 100)
    pace.throttled(8.0)
    assert pace.limit == 50
    fresh = Pace(None)
    fresh.throttled(7.0)
    assert fresh.limit == FIRST / 2


@pytest.mark.parametrize("rate", [None, 5.0, 200.0])
def test_the_speed_grows_by_a_step_a_second_while_messages_flow(rate: float | None) -> None:
    pace = Pace(rate)
    for number in range(100):
        pace.taken(number / 100)
    pace.throttled(1.0)
    before = pace.limit
    assert before is not None
    now = 1.0
    for _ in range(round(before)):  # what goes in a second
        now += pace.wait(now)
        pace.went(now)
        pace.taken(now)
    assert before < (pace.limit or 0) <= before + STEP * 1.3


def test_the_speed_is_regained_up_to_the_agreed_one_and_a_limit_of_our_own_is_forgotten() -> None:
    agreed, free = Pace(10), Pace(None)
    for pace in (agreed, free):
        pace.throttled(7.0)
        for _ in range(round(UNLIMITED**2)):
            pace.taken(8.0)
            if pace.limit in (10, None):
                break
    assert agreed.limit == 10
    assert free.limit is None


def test_what_overtakes_takes_from_the_rate_but_not_all_of_it() -> None:
    pace = Pace(10)
    assert sent_at(pace, 7.0, 1) == [7.0]
    pace.overtaken(7.0)
    pace.overtaken(7.0)
    assert pace.wait(7.0) == pytest.approx(0.3)
    for _ in range(1000):
        pace.overtaken(7.0)
    assert pace.wait(7.0) == pytest.approx(PATIENCE_S)


moments = st.lists(
    st.tuples(st.sampled_from(["send", "overtake", "taken", "throttled"]), st.sampled_from([0, 0.01, 0.3, 1, 3])),
    max_size=80,
)


@given(st.none() | st.floats(0.5, 1000), moments)
def test_the_limit_stays_within_its_bounds_and_nothing_goes_in_a_standstill(
    rate: float | None, story: list[tuple[str, float]]
) -> None:
    pace, now, still_until = Pace(rate), 0.0, 0.0
    for what, passed in story:
        now += passed
        before = pace.limit
        if what == "send" and pace.wait(now) == 0:
            assert now >= still_until
            pace.went(now)
        elif what == "overtake":
            pace.overtaken(now)
        elif what == "taken":
            pace.taken(now)
            if before is not None and pace.limit is not None:
                assert before <= pace.limit <= min(rate or UNLIMITED, 2 * before, before + STEP / before)
        elif what == "throttled" and pace.throttled(now):
            still_until = now + pace.wait(now)
            assert still_until >= now + STANDSTILL_S
            assert pace.limit is not None
            assert pace.limit >= (before or 0) / 2
        least = min(SLOWEST, rate or SLOWEST)
        assert pace.limit is None or least <= pace.limit <= (rate or UNLIMITED)
        assert pace.wait(now) <= LONGEST_STANDSTILL_S + 1 / least


@given(st.floats(1, 100), st.lists(st.booleans(), min_size=1, max_size=200))
def test_no_second_holds_more_sms_than_the_rate(rate: float, overtakes: list[bool]) -> None:
    pace, now, went = Pace(rate), 0.0, []
    for overtakes_now in overtakes:
        if overtakes_now:
            pace.overtaken(now)
        else:
            now += pace.wait(now)
            pace.went(now)
            went.append(now)
    for first in went:
        assert sum(first <= other < first + 1 - 1e-6 for other in went) <= rate + 1
