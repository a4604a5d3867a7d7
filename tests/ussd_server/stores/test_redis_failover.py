"""Where a master dies or slots move, the others go on with all that was acknowledged, each of it once."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.redis_servers import RedisCluster, RedisSentinels, RedisServer, replicas_of, running, wait_until
from tests.ussd_server.stores.redis_steps import ANNA, BORIS, LEASE, T0, count, counted, parsed
from tests.ussd_server.stores.test_redis_together import NUMBERS as TOGETHER
from tests.ussd_server.stores.test_redis_together import begun, each_to
from ussd_server.stores.base import MESSAGES, Change, Claimed, JournalEntry, OutboxEntry, StoreUnavailable
from ussd_server.stores.opening import open_store
from ussd_server.stores.redis import RedisStore

LOOKS = 1_000
"""How often a test looks whether something was met, each time a question to Redis, before it goes on without."""

NUMBERS = [f"7910000{n:04}" for n in range(1000, 1030)]


@pytest.fixture
def sentinels() -> Iterator[RedisSentinels]:
    servers = RedisSentinels()
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def whole_sentinels() -> Iterator[RedisSentinels]:
    """Give servers of which no test changes the master."""
    servers = RedisSentinels()
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def whole_cluster() -> Iterator[RedisCluster]:
    """Give a Cluster that no test changes."""
    servers = RedisCluster()
    yield servers
    servers.stop()


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    servers = RedisCluster()
    yield servers
    servers.stop()


async def elsewhere(work: Any, *arguments: Any) -> Any:
    """Do what waits for servers while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def count_surely(store: RedisStore, msisdn: str, goal: int) -> None:
    """Count up to this number as a gateway has it done: an input is brought again until it was acknowledged.

    A refused commit may have been written; whoever tries again sees that in the record.
    """
    while True:
        try:
            record, version = await store.load(msisdn, latest=True)
            number = record.activated_at + 1
            if number > goal:
                return
            after = msgspec.structs.replace(record, activated_at=number)
            entry = OutboxEntry(f"e{number}", "sms", T0, {})
            await store.commit(Change(version, after, [JournalEntry(number, "counted", {})], [entry]))
        except StoreUnavailable:
            pass


def through(url: str, disturb: Coroutine[Any, Any, None], options: str = "replicas=1&buckets=16") -> None:
    """Count in thirty records while something happens, and see that each count is there once."""

    async def body() -> None:
        store = RedisStore(parsed(url, options), look_ms=0, patience_s=30)
        await asyncio.gather(*(count_surely(store, msisdn, 1) for msisdn in NUMBERS))
        disturbing = asyncio.ensure_future(disturb)
        times = 1
        while not disturbing.done():
            times += 1
            await asyncio.gather(*(count_surely(store, msisdn, times) for msisdn in NUMBERS))
        await disturbing
        times += 1
        await asyncio.gather(*(count_surely(store, msisdn, times) for msisdn in NUMBERS))
        assert [await counted(store, msisdn) for msisdn in NUMBERS] == [times] * len(NUMBERS)
        assert len(await store.claim(T0, 1000, 1000)) == len(NUMBERS)
        await store.close()

    asyncio.run(body())


# Sentinel ---------------------------------------------------------------------------------------------------------


def is_master(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.info("replication")["role"] == "master")


def test_what_was_acknowledged_is_there_after_a_failover(sentinels: RedisSentinels) -> None:
    async def disturb() -> None:
        sentinels.master.kill()
        await elsewhere(wait_until, lambda: any(map(is_master, sentinels.replicas)), "a new master")
        # The old one comes back, and is made to follow; nobody may take it for the master meanwhile.
        await elsewhere(sentinels.master.start)
        await elsewhere(wait_until, lambda: not is_master(sentinels.master), "the old master to follow")

    through(sentinels.url, disturb())


def test_a_master_that_stands_still_is_left_for_the_new_one(sentinels: RedisSentinels) -> None:
    async def disturb() -> None:
        sentinels.master.pause()
        await elsewhere(wait_until, lambda: any(map(is_master, sentinels.replicas)), "a new master")
        sentinels.master.go_on()

    through(sentinels.url, disturb())


# A failover half-way: a replica was chosen and has left the master, the other one still follows it ----------------


