"""Whether a server of Redis has the store that is known: not another one, and not one that came back empty.

The store has an id, beside its layout. On a Cluster each bucket has one, too, for any of the masters may lose its data.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog

from ussd_server.outage import Outage
from ussd_server.stores.redis.wire import CONNECT_S, Address, Refused, Request, Wire, pack

LOST: Final = "the store lost its data, or is another one"
RECOVER: Final = "bring its data back; or, to go on with what is there, stop all servers and start them again"

IF_LOST: Final = "if they lost their data, stop all servers before they add to it, and bring the data back"

LAID_OUT: Final = (b"layout", b"buckets", b"id")
"""What the hash of the store says of it, as `scripts/open.lua` returns it."""

ELSEWHERE: Final = ("MOVED", "ASK")
"""Errors that say that another server of the Cluster has it."""

log = structlog.get_logger(__name__)


class OtherStore(Exception):
    """A server has another store than the one that is known, or none: it came back empty."""


class Share(NamedTuple):
    """A bucket, as it is known again: the key of its id, the key that is there as soon as a subscriber is, its id."""

    key: bytes
    filled: bytes
    id: bytes


class Identity:
    """What is known of the store that is called `name`; until something is, any is taken.

    `several` says that it has several servers at a time.
    """

    def __init__(self, name: str, several: bool) -> None:
        self._name = name
        self._several = several
        self._meta: tuple[bytes, list[bytes]] | None = None
        """The key of the hash that says it, and what `LAID_OUT` is of the store."""
        self.shares: Mapping[int, Share] = {}
        """The buckets that are known again, by slot."""
        self._lost: set[Address] = set()
        self._outage = Outage(LOST, over="the store is the one that it was")

    def know(self, key: bytes, laid_out: list[bytes]) -> None:
        """Take no other store than the one of which the hash of this key says so."""
        self._meta = key, laid_out

    @property
    def id(self) -> str:
        """The id of the store that is taken, "" while any is."""
        return self._meta[1][-1].decode() if self._meta is not None else ""

    def is_it(self, id: bytes | None) -> bool:
        """Whether the store that is taken has this id."""
        return self._meta is None or id == self._meta[1][-1]

    async def look(self, wire: Wire, slots: Collection[int]) -> None:
        """Return where the server at the other end, which should have these slots, has the store that is known.

        Raises OtherStore, TimeoutError, and `Refused` with what Redis said.
        """
        async with asyncio.timeout(CONNECT_S):
            same = await self._is_known(wire) and await self._has_shares(
                wire, [self.shares[slot] for slot in slots if slot in self.shares]
            )
        now = round(asyncio.get_running_loop().time() * 1000)
        if not same:
            self._lost.add(wire.address)
            host, port = wire.address
            self._outage.failed(now, store=self._name, server=f"{host}:{port}", mend=RECOVER)
            raise OtherStore(f"{LOST} ({host}:{port}): {RECOVER}")
        self._lost = self._lost - {wire.address} if self._several else set()
        if not self._lost:
            self._outage.worked(now)

    async def _is_known(self, wire: Wire) -> bool:
        """Return whether this server has the store that is known, and give it its id again where that alone is gone.

        So it comes back from before it had one: from a snapshot, or as a replica that had not received it.
        """
        if self._meta is None:
            return True
        key, known = self._meta
        try:
            found = await wire.ask(b"HMGET", key, *LAID_OUT)
            if found == [*known[:-1], None]:
                if await wire.ask(b"HSETNX", key, LAID_OUT[-1], known[-1]):
                    self._has_it_again()
                found = await wire.ask(b"HMGET", key, *LAID_OUT)  # another server may know it by another
        except Refused as error:
            if error.code in ELSEWHERE:
                return True
            raise
        return bool(found == known)

    async def _has_shares(self, wire: Wire, shares: Sequence[Share]) -> bool:
        """Return whether this server has these buckets, or knows who does; ids that alone are gone it gets again."""
        found = await _asked(wire, [(b"GET", share.key) for share in shares])
        bare = [share for share, id in zip(shares, found, strict=True) if id is None]
        filled = await _asked(wire, [(b"EXISTS", share.filled) for share in bare])
        again = [share for share, there in zip(bare, filled, strict=True) if there]
        if again:
            if any(await _asked(wire, [(b"SETNX", share.key, share.id) for share in again])):
                self._has_it_again()
            found = await _asked(wire, [(b"GET", share.key) for share in shares])
        return all(id in (share.id, ELSEWHERE) for share, id in zip(shares, found, strict=True))

    def _has_it_again(self) -> None:
        log.warning("the store came back without its id, and has it again", store=self._name)


async def _asked(wire: Wire, commands: Sequence[tuple[bytes, ...]]) -> list[Any]:
    """Return the replies to these commands, `ELSEWHERE` where another server has what is asked for."""
    loop = asyncio.get_running_loop()
    requests = [Request(loop.create_future(), pack(command)) for command in commands]
    wire.send(requests)
    replies = []
    for reply in await asyncio.gather(*(request.answer for request in requests), return_exceptions=True):
        if isinstance(reply, Refused) and reply.code in ELSEWHERE:
            reply = ELSEWHERE
        if isinstance(reply, BaseException):
            raise reply
        replies.append(reply)
    return replies
