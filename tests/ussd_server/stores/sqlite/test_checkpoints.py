"""The log of the SQLite store stays bounded while it is written to."""

import asyncio
from pathlib import Path

from tests.ussd_server.stores.sqlite.bench import change, log_of, number, on
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


def largest_log(path: Path, checkpoint_rows: int) -> int:
    """Write 6000 records and return how large the log became."""
    sizes = []

    async def test(store: SqliteStore) -> None:
        for round in range(60):
            assert all(await asyncio.gather(*(store.commit(change(number(n + 1000 * round))) for n in range(100))))
            sizes.append(log_of(path).stat().st_size)

    on(path, test, checkpoint_rows=checkpoint_rows)
    return max(sizes)


def test_the_log_stays_bounded_under_continuous_writing_and_is_gone_after_closing(path: Path) -> None:
    bounded, unbounded = largest_log(path, 500), largest_log(path.with_name("unbounded.db"), 1_000_000)
    assert bounded < unbounded / 3
    assert not log_of(path).exists()

    async def again(store: SqliteStore) -> None:
        assert (await store.load(number(59_099)))[0] == Subscriber(number(59_099), "ru")

    on(path, again)
