"""The rules hold in any interleaving of orders, entries, tries that never settle, and clock steps."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ussd_server.subscribers.clerk import STEPS, Clerk, said
from tests.ussd_server.subscribers.codes.entered import NOW, issued
from ussd_server.subscribers.codes import (
    DAY_MS,
    HOUR_MS,
    LOCK_MS,
    MAX_WRONG,
    POLICY,
    RESERVATION_MS,
    Access,
    Busy,
    Locked,
    Ordered,
    Reserved,
    Settled,
    Wrong,
    attempts_left,
    condition,
    locked_until,
    order,
    order_at_terminal,
    reserve,
    settle,
    told,
    unlock,
    untold_lock,
)


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
