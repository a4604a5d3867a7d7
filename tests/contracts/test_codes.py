"""The access code's rules hold in every store, among several servers: what one takes or settles, all abide by."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.contracts import guesses
from tests.contracts.stores import EXAMPLES, STORES
from tests.ussd_server.subscribers.clerk import SEALED, STEPS, Clerk, said
from ussd_server.stores.base import Change, JournalEntry, KeptAnswer, Store
from ussd_server.subscribers.codes import (
    LOCK_MS,
    MAX_WRONG,
    POLICY,
    Access,
    Busy,
    Expired,
    Issued,
    Locked,
    Ordered,
    Settled,
    Verdict,
    issue,
    order,
    reserve,
    settle,
    told,
    unlock,
    untold_lock,
)
from ussd_server.subscribers.record import Subscriber

ANNA = "79100000001"
TERMINAL = "kiosk-1"
NOW = 1_790_000_000_000
SERVERS = 3
ON_ONE_MACHINE = [name for name in STORES if name != "redis-cluster"]
"""For tests that start ten processes each: one number is on one server of a Cluster, as it is on a Redis alone."""

Work: TypeAlias = Generator[None, None, None]
"""What a server does of one request; between its steps any other may do theirs."""
Decide: TypeAlias = Callable[[Access, Clerk, int], Access | None]
"""What somebody does to the record, on the clerk's paper as well; None where nothing is to be committed."""


