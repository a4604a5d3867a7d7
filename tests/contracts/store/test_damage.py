"""One entry, note or record that cannot be decoded stands for itself: all else goes on, and what is behind it, too."""

import base64
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, Open, entry, ids, on, put
from ussd_server.log import mask
from ussd_server.stores.base import Change, DamagedRecord, DeadLetter, JournalEntry, Store, StoreUnavailable
from ussd_server.stores.damaged import DAMAGED
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.sqlite.store import SqliteStore

# Each of them is no data in either form, JSON or MessagePack.
OCTETS = [b"", b'{"fr', b"[]", b"\xc1\xff"]

REPLACE = """local entry = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
entry[tonumber(ARGV[3])] = ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(entry))"""


REPLACE_IN_LETTER = """local letter, id = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1])), ARGV[1]
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], id)
  id = ARGV[3]
else
  letter[tonumber(ARGV[2])] = ARGV[3]
end
redis.call('HSET', KEYS[1], id, cmsgpack.pack(letter))"""


async def damage(store: Store, msisdn: str, id: str, octets: bytes, what: str = "data") -> None:
    """Let these octets be kept as the data, or the `reason`, of an entry that waits."""
    if isinstance(store, SqliteStore):
        statement = f"UPDATE outbox SET {what} = CAST(? AS TEXT) WHERE id = ?"
        assert (await store._do(lambda: store._db.execute(statement, (octets, id)))).rowcount == 1
    elif isinstance(store, RedisStore):
        _, bucket, digits = store._home(msisdn)
        command = (b"EVAL", REPLACE, 1, bucket.outbox(digits), id, octets, {"data": 12, "reason": 8}[what])
        await store.link.ask(bucket.slot, command, writes=True).answer


async def damage_record(store: Store, msisdn: str, octets: bytes) -> None:
    """Let a record be kept that begins with these octets."""
    if isinstance(store, SqliteStore):
        statement = "UPDATE subscriber SET record = ? WHERE msisdn = ?"
        assert (await store._do(lambda: store._db.execute(statement, (octets, int(msisdn))))).rowcount == 1
        store._cache.drop(msisdn)
    elif isinstance(store, RedisStore):
        key, bucket, _ = store._home(msisdn)
        await store.link.ask(bucket.slot, (b"SETRANGE", key, 8, octets), writes=True).answer
        store._cache.drop(msisdn)


async def damage_letter(store: Store, msisdn: str, id: str, what: str, octets: bytes) -> None:
    """Let these octets be kept as the `id`, `kind` or `reason` of a dead letter."""
    if isinstance(store, SqliteStore):
        statement = f"UPDATE dead_letter SET {what} = CAST(? AS TEXT) WHERE msisdn = ? AND id = ?"
        assert (await store._do(lambda: store._db.execute(statement, (octets, int(msisdn), id)))).rowcount == 1
    elif isinstance(store, RedisStore):
        _, bucket, digits = store._home(msisdn)
        place = {"id": 0, "kind": 5, "reason": 4}[what]
        command = (b"EVAL", REPLACE_IN_LETTER, 1, bucket.dead(digits), id, place, octets)
        await store.link.ask(bucket.slot, command, writes=True).answer


async def damage_note(store: Store, msisdn: str, index: int, octets: bytes) -> None:
    """Let these octets be kept as a note of the journal, or its data; the oldest has the index 0."""
    if isinstance(store, SqliteStore):
        statement = """UPDATE journal SET data = CAST(? AS TEXT)
            WHERE seq = (SELECT seq FROM journal WHERE msisdn = ? ORDER BY seq LIMIT 1 OFFSET ?)"""
        change = await store._do(lambda: store._db.execute(statement, (octets, int(msisdn), index)))
        assert change.rowcount == 1
    elif isinstance(store, RedisStore):
        _, bucket, digits = store._home(msisdn)
        await store.link.ask(bucket.slot, (b"LSET", bucket.journal(digits), index, octets), writes=True).answer


def damaged(octets: bytes) -> dict[str, Any]:
    return {DAMAGED: base64.b64encode(octets).decode()}


