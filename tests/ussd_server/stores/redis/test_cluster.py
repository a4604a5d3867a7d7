"""On a Cluster masters die and slots move, and all that was acknowledged goes on, each of it once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import RedisCluster, RedisServer, running, wait_until
from tests.ussd_server.stores.redis.steps import (
    ANNA,
    LEASE,
    LOOKS,
    NUMBERS,
    PATIENT_S,
    T0,
    claim_surely,
    count,
    elsewhere,
    impatient,
    is_master,
    parsed,
    refusal,
    through,
)
from tests.ussd_server.stores.redis.test_set_aside import set_aside
from tests.ussd_server.stores.redis.test_together import NUMBERS as TOGETHER
from tests.ussd_server.stores.redis.test_together import begun, each_to
from ussd_server.stores.base import EVERY_LANE, LANES, MESSAGES, Change, Claimed, OutboxEntry, Unsettled
from ussd_server.stores.opening import open_store
from ussd_server.stores.redis.buckets import slot_of
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.store import RedisStore

FAILS_OVER_MS = 2_000


@pytest.fixture(scope="module")
def whole_cluster() -> Iterator[RedisCluster]:
    """Give a Cluster that no test changes."""
    servers = RedisCluster()
    yield servers
    servers.stop()


def test_a_cluster_goes_on_where_a_master_dies(cluster: RedisCluster) -> None:
    cluster.watch(FAILS_OVER_MS)

    async def disturb() -> None:
        cluster.masters[0].kill()
        await elsewhere(wait_until, lambda: is_master(cluster.servers[3]), "the replica to take over")

    through(cluster.url.replace(f"127.0.0.1:{cluster.masters[0].port},", ""), disturb(), "buckets=16&replicas=0")


def test_while_a_master_is_away_what_is_done_on_the_others_is_removed() -> None:
    cluster = RedisCluster(replicas=0)
    cluster.watch(FAILS_OVER_MS)
    try:
        for master in cluster.masters:
            with master.client() as client:
                client.config_set("cluster-require-full-coverage", "no")

        async def body() -> None:
            url = cluster.url.replace(f"127.0.0.1:{cluster.masters[0].port},", "")
            store = RedisStore(parsed(url, "buckets=16&replicas=0"), look_ms=0, patience_s=PATIENT_S)
            await asyncio.gather(*(count(store, 1, msisdn) for msisdn in NUMBERS))
            claimed = await claim_surely(store, len(NUMBERS))
            lost = [each for each in claimed if port_of(store, each.msisdn) == cluster.masters[0].port]
            assert 0 < len(lost) < len(claimed)
            cluster.masters[0].kill()
            with impatient(store, 3), pytest.raises(Unsettled) as caught:
                await store.settle(claimed)
            left = [each for each, _ in caught.value.left]  # also of what only takes long
            assert [each for each in left if each in lost] == lost
            await store.settle([each for each in claimed if each not in lost])
            await elsewhere(cluster.masters[0].start)
            await store.settle(lost)
            assert await store.claim(T0 + LEASE, 100, LEASE) == []
            await store.close()

        asyncio.run(body())
    finally:
        cluster.stop()


def port_of(store: RedisStore, msisdn: str) -> int:
    return store.link.homes.address(store._home(msisdn).bucket.slot)[1]


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
        store = RedisStore(url, look_ms=0, patience_s=PATIENT_S)
        await asyncio.gather(*(count(store, 1, msisdn) for msisdn in NUMBERS))
        home = store._home(NUMBERS[0]).bucket
        behind = {msisdn for msisdn in NUMBERS if store._home(msisdn).bucket is home}
        claimed: list[Claimed] = []
        parts: list[asyncio.Future[list[Claimed]]] = []

        def late(most: int, part: "asyncio.Future[list[Claimed]]") -> None:
            assert 0 < most <= len(NUMBERS)
            parts.append(part)
            part.add_done_callback(lambda part: claimed.extend(part.result()))

        async def claim(msisdns: set[str]) -> None:
            async with asyncio.timeout(PATIENT_S):
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


async def held(store: RedisStore) -> Claimed:
    """Let there be something in all lists of who is next in a bucket, and return the one message that is held."""
    await count(store, 2, ANNA)
    record, version = await store.load(ANNA)
    kinds = {lane: kind for kind, lane in LANES.items() if lane != MESSAGES}
    others = [OutboxEntry(f"of lane {lane}", kind, T0, {}) for lane, kind in kinds.items()]
    assert await store.commit(Change(version, record, outbox=others))
    (claimed,) = await store.claim(T0, 10, LEASE, [MESSAGES])
    return claimed


def test_who_is_next_is_told_also_while_a_slot_moves_that_has_all_lists(whole_cluster: RedisCluster) -> None:
    async def body() -> None:
        store = RedisStore(parsed(whole_cluster.url, "buckets=16&prefix=lists"), look_ms=0, patience_s=PATIENT_S)
        await held(store)
        bucket = store._home(ANNA).bucket
        with being_moved(whole_cluster, bucket.slot):
            heads, broken, aside = await store._ask_who_is_next(bucket)
        held_until = [[ANNA.encode(), b"%d" % (T0 + LEASE)]]
        assert heads == held_until + [[ANNA.encode(), b"%d" % T0]] * (len(EVERY_LANE) - 1)
        assert (broken, aside) == (0, None)
        await store.close()

    asyncio.run(body())


@pytest.mark.parametrize("which", ["messages", "work"])
def test_what_is_no_list_is_set_aside_when_its_slot_has_moved_and_breaks_off_nothing(
    whole_cluster: RedisCluster, which: str
) -> None:
    async def body() -> None:
        url = parsed(whole_cluster.url, f"buckets=16&prefix=aside-{which}")
        store = RedisStore(url, look_ms=0, patience_s=PATIENT_S)
        claimed = await held(store)
        bucket = store._home(ANNA).bucket
        key = (bucket.due[0] if which == "messages" else bucket.work).decode()
        (master,) = (each for each in whole_cluster.masters if keys_in(each, bucket.slot))
        with being_moved(whole_cluster, bucket.slot):
            with master.client() as client:
                client.set(key, "another program's")
                octets = client.dump(key)
            await store.renew([claimed], T0 + 2 * LEASE)
            await store.settle([claimed])
            _, broken, aside = await store._mended(bucket.number)
            assert (broken, aside) == (which == "messages", None)
            assert set_aside(master, key) == []
        done: list[str] = []
        async with asyncio.timeout(PATIENT_S):
            while len(done) < len(EVERY_LANE):
                again = await store.claim(T0, 100, LEASE)
                done += [each.entry.id for each in again]
                await store.settle(again)
        assert sorted(done) == ["e2", *(f"of lane {lane}" for lane in EVERY_LANE if lane != MESSAGES)]
        assert set_aside(master, key) == [octets]
        await store.close()

    asyncio.run(body())


def test_a_list_that_is_long_in_being_made_anew_keeps_no_other_work_and_what_is_in_it_comes_then(
    whole_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while its slot is being moved."""

    async def body() -> None:
        url = parsed(whole_cluster.url, "buckets=16&prefix=mends")
        store = RedisStore(url, look_ms=0, patience_s=PATIENT_S)
        await asyncio.gather(*(count(store, 1, msisdn) for msisdn in NUMBERS))
        home = store._home(NUMBERS[0]).bucket
        behind = {msisdn for msisdn in NUMBERS if store._home(msisdn).bucket is home}
        (master,) = (each for each in whole_cluster.masters if keys_in(each, home.slot))
        with master.client() as client:
            client.set(home.due[MESSAGES].decode(), "another program's")
        mend, goes_on = store._layout.mend, asyncio.Event()

        async def slow(bucket: Bucket, *lists: bytes) -> None:
            await goes_on.wait()
            await mend(bucket, *lists)

        async def claim(msisdns: set[str]) -> None:
            claimed: list[str] = []
            async with asyncio.timeout(PATIENT_S):
                while len(claimed) < len(msisdns):
                    claimed += [each.msisdn for each in await store.claim(T0, 100, LEASE)]
            assert sorted(claimed) == sorted(msisdns)

        monkeypatch.setattr(store._layout, "mend", slow)
        await claim(set(NUMBERS) - behind)
        assert await store.claim(T0, 100, LEASE) == []
        goes_on.set()
        await claim(behind)
        await store.close()

    asyncio.run(body())


