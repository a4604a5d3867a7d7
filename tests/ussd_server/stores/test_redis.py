"""The Redis store where things go wrong: nothing acknowledged is lost, nothing done twice, and it says why in words."""

import asyncio
import base64
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiohttp.test_utils import TestServer
from aiohttp.web import Application
from structlog.testing import capture_logs

from tests import redis_servers
from tests.redis_servers import DURABLE, RedisServer, running
from ussd_server import store_url
from ussd_server.metrics import Metrics
from ussd_server.outbox.worker import Outbox, Performed
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator.smsc import Smsc
from ussd_server.store_url import RedisUrl
from ussd_server.stores import redis_keys as keys
from ussd_server.stores import redis_link
from ussd_server.stores.base import (
    JOURNAL_ENTRIES,
    LANES,
    Change,
    Claimed,
    JournalEntry,
    KeptAnswer,
    NoStore,
    OutboxEntry,
    StoreUnavailable,
    Unsure,
)
from ussd_server.stores.damaged import DAMAGED
from ussd_server.stores.opening import open_store, open_to_serve
from ussd_server.stores.redis import RedisStore
from ussd_server.stores.redis_tls import speaks_plainly
from ussd_server.stores.redis_wire import Wire
from ussd_server.subscribers.record import Subscriber

ANNA, BORIS = "79100000001", "79100000002"
T0 = 1_790_000_000_000
LEASE = 60_000
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def parsed(url: str, options: str = "buckets=4") -> RedisUrl:
    read = store_url.parse(f"{url}?{options}")
    assert isinstance(read, RedisUrl)
    return read


def store_at(server: RedisServer, options: str = "buckets=4", **more: Any) -> RedisStore:
    return RedisStore(parsed(server.url, options), look_ms=0, **more)


