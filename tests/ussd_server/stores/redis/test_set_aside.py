"""What another program writes where a bucket lists who is next or what is held is set aside and told; work goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.redis_servers import DURABLE, RedisServer, running
from tests.ussd_server.stores.redis.steps import ANNA, BORIS, LEASE, T0, count, on
from tests.ussd_server.stores.redis.test_damaged_keys import OTHER_TYPES, replaced
from ussd_server.stores.base import Change, Claimed, KeptAnswer, OutboxEntry, StoreUnavailable
from ussd_server.stores.redis.store import RedisStore
from ussd_server.subscribers.record import Subscriber

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


# Lists of what was given up and what will be over, and of who there is ------------------------------------------------


def letters(id: str) -> OutboxEntry:
    return OutboxEntry(id, "letters", T0, {})


async def furnish(store: RedisStore) -> Claimed:
    """Let everybody have two dead letters of each of two kinds, an answer and a message; return `ANNA`'s, held."""
    for msisdn in NUMBERS:
        await put(store, *(make(f"{make.__name__}-{n}") for make in (sms, letters) for n in (1, 2)), msisdn=msisdn)
    while claimed := await store.claim(T0, 1000, LEASE):
        for each in claimed:
            await store.bury(each, T0, "refused")
    for msisdn in NUMBERS:
        await commit_answer(store, msisdn, "1")
        await put(store, sms("left"), msisdn=msisdn)
    return next(each for each in await store.claim(T0, 1000, LEASE) if each.msisdn == ANNA)


async def commit_answer(store: RedisStore, msisdn: str, name: str) -> None:
    record, version = await store.load(msisdn)
    answer = KeptAnswer("kiosk-1", f"{msisdn}-{name}", b"fingerprint", b"body" * 100, T0 + len(name))
    assert await store.commit(Change(version, record, answer=answer))


async def answered(store: RedisStore, held: Claimed) -> None:
    await commit_answer(store, ANNA, "20")


async def exhume_one(store: RedisStore, held: Claimed) -> None:
    record, version = await store.load(ANNA)
    assert await store.commit(Change(version, record, exhumed=["sms-2"]))


async def exhume_all(store: RedisStore, held: Claimed) -> None:
    record, version = await store.load(ANNA)
    ids = [each.id for each in await store.dead_letters(ANNA)]
    assert await store.commit(Change(version, record, exhumed=ids))


async def bury_another_of_its_id(store: RedisStore, held: Claimed) -> None:
    await put(store, letters("sms-1"))
    (claimed,) = await store.claim(T0, 10, LEASE)
    await store.bury(claimed, T0, "refused")


async def restore_less(store: RedisStore, held: Claimed) -> None:
    whole = await store.dump(ANNA)
    assert whole
    del whole.dead_letters[0], whole.answers[0]
    await store.restore(whole)


async def count_given_up(store: RedisStore, held: Claimed) -> None:
    await store.count_dead_letters()


async def walk_given_up(store: RedisStore, held: Claimed) -> None:
    await store.given_up("", 10)


TOLD: list[Callable[[RedisStore, Claimed], Awaitable[None]]] = [
    answered,
    exhume_one,
    exhume_all,
    bury,
    bury_another_of_its_id,
    restore,
    restore_less,
    forget,
    sweep,
    count_given_up,
    walk_given_up,
]


@pytest.mark.parametrize("first", TOLD, ids=lambda first: first.__name__)
@pytest.mark.parametrize("which", ["given_up", "kinds", "expiring"])
def test_what_was_given_up_and_what_will_be_over_is_listed_again(
    server: RedisServer, which: str, first: Callable[[RedisStore, Claimed], Awaitable[None]]
) -> None:
    async def test(store: RedisStore) -> None:
        held = await furnish(store)
        bucket = store._home(ANNA).bucket
        key = getattr(bucket, which).decode()
        octets = replaced(server, key, OTHER_TYPES[0])
        await first(store, held)
        counts, given_up = await store.count_dead_letters(), await store.given_up("", 1000)
        assert await store.sweep(T0, 1000) == 0
        wholes = [whole for each in NUMBERS if (whole := await store.dump(each))]
        dead = [each.kind for whole in wholes for each in whole.dead_letters]
        assert counts == {kind: dead.count(kind) for kind in ("sms", "letters")}
        assert sorted(given_up) == sorted(whole.record.msisdn for whole in wholes if whole.dead_letters)
        assert set_aside(server, key) == [octets]
        kept = [each for whole in wholes for each in whole.answers]
        assert await store.sweep(T0 + 2, 1000) == len(kept)
        with server.client() as client:
            assert not client.exists(*(bucket.expiring for bucket in store._layout.buckets))

    on(server, test)


def write_count(server: RedisServer, store: RedisStore, kind: str, number: str) -> None:
    """Let this be how many dead letters of a kind there are in `ANNA`'s bucket."""
    with server.client() as client:
        client.hset(store._home(ANNA).bucket.kinds, kind, number)


@pytest.mark.parametrize(
    ("first", "number"),
    [
        *((each, "abc") for each in (exhume_one, exhume_all, bury, bury_another_of_its_id, restore, restore_less)),
        (forget, "abc"),
        (bury, ""),
        (bury, str(2**63 - 1)),
        (exhume_one, str(-(2**63))),
    ],
)
def test_dead_letters_are_counted_anew_where_what_counts_them_is_no_number(
    server: RedisServer, first: Callable[[RedisStore, Claimed], Awaitable[None]], number: str
) -> None:
    async def test(store: RedisStore) -> None:
        held = await furnish(store)
        write_count(server, store, "sms", number)
        await first(store, held)
        counts = await store.count_dead_letters()
        wholes = [whole for each in NUMBERS if (whole := await store.dump(each))]
        dead = [each.kind for whole in wholes for each in whole.dead_letters]
        assert counts == {kind: dead.count(kind) for kind in ("sms", "letters")}
        (_,) = set_aside(server, store._home(ANNA).bucket.kinds.decode())

    on(server, test)


