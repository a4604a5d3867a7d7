"""What is done and was kept by nobody's commit is removed from the store, many entries at a time.

It stays held until the store has removed it, so that nobody does it again. A store that is away for some of it, or
takes long, holds up the removal of no other.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import structlog

from ussd_server.log import mask
from ussd_server.outage import Outage
from ussd_server.outbox.lanes import Lanes
from ussd_server.outbox.leases import Leases
from ussd_server.outbox.store_calls import SLOW_S, STORE_WAIT_S, first
from ussd_server.stores.base import Store, StoreUnavailable, Unsettled

log = structlog.get_logger()


class Removals:
    """Removes what is finished, and has the lanes woken in which something was behind it."""

    def __init__(self, store: Store, leases: Leases, lanes: Lanes, now: Callable[[], int]) -> None:
        self._store = store
        self._leases = leases
        self._lanes = lanes
        self._now = now
        self._finished: list[str] = []
        self._removing: list[list[str]] = []
        """Finished entries that the store was told to remove, by call."""
        self._unreached: list[str] = []
        """Finished entries for which the store was away; held, and tried again by themselves: it may be away for them
        alone."""
        self._refused: list[str] = []
        """Finished entries that the store is there for and does not remove; held until `try_refused`."""
        self._remover: asyncio.Task[None] | None = None
        self._overtaken: set[asyncio.Task[None]] = set()
        """Removers for which nobody waits any more, as the store takes long for theirs."""
        self._retrier: asyncio.Task[None] | None = None
        self._outage = Outage("store unavailable, what is done is removed later")

    @property
    def left(self) -> list[str]:
        """What is finished and not removed yet."""
        return [*chain.from_iterable(self._removing), *self._finished, *self._unreached, *self._refused]

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """Whatever removes now."""
        removers = (self._remover, self._retrier, *self._overtaken)
        return [each for each in removers if each is not None]

    def remove(self, ids: Iterable[str]) -> None:
        """Have entries removed, together with all that are finished while the store is busy; they are held so long."""
        self._finished += ids
        if self._remover is None:
            self._remover = asyncio.get_running_loop().create_task(self._remove_each())

    def try_refused(self) -> None:
        """Have removed what the store refused to remove before."""
        refused, self._refused = self._refused, []
        if refused:
            self.remove(refused)

    def forget(self) -> None:
        """Leave to the end of their leases what is not removed by now; no task may be under way."""
        self._removing, self._finished, self._unreached, self._refused = [], [], [], []

    async def settle(self, ids: Sequence[str]) -> dict[str, Exception]:
        """Remove entries from the store; return why each that remains does."""
        held = self._leases.held
        try:
            if ids:
                await self._store.settle([held[id] for id in ids])
        except Unsettled as error:
            return {claimed.entry.id: cause for claimed, cause in error.left}
        except Exception as error:
            if isinstance(error, StoreUnavailable) or len(ids) == 1:
                return dict.fromkeys(ids, error)
        else:
            return {}
        # One of them has all of them refused.
        every = await asyncio.gather(*(self.settle([id]) for id in ids))
        return {id: error for unremoved in every for id, error in unremoved.items()}

    async def _remove_each(self) -> None:
        loop, this = asyncio.get_running_loop(), self._remover
        assert this is not None
        try:
            while self._finished and self._remover is this:
                batch = first(self._finished)
                timer = loop.call_later(SLOW_S, self._overtake, this)
                try:
                    await self._remove_batch(batch)
                finally:
                    timer.cancel()
        finally:
            self._overtaken.discard(this)
            if self._remover is this:
                self._remover = None

    def _overtake(self, slow: "asyncio.Task[None]") -> None:
        """Have another remove what is finished meanwhile."""
        self._overtaken.add(slow)
        self._remover = None
        if self._finished:
            self.remove(())

    async def _remove_again(self) -> None:
        """Remove what the store was away for, as soon as it is back."""
        away = True
        try:
            while self._unreached:
                if away:
                    await asyncio.sleep(STORE_WAIT_S)
                away = await self._remove_batch(first(self._unreached))
        finally:
            self._retrier = None

    async def _remove_batch(self, batch: list[str]) -> bool:
        """Remove these together, and have removed later what could not be; return whether the store is away."""
        self._removing.append(batch)
        unremoved = await self.settle(batch)
        self._removing.remove(batch)
        removed = [id for id in batch if id not in unremoved] if unremoved else batch
        self._lanes.wake(self._leases.gone(removed))  # what was behind them may be claimed now
        return bool(unremoved) and self._try_again(unremoved)

    def _try_again(self, unremoved: Mapping[str, Exception]) -> bool:
        """Have removed later what could not be; return whether the store is away."""
        away = False
        for id, error in unremoved.items():
            if isinstance(error, StoreUnavailable):
                if not away:
                    self._outage.failed(self._now(), cause=str(error))
                away = True
                self._unreached.append(id)
            else:
                held = self._leases.held[id]
                log.error(
                    "done, but cannot be removed; tried again later",
                    msisdn=mask(held.msisdn),
                    kind=held.entry.kind,
                    id=id,
                    cause=repr(error),
                )
                self._refused.append(id)
        if away and self._retrier is None:
            self._retrier = asyncio.get_running_loop().create_task(self._remove_again())
        return away