def on(server: RedisServer, test: Callable[[RedisStore], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def body() -> None:
        store = store_at(server, **more)
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(body())


@pytest.fixture(scope="module")
def _one_for_all() -> Iterator[RedisServer]:
    with running() as server:
        yield server


@pytest.fixture
def server(_one_for_all: RedisServer) -> RedisServer:
    """Give an empty server that is as a new one; a test that changes it has one of its own."""
    with _one_for_all.client() as client:
        client.flushall()
        client.config_resetstat()
    return _one_for_all


async def count(store: RedisStore, times: int = 1, msisdn: str = ANNA) -> None:
    """Count in the record, with a note and an entry of the outbox for each number."""
    for _ in range(times):
        while True:
            record, version = await store.load(msisdn)
            number = record.activated_at + 1
            counted = msgspec.structs.replace(record, activated_at=number)
            entry = OutboxEntry(f"e{number}", "sms", T0, {})
            if await store.commit(Change(version, counted, [JournalEntry(number, "counted", {})], [entry])):
                break


async def counted(store: RedisStore, msisdn: str = ANNA) -> int:
    """Return how far it was counted; record, journal and outbox say the same."""
    everything = await store.dump(msisdn)
    assert everything
    number = everything.record.activated_at
    assert [note.at for note in everything.journal] == list(range(1, number + 1))[-JOURNAL_ENTRIES:]
    assert [each.entry.id for each in everything.outbox] == [f"e{n}" for n in range(1, number + 1)]
    return number


# One round trip ---------------------------------------------------------------------------------------------------


def test_what_is_asked_at_once_goes_out_in_one_write_a_connection(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        numbers = [f"7910000{n:04}" for n in range(1000, 1100)]
        await asyncio.gather(*(store.load(msisdn) for msisdn in numbers))
        before = store.link.batches
        assert all(await asyncio.gather(*(store.commit(Change(0, Subscriber(msisdn))) for msisdn in numbers)))
        assert store.link.batches - before <= redis_link.CONNECTIONS
        await asyncio.gather(*(add(store, msisdn) for msisdn in numbers))
        assert store.link.batches - before <= 2 * redis_link.CONNECTIONS  # what was committed lately is not read again

    async def add(store: RedisStore, msisdn: str) -> None:
        record, version = await store.load(msisdn)
        assert await store.commit(Change(version, msgspec.structs.replace(record, language="ru")))

    on(server, test)


def test_a_step_is_one_script_of_two_commands(server: RedisServer) -> None:
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
        assert calls == {"cmdstat_evalsha": 3, "cmdstat_getrange": 3, "cmdstat_set": 3}

    on(server, test)


def test_only_the_buckets_where_something_is_due_are_asked(server: RedisServer) -> None:
    async def body() -> None:
        store = RedisStore(parsed(server.url, "buckets=256"), look_ms=3_600_000)
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
        one, two = store_at(server), RedisStore(parsed(server.url), look_ms=3_600_000)
        assert await two.next_due() is None
        await count(one)
        assert await two.next_due() is None
        two._looked = float("-inf")  # an hour later
        assert await two.next_due() == T0
        for store in (one, two):
            await store.close()

    asyncio.run(body())


def test_while_redis_is_away_nobody_takes_it_for_a_store_without_work() -> None:
    async def body() -> None:
        with running() as redis:
            store = RedisStore(parsed(redis.url), look_ms=3_600_000, patience_s=0.3)
            await count(store)
            redis.kill()
            store._looked = float("-inf")  # an hour later
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match=r"no answer for 0\.3 s"):
                    await store.claim(T0, 1, LEASE)
            redis.start()
            store._looked = float("-inf")
            assert len(await store.claim(T0, 1, LEASE)) == 1
            await store.close()

    asyncio.run(body())


def test_where_a_part_of_redis_is_away_what_is_held_on_the_rest_is_performed(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await asyncio.gather(*(count(store, 1, f"7910000{n:04}") for n in range(1000, 1012)))
        broken = store._home("79100001000").bucket
        with server.client() as client:
            client.set(broken.work, "cannot be claimed")
            client.delete(broken.due[3])
            client.set(broken.due[3], "cannot be looked at")
        with capture_logs() as logs:
            claimed = await store.claim(T0, 100, LEASE)
        assert {store._home(each.msisdn).bucket.number for each in claimed} == {0, 1, 2, 3} - {broken.number}
        assert {line["event"] for line in logs} == {"part of the store unavailable, the outbox goes on with the rest"}
        with pytest.raises(StoreUnavailable, match="another program's data"):  # nothing else is left to do
            await store.claim(T0, 100, LEASE)
        with server.client() as client:
            client.delete(broken.work, broken.due[3])
        assert {store._home(each.msisdn).bucket.number for each in await store.claim(T0, 100, LEASE)} == {broken.number}

    on(server, test)


def test_where_a_bucket_is_damaged_what_is_claimed_in_the_rest_is_performed(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        numbers = [f"7910000{n:04}" for n in range(1000, 1012)]
        await asyncio.gather(*(count(store, 1, msisdn) for msisdn in numbers))
        home = store._home(numbers[0])
        with server.client() as client:
            client.set(home.bucket.outbox(home.digits).decode(), "no outbox")
        with capture_logs() as logs:
            claimed = {each.msisdn for each in await store.claim(T0, 100, LEASE)}
        assert claimed == {each for each in numbers if store._home(each).bucket is not home.bucket}
        assert {line["event"] for line in logs} == {"part of the store unavailable, the outbox goes on with the rest"}

    on(server, test)


SMS, WORK = OutboxEntry("e1", "sms", T0, {"text": "x"}), OutboxEntry("w1", "command", T0, {"text": "x"})


def spoiled(server: RedisServer, key: bytes, id: str, place: int, value: bytes) -> bytes:
    """Let there be this MessagePack in this place of what is kept under an id; return its octets."""
    with server.client() as client:
        script = """local all = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
            all[tonumber(ARGV[2])] = cmsgpack.unpack(ARGV[3])
            redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(all))
            return redis.call('HGET', KEYS[1], ARGV[1])"""
        found = client.eval(script, 1, key, id, place, value)  # type: ignore[arg-type]
        assert isinstance(found, bytes)
        return found


def as_damaged(octets: bytes) -> dict[str, Any]:
    return {DAMAGED: base64.b64encode(b"\xc1" + octets).decode()}


# Of no type that anything in an entry or a letter has; and what is wrong in all numbers, in all text, in some text.
NO_TYPE, NO_NUMBER, NAN, NO_TEXT, NO_WORD = b"\x91\x01", b"\xa15", b"\xcb\x7f\xf8" + 6 * b"\0", b"\xc3", b"\xa1\xff"
NUMBERS, TEXTS, WORDS = (1, 2, 3, 4, 5, 11), (6, 7, 8, 9, 10, 12), (6, 9, 10)
WRONG = [
    *((place, NO_TYPE) for place in range(1, 13)),
    *((place, value) for place in NUMBERS for value in (NO_NUMBER, NAN)),
    *((place, NO_TEXT) for place in TEXTS),
    *((place, NO_WORD) for place in WORDS),
]


async def damaged_is_given_up(store: RedisStore, octets: bytes, lane: int) -> None:
    """What is kept as the id of `ANNA`'s only entry in a lane comes among the messages, as what it is."""
    id = "w1" if lane else "e1"
    claimed = await store.claim(T0, 10, LEASE, [lane])
    if lane:
        assert claimed == []
        claimed = await store.claim(T0, 10, LEASE, [0])
    (one,) = claimed
    assert one.entry == OutboxEntry(id, "damaged", 0, as_damaged(octets))
    await store.bury(one, T0, "damaged")
    (dead,) = await store.dead_letters(ANNA)
    assert (dead.id, dead.kind, dead.data) == (id, "damaged", as_damaged(octets))
    assert await store.count_dead_letters() == {"damaged": 1}


@pytest.mark.parametrize(("place", "value"), WRONG)
@pytest.mark.parametrize("entry", [SMS, WORK], ids=["message", "order"])
def test_an_entry_of_which_anything_but_its_data_is_damaged_is_given_up_alone(
    server: RedisServer, entry: OutboxEntry, place: int, value: bytes
) -> None:
    async def test(store: RedisStore) -> None:
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, outbox=(entry,)))
        home = store._home(ANNA)
        octets = spoiled(server, home.bucket.outbox(home.digits), entry.id, place, value)
        await damaged_is_given_up(store, octets, LANES[entry.kind])
        assert await store.forget(ANNA)
        assert await store.count_dead_letters() == {}

    on(server, test)


@pytest.mark.parametrize("octets", [b"", b"\xc1", b"\x05", b"\xa5hello", b"\x90", b"\x80", b"\x9c\x01\x00"])
def test_what_is_no_entry_at_all_is_given_up_as_such_and_holds_up_nobody(server: RedisServer, octets: bytes) -> None:
    async def test(store: RedisStore) -> None:
        numbers = [f"7910000{n:04}" for n in range(1000, 1012)]
        await asyncio.gather(*(count(store, 2, msisdn) for msisdn in numbers))
        anna = numbers[0]
        home = store._home(anna)
        with server.client() as client:
            client.hset(home.bucket.outbox(home.digits).decode(), "e1", octets)  # type: ignore[arg-type]
        whole = await store.dump(anna)
        assert whole is not None
        assert [(each.entry.id, each.entry.kind) for each in whole.outbox] == [("e1", "damaged"), ("e2", "sms")]
        await count(store, 1, anna)
        claimed = {each.msisdn: each for each in await store.claim(T0, 100, LEASE)}
        assert sorted(claimed) == numbers
        assert claimed[anna].entry == OutboxEntry("e1", "damaged", 0, as_damaged(octets))
        await store.bury(claimed[anna], T0, "damaged")
        (dead,) = await store.dead_letters(anna)
        assert (dead.id, dead.kind, dead.data) == ("e1", "damaged", as_damaged(octets))
        assert [each.entry.id for each in await store.claim(T0, 100, LEASE)] == ["e2"]

    on(server, test)


def test_an_order_that_is_damaged_is_not_said_to_be_an_sms_that_failed(server: RedisServer) -> None:
    async def performed(claimed: Claimed) -> Performed:
        raise AssertionError(f"nobody can know what {claimed} is")

    async def test(store: RedisStore) -> None:
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, outbox=(WORK,)))
        home, metrics = store._home(ANNA), Metrics()
        with server.client() as client:
            client.hset(home.bucket.outbox(home.digits).decode(), "w1", b"\xc1")  # type: ignore[arg-type]
        outbox = Outbox(store, {"sms": performed, "command": performed}, metrics, lambda: T0)
        with capture_logs() as logs:
            outbox.start()
            async with asyncio.timeout(30):
                while not await store.dead_letters(ANNA):
                    await asyncio.sleep(0)
            await outbox.stop(1)
        told = [(each.kind, each.data.get("kind")) for each in await store.journal(ANNA)]
        assert (told, dict(metrics.deliveries)) == ([("given_up", "damaged")], {})
        assert [(line["event"], line.get("kind")) for line in logs] == [("given up", "damaged")]

    on(server, test)


