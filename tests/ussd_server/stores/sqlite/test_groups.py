"""The SQLite store writes in groups, acknowledges what is on the disk, and fails in plain words."""

import asyncio
import errno
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.stores.sqlite.bench import ANNA, BORIS, HeldDisk, Statements, change, log_of, number, on
from ussd_server.stores.base import Change, Claimed, OutboxEntry, PerhapsDone, StoreUnavailable
from ussd_server.stores.sqlite import groups as sqlite_groups
from ussd_server.stores.sqlite import statements as sql
from ussd_server.stores.sqlite.changes import Outcome
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


async def held(store: SqliteStore) -> list[Claimed]:
    """Commit an entry of the outbox, and return it held."""
    outbox = [OutboxEntry(id="sms", kind="sms", due=1, data={})]
    came = await store.commit_and_hold(Change(0, Subscriber(ANNA), outbox=outbox), 1, 1_000)
    assert came
    return came


def test_commits_made_together_are_one_transaction(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        statements = Statements(store)
        assert all(await asyncio.gather(*(store.commit(change(number(n))) for n in range(64))))
        assert statements.count("BEGIN") == statements.count("COMMIT") == 1

    on(path, test)


def test_the_rest_of_a_group_hears_of_its_commits_where_one_is_taken_badly(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        def broken(_: object) -> None:
            raise RuntimeError("a defect")

        store.commit_then(change(number(0)), broken)
        with capture_logs() as logs:
            assert await store.commit(change(number(1)))
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]
        store._groups._refuse_all("the disk is gone")
        store.commit_then(change(number(2)), broken)
        with capture_logs() as logs, pytest.raises(StoreUnavailable, match="the disk is gone"):
            await store.commit(change(number(3)))
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]

    on(path, test)


def test_what_is_settled_goes_with_the_next_group(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_groups, "SETTLE_WAIT_S", 1_000)

    async def test(store: SqliteStore) -> None:
        done = await held(store)
        statements = Statements(store)
        settling = asyncio.create_task(store.settle(done))
        await asyncio.sleep(0)
        await store.commit(change(BORIS))
        await settling
        assert statements.count("BEGIN") == statements.count("COMMIT") == 1
        assert await store.next_due() is None

    on(path, test)


def test_what_is_settled_waits_for_no_group_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_groups, "SETTLE_WAIT_S", 0)

    async def test(store: SqliteStore) -> None:
        for _ in range(2):
            await store.settle(await held(store))
            assert await store.next_due() is None
            await store.forget(ANNA)

    on(path, test)


def test_what_is_settled_is_written_before_the_store_closes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_groups, "SETTLE_WAIT_S", 1_000)

    async def test(store: SqliteStore) -> None:
        settling = asyncio.create_task(store.settle(await held(store)))
        await asyncio.sleep(0)
        await store.close()
        await settling

    async def settled(store: SqliteStore) -> None:
        assert await store.next_due() is None

    on(path, test)
    on(path, settled)


def test_a_group_has_a_greatest_size(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        statements = Statements(store)
        assert all(await asyncio.gather(*(store.commit(change(number(n))) for n in range(2 * sqlite_groups.GROUP + 1))))
        assert statements.count("BEGIN") == 3

    on(path, test)


def test_a_commit_is_acknowledged_after_the_disk_has_it_and_others_gather_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: SqliteStore) -> None:
        disk, statements = HeldDisk(monkeypatch), Statements(store)
        first = asyncio.ensure_future(store.commit(change(ANNA)))
        await disk.asked.get()
        later = [asyncio.ensure_future(store.commit(change(number(100 + n)))) for n in range(10)]
        claims = asyncio.ensure_future(store.ping())
        for _ in range(5):
            await asyncio.sleep(0)
        assert statements.count("COMMIT") == 1
        assert not first.done()
        disk.may.release()
        assert await first
        await disk.asked.get()
        assert statements.count("COMMIT") == 2
        assert not any(each.done() for each in (*later, claims))
        disk.may.release()
        assert await asyncio.gather(*later) == [True] * 10
        await claims
        disk.may.release()

    on(path, test)


