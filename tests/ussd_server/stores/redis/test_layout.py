"""A store is laid out by its first server, beside whatever else is in that Redis."""

import asyncio
import re

import pytest

from tests.redis_servers import RedisServer, running
from tests.ussd_server.stores.redis.steps import ANNA, DOCUMENT, LEASE, T0, count, counted, on, parsed, store_at
from ussd_server.stores.base import Change, KeptAnswer, NoStore, StoreUnavailable
from ussd_server.stores.opening import open_store, open_to_serve
from ussd_server.stores.redis.store import RedisStore
from ussd_server.subscribers.record import Subscriber


def test_the_permissions_of_the_documentation_are_enough_and_needed() -> None:
    rules = re.search(r"ACL SETUSER ussd (.*)", DOCUMENT.read_text(encoding="utf-8"))
    assert rules
    with running() as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ussd", *rules[1].replace("PASSWORD", "right").split())
            client.execute_command("ACL", "SETUSER", "other", "on", ">right", "~ussd:*", "+@read", "+@connection")
            for name, forbidden in (("unseeing", "-client|list"), ("nameless", "-client|setname")):
                client.execute_command("ACL", "SETUSER", name, "on", ">right", "~ussd:*", "+@all", forbidden)

        async def body() -> None:
            place = f"right@127.0.0.1:{server.port}"
            store = await open_to_serve(parsed(f"redis://ussd:{place}", "replicas=0"), require_durable=True)
            assert isinstance(store, RedisStore)
            await count(store, 2)
            await store.settle(await store.claim(T0, 1, LEASE))
            (claimed,) = await store.claim(T0, 1, LEASE)
            await store.renew([claimed], T0 + LEASE)
            await store.postpone(claimed, T0, "later")
            await store.bury((await store.claim(T0, 1, LEASE))[0], T0, "never")
            answer = KeptAnswer("kiosk-1", "k", b"f", b"b", T0)
            assert await store.commit(Change((await store.load(ANNA))[1], Subscriber(ANNA), answer=answer))
            assert await store.answer("kiosk-1", "k") == answer
            assert await store.use_nonce("kiosk-1", "n", T0)
            assert await store.sweep(T0, 10) == 2
            assert await store.subscribers("", 10) == [ANNA]
            assert await store.in_use() == ""
            assert await store.forget(ANNA)
            await store.close()
            with pytest.raises(StoreUnavailable, match="this user may not do it in Redis; see the permissions"):
                await open_store(parsed(f"redis://other:{place}"))
            for name in ("unseeing", "nameless"):
                store = await open_store(parsed(f"redis://{name}:{place}"))
                assert await store.in_use() is None
                await store.close()

        asyncio.run(body())


def test_another_programs_data_is_not_touched(server: RedisServer) -> None:
    with server.client() as client:
        client.set("ussd:{ussd}:meta", "something else")

    async def test(store: RedisStore) -> None:
        with pytest.raises(StoreUnavailable, match="another program's data"):
            await store.load(ANNA)

    on(server, test)


def test_another_layout_is_refused(server: RedisServer) -> None:
    with server.client() as client:
        client.hset("ussd:{ussd}:meta", mapping={"layout": 9, "buckets": 4})

    async def test(store: RedisStore) -> None:
        with pytest.raises(StoreUnavailable, match="layout 9, and this version of the server knows 1"):
            await store.load(ANNA)

    on(server, test)


def test_the_first_server_says_how_many_buckets_there_are(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        other = store_at(server, "buckets=16")
        assert await counted(other) == 1
        await other.close()

    on(server, test)


def test_services_with_prefixes_of_their_own_share_a_redis(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        other = store_at(server, "prefix=other")
        assert await other.load(ANNA) == (Subscriber(ANNA), 0)
        assert await other.next_due() is None
        await other.close()

    on(server, test)


def test_a_store_that_no_server_has_begun_is_not_begun_by_looking(server: RedisServer) -> None:
    async def body() -> None:
        with pytest.raises(NoStore, match="there is no store with the prefix 'ussd'"):
            await open_store(parsed(server.url), make=False)

    asyncio.run(body())
    with server.client() as client:
        assert client.dbsize() == 0
