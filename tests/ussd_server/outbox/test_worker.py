"""Outbox entries are performed at least once, in order for each subscriber, later where they must, never for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ussd_server.metrics import Metrics
from ussd_server.outbox import worker
from ussd_server.outbox.worker import (
    FIRST_WAIT_MS,
    LEASE_MS,
    LONGEST_WAIT_MS,
    UNDER_WAY,
    YIELDING,
    Done,
    Finished,
    HandedOver,
    Hopeless,
    Later,
    Outbox,
    Performed,
    Performer,
    wait_ms,
)
from ussd_server.stores.base import (
    EVERY_LANE,
    MESSAGES,
    PUSHES,
    Change,
    Claimed,
    OutboxEntry,
    OutboxKind,
    StoreUnavailable,
    ToldHeld,
    Unsure,
    pass_on,
)
from ussd_server.stores.sqlite import SqliteStore
from ussd_server.subscribers.record import Subscriber

MSISDN = "79100000001"
KINDS: Sequence[OutboxKind] = ("sms", "command")
SHORT_LEASE_MS = 30
"""Renewed every 10 ms by the real clock; how long it lasts is measured by the test's own."""


class Bench:
    """A real store, an outbox on it, and a clock that the test moves."""

    def __init__(self, store: SqliteStore, lease_ms: int = LEASE_MS) -> None:
        self.store = store
        self.now = 1_800_000_000_000
        self.performed: list[tuple[str, int]] = []
        self.answers: dict[str, list[Performed | Exception]] = {}
        self.hold = asyncio.Event()
        self.hold.set()
        self.operator = asyncio.Event()
        performers: dict[OutboxKind, Performer] = {
            "sms": self._perform,
            "push": self._perform,
            "command": self._wait_for_the_operator,
        }
        self.pressed = False
        self.outbox = Outbox(store, performers, Metrics(), lambda: self.now, lease_ms, lambda: self.pressed)

    async def _perform(self, claimed: Claimed) -> Performed:
        self.performed.append((claimed.entry.id, claimed.attempt))
        await self.hold.wait()
        answers = self.answers.get(claimed.entry.id)
        answer = answers.pop(0) if answers else Done()
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Done):
            record, version = await self.store.load(claimed.msisdn)
            assert await self.store.commit(Change(version, record, settled=(claimed.entry.id,)))
        return answer

    async def _wait_for_the_operator(self, claimed: Claimed) -> Performed:
        self.performed.append((claimed.entry.id, claimed.attempt))
        await self.operator.wait()
        return Later("the operator is slow")

    async def put(self, *ids: str, msisdn: str = MSISDN, expires: int = 0, kind: OutboxKind = "sms") -> None:
        record, version = await self.store.load(msisdn)
        entries = [OutboxEntry(id, kind, self.now, {"text": "…"}, expires) for id in ids]
        assert await self.store.commit(Change(version, record or Subscriber(msisdn), outbox=entries))
        self.outbox.wake()

    async def commit(self, *ids: str, msisdn: str = MSISDN, wait: int = 0) -> bool:
        """Commit as a turn does, through the outbox; it needs no wake."""
        record, version = await self.store.load(msisdn)
        entries = [OutboxEntry(id, "sms", self.now + wait, {"text": "…"}) for id in ids]
        return await self.committed(Change(version, record, outbox=entries))

    async def committed(self, change: Change) -> bool:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.outbox.commit_then(change, partial(pass_on, future))
        assert not future.done()
        return await future

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not reached():
                await asyncio.sleep(0)

    async def settled(self) -> None:
        """Let everything that is under way come to its end."""
        await self.until(lambda: not self.outbox.under_way)

    async def pass_time(self, ms: int) -> None:
        self.now += ms
        self.outbox.wake()

    async def kinds(self) -> list[str]:
        return [entry.kind for entry in await self.store.journal(MSISDN)]


def bench(tmp_path: Path, story: Callable[[Bench], Awaitable[None]], lease_ms: int = LEASE_MS) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        at = Bench(store, lease_ms)
        at.outbox.start()
        try:
            await story(at)
        finally:
            at.hold.set()
            at.operator.set()
            await at.outbox.stop(5)
            await store.close()

    asyncio.run(main())


