"""Who has a record is listed again, and a list that is another program's is set aside."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import RedisCluster, RedisServer, client_at
from tests.ussd_server.stores.redis.steps import ANNA, LEASE, NUMBERS, PATIENT_S, T0, on, parsed
from tests.ussd_server.stores.redis.test_damaged_keys import OTHER_TYPES, replaced
from tests.ussd_server.stores.redis.test_set_aside import ASIDE, set_aside
from ussd_server.stores.base import Change, OutboxEntry, StoreUnavailable
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.link import NoList
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.redis.wire import Address, Asked
from ussd_server.subscribers.record import Subscriber

EVERYBODY = [f"7910000{n:04}" for n in range(1_000)]
SMS = OutboxEntry("s1", "sms", T0, {})


async def commit_all(store: RedisStore) -> None:
    assert all(await asyncio.gather(*(store.commit(Change(0, Subscriber(each), outbox=[SMS])) for each in EVERYBODY)))


def test_who_has_a_record_is_listed_again_where_the_list_was_lost(server: RedisServer) -> None:
    """By eviction, or another program; a walk that misses somebody would copy less, and free keys that are needed."""

    async def test(store: RedisStore) -> None:
        everybody = [f"7910000{n:04}" for n in range(1_000)]
        await asyncio.gather(*(store.commit(Change(0, Subscriber(each))) for each in everybody))
        buckets = [store._layout.bucket(each.encode()) for each in everybody]
        with server.client() as client:
            client.set(keys.every_bucket("other", 1)[0].record(ANNA.encode()).decode(), b"another store's")
            client.set(store._layout.bucket(b"no number").record(b"no number").decode(), b"another program's")
            client.delete(buckets[0].all.decode(), buckets[1].all.decode())
        missing = set(everybody).difference(await store.subscribers("", 2_000))
        assert everybody[0] in missing
        assert await store.relist() == len(missing)
        assert sorted(await store.subscribers("", 2_000)) == everybody
        with server.client() as client:
            client.config_set("maxmemory", "1")
            try:
                assert await store.relist() == 0  # a full Redis is looked through as well
            finally:
                client.config_set("maxmemory", "0")

    on(server, test)


def test_a_list_that_is_another_programs_is_set_aside_when_all_are_known_who_have_to_be_in_it(
    server: RedisServer,
) -> None:
    async def test(store: RedisStore) -> None:
        await commit_all(store)
        bucket = store._home(EVERYBODY[0]).bucket
        inside = [each for each in EVERYBODY if store._home(each).bucket is bucket]
        octets = replaced(server, bucket.all.decode(), OTHER_TYPES[0])
        assert await store.relist() == len(inside)
        assert sorted(await store.subscribers("", 2_000)) == EVERYBODY
        assert set_aside(server, bucket.all.decode()) == [octets]
        assert await store.relist() == 0
        assert await store.forget(inside[0])
        assert sorted(await store.subscribers("", 2_000)) == sorted({*EVERYBODY} - {inside[0]})

    on(server, test)


def test_where_nobody_has_to_be_in_it_it_is_set_aside_too(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        assert await store.subscribers("", 10) == []
        keys = [bucket.all.decode() for bucket in store._layout.buckets]
        octets = [replaced(server, key, OTHER_TYPES[0]) for key in keys]
        assert await store.relist() == 0
        assert await store.subscribers("", 10) == []
        assert [set_aside(server, key) for key in keys] == [[each] for each in octets]

    on(server, test)


def test_lost_lists_are_made_anew_one_after_another_so_that_others_are_not_kept_waiting_nor_refused(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they are as much as all keys of the store, which is more than may be under way."""

    async def test(store: RedisStore) -> None:
        await commit_all(store)
        for bucket in store._layout.buckets:
            replaced(server, bucket.all.decode(), OTHER_TYPES[0])
        call, made, under_way, most = store._layout.call, list[Bucket](), set[Asked](), 0

        def counted(bucket: Bucket, script: str, keys: Sequence[bytes], *values: keys.Value) -> Asked:
            nonlocal most
            request = call(bucket, script, keys, *values)
            if script == "relist":
                made.append(bucket)
                under_way.add(request)
                most = max(most, len(under_way))
                request.answer.add_done_callback(lambda _: under_way.discard(request))
            return request

        monkeypatch.setattr(store._layout, "call", counted)
        assert await store.relist() == len(EVERYBODY)
        assert (made, most) == (store._layout.buckets, 1)
        assert sorted(await store.subscribers("", 2_000)) == EVERYBODY

    on(server, test)