@pytest.fixture
def half_way() -> Iterator[RedisSentinels]:
    """Give servers whose failover stops half-way: the replica that is chosen does not understand the order."""
    servers = RedisSentinels("--replica-priority", "1", "--rename-command", "SLAVEOF", "")
    yield servers
    servers.stop()


def order(server: RedisServer, *whom: str) -> None:
    """Order a replica to follow another master, or none. The Sentinels say SLAVEOF, which is the same."""
    with server.client() as client:
        client.execute_command("REPLICAOF", *whom)


def stays_half_way(servers: RedisSentinels) -> bool:
    """Whether a replica is chosen; then its Sentinel waits for it as long as we like."""
    if "wait_promotion" not in servers.states():
        return False
    servers.give_time(600_000)
    if "wait_promotion" in servers.states():
        return True
    servers.give_time(RedisSentinels.FAILOVER_MS)  # that one was given up just now: the next one
    return False


def go_half_way(servers: RedisSentinels) -> None:
    """Wait until the Sentinels have chosen the first replica, and let it leave the master as if it obeyed."""
    wait_until(lambda: stays_half_way(servers), "a replica to be chosen")
    order(servers.replicas[0], "127.0.0.1", "1")


async def is_refused_until_the_failover_ends(servers: RedisSentinels, impatient: RedisStore) -> None:
    """See that nothing is acknowledged while the old master still has a replica; then all of it is there."""
    await elsewhere(wait_until, lambda: replicas_of(servers.master) == 1, "the other replica to follow")
    with pytest.raises(StoreUnavailable, match="not surely the master: a failover is under way"):
        await count(impatient)
    await impatient.close()
    store = RedisStore(parsed(servers.url, "replicas=1&buckets=16"), patience_s=60)
    counting = asyncio.ensure_future(count_surely(store, ANNA, 2))
    await elsewhere(order, servers.replicas[0], "NO", "ONE")
    await counting
    assert await counted(store) == 2
    await store.close()


def test_a_master_that_is_back_in_the_middle_of_its_failover_is_given_nothing(half_way: RedisSentinels) -> None:
    async def body() -> None:
        store = RedisStore(parsed(half_way.url, "replicas=1&buckets=16"), patience_s=2)
        await count(store)
        half_way.master.kill()
        await elsewhere(go_half_way, half_way)
        await elsewhere(half_way.master.start)
        await is_refused_until_the_failover_ends(half_way, store)

    asyncio.run(body())


def test_what_a_master_takes_that_stood_still_until_the_middle_of_its_failover_is_not_acknowledged(
    half_way: RedisSentinels,
) -> None:
    async def body() -> None:
        store = RedisStore(parsed(half_way.url, "replicas=1&buckets=16"), patience_s=2)
        await count(store)
        half_way.master.pause()
        await elsewhere(go_half_way, half_way)
        half_way.master.go_on()  # with all its connections, to us and to a replica
        await is_refused_until_the_failover_ends(half_way, store)

    asyncio.run(body())


def test_nothing_is_acknowledged_without_a_majority_of_the_sentinels(sentinels: RedisSentinels) -> None:
    async def body() -> None:
        impatient = RedisStore(parsed(sentinels.url, "replicas=1&buckets=16"), patience_s=2)
        await count_surely(impatient, ANNA, 1)
        for each in sentinels.sentinels[1:]:
            each.kill()
        with pytest.raises(StoreUnavailable, match="not surely the master: only 1 of 3 Sentinels answer"):
            await count(impatient, LOOKS * LOOKS)  # for a second the last answer of the Sentinels serves
        await impatient.close()
        times = await stored(sentinels)
        store = RedisStore(parsed(sentinels.url, "replicas=1&buckets=16"), patience_s=60)
        counting = asyncio.ensure_future(count_surely(store, ANNA, times + 1))
        for each in sentinels.sentinels[1:]:
            await elsewhere(each.start)
        await counting
        assert await counted(store) == times + 1
        await store.close()

    asyncio.run(body())


async def stored(servers: RedisSentinels) -> int:
    """Return how far ANNA is counted at the master, asked as if nobody watched it."""
    store = RedisStore(parsed(servers.master.url, "buckets=16"))
    times = await counted(store)
    await store.close()
    return times