def test_entries_of_a_subscriber_are_performed_once_and_in_order(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.put("a", "b", "c")
        await at.until(lambda: len(at.performed) == 3)
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1), ("c", 1)]
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_what_a_turn_commits_is_begun_at_once_and_the_rest_in_its_time(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold.clear()
        claims = 0
        claim = at.store.claim

        async def counted(*arguments: Any) -> list[Claimed]:
            nonlocal claims
            claims += 1
            return await claim(*arguments)

        at.store.claim = counted  # type: ignore[method-assign]
        assert await at.commit("a")
        assert at.outbox.under_way == 1
        await at.until(lambda: bool(at.performed))
        assert await at.commit("b", "c")
        assert await at.commit("x", msisdn="79100000002", wait=5)
        at.answers = {id: [Finished()] for id in "abcx"}
        at.hold.set()
        await at.until(lambda: len(at.performed) == 3)
        await at.pass_time(5)
        await at.until(lambda: len(at.performed) == 4)
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1), ("c", 1), ("x", 1)]
        assert await at.store.next_due() is None
        before, at.store.claim = claims, claim  # type: ignore[method-assign]
        assert before >= 3  # b, c and x were looked for

    bench(tmp_path, story)


def test_a_change_that_is_refused_leaves_nothing_to_do_and_no_room_taken(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert await at.commit()
        for number in range(2):
            stale = Change(0, Subscriber(MSISDN), outbox=[OutboxEntry(f"s{number}", "sms", at.now, {})])
            assert not await at.committed(stale)
        assert all(lane.room(False) == UNDER_WAY for lane in at.outbox._lanes)
        assert at.outbox.under_way == 0
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_what_has_no_room_waits_until_there_is(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold.clear()
        every = range(UNDER_WAY + 3)
        at.answers = {f"a{number}": [Finished()] for number in every}
        for number in every:
            assert await at.commit(f"a{number}", msisdn=str(79100001000 + number))
        assert at.outbox.under_way == UNDER_WAY
        at.hold.set()
        await at.until(lambda: len(at.performed) == len(every))
        await at.settled()
        assert await at.store.next_due() is None

    bench(tmp_path, story)


class Network:
    """What an outbox hands its SMS over to: they end when they are told to."""

    def __init__(self, at: Bench) -> None:
        self.at = at
        self.waiting: dict[str, asyncio.Future[Performed | Exception]] = {}
        performers: dict[OutboxKind, Performer] = {"sms": self._send}
        at.outbox._performers = performers

    def _send(self, claimed: Claimed) -> HandedOver:
        self.at.performed.append((claimed.entry.id, claimed.attempt))
        done = self.waiting[claimed.entry.id] = asyncio.get_running_loop().create_future()
        return HandedOver(done, self._came)

    def _came(self, claimed: Claimed, what: Performed | Exception) -> Performed | Awaitable[Performed]:
        if isinstance(what, Exception):
            raise what
        return self._done(claimed) if isinstance(what, Done) else what

    async def _done(self, claimed: Claimed) -> Performed:
        record, version = await self.at.store.load(claimed.msisdn)
        assert await self.at.store.commit(Change(version, record, settled=(claimed.entry.id,)))
        return Done()


@pytest.mark.parametrize(
    ("what", "then"),
    [
        (Finished(), None),
        (Done(), None),
        (Hopeless("no such number"), None),
        (Later("no link"), FIRST_WAIT_MS),
        (ValueError("defect"), FIRST_WAIT_MS),
    ],
)
def test_what_is_handed_over_ends_as_it_is_told_and_the_next_begins(
    tmp_path: Path, what: Performed | Exception, then: int | None
) -> None:
    async def story(at: Bench) -> None:
        network = Network(at)
        assert await at.commit("a", "b")
        assert await at.commit("late", msisdn="79100000002")
        await at.until(lambda: set(network.waiting) == {"a", "late"})
        network.waiting["a"].set_result(what)
        if then is None:
            await at.until(lambda: "b" in network.waiting)
            network.waiting["b"].set_result(Finished())
        network.waiting["late"].set_result(Finished())
        await at.settled()
        assert await at.store.next_due() == (None if then is None else at.now + then)

    bench(tmp_path, story)


def test_a_stop_gives_back_what_is_handed_over_and_nobody_sends_it_then(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        network = Network(at)
        for id, msisdn in zip("abc", (MSISDN, "79100000002", "79100000003"), strict=True):
            assert await at.commit(id, msisdn=msisdn)
        network.waiting["b"].set_result(Finished())
        network.waiting["c"].set_result(Later("the link was lost"))
        await at.outbox.stop(0)
        assert network.waiting["a"].cancelled()
        again = await at.store.claim(at.now, 10, LEASE_MS)
        assert sorted((each.entry.id, each.attempt) for each in again) == [("a", 2), ("c", 2)]

    bench(tmp_path, story)


def test_what_is_finished_is_removed_as_soon_as_the_store_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        settle, failures = at.store.settle, iter([StoreUnavailable("the disk is full")])

        async def failing(claimed: Sequence[Claimed]) -> None:
            for failure in failures:
                raise failure
            await settle(claimed)

        at.store.settle = failing  # type: ignore[method-assign]
        at.answers = {"a": [Finished()], "b": [Finished()]}
        assert await at.commit("a", "b")
        await at.until(lambda: len(at.performed) == 2)
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1)]
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_what_is_finished_is_not_begun_again_after_an_outage_longer_than_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        settle, away = at.store.settle, True

        async def failing(claimed: Sequence[Claimed]) -> None:
            if away:
                raise StoreUnavailable("the disk is full")
            await settle(claimed)

        at.store.settle = failing  # type: ignore[method-assign]
        network = Network(at)
        at.answers["b"] = [Finished()]
        assert await at.commit("a")
        network.waiting["a"].set_result(Finished())
        at.outbox._performers = {"sms": at._perform}  # one kind ends at once, the other in a task
        assert await at.commit("b", msisdn="79100000002")
        await at.until(lambda: at.performed == [("a", 1), ("b", 1)])
        for _ in range(2):
            await at.pass_time(LEASE_MS + 1)
            await at.until(lambda: all(at.outbox._held[id].lease > at.now for id in "ab"))
        away = False
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1)]
        assert await at.store.next_due() is None
        assert not at.outbox._held

    bench(tmp_path, story)