class CodesMachine(RuleBasedStateMachine):
    """Several servers on one place; each loads, decides and commits, and what it meets is what the clerk would say.

    A commit succeeds on the latest version alone, so the clerk keeps a paper for every version that there was.
    """

    open_store: Callable[[Path], Store]

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[Store] = []

    @initialize(with_code=st.booleans(), guesses=st.sampled_from([0, 96, 98]))
    def begin(self, with_code: bool, guesses: int) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.servers = [self.open_store(Path(self.folder.name)) for _ in range(SERVERS)]
        self.now = self.furthest = NOW
        self.version = 0
        self.papers: dict[int, tuple[Access, Clerk]] = {0: (Access(), Clerk())}
        self.under_way: list[tuple[int, Work]] = []
        self.names: list[str] = []
        self.answers: dict[str, Verdict] = {}
        self.taken: set[str] = set()
        if with_code:
            access = msgspec.structs.replace(self.issued(Access(), Clerk(), NOW), wrong_in_life=guesses)
            assert self.commit(0, 0, access, Clerk(code=1, born=NOW, guesses=guesses))

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    # What a server does, step by step --------------------------------------------------------------------------------

    def load(self, server: int) -> tuple[Access, Clerk, int]:
        """Load as a server does that may refuse: the record is the latest, and what it says is on the clerk's paper."""
        record, version = self.do(self.servers[server].load(ANNA, latest=True))
        assert version == self.version
        access, clerk = self.papers[version]
        assert record.access == access
        return access, clerk, version

    def commit(self, server: int, version: int, access: Access, clerk: Clerk, answer: KeptAnswer | None = None) -> bool:
        record, _ = self.do(self.servers[server].load(ANNA))
        change = Change(version, msgspec.structs.replace(record, access=access), answer=answer)
        done: bool = self.do(self.servers[server].commit(change))
        assert done == (version == self.version)
        if done:
            _, before = self.papers[self.version]
            _, self.version = self.do(self.servers[server].load(ANNA))
            self.papers[self.version] = access, clerk
            if clerk.beginnings != before.beginnings:
                # Count anew; tries that were taken before and are not settled go on counting.
                self.taken = set(clerk.open)
            self.taken |= set(clerk.open)
        return done

    def entry(self, server: int, name: str, right: bool) -> Work:
        """Check a code as a terminal's request does; `name` is its key and its fingerprint."""
        while True:
            access, clerk, version = self.load(server)
            yield
            if self.was_answered(server, name):
                return
            outcome, clerk = reserve(access, name, self.now), clerk.at(self.now)
            assert said(outcome) == clerk.reserve(name, self.now)
            if isinstance(outcome, Locked | Busy):
                return
            if isinstance(outcome, Settled):
                if self.commit(server, version, outcome.access, clerk, self.kept(name, outcome.verdict)):
                    self.answers[name] = outcome.verdict
                    return
            elif self.commit(server, version, outcome.access, clerk):
                assert name not in self.answers  # a request that was answered takes no other try
                break
        yield
        while True:
            access, clerk, version = self.load(server)
            yield
            if self.was_answered(server, name):
                return
            settled, clerk = settle(access, name, right, self.now), clerk.at(self.now)
            assert settled.verdict == clerk.settle(name, right, self.now)
            if self.commit(server, version, settled.access, clerk, self.kept(name, settled.verdict)):
                self.answers[name] = settled.verdict
                if isinstance(settled.verdict, Expired):
                    self.taken.discard(name)  # the right code, too old: it opens nothing, and the try is given back
                return

    def was_answered(self, server: int, name: str) -> bool:
        answer = self.do(self.servers[server].answer(TERMINAL, name))
        assert answer == (self.kept(name, self.answers[name]) if name in self.answers else None)
        return answer is not None

    def kept(self, name: str, verdict: Verdict) -> KeptAnswer:
        return KeptAnswer(TERMINAL, name, name.encode(), str(verdict).encode(), NOW)

    def deed(self, server: int, decide: Decide) -> Work:
        while True:
            access, clerk, version = self.load(server)
            yield
            clerk = clerk.at(self.now)
            after = decide(access, clerk, self.now)
            if after is None or self.commit(server, version, after, clerk):
                return

    def ordered(self, access: Access, clerk: Clerk, now: int) -> Access | None:
        outcome = order(access, now)
        assert said(outcome) == clerk.order(now)
        return outcome.access if isinstance(outcome, Ordered) else None

    def issued(self, access: Access, clerk: Clerk, now: int) -> Access:
        outcome = issue(access, SEALED, access.generation + 1, now)
        assert isinstance(outcome, Issued)
        clerk.issue(now)
        return outcome.access

    def unlocked(self, access: Access, clerk: Clerk, now: int) -> Access:
        clerk.wipe()
        return unlock(access, now)

    def told(self, access: Access, clerk: Clerk, now: int) -> Access | None:
        until = untold_lock(access, now)
        assert until == (0 if clerk.closed in (None, clerk.told) else clerk.closed)
        if not until:
            return None
        clerk.told = until
        # The clerk looked at the time, and so must the record: settling what nobody reserved does no more.
        return told(settle(access, "nobody's", False, now).access, until)

    # What happens ----------------------------------------------------------------------------------------------------

    @rule(server=st.integers(0, SERVERS - 1), right=st.booleans())
    def enter(self, server: int, right: bool) -> None:
        self.names.append(f"{len(self.names)}-{'right' if right else 'wrong'}")
        self.under_way.append((server, self.entry(server, self.names[-1], right)))

    @precondition(lambda self: self.names)
    @rule(server=st.integers(0, SERVERS - 1), data=st.data())
    def enter_again(self, server: int, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names[-2:]))
        self.under_way.append((server, self.entry(server, name, name.endswith("right"))))

    @rule(server=st.integers(0, SERVERS - 1), what=st.sampled_from(["ordered", "issued", "unlocked", "told", "told"]))
    def change(self, server: int, what: str) -> None:
        self.under_way.append((server, self.deed(server, getattr(self, what))))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), steps=st.sampled_from([1, 1, 2, 20]))
    def go_on(self, data: st.DataObject, steps: int) -> None:
        one = data.draw(st.sampled_from(self.under_way))
        for _ in range(steps):
            try:
                next(one[1])
            except StopIteration:
                self.under_way.remove(one)
                return

    @rule(server=st.integers(0, SERVERS - 1))
    def guess(self, server: int) -> None:
        """Enter a wrong code without a pause, so that locks are met often."""
        self.enter(server, False)
        for _ in self.under_way.pop()[1]:
            pass

    @rule(step=STEPS)
    def clock(self, step: int) -> None:
        self.now += step
        self.furthest = max(self.furthest, self.now)

    @rule(server=st.integers(0, SERVERS - 1))
    def restart(self, server: int) -> None:
        """What this server had under way is never settled by it."""
        self.do(self.servers[server].close())
        self.under_way = [one for one in self.under_way if one[0] != server]
        self.servers[server] = self.open_store(Path(self.folder.name))

    @invariant()
    def every_server_has_the_same_record(self) -> None:
        for server in range(SERVERS):
            self.load(server)

    @invariant()
    def never_more_than_three_tries_are_taken_between_two_beginnings(self) -> None:
        access, _ = self.papers[self.version]
        assert access.wrong + len(access.reservations) <= MAX_WRONG
        if access.locked_until:
            assert not access.reservations
            assert access.locked_until <= self.furthest + LOCK_MS
        assert len(self.taken) <= MAX_WRONG

    def teardown(self) -> None:
        for server in self.servers:
            self.do(server.close())
        self.runner.close()
        self.folder.cleanup()


