"""Commits that go together succeed and fail each for itself, whatever becomes of the others and of the call."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.redis_servers import DURABLE, RedisServer, running, serving_every_slot
from tests.ussd_server.stores.redis.steps import impatient, on, store_at
from ussd_server.stores.base import Change, JournalEntry, PerhapsDone, StoreUnavailable, Unsure
from ussd_server.stores.redis import link as redis_link
from ussd_server.stores.redis import together as redis_together
from ussd_server.stores.redis import wire as redis_wire
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.redis.wire import Wire
from ussd_server.subscribers.record import Subscriber

NUMBERS = [f"7910000{n:04}" for n in range(1000, 1020)]


@pytest.fixture(scope="module")
def one_for_all() -> Iterator[RedisServer]:
    with running() as server:
        yield server


@pytest.fixture
def server(one_for_all: RedisServer) -> RedisServer:
    with one_for_all.client() as client:
        client.flushall()
        client.config_resetstat()
    return one_for_all


async def begun(store: RedisStore) -> list[int]:
    """Give each number a record, and return their versions."""
    assert all(await asyncio.gather(*(store.commit(Change(0, Subscriber(msisdn))) for msisdn in NUMBERS)))
    return [(await store.load(msisdn))[1] for msisdn in NUMBERS]


async def each_to(store: RedisStore, versions: list[int], language: str) -> list[bool | BaseException]:
    """Commit for each number at once, and return what came of it."""
    changes = [Change(at, Subscriber(msisdn, language=language)) for at, msisdn in zip(versions, NUMBERS, strict=True)]
    return await asyncio.gather(*map(store.commit, changes), return_exceptions=True)


async def languages(store: RedisStore) -> list[str]:
    return [(await store.load(msisdn, latest=True))[0].language for msisdn in NUMBERS]


def key_of(store: RedisStore, msisdn: str) -> bytes:
    return store._home(msisdn).record


def test_the_commits_of_one_turn_are_one_write_of_one_call(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        with server.client() as client:
            client.config_resetstat()
            before = store.link.batches
            assert await each_to(store, versions, "ru") == [True] * len(NUMBERS)
            assert store.link.batches == before + 1
            calls = {name: each["calls"] for name, each in client.info("commandstats").items()}
        assert {calls[f"cmdstat_{name}"] for name in ("getrange", "set")} == {len(NUMBERS)}
        assert calls["cmdstat_evalsha"] == 1

    on(server, test)


def test_no_call_keeps_redis_longer_than_it_may(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_together, "MOST_TOGETHER", 7)

    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        versions[8] = 42
        with server.client() as client:
            client.config_resetstat()
            expected = [at != 8 for at in range(len(NUMBERS))]
            assert await each_to(store, versions, "ru") == expected
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 3
        assert await languages(store) == ["ru" if written else "" for written in expected]

    on(server, test)


def test_a_key_of_another_program_fails_alone(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        with server.client() as client:
            client.delete(key_of(store, NUMBERS[3]))
            client.rpush(key_of(store, NUMBERS[3]), "something else")
            outcomes = await each_to(store, versions, "ru")
            assert client.type(key_of(store, NUMBERS[3])) == b"list"
        error = outcomes.pop(3)
        assert isinstance(error, StoreUnavailable)
        assert str(error).startswith(f"the store {server.url}: another program's data")
        assert outcomes == [True] * (len(NUMBERS) - 1)

    on(server, test)


def test_a_full_redis_refuses_all_and_writes_none(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        with server.client() as client:
            client.config_set("maxmemory", "1")
            try:
                outcomes = await each_to(store, versions, "ru")
            finally:
                client.config_set("maxmemory", "0")
        assert all(isinstance(each, StoreUnavailable) and "Redis is full" in str(each) for each in outcomes)
        assert await languages(store) == [""] * len(NUMBERS)

    on(server, test)


def test_who_gives_up_disturbs_nobody(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        commits = [
            asyncio.ensure_future(store.commit(Change(at, Subscriber(msisdn, language="ru"))))
            for at, msisdn in zip(versions, NUMBERS, strict=True)
        ]
        await asyncio.sleep(0)
        commits[0].cancel()
        assert await asyncio.gather(*commits[1:]) == [True] * (len(NUMBERS) - 1)
        with suppress(asyncio.CancelledError):
            await commits[0]

    on(server, test)


def test_what_was_gathered_when_the_store_is_closed_is_written(server: RedisServer) -> None:
    async def body() -> None:
        store = store_at(server)
        versions = await begun(store)
        told: list[bool | BaseException] = []
        for at, msisdn in zip(versions, NUMBERS, strict=True):
            store.commit_then(Change(at, Subscriber(msisdn, language="ru")), told.append)
        assert not told
        await store.close()
        assert told == [True] * len(NUMBERS)
        store.commit_then(Change(versions[0], Subscriber(NUMBERS[0])), told.append)
        await asyncio.sleep(0)
        assert isinstance(told[-1], StoreUnavailable)
        assert "is closed" in str(told[-1])

    asyncio.run(body())


# Whoever is told is broken -------------------------------------------------------------------------------------------


def broken_for(msisdn: str, heard: dict[str, list[bool | BaseException]], error: Exception) -> Callable[..., None]:
    """Return what is told of this number's commits; NUMBERS[1]'s raises after it has heard."""

    def told(outcome: bool | BaseException) -> None:
        heard.setdefault(msisdn, []).append(outcome)
        if msisdn == NUMBERS[1]:
            raise error

    return told


def commit_each(
    store: RedisStore, versions: list[int], error: Exception | None = None
) -> dict[str, list[bool | BaseException]]:
    """Commit for each number, and return what each will have heard."""
    heard: dict[str, list[bool | BaseException]] = {}
    for at, msisdn in zip(versions, NUMBERS, strict=True):
        told = broken_for(msisdn, heard, error or RuntimeError("a defect"))
        store.commit_then(Change(at, Subscriber(msisdn, language="ru")), told)
    return heard


async def all_told(heard: dict[str, list[bool | BaseException]]) -> None:
    async with asyncio.timeout(10):
        while len(heard) < len(NUMBERS):
            await asyncio.sleep(0)


@pytest.mark.parametrize("error", [RuntimeError("a defect"), IndexError("a defect")])
def test_the_rest_of_a_call_hears_of_its_commits_where_one_is_taken_badly(
    server: RedisServer, error: Exception
) -> None:
    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        with capture_logs() as logs, server.client() as client:
            connections = client.info("stats")["total_connections_received"]
            heard = commit_each(store, versions, error)
            await all_told(heard)
            assert await languages(store) == ["ru"] * len(NUMBERS)
            assert client.info("stats")["total_connections_received"] == connections
        assert heard == {msisdn: [True] for msisdn in NUMBERS}
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]
        assert store.link._under_way == 0

    on(server, test)


@pytest.mark.parametrize("held", [False, True])
def test_who_takes_badly_what_came_of_a_commit_with_more_is_told_once(server: RedisServer, held: bool) -> None:
    async def test(store: RedisStore) -> None:
        version, heard, msisdn = (await begun(store))[1], {}, NUMBERS[1]
        told = broken_for(msisdn, heard, RuntimeError("a defect"))
        change = Change(version, Subscriber(msisdn), [JournalEntry(1, "something")])
        with capture_logs() as logs:
            if held:
                store.commit_and_hold_then(change, 1, 2, told)
            else:
                store.commit_then(change, told)
            await store.close()
        assert heard == {msisdn: [[] if held else True]}
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]

    on(server, test)


def test_what_else_was_asked_goes_out_where_a_refusal_is_taken_badly(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too much waits for the commits, which are put together last; a load of the same turn does not hear of it."""

    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        monkeypatch.setattr(redis_link, "MOST_REQUESTS", 1)
        load = asyncio.ensure_future(store.load(NUMBERS[5], latest=True))
        await asyncio.sleep(0)
        with capture_logs() as logs:
            heard = commit_each(store, versions)
            assert (await load)[1] == versions[5]
        assert [[type(each) for each in outcomes] for outcomes in heard.values()] == [[StoreUnavailable]] * len(NUMBERS)
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]

    on(server, test)