def test_a_reason_that_is_no_text_hides_nothing(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 2)
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.bury(claimed, T0, "refused")
        _, bucket, digits = store._home(ANNA)
        spoiled(server, bucket.outbox(digits), "e2", 8, NO_WORD)
        spoiled(server, bucket.dead(digits), "e1", 4, NO_WORD)
        whole = await store.dump(ANNA)
        assert whole is not None
        assert [each.reason for each in whole.outbox] == [r"\xff"]
        assert [each.reason for each in whole.dead_letters] == [r"\xff"]

    on(server, test)


@pytest.mark.parametrize("end", ["settle", "bury", "commit"])
def test_an_order_that_was_damaged_behind_another_is_not_forgotten_when_that_ends(
    server: RedisServer, end: str
) -> None:
    async def test(store: RedisStore) -> None:
        record, version = await store.load(ANNA)
        first = OutboxEntry("w0", "command", T0, {})
        assert await store.commit(Change(version, record, outbox=(first, WORK)))
        home = store._home(ANNA)
        (claimed,) = await store.claim(T0, 10, LEASE)
        with server.client() as client:
            client.hset(home.bucket.outbox(home.digits).decode(), "w1", b"\xc1")  # type: ignore[arg-type]
        if end == "settle":
            await store.settle([claimed])
        elif end == "bury":
            await store.bury(claimed, T0, "refused")
            record, version = await store.load(ANNA)
            assert await store.commit(Change(version, record, exhumed=("w0",)))
        else:
            record, version = await store.load(ANNA)
            assert await store.commit(Change(version, record, settled=("w0",)))
        await damaged_is_given_up(store, b"\xc1", LANES["command"])

    on(server, test)