@pytest.mark.timeout(600)  # thousands of commits, each of them synced: on a busy disk that takes minutes
@pytest.mark.parametrize("name", STORES)
def test_several_servers_of_a_store_keep_the_rules_together(name: str) -> None:
    machine = type("Machine", (CodesMachine,), {"open_store": staticmethod(STORES[name])})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=int(100 * EXAMPLES[name]), stateful_step_count=50, deadline=None, database=None),
    )


def test_the_right_code_that_is_too_old_costs_no_try_among_three_wrong_ones() -> None:
    """What the machine above met: it counted a try that the rule gives back."""
    machine = type("Machine", (CodesMachine,), {"open_store": staticmethod(STORES["sqlite"])})()
    machine.begin(with_code=True, guesses=0)
    machine.clock(POLICY.max_age_ms)
    for right in (False, True, False, False):
        machine.enter(0, right)
        for _ in machine.under_way.pop()[1]:
            pass
        machine.never_more_than_three_tries_are_taken_between_two_beginnings()
    assert machine.taken == {"0-wrong", "2-wrong", "3-wrong"}
    assert machine.papers[machine.version][0].locked_until
    machine.teardown()


# Processes --------------------------------------------------------------------------------------------------------


def guessed_at_once(name: str, place: Path, right: int) -> tuple[list[str], list[JournalEntry], Access]:
    """Let 10 processes guess 10 codes each at once; return what each came to, the ledger, and the record after it."""
    with ExitStack() as children:
        command = [sys.executable, "-m", "tests.contracts.guesses", name, str(place)]
        guessers = [
            children.enter_context(
                subprocess.Popen(
                    [*command, str(first)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=Path(__file__).parents[2],
                )
            )
            for first in range(0, 10 * guesses.AT_ONCE, guesses.AT_ONCE)
        ]

        async def prepare() -> None:
            store = STORES[name](place)
            issued = issue(Access(), guesses.vault().seal(guesses.code(right), ANNA, 1), 1, guesses.NOW)
            assert isinstance(issued, Issued)
            assert await store.commit(Change(0, Subscriber(ANNA, access=issued.access)))
            await store.close()

        asyncio.run(prepare())
        for child in guessers:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in guessers:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        outcomes = [outcome for child in guessers for outcome in json.loads(child.communicate()[0])]
        assert [child.returncode for child in guessers] == [0] * len(guessers)

    async def look() -> tuple[list[JournalEntry], Access]:
        store = STORES[name](place)
        ledger = (await store.journal(ANNA, limit=1000))[::-1]
        access = (await store.load(ANNA))[0].access
        await store.close()
        return ledger, access

    return outcomes, *asyncio.run(look())


@pytest.mark.parametrize("name", ON_ONE_MACHINE)
def test_of_100_wrong_guesses_at_once_from_10_processes_exactly_three_are_evaluated(name: str, tmp_path: Path) -> None:
    outcomes, ledger, access = guessed_at_once(name, tmp_path, right=1000)
    verified = sorted(outcome for outcome in outcomes if outcome.startswith("verified"))
    assert verified == ["verified: Locked", "verified: Wrong", "verified: Wrong"]
    assert outcomes.count("Busy") + outcomes.count("Locked") == 97
    assert sorted(entry.kind for entry in ledger) == ["taken"] * 3 + ["wrong"] * 3
    assert access.locked_until == guesses.NOW + LOCK_MS


@pytest.mark.parametrize("right", [0, 57])
@pytest.mark.parametrize("name", ON_ONE_MACHINE)
def test_never_more_than_three_are_evaluated_since_the_right_one(name: str, right: int, tmp_path: Path) -> None:
    outcomes, ledger, access = guessed_at_once(name, tmp_path, right)
    tries: set[int] = set()
    wrong = 0
    for entry in ledger:
        guess = entry.data["guess"]
        match entry.kind:
            case "taken":
                tries.add(guess)
            case "wrong":
                assert guess != right
                wrong += 1
            case "right":
                assert guess == right
                wrong = 0
        if entry.kind != "taken":
            tries.remove(guess)
        assert wrong + len(tries) <= MAX_WRONG
    verified = [outcome for outcome in outcomes if outcome.startswith("verified")]
    assert len(verified) == sum(entry.kind == "taken" for entry in ledger)
    assert (access.wrong, access.reservations) == (wrong, ())
    assert (outcomes[right] == "verified: Accepted") == any(entry.kind == "right" for entry in ledger)