def test_silence_that_is_taken_badly_is_told_to_everybody_and_the_link_goes_on(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        versions = await begun(store)
        server.pause()
        try:
            with impatient(store, 0.1):
                heard = commit_each(store, versions)
                await all_told(heard)
        finally:
            server.go_on()
        assert [[type(each) for each in outcomes] for outcomes in heard.values()] == [[PerhapsDone]] * len(NUMBERS)
        await store.ping()

    on(server, test)


def test_whoever_commits_again_as_soon_as_it_hears_of_a_refusal_hears_of_that_too(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore) -> None:
        version = (await begun(store))[0]
        change = Change(version, Subscriber(NUMBERS[0], language="ru"))
        heard: list[bool | BaseException] = []
        ended = asyncio.Event()

        def told(outcome: bool | BaseException) -> None:
            heard.append(outcome)
            if outcome is True:
                ended.set()
            else:
                monkeypatch.undo()
                store.commit_then(change, told)

        monkeypatch.setattr(redis_link, "MOST_REQUESTS", 0)
        store.commit_then(change, told)
        async with asyncio.timeout(30):
            await ended.wait()
        assert [type(each) for each in heard] == [StoreUnavailable, bool]

    on(server, test)


def test_what_cannot_be_put_together_keeps_nothing_else_from_going_out(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        versions = await begun(store)

        def broken() -> None:
            raise RuntimeError("a defect")

        with capture_logs() as logs:
            store.link.before_write(broken)
            assert await each_to(store, versions, "ru") == [True] * len(NUMBERS)
        assert [line["event"] for line in logs] == ["redis_request_not_gathered"]

    on(server, test)


# Where a call for several slots is refused ---------------------------------------------------------------------------

ONE_SLOT = "Redis takes no call for several slots, only commits of the same slot go together"


def says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections not ask the server whether it is in cluster mode."""

    async def unknown(wire: Wire) -> bool:
        return False

    monkeypatch.setattr(redis_wire, "_in_cluster_mode", unknown)


@pytest.fixture(scope="module")
def every_slot() -> Iterator[RedisServer]:
    with serving_every_slot() as server:
        yield server


def calls(client: "redis.Redis") -> int:
    """Return how many scripts were called since the statistics were set back, those included that were refused."""
    stats = client.info("commandstats")["cmdstat_evalsha"]
    return int(stats["calls"]) + int(stats["rejected_calls"])


def slots_of(store: RedisStore) -> set[int]:
    return {store._home(msisdn).bucket.slot for msisdn in NUMBERS}


def test_a_server_in_cluster_mode_gets_the_commits_of_a_slot_together_and_never_those_of_several(
    every_slot: RedisServer,
) -> None:
    """It says what it is when a connection is made, so that not even the first call is refused."""

    async def body() -> None:
        with capture_logs() as logs, every_slot.client() as client:
            client.flushall()
            store = store_at(every_slot)
            versions = await begun(store)
            client.config_resetstat()
            versions[3] = 42
            assert await each_to(store, versions, "ru") == [at != 3 for at in range(len(NUMBERS))]
            assert calls(client) == len(slots_of(store)) < len(NUMBERS)
            assert await languages(store) == ["" if at == 3 else "ru" for at in range(len(NUMBERS))]
            await store.close()
        assert [line["event"] for line in logs] == [ONE_SLOT]

    asyncio.run(body())


@pytest.mark.parametrize("silent", [False, True])
def test_each_commit_is_refused_where_its_bucket_is_fenced_however_they_go(
    every_slot: RedisServer, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if silent:
        says_nothing(monkeypatch)

    async def test(store: RedisStore) -> None:
        with every_slot.client() as client:
            client.flushall()
            versions = await begun(store)
            buckets = [store._home(msisdn).bucket for msisdn in NUMBERS]
            client.set(buckets[7].fence, "moved away")
        outcomes = await each_to(store, versions, "ru")
        fenced = [bucket is buckets[7] for bucket in buckets]
        assert [outcome is not True for outcome in outcomes] == fenced
        assert str(outcomes[7]).endswith(": the store takes no changes: it is moved away")
        assert await languages(store) == ["" if each else "ru" for each in fenced]

    on(every_slot, test)


def test_commits_go_together_again_where_the_server_comes_back_without_cluster_mode() -> None:
    async def body() -> None:
        with serving_every_slot() as server:
            store = store_at(server)
            await store.ping()
            server.kill()
            server.options = DURABLE
            server.start()
            with server.client() as client:
                versions = await begun(store)
                client.config_resetstat()
                assert await each_to(store, versions, "en") == [True] * len(NUMBERS)
                assert calls(client) == 1
                await store.close()

    asyncio.run(body())


def test_where_a_call_for_several_slots_is_refused_after_all_each_commit_is_made(
    every_slot: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So may a proxy in front of several servers, which does not say that it is one."""
    says_nothing(monkeypatch)

    async def test(store: RedisStore) -> None:
        with every_slot.client() as client, capture_logs() as logs:
            client.flushall()
            versions = await begun(store)
            versions[3] = 42
            expected = [at != 3 for at in range(len(NUMBERS))]
            assert await each_to(store, versions, "ru") == expected
            assert [line["event"] for line in logs] == [ONE_SLOT]
            versions = [(await store.load(msisdn))[1] for msisdn in NUMBERS]
            client.config_resetstat()
            assert await each_to(store, versions, "en") == [True] * len(NUMBERS)
            assert calls(client) == len(slots_of(store))
        assert len(logs) == 1
        assert await languages(store) == ["en"] * len(NUMBERS)

    on(every_slot, test)


def test_what_was_not_sure_of_a_call_is_not_sure_of_its_parts(
    every_slot: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the call was sent before by a connection that broke, a refusal of a part proves no more than that of it."""
    says_nothing(monkeypatch)

    async def test(store: RedisStore) -> None:
        with every_slot.client() as client:
            client.flushall()
        versions = await begun(store)
        versions[3] = 42
        received = Wire.data_received

        def lose(wire: Wire, data: bytes) -> None:
            monkeypatch.setattr(Wire, "data_received", received)
            wire.abort()

        monkeypatch.setattr(Wire, "data_received", lose)
        outcomes = await each_to(store, versions, "ru")
        assert isinstance(outcomes.pop(3), Unsure)
        assert outcomes == [True] * (len(NUMBERS) - 1)

    on(every_slot, test)


@settings(deadline=None, max_examples=15)
@given(overtaken=st.sets(st.sampled_from(range(len(NUMBERS)))), ahead=st.sets(st.sampled_from(range(len(NUMBERS)))))
def test_a_call_whose_answer_was_lost_is_sent_again_and_each_commit_made_once(
    one_for_all: RedisServer, overtaken: set[int], ahead: set[int]
) -> None:
    """Some were refused at first; of those that were made, another server goes on from some, then the link breaks.

    Of a refusal nobody can tell which it is, so it is not said to be sure.
    """

    async def test(store: RedisStore) -> None:
        with one_for_all.client() as client:
            client.flushall()
            versions = await begun(store)
            for at in ahead:
                versions[at] = 42
            received, lost = Wire.data_received, []

            def lose(wire: Wire, data: bytes) -> None:
                lost.append(data)
                Wire.data_received = received  # type: ignore[method-assign]
                for at in overtaken:
                    key = key_of(store, NUMBERS[at])
                    client.set(key, (7).to_bytes(8, "big") + client.get(key)[8:])
                wire.abort()

            Wire.data_received = lose  # type: ignore[method-assign]
            try:
                outcomes = await each_to(store, versions, "ru")
            finally:
                Wire.data_received = received  # type: ignore[method-assign]
            assert lost
            for at, outcome in enumerate(outcomes):
                if at in ahead | overtaken:
                    assert isinstance(outcome, Unsure)
                else:
                    assert outcome is True
            assert await languages(store) == ["" if at in ahead else "ru" for at in range(len(NUMBERS))]

    on(one_for_all, test)
