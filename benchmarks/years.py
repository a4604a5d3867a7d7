"""What years of use leave of a subscriber in a store: octets of a journal entry in Redis's memory and in SQLite's file.

`python -m benchmarks.years` fills a Redis and a file of its own, entry after entry as the server commits them, and
prints what each added. The entries are those that the server writes with receipts, its default: one of an SMS that was
delivered; of an order the consent with what was read, the order, and its end.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.on_redis import Redis, redis_server
from ussd_server.database import connect
from ussd_server.store_url import SqliteUrl, StoreUrl, parse
from ussd_server.stores.base import Change, JournalEntry
from ussd_server.stores.opening import open_store
from ussd_server.subscribers.record import Subscriber

SUBSCRIBERS = 2_000
AT = 1_795_900_000_000
DAY_MS = 86_400_000
READ = (
    "Сменить тариф на Всё своё? Он начнёт действовать 01.12.2026. Переход: 100 р. "
    "Абонентская плата: 450 р. в месяц. На счёте останется 123.45 р."
)
ROUNDS = (1, 2, 10, 25)
"""After how many of them to look: the first of all makes the list, 25 are what is kept of SMS."""

Entries = Callable[[int], Sequence[JournalEntry]]


def sms(number: int) -> Sequence[JournalEntry]:
    """Return what an SMS leaves."""
    at = AT + number * DAY_MS
    return (JournalEntry(at, "sms ended", {"outcome": "delivered", "sent": at, "sms": f"0f1e2d3c4b5a-{number:x}"}),)


def order(number: int) -> Sequence[JournalEntry]:
    """Return what an order leaves: what was read and agreed to, what it was, and how it ended."""
    at, id = AT + number * DAY_MS, f"0f1e2d3c4b5a69788796a5b4c3d2e1f{number:x}"
    placed = {"order": id, "operation": "change_tariff", "arguments": {"tariff": "all-own"}, "channel": "ussd"}
    return (
        JournalEntry(at, "consent", {"order": id, "read": READ, "channel": "ussd"}),
        JournalEntry(at, "order placed", {**placed, "terminal": "", "shown": READ}),
        JournalEntry(at, "order ended", {"order": id, "outcome": "done"}),
    )


async def grown(url: StoreUrl, entries: Entries, octets: Callable[[], int]) -> list[tuple[int, float]]:
    """Return how many octets a subscriber's journal has after each of `ROUNDS`; numbers come in turn, as in life."""
    store = await open_store(url, journal_entries=1_000)
    numbers = [str(79_100_000_000 + each) for each in range(SUBSCRIBERS)]
    found = []
    try:
        for msisdn in numbers:
            await store.commit(Change(0, Subscriber(msisdn)))
        before = octets()
        for number in range(1, max(ROUNDS) + 1):
            loaded = [await store.load(msisdn) for msisdn in numbers]
            changes = [Change(version, record, tuple(entries(number))) for record, version in loaded]
            await asyncio.gather(*map(store.commit, changes))
            if number in ROUNDS:
                found.append((number, (octets() - before) / SUBSCRIBERS))
    finally:
        await store.close()
    return found


def of_file(file: Path) -> int:
    """Return the size of a database, what is in its log and not in the file yet as well."""
    with closing(connect(str(file))) as db:
        pages, octets = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * octets)


async def _main(directory: Path) -> None:
    for name, entries in {"an SMS": sms, "an order": order}.items():
        file = directory / f"{entries.__name__}.db"
        with redis_server(directory, entries.__name__) as redis:
            on_redis = await grown(parse(redis.url), entries, partial(_of_redis, redis))
        on_sqlite = await grown(SqliteUrl(file), entries, partial(of_file, file))
        for (count, memory), (_, stored) in zip(on_redis, on_sqlite, strict=True):
            print(f"{name}, {count} of them: {memory:,.0f} octets in Redis, {stored:,.0f} in the file")


def _of_redis(redis: Redis) -> int:
    return redis.figures()["used_memory"]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="ussd-bench-years-") as directory:
        uvloop.run(_main(Path(directory)))


if __name__ == "__main__":
    main()
