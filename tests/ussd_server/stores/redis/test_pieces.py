"""What is read in pieces is read to its end, also where another server goes on than began, or the same started anew.

A cursor of Redis is a place in one server's own order: another one has another order, and so has each of its starts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import STEADY_MS, RedisCluster, RedisSentinels, RedisServer, running, wait_until
from tests.ussd_server.stores.redis.steps import ANNA, PATIENT_S, is_master, parsed
from ussd_server.stores.base import Change, StoreUnavailable
from ussd_server.stores.redis import answers, listing, pieces
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.redis.wire import Asked, Request
from ussd_server.subscribers.record import Subscriber

PIECE: Final = 50
"""What Redis looks at for a piece: each server has twenty of them or more, in each thing that is read."""

EVERYBODY: Final = [f"7910000{n:04}" for n in range(3_000)]
HERS: Final = [b"hers-%d" % n for n in range(3_000)]
FAILS_OVER_MS: Final = 500


@dataclass
class Servers:
    """Servers whose first master, at `port`, loses its place in `take_over`; each has so many replicas."""

    url: str
    port: int
    replicas: int
    take_over: Callable[[], None]

    @asynccontextmanager
    async def store(self, replicas: int) -> AsyncIterator[RedisStore]:
        store = RedisStore(parsed(self.url, f"buckets=16&replicas={replicas}"), look_ms=0, patience_s=PATIENT_S)
        try:
            yield store
        finally:
            await store.close()


@contextmanager
def one_that_is_started_again() -> Iterator[Servers]:
    with running() as server:

        def take_over() -> None:
            server.kill()
            server.start()

        yield Servers(server.url.removesuffix("/0"), server.port, 0, take_over)


@contextmanager
def sentinels() -> Iterator[Servers]:
    servers = RedisSentinels()
    servers.watch(STEADY_MS)

    def take_over() -> None:
        servers.master.kill()
        servers.watch(FAILS_OVER_MS)
        for each in servers.sentinels:  # one that has not heard of it would go by the old one
            wait_until(lambda each=each: named(each) != servers.master.port, "a new master")  # type: ignore[misc]
        servers.watch(STEADY_MS)

    def named(sentinel: RedisServer) -> int:
        with sentinel.client() as client:
            return int(client.sentinel_get_master_addr_by_name(servers.NAME)[1])

    try:
        yield Servers(servers.url, servers.master.port, 2, take_over)
    finally:
        servers.stop()


@contextmanager
def cluster() -> Iterator[Servers]:
    """Give a Cluster of which a master is made a replica: it goes on, and no connection to it breaks."""
    servers = RedisCluster()

    def take_over() -> None:
        replica = servers.servers[3]
        with replica.client() as client:
            client.execute_command("CLUSTER FAILOVER", "TAKEOVER")  # asks nobody, who may be slow: it has all there is
        wait_until(lambda: is_master(replica) and not is_master(servers.masters[0]), "the replica to take over")

    try:
        yield Servers(servers.url, servers.masters[0].port, 1, take_over)
    finally:
        servers.stop()


@pytest.fixture(params=[one_that_is_started_again, sentinels, cluster])
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    monkeypatch.setattr(listing, "SCANNED", PIECE)
    monkeypatch.setattr(answers, "READ", PIECE)
    with request.param() as given:
        yield given


async def surely(work: Callable[[], Awaitable[Any]]) -> None:
    """Do this until every replica has it."""
    while True:
        try:
            await work()
            return
        except StoreUnavailable:
            pass


async def prepared(servers: Servers) -> None:
    """Have everybody in no list, and pointers to who is none of them, at every master and all of its replicas."""
    async with servers.store(servers.replicas) as store:
        await prepare(store)


async def prepare(store: RedisStore) -> None:
    async def commit(msisdn: str) -> None:
        version = (await store.load(msisdn))[1]
        assert version or await store.commit(Change(0, Subscriber(msisdn)))

    await asyncio.gather(*(surely(lambda msisdn=each: commit(msisdn)) for each in EVERYBODY))  # type: ignore[misc]
    for bucket in store._layout.buckets:
        names = [name for name in HERS if store._layout.bucket(name) is bucket]
        pairs = [each for name in names for each in (name, ANNA)]
        pairs += [each for n in range(1_000) for each in (b"others-%d" % n, "79990000000")]
        for command in ((b"DEL", bucket.all), (b"HSET", bucket.pointers, *pairs)):
            await surely(lambda command=command: store.link.ask(bucket.slot, command, writes=True).answer)  # type: ignore[misc]  # noqa: B023


def at_piece(number: int, store: RedisStore, servers: Servers, patch: pytest.MonkeyPatch) -> list[int]:
    """Let another server take over right before so many pieces were asked for, and return what counts them."""
    asked: list[int] = []
    submit = store.link._submit

    def counted(slot: int, packed: bytes, *more: Any) -> Any:
        script = more[0]
        reads = script.name == "pointers_to" if script else b"SCAN" in packed
        if reads and store.link.homes.address(slot)[1] == servers.port:
            asked.append(slot)
            if len(asked) == number:
                servers.take_over()
        return submit(slot, packed, *more)

    patch.setattr(store.link, "_submit", counted)
    return asked


def test_who_is_in_no_list_is_listed_again_also_where_another_server_takes_over_meanwhile(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        await prepared(servers)
        async with servers.store(replicas=0) as store:
            assert await store.subscribers("", 10_000) == []
            asked = at_piece(10, store, servers, monkeypatch)
            await store.relist()
            assert len(asked) >= 10
            assert set(EVERYBODY).difference(await store.subscribers("", 10_000)) == set()

    asyncio.run(body())


def test_who_is_forgotten_has_no_pointer_also_where_another_server_takes_over_meanwhile(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        await prepared(servers)
        async with servers.store(replicas=0) as store:
            await store.ping()
            asked = at_piece(80, store, servers, monkeypatch)  # several buckets are read at once
            await store.forget(ANNA)
            assert len(asked) >= 80
            pointers = await store._layout.of_each_bucket(lambda bucket: (b"HVALS", bucket.pointers))
            assert [len(each) for each in pointers] == [1_000] * 16

    asyncio.run(body())


async def read(losses: int) -> list[int]:
    """Read two pieces, and lose the connection so often between them; return what came."""
    wires = iter(range(2 * losses))

    def ask(cursor: bytes) -> Asked:
        request = Request(asyncio.get_running_loop().create_future(), b"")
        request.wire = next(wires, None)  # type: ignore[assignment]
        request.answer.set_result((b"7", 1) if cursor == pieces.BEGIN else (pieces.BEGIN, 2))
        return request

    return [piece async for piece in pieces.pieces(ask, "the store")]


def test_each_new_beginning_is_said() -> None:
    for losses in (0, 1, pieces.MOST_LOST - 1):
        with capture_logs() as logs:
            assert asyncio.run(read(losses)) == [1] * losses + [1, 2]
        assert [line["times"] for line in logs] == list(range(1, losses + 1))


def test_connections_that_live_shorter_than_all_takes_to_be_read_are_told_of() -> None:
    with pytest.raises(StoreUnavailable, match=r"^the store: .* broke 10 times before all was read"):
        asyncio.run(read(pieces.MOST_LOST))
