"""What is damaged in Redis is given up as what it is, and holds up nobody."""

import asyncio
import base64
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import RedisServer
from tests.ussd_server.stores.redis.steps import ANNA, LEASE, PATIENT_S, T0, count, on
from ussd_server.metrics import Metrics
from ussd_server.outbox.outcomes import Performed
from ussd_server.outbox.worker import Outbox
from ussd_server.stores.base import LANES, Change, Claimed, OutboxEntry
from ussd_server.stores.damaged import DAMAGED
from ussd_server.stores.redis.store import RedisStore

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


def key_of(store: RedisStore, kind: str, msisdn: str = ANNA) -> str:
    """Return the key of this kind (`outbox`, `dead`, `journal`) of a subscriber."""
    home = store._home(msisdn)
    return str(getattr(home.bucket, kind)(home.digits).decode())


def pending(store: RedisStore, server: RedisServer) -> list[dict[bytes, bytes]]:
    """Return what the bucket of `ANNA` has under way."""
    with server.client() as client:
        return [fields for _, fields in client.xrange(store._home(ANNA).bucket.work)]


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
            await outbox.stop(PATIENT_S)
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


@pytest.mark.parametrize("end", ["bury", "forget", "restore"])
def test_nobody_is_said_to_perform_what_was_damaged_and_is_gone(server: RedisServer, end: str) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        await store.claim(T0, 10, LEASE)
        before = await store.dump(ANNA)
        assert before
        with server.client() as client:
            client.hset(key_of(store, "outbox"), "e1", b"\xc1")  # type: ignore[arg-type]
        assert len(pending(store, server)) == 1
        if end == "bury":
            (claimed,) = await store.claim(T0 + LEASE, 10, LEASE)
            assert len(pending(store, server)) == 1
            await store.bury(claimed, T0, "damaged")
        elif end == "forget":
            assert await store.forget(ANNA)
        else:
            await store.restore(before)
        assert pending(store, server) == []

    on(server, test)
