"""What was deleted is in no file any more: neither on pages that are free now nor in the log."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.stores.sqlite.bench import log_of, number, on
from ussd_server.stores.base import Change, Claimed, JournalEntry, OutboxEntry
from ussd_server.stores.sqlite import checkpoints as sqlite_checkpoints
from ussd_server.stores.sqlite import jobs
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber

MANY = 60
FORGOTTEN = range(20, 40)


def marked(index: int) -> str:
    """Return what stands in nothing but what is kept of this subscriber; long enough to fill pages of its own."""
    return f"PRIVATE-{index:04d} " + "x" * 400


async def fill(store: SqliteStore) -> None:
    for index in range(MANY):
        told = [JournalEntry(1, "order placed", {"shown": marked(index)}) for _ in range(20)]
        sms = [OutboxEntry(f"{index}-{each}", "sms", 1, {"text": marked(index)}) for each in range(5)]
        record = Subscriber(number(index), letters=marked(index).encode() * 8)
        assert await store.commit(Change(0, record, told, sms))
        # What was done long ago must not be left either, nor an older form of the record.
        await store.settle([Claimed(number(index), entry, 1, 1) for entry in sms[1:]])
        _, version = await store.load(number(index))
        assert await store.commit(Change(version, Subscriber(number(index))))


def readable(path: Path) -> set[int]:
    """Return of whom something can be read, in the database or its log."""
    octets = path.read_bytes() + log_of(path).read_bytes()
    return {index for index in range(MANY) if f"PRIVATE-{index:04d}".encode() in octets}


def test_of_a_forgotten_subscriber_nothing_is_left_in_the_file_or_its_log(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await fill(store)
        other = SqliteStore(path)  # a server, while a command forgets
        for index in FORGOTTEN:
            assert await store.forget(number(index))
        assert readable(path) == set(range(MANY)) - set(FORGOTTEN)
        assert await other.commit(Change(0, Subscriber(number(MANY))))
        await other.close()

    on(path, test)


def test_a_command_that_is_given_again_empties_the_log_that_one_that_was_killed_left(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await fill(store)
        key = int(number(30))
        await store._do(lambda: jobs.forget(store._db, key))  # and killed
        assert 30 in readable(path)
        assert not await store.forget(number(30))
        assert 30 not in readable(path)

    on(path, test)


def test_while_commits_go_on_it_is_emptied_all_the_same(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await fill(store)
        going = True

        async def write(first: int) -> None:
            index = first
            while going:
                assert await store.commit(Change(0, Subscriber(number(index))))
                index += 10

        writers = [asyncio.create_task(write(1000 + each)) for each in range(10)]
        with capture_logs() as logs:
            assert await store.forget(number(30))
        going = False
        await asyncio.gather(*writers)
        assert logs == []
        assert 30 not in readable(path)

    on(path, test)


def test_who_reads_for_long_keeps_the_log_and_that_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_checkpoints, "EMPTY_RETRY_S", 0.0)

    async def test(store: SqliteStore) -> None:
        await fill(store)
        with closing(sqlite3.connect(path)) as reader, capture_logs() as logs:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM subscriber").fetchall()
            assert await store.forget(number(30))
            assert await store.commit(Change(0, Subscriber(number(MANY))))
        assert logs == [{"event": "store_log_not_emptied", "log_level": "warning", "path": str(path)}]
        assert await store.forget(number(31))
        assert not {30, 31} & readable(path)

    on(path, test)