def test_nonces_and_commits_of_one_moment_are_one_transaction(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        statements = Statements(store)
        done = await asyncio.gather(
            *(store.use_nonce("kiosk-1", f"n{n}", 1) for n in range(32)),
            *(store.commit(change(number(n))) for n in range(32)),
        )
        assert all(done)
        assert statements.count("BEGIN") == statements.count("COMMIT") == 1
        # Each nonce has one statement, and commits that all apply need none to be taken back by.
        assert statements.count("SAVEPOINT") == 0

    on(path, test)


def test_jobs_come_in_groups_of_a_greatest_size_too(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        statements = Statements(store)
        assert all(
            await asyncio.gather(*(store.use_nonce("kiosk-1", f"n{n}", 1) for n in range(2 * sqlite_groups.GROUP + 1)))
        )
        assert statements.count("BEGIN") == 3

    on(path, test)


def test_a_defect_in_a_job_is_its_own_and_all_else_goes_on(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        def defect() -> None:
            store._db.execute(sql.PING)
            raise TypeError("a defect")

        (pings,) = store._db.execute("SELECT value FROM counter WHERE name = 'pings'").fetchone()
        came = await asyncio.gather(store._do(defect), store.commit(change(ANNA)), return_exceptions=True)
        assert isinstance(came[0], TypeError)
        assert came[1] is True
        assert store._db.execute("SELECT value FROM counter WHERE name = 'pings'").fetchone() == (pings,)
        assert await store.commit(change(BORIS))

    on(path, test)


def test_a_disk_that_takes_nothing_is_told_of_once_and_so_is_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be the disk that the log goes to, and each group fails."""

    async def test(store: SqliteStore) -> None:
        def full(_: object) -> list[Outcome]:
            raise sqlite3.OperationalError("database or disk is full")

        def defect(_: object) -> list[Outcome]:
            raise TypeError("a defect")

        with capture_logs() as logs:
            with monkeypatch.context() as patch:
                patch.setattr(store._groups._changes, "apply_all", full)
                for _ in range(5):
                    with pytest.raises(StoreUnavailable, match="full"):
                        await store.commit(change(ANNA))
            with monkeypatch.context() as patch:
                patch.setattr(store._groups._changes, "apply_all", defect)
                with pytest.raises(StoreUnavailable, match="a defect"):
                    await store.commit(change(ANNA))
            for number in (ANNA, BORIS):
                assert await store.commit(change(number))
        assert [line["event"] for line in logs] == [
            "store_write_failed",
            "store_write_failed",  # the defect, which is another matter
            "the store can be written again",
        ]

    on(path, test)


def test_a_defect_in_writing_fails_its_group_and_the_next_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: SqliteStore) -> None:
        def defect(_: object) -> list[Outcome]:
            raise TypeError("a defect")

        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(store._groups._changes, "apply_all", defect)
            with pytest.raises(StoreUnavailable, match="a defect"):
                await store.commit(change(ANNA))
        assert [(line["event"], str(line["exc_info"])) for line in logs] == [("store_write_failed", "a defect")]
        assert await store.commit(change(ANNA))
        other = SqliteStore(path)  # the file is not locked either
        assert await other.commit(change(BORIS))
        await other.close()

    on(path, test)


def test_a_text_that_is_none_fails_who_reads_it_and_no_commit_of_its_group(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        def reads() -> object:
            return store._db.execute("SELECT CAST(x'ff' AS TEXT)").fetchall()

        came = await asyncio.gather(store._do(reads), store.commit(change(ANNA)), return_exceptions=True)
        assert isinstance(came[0], StoreUnavailable)
        assert came[1] is True

    on(path, test)


def test_a_failed_sync_ends_the_store_until_it_is_opened_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(ANNA))
        calls = []

        def failing(descriptor: int) -> None:
            calls.append(descriptor)
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", failing)
            outcomes = await asyncio.gather(
                *(store.commit(change(number(100 + n))) for n in range(3)), store.ping(), return_exceptions=True
            )
            assert [str(each) for each in outcomes] == [
                f"the disk lost a write; check it and start again: {path}: [Errno 5] Input/output error"
            ] * 4
            assert {type(each) for each in outcomes} == {PerhapsDone}
        for refused in (store.commit(change(BORIS)), store.load(ANNA), store.journal(ANNA), store.claim(0, 1, 1)):
            with pytest.raises(StoreUnavailable, match="the disk lost a write") as caught:
                await refused
            assert type(caught.value) is StoreUnavailable
        assert len(calls) == 1

    on(path, test)

    async def again(store: SqliteStore) -> None:
        assert (await store.load(ANNA))[1] == 1
        assert await store.commit(change(BORIS))

    on(path, again)


@contextmanager
def no_file_grows_beyond(octets: int) -> Iterator[None]:
    """Let the kernel refuse growth, as a full disk does; for the whole process, so do nothing else inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_when_the_disk_takes_no_more_nothing_is_half_done_and_when_it_does_again_all_goes_on(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(ANNA))
        size = log_of(path).stat().st_size
        big = "x" * 20_000
        with no_file_grows_beyond(size + 5000):
            outcomes = await asyncio.gather(
                *(store.commit(change(number(100 + n), big)) for n in range(4)), store.ping(), return_exceptions=True
            )
        assert {type(each) for each in outcomes} == {PerhapsDone}
        assert "cannot write the store" in str(outcomes[0])
        assert "the disk refused" in str(outcomes[0])
        assert await store.load(ANNA) == (Subscriber(ANNA, "ru"), 1)
        assert await store.load(number(100)) == (Subscriber(number(100)), 0)
        assert all(await asyncio.gather(*(store.commit(change(number(100 + n), big)) for n in range(4))))
        assert (await store.load(number(103)))[0].language == big

    on(path, test)


def test_a_full_database_says_that_the_disk_is_full(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        ((pages,),) = store._db.execute("PRAGMA page_count").fetchall()
        store._db.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        with pytest.raises(StoreUnavailable, match="the disk is full") as caught:
            await store.commit(change(ANNA, "x" * 20_000))
        assert type(caught.value) is StoreUnavailable
        store._db.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert await store.commit(change(ANNA, "x" * 20_000))

    on(path, test)


def test_another_process_that_writes_is_waited_for(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(store.commit(change(ANNA)))
            while not store._groups._tries:
                await asyncio.sleep(0)
            also = asyncio.ensure_future(store.ping())
            other.execute("COMMIT")
            assert await waiting
            await also

    on(path, test)


def test_another_process_that_holds_the_file_for_too_long_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_groups, "LOCK_RETRY_S", 0)
    monkeypatch.setattr(sqlite_groups, "LOCK_TRIES", 3)

    async def test(store: SqliteStore) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="another process holds it"):
                await store.commit(change(ANNA))
            other.execute("ROLLBACK")
        assert await store.commit(change(ANNA))

    on(path, test)
