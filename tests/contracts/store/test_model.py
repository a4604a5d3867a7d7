"""Whatever is done to a store, it stays as a model of it in dicts and lists, also over restarts."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, VERA, answer_to, entry, told
from tests.contracts.stores import EXAMPLES, STORES
from ussd_server.stores.base import (
    EVERY_LANE,
    EVIDENCE,
    LANES,
    MESSAGES,
    OPERATOR,
    PUSHES,
    Change,
    Claimed,
    DeadLetter,
    Everything,
    JournalEntry,
    KeptAnswer,
    OutboxEntry,
    Standing,
    Store,
)
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal

BOUND = 3
"""Journal entries of a kind that the stores keep here."""


class Kept(msgspec.Struct):
    """An outbox entry as the model keeps it; the model's list is in the order of commits."""

    msisdn: str
    entry: OutboxEntry
    ready: int
    attempt: int = 0
    reason: str = ""


class StoreMachine(RuleBasedStateMachine):
    """A store beside a model of dicts and lists; whatever is done to both, they stay alike, also over restarts."""

    open_store: Callable[[Path], Store]
    held = Bundle("held")

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.open_store(Path(self.folder.name))
        self.now = T0
        self.made = 0
        self.records: dict[str, Subscriber] = {}
        self.outdated: list[tuple[str, int]] = []
        self.journal: dict[str, list[JournalEntry]] = {}
        self.outbox: list[Kept] = []
        self.dead: list[DeadLetter] = []
        self.answers: dict[str, tuple[str, KeptAnswer]] = {}
        self.nonces: dict[tuple[str, str], int] = {}
        self.terminals: dict[str, Terminal] = {}

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def heads(self) -> list[Kept]:
        oldest: dict[tuple[str, int], Kept] = {}
        for kept in self.outbox:
            oldest.setdefault((kept.msisdn, LANES[kept.entry.kind]), kept)
        return list(oldest.values())

    def find(self, claimed: Claimed) -> Kept | None:
        alike = (each for each in self.outbox if each.entry.id == claimed.entry.id)
        return next((each for each in alike if each.attempt == claimed.attempt), None)

    def note(self, msisdn: str, *written: JournalEntry) -> None:
        journal = self.journal.setdefault(msisdn, [])
        journal += written
        for kind in {each.kind for each in written} - EVIDENCE:
            for old in [each for each in journal if each.kind == kind][:-BOUND]:
                journal.remove(old)

    @rule(ms=st.sampled_from([1, 500, LEASE]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(
        target=held,
        how=st.sampled_from(["commit", "hold", "then"]),
        msisdn=st.sampled_from([ANNA, BORIS, VERA]),
        kinds=st.lists(st.sampled_from(sorted(LANES)), max_size=3),
        wait=st.sampled_from([0, 0, 500]),
        notes=st.lists(st.sampled_from(["sms ended", "activated", "order placed", "given_up"]), max_size=5),
        settle=st.integers(0, 2),
        drop=st.integers(0, 2),
        language=st.text(max_size=8),
        key=st.sampled_from(["", "", "a", "b", "c"]),
    )
    def commit(
        self,
        how: str,
        msisdn: str,
        kinds: list[Any],
        wait: int,
        notes: list[str],
        settle: int,
        drop: int,
        language: str,
        key: str,
    ) -> Any:
        _, version = self.do(self.store.load(msisdn))
        self.made += 1
        added = [OutboxEntry(f"{self.made}-{n}", kind, self.now + wait, {"n": n}) for n, kind in enumerate(kinds)]
        written = [JournalEntry(self.now, kind, {"kind": "sms ended", "made": self.made}) for kind in notes]
        there = [kept.entry.id for kept in self.outbox if kept.msisdn == msisdn]
        settled, dropped = there[:settle], [*there[-drop:], "never-was"] if drop else []
        gone = {*settled, *dropped}
        record = Subscriber(msisdn, language, self.made)
        answer = answer_to(key, language.encode(), expires=self.now + LEASE) if key else None
        change = Change(version, record, written, added, settled, answer, dropped=dropped)
        got: list[Claimed] | None
        if how == "hold":
            got = self.do(self.store.commit_and_hold(change, self.now, self.now + LEASE))
        else:
            got = [] if self.do(told(self.store, change) if how == "then" else self.store.commit(change)) else None
        assert (got is not None) == (key not in self.answers)
        if got is None:
            return multiple()
        if answer:
            self.answers[key] = msisdn, answer
        self.outdated.append((msisdn, version))
        self.records[msisdn] = record
        self.note(msisdn, *written)
        self.outbox = [kept for kept in self.outbox if kept.entry.id not in gone]
        self.outbox += [Kept(msisdn, each, each.due) for each in added]
        return multiple(*map(self.claimed, got))

    def claimed(self, claimed: Claimed) -> Claimed:
        """Note in the model that an entry is held now, and that it might be."""
        kept = next(kept for kept in self.heads() if kept.entry.id == claimed.entry.id)
        assert kept.ready <= self.now
        kept.attempt += 1
        kept.ready = self.now + LEASE
        assert claimed == Claimed(kept.msisdn, kept.entry, kept.attempt, kept.ready)
        return claimed

    @rule(claimed=st.lists(consumes(held), max_size=2))
    def settle(self, claimed: list[Claimed]) -> None:
        self.do(self.store.settle(claimed))
        done = {each.entry.id for each in claimed}
        self.outbox = [kept for kept in self.outbox if kept.entry.id not in done]

    @rule(data=st.data())
    def commit_on_an_old_version(self, data: st.DataObject) -> None:
        if not self.outdated:
            return
        msisdn, version = data.draw(st.sampled_from(self.outdated))
        if version == 0 and msisdn not in self.records:
            return  # forgotten meanwhile: none is what there is
        change = Change(version, Subscriber(msisdn, "old"), [JournalEntry(0, "old", {})], [entry("old")])
        assert not self.do(self.store.commit(change))

    @rule(msisdn=st.sampled_from([ANNA, BORIS, VERA]))
    def commit_that_settles_what_is_gone(self, msisdn: str) -> None:
        record, version = self.do(self.store.load(msisdn))
        there = [kept.entry.id for kept in self.outbox if kept.msisdn == msisdn][:1]
        assert not self.do(self.store.commit(Change(version, record, settled=[*there, "never-was"])))

    @rule(target=held, limit=st.integers(1, 4), lanes=st.sets(st.sampled_from(EVERY_LANE)))
    def claim(self, limit: int, lanes: set[int]) -> Any:
        heads = (kept for kept in self.heads() if LANES[kept.entry.kind] in lanes)
        ready = {kept.entry.id: kept for kept in heads if kept.ready <= self.now}
        claimed: list[Claimed] = self.do(self.store.claim(self.now, limit, LEASE, lanes))
        assert len(claimed) == min(limit, len(ready))
        for each in claimed:
            kept = ready.pop(each.entry.id)
            kept.attempt += 1
            kept.ready = self.now + LEASE
            assert each == Claimed(kept.msisdn, kept.entry, kept.attempt, kept.ready)
        return multiple(*claimed)

    @rule(claimed=st.lists(held, max_size=3))
    def renew(self, claimed: list[Claimed]) -> None:
        self.do(self.store.renew(claimed, self.now + LEASE))
        for kept in filter(None, map(self.find, claimed)):
            if kept.ready != kept.entry.due:  # not postponed meanwhile
                kept.ready = self.now + LEASE

    @rule(claimed=held, wait=st.sampled_from([0, 300]))
    def postpone(self, claimed: Claimed, wait: int) -> None:
        self.do(self.store.postpone(claimed, self.now + wait, "not now"))
        kept = self.find(claimed)
        if kept:
            kept.ready, kept.reason = self.now + wait, "not now"
            kept.entry = msgspec.structs.replace(kept.entry, due=self.now + wait)

    @rule(claimed=consumes(held))
    def bury(self, claimed: Claimed) -> None:
        self.do(self.store.bury(claimed, self.now, "hopeless"))
        kept = self.find(claimed)
        if kept:
            self.outbox.remove(kept)
            lost = kept.entry
            self.dead = [each for each in self.dead if each.id != lost.id]
            self.dead.append(
                DeadLetter(kept.msisdn, lost.id, lost.kind, lost.data, 0, self.now, kept.attempt, "hopeless")
            )
            told = {"id": kept.entry.id, "kind": kept.entry.kind, "reason": "hopeless"}
            self.note(kept.msisdn, JournalEntry(self.now, "given_up", told))

    @rule(data=st.data(), again=st.booleans())
    def take_back(self, data: st.DataObject, again: bool) -> None:
        if not self.dead:
            return
        dead = data.draw(st.sampled_from(self.dead))
        record, version = self.do(self.store.load(dead.msisdn))
        entry = OutboxEntry(dead.id, dead.kind, self.now, dead.data, tried=dead.attempt)
        assert self.do(self.store.commit(Change(version, record, (), [entry] if again else [], exhumed=[dead.id])))
        self.outdated.append((dead.msisdn, version))
        self.dead.remove(dead)
        if again:
            self.outbox.append(Kept(dead.msisdn, entry, self.now, dead.attempt))

    def whole(self, msisdn: str) -> Everything | None:
        if msisdn not in self.records:
            return None
        answers = sorted((kept[1] for kept in self.answers.values() if kept[0] == msisdn), key=lambda one: one.key)
        return Everything(
            self.records[msisdn],
            self.journal.get(msisdn, []),
            [
                Standing(each.entry, each.ready, each.attempt, each.reason)
                for each in self.outbox
                if each.msisdn == msisdn
            ],
            [each for each in self.dead if each.msisdn == msisdn],
            answers,
        )

    @rule(msisdn=st.sampled_from([ANNA, BORIS, VERA]), first=st.booleans())
    def move_out_and_in(self, msisdn: str, first: bool) -> None:
        _, version = self.do(self.store.load(msisdn))
        whole = self.do(self.store.dump(msisdn))
        assert whole == self.whole(msisdn)
        if whole:
            if first:
                self.do(self.store.forget(msisdn))
            self.do(self.store.restore(whole))
            self.outdated.append((msisdn, version))
            mine = [kept for kept in self.outbox if kept.msisdn == msisdn]
            self.outbox = [kept for kept in self.outbox if kept.msisdn != msisdn] + mine

    @rule(msisdn=st.sampled_from([ANNA, BORIS, VERA]))
    def forget(self, msisdn: str) -> None:
        known = msisdn in self.records
        assert self.do(self.store.forget(msisdn)) == known
        self.records.pop(msisdn, None)
        self.journal.pop(msisdn, None)
        self.outbox = [kept for kept in self.outbox if kept.msisdn != msisdn]
        self.dead = [each for each in self.dead if each.msisdn != msisdn]
        self.answers = {key: kept for key, kept in self.answers.items() if kept[0] != msisdn}

    @rule(terminal=st.sampled_from(["kiosk-1", "kiosk-2"]), nonce=st.sampled_from("xyz"), keep=st.integers(-1, LEASE))
    def use_nonce(self, terminal: str, nonce: str, keep: int) -> None:
        first = (terminal, nonce) not in self.nonces
        assert self.do(self.store.use_nonce(terminal, nonce, self.now + keep)) == first
        self.nonces.setdefault((terminal, nonce), self.now + keep)

    @rule(terminal=st.sampled_from(["kiosk-1", "kiosk-2"]), name=st.text(max_size=3), outdated=st.booleans())
    def commit_terminal(self, terminal: str, name: str, outdated: bool) -> None:
        loaded, version = self.do(self.store.load_terminal(terminal))
        assert loaded == self.terminals.get(terminal)
        if outdated and loaded:
            assert not self.do(self.store.commit_terminal(Terminal(terminal, "outdated"), version - 1))
            return
        assert self.do(self.store.commit_terminal(Terminal(terminal, name), version))
        self.terminals[terminal] = Terminal(terminal, name)

    @rule()
    def sweep(self) -> None:
        nonces = {used: until for used, until in self.nonces.items() if until > self.now}
        answers = {key: kept for key, kept in self.answers.items() if kept[1].expires > self.now}
        over = len(self.nonces) + len(self.answers) - len(nonces) - len(answers)
        assert self.do(self.store.sweep(self.now, 1000)) == over
        self.nonces, self.answers = nonces, answers

    @rule()
    def restart(self) -> None:
        self.do(self.store.close())
        self.store = self.open_store(Path(self.folder.name))

    @invariant()
    def alike(self) -> None:
        for msisdn in (ANNA, BORIS, VERA):
            record, version = self.do(self.store.load(msisdn))
            assert record == self.records.get(msisdn, Subscriber(msisdn))
            assert (version > 0) == (msisdn in self.records)
            assert self.do(self.store.dead_letters(msisdn)) == [each for each in self.dead if each.msisdn == msisdn]
            assert self.do(self.store.journal(msisdn)) == self.journal.get(msisdn, [])[::-1][:100]
        for lanes in ([MESSAGES], [OPERATOR], [PUSHES], EVERY_LANE):
            ready = [kept.ready for kept in self.heads() if LANES[kept.entry.kind] in lanes]
            assert self.do(self.store.next_due(lanes)) == min(ready, default=None)
        for key in "abc":
            kept = self.answers.get(key)
            assert self.do(self.store.answer("kiosk-1", key)) == (kept[1] if kept else None)
        assert sorted(self.do(self.store.subscribers("", 10))) == sorted(self.records)
        assert sorted(self.do(self.store.given_up("", 10))) == sorted({each.msisdn for each in self.dead})
        assert self.do(self.store.count_dead_letters()) == Counter(each.kind for each in self.dead)
        assert self.do(self.store.terminals()) == [self.terminals[id] for id in sorted(self.terminals)]

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        self.folder.cleanup()


@pytest.mark.parametrize("name", STORES)
def test_a_store_behaves_as_its_model(name: str) -> None:
    open_store = partial(STORES[name], journal_entries=BOUND)
    machine = type("Machine", (StoreMachine,), {"open_store": staticmethod(open_store)})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=int(60 * EXAMPLES[name]), stateful_step_count=30, deadline=None, database=None),
    )
