"""What happens after the commit: takes entries out of the store's outbox and has them performed, at least once each.

Whoever performs an entry removes it in the commit that keeps what came of it. An entry that cannot be done now waits
longer each time; one that can never be done, or is worth nothing any more, is buried with a journal entry.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.stores.base import Claimed, OutboxKind, Store, StoreUnavailable

log = structlog.get_logger()

UNDER_WAY = 64
"""Entries that are performed at once."""

LEASE_MS = 30_000
"""How long an entry is ours, renewed while it is performed: as long as somebody waits for an SMS after a crash."""

FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 60_000
"""Bounds of the wait before another try; it doubles each time."""

STORE_WAIT_S = 1.0
"""How long to leave a store alone that could not be reached."""


@dataclass(frozen=True)
class Done:
    """Performed, and removed by the performer's own commit."""


@dataclass(frozen=True)
class Later:
    """Not possible now."""

    reason: str


@dataclass(frozen=True)
class Hopeless:
    """Not possible ever."""

    reason: str


Performed: TypeAlias = Done | Later | Hopeless
Performer: TypeAlias = Callable[[Claimed], Awaitable[Performed]]


def wait_ms(attempt: int) -> int:
    """Return how long to wait after the attempt of this number, from 1."""
    return min(FIRST_WAIT_MS << min(attempt - 1, 16), LONGEST_WAIT_MS)


class Outbox:
    """Works off the outbox until stopped. `wake` says that there may be something new."""

    def __init__(
        self, store: Store, performers: Mapping[OutboxKind, Performer], metrics: Metrics, now: Callable[[], int]
    ) -> None:
        self._store = store
        self._performers = performers
        self._metrics = metrics
        self._now = now
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, Claimed] = {}
        """The entries under way, by id, each as it was claimed last."""
        self._stopping = False
        metrics.outbox_under_way = lambda: len(self._tasks)
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self._worker = asyncio.get_running_loop().create_task(self._work())

    def wake(self) -> None:
        """Look into the outbox soon."""
        self._news.set()

    async def stop(self, seconds: float) -> None:
        """Take nothing new; wait for what is under way, and leave what takes longer to whoever starts next."""
        self._stopping = True
        self.wake()
        if self._worker is not None:
            await self._worker
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _work(self) -> None:
        while not self._stopping:
            self._news.clear()
            try:
                room = UNDER_WAY - len(self._tasks)
                claimed = await self._store.claim(self._now(), room, LEASE_MS) if room else []
                pause = await self._pause(bool(claimed))
            except StoreUnavailable as error:
                log.error("store unavailable, the outbox waits", cause=str(error))
                claimed, pause = [], STORE_WAIT_S
            for each in claimed:
                self._begin(each)
            if pause != 0:
                await self._wait(pause)

    def _begin(self, claimed: Claimed) -> None:
        """Perform an entry; one still under way when its lease ended is ours again, and is not begun again."""
        under_way = claimed.entry.id in self._held
        self._held[claimed.entry.id] = claimed
        if not under_way:
            task = asyncio.get_running_loop().create_task(self._perform(claimed))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    async def _pause(self, busy: bool) -> float | None:
        """Return for how many seconds there is nothing to do, None for ever."""
        if busy:
            return 0 if len(self._tasks) < UNDER_WAY else None
        due = await self._store.next_due()
        return None if due is None or len(self._tasks) >= UNDER_WAY else max(0.001, (due - self._now()) / 1000)

    async def _wait(self, seconds: float | None) -> None:
        # Not `asyncio.wait_for`, which would make a task for each of the many short waits.
        timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._news.set)
        await self._news.wait()
        if timer is not None:
            timer.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake()  # the same subscriber's next entry may be claimed now

    async def _perform(self, claimed: Claimed) -> None:
        entry = claimed.entry
        try:
            now = self._now()
            if entry.expires and now >= entry.expires:
                performed: Performed = Hopeless("it expired before it could be done")
            else:
                performed = await self._try(claimed)
            self._metrics.outbox[entry.kind, type(performed).__name__.lower()] += 1
            held = self._held[entry.id]  # by now perhaps a later claim than the one that began this
            match performed:
                case Later(reason=reason):
                    await self._store.postpone(held, self._now() + wait_ms(claimed.attempt), reason)
                case Hopeless(reason=reason):
                    log.error("given up", msisdn=mask(claimed.msisdn), kind=entry.kind, id=entry.id, cause=reason)
                    await self._store.bury(held, self._now(), reason)
                case Done():
                    pass
        except StoreUnavailable as error:
            # The lease runs out, and then it is tried again: at least once.
            log.error("store unavailable, will be tried again", id=entry.id, cause=str(error))
        finally:
            del self._held[entry.id]

    async def _try(self, claimed: Claimed) -> Performed:
        try:
            return await self._performers[claimed.entry.kind](claimed)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("performing failed", msisdn=mask(claimed.msisdn), id=claimed.entry.id)
            return Later("failed here; see the log")
