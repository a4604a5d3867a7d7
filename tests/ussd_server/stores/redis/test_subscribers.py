"""All there is of a subscriber on Redis: a journal is as long as it may be, and who is forgotten leaves nothing."""

from typing import Any

import pytest

from tests.redis_servers import RedisServer
from tests.ussd_server.stores.redis.steps import ANNA, BORIS, LEASE, NUMBERS, T0, on
from ussd_server.stores.base import JOURNAL_ENTRIES, Change, JournalEntry, KeptAnswer, OutboxEntry, StoreUnavailable
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.answers import READ
from ussd_server.stores.redis.store import RedisStore
from ussd_server.subscribers.record import Subscriber

VERA = "79100000003"
ANSWERS = [KeptAnswer("kiosk-1", f"key-{n}", b"fingerprint", b"body", T0) for n in range(3)]


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


def traces(server: RedisServer, msisdn: str) -> list[str]:
    """Return the keys that name a subscriber, or whose value does."""
    with server.client() as client:
        reads = {b"string": client.get, b"hash": client.hgetall, b"stream": client.xrange}
        reads |= {b"zset": lambda key: client.zrange(key, 0, -1), b"list": lambda key: client.lrange(key, 0, -1)}
        kept = {key: repr((key, reads[client.type(key)](key))) for key in client.scan_iter()}
    return [key.decode() for key, content in kept.items() if msisdn in content]


def test_who_is_forgotten_by_a_command_that_was_killed_at_it_leaves_nothing_when_it_is_given_again(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that ended without a commit leave nothing either; what leads to others' answers stays."""

    async def killed(names: object, digits: bytes) -> None:
        raise ConnectionAbortedError

    async def test(store: RedisStore) -> None:
        for answer in ANSWERS[:2]:
            assert await store.commit(Change((await store.load(ANNA))[1], Subscriber(ANNA), answer=answer))
        assert await store.commit(Change(0, Subscriber(BORIS), answer=ANSWERS[2]))
        broken_off = KeptAnswer("kiosk-1", "broken off", b"fingerprint", b"body", T0)
        assert not await store.commit(Change(0, Subscriber(ANNA), answer=broken_off))
        with monkeypatch.context() as patched:
            patched.setattr(store, "_unpoint", killed)
            with pytest.raises(ConnectionAbortedError):
                await store.forget(ANNA)
        assert traces(server, ANNA) != []
        assert not await store.forget(ANNA)
        assert traces(server, ANNA) == []
        assert await store.answer("kiosk-1", "key-2") == ANSWERS[2]
        other = next(bucket for bucket in store._layout.buckets if bucket is not store._home(BORIS).bucket)
        with server.client() as client:  # another program writes there
            client.delete(other.pointers)
            client.set(other.pointers, "5")
        assert await store.forget(BORIS)

    on(server, test)


def test_of_whom_only_dead_letters_are_left_there_was_something_to_forget(server: RedisServer) -> None:
    async def test(store: RedisStore) -> None:
        assert await store.commit(Change(0, Subscriber(ANNA), outbox=[OutboxEntry("s1", "sms", T0, {})]))
        (held,) = await store.claim(T0, 10, LEASE)
        await store.bury(held, T0, "refused")
        home = store._home(ANNA)
        with server.client() as client:
            client.delete(home.record, home.bucket.journal(home.digits))
        assert await store.forget(ANNA)
        assert not await store.forget(ANNA)
        assert traces(server, ANNA) == []

    on(server, test)


def test_pointers_are_read_in_pieces_and_once_for_all_who_are_forgotten(server: RedisServer) -> None:
    """There is one for each request that was answered in a day."""

    async def test(store: RedisStore) -> None:
        assert await store.commit(Change(0, Subscriber(ANNA), answer=ANSWERS[0]))
        assert await store.commit(Change(0, Subscriber(BORIS), answer=ANSWERS[1]))
        with server.client() as client:
            for bucket in store._layout.buckets:
                client.hset(
                    bucket.pointers, mapping={f"others-{bucket.number}-{n}": "79990000000" for n in range(5_000)}
                )
            for name in (b"hers-%d" % n for n in range(20)):
                client.hset(store._layout.bucket(name).pointers, name, ANNA)
            reads = []
            for forgotten in ([VERA], [ANNA, BORIS, *NUMBERS]):
                client.config_resetstat()
                await store.forget_each(forgotten)
                reads.append(client.info("commandstats")["cmdstat_hscan"]["calls"])
            assert reads[0] >= 4 * 5_000 / (2 * READ)
            assert reads[1] < 2 * reads[0]
            assert sum(client.hlen(bucket.pointers) for bucket in store._layout.buckets) == 4 * 5_000
        assert traces(server, ANNA) == traces(server, BORIS) == []

    on(server, test)


def test_who_is_forgotten_while_some_pointers_cannot_be_read_is_gone_and_the_rest_goes_by_the_same_command(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A master of a Cluster is away; what is asked of the others is done all the same."""

    async def test(store: RedisStore) -> None:
        answers = [KeptAnswer("kiosk-1", f"key-{n}", b"fingerprint", b"body", T0) for n in range(20)]
        for answer in answers:
            assert await store.commit(Change((await store.load(ANNA))[1], Subscriber(ANNA), answer=answer))
        call = store._layout.call

        def part(bucket: keys.Bucket, script: str, *touched: Any) -> Any:
            if bucket is store._layout.buckets[3] and script == "pointers_to":
                raise StoreUnavailable("away")
            return call(bucket, script, *touched)

        with monkeypatch.context() as patched:
            patched.setattr(store._layout, "call", part)
            with pytest.raises(StoreUnavailable, match="away"):
                await store.forget(ANNA)
        assert not (await store.load(ANNA, latest=True))[1]
        assert not await store.forget(ANNA)
        assert traces(server, ANNA) == []

    on(server, test)


@pytest.mark.parametrize("prefix", ["ussd", "a*b", "[x]", "a?c", "a\\b", "x^-"])
def test_the_pattern_of_all_records_means_the_prefix_as_it_is_spelt(server: RedisServer, prefix: str) -> None:
    (bucket,) = keys.every_bucket(prefix, 1)
    with server.client() as client:
        client.flushall()
        client.set(bucket.record(ANNA.encode()).decode(), b"")
        client.set(bucket.journal(ANNA.encode()).decode(), b"")
        client.set(keys.every_bucket("axb", 1)[0].record(ANNA.encode()).decode(), b"")
        assert list(client.scan_iter(keys.every_record(prefix))) == [bucket.record(ANNA.encode())]
        client.flushall()
