"""The SQLite store writes in groups, acknowledges what is on the disk, reads from memory, and fails in plain words."""

import asyncio
import errno
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ussd_server.database import connect, migrate
from ussd_server.stores import sqlite
from ussd_server.stores.base import Change, Claimed, DeadLetter, JournalEntry, KeptAnswer, OutboxEntry, StoreUnavailable
from ussd_server.stores.sqlite import (
    SqliteStore,
)
from ussd_server.stores.sqlite_schema import APPLICATION_ID, MIGRATIONS
from ussd_server.stores.sqlite_statements import (
    ANSWER,
    CLAIMABLE,
    LOAD_TERMINAL,
    NEXT,
    OVER,
    SWEEP_ANSWERS,
    SWEEP_NONCES,
    TRIM,
    WALK,
)
from ussd_server.subscribers.record import Subscriber, encode
from ussd_server.terminals.record import Terminal

ANNA, BORIS = "79100000001", "79100000002"


def number(n: int) -> str:
    return f"7910{n:07}"


def change(msisdn: str, language: str = "ru", version: int = 0) -> Change:
    return Change(version, Subscriber(msisdn, language))


def on(path: Path, test: Callable[[SqliteStore], Coroutine[Any, Any, None]], **options: int) -> None:
    async def body() -> None:
        store = SqliteStore(path, **options)
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(body())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


class Statements:
    """What a store's connection is told to do."""

    def __init__(self, store: SqliteStore) -> None:
        self.seen: list[str] = []
        store._db.set_trace_callback(self.seen.append)

    def count(self, beginning: str) -> int:
        return sum(statement.startswith(beginning) for statement in self.seen)