def test_a_server_starts_also_while_a_slot_is_being_moved(whole_cluster: RedisCluster) -> None:
    async def body() -> None:
        url = parsed(whole_cluster.url, "buckets=16&prefix=starts")
        store = RedisStore(url, patience_s=PATIENT_S)
        await store.ping()
        with being_moved(whole_cluster, store._layout.buckets[3].slot):
            started = RedisStore(url, patience_s=PATIENT_S)
            await started.ping()
            assert started.link.identity.shares == store.link.identity.shares
        for each in (store, started):
            await each.close()

    asyncio.run(body())


async def in_no_list(store: RedisStore) -> None:
    """Let there be everybody, each in no list."""
    await asyncio.gather(*(count(store, 1, msisdn) for msisdn in NUMBERS))
    await store._layout.of_each_bucket(lambda bucket: (b"DEL", bucket.all))
    assert await store.subscribers("", 100) == []


def test_who_is_in_no_list_is_listed_again_also_where_slots_move_to_a_server_that_was_looked_through(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        store = RedisStore(parsed(cluster.url, "buckets=16"), patience_s=PATIENT_S)
        await in_no_list(store)
        ask, scanned = store.link.ask, list[int]()

        def moved_before(slot: int, command: tuple[bytes | str | int, ...], writes: bool = False) -> Any:
            if command[0] == b"SCAN":
                scanned.append(store.link.homes.address(slot)[1])
                if len(scanned) == 2:
                    move(cluster, cluster.masters[2], cluster.masters[0])
            return ask(slot, command, writes)

        monkeypatch.setattr(store.link, "ask", moved_before)
        assert await store.relist() == len(NUMBERS)
        assert scanned[:2] == [each.port for each in cluster.masters[:2]]
        assert sorted(await store.subscribers("", 100)) == NUMBERS
        await store.close()

    asyncio.run(body())


def move(cluster: RedisCluster, source: RedisServer, target: RedisServer) -> None:
    """Give all slots of a master that hold something to another one."""
    ids = cluster.id_of(source), cluster.id_of(target)
    with source.client() as here, target.client() as there:
        for slot in sorted({slot_of(key) for key in here.scan_iter()}):
            there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
            here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
            while keys := here.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                here.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            for client in (there, here):
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])