@pytest.mark.parametrize("place", [1, 2, 3, 4, 5, 6, 7])
def test_beside_a_damaged_dead_letter_all_goes_on(server: RedisServer, place: int) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 3)
        for _ in range(2):
            (claimed,) = await store.claim(T0, 10, LEASE)
            await store.bury(claimed, T0, "refused")
            home = store._home(ANNA)
            octets = spoiled(server, home.bucket.dead(home.digits), "e1", place, NO_TYPE)
        letters = [(each.id, each.kind, each.data) for each in await store.dead_letters(ANNA)]
        assert letters == [("e1", "damaged", as_damaged(octets)), ("e2", "sms", {})]
        assert [(each.kind) for each in await store.journal(ANNA)][:2] == ["given_up", "given_up"]
        assert [each.entry.id for each in await store.claim(T0, 10, LEASE)] == ["e3"]
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, exhumed=("e1",)))
        assert await store.count_dead_letters() == {"sms": 2}  # nobody knows which kind it was counted as
        assert await store.forget(ANNA)
        assert await store.count_dead_letters() == {}

    on(server, test)


@pytest.mark.parametrize("entry", [SMS, WORK], ids=["message", "order"])
def test_what_was_damaged_while_it_was_performed_is_let_go_of_and_given_up(
    server: RedisServer, entry: OutboxEntry
) -> None:
    async def test(store: RedisStore) -> None:
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, outbox=(entry,)))
        claimed = await store.claim(T0, 10, LEASE)
        home = store._home(ANNA)
        with server.client() as client:
            client.hset(home.bucket.outbox(home.digits).decode(), entry.id, b"\xc1")  # type: ignore[arg-type]
        await store.renew(claimed, T0 + LEASE)
        await store.postpone(claimed[0], T0, "busy")
        await store.bury(claimed[0], T0, "refused")
        for lane in (LANES[entry.kind], 0):
            await store.claim(T0 + LEASE, 10, LEASE, [lane])
        (whole,) = (await store.dump(ANNA)).outbox  # type: ignore[union-attr]
        assert (whole.entry.kind, whole.attempt, whole.ready) == ("damaged", 1, T0 + 2 * LEASE)

    on(server, test)


# The journal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [1, 3, 4, 20_000])
def test_a_journal_of_before_there_was_a_bound_is_cut_without_a_search_for_each_that_goes(
    server: RedisServer, more: int
) -> None:
    async def test(store: RedisStore) -> None:
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record))
        home = store._home(ANNA)
        kept = [JournalEntry(n, "activated", {"n": n}) for n in range(1_500)]
        ended = [JournalEntry(T0 + n, "sms ended", {"n": n}) for n in range(JOURNAL_ENTRIES + more)]
        last = JournalEntry(T0 + len(ended), "sms ended", {"n": len(ended)})
        with server.client() as client:
            # The other kind's before, among and behind them: of that none is written, so all stay.
            before = [*kept[:500], *ended[:3], *kept[500:1_000], *ended[3:], *kept[1_000:]]
            client.rpush(home.bucket.journal(home.digits).decode(), *map(keys.note, before))
            client.config_resetstat()
            record, version = await store.load(ANNA)
            assert await store.commit(Change(version, record, (last,)))
            called = client.info("commandstats")
            removed = called.get("cmdstat_lrem", {"calls": 0})["calls"]
            assert removed == (more + 1 if more < 4 else 0)
        gone = {each.at for each in ended[: more + 1]}
        assert (await store.journal(ANNA, limit=30_000))[::-1] == [e for e in (*before, last) if e.at not in gone]

    on(server, test)