async def until_listed(store: RedisStore) -> list[str]:
    """Look, as a server does all the time, until all who have a record are known again; return their numbers."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            await store.next_due()
            with suppress(NoList):
                return sorted(await store.subscribers("", 2_000))


def test_a_server_lists_anew_by_itself_and_what_is_next_after_that(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await commit_all(store)
        bucket = store._home(ANNA).bucket
        for key in (bucket.all, bucket.due[0], bucket.expiring):
            replaced(server, key.decode(), OTHER_TYPES[0])
        with pytest.raises(StoreUnavailable, match="another program's data"):
            await store.forget(next(each for each in EVERYBODY if store._home(each).bucket is bucket))
        assert await until_listed(store) == EVERYBODY
        seen: list[str] = []
        async with asyncio.timeout(PATIENT_S):
            while len(seen) < len(EVERYBODY):
                claimed = await store.claim(T0, 2_000, LEASE)
                seen += [each.msisdn for each in claimed]
                await store.settle(claimed)
        assert sorted(seen) == EVERYBODY
        await store.next_due()
        keys = {line["key"].partition(":set-aside:")[0].encode() for line in logs if line["event"] == ASIDE}
        assert keys == {bucket.all, bucket.due[0]}

    with capture_logs() as logs:
        on(server, test)


def test_all_are_looked_through_again_where_slots_moved_and_only_then_it_is_set_aside(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore) -> None:
        await commit_all(store)
        key = store._home(EVERYBODY[0]).bucket.all.decode()
        octets = replaced(server, key, OTHER_TYPES[0])
        homes, asked, beside = store._layout.homes, [0], []

        async def moved() -> dict[int, Address]:
            asked[0] += 1
            beside.append(set_aside(server, key))
            return {**await homes(), -1: ("another", min(asked[0], 3))}

        monkeypatch.setattr(store._layout, "homes", moved)
        await store.relist()
        assert beside == [[]] * 4
        assert set_aside(server, key) == [octets]
        assert sorted(await store.subscribers("", 2_000)) == EVERYBODY

    on(server, test)


def test_what_goes_wrong_beside_all_else_is_told_and_tried_again_later(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore) -> None:
        await commit_all(store)
        replaced(server, store._home(EVERYBODY[0]).bucket.all.decode(), OTHER_TYPES[0])
        tries: list[int] = []

        async def away() -> list[keys.Bucket]:
            tries.append(1)
            raise StoreUnavailable("it is away")

        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(store._listing, "_lost", away)
            async with asyncio.timeout(PATIENT_S):
                while not logs:
                    await store.next_due()
        (line,) = logs
        assert line["event"] == "part of the store unavailable, the outbox goes on with the rest"
        assert line["cause"] == "it is away"
        assert len(tries) == 1
        store._listing._not_before = 0.0
        assert await until_listed(store) == EVERYBODY

    on(server, test)


def test_on_a_cluster_all_servers_are_looked_through(cluster: RedisCluster) -> None:
    async def body() -> None:
        store = RedisStore(parsed(cluster.url, "buckets=16"), look_ms=0, patience_s=PATIENT_S)
        await asyncio.gather(*(store.commit(Change(0, Subscriber(each))) for each in NUMBERS))
        lost = 0
        for bucket in store._layout.buckets:
            _, port = store.link.homes.address(bucket.slot)
            with client_at(port) as client:
                lost += client.zcard(bucket.all)
                client.set(bucket.all, "another program's")
        assert lost == len(NUMBERS)
        assert await until_listed(store) == NUMBERS
        assert await store.relist() == 0
        await store.close()

    asyncio.run(body())
