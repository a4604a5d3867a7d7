"""Where the servers are: which one has which slot, found out anew when that may have changed, and the way to each."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ussd_server.stores.redis.identity import Identity
from ussd_server.stores.redis.lease import Lease
from ussd_server.stores.redis.node import AGAIN_S, Asker, Node
from ussd_server.stores.redis.nodes import Nodes, NotFound
from ussd_server.stores.redis.sure import Sure
from ussd_server.stores.redis.wire import Address, Greeting, Owner, Sent, Wire

CONNECTIONS: Final = 4
"""Connections to each server. Redis reads 16 KiB of each, about 25 commits, before it syncs its log once for all."""


class Homes:
    """The home of each slot, and the connections to it. What is asked before it is known waits here.

    `owner` is told what comes by the connections; `lease` and `identity` say which of them may be used.
    """

    def __init__(
        self, asker: Asker, owner: Owner, nodes: Nodes, greeting: Greeting, lease: Lease, identity: Identity
    ) -> None:
        self._asker = asker
        self._nodes = nodes
        self._identity = identity
        self._sure = Sure(owner, greeting, lease, identity, self._has)
        self._of_slots: list[Node] | None = None
        """The connection for each slot, once it is known."""
        self._by_place: dict[tuple[Address, int], Node] = {}
        self._finding: asyncio.Task[None] | None = None
        self.waiting: list[Sent] = []
        """What was asked before it was known where."""

    def send(self, requests: Sequence[Sent]) -> None:
        """Send each request to its slot's home: one write for each connection."""
        homes = self._of_slots
        if homes is None:
            self.waiting += requests
            self.find()
            return
        shares: dict[Node, list[Sent]] = {}
        for request in requests:
            shares.setdefault(homes[request.slot], []).append(request)
        for node, share in shares.items():
            node.send(share)

    def node(self, address: Address, slot: int) -> Node:
        """Return the connection of this server for a slot; a call for many slots goes by that of its first key's."""
        place = address, slot % CONNECTIONS
        node = self._by_place.get(place)
        if node is None:
            node = self._by_place[place] = Node(self._asker, self._sure, address, self.find, self._nodes.fixed)
        return node

    @property
    def nodes(self) -> list[Node]:
        """All connections, those that are not made yet, too."""
        return list(self._by_place.values())

    def one_of_each(self, slots: Sequence[int]) -> list[int]:
        """Return of these slots one a server."""
        if self._of_slots is None:
            return list(slots[:1])
        return list({self._of_slots[slot].address: slot for slot in slots}.values())

    def address(self, slot: int) -> Address:
        """Return which server has this slot, once that was found out."""
        assert self._of_slots is not None
        return self._of_slots[slot].address

    def _has(self, address: Address, slot: int) -> bool:
        return self._of_slots is None or self._of_slots[slot].address == address

    # Doubts -------------------------------------------------------------------------------------------------------

    def look_anew(self, slot: int | None = None) -> None:
        """Have every server looked at anew, or the one of this slot: before any more is asked of it."""
        for node in self._by_place.values():
            if node.wire is not None and (slot is None or self._has(node.address, slot)):
                node.wire.abort()

    def unconfirmed(self, address: Address) -> None:
        """This server is not confirmed any more: break the connections to it."""
        for node in self._by_place.values():
            if node.address == address and node.wire is not None:
                node.wire.abort()

    def lost(self, wire: Wire) -> None:
        """This connection broke."""
        for node in self._by_place.values():
            if node.wire is wire:
                node.wire = None

    # Finding them -------------------------------------------------------------------------------------------------

    def find(self) -> None:
        """Find out anew which server has which slots, unless that is under way."""
        if self._finding is None and not self._asker.closed and (self._of_slots is None or not self._nodes.fixed):
            self._finding = self._asker.begin(self._look_for_homes())

    async def _look_for_homes(self) -> None:
        while not self._asker.closed:
            try:
                self._settle(await self._nodes.find())
            except NotFound as error:
                self._asker.trouble(str(error))
                if error.hopeless:
                    self._give_up(error)
            except Exception as error:  # what nobody expects must not end the search
                self._asker.trouble(f"asking where the servers are failed: {error!r}")
            await asyncio.sleep(AGAIN_S)  # whoever wants to know it now has this answer
            if not self.waiting:
                break
        self._finding = None

    def _settle(self, addresses: Sequence[Address]) -> None:
        """Take up who has which slot; what waits for a server that has none goes to the right one."""
        found = [self.node(address, slot) for slot, address in enumerate(addresses)]
        if self._of_slots is not None:
            for slot in self._identity.shares:
                self._move(self._of_slots, slot, found[slot])
        self._of_slots = found
        homes = set(found)
        for place in [place for place, node in self._by_place.items() if node not in homes]:
            self._by_place.pop(place).leave()
        waiting, self.waiting = self.waiting, []
        self._asker.again(waiting)

    def moved(self, slot: int, address: Address) -> None:
        """A server says that this one has the slot now: believe it, and find out about the others."""
        if self._of_slots is not None:
            self._move(self._of_slots, slot, self.node(address, slot))
        self.find()

    def _move(self, homes: list[Node], slot: int, node: Node) -> None:
        """Let this be the connection for a slot; where it is a bucket's, see first whether its data came, too."""
        if homes[slot] is not node:
            homes[slot] = node
            if slot in self._identity.shares:
                node.doubt(slot)

    def _give_up(self, error: Exception) -> None:
        waiting, self.waiting = self.waiting, []
        for request in waiting:
            self._asker.fail(request, f"{self._asker.name}: {error}")
