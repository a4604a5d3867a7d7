"""Changes of the embedded store, as statements of a transaction: those of a group all at once, whatever one of them is.

Nearly always each of them applies. Where one is refused, the others are found by halves.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import msgspec

from ussd_server.database import roll_back
from ussd_server.stores import sqlite_statements as sql
from ussd_server.stores.base import Change, Told, kept_of
from ussd_server.stores.sqlite_rows import Also, Row, Work, hold_first, to_json

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


class Commit(msgspec.Struct, frozen=True, gc=False):
    """A change, its record as a row (stored form, key, version), and who is told what becomes of it.

    `more`: there is something beside the record.
    """

    change: Change
    row: tuple[bytes, int, int]
    more: bool
    work: Work | None
    also: Also | None
    told: Told


class _Refused(Exception):
    """A change does not apply to what is stored: its version is old, or an entry that it settles is gone."""


class Changes:
    """Writes changes into the transaction that is open; `journal_entries` of a kind are kept where nothing is said."""

    def __init__(self, db: sqlite3.Connection, journal_entries: int) -> None:
        self._db = db
        self._journal_entries = journal_entries

    def apply_all(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Write those changes that can be written, of a group that has just begun its transaction.

        Nearly always that is all of them. A savepoint before would have SQLite keep a copy of each page that is
        changed; without one the whole transaction is begun anew where a change is refused.
        """
        try:
            return self._apply(commits)
        except (_Refused, *UNFIT):
            roll_back(self._db)
            self._db.execute("BEGIN IMMEDIATE")
            return self._apply_each(commits)

    def _apply_each(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Write those changes that can be written: all at once, or where one is refused, by halves."""
        unfit: Exception | None = None
        try:
            with all_or_nothing(self._db):
                return self._apply(commits)
        except _Refused:
            pass
        except UNFIT as error:
            unfit = ValueError(f"this change can never be written: {error}")
        if len(commits) == 1:
            return [unfit or 0]
        middle = len(commits) // 2
        return self._apply_each(commits[:middle]) + self._apply_each(commits[middle:])

    def _apply(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Write all of these changes and return the versions they make; raise `_Refused` where one does not apply."""
        updates = [commit.row for commit in commits if commit.row[2]]
        first = 0
        if len(updates) < len(commits):
            first = first_version(self._db)
            rows = [commit.row for commit in commits if not commit.row[2]]
            self._change_each(sql.INSERT, [(first, record, key) for record, key, _ in rows])
        self._change_each(sql.UPDATE, updates)
        more = [commit for commit in commits if commit.more]
        if more:
            self._apply_more(more)
        if not first:  # nearly always
            return [row[2] + 1 for row in updates]
        return [commit.row[2] + 1 if commit.row[2] else first for commit in commits]

    def _apply_more(self, commits: Sequence[Commit]) -> None:
        """Write what these changes have beside their records."""
        every = [also for commit in commits if (also := commit.also)]
        if every:
            self._change_each(sql.SETTLE, [row for also in every for row in also.settled])
            self._change_each(sql.EXHUME, [row for also in every for row in also.exhumed])
            if notes := [row for also in every for row in also.journal]:
                add_notes(self._db, notes, self._journal_entries)
        work = [(commit.row[1], work) for commit in commits if (work := commit.work)]
        if work:
            self._change_each(sql.ENQUEUE, self._enqueued(work))
        if every:
            self._change_each(sql.KEEP, [row for also in every for row in also.answers])

    def _enqueued(self, changes: Sequence[tuple[int, Work]]) -> list[Row]:
        """Return the rows of these changes' outboxes, those held that may be and that nothing is before in their lane.

        One look at what waits is enough: a subscriber, who comes with the key, has one change in a group.
        """
        holding = [key for key, work in changes if work.hoped]
        waiting = set(self._db.execute(sql.WAITING, (to_json(holding),))) if holding else set()
        return [row for _, work in changes for row in hold_first(work, waiting)]

    def _change_each(self, statement: str, rows: list[Row]) -> None:
        """Execute the statement with each row; raise `_Refused` unless each of them changed one row of the table."""
        if rows and self._db.executemany(statement, rows).rowcount != len(rows):
            raise _Refused


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