class HeldDisk:
    """A disk that syncs when it is told to: the thread that syncs waits here, and the loop hears of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = asyncio.get_running_loop()
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.may = threading.Semaphore(0)
        self.real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.sync)

    def sync(self, descriptor: int) -> None:
        self.loop.call_soon_threadsafe(self.asked.put_nowait, None)
        self.may.acquire()
        self.real(descriptor)


# Groups -----------------------------------------------------------------------------------------------------------


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
        store._break("the disk is gone")
        store.commit_then(change(number(2)), broken)
        with capture_logs() as logs, pytest.raises(StoreUnavailable, match="the disk is gone"):
            await store.commit(change(number(3)))
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]

    on(path, test)


def test_only_who_adds_to_the_journal_pays_for_its_bound(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(ANNA))
        _, version = await store.load(ANNA)
        statements = Statements(store)
        assert await store.commit(change(ANNA, version=version))
        notes = [JournalEntry(1, "sms ended"), JournalEntry(2, "sms ended")]
        assert statements.count("INSERT INTO journal") == statements.count("DELETE FROM journal") == 0
        assert await store.commit(Change((await store.load(ANNA))[1], Subscriber(ANNA), notes))
        assert (statements.count("INSERT INTO journal"), statements.count("DELETE FROM journal")) == (2, 1)

    on(path, test)


def test_a_long_journal_of_an_older_file_is_cut_when_it_is_written_to(path: Path) -> None:
    with closing(connect(str(path))) as old:
        migrate(old, APPLICATION_ID, MIGRATIONS[:5])
        old.execute("INSERT INTO subscriber VALUES (?, 7, ?)", (int(ANNA), encode(Subscriber(ANNA))))
        note = "INSERT INTO journal (msisdn, at, kind, data) VALUES (?, ?, ?, '{}')"
        old.executemany(note, [(int(ANNA), at, kind) for at in range(100) for kind in ("sms ended", "order placed")])

    async def test(store: SqliteStore) -> None:
        assert len(await store.journal(ANNA, limit=1000)) == 200
        assert await store.commit(Change(7, Subscriber(ANNA), [JournalEntry(100, "sms ended")]))
        assert [each.at for each in await store.journal(ANNA, "sms ended")] == list(range(100, 75, -1))
        assert len(await store.journal(ANNA, "order placed", 1000)) == 100

    on(path, test)


def test_the_oldest_of_a_kind_are_found_without_a_look_at_the_entries(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        plan = [step for *_, step in store._db.execute(f"EXPLAIN QUERY PLAN {TRIM}", (0, "", 1)).fetchall()]
        assert [step for step in plan if step.startswith(("SEARCH", "SCAN"))] == [
            "SEARCH journal USING INDEX journal_by_subscriber (msisdn=? AND kind=? AND seq<?)",
            "SEARCH journal USING COVERING INDEX journal_by_subscriber (msisdn=? AND kind=?)",
        ]

    on(path, test)


async def held(store: SqliteStore) -> list[Claimed]:
    """Commit an entry of the outbox, and return it held."""
    outbox = [OutboxEntry(id="sms", kind="sms", due=1, data={})]
    came = await store.commit_and_hold(Change(0, Subscriber(ANNA), outbox=outbox), 1, 1_000)
    assert came
    return came


def test_what_is_settled_goes_with_the_next_group(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "SETTLE_WAIT_S", 1_000)

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
    monkeypatch.setattr(sqlite, "SETTLE_WAIT_S", 0)

    async def test(store: SqliteStore) -> None:
        for _ in range(2):
            await store.settle(await held(store))
            assert await store.next_due() is None
            await store.forget(ANNA)

    on(path, test)


def test_what_is_settled_is_written_before_the_store_closes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "SETTLE_WAIT_S", 1_000)

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
        assert all(await asyncio.gather(*(store.commit(change(number(n))) for n in range(2 * sqlite.GROUP + 1))))
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


def test_one_refused_change_costs_only_itself(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(number(40)))
        outcomes = await asyncio.gather(*(store.commit(change(number(n), "en")) for n in range(64)))
        assert outcomes == [n != 40 for n in range(64)]
        assert [(await store.load(number(n)))[0].language for n in (39, 40, 41)] == ["en", "ru", "en"]

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
        assert all(await asyncio.gather(*(store.use_nonce("kiosk-1", f"n{n}", 1) for n in range(2 * sqlite.GROUP + 1))))
        assert statements.count("BEGIN") == 3

    on(path, test)


def test_an_answer_is_passed_on_when_the_disk_has_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(store: SqliteStore) -> None:
        disk = HeldDisk(monkeypatch)
        kept = KeptAnswer("kiosk-1", "k", b"f", b"b", 1)
        first = asyncio.ensure_future(store.commit(Change(0, Subscriber(ANNA), answer=kept)))
        await disk.asked.get()
        again = asyncio.ensure_future(store.answer("kiosk-1", "k"))
        assert await store.answer("kiosk-1", "another") is None
        for _ in range(5):
            await asyncio.sleep(0)
        assert not again.done()
        disk.may.release()
        assert await first
        await disk.asked.get()
        assert not again.done()
        disk.may.release()
        assert await again == kept

    on(path, test)


def test_a_sweep_lets_commits_in_between(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await asyncio.gather(*(store.use_nonce("kiosk-1", f"n{n}", 1) for n in range(4 * sqlite.SWEEP_SLICE)))
        statements = Statements(store)
        assert await store.sweep(1, 10_000) == 4 * sqlite.SWEEP_SLICE
        assert statements.count("COMMIT") == 4

    on(path, test)


# Memory -----------------------------------------------------------------------------------------------------------


def test_loading_never_suspends(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await store.commit(change(ANNA))
        for msisdn in (ANNA, BORIS):
            with pytest.raises(StopIteration):
                store.load(msisdn).send(None)

    on(path, test)


def test_a_record_used_lately_is_not_read_again_and_the_oldest_make_room(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        for n in range(4):
            await store.commit(change(number(n)))
        await store.load(number(1))
        await store.commit(change(number(4)))
        statements = Statements(store)
        kept = [(await store.load(number(n)), statements.count("SELECT"))[1] for n in (1, 3, 4)]
        assert kept == [0, 0, 0]
        assert (await store.load(number(0)))[0] == Subscriber(number(0), "ru")
        assert statements.count("SELECT") == 1

    on(path, test, cached_records=4)


def test_a_terminal_is_decoded_once_a_version(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit_terminal(Terminal("kiosk-1", "one"), 0)
        first, version = await store.load_terminal("kiosk-1")
        assert (await store.load_terminal("kiosk-1"))[0] is first
        other = SqliteStore(path)
        assert await other.commit_terminal(Terminal("kiosk-1", "another"), version)
        await other.close()
        assert await store.load_terminal("kiosk-1") == (Terminal("kiosk-1", "another"), version + 1)

    on(path, test)


def test_large_records_make_room_by_their_size(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        for n in range(10):
            await store.commit(change(number(n), "x" * 1000))
        await store.commit(change(number(9), "y" * 1000, (await store.load(number(9)))[1]))
        statements = Statements(store)
        kept = []
        for n in (9, 8, 7, 6):
            await store.load(number(n))
            kept.append(statements.count("SELECT"))
        assert kept == [0, 0, 0, 1]

    on(path, test, cached_octets=4500)


def test_what_another_store_changed_is_seen_after_one_refusal(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await store.commit(change(ANNA))
        _, version = await store.load(ANNA)
        other = SqliteStore(path)
        assert await other.commit(change(ANNA, "en", version))
        await other.close()
        assert not await store.commit(change(ANNA, "xx", version))
        assert (await store.load(ANNA))[0].language == "en"

    on(path, test)


# The log ----------------------------------------------------------------------------------------------------------


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


def test_a_log_that_was_taken_away_is_noticed(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(ANNA))
        log_of(path).unlink()
        with pytest.raises(StoreUnavailable, match="the disk lost a write"):
            await store.commit(change(BORIS))

    on(path, test)


# Failures ---------------------------------------------------------------------------------------------------------


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
        for refused in (store.commit(change(BORIS)), store.load(ANNA), store.journal(ANNA), store.claim(0, 1, 1)):
            with pytest.raises(StoreUnavailable, match="the disk lost a write"):
                await refused
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
        assert {type(each) for each in outcomes} == {StoreUnavailable}
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
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await store.commit(change(ANNA, "x" * 20_000))
        store._db.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert await store.commit(change(ANNA, "x" * 20_000))

    on(path, test)


def test_another_process_that_writes_is_waited_for(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(store.commit(change(ANNA)))
            while not store._tries:
                await asyncio.sleep(0)
            also = asyncio.ensure_future(store.ping())
            other.execute("COMMIT")
            assert await waiting
            await also

    on(path, test)


def test_another_process_that_holds_the_file_for_too_long_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_RETRY_S", 0)
    monkeypatch.setattr(sqlite, "LOCK_TRIES", 3)

    async def test(store: SqliteStore) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="another process holds it"):
                await store.commit(change(ANNA))
            other.execute("ROLLBACK")
        assert await store.commit(change(ANNA))

    on(path, test)


def test_a_value_that_cannot_be_stored_is_the_callers_mistake_alone(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        too_late = Change(0, Subscriber(BORIS), outbox=[OutboxEntry("a", "sms", 2**64, {})])
        outcomes = await asyncio.gather(store.commit(change(ANNA)), store.commit(too_late), return_exceptions=True)
        assert outcomes[0] is True
        assert isinstance(outcomes[1], ValueError)
        with pytest.raises(TypeError):
            await store.commit(Change(0, Subscriber(BORIS), outbox=[OutboxEntry("a", "sms", 1, {"x": object()})]))
        assert await store.next_due() is None

    on(path, test)


def test_a_damaged_record_is_named_without_its_number(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        store._db.execute("INSERT INTO subscriber VALUES (?, 1, x'c1')", (int(ANNA),))
        with pytest.raises(StoreUnavailable, match="is damaged") as caught:
            await store.load(ANNA)
        assert ANNA not in str(caught.value)

    on(path, test)


def test_a_row_that_cannot_be_read_at_all_fails_its_own_group(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(Change(0, Subscriber(ANNA), outbox=[OutboxEntry("a", "sms", 1, {})]))
        assert await store.commit(Change(0, Subscriber(BORIS), outbox=[OutboxEntry("b", "sms", 2, {})]))
        store._db.execute("UPDATE outbox SET kind = CAST(x'ff' AS TEXT) WHERE id = 'b'")
        with pytest.raises(StoreUnavailable, match=r"cannot write the store: .*Could not decode to UTF-8"):
            await store.claim(2, 10, 10)
        await store.ping()

    on(path, test)


def test_a_damaged_terminal_is_named(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        store._db.execute("INSERT INTO terminal VALUES ('kiosk-1', 1, x'c1')")
        with pytest.raises(StoreUnavailable, match="the terminal 'kiosk-1' is damaged"):
            await store.load_terminal("kiosk-1")
        with pytest.raises(StoreUnavailable, match="the terminal 'kiosk-1' is damaged"):
            await store.terminals()

    on(path, test)


# Opening ----------------------------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        SqliteStore(path)
    return str(caught.value)


def test_opening_says_what_is_wrong_with_the_path(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none" / "store.db") == (
        f"cannot open the store: {tmp_path}/none/store.db: the directory is missing or may not be written"
        " (unable to open database file, SQLITE_CANTOPEN)"
    )
    assert "may not be written" in refusal(tmp_path)
    text = tmp_path / "text.db"
    text.write_text("this is a text, and longer than the header of a database would be " * 20)
    assert "this is no SQLite database" in refusal(text)
    assert text.read_text().startswith("this is a text")


def test_another_programs_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE subscriber (name TEXT)")
    assert refusal(path) == f"cannot open the store: {path}: this is another program's database"


def test_a_newer_schema_is_not_touched(path: Path) -> None:
    on(path, lambda store: store.ping())
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    assert "its schema has version 99, this program knows 6; run a newer program" in refusal(path)


def test_the_schema_is_made_once_and_kept(path: Path) -> None:
    on(path, lambda store: store.ping())
    on(path, lambda store: store.ping())
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA user_version").fetchall() == [(6,)]
        assert file.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        pings = file.execute("SELECT value FROM counter WHERE name = 'pings'").fetchone()
    assert pings == (4,)


def test_a_file_of_the_first_schema_is_brought_up_with_what_is_in_it(path: Path) -> None:
    with closing(connect(str(path))) as old:
        migrate(old, APPLICATION_ID, MIGRATIONS[:1])
        old.execute(
            "INSERT INTO outbox (id, msisdn, lane, kind, due, expires, data, ready)"
            " VALUES ('a', ?, 0, 'sms', 1, 0, '{}', 1)",
            (int(ANNA),),
        )

    async def test(store: SqliteStore) -> None:
        assert [each.entry.id for each in await store.claim(1, 10, 10)] == ["a"]

    on(path, test)


def test_dead_letters_of_an_older_file_can_be_taken_back(path: Path) -> None:
    with closing(connect(str(path))) as old:
        migrate(old, APPLICATION_ID, MIGRATIONS[:3])
        old.execute("INSERT INTO subscriber VALUES (?, 7, ?)", (int(ANNA), encode(Subscriber(ANNA))))
        for at in (5, 6):  # nothing kept an older program from burying an id twice
            old.execute(
                "INSERT INTO dead_letter VALUES ('a', ?, ?, 'sms', '{\"text\":\"x\"}', 3, 'old')", (int(ANNA), at)
            )

    async def test(store: SqliteStore) -> None:
        assert await store.dead_letters(ANNA) == [DeadLetter(ANNA, "a", "sms", {"text": "x"}, 0, 6, 3, "old")]
        again = OutboxEntry("a", "sms", 7, {"text": "x"}, tried=3)
        assert await store.commit(Change(7, Subscriber(ANNA), outbox=[again], exhumed=["a"]))
        assert (await store.dead_letters(ANNA), await store.mark()) == ([], "")

    on(path, test)


def test_a_file_without_terminals_keeps_its_records_and_takes_them_up(path: Path) -> None:
    with closing(connect(str(path))) as old:
        migrate(old, APPLICATION_ID, MIGRATIONS[:2])
        old.execute("INSERT INTO subscriber VALUES (?, 7, ?)", (int(ANNA), encode(Subscriber(ANNA, "ru"))))

    async def test(store: SqliteStore) -> None:
        assert await store.load(ANNA) == (Subscriber(ANNA, "ru"), 7)
        assert await store.subscribers("", 10) == [ANNA]
        assert await store.terminals() == []
        answer = KeptAnswer("kiosk-1", "k", b"f", b"b", 1)
        assert await store.commit(Change(7, Subscriber(ANNA, "en"), answer=answer))
        assert await store.answer("kiosk-1", "k") == answer
        assert await store.commit_terminal(Terminal("kiosk-1", "one"), 0)
        assert await store.use_nonce("kiosk-1", "n", 1)
        assert await store.sweep(1, 10) == 2

    on(path, test)


@pytest.mark.parametrize(
    "statement",
    [ANSWER, OVER, SWEEP_ANSWERS, SWEEP_NONCES, LOAD_TERMINAL, WALK, "DELETE FROM answer WHERE msisdn = ?"],
)
def test_what_requests_and_sweeps_ask_for_is_found_by_an_index(path: Path, statement: str) -> None:
    async def test(store: SqliteStore) -> None:
        parameters = (0,) * (1 if "?1" in statement else statement.count("?"))
        plan = store._db.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        scans = [step for *_, step in plan if "TEMP B-TREE" in step]
        scans += [step for *_, step in plan if step.startswith("SCAN ") and step != "SCAN CONSTANT ROW"]
        assert not scans, plan

    on(path, test)


@pytest.mark.parametrize("statement", [CLAIMABLE, NEXT])
def test_looking_for_work_scans_no_table_and_sorts_nothing(path: Path, statement: str) -> None:
    async def test(store: SqliteStore) -> None:
        plan = store._db.execute(f"EXPLAIN QUERY PLAN {statement}", (0,) * statement.count("?")).fetchall()
        steps = [step for *_, step in plan]
        assert any("outbox_by_time (lane=?" in step for step in steps), steps
        assert not [step for step in steps if step.startswith("SCAN ") or "TEMP B-TREE" in step], steps

    on(path, test)


def test_the_files_are_their_owners_alone_whatever_the_umask(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await store.ping()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob(f"{path.name}*")}
        assert modes == {f"{path.name}{end}": 0o600 for end in ("", "-wal", "-shm")}

    before = os.umask(0)
    try:
        on(path, test)
    finally:
        os.umask(before)


AS_NOBODY = """
import os, sys
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.sqlite import SqliteStore
if os.geteuid() == 0:
    os.setuid(65534)
for path in sys.argv[1:]:
    try:
        SqliteStore(path)
    except StoreUnavailable as error:
        print(error)
"""


def test_a_place_that_may_not_be_written_is_refused_at_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("shut")
    existing, new = place / "store.db", place / "new.db"
    on(existing, lambda store: store.ping())
    existing.chmod(0o444)
    place.chmod(0o555)
    for parent in (place.parent, place.parent.parent):
        parent.chmod(0o711)
    try:
        child = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(existing), str(new)], capture_output=True, text=True, check=True
        )
    finally:
        place.chmod(0o755)
        for parent in (place.parent, place.parent.parent):
            parent.chmod(0o700)
    first, second = child.stdout.splitlines()
    assert first.startswith(f"cannot open the store: {existing}: ")
    assert "written" in first
    assert second.startswith(f"cannot open the store: {new}: the directory is missing or may not be written")
