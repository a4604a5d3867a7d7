"""A try is taken before it is looked at, counts as wrong if nobody settles it, and is served again as itself."""

from tests.ussd_server.subscribers.clerk import SEALED
from tests.ussd_server.subscribers.codes.entered import NOW, entered, issued, reserved, wrong
from ussd_server.subscribers.codes import (
    DAY_MS,
    HOUR_MS,
    LOCK_MS,
    MAX_WRONG,
    RESERVATION_MS,
    SECOND_MS,
    Accepted,
    Busy,
    Locked,
    Reserved,
    Settled,
    Wrong,
    locked_until,
    order,
    reserve,
    settle,
    unlock,
)


def test_a_fourth_entry_at_the_same_time_has_to_wait() -> None:
    access = issued()
    for name in "abc":
        access = reserved(access, name=name)
    assert reserve(access, "d", NOW) == Busy()
    access = settle(access, "b", True, NOW).access
    assert isinstance(reserve(access, "d", NOW), Reserved)


def test_wrong_entries_leave_fewer_tries_to_reserve() -> None:
    access = reserved(wrong(issued(), 2))
    assert reserve(access, "s", NOW) == Busy()


def test_a_try_that_never_settles_counts_as_wrong_after_30_seconds() -> None:
    access = reserved(wrong(issued(), 2))
    assert locked_until(access, NOW + RESERVATION_MS - 1) == 0
    lapsed = NOW + 30 * SECOND_MS
    assert reserve(access, "s", lapsed) == Locked(lapsed + LOCK_MS)
    assert order(access, lapsed) == Locked(lapsed + LOCK_MS)


def test_the_lock_by_a_lapsed_try_begins_when_it_lapsed_not_when_somebody_looked() -> None:
    access = reserved(wrong(issued(), 2))
    assert reserve(access, "s", NOW + 5 * HOUR_MS) == Locked(NOW + RESERVATION_MS + LOCK_MS)
    assert isinstance(reserve(access, "s", NOW + RESERVATION_MS + LOCK_MS), Reserved)


def test_whoever_settles_too_late_finds_it_counted_as_wrong() -> None:
    access = reserved(issued())
    outcome = settle(access, "r", True, NOW + RESERVATION_MS)
    assert outcome.verdict == Wrong(2)
    assert outcome.access.wrong == 1
    access = reserved(wrong(issued(), 2))
    outcome = settle(access, "r", True, NOW + RESERVATION_MS)
    assert outcome.verdict == Locked(NOW + RESERVATION_MS + LOCK_MS)


def test_settling_twice_changes_nothing() -> None:
    once = entered(issued(), False)
    assert settle(once.access, "r", True, NOW) == once
    assert settle(once.access, "unknown", False, NOW) == once


def test_a_right_entry_of_a_code_that_was_replaced_meanwhile_is_wrong() -> None:
    access = issued(reserved(issued()))
    outcome = settle(access, "r", True, NOW)
    assert outcome.verdict == Wrong(2)
    assert outcome.access.wrong_in_life == 0  # the new code's life has just begun


def test_reserving_hands_out_what_to_verify_against() -> None:
    outcome = reserve(issued(), "r", NOW)
    assert isinstance(outcome, Reserved)
    assert (outcome.id, outcome.sealed, outcome.generation) == ("r", SEALED, 1)


def test_an_entry_that_comes_again_takes_no_second_try_and_no_more_time() -> None:
    access = reserved(issued())
    for later in (0, RESERVATION_MS - 1):
        again = reserve(access, "r", NOW + later)
        assert again == Reserved(access, "r", SEALED, 1, again=True)
    assert settle(access, "r", True, NOW).verdict == Accepted()


def test_an_entry_that_comes_again_is_served_where_another_has_to_wait() -> None:
    access = reserved(wrong(issued(), 2))
    assert reserve(access, "s", NOW) == Busy()
    assert isinstance(reserve(access, "r", NOW), Reserved)


def test_an_entry_of_a_code_that_was_replaced_meanwhile_is_not_compared_with_the_new_one() -> None:
    again = reserve(issued(reserved(issued())), "r", NOW)
    assert isinstance(again, Reserved)
    assert (again.sealed, again.generation) == (None, 1)


def test_an_entry_that_lapsed_is_not_verified_again_as_long_as_it_counts() -> None:
    access = reserved(issued())
    lapsed = NOW + RESERVATION_MS
    outcome = reserve(access, "r", lapsed)
    assert isinstance(outcome, Settled)
    assert outcome.verdict == Wrong(2)
    assert reserve(outcome.access, "r", lapsed + DAY_MS) == outcome
    cleared = settle(reserved(outcome.access, lapsed, "s"), "s", True, lapsed).access
    assert cleared.lapsed == ()
    assert isinstance(reserve(cleared, "r", lapsed), Reserved)


def test_entries_that_lapsed_into_a_lock_are_told_of_it_until_it_ends() -> None:
    access = issued()
    for name in "abc":
        access = reserved(access, name=name)
    closed = NOW + RESERVATION_MS + LOCK_MS
    for name in "abc":
        outcome = reserve(access, name, closed - 1)
        assert isinstance(outcome, Settled)
        assert outcome.verdict == Locked(closed)
        assert len(outcome.access.lapsed) == MAX_WRONG
        assert isinstance(reserve(access, name, closed), Reserved)
        assert isinstance(reserve(unlock(access, closed - 1), name, closed - 1), Reserved)


def test_the_last_try_says_when_access_closes_if_nobody_settles() -> None:
    access = reserved(issued(), NOW, "a")
    access = reserved(access, NOW + 7, "b")
    for now in (NOW - 100, NOW + 9):
        last = reserve(access, "c", now)
        assert isinstance(last, Reserved)
        assert last.closes == RESERVATION_MS + max(now, NOW + 7)
        assert locked_until(last.access, last.closes - 1) == 0
        assert locked_until(last.access, last.closes) == last.closes + LOCK_MS
