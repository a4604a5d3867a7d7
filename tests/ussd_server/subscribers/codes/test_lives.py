"""A code is none, good, too old or ended by guessing; a new one begins a life and leaves the count in a row."""

import msgspec
import pytest

from tests.ussd_server.subscribers.clerk import SEALED
from tests.ussd_server.subscribers.codes.entered import NOW, entered, issued, wrong
from ussd_server.subscribers.codes import (
    DAY_MS,
    LOCK_MS,
    MAX_WRONG,
    MAX_WRONG_IN_LIFE,
    POLICY,
    Accepted,
    Access,
    Expired,
    Issued,
    Locked,
    Outdated,
    Reserved,
    Wrong,
    condition,
    issue,
    reserve,
    settle,
    unlock,
)


@pytest.mark.parametrize(
    ("access", "now", "expected"),
    [
        (Access(), NOW, "none"),
        (issued(), NOW, "valid"),
        (issued(), NOW + POLICY.max_age_ms - 1, "valid"),
        (issued(), NOW + 90 * DAY_MS, "expired"),
        (msgspec.structs.replace(issued(), wrong_in_life=MAX_WRONG_IN_LIFE), NOW, "disabled"),
    ],
)
def test_condition_of_the_code(access: Access, now: int, expected: str) -> None:
    assert condition(access, now) == expected


def test_a_number_without_a_code_is_treated_as_one_with_a_code_that_nobody_guesses() -> None:
    without, unlike = Access(), issued()
    for _ in range(MAX_WRONG):
        first, second = reserve(without, "r", NOW), reserve(unlike, "r", NOW)
        assert isinstance(first, Reserved)
        assert isinstance(second, Reserved)
        assert first.sealed is None
        one, other = settle(first.access, "r", True, NOW), settle(second.access, "r", False, NOW)
        assert one.verdict == other.verdict
        without, unlike = one.access, other.access
    assert reserve(without, "r", NOW) == reserve(unlike, "r", NOW) == Locked(NOW + LOCK_MS)


def test_the_right_code_that_is_too_old_is_said_to_be_and_costs_no_try() -> None:
    access = wrong(issued(), 1)
    old = NOW + POLICY.max_age_ms
    outcome = entered(access, True, old)
    assert outcome.verdict == Expired()
    assert outcome.access == access
    assert entered(access, False, old).verdict == Wrong(1)


def test_99_wrong_entries_end_a_code_until_a_new_one_is_issued() -> None:
    access, now = issued(), NOW
    for _ in range(49):
        # A right entry after every second wrong one: the count in a row never reaches the lock.
        access = entered(wrong(access, 2, now), True, now).access
    assert entered(access, True, now).verdict == Accepted()
    access = wrong(access, 1, now)
    assert access.wrong_in_life == MAX_WRONG_IN_LIFE
    outcome = reserve(access, "r", now)
    assert isinstance(outcome, Reserved)
    assert outcome.sealed is None
    assert entered(access, True, now).verdict == Wrong(1)
    assert entered(issued(access, now), True, now).verdict == Accepted()


def test_a_new_code_leaves_count_and_lock() -> None:
    assert entered(issued(wrong(issued(), 2)), False).verdict == Locked(NOW + LOCK_MS)
    assert reserve(issued(wrong(issued(), 3)), "r", NOW) == Locked(NOW + LOCK_MS)


def test_a_code_sealed_for_another_generation_is_not_taken() -> None:
    access = issued()
    for generation in (0, 1, 3):
        assert issue(access, SEALED, generation, NOW) == Outdated(2)
    assert issue(access, SEALED, 2, NOW) == Issued(
        msgspec.structs.replace(access, generation=2, sealed=SEALED, issued_at=NOW)
    )


def test_the_support_desk_lifts_the_lock() -> None:
    access = unlock(wrong(issued(), 3), NOW)
    assert entered(access, False).verdict == Wrong(2)
    assert entered(access, True).verdict == Accepted()
    assert access.wrong_in_life == 3