def test_what_no_replica_has_is_not_acknowledged(whole_sentinels: RedisSentinels) -> None:
    async def body() -> None:
        store = RedisStore(parsed(whole_sentinels.url, "replicas=2"))
        await count(store)
        whole_sentinels.replicas[0].pause()
        with pytest.raises(StoreUnavailable, match="written, but only 1 of 2 replicas have it after 1000 ms"):
            await count(store)
        assert (await store.load(BORIS))[1] == 0  # what only reads does not wait
        # Who answers without a commit does: what comes again must not be acknowledged on the strength of that write.
        other = RedisStore(parsed(whole_sentinels.url, "replicas=2"))
        for store_asked in (store, other):
            with pytest.raises(StoreUnavailable, match="only 1 of 2 replicas"):
                await store_asked.load(ANNA, latest=True)
        await other.close()
        whole_sentinels.replicas[0].go_on()
        await elsewhere(wait_until, lambda: not asyncio.run(tried()), "the replica to follow again")
        assert await counted(store) >= 2
        await store.close()

    async def tried() -> str:
        store = RedisStore(parsed(whole_sentinels.url, "replicas=2"))
        try:
            await count(store, 1, BORIS)
        except StoreUnavailable as error:
            return str(error)
        finally:
            await store.close()
        return ""

    asyncio.run(body())


def test_sentinels_that_do_not_know_the_master_say_so(whole_sentinels: RedisSentinels) -> None:
    async def body() -> None:
        url = whole_sentinels.url.replace("/main", "/other")
        store = RedisStore(parsed(url), patience_s=0.5)
        with pytest.raises(StoreUnavailable, match=r"no Sentinel says where the master is: .* knows no master 'other'"):
            await store.ping()
        await store.close()

    asyncio.run(body())


# Cluster ----------------------------------------------------------------------------------------------------------


def test_a_cluster_goes_on_where_a_master_dies(cluster: RedisCluster) -> None:
    async def disturb() -> None:
        cluster.masters[0].kill()
        await elsewhere(wait_until, lambda: is_master(cluster.servers[3]), "the replica to take over")

    through(cluster.url.replace(f"127.0.0.1:{cluster.masters[0].port},", ""), disturb(), "buckets=16&replicas=0")


def test_slots_move_under_way(cluster: RedisCluster) -> None:
    async def disturb() -> None:
        await elsewhere(move_everything, cluster)

    through(cluster.url, disturb(), "buckets=16&replicas=1")
    with cluster.masters[0].client() as client:
        assert client.dbsize() == 0
        told = client.info("errorstats")
    assert {"errorstat_MOVED", "errorstat_ASK", "errorstat_TRYAGAIN"} <= set(told), "it was not asked while slots moved"


