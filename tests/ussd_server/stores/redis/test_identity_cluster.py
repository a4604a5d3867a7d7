"""A master of a Cluster that comes back without its data is not taken for what it was, whichever it is."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import RedisCluster, RedisServer, wait_until
from tests.ussd_server.stores.redis.steps import LEASE, NUMBERS, PATIENT_S, T0, count, counted, elsewhere, parsed
from tests.ussd_server.stores.redis.test_cluster import move_everything, owns_meta
from tests.ussd_server.stores.redis.test_identity import HAS_IT_AGAIN, LOST
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.redis.store import RedisStore

AGAIN = "part of the store is not the one of the last start"


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    """Give three masters without replicas."""
    servers = RedisCluster(replicas=0)
    yield servers
    servers.stop()


def store_on(cluster: RedisCluster) -> RedisStore:
    return RedisStore(parsed(cluster.url, "buckets=64"), look_ms=0, patience_s=PATIENT_S)


def serves(server: RedisServer) -> bool:
    with server.client() as client:
        told = client.execute_command("CLUSTER INFO")
        return "ok" in (told["cluster_state"] if isinstance(told, dict) else told.decode())


def restart(cluster: RedisCluster, server: RedisServer, log: str) -> None:
    """Kill it, and start it on this log, which may not be there; as part of the Cluster that it was part of."""
    server.kill()
    server.options = (*server.options, "--appenddirname", log)
    server.start()
    wait_until(lambda: all(map(serves, cluster.masters)), "the Cluster to serve")


def empty(server: RedisServer) -> bool:
    with server.client() as client:
        return client.dbsize() == 0


def ids(cluster: RedisCluster) -> dict[bytes, bytes]:
    found = {}
    for server in cluster.masters:
        with server.client() as client:
            found.update({key: client.get(key) for key in client.scan_iter("ussd:{*}:id")})
    return found


def port_of(store: RedisStore, msisdn: str) -> int:
    return store.link.homes.address(store._home(msisdn).bucket.slot)[1]


def at(store: RedisStore, server: RedisServer) -> str:
    """Return a number that this server has."""
    return next(each for each in NUMBERS if port_of(store, each) == server.port)


def of_the_rest(cluster: RedisCluster) -> RedisServer:
    """Return a master that has not the key of the whole store."""
    return next(master for master in cluster.masters if not owns_meta(master))


async def begun(cluster: RedisCluster) -> RedisStore:
    store = store_on(cluster)
    await asyncio.gather(*(count(store, 2, msisdn) for msisdn in NUMBERS))
    return store


async def all_counted(store: RedisStore, times: int) -> None:
    assert [await counted(store, msisdn) for msisdn in NUMBERS] == [times] * len(NUMBERS)


async def refuses_alone(store: RedisStore, lost: RedisServer) -> None:
    """See that nothing is read or written at this server, and that the others go on."""
    there, other = at(store, lost), next(each for each in NUMBERS if port_of(store, each) != lost.port)
    for refused in (store.load(there, latest=True), count(store, 1, there), store.ping()):
        with pytest.raises(StoreUnavailable, match=LOST):
            await refused
    await count(store, 1, other)
    assert await counted(store, other) == 3


def test_a_master_that_comes_back_empty_is_not_used_until_its_data_is_back(cluster: RedisCluster) -> None:
    async def body() -> None:
        store, lost = await begun(cluster), of_the_rest(cluster)
        with capture_logs() as logs:
            await elsewhere(restart, cluster, lost, "other")
            await refuses_alone(store, lost)
            assert empty(lost)
            assert {each.msisdn for each in await store.claim(T0, 100, LEASE)} < set(NUMBERS)
            assert empty(lost)
            await elsewhere(restart, cluster, lost, "appendonlydir")
            await store.ping()
        assert await counted(store, at(store, lost)) == 2
        assert [line["event"] for line in logs if line["event"].startswith("the store")] == [
            "the store lost its data, or is another one",
            "the store is the one that it was",
        ]
        await store.close()

    asyncio.run(body())


def test_who_asks_for_what_was_lost_is_told_at_once_for_others_must_not_wait_behind(cluster: RedisCluster) -> None:
    async def body() -> None:
        store, lost = store_on(cluster), of_the_rest(cluster)
        await asyncio.gather(*(count(store, 2, msisdn) for msisdn in NUMBERS))
        await elsewhere(restart, cluster, lost, "other")
        async with asyncio.timeout(PATIENT_S):
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match=LOST):
                    await count(store, 1, at(store, lost))
        await store.close()

    asyncio.run(body())


def test_who_restarts_on_purpose_says_so_and_goes_on_and_the_others_do_not(cluster: RedisCluster) -> None:
    async def body() -> None:
        before, lost = await begun(cluster), of_the_rest(cluster)
        known = ids(cluster)
        assert len(known) == 64
        await elsewhere(restart, cluster, lost, "other")
        with capture_logs() as logs:
            restarted = store_on(cluster)
            await count(restarted, 1, at(before, lost))
        assert [(line["event"], line["servers"]) for line in logs] == [(AGAIN, [f"127.0.0.1:{lost.port}"])]
        assert await counted(restarted, at(before, lost)) == 1
        await refuses_alone(before, lost)
        after = ids(cluster)
        assert after.keys() == known.keys()
        assert 0 < sum(after[key] != known[key] for key in known) < 64
        with capture_logs() as logs:
            later = store_on(cluster)
            await later.ping()
        assert logs == []
        for store in (before, restarted, later):
            await store.close()

    asyncio.run(body())


def test_one_that_is_emptied_under_way_is_noticed_at_the_next_look(cluster: RedisCluster) -> None:
    async def body() -> None:
        store, lost = await begun(cluster), of_the_rest(cluster)
        with lost.client() as client:
            client.flushall()
        await store.next_due()
        await refuses_alone(store, lost)
        assert empty(lost)
        await store.close()

    asyncio.run(body())


def test_slots_that_a_master_gets_without_their_data_are_not_used_though_its_connections_stay(
    cluster: RedisCluster,
) -> None:
    """As by `redis-cli --cluster fix`, where their master is gone for good."""

    async def body() -> None:
        store, lost = await begun(cluster), of_the_rest(cluster)
        heir = next(each for each in cluster.masters if each is not lost)
        number = at(store, lost)
        slot = store._home(number).bucket.slot
        for server in cluster.masters:
            with server.client() as client:
                if server is lost:
                    client.flushall()
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", cluster.id_of(heir))
        with heir.client() as client:
            before = client.dbsize()
            with pytest.raises(StoreUnavailable, match=LOST):
                await count(store, 1, number)
            assert client.dbsize() == before
            assert client.execute_command("CLUSTER COUNTKEYSINSLOT", slot) == 0
        await store.close()

    asyncio.run(body())


def test_slots_that_move_with_their_data_are_no_loss_whoever_connects_when(cluster: RedisCluster) -> None:
    async def body() -> None:
        store = await begun(cluster)
        known = ids(cluster)
        moving = asyncio.ensure_future(elsewhere(move_everything, cluster))
        times = 2
        with capture_logs() as logs:
            while not moving.done():
                times += 1
                store.link.homes.look_anew()
                await asyncio.gather(*(count_in_time(store, msisdn, times) for msisdn in NUMBERS))
            await moving
            await all_counted(store, times)
            started = store_on(cluster)
            await all_counted(started, times)
        assert logs == []
        assert ids(cluster) == known
        for each in (store, started):
            await each.close()

    async def count_in_time(store: RedisStore, msisdn: str, times: int) -> None:
        while (await store.load(msisdn, latest=True))[0].activated_at < times:
            with suppress(StoreUnavailable):  # the slot takes its time
                await count(store, 1, msisdn)

    asyncio.run(body())


def test_a_bucket_that_comes_back_with_all_but_its_id_is_the_same_and_gets_it_again(cluster: RedisCluster) -> None:
    async def body() -> None:
        store = await begun(cluster)
        known = ids(cluster)
        number = NUMBERS[0]
        key = store._home(number).bucket.id
        server = next(each for each in cluster.masters if each.port == port_of(store, number))
        with server.client() as client:
            client.delete(key)
        store.link.homes.look_anew()
        with capture_logs() as logs:
            await count(store, 1, number)
        assert [line["event"] for line in logs] == [HAS_IT_AGAIN]
        assert ids(cluster) == known
        await store.close()

    asyncio.run(body())


def test_a_store_of_an_older_version_gets_ids_of_its_buckets_without_a_word(cluster: RedisCluster) -> None:
    async def body() -> None:
        old = await begun(cluster)
        await old.close()
        for server in cluster.masters:
            with server.client() as client:
                for key in client.scan_iter("ussd:{*}:id"):
                    client.delete(key)
                if owns_meta(server):
                    client.hdel("ussd:{ussd}:meta", "shares")
        with capture_logs() as logs:
            stores = [store_on(cluster) for _ in range(2)]
            await asyncio.gather(*(store.ping() for store in stores))
            looking = RedisStore(parsed(cluster.url, "buckets=64"), make=False, patience_s=PATIENT_S)
            await all_counted(looking, 2)
        assert logs == []
        assert len(ids(cluster)) == 64
        for store in (*stores, looking):
            await store.close()

    asyncio.run(body())
