"""SMS keep the agreed rate, stand still when throttled, go on at half the speed, and regain it."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.channels.pace import FIRST_PAUSE_S, SLOWEST_S, STANDSTILL_S, Pace


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(None)
    assert [pace.wait(7.0) for _ in range(5)] == [0.0] * 5


def test_messages_of_one_moment_go_one_after_the_other() -> None:
    pace = Pace(rate=2)
    assert [pace.wait(7.0) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_a_throttling_stops_everything_for_a_moment_and_then_halves_the_speed() -> None:
    pace = Pace(rate=2)
    pace.throttled(7.0)
    assert [pace.wait(7.0) for _ in range(3)] == [STANDSTILL_S, STANDSTILL_S + 1, STANDSTILL_S + 2]


def test_many_messages_that_were_throttled_at_once_count_once() -> None:
    pace = Pace(None)
    for _ in range(40):
        pace.throttled(7.0)
    assert pace.pause == FIRST_PAUSE_S


def test_speed_is_regained_down_to_the_agreed_pause() -> None:
    pace = Pace(rate=10)
    pace.throttled(7.0)
    slowed = pace.pause
    pace.taken()
    assert pace.pause < slowed
    for _ in range(200):
        pace.taken()
    assert pace.pause == 0.1


@given(
    st.none() | st.floats(0.5, 1000),
    st.lists(st.tuples(st.sampled_from(["wait", "taken", "throttled"]), st.floats(0, 10)), max_size=60),
)
def test_turns_never_go_back_and_the_pause_stays_within_its_bounds(
    rate: float | None, story: list[tuple[str, float]]
) -> None:
    pace, now, last = Pace(rate), 0.0, 0.0
    for what, passed in story:
        now += passed
        if what == "wait":
            mine = now + pace.wait(now)
            assert mine >= last
            last = mine
        elif what == "taken":
            pace.taken()
        else:
            pace.throttled(now)
        assert (1 / rate if rate else 0) <= pace.pause <= max(SLOWEST_S, 1 / rate if rate else 0)
