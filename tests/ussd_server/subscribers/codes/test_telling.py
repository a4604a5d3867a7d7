"""What is told of tries and locks is what holds, and of each lock once."""

from tests.ussd_server.subscribers.codes.entered import NOW, issued, reserved, wrong
from ussd_server.subscribers.codes import HOUR_MS, LOCK_MS, RESERVATION_MS, attempts_left, told, unlock, untold_lock


def test_the_tries_that_are_left_are_those_that_a_wrong_entry_is_told() -> None:
    access = issued()
    assert attempts_left(access, NOW) == 3
    for left in (2, 1, 0):
        access = wrong(access, 1)
        assert attempts_left(access, NOW) == left
    assert attempts_left(access, NOW + LOCK_MS) == 3
    waiting = reserved(issued())
    assert (attempts_left(waiting, NOW), attempts_left(waiting, NOW + RESERVATION_MS)) == (3, 2)


def test_the_owner_is_told_once_of_each_lock() -> None:
    access = wrong(issued(), 2)
    assert untold_lock(access, NOW) == 0
    for moment in (NOW, NOW + LOCK_MS):
        access = wrong(access, 3 - access.wrong if moment == NOW else 3, moment)
        until = untold_lock(access, moment)
        assert until == moment + LOCK_MS
        access = told(access, until)
        assert untold_lock(access, moment) == untold_lock(access, until - 1) == untold_lock(access, until) == 0


def test_a_lock_that_only_time_has_made_can_be_told() -> None:
    access = reserved(wrong(issued(), 2))
    lapsed = NOW + RESERVATION_MS
    assert untold_lock(access, lapsed - 1) == 0
    assert untold_lock(access, lapsed) == lapsed + LOCK_MS
    access = told(access, lapsed + LOCK_MS)
    assert untold_lock(access, lapsed + HOUR_MS) == 0
    assert untold_lock(wrong(unlock(access, lapsed), 3, lapsed), lapsed) == lapsed + LOCK_MS


def test_what_was_told_too_late_does_not_keep_the_next_lock_from_being_told() -> None:
    access = told(wrong(issued(), 1), NOW - 1)
    assert untold_lock(wrong(access, 2), NOW) == NOW + LOCK_MS
