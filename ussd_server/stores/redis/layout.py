"""How the store on Redis is laid out, and the way to each of its parts.

The first start says so, and what it says stays. Nothing is written before it is known that it can be acknowledged.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import structlog

from ussd_server.store_url import RedisUrl
from ussd_server.stores.base import NoStore, PerhapsDone, StoreUnavailable
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.buckets import BUCKETS, SLOTS, bucket_of, slot
from ussd_server.stores.redis.identity import IF_LOST, Share
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.link import Link, NoList
from ussd_server.stores.redis.nodes import Alone, Cluster, Nodes, Sentinels
from ussd_server.stores.redis.scripts import EVERY_SCRIPT
from ussd_server.stores.redis.together import unsure
from ussd_server.stores.redis.wire import Address, Asked, Greeting

WAIT_MS: Final = 1_000
"""How long what was written waits for replicas to have it, and who looks whether any follow, for these to say so."""

log = structlog.get_logger(__name__)


class Home(NamedTuple):
    """Where a subscriber's record is."""

    record: bytes
    bucket: Bucket
    digits: bytes


def digits_of(msisdn: str) -> bytes:
    """Return a number as it stands in keys; raises ValueError."""
    if not (msisdn.isascii() and msisdn.isdigit()) or len(msisdn) > 15 or msisdn[0] == "0":
        raise ValueError("a MSISDN is up to 15 digits and does not start with 0")
    return msisdn.encode()


def _nodes(url: RedisUrl, greeting: Greeting) -> Nodes:
    match url.kind:
        case "cluster":
            return Cluster(url.hosts, greeting)
        case "sentinel":
            return Sentinels(url.hosts, url.master, greeting, url.sentinel_password)
    return Alone(url.hosts[0])