@pytest.mark.parametrize("octets", OCTETS)
def test_a_damaged_entry_is_claimed_as_such_and_beside_it_all_others(open_store: Open, octets: bytes) -> None:
    async def test(store: Store) -> None:
        numbers = [f"7910000{n:04}" for n in range(1000, 1030)]
        for msisdn in numbers:
            await put(store, msisdn, entry(f"{msisdn}-1", text="x"), entry(f"{msisdn}-2"))
        await damage(store, numbers[7], f"{numbers[7]}-1", octets)
        claimed = {each.msisdn: each for each in await store.claim(T0, 100, LEASE)}
        assert sorted(claimed) == numbers
        assert claimed[numbers[6]].entry == entry(f"{numbers[6]}-1", text="x")
        assert claimed[numbers[7]].entry == entry(f"{numbers[7]}-1", **damaged(octets))

    with capture_logs() as logs:
        on(open_store, test)
    assert logs == []


@pytest.mark.parametrize("octets", OCTETS)
def test_a_damaged_entry_is_given_up_and_what_is_behind_it_goes_on(open_store: Open, octets: bytes) -> None:
    async def test(store: Store) -> None:
        await put(store, ANNA, entry("a", text="x"), entry("b"))
        await damage(store, ANNA, "a", octets)
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.bury(claimed, T0, "damaged")
        assert await store.dead_letters(ANNA) == [
            DeadLetter(ANNA, "a", "sms", damaged(octets), 0, T0, 1, "damaged"),
        ]
        assert await store.count_dead_letters() == {"sms": 1}
        assert ids(await store.claim(T0, 10, LEASE)) == ["b"]
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, exhumed=["a"]))
        assert await store.dead_letters(ANNA) == []

    on(open_store, test)


@pytest.mark.parametrize("octets", OCTETS)
def test_a_damaged_entry_is_dropped_as_any_other(open_store: Open, octets: bytes) -> None:
    async def test(store: Store) -> None:
        await put(store, ANNA, entry("a", text="x"), entry("b"))
        await damage(store, ANNA, "a", octets)
        assert await put(store, ANNA, dropped=("a",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["b"]
        assert await store.dead_letters(ANNA) == []

    on(open_store, test)


@pytest.mark.parametrize("octets", OCTETS)
def test_what_is_damaged_moves_to_another_store_as_it_is(open_store: Open, octets: bytes) -> None:
    async def test(store: Store) -> None:
        await put(store, ANNA, entry("a", text="x"), entry("b", text="y"), entry("c"))
        await damage(store, ANNA, "a", octets)
        await damage(store, ANNA, "b", octets)
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.bury(claimed, T0, "damaged")
        whole = await store.dump(ANNA)
        assert whole is not None
        assert [each.data for each in whole.dead_letters] == [damaged(octets)]
        assert [each.entry.data for each in whole.outbox] == [damaged(octets), {}]
        await store.restore(whole)
        assert await store.dump(ANNA) == whole

    on(open_store, test)


@pytest.mark.parametrize("octets", [b"\xff", b"e\x80\x00"])
@pytest.mark.parametrize("what", ["id", "kind", "reason"])
def test_a_dead_letter_of_which_a_text_is_none_is_told_of_as_such_and_thrown_away_alone(
    open_store: Open, what: str, octets: bytes
) -> None:
    async def test(store: Store) -> None:
        for msisdn in (ANNA, BORIS):
            await put(store, msisdn, entry(f"{msisdn}-a", text="x"), entry(f"{msisdn}-b"))
            for _ in range(2):
                (claimed,) = await store.claim(T0, 10, LEASE)
                await store.bury(claimed, T0, "refused")
        await damage_letter(store, ANNA, f"{ANNA}-a", what, octets)
        one, other = sorted(await store.dead_letters(ANNA), key=lambda each: each.id == f"{ANNA}-b")
        assert other == DeadLetter(ANNA, f"{ANNA}-b", "sms", {}, 0, T0, 1, "refused")
        if what == "reason":
            shown = octets.decode(errors="backslashreplace")
            assert one == DeadLetter(ANNA, f"{ANNA}-a", "sms", {"text": "x"}, 0, T0, 1, shown)
        else:
            assert (one.kind, list(one.data)) == (DAMAGED, [DAMAGED])
            assert octets in base64.b64decode(one.data[DAMAGED])
        assert len(await store.dead_letters(BORIS)) == 2
        assert sum((await store.count_dead_letters()).values()) == 4
        whole = await store.dump(ANNA)
        assert whole is not None
        assert one in whole.dead_letters
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, exhumed=[one.id]))
        assert await store.dead_letters(ANNA) == [other]
        await store.restore(whole)
        assert await store.dump(ANNA) == whole
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, exhumed=[one.id]))
        assert await store.dead_letters(ANNA) == [other]
        assert {kind for kind, many in (await store.count_dead_letters()).items() if many} >= {"sms"}

    on(open_store, test)


