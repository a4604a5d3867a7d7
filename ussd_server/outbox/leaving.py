"""At a stop, what is not done is left to others, who may claim it at once, not only when its lease ends."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import structlog

from ussd_server.outbox.claiming import Part
from ussd_server.outbox.leases import Leases
from ussd_server.outbox.removals import Removals
from ussd_server.stores.base import Claimed, Store

log = structlog.get_logger()

RELEASE_S = 0.5
"""How long the store may take at a stop to be told of what is left: what it does not hear of waits for its lease."""

_PERHAPS = "perhaps not released, then done when its lease ends"
"""The store may do all the same what it has not answered to, or says has failed."""


class Leaving:
    """Leaves entries to others. What the store does not hear of in time, and why, is logged."""

    def __init__(self, store: Store, leases: Leases, removals: Removals, now: Callable[[], int]) -> None:
        self._store = store
        self._leases = leases
        self._removals = removals
        self._now = now

    async def leave(self, committed: Iterable[Claimed]) -> None:
        """Leave entries that were committed as the stop began; their commit stands whatever becomes of this."""
        for each in committed:
            try:
                await self._store.postpone(each, each.entry.due, "the server stops")
            except Exception as error:
                log.error(_PERHAPS, cause=str(error))

    async def leave_all(self, claims: Mapping[Part, int], seconds: float) -> None:
        """Remove what is finished and let go of the rest, as far as the store does it in so many seconds.

        `claims` are the parts of claims that go on, each with for how many entries at most.
        """
        now, finished, all_held = self._now(), self._removals.left, self._leases.held
        unfinished = [all_held[id] for id in all_held.keys() - set(finished)]
        releases = [self._store.postpone(held, now, "the server stopped") for held in unfinished]
        late_releases = [self._leave_late(claim) for claim in claims]
        work = [asyncio.ensure_future(each) for each in (*late_releases, *releases, self._removals.settle(finished))]
        _, late = await asyncio.wait(work, timeout=seconds)
        for each in late:
            each.cancel()
        *came, unremoved = await asyncio.gather(*work, return_exceptions=True)
        for error, most in zip(tuple(came), claims.values(), strict=False):
            came += [error] * (most - 1)
        came += unremoved.values() if isinstance(unremoved, dict) else [unremoved] * len(finished)
        all_held.clear()
        self._removals.forget()
        silent = f"the store did not answer for {seconds:g} s"
        causes = Counter(str(error) or silent for error in came if isinstance(error, BaseException))
        for cause, entries in causes.items():
            log.error(_PERHAPS, entries=entries, cause=cause)

    async def _leave_late(self, claim: Part) -> None:
        """Let go of what a part of a claim brings after the end."""
        for held in await claim:
            await self._store.postpone(held, self._now(), "the server stopped")