# Who performs what ------------------------------------------------------------------------------------------------


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
        store._claim_name = lambda: "the same"  # type: ignore[method-assign]
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
        monkeypatch.setattr("ussd_server.stores.redis.SILENT_MS", 0)
        await alive.sweep(T0, 10)
        assert pending(server) == {}
        for store in (dead, alive):
            await store.close()

    asyncio.run(body())


# When Redis forgets, dies, stalls ---------------------------------------------------------------------------------


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

        on(server, test, patience_s=60)


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

        on(server, test, patience_s=60)


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

        on(server, test, patience_s=60)


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

        on(server, test, patience_s=60)


def test_a_redis_that_stays_silent_is_given_up_in_time_and_taken_up_again() -> None:
    with running() as server:

        async def test(store: RedisStore) -> None:
            await count(store)
            server.pause()
            for _ in range(6):  # by the connection that there is, and by a new one
                with pytest.raises(StoreUnavailable, match=r"no answer for 0\.3 s: "):
                    await store.load(BORIS)
            server.go_on()
            while True:
                try:
                    await store.ping()
                    break
                except StoreUnavailable:
                    pass
            assert await counted(store) == 1

        on(server, test, patience_s=0.3)


def test_one_whose_time_is_over_disturbs_nobody_on_the_same_connection(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        connection = await store.link.ask(0, (b"CLIENT", b"ID")).answer
        with server.client() as client:
            client.client_pause(700)
            late, other = (store.link.ask(0, (b"CLIENT", b"ID")) for _ in range(2))
            late.until = 0.0
            with pytest.raises(StoreUnavailable, match="no answer"):
                await late.answer
            assert await other.answer == connection
        await count(store)

    on(server, test, patience_s=30)


def test_nothing_listens() -> None:
    port = redis_servers.free_ports(1)[0]

    async def body() -> None:
        store = RedisStore(parsed(f"redis://:secret@127.0.0.1:{port}"), patience_s=0.2)
        with pytest.raises(StoreUnavailable) as caught:
            await store.ping()
        said = f"the store redis://127.0.0.1:{port}/0: no answer for 0.2 s: cannot connect to 127.0.0.1:{port}"
        assert str(caught.value) == f"{said}: Connection refused"
        await store.close()

    asyncio.run(body())


def test_no_more_waits_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "MOST_REQUESTS", 10)
    port = redis_servers.free_ports(1)[0]

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


# What Redis refuses -----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("options", [(), ("--requirepass", "right")])
def test_a_wrong_password_is_told_at_once_and_not_shown(options: tuple[str, ...]) -> None:
    with running(*DURABLE, *options) as server:
        for url in (f"redis://:wrong-one@127.0.0.1:{server.port}", f"redis://me:wrong-one@127.0.0.1:{server.port}"):

            async def body(url: str = url) -> None:
                with pytest.raises(StoreUnavailable) as caught:
                    await open_store(parsed(url))
                assert "password" in str(caught.value)
                assert "wrong-one" not in str(caught.value)

            asyncio.run(body())


def test_a_password_opens_it() -> None:
    with running(*DURABLE, "--requirepass", "right", "--aclfile", "") as server:

        async def body() -> None:
            store = RedisStore(parsed(f"redis://:right@127.0.0.1:{server.port}/3"))
            await count(store)
            await store.close()
            with pytest.raises(StoreUnavailable, match="write it in the store's URL, redis://:PASSWORD@HOST"):
                await open_store(parsed(server.url))
            with pytest.raises(StoreUnavailable, match="refuses the user or password"):
                await open_store(parsed(f"redis://:wrong@127.0.0.1:{server.port}/3"))

        asyncio.run(body())