def test_a_reason_that_is_no_text_is_shown_as_its_octets_and_stops_nobody(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await put(store, ANNA, entry("a"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.postpone(claimed, T0, "busy")
        await damage(store, ANNA, "a", b"no \xff", "reason")
        whole = await store.dump(ANNA)
        assert whole is not None
        assert [each.reason for each in whole.outbox] == [r"no \xff"]

    on(open_store, test)


@pytest.mark.parametrize("octets", OCTETS)
def test_a_damaged_note_is_told_of_as_such_and_beside_it_all_others(open_store: Open, octets: bytes) -> None:
    async def test(store: Store) -> None:
        record, version = await store.load(ANNA)
        notes = [JournalEntry(T0 + n, "x" if n % 2 else "y", {"n": n}) for n in range(6)]
        assert await store.commit(Change(version, record, journal=notes))
        await damage_note(store, ANNA, 3, octets)
        journal = await store.journal(ANNA)
        assert [each.kind for each in journal] == ["x", "y", DAMAGED, "y", "x", "y"]
        assert [*journal[:2], *journal[3:]] == [notes[5], notes[4], notes[2], notes[1], notes[0]]
        assert list(journal[2].data) == [DAMAGED]
        assert base64.b64decode(journal[2].data[DAMAGED]).endswith(octets)
        # Of a kind there are as many as are asked for, whatever is damaged between them.
        assert await store.journal(ANNA, "x", 2) == [notes[5], notes[1]]
        assert await store.journal(ANNA, DAMAGED) == [journal[2]]
        assert await store.journal(ANNA, DAMAGED, 0) == []
        whole = await store.dump(ANNA)
        assert whole is not None
        assert whole.journal == journal[::-1]
        await store.restore(whole)
        assert await store.dump(ANNA) == whole

    on(open_store, test)


# No MessagePack, no record, and a record of which a text is no UTF-8.
@pytest.mark.parametrize("octets", [b"\xff\x00", b"\x90", b"\x91\xa2\xff\xfe"])
def test_a_damaged_record_is_refused_as_such_under_a_masked_number_and_can_be_forgotten(
    open_store: Open, octets: bytes
) -> None:
    async def test(store: Store) -> None:
        await put(store, ANNA)
        await put(store, BORIS)
        await damage_record(store, ANNA, octets)
        for asked in (store.load, store.dump):
            with pytest.raises(DamagedRecord) as refused:
                await asked(ANNA)
            assert mask(ANNA) in str(refused.value)
            await asked(BORIS)
        assert await store.forget(ANNA)
        assert await store.subscribers("", 10) == [BORIS]

    on(open_store, test)


def test_a_store_that_is_away_is_no_damage(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await put(store, ANNA)
        if isinstance(store, SqliteStore):
            await store._do(lambda: store._db.execute("DROP TABLE subscriber"))
            store._cache.drop(ANNA)
        elif isinstance(store, RedisStore):
            await store.close()
        with pytest.raises(StoreUnavailable) as away:
            await store.dump(ANNA)
        assert not isinstance(away.value, DamagedRecord)

    on(open_store, test)
