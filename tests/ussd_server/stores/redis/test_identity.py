"""A Redis that comes back without its data, or is another one, is not taken for the store that it was."""

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import DURABLE, RedisServer, running
from tests.ussd_server.stores.redis.steps import count, counted, elsewhere, store_at
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.redis.store import RedisStore

META = "ussd:{ussd}:meta"
LOST = r"the store lost its data, or is another one .*: bring its data back; or, .*, stop all servers and start them"
HAS_IT_AGAIN = "the store came back without its id, and has it again"
SNAPSHOT = ("--appendonly", "no")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running(*SNAPSHOT) as server:
        yield server


def begin_empty(server: RedisServer) -> None:
    """Kill it with a snapshot on its disk, and start it again with a log, as its redis.conf says by now."""
    with server.client() as client:
        client.save()
    server.kill()
    server.options = DURABLE
    server.start()
    with server.client() as client:
        assert client.dbsize() == 0


def bring_back(server: RedisServer) -> None:
    """Start it again on its snapshot."""
    server.kill()
    server.options = SNAPSHOT
    server.start()


async def refuses(store: RedisStore) -> bool:
    """Return whether neither a read nor a write goes through, whatever connection it takes."""
    outcomes = await asyncio.gather(
        store.ping(), *(counted(store, f"7910000{n:04}") for n in range(1000, 1008)), return_exceptions=True
    )
    return all(isinstance(each, StoreUnavailable) for each in outcomes)


def test_a_redis_that_comes_back_empty_is_not_written_until_its_data_is_back(server: RedisServer) -> None:
    async def body() -> None:
        store = store_at(server)
        await count(store, 3)
        with capture_logs() as logs:
            await elsewhere(begin_empty, server)
            with pytest.raises(StoreUnavailable, match=LOST):
                await store.ping()
            assert await refuses(store)
            with pytest.raises(StoreUnavailable, match=LOST):
                await count(store)
            with server.client() as client:
                assert client.dbsize() == 0
            await elsewhere(bring_back, server)
            await store.ping()
            await count(store)
        assert await counted(store) == 4
        assert [line["event"] for line in logs if line["event"].startswith("the store")] == [
            "the store lost its data, or is another one",
            "the store is the one that it was",
        ]
        (said,) = (line for line in logs if line["log_level"] == "error")
        assert said["store"] == f"the store {server.url}"
        assert "bring its data back" in said["mend"]
        await store.close()

    asyncio.run(body())


def test_who_restarts_on_purpose_goes_on_with_what_is_there_and_the_others_do_not(server: RedisServer) -> None:
    async def body() -> None:
        before = store_at(server)
        await count(before, 3)
        await elsewhere(begin_empty, server)
        assert await refuses(before)
        restarted = store_at(server)
        await count(restarted)
        assert await counted(restarted) == 1
        assert await refuses(before)
        await before.close()
        await restarted.close()

    asyncio.run(body())


def test_one_that_was_emptied_under_way_is_noticed_by_who_looks_after_the_keys(server: RedisServer) -> None:
    async def body() -> None:
        store = store_at(server)
        assert await store.note_keys("", "some")
        assert await store.noted_keys() == "some"
        with server.client() as client:
            client.flushall()
        with pytest.raises(StoreUnavailable, match=LOST):
            await store.noted_keys()
        with pytest.raises(StoreUnavailable, match=LOST):
            await store.ping()
        await store.close()

    asyncio.run(body())


def begin_from_before_the_id(server: RedisServer) -> None:
    """Kill it, and start it on a snapshot of when all else was there."""
    with server.client() as client:
        client.hdel(META, "id")
        client.save()
    bring_back(server)


def test_one_that_comes_back_with_all_but_its_id_is_the_same_and_gets_it_again(server: RedisServer) -> None:
    async def body() -> None:
        stores = [store_at(server) for _ in range(2)]
        for store in stores:
            await count(store, 2)
        id = await stores[0].identity()
        await elsewhere(begin_from_before_the_id, server)
        with capture_logs() as logs:
            for store in stores:
                await store.ping()
            await count(stores[1], 1)
            assert await counted(stores[1]) == 5
        with server.client() as client:
            assert client.hget(META, "id") == id.encode()
        (said,) = logs
        assert (said["event"], said["log_level"], said["store"]) == (HAS_IT_AGAIN, "warning", f"the store {server.url}")
        later = store_at(server)
        assert await later.identity() == id
        for store in (*stores, later):
            await store.close()

    asyncio.run(body())


def test_a_server_that_starts_before_the_others_have_looked_gives_it_the_id_that_it_noted(server: RedisServer) -> None:
    async def body() -> None:
        before = store_at(server)
        await count(before, 3)
        id = await before.identity()
        await elsewhere(begin_from_before_the_id, server)
        restarted = store_at(server, noted_id=id)
        assert await restarted.identity() == id
        assert await counted(before) == 3
        for store in (before, restarted):
            await store.close()

    asyncio.run(body())


def test_one_that_is_new_gets_a_new_id_whatever_was_noted(server: RedisServer) -> None:
    async def body() -> None:
        before = store_at(server)
        id = await before.identity()
        with server.client() as client:
            client.flushall()
        new = store_at(server, noted_id=id)
        assert await new.identity() not in ("", id)
        with pytest.raises(StoreUnavailable, match=LOST):
            await before.noted_keys()
        for store in (before, new):
            await store.close()

    asyncio.run(body())


def test_an_id_that_goes_under_way_is_given_back_by_who_looks_after_the_keys(server: RedisServer) -> None:
    async def body() -> None:
        store = store_at(server)
        assert await store.note_keys("", "some")
        with server.client() as client:
            client.hdel(META, "id")
            assert await store.noted_keys() == "some"
            assert client.hget(META, "id") == (await store.identity()).encode()
        await store.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("field", "other"), [("id", "another"), ("layout", "1000"), ("buckets", "2"), ("layout", None)]
)
def test_one_that_is_laid_out_otherwise_or_has_another_id_is_not_the_same(
    server: RedisServer, field: str, other: str | None
) -> None:
    async def body() -> None:
        store = store_at(server)
        await count(store)
        with server.client() as client:
            client.hdel(META, "id", field)
            if other is not None:
                client.hset(META, field, other)
            before = client.hgetall(META)
            with pytest.raises(StoreUnavailable, match=LOST):
                await store.noted_keys()
            assert await refuses(store)
            assert client.hgetall(META) == before
        await store.close()

    asyncio.run(body())


def test_a_store_of_an_older_version_is_told_apart_from_its_next_start_on(server: RedisServer) -> None:
    async def body() -> None:
        old = store_at(server)
        await count(old)
        await old.close()
        with server.client() as client:
            client.hdel(META, "id")
            looking = store_at(server, make=False)
            assert await counted(looking) == 1
            assert client.hget(META, "id") is None
            await looking.close()
            first, second = store_at(server), store_at(server)
            await asyncio.gather(first.ping(), second.ping())
            assert client.hlen(META) == 3
        await elsewhere(bring_back_after_save, server)
        assert await counted(first) == await counted(second) == 1
        await first.ping()
        await second.ping()
        await first.close()
        await second.close()

    asyncio.run(body())


def bring_back_after_save(server: RedisServer) -> None:
    with server.client() as client:
        client.save()
    bring_back(server)