def test_a_count_of_dead_letters_that_is_no_number_is_left_out_until_it_is_made_anew(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await furnish(store)
        before = await store.count_dead_letters()
        assert set(before) == {"sms", "letters"}
        write_count(server, store, "sms", "abc")
        counts = await store.count_dead_letters()
        assert counts["letters"] == before["letters"]
        assert counts.get("sms", 0) < before["sms"]

    on(server, test)


def test_what_is_given_up_is_a_dead_letter_and_its_lane_goes_on_where_what_counts_it_is_no_number(
    server: RedisServer,
) -> None:
    async def test(store: RedisStore) -> None:
        await put(store, sms("s1"), sms("s2"))
        (held,) = await store.claim(T0, 10, LEASE)
        write_count(server, store, "sms", "abc")
        await store.bury(held, T0, "refused")
        assert [each.id for each in await store.dead_letters(ANNA)] == ["s1"]
        assert await store.given_up("", 10) == [ANNA]
        assert (await performed(store, T0))[ANNA] == ["s2"]

    on(server, test)


def test_a_dead_letter_is_taken_back_as_a_whole_where_what_counts_it_is_no_number(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        await put(store, sms("s1"))
        (held,) = await store.claim(T0, 10, LEASE)
        await store.bury(held, T0, "refused")
        write_count(server, store, "sms", "abc")
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record, outbox=[sms("again")], exhumed=["s1"]))
        assert await store.dead_letters(ANNA) == []
        assert await store.given_up("", 10) == []
        assert (await performed(store, T0))[ANNA] == ["again"]

    on(server, test)


def test_what_cannot_be_counted_as_given_up_stays_in_the_outbox() -> None:
    async def test(store: RedisStore) -> None:
        await put(store, sms("s1"))
        (held,) = await store.claim(T0, 10, LEASE)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-hincrby")
            with pytest.raises(StoreUnavailable):
                await store.bury(held, T0, "refused")
            client.execute_command("ACL", "SETUSER", "default", "+hincrby")
        (again,) = await store.claim(T0 + LEASE, 10, LEASE)
        assert (again.entry.id, await store.dead_letters(ANNA)) == ("s1", [])
        await store.bury(again, T0, "refused")
        assert [each.id for each in await store.dead_letters(ANNA)] == ["s1"]
        assert await store.count_dead_letters() == {"sms": 1}

    with running(*DURABLE) as server:
        on(server, test)


async def first_commit(store: RedisStore) -> None:
    assert await store.commit(Change(0, Subscriber(BORIS), outbox=[sms("s1")]))


async def first_restore(store: RedisStore) -> None:
    whole = await store.dump(ANNA)
    assert whole
    await store.restore(msgspec.structs.replace(whole, record=Subscriber(BORIS), answers=[]))


async def forgotten(store: RedisStore) -> None:
    await store.forget(ANNA)


@pytest.mark.parametrize("change", [first_commit, first_restore, forgotten], ids=lambda change: change.__name__)
def test_where_nobody_knows_any_more_who_has_a_record_what_changes_that_is_refused_as_a_whole(
    server: RedisServer, change: Callable[[RedisStore], Awaitable[None]]
) -> None:
    async def test(store: RedisStore) -> None:
        await furnish(store)
        bucket = store._home(ANNA).bucket
        assert store._home(BORIS).bucket is bucket
        replaced(server, bucket.all.decode(), OTHER_TYPES[0])
        before = await store.dump(ANNA), await store.count_dead_letters(), everything_in(server)
        with pytest.raises(StoreUnavailable, match="another program's data"):
            await change(store)
        assert (await store.dump(ANNA), await store.count_dead_letters(), everything_in(server)) == before

    on(server, test, options="buckets=1")


def everything_in(server: RedisServer) -> dict[bytes, bytes | None]:
    """Return each key but those that lead to answers, as DUMP has it."""
    with server.client() as client:
        return {key: client.dump(key) for key in client.scan_iter() if not key.endswith((b":pointers", b":pointing"))}


def test_a_commit_goes_through_also_where_nothing_can_be_listed_anew(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        held = await furnish(store)
        bucket = store._home(ANNA).bucket
        with server.client() as client:
            listed = client.dump(bucket.all)
            for key in (bucket.all, *bucket.due, bucket.work, bucket.given_up, bucket.kinds, bucket.expiring):
                replaced(server, key.decode(), OTHER_TYPES[0])
            await put(store, sms("s1"), order("o1"))
            await exhume_one(store, held)
            await answered(store, held)
            await store.bury(held, T0, "refused")
            with pytest.raises(StoreUnavailable, match="another program's data"):
                await store.count_dead_letters()
            client.restore(bucket.all, 0, listed, replace=True)
        assert (await performed(store, T0 + LEASE + 1))[ANNA] == ["o1", "s1"]
        assert (await store.count_dead_letters())["sms"] == 2 * len(NUMBERS)
        assert await store.sweep(T0 + 2, 1000) == len(NUMBERS) + 1

    on(server, test)
