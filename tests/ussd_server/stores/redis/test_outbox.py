"""Work is looked for where there is any, and who performs it stands in Redis."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import RedisServer, running
from tests.ussd_server.stores.redis.steps import (
    ANNA,
    BORIS,
    LEASE,
    PATIENT_S,
    T0,
    count,
    impatient,
    on,
    parsed,
    store_at,
)
from ussd_server.stores.base import MESSAGES, StoreUnavailable, Unsettled
from ussd_server.stores.redis import link as redis_link
from ussd_server.stores.redis.store import RedisStore


def test_only_the_buckets_where_something_is_due_are_asked(server: RedisServer) -> None:
    async def body() -> None:
        store = RedisStore(parsed(server.url, "buckets=256"), look_ms=3_600_000, patience_s=PATIENT_S)
        await count(store)
        assert await store.next_due() == T0
        with server.client() as client:
            client.config_resetstat()
            for _ in range(10):
                assert await store.claim(T0 - 1, 10, LEASE) == []
                assert await store.next_due() == T0
            assert len(await store.claim(T0, 10, LEASE)) == 1
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
        await store.close()

    asyncio.run(body())


def test_work_that_another_server_left_is_found_at_the_next_look(server: RedisServer) -> None:
    async def body() -> None:
        one, two = store_at(server), RedisStore(parsed(server.url), look_ms=3_600_000, patience_s=PATIENT_S)
        assert await two.next_due() is None
        await count(one)
        assert await two.next_due() is None
        two._claims.looked = float("-inf")  # an hour later
        assert await two.next_due() == T0
        for store in (one, two):
            await store.close()

    asyncio.run(body())


def test_while_redis_is_away_nobody_takes_it_for_a_store_without_work() -> None:
    async def body() -> None:
        with running() as redis:
            store = RedisStore(parsed(redis.url), look_ms=3_600_000, patience_s=PATIENT_S)
            await count(store)
            redis.kill()
            store._claims.looked = float("-inf")  # an hour later
            for _ in range(2):
                with impatient(store), pytest.raises(StoreUnavailable, match=r"no answer for 0\.3 s"):
                    await store.claim(T0, 1, LEASE)
            redis.start()
            store._claims.looked = float("-inf")
            assert len(await store.claim(T0, 1, LEASE)) == 1
            await store.close()

    asyncio.run(body())


def test_where_a_part_of_redis_is_away_what_is_held_on_the_rest_is_performed(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await asyncio.gather(*(count(store, 1, f"7910000{n:04}") for n in range(1000, 1012)))
        broken = store._home("79100001000").bucket
        with server.client() as client:
            client.set(broken.fence, "not to be claimed")
            client.set(broken.due[3], "cannot be looked at")
            client.rename(broken.all, "elsewhere")
            client.set(broken.all, "nor can the list be made anew")
        with capture_logs() as logs:
            claimed = await store.claim(T0, 100, LEASE)
            for _ in range(3):  # nobody says meanwhile that all of it is back
                await store.next_due()
        assert {store._home(each.msisdn).bucket.number for each in claimed} == {0, 1, 2, 3} - {broken.number}
        assert {line["event"] for line in logs} == {"part of the store unavailable, the outbox goes on with the rest"}
        with pytest.raises(StoreUnavailable, match="not to be claimed"):  # nothing else is left to do
            await store.claim(T0, 100, LEASE)
        with server.client() as client:
            client.rename("elsewhere", broken.all)
            client.delete(broken.fence)
        assert {store._home(each.msisdn).bucket.number for each in await store.claim(T0, 100, LEASE)} == {broken.number}

    on(server, test)


def test_where_a_part_of_redis_is_away_the_rest_of_what_is_done_is_removed(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        numbers = [f"7910000{n:04}" for n in range(1000, 1012)]
        await asyncio.gather(*(count(store, 2, msisdn) for msisdn in numbers))
        claimed = await store.claim(T0, 100, LEASE)
        broken = store._home(numbers[0]).bucket
        behind = [each for each in claimed if store._home(each.msisdn).bucket is broken]
        with server.client() as client:
            client.set(broken.fence, "not to be removed from")
            with pytest.raises(Unsettled, match="not to be removed from") as caught:
                await store.settle(claimed)
            assert [each for each, _ in caught.value.left] == behind
            assert store._claims.due.next([MESSAGES], ()) == T0  # those behind what was removed
            client.delete(broken.fence)
        assert sorted(each.msisdn for each in await store.claim(T0, 100, LEASE)) == sorted(
            set(numbers) - {each.msisdn for each in behind}
        )
        await store.settle(behind)
        assert {each.msisdn for each in await store.claim(T0, 100, LEASE)} == {each.msisdn for each in behind}

    on(server, test)


def test_of_more_than_may_be_under_way_the_first_are_removed(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore) -> None:
        await asyncio.gather(*(count(store, 1, f"7910000{n:04}") for n in range(1000, 1012)))
        claimed = await store.claim(T0, 100, LEASE)
        monkeypatch.setattr(redis_link, "MOST_REQUESTS", 5)
        with pytest.raises(Unsettled, match="too much waits for Redis already") as caught:
            await store.settle(claimed)
        assert [each for each, _ in caught.value.left] == claimed[5:]
        await store.settle(claimed[5:10])
        monkeypatch.undo()
        assert sorted(each.msisdn for each in await store.claim(T0 + LEASE, 100, LEASE)) == sorted(
            each.msisdn for each in claimed[10:]
        )

    on(server, test)


def pending(server: RedisServer) -> dict[str, int]:
    """Return how many entries each consumer holds, as an operator sees it."""
    found: dict[str, int] = {}
    with server.client() as client:
        for key in client.scan_iter("*:work"):
            for consumer in client.xinfo_consumers(key, "servers"):
                name = consumer["name"].decode()
                found[name] = found.get(name, 0) + consumer["pending"]
    return found


def test_the_pending_list_says_who_performs_what_and_whom_it_was_taken_over_from(server: RedisServer) -> None:
    async def body() -> None:
        dead, alive = store_at(server), store_at(server)
        for msisdn in (ANNA, BORIS):
            await count(dead, 1, msisdn)
        assert len(await dead.claim(T0, 10, LEASE)) == 2
        assert sorted(pending(server).values()) == [2]
        taken = await alive.claim(T0 + LEASE, 10, LEASE)
        assert len(taken) == 2
        assert sorted(pending(server).values()) in ([0, 2], [0, 0, 2])
        await alive.settle(taken[:1])
        await alive.postpone(taken[1], T0 + 9, "busy")
        assert set(pending(server).values()) == {0}
        with server.client() as client:
            assert sum(client.xlen(key) for key in client.scan_iter("*:work")) == 0
        for store in (dead, alive):
            await store.close()
        assert pending(server) == {}  # who goes in order signs off

    asyncio.run(body())


def test_a_claim_that_is_sent_again_finds_what_it_took(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        store._claims.name = lambda bucket: "the same"  # type: ignore[method-assign]
        first = await store.claim(T0, 10, LEASE)
        bucket = store._home(ANNA).bucket
        again = await store._claim(0, bucket.number, [ANNA], T0, T0 + LEASE)
        assert [each for _, each in again] == first
        assert first[0].attempt == 1

    on(server, test)


def test_a_consumer_that_is_gone_is_removed_in_time(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        dead, alive = store_at(server), store_at(server)
        await count(dead)
        await dead.postpone((await dead.claim(T0, 10, LEASE))[0], T0, "stopped")
        assert len(pending(server)) == 1
        monkeypatch.setattr("ussd_server.stores.redis.sweeps.SILENT_MS", 0)
        await alive.sweep(T0, 10)
        assert pending(server) == {}
        for store in (dead, alive):
            await store.close()

    asyncio.run(body())
