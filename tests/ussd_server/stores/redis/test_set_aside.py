"""What another program writes where a bucket lists who is next or what is held is set aside and told; work goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.redis_servers import RedisServer
from tests.ussd_server.stores.redis.steps import ANNA, LEASE, T0, count, on
from tests.ussd_server.stores.redis.test_damaged_keys import OTHER_TYPES, replaced
from ussd_server.stores.base import Change, Claimed, OutboxEntry
from ussd_server.stores.redis.store import RedisStore

NUMBERS = [ANNA, *(f"7910000{n:04}" for n in range(1000, 1012))]
ASIDE = "what another program wrote where this store keeps its lists was set aside"


def key_of(store: RedisStore, which: str) -> str:
    """Return the key of `ANNA`'s bucket that lists its messages, its orders, or what is held."""
    bucket = store._home(ANNA).bucket
    return {"messages": bucket.due[0], "orders": bucket.due[1], "work": bucket.work}[which].decode()


def set_aside(server: RedisServer, key: str) -> list[bytes]:
    """Return what lies beside a list, as DUMP has it."""
    with server.client() as client:
        found = [client.dump(each) for each in client.scan_iter(f"{key}:set-aside*".encode())]
    return [each for each in found if isinstance(each, bytes)]


async def put(store: RedisStore, *entries: OutboxEntry, msisdn: str = ANNA) -> None:
    record, version = await store.load(msisdn)
    assert await store.commit(Change(version, record, outbox=entries))


def sms(id: str) -> OutboxEntry:
    return OutboxEntry(id, "sms", T0, {})


def order(id: str) -> OutboxEntry:
    return OutboxEntry(id, "command", T0, {})


async def commit(store: RedisStore, held: Claimed) -> None:
    await put(store, sms("s3"), order("o3"))


async def commit_and_hold(store: RedisStore, held: Claimed) -> None:
    record, version = await store.load(ANNA)
    assert await store.commit_and_hold(Change(version, record, outbox=[sms("s3"), order("o3")]), T0, LEASE) is not None


async def commit_that_settles(store: RedisStore, held: Claimed) -> None:
    record, version = await store.load(ANNA)
    assert await store.commit(Change(version, record, settled=[held.entry.id]))


async def settle(store: RedisStore, held: Claimed) -> None:
    await store.settle([held])


async def postpone(store: RedisStore, held: Claimed) -> None:
    await store.postpone(held, T0 + 1, "busy")


async def bury(store: RedisStore, held: Claimed) -> None:
    await store.bury(held, T0, "refused")


async def renew(store: RedisStore, held: Claimed) -> None:
    await store.renew([held], T0 + LEASE + 1)


async def restore(store: RedisStore, held: Claimed) -> None:
    whole = await store.dump(ANNA)
    assert whole
    await store.restore(whole)


async def forget(store: RedisStore, held: Claimed) -> None:
    assert await store.forget(ANNA)


async def look(store: RedisStore, held: Claimed) -> None:
    await store.next_due()


async def sweep(store: RedisStore, held: Claimed) -> None:
    await store.sweep(T0, 10)


FIRST: list[Callable[[RedisStore, Claimed], Awaitable[None]]] = [
    commit,
    commit_and_hold,
    commit_that_settles,
    settle,
    postpone,
    bury,
    renew,
    restore,
    forget,
    look,
    sweep,
]
LEFT = {
    commit: ["o1", "o2", "o3", "s1", "s2", "s3"],
    commit_and_hold: ["o1", "o2", "o3", "s1", "s2", "s3"],
    commit_that_settles: ["o1", "o2", "s2"],
    settle: ["o1", "o2", "s2"],
    bury: ["o1", "o2", "s2"],
    forget: [],
}


async def performed(store: RedisStore, now: int) -> dict[str, list[str]]:
    """Claim and settle until nothing is left; return the ids by number."""
    ids: dict[str, list[str]] = {}
    while claimed := await store.claim(now, 1000, LEASE):
        for each in claimed:
            ids.setdefault(each.msisdn, []).append(each.entry.id)
        await store.settle(claimed)
    return {msisdn: sorted(each) for msisdn, each in ids.items()}


@pytest.mark.parametrize("which", ["messages", "orders", "work"])
@pytest.mark.parametrize("first", FIRST, ids=lambda first: first.__name__)
def test_whoever_meets_it_first_sets_it_aside_and_does_all_it_was_to_do(
    server: RedisServer, which: str, first: Callable[[RedisStore, Claimed], Awaitable[None]]
) -> None:
    async def test(store: RedisStore) -> None:
        for msisdn in NUMBERS:
            await put(store, sms("s1"), sms("s2"), order("o1"), order("o2"), msisdn=msisdn)
        held = {each.msisdn: each for each in await store.claim(T0, 1000, LEASE, [0])}
        assert held.keys() == set(NUMBERS)
        key = key_of(store, which)
        octets = replaced(server, key, OTHER_TYPES[0])
        await first(store, held[ANNA])
        left = LEFT.get(first, ["o1", "o2", "s1", "s2"])
        whole = await store.dump(ANNA)
        assert sorted(each.entry.id for each in whole.outbox if whole) == left if whole else left == []
        done = await performed(store, T0 + LEASE + 1)
        assert done == {msisdn: ["o1", "o2", "s1", "s2"] for msisdn in NUMBERS} | {ANNA: left} or (
            left == [] and done == {msisdn: ["o1", "o2", "s1", "s2"] for msisdn in NUMBERS if msisdn != ANNA}
        )
        assert set_aside(server, key) == [octets]

    on(server, test)


