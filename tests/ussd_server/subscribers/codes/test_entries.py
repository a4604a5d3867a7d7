"""Three wrong entries in a row lock for a day, whatever comes between them and wherever the clock is set."""

import pytest

from tests.ussd_server.subscribers.codes.entered import NOW, entered, issued, reserved, wrong
from ussd_server.subscribers.codes import (
    DAY_MS,
    HOUR_MS,
    LOCK_MS,
    RESERVATION_MS,
    Accepted,
    Busy,
    Locked,
    Wrong,
    locked_until,
    reserve,
)


def test_the_right_code_is_accepted_again_and_again() -> None:
    access = issued()
    for _ in range(10):
        outcome = entered(access, True)
        assert outcome.verdict == Accepted()
        access = outcome.access
    assert access == issued()


def test_the_third_wrong_entry_in_a_row_locks_for_24_hours() -> None:
    access = issued()
    verdicts = []
    for second in range(3):
        outcome = entered(access, False, NOW + second)
        access = outcome.access
        verdicts.append(outcome.verdict)
    assert verdicts == [Wrong(2), Wrong(1), Locked(NOW + 2 + 24 * 3600 * 1000)]


def test_a_right_entry_clears_the_count() -> None:
    access = entered(wrong(issued(), 2), True).access
    assert entered(access, False).verdict == Wrong(2)


def test_wrong_entries_in_a_row_are_not_forgotten_with_time() -> None:
    access = wrong(issued(), 2)
    later = NOW + 30 * DAY_MS
    assert entered(access, False, later).verdict == Locked(later + LOCK_MS)


def test_entries_during_a_lock_are_not_looked_at_and_do_not_extend_it() -> None:
    access = wrong(issued(), 3)
    for moment in (NOW, NOW + HOUR_MS, NOW + LOCK_MS - 1):
        assert reserve(access, "r", moment) == Locked(NOW + LOCK_MS)


def test_when_the_lock_ends_the_old_code_works_and_there_are_three_tries_again() -> None:
    access = wrong(issued(), 3)
    end = NOW + LOCK_MS
    assert entered(access, True, end).verdict == Accepted()
    assert entered(access, False, end).verdict == Wrong(2)
    assert entered(wrong(access, 2, end), False, end).verdict == Locked(end + LOCK_MS)


def test_a_lock_during_which_somebody_tried_ends_when_it_said() -> None:
    access = wrong(issued(), 3)
    reserve(access, "r", NOW + HOUR_MS)
    assert locked_until(access, NOW + LOCK_MS - 1) == NOW + LOCK_MS
    assert locked_until(access, NOW + LOCK_MS) == 0


@pytest.mark.parametrize("back", [1, RESERVATION_MS, LOCK_MS, 1000 * DAY_MS])
def test_a_clock_set_back_frees_nobody_and_locks_for_no_longer_than_the_step(back: int) -> None:
    access = wrong(issued(), 3)
    assert reserve(access, "r", NOW - back) == Locked(NOW + LOCK_MS)
    waiting = reserved(wrong(issued(), 2))
    assert reserve(waiting, "s", NOW - back) == Busy()
    assert reserve(waiting, "s", NOW - back + RESERVATION_MS + back) == Locked(NOW + RESERVATION_MS + LOCK_MS)
