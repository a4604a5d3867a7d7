"""The stores that the contract is for, by name; each call opens one more store on the same data.

A new store is one more line in `STORES`. As a program it is another server: `python -m tests.contracts.stores NAME
PLACE WORK [TIMES]` does one of `WORKS`, so many times or until killed, and says each number when it is committed.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests import redis_servers
from ussd_server import store_url
from ussd_server.store_url import RedisUrl
from ussd_server.stores.base import Change, JournalEntry, KeptAnswer, OutboxEntry, Store
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.terminals.record import Terminal

MSISDN = "79100000001"
TERMINAL = "kiosk-1"

EXAMPLES = {"sqlite": 1.0, "redis": 0.5, "redis-cluster": 0.25}
"""Which share of a model's examples a store is tried with: as the time that one takes allows."""

REDIS_KINDS = {"redis": "ALONE", "redis-cluster": "CLUSTER"}
"""Which servers of `tests/redis_servers.py` a store is on."""


def redis_store(kind: str, place: Path, **options: Any) -> RedisStore:
    """Open a store that knows at every moment what others have left to do, as the contract has it."""
    url = store_url.parse(redis_servers.url_for(kind, place))
    assert isinstance(url, RedisUrl)
    return RedisStore(url, look_ms=0, **{"patience_s": redis_servers.PATIENCE_S, **options})


STORES: dict[str, Callable[..., Store]] = {
    "sqlite": lambda place, **options: SqliteStore(place / "store.db", **options),
    "redis": lambda place, **options: redis_store("ALONE", place, **options),
    "redis-cluster": lambda place, **options: redis_store("CLUSTER", place, **options),
}


async def count(store: Store, times: int) -> None:
    """Count in one record, with a journal entry and an entry of the outbox for each number."""
    while times:
        record, version = await store.load(MSISDN)
        number = record.activated_at + 1
        change = Change(
            version,
            msgspec.structs.replace(record, activated_at=number),
            journal=[JournalEntry(number, "counted", {})],
            outbox=[OutboxEntry(f"entry-{number}", "sms", number, {})],
        )
        if await store.commit(change):
            print(number, flush=True)
            times -= 1


async def serve(store: Store, times: int) -> None:
    """Serve one terminal after another: each has a nonce that is used and a request that is answered."""
    number = 0
    while number != times:
        number += 1
        terminal = f"{TERMINAL}-{number}"
        assert await store.commit_terminal(Terminal(terminal, f"number {number}"), 0)
        assert await store.use_nonce(terminal, "nonce", number)
        record, version = await store.load(MSISDN)
        answer = KeptAnswer(terminal, "key", b"fingerprint", str(number).encode(), number)
        assert await store.commit(Change(version, record, answer=answer))
        print(number, flush=True)


async def replay(store: Store, times: int) -> None:
    """Use the same nonces as every other such server, many at once, and say which of them were had."""
    for first in range(0, times, 50):
        nonces = range(first, first + 50)
        had = await asyncio.gather(*(store.use_nonce(TERMINAL, f"nonce-{nonce}", 1) for nonce in nonces))
        print(*(nonce for nonce, first_use in zip(nonces, had, strict=True) if first_use), flush=True)


async def register(store: Store, times: int) -> None:
    """Count in one terminal's record."""
    while times:
        terminal, version = await store.load_terminal(TERMINAL)
        number = terminal.added_at + 1 if terminal else 1
        if await store.commit_terminal(Terminal(TERMINAL, "one of all", added_at=number), version):
            print(number, flush=True)
            times -= 1


WORKS = {"count": count, "serve": serve, "replay": replay, "register": register}


async def main(name: str, place: str, work: str, times: str = "-1") -> None:
    store = STORES[name](Path(place))
    await WORKS[work](store, int(times))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
