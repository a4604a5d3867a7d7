"""What the tests of the Redis store share: a store at a server, and counting in a record."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.redis_servers import RedisServer
from ussd_server import store_url
from ussd_server.store_url import RedisUrl
from ussd_server.stores.base import JOURNAL_ENTRIES, Change, Claimed, JournalEntry, OutboxEntry, StoreUnavailable
from ussd_server.stores.redis.store import RedisStore

ANNA, BORIS = "79100000001", "79100000002"
T0 = 1_790_000_000_000
LEASE = 60_000
NUMBERS = [f"7910000{n:04}" for n in range(1000, 1030)]
DOCUMENT = Path(__file__).parents[4] / "docs" / "redis.md"

PATIENT_S = 60.0
"""How long a store of a test waits for what must come; far above what a loaded machine needs."""

LOOKS = 1_000
"""How often a test looks whether something was met, each time a question to Redis, before it goes on without."""


def parsed(url: str, options: str = "buckets=4") -> RedisUrl:
    read = store_url.parse(f"{url}?{options}")
    assert isinstance(read, RedisUrl)
    return read


def store_at(server: RedisServer, options: str = "buckets=4", patience_s: float = PATIENT_S, **more: Any) -> RedisStore:
    return RedisStore(parsed(server.url, options), look_ms=0, patience_s=patience_s, **more)


@contextmanager
def impatient(store: RedisStore, seconds: float = 0.3) -> Iterator[None]:
    """Have the store give up so soon what is asked of it meanwhile, because nothing can come of it."""
    patient, store.link._patience_s = store.link._patience_s, seconds
    try:
        yield
    finally:
        store.link._patience_s = patient


def on(server: RedisServer, test: Callable[[RedisStore], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def body() -> None:
        store = store_at(server, **more)
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(body())


async def refusal(ask: Callable[[], Awaitable[Any]], words: str) -> StoreUnavailable:
    """Ask until the refusal has these words, and return it.

    A store that gives up soon may say first that it heard nothing: a machine that stands still leaves no time for more.
    """
    while True:
        with pytest.raises(StoreUnavailable) as caught:
            await ask()
        if re.search(words, str(caught.value)):
            return caught.value
        assert "no answer for" in str(caught.value)


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


async def elsewhere(work: Any, *arguments: Any) -> Any:
    """Do what waits for servers while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def count_surely(store: RedisStore, msisdn: str, goal: int) -> None:
    """Count up to this number as a gateway has it done: an input is brought again until it was acknowledged.

    A refused commit may have been written; whoever tries again sees that in the record.
    """
    while True:
        try:
            record, version = await store.load(msisdn, latest=True)
            number = record.activated_at + 1
            if number > goal:
                return
            after = msgspec.structs.replace(record, activated_at=number)
            entry = OutboxEntry(f"e{number}", "sms", T0, {})
            await store.commit(Change(version, after, [JournalEntry(number, "counted", {})], [entry]))
        except StoreUnavailable:
            pass


async def claim_surely(store: RedisStore, many: int) -> list[Claimed]:
    """Claim so many entries and no more: servers of a Cluster that are slow are left out at first."""
    claimed: list[Claimed] = []
    while len(claimed) < many:
        claimed += await store.claim(T0, 1000, LEASE)
    assert len(claimed) == many
    return claimed


def through(url: str, disturb: Coroutine[Any, Any, None], options: str = "replicas=1&buckets=16") -> None:
    """Count in thirty records while something happens, and see that each count is there once."""

    async def body() -> None:
        store = RedisStore(parsed(url, options), look_ms=0, patience_s=PATIENT_S)
        await asyncio.gather(*(count_surely(store, msisdn, 1) for msisdn in NUMBERS))
        disturbing = asyncio.ensure_future(disturb)
        times = 1
        while not disturbing.done():
            times += 1
            await asyncio.gather(*(count_surely(store, msisdn, times) for msisdn in NUMBERS))
        await disturbing
        times += 1
        await asyncio.gather(*(count_surely(store, msisdn, times) for msisdn in NUMBERS))
        assert [await counted(store, msisdn) for msisdn in NUMBERS] == [times] * len(NUMBERS)
        await claim_surely(store, len(NUMBERS))
        await store.close()

    asyncio.run(body())


def is_master(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.info("replication")["role"] == "master")