def move_everything(cluster: RedisCluster) -> None:
    """Give all slots of the first master that hold something to the second, key by key, as a resharding does."""
    source, target = cluster.masters[:2]
    here, there = source.client(), target.client()
    ids = cluster.id_of(source), cluster.id_of(target)
    for slot in range(16384 // 3):
        if not here.execute_command("CLUSTER COUNTKEYSINSLOT", slot):
            continue
        there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
        here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
        while keys := here.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
            here.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            linger(here, "TRYAGAIN")
        linger(here, "ASK")
        for client in (there, here):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
    here.close()
    there.close()


@pytest.mark.parametrize("in_time", [True, False])
def test_what_waits_for_a_slot_that_moves_keeps_no_other_work_and_comes_when_it_has_moved(
    whole_cluster: RedisCluster, in_time: bool
) -> None:
    """Also where its time was over first: that is said, and it is asked for again."""

    async def body() -> None:
        url = parsed(whole_cluster.url, f"buckets=16&prefix=slow-{in_time}")
        store = RedisStore(url, look_ms=0, patience_s=60)
        await asyncio.gather(*(count(store, 1, msisdn) for msisdn in NUMBERS))
        home = store._home(NUMBERS[0]).bucket
        behind = {msisdn for msisdn in NUMBERS if store._home(msisdn).bucket is home}
        claimed: list[Claimed] = []
        parts: list[asyncio.Future[list[Claimed]]] = []

        def late(most: int, part: "asyncio.Future[list[Claimed]]") -> None:
            assert 0 < most <= len(behind)
            parts.append(part)
            part.add_done_callback(lambda part: claimed.extend(part.result()))

        async def claim(msisdns: set[str]) -> None:
            async with asyncio.timeout(20):
                while len(claimed) < len(msisdns):
                    claimed.extend(await store.claim(T0, 100, LEASE, late=late))
            assert {each.msisdn for each in claimed} == msisdns

        with capture_logs() as logs, being_moved(whole_cluster, home.slot):
            await claim(set(NUMBERS) - behind)
            store._claims.due.heard(MESSAGES, home.number, T0, NUMBERS[0])  # it asks nobody to claim there now
            due = await store.next_due([MESSAGES])
            assert due is None or due > T0
            while not (in_time or logs):
                for request in store.link._later:
                    request.until = 0
                assert await store.claim(T0, 100, LEASE, late=late) == []
        await claim(set(NUMBERS))
        assert parts
        assert not store._claiming
        assert {each.attempt for each in claimed} == {1}
        part = "part of the store unavailable, the outbox goes on with the rest"
        assert {line["event"] for line in logs} == (set() if in_time else {part})
        await store.close()

    asyncio.run(body())


@contextmanager
def being_moved(cluster: RedisCluster, slot: int) -> Iterator[None]:
    """Let a slot be one that another server is to have, of which nothing was moved; then let it stay where it was."""
    held = [master for master in cluster.masters if keys_in(master, slot)]
    assert len(held) == 1
    source, target = held[0], next(master for master in cluster.masters if master is not held[0])
    with source.client() as here, target.client() as there:
        there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", cluster.id_of(source))
        here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", cluster.id_of(target))
        yield
        for client in (here, there):
            client.execute_command("CLUSTER SETSLOT", slot, "STABLE")


def keys_in(server: RedisServer, slot: int) -> int:
    with server.client() as client:
        return int(client.execute_command("CLUSTER COUNTKEYSINSLOT", slot))


def linger(client: Any, code: str) -> None:
    """Leave a slot half moved until somebody has asked for it; not for ever, for nobody may ask for this one."""
    for _ in range(LOOKS):
        if f"errorstat_{code}" in client.info("errorstats"):
            return


def test_on_a_cluster_each_goes_alone(whole_cluster: RedisCluster) -> None:
    async def body() -> None:
        store = RedisStore(parsed(whole_cluster.url, "buckets=4&prefix=together"))
        versions = await begun(store)
        for master in whole_cluster.masters:
            with master.client() as client:
                client.config_resetstat()
        versions[5] = 42
        assert await each_to(store, versions, "ru") == [at != 5 for at in range(len(TOGETHER))]
        called = 0
        for master in whole_cluster.masters:
            with master.client() as client:
                called += client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        assert called == len(TOGETHER)
        await store.close()

    asyncio.run(body())


def test_the_wrong_kind_of_url_is_named_with_the_right_one(whole_cluster: RedisCluster) -> None:
    async def refused(url: str, words: str) -> None:
        store = RedisStore(parsed(url), patience_s=1)
        with pytest.raises(StoreUnavailable, match=words):
            await store.ping()
        await store.close()

    with running() as alone:

        async def body() -> None:
            other = next(master for master in whole_cluster.masters if not owns_meta(master))
            await refused(other.url, "part of a Cluster: write redis\\+cluster://")
            await refused(alone.url.replace("redis://", "redis+cluster://").removesuffix("/0"), "is no Cluster: write")

        asyncio.run(body())


def owns_meta(server: RedisServer) -> bool:
    from redis.exceptions import MovedError

    with server.client() as client:
        try:
            client.exists("ussd:{ussd}:meta")
        except MovedError:
            return False
    return True


def test_every_master_is_pinged(whole_cluster: RedisCluster) -> None:
    async def body() -> None:
        store = await open_store(parsed(whole_cluster.url, "buckets=16"))
        assert isinstance(store, RedisStore)
        assert len(store.link.one_of_each([bucket.slot for bucket in store._layout.buckets])) == 3
        for master in whole_cluster.masters:
            with master.client() as client:
                assert [key for key in client.scan_iter() if key.endswith(b":ping")]
        await store.close()

    asyncio.run(body())