def test_what_can_never_be_committed_is_told_after_the_call(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        with pytest.raises(ValueError, match="no number"):
            await at.committed(Change(0, Subscriber("no number"), outbox=[OutboxEntry("a", "sms", at.now, {})]))

    bench(tmp_path, story)


def test_whose_commit_meets_a_stop_is_told_once_also_where_that_is_taken_badly(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        heard: list[bool | BaseException] = []

        def told(outcome: bool | BaseException) -> None:
            heard.append(outcome)
            raise RuntimeError("a defect")

        record, version = await at.store.load(MSISDN)
        at.outbox.commit_then(Change(version, record, outbox=[OutboxEntry("a", "sms", at.now, {})]), told)
        await at.outbox.drain(0)
        await at.until(lambda: bool(heard))
        assert heard == [True]
        assert at.performed == []

    bench(tmp_path, story)


def test_what_waits_to_be_removed_stays_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        settle, away = at.store.settle, True

        async def failing(claimed: Sequence[Claimed]) -> None:
            if away:
                raise StoreUnavailable("the disk is full")
            await settle(claimed)

        at.store.settle = failing  # type: ignore[method-assign]
        at.answers["a"] = [Finished()]
        assert await at.commit("a")
        other = SqliteStore(tmp_path / "store.db")
        for _ in range(3):
            at.now += SHORT_LEASE_MS - 1
            while await other.next_due() != at.now + SHORT_LEASE_MS:
                await asyncio.sleep(0)
            assert await other.claim(at.now, 1, 1) == []
        await other.close()
        away = False
        await at.settled()
        assert await at.store.next_due() is None

    bench(tmp_path, story, SHORT_LEASE_MS)


@pytest.mark.parametrize("came", [Finished(), Done()])
def test_what_is_removed_while_a_claim_brings_it_again_is_not_begun(tmp_path: Path, came: Performed) -> None:
    """Part of a store may answer a claim at once, and another part much later."""

    async def story(at: Bench) -> None:
        claim, brought, slow = at.store.claim, asyncio.Event(), asyncio.Event()

        async def slowly(*arguments: Any) -> list[Claimed]:
            claimed = await claim(*arguments)
            if claimed:
                brought.set()
                await slow.wait()
            return claimed

        at.hold.clear()
        at.answers["a"] = [came]
        assert await at.commit("a")
        at.store.claim = slowly  # type: ignore[method-assign]
        await at.pass_time(LEASE_MS + 1)
        await brought.wait()
        at.hold.set()
        await at.settled()
        assert await at.store.next_due() is None
        slow.set()
        assert await at.commit("b", msisdn="79100000002")
        await at.until(lambda: ("b", 1) in at.performed)
        await at.settled()
        await at.outbox.drain(5)
        assert at.performed == [("a", 1), ("b", 1)]

    bench(tmp_path, story)


def test_what_cannot_be_removed_keeps_nothing_else_and_is_not_done_again(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        settle, misfits, refused = at.store.settle, {"bad"}, 0

        async def particular(claimed: Sequence[Claimed]) -> None:
            nonlocal refused
            if misfits & {each.entry.id for each in claimed}:
                refused += 1
                raise ValueError("no such row can be written")
            await settle(claimed)

        at.store.settle = particular  # type: ignore[method-assign]
        network = Network(at)
        for id, msisdn in zip(("a", "bad", "b"), (MSISDN, "79100000002", "79100000003"), strict=True):
            assert await at.commit(id, msisdn=msisdn)
        assert await at.commit("next")
        for id in ("a", "bad", "b"):
            network.waiting[id].set_result(Finished())
        await at.until(lambda: "next" in network.waiting)
        network.waiting["next"].set_result(Finished())
        await at.until(lambda: at.outbox.under_way == 1)
        await at.until(lambda: refused > 4)
        await at.pass_time(SHORT_LEASE_MS + 1)
        await at.until(lambda: at.outbox._held["bad"].lease > at.now)
        misfits.clear()
        await at.settled()
        assert sorted(at.performed) == [("a", 1), ("b", 1), ("bad", 1), ("next", 1)]
        assert await at.store.next_due() is None

    bench(tmp_path, story, SHORT_LEASE_MS)


def test_at_a_stop_one_that_cannot_be_removed_keeps_no_other(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        settle, removing = at.store.settle, asyncio.Event()

        async def particular(claimed: Sequence[Claimed]) -> None:
            if "bad" in {each.entry.id for each in claimed}:
                removing.set()
                if not at.outbox._stopping:
                    await asyncio.Event().wait()
                raise ValueError("no such row can be written")
            await settle(claimed)

        at.store.settle = particular  # type: ignore[method-assign]
        network = Network(at)
        for id, msisdn in zip(("a", "bad"), (MSISDN, "79100000002"), strict=True):
            assert await at.commit(id, msisdn=msisdn)
        for id in ("a", "bad"):
            network.waiting[id].set_result(Finished())
        await removing.wait()
        await at.outbox.stop(0)
        assert [each.entry.id for each in await at.store.claim(at.now + LEASE_MS, 10, LEASE_MS)] == ["bad"]

    bench(tmp_path, story)


def test_a_stopped_outbox_holds_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        at = Bench(store)
        assert await at.commit("early")  # not begun: nobody would perform it
        at.outbox.start()
        at.answers = {"early": [Finished()]}
        await at.until(lambda: bool(at.performed))
        await at.outbox.stop(5)
        assert await at.commit("late")
        assert [each.entry.id for each in await store.claim(at.now, 10, LEASE_MS)] == ["late"]
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("away", [None, StoreUnavailable("away"), ValueError("such a row cannot be written")])
def test_what_is_committed_while_a_stop_begins_is_left_and_is_committed_all_the_same(
    tmp_path: Path, away: Exception | None
) -> None:
    async def story(at: Bench) -> None:
        async def fail(claimed: Claimed, due: int, reason: str) -> None:
            assert away is not None
            raise away

        if away:
            at.store.postpone = fail  # type: ignore[method-assign]
        committing = asyncio.ensure_future(at.commit("a"))
        await asyncio.sleep(0)
        await at.outbox.drain(0)
        assert await committing
        assert at.performed == []
        assert await at.store.next_due() == at.now + (LEASE_MS if away else 0)

    bench(tmp_path, story)


def test_what_was_perhaps_committed_is_looked_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LOOK_S", 3600)

    async def story(at: Bench) -> None:
        def unsure(change: Change, now: int, lease: int, told: ToldHeld) -> None:
            at.store.commit_then(change, lambda _: told(Unsure("the connection broke")))

        at.store.commit_and_hold_then = unsure  # type: ignore[method-assign]
        with pytest.raises(Unsure):
            await at.commit("a")
        await at.until(lambda: at.performed == [("a", 1)])

    bench(tmp_path, story)


def test_what_is_not_possible_now_waits_and_holds_back_what_follows_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [Later("no link"), Done()]
        await at.put("a", "b")
        await at.put("x", msisdn="79100000002")
        await at.until(lambda: len(at.performed) == 2)
        assert sorted(at.performed) == [("a", 1), ("x", 1)]
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 4)
        assert at.performed[2:] == [("a", 2), ("b", 1)]

    bench(tmp_path, story)


def test_under_pressure_few_are_performed_at_once_and_pushes_wait(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.pressed = True
        at.hold.clear()
        await at.put("p", kind="push", msisdn="79100000099")
        for number in range(YIELDING + 5):
            await at.put(f"s{number}", msisdn=f"791000001{number:02}")
        await at.until(lambda: len(at.performed) == YIELDING)
        at.pressed = False
        at.outbox.wake()
        await at.until(lambda: len(at.performed) == YIELDING + 6)
        assert {id for id, _ in at.performed[:YIELDING]} == {f"s{number}" for number in range(YIELDING)}

    bench(tmp_path, story)


def test_after_the_pressure_work_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "YIELD_S", 0.001)

    async def story(at: Bench) -> None:
        at.pressed = True
        await at.put("p", kind="push")
        for _ in range(100):
            await asyncio.sleep(0)
        assert not at.performed
        at.pressed = False
        await at.until(lambda: len(at.performed) == 1)

    bench(tmp_path, story)


def test_what_is_never_possible_is_buried_with_a_journal_entry(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [Hopeless("no such number")]
        await at.put("a", "b")
        await at.until(lambda: ("b", 1) in at.performed)
        await at.settled()
        assert len(await at.kinds()) == 2  # that it was given up, and how the SMS ended
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_what_has_expired_is_buried_unperformed(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.put("a", expires=at.now)
        await at.put("b")
        await at.until(lambda: ("b", 1) in at.performed)
        assert at.performed == [("b", 1)]

    bench(tmp_path, story)


def test_a_defect_in_a_performer_costs_only_a_wait(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [ValueError("defect"), Done()]
        await at.put("a")
        await at.until(lambda: len(at.performed) == 1)
        await at.settled()
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 2)

    bench(tmp_path, story)


def test_an_operator_that_hangs_holds_up_no_sms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for number in range(UNDER_WAY + 1):
            await at.put(f"order {number}", msisdn=str(79100001000 + number), kind="command")
        await at.until(lambda: len(at.performed) == UNDER_WAY)
        await at.put("a")
        await at.until(lambda: ("a", 1) in at.performed)
        await at.until(lambda: at.outbox.under_way == UNDER_WAY)
        assert await at.store.next_due([MESSAGES]) is None

    bench(tmp_path, story)


def test_what_takes_longer_than_its_lease_stays_ours_and_is_one_attempt(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for number in range(UNDER_WAY):  # there is no room for anything else
            await at.put(f"order {number}", msisdn=str(79100001000 + number), kind="command")
        await at.until(lambda: len(at.performed) == UNDER_WAY)
        other = SqliteStore(tmp_path / "store.db")
        for _ in range(3):
            at.now += SHORT_LEASE_MS - 1
            while await other.next_due() != at.now + SHORT_LEASE_MS:
                await asyncio.sleep(0)
            assert await other.claim(at.now, 1, 1) == []
        await other.close()
        at.operator.set()
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 2 * UNDER_WAY)
        assert {attempt for _, attempt in at.performed[UNDER_WAY:]} == {2}

    bench(tmp_path, story, SHORT_LEASE_MS)


def test_what_was_claimed_again_after_the_process_was_suspended_is_not_begun_twice(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a")
        await at.until(lambda: len(at.performed) == 1)
        for _ in range(3):
            await at.pass_time(LEASE_MS + 1)
            await at.until(lambda: at.outbox._held["a"].lease > at.now)
        assert len(at.performed) == 1
        at.answers["a"] = [Later("no link")]
        at.hold.set()
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS

    bench(tmp_path, story)


def test_a_store_that_fails_under_a_performer_costs_only_a_wait(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [StoreUnavailable("the disk is full"), Done()]
        await at.put("a")
        await at.until(lambda: len(at.performed) == 1)
        await at.settled()
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 2)

    bench(tmp_path, story)


def test_a_store_that_is_away_is_told_once_and_so_is_its_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        claim, tries = at.store.claim, 0

        async def away(*arguments: Any) -> list[Claimed]:
            nonlocal tries
            tries += 1
            raise StoreUnavailable("the disk is full")

        with capture_logs() as logs:
            monkeypatch.setattr(at.store, "claim", away)
            at.outbox.wake()
            await at.until(lambda: tries > 50)
            monkeypatch.setattr(at.store, "claim", claim)
            await at.put("a")
            await at.until(lambda: len(at.performed) == 1)
        events = [line["event"] for line in logs]
        assert events == ["store unavailable, the outbox waits", "the store is back, the outbox goes on"]

    bench(tmp_path, story)


@pytest.mark.parametrize("lane", [MESSAGES, PUSHES])
def test_a_store_is_back_only_when_the_lane_that_missed_it_has_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: int
) -> None:
    """With a part of the store away, other lanes go on; and a lane that has no room now asks nothing."""
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)
    monkeypatch.setattr(worker, "YIELD_S", 0.001)

    async def story(at: Bench) -> None:
        claim, tries = at.store.claim, [0 for _ in EVERY_LANE]

        async def partly_away(now: int, room: int, lease_ms: int, lanes: Sequence[int]) -> list[Claimed]:
            tries[lanes[0]] += 1
            if away and list(lanes) == [lane]:
                raise StoreUnavailable("a master is away")
            return await claim(now, room, lease_ms, lanes)

        async def asked(*of: int) -> None:
            for _ in range(5):
                before = list(tries)
                at.outbox.wake()
                await at.until(lambda: all(tries[each] > before[each] for each in of))  # noqa: B023

        away = True
        with capture_logs() as logs:
            monkeypatch.setattr(at.store, "claim", partly_away)
            await asked(*EVERY_LANE)
            at.pressed = True  # pushes have no room then
            await asked(*(each for each in EVERY_LANE if each != PUSHES))
            assert [line["event"] for line in logs] == ["store unavailable, the outbox waits"]
            at.pressed = away = False
            await asked(*EVERY_LANE)
        events = [line["event"] for line in logs]
        assert events == ["store unavailable, the outbox waits", "the store is back, the outbox goes on"]

    bench(tmp_path, story)


def test_a_stop_waits_for_what_is_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        at = Bench(store)
        at.outbox.start()
        await at.put("a")
        await at.until(lambda: bool(at.performed))
        await at.outbox.stop(5)
        assert await store.next_due() is None
        await store.close()

    asyncio.run(main())


def test_draining_takes_nothing_new_and_lets_go_of_nothing(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a", "b")
        await at.until(lambda: bool(at.performed))
        await at.outbox.drain(0)
        assert at.outbox.under_way == 1
        at.hold.set()
        await at.outbox.drain(5)
        assert at.performed == [("a", 1)]
        assert await at.store.next_due() == at.now  # b, for whoever starts next

    bench(tmp_path, story)


def test_what_failed_because_the_links_went_down_at_a_stop_does_not_wait_for_the_next_start(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a")
        await at.until(lambda: bool(at.performed))
        await at.outbox.drain(0)
        at.answers["a"] = [Later("the link was lost")]
        at.hold.set()
        await at.outbox.stop(5)
        assert await at.store.next_due() == at.now

    bench(tmp_path, story)


def test_what_a_stop_cancels_can_be_done_at_once_by_whoever_starts_next(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a")
        await at.put("order", kind="command")
        await at.until(lambda: len(at.performed) == 2)
        at.now += 5
        await at.outbox.stop(0)
        assert at.outbox.under_way == 0
        again = await at.store.claim(at.now, 10, LEASE_MS)
        # The attempt counts: an order may have reached the operator.
        assert [(each.entry.id, each.attempt) for each in again] == [("a", 2), ("order", 2)]

    bench(tmp_path, story)


@pytest.mark.parametrize(("attempt", "wait"), [(1, 1_000), (2, 2_000), (6, 32_000), (7, 60_000)])
def test_the_wait_doubles_up_to_a_bound(attempt: int, wait: int) -> None:
    assert wait_ms(attempt) == wait


@given(st.integers(1, 10**9))
def test_no_wait_is_longer_than_the_longest(attempt: int) -> None:
    assert FIRST_WAIT_MS <= wait_ms(attempt) <= LONGEST_WAIT_MS


def test_what_another_process_commits_or_takes_back_is_found_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_S", 0.01)

    async def story(at: Bench) -> None:
        other = SqliteStore(tmp_path / "store.db")
        entry = OutboxEntry("a", "sms", at.now, {"text": "…"})
        assert await other.commit(Change(0, Subscriber(MSISDN), outbox=[entry]))
        await at.until(lambda: at.performed == [("a", 1)])
        await other.close()

    bench(tmp_path, story)


def test_what_another_process_leaves_is_found_where_all_room_was_reserved_and_nothing_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_S", 0.01)

    async def story(at: Bench) -> None:
        commit_and_hold_then, asked = at.store.commit_and_hold_then, list[ToldHeld]()
        at.store.commit_and_hold_then = lambda change, now, lease, told: asked.append(told)  # type: ignore[method-assign]
        committing = [
            asyncio.ensure_future(at.commit(f"a{number}", msisdn=str(79100001000 + number)))
            for number in range(UNDER_WAY)
        ]
        await at.until(lambda: len(asked) == UNDER_WAY)
        at.outbox.wake()
        for _ in range(100):
            await asyncio.sleep(0)  # the lane's worker sees that there is no room
        for told in asked:
            told(StoreUnavailable("away"))
        assert all(
            isinstance(came, StoreUnavailable) for came in await asyncio.gather(*committing, return_exceptions=True)
        )
        at.store.commit_and_hold_then = commit_and_hold_then  # type: ignore[method-assign]
        other = SqliteStore(tmp_path / "store.db")
        assert await other.commit(
            Change(0, Subscriber(MSISDN), outbox=[OutboxEntry("a", "sms", at.now, {"text": "…"})])
        )
        await other.close()
        await at.until(lambda: at.performed == [("a", 1)])

    bench(tmp_path, story)


@pytest.mark.parametrize("defect", ["is told twice", "raises", "raises when it has told"])
def test_room_is_given_back_once_whatever_raises(tmp_path: Path, defect: str) -> None:
    async def story(at: Bench) -> None:
        def broken(change: Change, now: int, lease: int, told: ToldHeld) -> None:
            if defect != "raises":
                with pytest.raises(KeyError):
                    told(StoreUnavailable("away"))
            if defect == "is told twice":
                told(ValueError("what was told raised"))
            else:
                raise ValueError("a defect")

        def hear(done: bool | BaseException) -> None:
            if isinstance(done, StoreUnavailable):
                raise KeyError("a defect")

        at.store.commit_and_hold_then = broken  # type: ignore[method-assign]
        entries = [OutboxEntry(f"{kind} {number}", kind, at.now, {}) for kind in KINDS for number in range(2)]
        change = Change(0, Subscriber(MSISDN), outbox=entries)
        if defect == "is told twice":
            at.outbox.commit_then(change, hear)
        else:
            with pytest.raises(ValueError, match="a defect"):
                at.outbox.commit_then(change, hear)
        assert [lane.reserved for lane in at.outbox._lanes] == [0 for _ in EVERY_LANE]

    bench(tmp_path, story)


def test_who_is_told_of_what_a_stop_leaves_is_told_once_also_where_that_raises(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        heard: list[bool | BaseException] = []

        def hear(done: bool | BaseException) -> None:
            heard.append(done)
            raise KeyError("a defect")

        at.outbox.commit_then(
            Change(0, Subscriber(MSISDN), outbox=[OutboxEntry("a", "sms", at.now, {"text": "…"})]), hear
        )
        with capture_logs() as logs:
            await at.outbox.drain(0)
            await at.until(lambda: bool(heard))
            await at.store.ping()
        assert heard == [True]
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]

    bench(tmp_path, story)


@pytest.mark.parametrize("method", ["claim", "next_due", "renew", "postpone", "bury"])
def test_a_store_that_raises_anything_once_costs_only_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A row that does not fit has a store raise other things than that it is away."""
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)
    monkeypatch.setattr(worker, "LOOK_S", 0.001)

    async def story(at: Bench) -> None:
        works, calls = getattr(at.store, method), 0

        async def raises_once(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ValueError("such a row cannot be read")
            return await works(*arguments)

        setattr(at.store, method, raises_once)
        at.answers = {
            "later": [Later("no link"), Later("no link"), Finished()],
            "hopeless": [Hopeless("no such number"), Hopeless("no such number")],
        }
        await at.put("later")
        await at.put("hopeless", msisdn="79100000002")
        await at.put("order", kind="command", msisdn="79100000003")
        await at.until(lambda: len(at.performed) >= 3)
        await at.until(lambda: calls > 1 or method in ("postpone", "bury"))
        async with asyncio.timeout(20):
            while calls < 2 or await at.store.next_due([MESSAGES]) is not None:
                await at.pass_time(LONGEST_WAIT_MS)
                await at.store.ping()
        at.operator.set()
        await at.settled()
        assert [id for id, _ in at.performed].count("later") == 3

    bench(tmp_path, story, SHORT_LEASE_MS)


@pytest.mark.parametrize("handed_over", [True, False])
def test_what_is_broken_off_by_another_than_a_stop_is_tried_again(tmp_path: Path, handed_over: bool) -> None:
    async def story(at: Bench) -> None:
        network = Network(at)

        async def wait_for_it(claimed: Claimed) -> Performed:
            return await network._send(claimed).done  # type: ignore[no-any-return]

        if not handed_over:
            at.outbox._performers = {"sms": wait_for_it}
        assert await at.commit("a")
        await at.until(lambda: "a" in network.waiting)
        network.waiting["a"].cancel()
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS
        assert not at.outbox._held

    bench(tmp_path, story)


def test_a_stop_does_not_wait_for_a_store_that_does_not_answer(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        asked = asyncio.Event()

        async def hangs(*arguments: Any) -> list[Claimed]:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        at.store.claim = hangs  # type: ignore[method-assign]
        at.outbox.wake()
        await asked.wait()
        async with asyncio.timeout(20):
            await at.outbox.stop(0)
        assert all(task.done() for task in at.outbox._workers)

    bench(tmp_path, story)


def test_what_was_taken_back_is_tried_as_new_work_is(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [Later("busy"), Done()]
        again = OutboxEntry("a", "sms", at.now, {"text": "…"}, tried=9)
        assert await at.store.commit(Change(0, Subscriber(MSISDN), outbox=[again]))
        at.outbox.wake()
        await at.until(lambda: at.performed == [("a", 10)])
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: at.performed == [("a", 10), ("a", 11)])

    bench(tmp_path, story)