def test_nobody_is_said_to_be_in_his_list_while_a_slot_is_on_its_way(whole_cluster: RedisCluster) -> None:
    """Records of it may have been nowhere where it was looked."""

    async def body() -> None:
        store = RedisStore(parsed(whole_cluster.url, "buckets=16&prefix=listed"), patience_s=PATIENT_S)
        await in_no_list(store)
        assert await store.relist() == len(NUMBERS)
        with being_moved(whole_cluster, store._home(NUMBERS[0]).bucket.slot), impatient(store):
            refused = await refusal(store.relist, "being moved")
            slot = store._home(NUMBERS[0]).bucket.slot
            assert f"({slot}): end the move, then give it again" in str(refused)
        assert await store.relist() == 0
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
        try:
            yield
        finally:  # else each test behind one that failed would wait for this slot
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
        store = RedisStore(parsed(whole_cluster.url, "buckets=4&prefix=together"), patience_s=PATIENT_S)
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
        store = RedisStore(parsed(url), patience_s=0.5)
        await refusal(store.ping, words)
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
        assert len(store.link.homes.one_of_each([bucket.slot for bucket in store._layout.buckets])) == 3
        for master in whole_cluster.masters:
            with master.client() as client:
                assert [key for key in client.scan_iter() if key.endswith(b":ping")]
        await store.close()

    asyncio.run(body())