@pytest.mark.parametrize("which", ["messages", "work"])
def test_what_was_set_aside_stays_where_the_same_is_written_again_and_each_is_there_once(
    server: RedisServer, which: str
) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        key, octets = key_of(store, which), []
        for n, by in enumerate([*OTHER_TYPES[:2], OTHER_TYPES[0], lambda client, key: client.set(key, "a third")]):
            octets.append(replaced(server, key, by))
            assert len(await store.claim(T0 + n * LEASE, 10, LEASE)) == 1
        assert octets[2] == octets[0]
        assert sorted(set_aside(server, key)) == sorted(set(octets))

    on(server, test)


@pytest.mark.parametrize("by", OTHER_TYPES[:2])
@pytest.mark.parametrize("which", ["messages", "work"])
def test_it_is_told_once_with_its_key_until_it_is_gone(
    server: RedisServer, by: Callable[[Any, str], object], which: str
) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        key = key_of(store, which)
        replaced(server, key, by)
        assert len(await store.claim(T0, 10, LEASE)) == 1
        for _ in range(3):
            await store.next_due()
        mended(server, key)
        await store.next_due()
        replaced(server, key, by)
        for n in range(1, 4):
            await store.claim(T0 + n * LEASE, 10, LEASE)
        replaced(server, key, OTHER_TYPES[2] if which == "work" else lambda client, key: client.set(key, "other"))
        for n in range(4, 7):
            await store.claim(T0 + n * LEASE, 10, LEASE)

    with capture_logs() as logs:
        on(server, test)
    told = [(line["log_level"], line["key"]) for line in logs if line["event"] == ASIDE]
    assert told[0] == told[1] != told[2]
    assert len(told) == 3


def mended(server: RedisServer, key: str) -> None:
    """Do as the log says."""
    with server.client() as client:
        for each in client.scan_iter(f"{key}:set-aside*".encode()):
            client.delete(each)


def test_where_another_program_writes_over_the_list_of_what_was_set_aside_that_is_set_aside_too(
    server: RedisServer,
) -> None:
    async def test(store: RedisStore) -> None:
        await count(store)
        bucket = store._home(ANNA).bucket
        keys = [key_of(store, "messages"), bucket.aside.decode()]
        for n in range(2):
            octets = [replaced(server, key, OTHER_TYPES[n]) for key in reversed(keys)]
            if n:
                await store.next_due()
            else:
                await store.settle(await store.claim(T0, 10, LEASE))
            assert octets[0] in set_aside(server, keys[1])
            assert octets[1] in set_aside(server, keys[0])
        await store.next_due()
        with server.client() as client:
            told = [line["key"].encode() for line in logs if line["event"] == ASIDE]
            assert sorted(told) == sorted({*client.scan_iter(b"*:set-aside:*")})

    with capture_logs() as logs:
        on(server, test)


@pytest.mark.parametrize("lost", ["key", "group"])
def test_work_of_which_the_list_was_lost_is_taken_over_when_its_lease_is_over(server: RedisServer, lost: str) -> None:
    async def test(store: RedisStore) -> None:
        await count(store, 2)
        assert len(await store.claim(T0, 10, LEASE)) == 1
        key = key_of(store, "work")
        with server.client() as client:
            if lost == "key":
                client.delete(key)
            else:
                client.xgroup_destroy(key, "servers")
            await store.sweep(T0, 10)
            (again,) = await store.claim(T0 + LEASE, 10, LEASE)
            assert (again.entry.id, again.attempt) == ("e1", 2)
            await store.settle([again])
            (other,) = await store.claim(T0 + LEASE, 10, LEASE)
            assert other.entry.id == "e2"
            assert sum(each["pending"] for each in client.xinfo_consumers(key, "servers")) == 1
            await store.settle([other])
            assert client.xlen(key) == 0

    on(server, test)


def test_others_on_the_same_bucket_wait_for_nothing_while_a_key_is_written_again_and_again(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await asyncio.gather(*(put(store, sms("s1"), order("o1"), msisdn=msisdn) for msisdn in NUMBERS))
        seen: list[str] = []
        for _ in range(6):
            for which in ("messages", "work"):
                replaced(server, key_of(store, which), OTHER_TYPES[1])
            claimed = await store.claim(T0, 10, LEASE)
            seen += [f"{each.msisdn} {each.entry.id}" for each in claimed]
            await store.settle(claimed)
        assert sorted(seen) == sorted(f"{msisdn} {id}" for msisdn in NUMBERS for id in ("s1", "o1"))

    on(server, test)
