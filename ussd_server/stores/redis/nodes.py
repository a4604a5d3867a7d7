"""Which Redis server has which slots: one that is named, the master that Sentinels name, or a Cluster's masters.

These questions are rare, so redis-py asks them; what a turn asks goes by `wire`.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.redis.buckets import SLOTS
from ussd_server.stores.redis.confirmation import View, given_up, judge, majority, newest, open_votes
from ussd_server.stores.redis.tls import NO_TLS, speaks_plainly
from ussd_server.stores.redis.wire import NO_REDIS, Address, Greeting

ASK_S: Final = 1.0
"""How long one server may take to say where the others are."""

STRAGGLERS_S: Final = 0.03
"""How long the other Sentinels are waited for when a majority has answered."""


class NotFound(Exception):
    """Nobody says where the servers are. `hopeless`: and nobody will, until the settings are mended."""

    def __init__(self, text: str, hopeless: bool = False) -> None:
        super().__init__(text)
        self.hopeless = hopeless


class NotAnswered(Exception):
    """One server did not say where the others are. The text names it and says why."""


class NotConfirmed(Exception):
    """It is not sure that a server is still the one for its slots. The text says why."""


class Nodes(Protocol):
    """Finds servers. `fixed` says that they never change, `several` that slots have servers of their own."""

    fixed: bool
    several: bool

    async def find(self) -> Sequence[Address]:
        """Return the address of each slot's server; raises NotFound."""

    async def confirm(self, address: Address) -> float:
        """Return for how many seconds, counted from the call, this server is surely the one.

        Raises NotConfirmed. With 0 it is only sure that it was at the call.
        """

    async def replicas(self) -> Sequence[Address]:
        """Return the addresses of those that a failover may make masters, also of those that are away or already are.

        Raises NotFound.
        """

    async def close(self) -> None:
        """Let go of the connections."""


class Alone:
    """One server for everything."""

    fixed = True
    several = False

    def __init__(self, address: Address) -> None:
        self._homes = [address] * SLOTS

    async def find(self) -> Sequence[Address]:
        """Return it, for each slot."""
        return self._homes

    async def confirm(self, address: Address) -> float:
        """Return that it is sure for ever: there is no other."""
        return math.inf

    async def replicas(self) -> Sequence[Address]:
        """Return none: nobody makes another one the master."""
        return []

    async def close(self) -> None:
        """Do nothing: no connection is kept."""


