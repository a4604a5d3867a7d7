"""Connections that may be used: the server is confirmed to be the one since they were made, and has the store."""

from collections.abc import Callable
from dataclasses import replace

from ussd_server.stores.redis.identity import Identity
from ussd_server.stores.redis.lease import Lease
from ussd_server.stores.redis.wire import Address, Greeting, Owner, Wire, connect


class Sure:
    """Connects with servers for `owner`. `has` says whether a server is known to have a slot."""

    def __init__(
        self, owner: Owner, greeting: Greeting, lease: Lease, identity: Identity, has: Callable[[Address, int], bool]
    ) -> None:
        self._owner = owner
        self._greeting = greeting
        self._lease = lease
        self._identity = identity
        self._has = has

    async def connect(self, address: Address) -> Wire:
        """Return a connection to a server that is confirmed to be the one since the connection was made.

        Raises NotConfirmed, OtherStore, and what `wire.connect` raises.
        """
        return await connect(address, self._greeting, self._owner, self._accepted)

    async def look(self, address: Address) -> None:
        """Look at a server by a connection of its own; raises what `connect` does."""
        wire = await connect(address, replace(self._greeting, scripts=False), Owner(), self._accepted)
        wire.abort()

    async def _accepted(self, wire: Wire) -> None:
        """Return where this server is the one, and has the store that is known; raises NotConfirmed and OtherStore."""
        await self._lease.renew(wire.address)
        here = [slot for slot in self._identity.shares if self._has(wire.address, slot)]
        await self._identity.look(wire, here)
