"""What the tests of every store do time and again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from ussd_server.stores.base import Change, Claimed, KeptAnswer, OutboxEntry, Store
from ussd_server.subscribers.record import Subscriber

ANNA, BORIS, VERA = "79100000001", "79100000002", "447700900123"
T0 = 1_790_000_000_000
LEASE = 60_000

Open = Callable[..., Store]
"""Opens one more store on the same data; options are those of every store."""


@asynccontextmanager
async def closing(*stores: Store) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for store in stores:
            await store.close()


def on(open_store: Open, test: Callable[[Store], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run the test on a new store and close it."""

    async def body() -> None:
        store = open_store(**options)
        async with closing(store):
            await test(store)

    asyncio.run(body())


def entry(id: str, kind: Any = "sms", due: int = T0, **data: Any) -> OutboxEntry:
    return OutboxEntry(id, kind, due, data)


async def put(
    store: Store, msisdn: str, *outbox: OutboxEntry, settled: tuple[str, ...] = (), dropped: tuple[str, ...] = ()
) -> bool:
    record, version = await store.load(msisdn)
    return await store.commit(Change(version, record, outbox=outbox, settled=settled, dropped=dropped))


def ids(claimed: list[Claimed]) -> list[str]:
    return [each.entry.id for each in claimed]


async def told(store: Store, change: Change, held: bool = False) -> Any:
    """Commit as turns do, and hold what comes of it if so asked; return what is told, once, and not before its time."""
    heard: list[Any] = []
    if held:
        store.commit_and_hold_then(change, T0, T0 + LEASE, heard.append)
    else:
        store.commit_then(change, heard.append)
    assert heard == []
    while not heard:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(heard) == 1
    return heard[0]


def answer_to(key: str, body: bytes = b"body", terminal: str = "kiosk-1", expires: int = T0) -> KeptAnswer:
    return KeptAnswer(terminal, key, b"fingerprint", body, expires)


async def put_answer(store: Store, msisdn: str, answer: KeptAnswer, language: str = "", *outbox: OutboxEntry) -> bool:
    _, version = await store.load(msisdn)
    return await store.commit(Change(version, Subscriber(msisdn, language), outbox=outbox, answer=answer))