class Layout:
    """The buckets of a store, once `open` has found them out, and the requests to each.

    `make` says that a new store may begin there, and that one without an id gets `noted_id` again, "" for a new one.
    `homes` is how many subscribers' keys are remembered.
    """

    def __init__(self, url: RedisUrl, make: bool, patience_s: float, homes: int, noted_id: str) -> None:
        self.url = url
        self.name = f"the store {url}"
        self.consumer = secrets.token_hex(8)
        """What this server is called where it holds work."""
        self.clients = f"ussd-server:{url.prefix}:"
        """What the name of every server's connections begins with."""
        client = f"{self.clients}{self.consumer}"
        self.greeting = Greeting(
            url.user, url.password, url.database, url.context(), url.ca_file, url.replicas, wait_ms=WAIT_MS, name=client
        )
        self.nodes = _nodes(url, self.greeting)
        self.link = Link(self.nodes, self.greeting, self.name, patience_s)
        self.meta = keys.meta_key(url.prefix)
        self._fence = keys.fence_key(url.prefix)
        self.fences: dict[int, bytes] = {}
        """The key of each fence, by its slot."""
        self.meta_slot = slot(url.prefix.encode())
        self.buckets: list[Bucket] = []
        self.closing = ""
        """Why nothing is asked any more, where the store is being closed."""
        self.home = lru_cache(homes)(self._find_home)
        self._random = random.Random(secrets.token_bytes(32)).getrandbits
        self._make = make
        self._noted_id = noted_id
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Find out how the store is laid out, or lay it out, unless that was done; raises StoreUnavailable."""
        if self.buckets:
            return
        async with self._opening:
            if not self.buckets:
                self.buckets = await self._laid_out()

    async def _laid_out(self) -> list[Bucket]:
        if self._make:
            await self._see_followers()
        values = (keys.LAYOUT, self.url.buckets or BUCKETS, int(self._make), secrets.token_hex(16), self._noted_id)
        call = self.link.call(self.meta_slot, EVERY_SCRIPT["open"], [self.meta], values)
        layout, buckets, id = laid_out = await call.answer
        if layout is None:
            raise NoStore(
                f"{self.name}: there is no store with the prefix {self.url.prefix!r}; a server makes it at its "
                "first start"
            )
        if int(layout) != keys.LAYOUT:
            raise StoreUnavailable(
                f"{self.name} is of layout {int(layout)}, and this version of the server knows {keys.LAYOUT}; "
                "use the version that made it"
            )
        if id is not None:
            self.link.identity.know(self.meta, laid_out)
        found = keys.every_bucket(self.url.prefix, int(buckets))
        if self._make and self.link.several:
            await self._know_shares(found)
        self.fences = {bucket.slot: bucket.fence for bucket in found} | {self.meta_slot: self._fence}
        self.pass_fences(False)
        return found

    def pass_fences(self, passing: bool) -> None:
        """Write behind the fences from now on, or heed them."""
        self.link.fences = {slot: fence + keys.NEVER * passing for slot, fence in self.fences.items()}

    async def _know_shares(self, buckets: Sequence[Bucket]) -> None:
        """Learn the id of each bucket, so that a master of a Cluster that loses its data is not taken for what it was.

        One that has none gets one; where every bucket had one before, its data was lost, which is said.
        """
        given = await self.link.ask(self.meta_slot, (b"HGET", self.meta, b"shares")).answer
        fresh = [secrets.token_hex(16).encode() for _ in buckets]
        # One key each: what needs two waits while their slot is being moved.
        commands = [(b"SET", each.id, id, b"NX", b"GET") for each, id in zip(buckets, fresh, strict=True)]
        asks = [self.link.ask(each.slot, command, writes=True) for each, command in zip(buckets, commands, strict=True)]
        had = await self.each(asks)
        bare = [each for each, id, found in zip(buckets, fresh, had, strict=True) if given and found in (None, id)]
        filled = await self.each([self.link.ask(each.slot, (b"EXISTS", each.all)) for each in bare])
        if lost := [each for each, there in zip(bare, filled, strict=True) if not there]:
            servers = sorted({"{}:{}".format(*self.link.homes.address(each.slot)) for each in lost})
            event = "part of the store is not the one of the last start"
            log.error(event, store=self.name, servers=servers, mend=IF_LOST)
        if not given:
            await self.link.ask(self.meta_slot, (b"HSET", self.meta, b"shares", b"1"), writes=True).answer
        self.link.identity.shares = {
            each.slot: Share(each.id, each.all, found or id)
            for each, id, found in zip(buckets, fresh, had, strict=True)
        }

    async def _see_followers(self) -> None:
        """Raise StoreUnavailable where a server has fewer replicas than what is written must have."""
        wanted, wait_ms = self.greeting.replicas, self.greeting.wait_ms
        if not wanted:
            return
        slots = await self.one_of_each_server()
        # Of a connection that wrote nothing before, this counts the replicas that follow.
        counts = await self.each([self.link.ask(each, (b"WAIT", wanted, wait_ms)) for each in slots])
        for each, there in zip(slots, counts, strict=True):
            if there < wanted:
                host, port = self.link.homes.address(each)
                raise StoreUnavailable(
                    f"{self.name}: only {there} of {wanted} replicas follow {host}:{port}, so nothing would be "
                    "acknowledged: look after the replicas, or let ?replicas= be how many there are"
                )

    async def one_of_each_server(self) -> list[int]:
        """Return a slot of each server that has any."""
        await self.link.ask(self.meta_slot, (b"PING",)).answer  # from now on it is known where the servers are
        return self.link.homes.one_of_each(range(SLOTS))

    async def homes(self) -> dict[int, Address]:
        """Return the server of each bucket's slot when none of these is being moved any more.

        Raises StoreUnavailable where that does not end.
        """
        await self.open()
        # Two keys, one of which is nowhere, wait as long as their slot is on its way; one key does not.
        pairs = [self.link.ask(each.slot, (b"EXISTS", each.all, each.all + keys.NEVER)) for each in self.buckets]
        singles = [self.link.ask(each.slot, (b"EXISTS", each.all)) for each in self.buckets]
        told = await asyncio.gather(*(pair.answer for pair in pairs), return_exceptions=True)
        await self.each(singles)  # where it is no move, these say what is wrong
        waited = zip(self.buckets, told, strict=True)
        if moving := [str(bucket.slot) for bucket, each in waited if isinstance(each, StoreUnavailable)]:
            raise StoreUnavailable(
                f"{self.name}: who has a record cannot be told while a slot of the Cluster is being moved "
                f"({', '.join(moving)}): end the move, then give it again"
            )
        return {bucket.slot: self.link.homes.address(bucket.slot) for bucket in self.buckets}

    def _find_home(self, msisdn: str) -> Home:
        digits = digits_of(msisdn)
        bucket = self.bucket(digits)
        return Home(bucket.record(digits), bucket, digits)

    def bucket(self, name: bytes) -> Bucket:
        """Return the bucket of a subscriber's number, or of any other name."""
        return self.buckets[bucket_of(name, len(self.buckets))]

    def call(self, bucket: Bucket, script: str, keys: Sequence[bytes], *values: keys.Value) -> Asked:
        """Send a call of a script on keys of this bucket."""
        return self.link.call(bucket.slot, EVERY_SCRIPT[script], keys, values)

    async def each(self, requests: Sequence[Asked]) -> list[Any]:
        """Return the replies to all of these."""
        return await asyncio.gather(*(request.answer for request in requests))

    async def of_lists(self, name: str, buckets: Sequence[Bucket], ask: Callable[[Bucket], Asked]) -> list[Any]:
        """Return what these buckets say of their lists of this name; one that is none is made anew, where it can be."""
        told = await asyncio.gather(*(each.answer for each in map(ask, buckets)), return_exceptions=True)
        for place, (bucket, reply) in enumerate(zip(buckets, told, strict=True)):
            if isinstance(reply, NoList) and name in keys.MADE_ANEW:
                await self.mend(bucket, getattr(bucket, name))
                told[place] = await ask(bucket).answer
            elif isinstance(reply, BaseException):
                raise reply
        return told

    async def mend(self, bucket: Bucket, *lists: bytes) -> None:
        """Have what another program wrote over these lists set aside, and the lists made anew."""
        await self.call(bucket, "mend", lists, bucket.all, bucket.aside).answer

    async def of_each_bucket(self, command: Callable[[Bucket], tuple[bytes | str | int, ...]]) -> list[Any]:
        """Return the reply of each bucket to the command that is made for it."""
        await self.open()
        return await self.each([self.link.ask(bucket.slot, command(bucket)) for bucket in self.buckets])

    def new_version(self) -> int:
        """Return what no other commit of any life of a record has as its version."""
        return self._random(63) or 1

    async def durably(self, bucket: Bucket, command: tuple[bytes | str | int, ...]) -> Any:
        """Return the reply to what only reads when as many replicas as are waited for have what it tells of."""
        while True:
            found = self.link.ask(bucket.slot, command)
            if not self.url.replicas:
                return await found.answer
            # Only what writes is waited for, together with all that was written before: let there be something.
            ping = self.link.ask(bucket.slot, (b"SET", bucket.ping, b""), writes=True)
            try:
                await ping.answer
            except PerhapsDone as error:  # what it wrote is nothing to who reads
                raise StoreUnavailable(str(error)) from error
            reply = await found.answer
            if not (found.resent or ping.resent):
                return reply
            # What was read may be an old master's, and the write the new one's: read where the write is confirmed.

    def sure(self, request: Asked) -> None:
        """Raise where a refusal proves nothing: an earlier sending of the same may be what it was refused for."""
        if request.unsure:
            raise unsure(self.name)
