"""An outbox at work on a real store, and what a test says to it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from ussd_server.metrics import Metrics
from ussd_server.outbox.claiming import Part
from ussd_server.outbox.lanes import Lane
from ussd_server.outbox.leases import LEASE_MS
from ussd_server.outbox.outcomes import Done, Later, Performed, Performer
from ussd_server.outbox.worker import Outbox
from ussd_server.stores.base import Change, Claimed, OutboxEntry, OutboxKind, pass_on
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber

MSISDN = "79100000001"
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
        self.performers: dict[OutboxKind, Performer] = {
            "sms": self.perform,
            "push": self.perform,
            "command": self._wait_for_the_operator,
        }
        self.pressed = False
        self.given_up = 0
        self.outbox = Outbox(
            store, self.performers, Metrics(), lambda: self.now, lease_ms, lambda: self.pressed, self._give_up
        )

    @property
    def lanes(self) -> list[Lane]:
        return self.outbox._lanes.every

    @property
    def workers(self) -> list[asyncio.Task[None]]:
        return self.outbox._claiming.workers

    @property
    def late(self) -> dict[Part, int]:
        return self.outbox._claiming.late

    @property
    def held(self) -> dict[str, Claimed]:
        return self.outbox._leases.held

    def _give_up(self) -> None:
        self.given_up += 1

    async def perform(self, claimed: Claimed) -> Performed:
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


class Network:
    """What an outbox hands its SMS over to: they end when they are told to."""

    def __init__(self, at: Bench) -> None:
        self.at = at
        self.waiting: dict[str, Callable[[Performed | Exception], None]] = {}
        """What ends each."""
        at.performers["sms"] = self._send

    def _send(self, claimed: Claimed) -> None:
        self.at.performed.append((claimed.entry.id, claimed.attempt))
        self.waiting[claimed.entry.id] = partial(self._ended, claimed)

    def _ended(self, claimed: Claimed, what: Performed | Exception) -> None:
        async def broken(claimed: Claimed) -> Performed:
            raise ValueError(what)

        came = broken if isinstance(what, Exception) else self._done if isinstance(what, Done) else what
        self.at.outbox.ended([claimed], came)

    async def _done(self, claimed: Claimed) -> Performed:
        record, version = await self.at.store.load(claimed.msisdn)
        assert await self.at.store.commit(Change(version, record, settled=(claimed.entry.id,)))
        return Done()
