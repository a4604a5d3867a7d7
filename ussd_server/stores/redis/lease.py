"""For how long it is sure of each server that it is the one for its slots, and the asking for it."""

import asyncio
import math

from ussd_server.stores.redis.nodes import Nodes, NotConfirmed
from ussd_server.stores.redis.wire import Address


class Lease:
    """What was confirmed of each server. `now` is by the clock of the event loop, in seconds."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._until: dict[Address, float] = {}
        self._aging: dict[Address, float] = {}
        self._asked: dict[Address, float] = {}
        self._doubts: dict[Address, NotConfirmed] = {}
        self._asking = asyncio.Lock()
        self._ahead: set[Address] = set()

    def holds(self, address: Address, now: float) -> bool:
        """Whether this server is the one for sure."""
        return self._until.get(address, -math.inf) > now

    def ages(self, address: Address, now: float) -> bool:
        """Whether less than half of the lease is left, so that it should be renewed, and nobody does it yet."""
        return self._aging.get(address, -math.inf) <= now and address not in self._ahead

    async def renew(self, address: Address) -> None:
        """Return when a question that was sent after this call has confirmed the server; raises NotConfirmed."""
        clock = asyncio.get_running_loop().time
        called = clock()
        async with self._asking:
            if self._asked.get(address, -math.inf) < called:
                await self._ask(address, clock())
            # Else somebody who waited here, too, has asked for both.
        if address in self._doubts:
            raise self._doubts[address]

    async def renew_ahead(self, address: Address) -> None:
        """Renew it while it holds; where that fails, whoever needs it asks again."""
        self._ahead.add(address)
        try:
            await self.renew(address)
        except NotConfirmed:
            pass
        finally:
            self._ahead.discard(address)

    async def _ask(self, address: Address, now: float) -> None:
        try:
            seconds = await self._nodes.confirm(address)
        except Exception as error:
            # What nobody expects confirms nothing either, and must not end who waits here.
            if not isinstance(error, NotConfirmed):
                error = NotConfirmed(f"asking for the master failed: {error!r}")
            self._doubts[address] = error
            self._until.pop(address, None)
            self._aging.pop(address, None)
        else:
            self._doubts.pop(address, None)
            self._until[address], self._aging[address] = now + seconds, now + seconds / 2
        self._asked[address] = now  # not before: a question that was given up answers nobody
