"""Changes of the embedded store, as statements of a transaction: those of a group all at once, whatever one of them is.

Nearly always each of them applies. Where one is refused, the others are found by halves.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TypeAlias

from ussd_server.database import roll_back
from ussd_server.stores.base import Change, kept_of
from ussd_server.stores.sqlite import statements as sql
from ussd_server.stores.sqlite.fence import refusal
from ussd_server.stores.sqlite.rows import Row, Rows, to_json

UNFIT = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
)
"""What SQLite or its binding says of a value that does not fit: the fault of one change, not of the file."""

Outcome: TypeAlias = int | Exception
"""What became of a change: the version it made, 0 where it was refused, or why it can never be written."""


class _Refused(Exception):
    """A change does not apply to what is stored: its version is old, or an entry that it settles is gone."""


class Changes:
    """Writes changes into the transaction that is open; `journal_entries` of a kind are kept where nothing is said."""

    def __init__(self, db: sqlite3.Connection, journal_entries: int) -> None:
        self._db = db
        self._journal_entries = journal_entries

    def apply_all(self, rows: Rows) -> list[Outcome]:
        """Write those changes that can be written; the transaction has just begun.

        Returns nothing where each of them replaced a record: nearly always. Where one is refused, the whole transaction
        is begun anew, and nothing is held. A savepoint before would have SQLite keep a copy of each page that is
        changed.
        """
        try:
            first = self._apply(rows)
        except (_Refused, *UNFIT):
            roll_back(self._db)
            self._db.execute("BEGIN IMMEDIATE")
            for _, held in rows.held:
                held.clear()
            return self._apply_each(rows.changes)
        return _versions(rows.changes, first) if first else []

    def _apply_each(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write those changes that can be written: all at once, or where one is refused, by halves."""
        rows = Rows()
        for change in changes:
            rows.add(change)
        unfit: Exception | None = None
        try:
            with all_or_nothing(self._db):
                return _versions(changes, self._apply(rows))
        except _Refused:
            pass
        except UNFIT as error:
            unfit = refusal(error) or ValueError(f"this change can never be written: {error}")
        if len(changes) == 1:
            return [unfit or 0]
        middle = len(changes) // 2
        return self._apply_each(changes[:middle]) + self._apply_each(changes[middle:])

    def _apply(self, rows: Rows) -> int:
        """Write all of these rows; raise `_Refused` where one does not apply.

        Returns the version of the records that are their numbers' first ones, 0 where there are none.
        """
        first = 0
        if rows.inserted:
            first = first_version(self._db)
            self._change_each(sql.INSERT, [(first, *row) for row in rows.inserted])
        self._change_each(sql.UPDATE, rows.replaced)
        self._change_each(sql.SETTLE, rows.settled)
        if rows.dropped:
            self._db.executemany(sql.SETTLE, rows.dropped)
        self._change_each(sql.EXHUME, rows.exhumed)
        if rows.journal:
            add_notes(self._db, rows.journal, self._journal_entries)
        if rows.held:
            # One look is enough: a subscriber has one change in a group.
            waiting = set(self._db.execute(sql.WAITING, (to_json([key for key, _ in rows.held]),)))
            if waiting:
                rows.let_wait(waiting)
        self._enqueue(rows.enqueued)
        self._change_each(sql.KEEP, rows.answers)
        return first

    def _enqueue(self, rows: Sequence[Row]) -> None:
        """Put these entries into the outbox, as many at once as there is a statement for."""
        done = 0
        for size, statement in sql.ENQUEUE.items():
            while len(rows) - done >= size:
                self._db.execute(statement, list(chain.from_iterable(rows[done : done + size])))
                done += size

    def _change_each(self, statement: str, rows: list[Row]) -> None:
        """Execute the statement with each row; raise `_Refused` unless each of them changed one row of the table."""
        if rows and self._db.executemany(statement, rows).rowcount != len(rows):
            raise _Refused


def _versions(changes: Sequence[Change], first: int) -> list[Outcome]:
    """Return the versions that changes make."""
    return [change.version + 1 if change.version else first for change in changes]


@contextmanager
def all_or_nothing(db: sqlite3.Connection) -> Iterator[None]:
    """Take back what was written inside where it raises; the transaction around it goes on."""
    db.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        # Some errors (a full disk) have ended the whole transaction already.
        if db.in_transaction:
            db.execute("ROLLBACK TO part")
            db.execute("RELEASE part")
        raise
    db.execute("RELEASE part")


def add_notes(db: sqlite3.Connection, notes: Sequence[Row], journal_entries: int) -> None:
    """Write these journal entries, and let go of the oldest of their kinds that are too many."""
    db.executemany(sql.NOTE, notes)
    kinds = {(key, kind) for key, _, kind, _ in notes}
    db.executemany(sql.TRIM, [(key, kind, kept_of(kind, journal_entries)) for key, kind in kinds])


def first_version(db: sqlite3.Connection) -> int:
    """Return the version of a number's first record: above those that a forgotten record of it can have had."""
    ((forgotten,),) = db.execute("SELECT value FROM counter WHERE name = 'forgotten'").fetchall()
    return (int(forgotten) << 32) + 1
