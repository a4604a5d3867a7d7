"""Which Redis server has which slots: one that is named, the master that Sentinels name, or a Cluster's masters.

These questions are rare, so redis-py asks them; what a turn asks goes by `redis_wire`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.buckets import SLOTS
from ussd_server.stores.redis_wire import Address, Greeting

ASK_S: Final = 1.0
"""How long one server may take to say where the others are."""


class NotFound(Exception):
    """Nobody says where the servers are. `hopeless`: and nobody will, until the settings are mended."""

    def __init__(self, text: str, hopeless: bool = False) -> None:
        super().__init__(text)
        self.hopeless = hopeless


class NotAnswered(Exception):
    """One server did not say where the others are. The text names it and says why."""


class Nodes(Protocol):
    """Finds servers. `fixed` says that they never change, `several` that slots have servers of their own."""

    fixed: bool
    several: bool

    async def find(self) -> Sequence[Address]:
        """Return the address of each slot's server; raises NotFound."""


class Alone:
    """One server for everything."""

    fixed = True
    several = False

    def __init__(self, address: Address) -> None:
        self._homes = [address] * SLOTS

    async def find(self) -> Sequence[Address]:
        """Return it, for each slot."""
        return self._homes


@asynccontextmanager
async def _asked(address: Address, greeting: Greeting) -> AsyncIterator[Redis]:
    """Give a client of one server, for a question. Raises NotAnswered where the server cannot be asked or refuses."""
    client = Redis(
        host=address[0],
        port=address[1],
        username=greeting.user or None,
        password=None if greeting.password is None else greeting.password.reveal(),
        ssl=greeting.tls is not None,
        ssl_ca_certs=None if greeting.ca_file is None else str(greeting.ca_file),
        socket_connect_timeout=ASK_S,
        socket_timeout=ASK_S,
        retry=Retry(NoBackoff(), 0),  # the next server is asked instead
        protocol=2,
        decode_responses=True,
    )
    try:
        async with asyncio.timeout(2 * ASK_S):
            yield client
    except (RedisError, TimeoutError) as error:
        raise NotAnswered(f"{address[0]}:{address[1]}: {str(error) or 'it does not answer'}") from None
    finally:
        with suppress(RedisError):
            await client.aclose()


class Sentinels:
    """The master of this name, as its Sentinels know it. They are asked in turn, first who answered last."""

    fixed = False
    several = False

    def __init__(self, sentinels: Sequence[Address], master: str, greeting: Greeting, password: Secret[str] | None):
        self._sentinels = list(sentinels)
        self._master = master
        self._greeting = replace(greeting, user="", password=password)

    async def find(self) -> Sequence[Address]:
        """Return the master's address, for each slot."""
        reasons = []
        for sentinel in list(self._sentinels):
            try:
                async with _asked(sentinel, self._greeting) as client:
                    found = await client.sentinel_get_master_addr_by_name(self._master)
            except NotAnswered as error:
                if "unknown command" in str(error):
                    mend = "this is no Sentinel, but a Redis: name Sentinels in the URL, or write redis://"
                    reasons.append(f"{sentinel[0]}:{sentinel[1]}: {mend}")
                else:
                    reasons.append(str(error))
                continue
            if found:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                host, port = cast(Address, found)
                return [(host, port)] * SLOTS
            reasons.append(f"{sentinel[0]}:{sentinel[1]} knows no master {self._master!r}")
        raise NotFound("no Sentinel says where the master is: " + "; ".join(reasons))


class Cluster:
    """The masters of a Cluster, as any of its servers knows them; those in the URL are only where it begins."""

    fixed = False
    several = True

    def __init__(self, seeds: Sequence[Address], greeting: Greeting) -> None:
        self._seeds = list(seeds)
        self._known: list[Address] = []
        self._greeting = greeting

    async def find(self) -> Sequence[Address]:
        """Return the master of each slot."""
        reasons = []
        for server in dict.fromkeys([*self._known, *self._seeds]):
            try:
                async with _asked(server, self._greeting) as client:
                    ranges = await client.cluster("SLOTS")
            except NotAnswered as error:
                if "cluster support disabled" in str(error):
                    raise NotFound("this Redis is no Cluster: write redis:// in the store's URL", True) from None
                reasons.append(str(error))
                continue
            homes = _homes(ranges, server[0])
            if None not in homes:
                self._known = list(dict.fromkeys(home for home in homes if home))
                return [home for home in homes if home]
            reasons.append(f"{server[0]}:{server[1]} knows no master for {homes.count(None)} slots")
        raise NotFound("no server of the Cluster says where the slots are: " + "; ".join(reasons))


def _homes(ranges: Sequence[Any], asked: str) -> list[Address | None]:
    """Return each slot's master from the reply of CLUSTER SLOTS; an empty host is the one that was asked."""
    homes: list[Address | None] = [None] * SLOTS
    for first, last, (host, port, *_), *_ in ranges:
        homes[first : last + 1] = [(host or asked, port)] * (last + 1 - first)
    return homes