def _client(address: Address, greeting: Greeting) -> Redis:
    return Redis(
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


@asynccontextmanager
async def _answering(address: Address, tls: bool) -> AsyncIterator[None]:
    """Raise NotAnswered where a server cannot be asked or refuses; `tls` says whether it is asked by TLS."""
    try:
        async with asyncio.timeout(2 * ASK_S):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        plain = tls and await speaks_plainly(address)
        other = isinstance(error, InvalidResponse)
        why = NO_TLS if plain else NO_REDIS if other else str(error) or "it does not answer"
        raise NotAnswered(f"{address[0]}:{address[1]}: {why}") from None


@asynccontextmanager
async def _asking(address: Address, greeting: Greeting) -> AsyncIterator[Redis]:
    """Give a client for a few questions; raises NotAnswered where the server cannot be asked or refuses."""
    async with _answering(address, greeting.tls is not None):
        client = _client(address, greeting)
        try:
            yield client
        finally:
            # Not by the client's own `async with`: cancelled in its way out, that leaves the connection open.
            await asyncio.shield(client.aclose())


@contextmanager
def _understood(server: Address) -> Iterator[None]:
    """Raise NotAnswered where what a server answers is not what it was asked for."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise NotAnswered(f"{server[0]}:{server[1]}: its answer is not understood: {error!r}") from None


async def ask_setup(
    address: Address, greeting: Greeting, settings: Sequence[bytes]
) -> tuple[Mapping[str, str], Mapping[str, str] | None]:
    """Return the fields of a server's INFO and these settings, None where it does not tell them; raises NotAnswered."""
    async with _asking(address, greeting) as client:
        with _understood(address):
            info = {name: str(value) for name, value in (await client.info()).items()}
            try:
                config = await client.config_get(*(name.decode() for name in settings))
            except ResponseError:  # forbidden, or renamed
                return info, None
            return info, {str(name): str(value) for name, value in config.items()}


class Sentinels:
    """The master of this name, as its Sentinels know it. All are asked, by connections that are kept."""

    fixed = False
    several = False

    def __init__(self, sentinels: Sequence[Address], master: str, greeting: Greeting, password: Secret[str] | None):
        greeting = replace(greeting, user="", password=password)
        self._master = master
        self._tls = greeting.tls is not None
        self._clients = {address: _client(address, greeting) for address in sentinels}
        self._open_votes: dict[int, int] = {}

    async def find(self) -> Sequence[Address]:
        """Return the master's address, for each slot, as the Sentinel has it that knows of the last failover."""
        views, reasons = await self._ask(None)
        if not views:
            raise NotFound("no Sentinel says where the master is: " + "; ".join(reasons))
        return [newest(views)] * SLOTS

    async def confirm(self, address: Address) -> float:
        """Ask a majority of the Sentinels; see `Nodes`."""
        views, reasons = await self._ask(address)
        if not views:
            raise NotConfirmed("no Sentinel says whether this is the master: " + "; ".join(reasons))
        now = int(asyncio.get_running_loop().time() * 1000)
        self._open_votes = open_votes(views, self._open_votes, now)
        verdict = judge(views, address, given_up(views, self._open_votes, now))
        if verdict.doubt:
            why = "; ".join((verdict.doubt, *reasons))
            raise NotConfirmed(f"{address[0]}:{address[1]} is not surely the master: {why}")
        return verdict.lease_ms / 1000

    async def replicas(self) -> Sequence[Address]:
        """Return all that any Sentinel knows of."""
        found: set[Address] = set()
        reasons = []
        told = await asyncio.gather(*map(self._replicas, self._clients), return_exceptions=True)
        for each in told:
            if isinstance(each, NotAnswered):
                reasons.append(str(each))
            elif isinstance(each, BaseException):
                raise each
            else:
                found.update(each)
        if len(reasons) == len(told):
            raise NotFound("no Sentinel says who the replicas are: " + "; ".join(reasons))
        return sorted(found)

    async def _replicas(self, sentinel: Address) -> list[Address]:
        async with _answering(sentinel, self._tls):
            with _understood(sentinel):
                pipeline = self._clients[sentinel].pipeline(transaction=False)
                pipeline.execute_command("SENTINEL", "REPLICAS", self._master)
                (told,) = await pipeline.execute()
                states = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in told]
                return [(state["ip"], int(state["port"])) for state in states]

    async def _ask(self, about: Address | None) -> tuple[list[View], list[str]]:
        """Return what the Sentinels say that answer in time, and why others do not."""
        asked = {asyncio.ensure_future(self._view(each, about)) for each in self._clients}
        views: list[View] = []
        reasons: list[str] = []
        try:
            while asked:
                enough = bool(views) and len(views) >= majority(views)
                done, asked = await asyncio.wait(
                    asked, timeout=STRAGGLERS_S if enough else None, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for each in done:
                    try:
                        views.append(each.result())
                    except NotAnswered as error:
                        reasons.append(str(error))
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return views, sorted(reasons)

    async def _view(self, sentinel: Address, about: Address | None) -> View:
        try:
            async with _answering(sentinel, self._tls):
                pipeline = self._clients[sentinel].pipeline(transaction=False)
                # First the vote: what is told after it may only be newer. Asked with epoch 0, it gives none itself.
                host, port = about or ("127.0.0.1", 0)
                pipeline.execute_command("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", host, port, 0, "?")
                pipeline.execute_command("SENTINEL", "MYID")
                pipeline.execute_command("SENTINEL", "MASTER", self._master)
                pipeline.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
                return _view(*await pipeline.execute())
        except NotAnswered as error:
            raise NotAnswered(self._plain(sentinel, str(error))) from None
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            where = f"{sentinel[0]}:{sentinel[1]}"
            raise NotAnswered(f"{where}: its answer is not one of a Sentinel: {error!r}") from None

    def _plain(self, sentinel: Address, text: str) -> str:
        where = f"{sentinel[0]}:{sentinel[1]}"
        if "unknown command" in text:
            return f"{where}: this is no Sentinel, but a Redis: name Sentinels in the URL, or write redis://"
        return f"{where} knows no master {self._master!r}" if "No such master" in text else text

    async def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            with suppress(RedisError, OSError):
                await client.aclose()


def _view(vote: Sequence[Any], id: str, state: Any, named: Sequence[str]) -> View:
    """Return a Sentinel's answers as one."""
    fields: dict[str, str] = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
    return View(
        sentinel=id,
        names=(named[0], int(named[1])),
        watches=(fields["ip"], int(fields["port"])),
        flags=frozenset(fields["flags"].split(",")),
        epoch=int(fields["config-epoch"]),
        voted=int(vote[2]),
        leader="" if vote[1] == "*" else vote[1],
        sentinels=int(fields["num-other-sentinels"]) + 1,
        quorum=int(fields["quorum"]),
        heard_ms=int(fields["last-ok-ping-reply"]),
        down_after_ms=int(fields["down-after-milliseconds"]),
        failover_timeout_ms=int(fields["failover-timeout"]),
    )


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
                async with _asking(server, self._greeting) as client:
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

    async def replicas(self) -> Sequence[Address]:
        """Return all servers, the masters among them.

        One that follows a master since a moment ago may be called a master without slots, and may be given some.
        """
        reasons = []
        for server in dict.fromkeys([*self._known, *self._seeds]):
            try:
                async with _asking(server, self._greeting) as client:
                    with _understood(server):
                        tls = self._greeting.tls is not None
                        return _servers(await client.cluster("SHARDS"), server[0], tls)
            except NotAnswered as error:
                reasons.append(str(error))
        raise NotFound("no server of the Cluster says it (allow CLUSTER SHARDS): " + "; ".join(reasons))

    async def confirm(self, address: Address) -> float:
        """Return that it is sure for ever: nobody is asked. A master that is back takes no writes for 2 s by itself."""
        return math.inf

    async def close(self) -> None:
        """Do nothing: no connection is kept."""


def _homes(ranges: Sequence[Any], asked: str) -> list[Address | None]:
    """Return each slot's master from the reply of CLUSTER SLOTS; an empty host is the one that was asked."""
    homes: list[Address | None] = [None] * SLOTS
    for first, last, (host, port, *_), *_ in ranges:
        homes[first : last + 1] = [(host or asked, port)] * (last + 1 - first)
    return homes


def _servers(shards: Sequence[Any], asked: str, tls: bool) -> list[Address]:
    """Return all servers in the reply of CLUSTER SHARDS; an empty endpoint is the one that was asked."""
    found = []
    for shard in shards:
        for each in dict(zip(shard[::2], shard[1::2], strict=True))["nodes"]:
            node = dict(zip(each[::2], each[1::2], strict=True))
            found.append((node["endpoint"] or asked, int(node["tls-port" if tls else "port"])))
    return sorted(found)
