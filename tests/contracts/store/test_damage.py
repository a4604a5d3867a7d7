"""One entry whose data cannot be decoded stands for itself: all other work goes on, and what is behind it, too."""

import base64
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.contracts.store.steps import ANNA, LEASE, T0, Open, entry, ids, on, put
from ussd_server.stores.base import Change, DeadLetter, Store
from ussd_server.stores.damaged import DAMAGED
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.sqlite.store import SqliteStore

# Each of them is no data in either form, JSON or MessagePack.
OCTETS = [b"", b'{"fr', b"[]", b"\xc1\xff"]

REPLACE = """local entry = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
entry[12] = ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(entry))"""


async def damage(store: Store, msisdn: str, id: str, octets: bytes) -> None:
    """Let these octets be kept as the data of an entry that waits."""
    if isinstance(store, SqliteStore):
        statement = "UPDATE outbox SET data = CAST(? AS TEXT) WHERE id = ?"
        assert (await store._do(lambda: store._db.execute(statement, (octets, id)))).rowcount == 1
    elif isinstance(store, RedisStore):
        _, bucket, digits = store._home(msisdn)
        command = (b"EVAL", REPLACE, 1, bucket.outbox(digits), id, octets)
        await store.link.ask(bucket.slot, command, writes=True).answer


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
