"""Where a master dies all that was acknowledged goes on, each of it once; the Sentinels say which one it is."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.redis_servers import RedisSentinels, RedisServer, replicas_of, wait_until
from tests.ussd_server.stores.redis.steps import (
    ANNA,
    BORIS,
    LOOKS,
    PATIENT_S,
    count,
    count_surely,
    counted,
    elsewhere,
    impatient,
    is_master,
    parsed,
    refusal,
    through,
)
from ussd_server.stores.base import PerhapsDone, StoreUnavailable
from ussd_server.stores.redis import layout
from ussd_server.stores.redis.store import RedisStore

pytestmark = pytest.mark.usefixtures("_patient_with_replicas")


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


def test_what_was_acknowledged_is_there_after_a_failover(sentinels: RedisSentinels) -> None:
    async def disturb() -> None:
        sentinels.master.kill()
        await elsewhere(sentinels.watch, RedisSentinels.SOON_MS)
        await elsewhere(wait_until, lambda: any(map(is_master, sentinels.replicas)), "a new master")
        # The old one comes back, and is made to follow; nobody may take it for the master meanwhile.
        await elsewhere(sentinels.master.start)
        await elsewhere(wait_until, lambda: not is_master(sentinels.master), "the old master to follow")

    through(sentinels.url, disturb())


def test_a_master_that_stands_still_is_left_for_the_new_one(sentinels: RedisSentinels) -> None:
    async def disturb() -> None:
        sentinels.master.pause()
        await elsewhere(sentinels.watch, RedisSentinels.SOON_MS)
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
    """Have the Sentinels miss the master and choose the first replica, and let it leave that as if it obeyed."""
    servers.watch(RedisSentinels.SOON_MS)
    wait_until(lambda: stays_half_way(servers), "a replica to be chosen")
    order(servers.replicas[0], "127.0.0.1", "1")


async def is_refused_until_the_failover_ends(servers: RedisSentinels, connected: RedisStore) -> None:
    """See that nothing is acknowledged while the old master still has a replica; then all of it is there."""
    await elsewhere(wait_until, lambda: replicas_of(servers.master) == 1, "the other replica to follow")
    with impatient(connected, 2):
        await refusal(lambda: count(connected), "not surely the master: a failover is under way")
    await connected.close()
    store = RedisStore(parsed(servers.url, "replicas=1&buckets=16"), patience_s=PATIENT_S)
    counting = asyncio.ensure_future(count_surely(store, ANNA, 2))
    await elsewhere(order, servers.replicas[0], "NO", "ONE")
    await counting
    assert await counted(store) == 2
    await store.close()


def test_a_master_that_is_back_in_the_middle_of_its_failover_is_given_nothing(half_way: RedisSentinels) -> None:
    async def body() -> None:
        store = RedisStore(parsed(half_way.url, "replicas=1&buckets=16"), patience_s=PATIENT_S)
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
        store = RedisStore(parsed(half_way.url, "replicas=1&buckets=16"), patience_s=PATIENT_S)
        await count(store)
        half_way.master.pause()
        await elsewhere(go_half_way, half_way)
        half_way.master.go_on()  # with all its connections, to us and to a replica
        await is_refused_until_the_failover_ends(half_way, store)

    asyncio.run(body())


def test_nothing_is_acknowledged_without_a_majority_of_the_sentinels(sentinels: RedisSentinels) -> None:
    async def body() -> None:
        connected = RedisStore(parsed(sentinels.url, "replicas=1&buckets=16"), patience_s=PATIENT_S)
        await count_surely(connected, ANNA, 1)
        for each in sentinels.sentinels[1:]:
            each.kill()
        with impatient(connected, 2):  # for a second the last answer of the Sentinels serves
            said = "not surely the master: only 1 of 3 Sentinels answer"
            await refusal(lambda: count(connected, LOOKS * LOOKS), said)
        await connected.close()
        times = await stored(sentinels)
        store = RedisStore(parsed(sentinels.url, "replicas=1&buckets=16"), patience_s=PATIENT_S)
        counting = asyncio.ensure_future(count_surely(store, ANNA, times + 1))
        for each in sentinels.sentinels[1:]:
            await elsewhere(each.start)
        await counting
        assert await counted(store) == times + 1
        await store.close()

    asyncio.run(body())


async def stored(servers: RedisSentinels) -> int:
    """Return how far ANNA is counted at the master, asked as if nobody watched it."""
    store = RedisStore(parsed(servers.master.url, "buckets=16"), patience_s=PATIENT_S)
    times = await counted(store)
    await store.close()
    return times


def test_what_no_replica_has_is_not_acknowledged(
    whole_sentinels: RedisSentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "WAIT_MS", 1_000)

    def opened() -> RedisStore:
        return RedisStore(parsed(whole_sentinels.url, "replicas=2"), patience_s=PATIENT_S)

    async def body() -> None:
        store = opened()
        await count_surely(store, ANNA, 1)
        whole_sentinels.replicas[0].pause()
        # Also the other one may stand still for a second.
        with pytest.raises(PerhapsDone, match=r"written, but only [01] of 2 replicas have it after 1000 ms"):
            await count(store)
        assert (await store.load(BORIS))[1] == 0  # what only reads does not wait
        # Who answers without a commit does: what comes again must not be acknowledged on the strength of that write.
        other = opened()
        for store_asked in (store, other):
            with pytest.raises(StoreUnavailable, match=r"only [01] of 2 replicas") as caught:
                await store_asked.load(ANNA, latest=True)
            assert type(caught.value) is StoreUnavailable
        await other.close()
        whole_sentinels.replicas[0].go_on()
        await elsewhere(wait_until, lambda: not asyncio.run(tried()), "the replica to follow again")
        assert await counted(store) >= 2
        await store.close()

    async def tried() -> str:
        store = opened()
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
        await refusal(store.ping, r"no Sentinel says where the master is: .* knows no master 'other'")
        await store.close()

    asyncio.run(body())