def test_a_database_that_redis_does_not_have_is_told_with_the_mend() -> None:
    with running() as server:

        async def body() -> None:
            with pytest.raises(StoreUnavailable, match=r"no database of this number .* write a lower one"):
                await open_store(parsed(f"redis://127.0.0.1:{server.port}/99"))

        asyncio.run(body())


def test_a_redis_that_is_named_as_a_sentinel_is_told_with_the_mend() -> None:
    with running() as server:

        async def body() -> None:
            store = RedisStore(parsed(f"redis+sentinel://127.0.0.1:{server.port}/main"), patience_s=1)
            with pytest.raises(StoreUnavailable, match=r"no Sentinel, but a Redis: .* write redis://"):
                await count(store)
            await store.close()

        asyncio.run(body())


def test_the_permissions_of_the_documentation_are_enough_and_needed() -> None:
    rules = re.search(r"ACL SETUSER ussd (.*)", OPERATIONS.read_text(encoding="utf-8"))
    assert rules
    with running() as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ussd", *rules[1].replace("PASSWORD", "right").split())
            client.execute_command("ACL", "SETUSER", "other", "on", ">right", "~ussd:*", "+@read", "+@connection")

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

        asyncio.run(body())


def test_tls_is_spoken_and_the_certificate_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, ca = authority.issue_cert("127.0.0.1"), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    pem = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
    port = redis_servers.free_ports(1)[0]
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(ca))
    with running(*DURABLE, *options, "--tls-cert-file", str(pem), "--tls-key-file", str(pem)):

        async def body() -> None:
            store = RedisStore(parsed(f"rediss://127.0.0.1:{port}/0", f"ca_file={ca}"))
            await asyncio.gather(*(count(store, 3, f"7910000{n:04}") for n in range(1000, 1020)))
            assert await counted(store, "79100001000") == 3
            await store.close()
            store = RedisStore(parsed(f"rediss://127.0.0.1:{port}/0"), patience_s=0.5)
            with pytest.raises(StoreUnavailable, match="its certificate is not trusted: "):
                await store.ping()
            await store.close()

        asyncio.run(body())


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel", "rediss+cluster"])
def test_a_redis_that_speaks_no_tls_is_said_to_with_the_mend(scheme: str) -> None:
    with running("--requirepass", "secret") as redis:
        path = "/main" if "sentinel" in scheme else ""

        async def body() -> None:
            store = RedisStore(parsed(f"{scheme}://127.0.0.1:{redis.port}{path}"), patience_s=3.5)
            with pytest.raises(StoreUnavailable, match="it answers, but not to TLS: write redis in place of rediss in"):
                await store.ping()
            await store.close()

        asyncio.run(body())


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("user", ["", ":secret@"])
def test_who_is_no_redis_is_told_at_once(user: str, scheme: str) -> None:
    """The port of a web page, and of an SMSC: its URL is wrong, and waiting mends nothing."""

    async def refused_by(port: int) -> None:
        url = f"{scheme}://{user}127.0.0.1:{port}{'/0' if scheme == 'redis' else ''}"
        store = RedisStore(parsed(url), patience_s=2.0 if scheme == "redis+cluster" else 600.0)
        with pytest.raises(StoreUnavailable, match="what answers there is no Redis: correct host and port in the"):
            await store.ping()
        await store.close()

    async def body() -> None:
        page = TestServer(Application())
        await page.start_server()
        await refused_by(page.port or 0)
        await page.close()
        smsc = Smsc("127.0.0.1", 0, {"ussd": Secret("demo")}, ["79100000001"])
        await smsc.start()
        await refused_by(smsc.port)
        await smsc.stop()

    asyncio.run(body())


def test_nobody_is_asked_plainly_where_nobody_is() -> None:
    port = redis_servers.free_ports(1)[0]
    assert not asyncio.run(speaks_plainly(("127.0.0.1", port)))


def test_a_replica_is_refused_and_named_so() -> None:
    with running() as master, running(*DURABLE, "--replicaof", f"127.0.0.1 {master.port}") as replica:

        async def body() -> None:
            with pytest.raises(StoreUnavailable, match="this Redis is a replica and takes no writes"):
                await store_at(replica, patience_s=0.3).ping()

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


def test_a_damaged_record_is_reported_as_such_and_by_a_masked_number(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        with server.client() as client:
            client.setrange(store._home(ANNA).record, 8, b"\xc1\xc1")
        with pytest.raises(StoreUnavailable, match=r"record of 7910\*+0001 is damaged"):
            await store.dump(ANNA)

    on(server, test)
