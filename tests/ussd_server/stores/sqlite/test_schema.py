"""The SQLite store makes its tables once, brings older files up with what is in them, and leaves newer ones alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.ussd_server.stores.sqlite.bench import ANNA, on, refusal
from ussd_server.database import connect, migrate
from ussd_server.stores.base import Change, DeadLetter, JournalEntry, KeptAnswer, OutboxEntry
from ussd_server.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber, encode
from ussd_server.terminals.record import Terminal


def test_a_newer_schema_is_not_touched(path: Path) -> None:
    on(path, lambda store: store.ping())
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    assert "its schema has version 99, this program knows 7; run a newer program" in refusal(path)


def test_the_schema_is_made_once_and_kept(path: Path) -> None:
    on(path, lambda store: store.ping())
    on(path, lambda store: store.ping())
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA user_version").fetchall() == [(7,)]
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
