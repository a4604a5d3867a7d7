"""The entries that are ours: held from their claim until the store has them no more, however long that takes."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from ussd_server.outage import Outage
from ussd_server.outbox.lanes import Lanes
from ussd_server.outbox.store_calls import SLOW_S, first
from ussd_server.stores.base import LANES, Claimed, Store, StoreUnavailable

log = structlog.get_logger()

LEASE_MS = 30_000
"""How long an entry is ours: as long as somebody waits for an SMS after a crash. While performed it is renewed."""

RENEWALS = 3
"""How often a lease is renewed before it would end, so that one late or failed renewal loses nothing."""


class Leases:
    """What this server holds, and for how long by now."""

    def __init__(self, store: Store, lanes: Lanes, now: Callable[[], int], lease_ms: int) -> None:
        self._store = store
        self._lanes = lanes
        self._now = now
        self._lease_ms = lease_ms
        self.held: dict[str, Claimed] = {}
        """The entries that are being performed or removed, by id, each as it was claimed last."""
        self._outage = Outage("store unavailable, leases not renewed")

    def gone(self, ids: Iterable[str]) -> set[int]:
        """Let go of entries that the store has no more; return their lanes."""
        for lane in self._lanes.every:
            for claim in lane.claims:
                claim.gone.update(ids)
        kinds = {self.held.pop(id).entry.kind for id in ids}
        return {LANES[kind] for kind in kinds}

    async def until_renewal(self) -> None:
        """Wait until the leases are to be renewed again."""
        await asyncio.sleep(self._lease_ms / RENEWALS / 1000)

    async def renew(self) -> None:
        """Keep what is held ours, whether or not there is room for more."""
        held = list(self.held.values())
        async with asyncio.TaskGroup() as group:
            while held:
                renewal = group.create_task(self._renew_each(first(held)))
                await asyncio.wait((renewal,), timeout=SLOW_S)

    async def _renew_each(self, held: Sequence[Claimed]) -> None:
        try:
            await self._store.renew(held, self._now() + self._lease_ms)
        except StoreUnavailable as error:
            self._outage.failed(self._now(), cause=str(error))
        except Exception as error:
            if len(held) > 1:  # one of them has all of them refused
                await asyncio.gather(*(self._renew_each([each]) for each in held))
            else:
                log.error("lease not renewed", id=held[0].entry.id, cause=repr(error))
