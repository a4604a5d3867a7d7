"""A step is one request to Redis, and what it commits is made once, whatever is lost on the way."""

import asyncio

import msgspec
import pytest

from tests.redis_servers import RedisServer, running
from tests.ussd_server.stores.redis.steps import ANNA, T0, count, counted, on
from ussd_server.stores.base import Change, OutboxEntry, StoreUnavailable, Unsure
from ussd_server.stores.redis.homes import CONNECTIONS
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.redis.wire import Wire
from ussd_server.subscribers.record import Subscriber


def test_what_is_asked_at_once_goes_out_in_one_write_a_connection(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        numbers = [f"7910000{n:04}" for n in range(1000, 1100)]
        await asyncio.gather(*(store.load(msisdn) for msisdn in numbers))
        before = store.link.batches
        assert all(await asyncio.gather(*(store.commit(Change(0, Subscriber(msisdn))) for msisdn in numbers)))
        assert store.link.batches - before <= CONNECTIONS
        await asyncio.gather(*(add(store, msisdn) for msisdn in numbers))
        assert store.link.batches - before <= 2 * CONNECTIONS  # what was committed lately is not read again

    async def add(store: RedisStore, msisdn: str) -> None:
        record, version = await store.load(msisdn)
        assert await store.commit(Change(version, msgspec.structs.replace(record, language="ru")))

    on(server, test)


def test_a_step_is_one_script_that_looks_for_a_fence_and_replaces_a_record(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        assert await store.commit(Change(0, Subscriber(ANNA)))
        with server.client() as client:
            client.config_resetstat()
            for language in ("ru", "en", "ru"):
                record, version = await store.load(ANNA)
                assert await store.commit(Change(version, msgspec.structs.replace(record, language=language)))
            calls = {name: each["calls"] for name, each in client.info("commandstats").items()}
        calls = {
            name: number for name, number in calls.items() if not name.startswith(("cmdstat_config", "cmdstat_info"))
        }
        assert calls == {"cmdstat_evalsha": 3, "cmdstat_get": 3, "cmdstat_getrange": 3, "cmdstat_set": 3}

    on(server, test)


def test_a_commit_whose_answer_was_lost_is_sent_again_and_made_once() -> None:
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store, 1)
            with server.client() as client:
                for _ in range(20):
                    counting = asyncio.ensure_future(count(store))
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    client.client_kill_filter(_type="normal", skipme=True)
                    await counting
            assert await counted(store) == 21

        on(server, test)


@pytest.mark.parametrize("whole", [False, True], ids=["record", "with an entry"])
def test_a_commit_that_is_refused_for_what_another_did_after_it_is_not_said_to_have_failed(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store)
            record, version = await store.load(ANNA)
            more = [OutboxEntry("late", "sms", T0, {})] if whole else []
            received = Wire.data_received

            def lose(wire: Wire, data: bytes) -> None:
                """Redis has made the commit. Another server goes on from it, and then the connection breaks."""
                monkeypatch.setattr(Wire, "data_received", received)
                key = store._home(ANNA).record
                with server.client() as client:
                    client.set(key, (7).to_bytes(8, "big") + client.get(key)[8:])
                wire.abort()

            monkeypatch.setattr(Wire, "data_received", lose)
            change = Change(version, msgspec.structs.replace(record, language="en"), outbox=more)
            with pytest.raises(Unsure, match="may have been written"):
                await store.commit(change)
            assert (await store.load(ANNA))[0].language == "en"

        on(server, test)


def test_a_damaged_record_is_reported_as_such_and_by_a_masked_number(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        with server.client() as client:
            client.setrange(store._home(ANNA).record, 8, b"\xc1\xc1")
        with pytest.raises(StoreUnavailable, match=r"record of 7910\*+0001 is damaged"):
            await store.dump(ANNA)

    on(server, test)
