"""Where Redis forgets, dies or stalls nothing acknowledged is lost, and it is said why in words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from tests.ports import free_port
from tests.redis_servers import RedisServer, running
from tests.ussd_server.stores.redis.steps import (
    ANNA,
    BORIS,
    LEASE,
    PATIENT_S,
    T0,
    count,
    counted,
    impatient,
    on,
    parsed,
)
from ussd_server.stores.base import Change, OutboxEntry, PerhapsDone, StoreUnavailable
from ussd_server.stores.redis import link as redis_link
from ussd_server.stores.redis.store import RedisStore
from ussd_server.subscribers.record import Subscriber


def test_scripts_that_redis_lost_are_loaded_again(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        with server.client() as client:
            client.script_flush()
        await asyncio.gather(*(count(store, 3, f"7910000{n:04}") for n in range(1000, 1020)))
        assert await counted(store, "79100001000") == 3
        with server.client() as client:
            client.script_flush()
        assert len(await store.claim(T0, 100, LEASE)) == 21

    on(server, test)


def test_what_was_acknowledged_survives_a_kill_of_redis_and_the_rest_is_done_once() -> None:
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store, 3)
            work = asyncio.gather(*(count(store, 40, msisdn) for msisdn in (ANNA, BORIS)), return_exceptions=True)
            while not (await store.load(BORIS))[0].activated_at:
                await asyncio.sleep(0)
            server.kill()
            await asyncio.get_running_loop().run_in_executor(None, server.start)
            for error in await work:
                # It may have been written; then who asked is told that it is not known.
                assert error is None or "may have been written" in str(error)
            assert await counted(store) >= 3
            before = await counted(store, BORIS)
            await count(store, 1, BORIS)
            assert await counted(store, BORIS) == before + 1

        on(server, test)


def test_a_redis_that_stands_still_is_waited_for() -> None:
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store)
            server.pause()
            counting = asyncio.ensure_future(count(store, 5))
            looks = asyncio.ensure_future(store.load(BORIS, latest=True))
            await asyncio.sleep(0)
            server.go_on()
            await asyncio.gather(counting, looks)
            assert await counted(store) == 6

        on(server, test)


def test_a_redis_that_stays_silent_is_given_up_in_time_and_taken_up_again() -> None:
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store)
            server.pause()
            with impatient(store):
                for _ in range(6):  # by the connection that there is, and by a new one
                    with pytest.raises(StoreUnavailable, match=r"no answer for 0\.3 s: "):
                        await store.load(BORIS)
            server.go_on()
            await store.ping()
            assert await counted(store) == 1

        on(server, test)


@pytest.mark.parametrize("whole", [False, True], ids=["record", "with an entry"])
def test_of_what_a_silent_redis_was_sent_nobody_says_that_it_was_not_done(whole: bool) -> None:
    """It does it when it goes on. What came when there was no connection any more was not sent: that is certain."""
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store)
            record, version = await store.load(ANNA)
            more = [OutboxEntry("late", "sms", T0, {})] if whole else []
            server.pause()
            sent, refused = 0, PerhapsDone("")
            while type(refused) is PerhapsDone:
                changed = msgspec.structs.replace(record, language=f"{sent}")
                with impatient(store), pytest.raises(StoreUnavailable, match=r"no answer for 0\.3 s") as caught:
                    await store.commit(Change(version, changed, outbox=more))
                refused = caught.value
                sent += 1
                assert ("what was sent may have been done" in str(refused)) is (type(refused) is PerhapsDone)
            assert sent > 1
            assert type(refused) is StoreUnavailable
            server.go_on()
            await store.ping()
            assert (await store.load(ANNA, latest=True))[0].language == "0"

        on(server, test)


def test_who_only_reads_changes_nothing_where_redis_is_silent() -> None:
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store)
            server.pause()
            for latest in (False, True):
                with impatient(store), pytest.raises(StoreUnavailable, match="no answer") as caught:
                    await store.load(BORIS, latest)
                assert type(caught.value) is StoreUnavailable
            server.go_on()

        on(server, test)


def test_one_whose_time_is_over_disturbs_nobody_on_the_same_connection(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "STALLED_S", PATIENT_S)

    async def test(store: RedisStore) -> None:
        connection = await store.link.ask(0, (b"CLIENT", b"ID")).answer
        late, other = store.link.ask(0, (b"BLPOP", b"list", 0)), store.link.ask(0, (b"CLIENT", b"ID"))
        late.until = 0.0
        with pytest.raises(StoreUnavailable, match="no answer"):
            await late.answer
        assert not other.answer.done()
        with server.client() as client:
            client.lpush("list", "what the late one waits for, and all behind it")
        assert await other.answer == connection
        await count(store)

    on(server, test)


def test_nothing_listens() -> None:
    port = free_port()

    async def body() -> None:
        store = RedisStore(parsed(f"redis://:secret@127.0.0.1:{port}"), patience_s=0.2)
        said = f"the store redis://127.0.0.1:{port}/0: no answer for 0.2 s: "
        told = set()
        # A machine that does nothing else for 0.2 s leaves no time to find out why.
        for _ in range(50):
            with pytest.raises(StoreUnavailable) as caught:
                await store.ping()
            told.add(str(caught.value))
            if "refused" in str(caught.value):
                break
        assert f"{said}cannot connect to 127.0.0.1:{port}: Connection refused" in told
        assert told <= {f"{said}cannot connect to 127.0.0.1:{port}: Connection refused", f"{said}not connected yet"}
        await store.close()

    asyncio.run(body())


def test_no_more_waits_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "MOST_REQUESTS", 10)
    port = free_port()

    async def body() -> None:
        store = RedisStore(parsed(f"redis://127.0.0.1:{port}"), patience_s=0.2)
        asked = [store.link.ask(0, (b"PING",)) for _ in range(10)]
        with pytest.raises(StoreUnavailable, match="too much waits for Redis already"):
            store.link.ask(0, (b"PING",))
        for each in asked:
            with pytest.raises(StoreUnavailable, match="no answer"):
                await each.answer
        store.link.ask(0, (b"PING",))
        monkeypatch.setattr(redis_link, "MOST_OCTETS", 10)
        with pytest.raises(StoreUnavailable, match="too much waits"):
            store.link.ask(0, (b"PING",))
        await store.close()

    asyncio.run(body())


@contextmanager
def configured(server: RedisServer, **settings: str) -> Iterator[None]:
    with server.client() as client:
        before = {name: client.config_get(name)[name] for name in settings}
        for name, value in settings.items():
            client.config_set(name, value)
    try:
        yield
    finally:
        with server.client() as client:
            for name, value in before.items():
                client.config_set(name, value)


def test_a_full_redis_refuses_in_plain_words_and_changes_nothing(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 2)
        (claimed,) = await store.claim(T0, 1, LEASE)
        with configured(server, maxmemory="1"):
            for refused in (
                count(store),
                store.commit(Change((await store.load(ANNA))[1], Subscriber(ANNA), settled=["e1"])),
                store.use_nonce("kiosk-1", "n", T0),
                store.ping(),
            ):
                with pytest.raises(StoreUnavailable, match="Redis is full"):
                    await refused
            await store.settle([claimed])  # what makes room is done
        everything = await store.dump(ANNA)
        assert everything
        assert (everything.record.activated_at, len(everything.journal)) == (2, 2)
        assert [each.entry.id for each in everything.outbox] == ["e2"]
        await count(store)

    on(server, test)
