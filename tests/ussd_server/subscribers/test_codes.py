"""The access code's rules hold in any interleaving of orders, entries, tries that never settle, and clock steps."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ussd_server.subscribers.clerk import SEALED, STEPS, Clerk, said
from ussd_server.subscribers.codes import (
    DAY_MS,
    HOUR_MS,
    LOCK_MS,
    MAX_WRONG,
    MAX_WRONG_IN_LIFE,
    POLICY,
    RESERVATION_MS,
    SECOND_MS,
    Accepted,
    Access,
    Busy,
    Expired,
    Issued,
    Locked,
    Ordered,
    Outdated,
    PhoneOnly,
    Policy,
    Reserved,
    SealedCode,
    Settled,
    TooMany,
    Wrong,
    attempts_left,
    condition,
    issue,
    locked_until,
    order,
    order_at_terminal,
    reserve,
    settle,
    told,
    unlock,
    untold_lock,
)

NOW = 1_763_881_200_000
FRESH = Access()


def issued(access: Access = FRESH, now: int = NOW, sealed: SealedCode = SEALED) -> Access:
    outcome = issue(access, sealed, access.generation + 1, now)
    assert isinstance(outcome, Issued)
    return outcome.access


def reserved(access: Access, now: int = NOW, name: str = "r") -> Access:
    outcome = reserve(access, name, now)
    assert isinstance(outcome, Reserved)
    return outcome.access


def entered(access: Access, right: bool, now: int = NOW) -> Settled:
    return settle(reserved(access, now), "r", right, now)


def wrong(access: Access, times: int, now: int = NOW) -> Access:
    for _ in range(times):
        access = entered(access, False, now).access
    return access


# Entries ----------------------------------------------------------------------------------------------------------


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


# Reservations -----------------------------------------------------------------------------------------------------


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


# The same request again --------------------------------------------------------------------------------------------


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


# What is told -----------------------------------------------------------------------------------------------------


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


# A clock that is set ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [1, RESERVATION_MS, LOCK_MS, 1000 * DAY_MS])
def test_a_clock_set_back_frees_nobody_and_locks_for_no_longer_than_the_step(back: int) -> None:
    access = wrong(issued(), 3)
    assert reserve(access, "r", NOW - back) == Locked(NOW + LOCK_MS)
    waiting = reserved(wrong(issued(), 2))
    assert reserve(waiting, "s", NOW - back) == Busy()
    assert reserve(waiting, "s", NOW - back + RESERVATION_MS + back) == Locked(NOW + RESERVATION_MS + LOCK_MS)


# Parallel guesses -------------------------------------------------------------------------------------------------


@given(st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_of_100_parallel_wrong_guesses_exactly_three_are_evaluated(schedule: Any) -> None:
    """Each guess loads, reserves and commits, verifies, loads, settles and commits; the steps mix in any order.

    A commit on a record that changed since it was loaded fails, and the guess loads again, as stores have it.
    """
    stored, version = issued(), 0
    evaluated = []

    def guess(name: str) -> Any:
        nonlocal stored, version
        while True:
            record, seen = stored, version
            yield
            outcome = reserve(record, name, NOW)
            if not isinstance(outcome, Reserved):
                return outcome
            if seen == version:
                stored, version = outcome.access, version + 1
                break
        yield
        evaluated.append(name)
        while True:
            record, seen = stored, version
            yield
            settled = settle(record, name, False, NOW)
            if seen == version:
                stored, version = settled.access, version + 1
                return settled.verdict

    running = [guess(str(number)) for number in range(100)]
    outcomes = []
    while running:
        task = schedule.choice(running)
        try:
            next(task)
        except StopIteration as stop:
            outcomes.append(stop.value)
            running.remove(task)
    assert len(evaluated) == 3
    assert [each for each in outcomes if isinstance(each, Wrong)] == [Wrong(2), Wrong(1)]
    assert outcomes.count(Busy()) + outcomes.count(Locked(NOW + LOCK_MS)) == 98
    assert locked_until(stored, NOW) == NOW + LOCK_MS


# The code ---------------------------------------------------------------------------------------------------------


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


# Orders -----------------------------------------------------------------------------------------------------------


def ordered(access: Access, *moments: int) -> Access:
    for moment in moments:
        outcome = order(access, moment)
        assert isinstance(outcome, Ordered)
        access = outcome.access
    return access


def test_three_orders_an_hour() -> None:
    access = ordered(Access(), NOW, NOW + 1, NOW + 2)
    assert order(access, NOW + 3) == TooMany(NOW + HOUR_MS)
    assert order(access, NOW + HOUR_MS - 1) == TooMany(NOW + HOUR_MS)
    access = ordered(access, NOW + HOUR_MS)
    assert order(access, NOW + HOUR_MS) == TooMany(NOW + 1 + HOUR_MS)


def test_five_orders_a_day() -> None:
    access = ordered(Access(), *(NOW + hour * HOUR_MS for hour in range(5)))
    assert order(access, NOW + 5 * HOUR_MS) == TooMany(NOW + DAY_MS)
    ordered(access, NOW + DAY_MS)


def test_a_code_that_guessing_has_ended_is_renewed_from_the_phone_alone() -> None:
    ended = msgspec.structs.replace(issued(), wrong_in_life=MAX_WRONG_IN_LIFE)
    assert order_at_terminal(ended, NOW) == PhoneOnly()
    assert isinstance(order(ended, NOW), Ordered)
    assert order_at_terminal(issued(ended), NOW) == order(issued(ended), NOW)


@pytest.mark.parametrize("access", [Access(), issued(), wrong(issued(), 3), Access(orders=(NOW, NOW, NOW))])
def test_a_terminal_orders_under_the_same_limits(access: Access) -> None:
    assert order_at_terminal(access, NOW) == order(access, NOW)


def test_a_refused_order_does_not_count() -> None:
    access = ordered(Access(), NOW, NOW, NOW)
    for second in range(100):
        order(access, NOW + second)
    ordered(access, NOW + HOUR_MS, NOW + HOUR_MS)


def test_only_the_orders_that_matter_are_kept() -> None:
    access = ordered(Access(), *(NOW + day * DAY_MS for day in range(20)))
    assert len(access.orders) == POLICY.orders_a_day


def test_ordering_clears_neither_count_nor_lock() -> None:
    assert ordered(wrong(issued(), 2), NOW).wrong == 2
    access = wrong(issued(), 3)
    for moment in (NOW, NOW + LOCK_MS - 1):
        assert order(access, moment) == Locked(NOW + LOCK_MS)
    ordered(access, NOW + LOCK_MS)


def test_limits_are_the_operators() -> None:
    policy = Policy(orders_an_hour=1, orders_a_day=1, max_age_ms=DAY_MS)
    outcome = order(Access(), NOW, policy)
    assert isinstance(outcome, Ordered)
    assert order(outcome.access, NOW, policy) == TooMany(NOW + DAY_MS)
    assert condition(issued(), NOW + DAY_MS, policy) == "expired"


@pytest.mark.parametrize(
    "mistake", [{"digits": 5}, {"max_age_ms": 0}, {"orders_an_hour": 0}, {"orders_a_day": 0}], ids=str
)
def test_a_policy_that_protects_nothing_is_refused(mistake: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Policy(**mistake)


# Any interleaving -------------------------------------------------------------------------------------------------


class AccessMachine(RuleBasedStateMachine):
    """The pure functions against the clerk; the record goes through its stored form after every commit."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.latest = NOW
        self.access = Access()
        self.clerk = Clerk()
        self.names: list[str] = []

    def commit(self, access: Access, clerk: Clerk) -> None:
        self.access = msgspec.msgpack.decode(msgspec.msgpack.encode(access), type=Access)
        self.clerk = clerk

    @initialize(with_code=st.booleans(), guesses=st.sampled_from([0, 96, 98]))
    def begin(self, with_code: bool, guesses: int) -> None:
        if with_code:
            self.issue()
            self.clerk.guesses = guesses
            self.access = msgspec.structs.replace(self.access, wrong_in_life=guesses)

    @rule(step=STEPS)
    def clock(self, step: int) -> None:
        self.now += step
        self.latest = max(self.latest, self.now)

    @rule(terminal=st.booleans())
    def order(self, terminal: bool) -> None:
        clerk = self.clerk.at(self.now)
        outcome = (order_at_terminal if terminal else order)(self.access, self.now)
        assert said(outcome) == clerk.order(self.now, terminal)
        if isinstance(outcome, Ordered):
            self.commit(outcome.access, clerk)

    @rule()
    def issue(self) -> None:
        clerk = self.clerk.at(self.now)
        clerk.issue(self.now)
        self.commit(issued(self.access, self.now), clerk)

    @rule()
    def reserve(self) -> None:
        self.names.append(str(len(self.names)))
        self.reserve_as(self.names[-1])

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def reserve_again(self, data: st.DataObject) -> None:
        self.reserve_as(data.draw(st.sampled_from(self.names[-5:])))

    def reserve_as(self, name: str) -> None:
        clerk, outcome = self.clerk.at(self.now), reserve(self.access, name, self.now)
        assert said(outcome) == clerk.reserve(name, self.now)
        if isinstance(outcome, Reserved | Settled):
            self.commit(outcome.access, clerk)

    @precondition(lambda self: self.names)
    @rule(data=st.data(), right=st.booleans())
    def settle(self, data: st.DataObject, right: bool) -> None:
        self.settle_as(data.draw(st.sampled_from(self.names[-5:])), right)

    def settle_as(self, name: str, right: bool) -> None:
        clerk, outcome = self.clerk.at(self.now), settle(self.access, name, right, self.now)
        assert outcome.verdict == clerk.settle(name, right, self.now)
        self.commit(outcome.access, clerk)

    @rule()
    def guess(self) -> None:
        """Enter a wrong code at once, so that locks are met often."""
        self.reserve()
        self.settle_as(self.names[-1], False)

    @rule()
    def unlock(self) -> None:
        clerk = self.clerk.at(self.now)
        clerk.wipe()
        self.commit(unlock(self.access, self.now), clerk)

    @rule()
    def tell(self) -> None:
        """Tell the owner of a lock, as whoever settles does, and whoever is left to look after the tries' time."""
        clerk, until = self.clerk.at(self.now), untold_lock(self.access, self.now)
        assert until == (0 if clerk.closed in (None, clerk.told) else clerk.closed)
        if until:
            # Time may have made the lock, and nobody written it down yet; nor does this.
            self.clerk.told = until
            self.commit(told(self.access, until), self.clerk)

    @rule(back=st.sampled_from([1, RESERVATION_MS, HOUR_MS, LOCK_MS, LOCK_MS + RESERVATION_MS, 100 * DAY_MS]))
    def a_clock_set_back_gives_no_try_that_was_not_there(self, back: int) -> None:
        before, after = (reserve(self.access, "new", moment) for moment in (self.now, self.now - back))
        assert isinstance(before, Reserved) or not isinstance(after, Reserved)

    @invariant()
    def agrees(self) -> None:
        clerk = self.clerk.at(self.now)
        assert attempts_left(self.access, self.now) == 3 - len(clerk.marks)
        assert locked_until(self.access, self.now) == (clerk.closed or 0)
        expected = "none" if not clerk.code else "disabled" if not clerk.alive() else None
        assert condition(self.access, self.now) in ([expected] if expected else ["valid", "expired"])

    @invariant()
    def never_more_than_three_tries(self) -> None:
        assert self.access.wrong + len(self.access.reservations) <= MAX_WRONG
        assert not (self.access.locked_until and self.access.reservations)
        assert len(self.access.orders) <= POLICY.orders_a_day
        assert len(self.access.lapsed) <= self.access.wrong

    @invariant()
    def no_lock_lasts_longer_than_24_hours_and_what_the_clock_went_back(self) -> None:
        assert locked_until(self.access, self.now) <= self.latest + LOCK_MS


TestAccessMachine = AccessMachine.TestCase
TestAccessMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
