"""Keys of another type in Redis, and ids that are no text, are given up as what they are, and hold up nobody."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.redis_servers import RedisServer
from tests.ussd_server.stores.redis.steps import ANNA, LEASE, T0, count, on
from tests.ussd_server.stores.redis.test_damage import as_damaged, key_of, pending
from ussd_server.stores.base import Change, JournalEntry, OutboxEntry
from ussd_server.stores.damaged import DAMAGED
from ussd_server.stores.redis.store import RedisStore

OTHER_TYPES: list[Callable[[Any, str], object]] = [
    lambda client, key: client.set(key, b"another \xff"),
    lambda client, key: client.rpush(key, "another"),
    lambda client, key: client.zadd(key, {"another": 1}),
]


def replaced(server: RedisServer, key: str, by: Callable[[Any, str], object]) -> bytes:
    """Let there be something of another type; return it as DUMP has it."""
    with server.client() as client:
        client.delete(key)
        by(client, key)
        octets = client.dump(key)
        assert isinstance(octets, bytes)
        return octets


@pytest.mark.parametrize("by", OTHER_TYPES)
@pytest.mark.parametrize("held", [False, True])
def test_an_outbox_that_is_none_is_given_up_as_one_entry_and_holds_up_nobody(
    server: RedisServer, by: Callable[[Any, str], object], held: bool
) -> None:
    async def test(store: RedisStore) -> None:
        numbers = [ANNA, *(f"7910000{n:04}" for n in range(1000, 1012))]
        await asyncio.gather(*(count(store, 1, msisdn) for msisdn in numbers))
        held_before = await store.claim(T0, 100, LEASE) if held else []
        if held:
            assert len(held_before) == len(numbers)
        octets = replaced(server, key_of(store, "outbox"), by)
        await store.renew(held_before, T0 + LEASE)
        for each in held_before:
            if each.msisdn == ANNA:
                await store.postpone(each, T0, "busy")
                await store.bury(each, T0, "refused")
        claimed = {each.msisdn: each for each in await store.claim(T0 + LEASE, 100, LEASE)}
        assert sorted(claimed) == sorted(numbers)
        damaged = claimed[ANNA]
        assert (damaged.entry.kind, damaged.entry.data) == ("damaged", as_damaged(octets))
        await count(store)
        await store.bury(damaged, T0, "damaged")
        (dead,) = await store.dead_letters(ANNA)
        assert (dead.id, dead.kind, dead.data) == (damaged.entry.id, "damaged", as_damaged(octets))
        assert [each.entry.id for each in await store.claim(T0, 100, LEASE)] == ["e2"]

    on(server, test)


@pytest.mark.parametrize("first", ["dump", "commit", "settled", "forget", "restore"])
def test_whoever_meets_an_outbox_that_is_none_goes_on(server: RedisServer, first: str) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 2)
        (claimed,) = await store.claim(T0, 10, LEASE)
        before = await store.dump(ANNA)
        assert before
        octets = replaced(server, key_of(store, "outbox"), OTHER_TYPES[0])
        if first == "commit":
            await count(store)
        elif first == "settled":
            await store.settle([claimed])
            assert not await store.commit(Change((await store.load(ANNA))[1], before.record, settled=["e2"]))
        elif first == "forget":
            assert await store.forget(ANNA)
        elif first == "restore":
            await store.restore(before)
        whole = await store.dump(ANNA)
        kinds = {each.entry.kind: each.entry.data for each in whole.outbox} if whole else {}
        assert ("damaged" in kinds) == (first in ("dump", "commit", "settled"))
        assert kinds.get("damaged", as_damaged(octets)) == as_damaged(octets)
        await store.claim(T0 + LEASE, 10, LEASE)
        assert len(pending(store, server)) == (0 if first == "forget" else 1)

    on(server, test)


BAD_IDS = [b"\xff", b"e\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x80\x80\x80"]
GOOD_IDS = ["\N{EURO SIGN}", "\N{CYRILLIC SMALL LETTER YA}\0", "\U0010ffff", "\ud7ff\ue000"]


@pytest.mark.parametrize("id", BAD_IDS)
@pytest.mark.parametrize("held", [False, True])
def test_an_entry_whose_id_is_no_text_is_given_up_alone(server: RedisServer, id: bytes, held: bool) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 2)
        if held:
            await store.claim(T0, 1, LEASE)
        key = key_of(store, "outbox")
        with server.client() as client:
            octets = client.hget(key, "e1")
            assert isinstance(octets, bytes)
            client.hdel(key, "e1")
            client.hset(key, id, octets)  # type: ignore[arg-type]
        (claimed,) = await store.claim(T0 + LEASE, 10, LEASE)
        assert claimed.entry.kind == "damaged"
        assert octets in base64.b64decode(claimed.entry.data[DAMAGED])
        assert id in base64.b64decode(claimed.entry.data[DAMAGED])
        assert [each[b"entry"] for each in pending(store, server)] == [claimed.entry.id.encode()]
        await store.bury(claimed, T0, "damaged")
        assert [each.id for each in await store.dead_letters(ANNA)] == [claimed.entry.id]
        assert [each.entry.id for each in await store.claim(T0, 10, LEASE)] == ["e2"]

    on(server, test)


@pytest.mark.parametrize("id", GOOD_IDS)
def test_an_id_of_whatever_text_is_none_that_is_damaged(server: RedisServer, id: str) -> None:
    async def test(store: RedisStore) -> None:
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, outbox=[OutboxEntry(id, "sms", T0, {})]))
        (claimed,) = await store.claim(T0, 10, LEASE)
        assert claimed.entry == OutboxEntry(id, "sms", T0, {})

    on(server, test)


def test_dead_letters_that_are_none_and_ids_of_them_that_are_no_text_hold_up_nobody(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        async def given_up() -> list[str]:
            (claimed,) = await store.claim(T0, 1, LEASE)
            await store.bury(claimed, T0, "refused")
            return sorted(each.kind for each in await store.dead_letters(ANNA))

        await count(store, 4)
        assert await given_up() == ["sms"]
        key = key_of(store, "dead")
        with server.client() as client:
            client.hset(key, b"\xff", client.hget(key, "e1"))  # type: ignore[arg-type]
            client.hdel(key, "e1")
        assert [each.kind for each in await store.dead_letters(ANNA)] == ["damaged"]
        assert await given_up() == ["damaged", "sms"]
        replaced(server, key, OTHER_TYPES[0])
        assert await given_up() == ["damaged", "sms"]
        (damaged,) = (each.id for each in await store.dead_letters(ANNA) if each.kind == "damaged")
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, exhumed=[damaged]))
        assert await given_up() == ["sms", "sms"]

    on(server, test)


@pytest.mark.parametrize(
    "octets", [b"", b"\xc1", b"\x05", b"\x93\x01\xa1x\x05", b"\x93\xa1x\xa1x\x80", b"\x92\x01\xa1x"]
)
def test_a_note_that_is_damaged_stands_as_such_beside_all_others(server: RedisServer, octets: bytes) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 2)
        with server.client() as client:
            client.lset(key_of(store, "journal"), 0, octets)  # type: ignore[arg-type]
        damaged = JournalEntry(0, "damaged", {DAMAGED: base64.b64encode(octets).decode()})
        assert await store.journal(ANNA) == [JournalEntry(2, "counted", {}), damaged]
        assert await store.journal(ANNA, "damaged") == [damaged]
        whole = await store.dump(ANNA)
        assert whole
        assert whole.journal == [damaged, JournalEntry(2, "counted", {})]
        await store.restore(whole)
        assert await store.dump(ANNA) == whole
        await count(store, 300)
        assert [each.kind for each in await store.journal(ANNA, limit=1000)].count("damaged") == 1

    on(server, test)


@pytest.mark.parametrize("by", [OTHER_TYPES[0], OTHER_TYPES[2], lambda client, key: client.hset(key, "another", "x")])
@pytest.mark.parametrize("first", ["commit", "bury", "dump"])
def test_a_journal_that_is_none_stands_as_one_note_and_what_is_noted_goes_on(
    server: RedisServer, by: Callable[[Any, str], object], first: str
) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 2)
        (claimed,) = await store.claim(T0, 10, LEASE)
        octets = replaced(server, key_of(store, "journal"), by)
        if first == "commit":
            await count(store)
        elif first == "bury":
            await store.bury(claimed, T0, "refused")
        whole = await store.dump(ANNA)
        assert whole
        assert whole.record.activated_at == len(whole.outbox) + len(whole.dead_letters)
        assert whole.journal[0] == JournalEntry(0, "damaged", {DAMAGED: base64.b64encode(octets).decode()})
        assert [each.kind for each in whole.journal[1:]] == {"commit": ["counted"], "bury": ["given_up"], "dump": []}[
            first
        ]

    on(server, test)


def test_an_index_that_names_nobody_holds_up_nobody(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        bucket = store._home(ANNA).bucket
        with server.client() as client:
            client.zadd(bucket.due[0], {b"\xff": 0, "": 1, "x": 2})
        assert [each.msisdn for each in await store.claim(T0, 10, LEASE)] == [ANNA]
        with server.client() as client:
            client.zadd(bucket.due[0], {b"\xff": 0})
        assert await store.claim(T0, 10, LEASE) == []
        assert await store.next_due() == T0 + LEASE

    on(server, test)
