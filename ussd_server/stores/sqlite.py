"""The embedded store: one SQLite file, written in groups, durable before a commit is acknowledged.

Commits that arrive while the disk is busy wait together and are then written in one transaction. Statements run on
the event loop's thread; only waiting for the disk happens elsewhere, once a group.
`docs/decisions/0003-sqlite-store.md` tells why, with figures, and why this is as durable as `synchronous=FULL`.
"""

import asyncio
import errno
import fcntl
import os
import sqlite3
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
import structlog

from ussd_server.database import SchemaError, connect, explain, migrate, roll_back
from ussd_server.log import mask
from ussd_server.stores import sqlite_statements as sql
from ussd_server.stores.base import (
    EVERY_LANE,
    JOURNAL_ENTRIES,
    Change,
    Claimed,
    DeadLetter,
    Everything,
    JournalEntry,
    KeptAnswer,
    Late,
    Nonce,
    OutboxEntry,
    OutboxKind,
    Standing,
    StoreUnavailable,
    Told,
    ToldHeld,
    kept_of,
    pass_on,
    tell,
    tell_soon,
)
from ussd_server.stores.cache import CACHED_OCTETS, CACHED_RECORDS, Cache
from ussd_server.stores.onethread import OneThread
from ussd_server.stores.sqlite_rows import (
    Also,
    Row,
    Work,
    also_of,
    answer_row,
    dead_row,
    from_json,
    hold_first,
    journal_rows,
    key_of,
    standing_row,
    to_json,
    work_from_json,
    work_of,
)
from ussd_server.stores.sqlite_schema import APPLICATION_ID, MIGRATIONS
from ussd_server.subscribers.record import Subscriber, decode, encode
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.record import decode as decode_terminal
from ussd_server.terminals.record import encode as encode_terminal

GROUP = 256
"""Changes in one transaction at most, so that the loop is never held for longer than about 4 ms."""

SETTLE_WAIT_S = 0.01
"""How long entries that are done with may wait for a group to be removed with. By themselves they were half of the
groups of 64 writers: a write and a wait for the disk in which the next turns stood. A crash meanwhile has them done
again, as it has while an SMSC's response is on its way, which takes as long."""

SWEEP_SLICE = 64
"""Rows deleted in one transaction beside the changes: about 1 ms."""

CHECKPOINT_ROWS = 8_192
"""Rows written between two checkpoints: 16 to 64 MB of log, by how many pages a row touches."""

LOG_LIMIT_BYTES = 128 * 1024 * 1024
"""A log that grew beyond this (a reader held it) is cut when it starts anew."""

SHARED_BYTE = 128
"""The byte of the -shm file on which every connection to the database holds a shared lock (UNIX_SHM_DMS)."""

_FLOCK = struct.Struct("hhqqi4x")
"""Linux's `struct flock`: type, whence, start, length, process."""

LOCK_RETRY_S = 0.005
LOCK_TRIES = 400
"""How often, and how many times, a group is tried again while another process writes: about 2 s in all."""

# What SQLite or its binding says of a value that does not fit: the fault of one change, not of the file.
_UNFIT = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
)

T = TypeVar("T")
_Outcome: TypeAlias = int | Exception
"""What became of a change: the version it made, 0 where it was refused, or why it can never be written."""

log = structlog.get_logger(__name__)


class _Refused(Exception):
    """A change does not apply to what is stored: its version is old, or an entry that it settles is gone."""


class _Commit(msgspec.Struct, frozen=True, gc=False):
    """A change, its record as a row (stored form, key, version), and who is told what becomes of it.

    `more`: there is something beside the record.
    """

    change: Change
    row: tuple[bytes, int, int]
    more: bool
    work: Work | None
    also: Also | None
    told: Told


class _Job(msgspec.Struct, frozen=True):
    """Another piece of writing, and who waits for what it returns; `steps` says that it is more than one statement."""

    work: Callable[[], Any]
    future: "asyncio.Future[Any]"
    steps: bool


class SqliteStore:
    """A store in one file. It belongs to the event loop that uses it first; `close` before the loop ends.

    Opening raises `StoreUnavailable` with the cause where the file cannot be used. Several stores, in this process or
    in others, may use one file at the same time.
    """

    def __init__(
        self,
        path: str | Path,
        cached_records: int = CACHED_RECORDS,
        cached_octets: int = CACHED_OCTETS,
        checkpoint_rows: int = CHECKPOINT_ROWS,
        journal_entries: int = JOURNAL_ENTRIES,
    ) -> None:
        self._path = str(path)
        self._journal_entries = journal_entries
        self._cache = Cache(cached_records, cached_octets)
        # As many as there are terminals: whoever asks for another finds none, and nothing is kept of it.
        self._terminals: dict[str, tuple[Terminal, int]] = {}
        self._checkpoint_rows = checkpoint_rows
        self._commits: list[_Commit] = []
        self._jobs: list[_Job] = []
        self._settling: list[_Job] = []
        """What goes with the next group, and has one written only when it has waited for long enough."""
        self._settles: asyncio.TimerHandle | None = None
        self._tries = 0
        self._broken = ""
        self._checkpointed = 0
        self._bulk_copy: asyncio.Future[None] | None = None
        self._log_may_restart = False
        self._resting = asyncio.Event()
        self._resting.set()
        self._released = False
        try:
            self._open()
        except (sqlite3.Error, OSError, SchemaError) as error:
            raise StoreUnavailable(f"cannot open the store: {explain(self._path, error)}") from error
        self._disk = OneThread("store-disk")
        self._bulk = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")

    def _open(self) -> None:
        with ExitStack() as undo:
            self._db = connect(self._path)
            undo.callback(self._db.close)
            migrate(self._db, APPLICATION_ID, MIGRATIONS)
            # A first write makes the log exist, and shows now rather than later that the file can be written.
            self._db.execute(sql.PING)
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
            self._checkpointer = connect(self._path)
            undo.callback(self._checkpointer.close)
            self._log = os.open(f"{self._path}-wal", os.O_RDONLY)
            undo.callback(os.close, self._log)
            # Kept until the end: to close it would drop the locks that SQLite holds on it in this process.
            self._shared = os.open(f"{self._path}-shm", os.O_RDWR)
            undo.callback(os.close, self._shared)
            directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
            undo.pop_all()

    # Reading ------------------------------------------------------------------------------------------------------

    async def load(self, msisdn: str, latest: bool = False) -> tuple[Subscriber, int]:
        """Return the record and its version; never suspends, and a record used lately is not read again.

        `latest` asks the file, where another process may have written, and reads the record if its version is new.
        """
        found = self._cache.get(msisdn)
        if found is not None and not (latest and self._outdated(msisdn, found[1])):
            return found
        rows = self._read(sql.LOAD, (key_of(msisdn),))
        if not rows:
            return Subscriber(msisdn), 0
        version, record = rows[0]
        return self._cache.put(self._decode(msisdn, record), version, len(record))

    def remembered(self, msisdn: str) -> tuple[Subscriber, int] | None:
        """Return a record used lately, and its version."""
        return self._cache.get(msisdn)

    def _decode(self, msisdn: str, record: bytes) -> Subscriber:
        try:
            return decode(record)
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"{self._path}: the record of {mask(msisdn)} is damaged: {error}") from error

    def _outdated(self, msisdn: str, version: int) -> bool:
        if self._read(sql.VERSION, (key_of(msisdn),)) == [(version,)]:
            return False
        self._cache.drop(msisdn)
        return True

    async def next_due(self, lanes: Collection[int] = EVERY_LANE) -> int | None:
        """Return when the next entry can be claimed (ms): when it is due, or when its holder's lease ends."""
        return min((ready for lane in lanes for (ready,) in self._read(sql.NEXT, (lane,))), default=None)

    async def journal(self, msisdn: str, kind: str | None = None, limit: int = 100) -> list[JournalEntry]:
        """Return the newest entries of a subscriber, newest first."""
        rows = self._read(sql.JOURNAL, (key_of(msisdn), kind, limit))
        return [JournalEntry(at, kind, from_json(data)) for at, kind, data in rows]

    async def subscribers(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have a record, by their value, beginning behind `after` ("": all)."""
        return [str(key) for (key,) in self._read(sql.WALK, (key_of(after) if after else 0, limit))]

    async def count_subscribers(self) -> int:
        """Return how many numbers have a record: reads the whole file, about a second for a gigabyte."""
        ((count,),) = self._read(sql.COUNT, ())
        return int(count)

    async def dead_letters(self, msisdn: str) -> list[DeadLetter]:
        """Return what was given up of a subscriber, oldest first."""
        return self._dead_letters(key_of(msisdn))

    def _dead_letters(self, key: int) -> list[DeadLetter]:
        return [
            DeadLetter(str(key), id, kind, work_from_json(data), expires, at, attempt, reason)
            for id, kind, data, expires, at, attempt, reason in self._read(sql.DEAD_LETTERS, (key,))
        ]

    async def given_up(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have dead letters, by their value, beginning behind `after` ("": all)."""
        return [str(key) for (key,) in self._read(sql.GIVEN_UP, (key_of(after) if after else 0, limit))]

    async def count_dead_letters(self) -> Mapping[OutboxKind, int]:
        """Return how many dead letters there are of each kind that there are any of."""
        return dict(self._read(sql.COUNT_DEAD, ()))

    async def load_terminal(self, id: str) -> tuple[Terminal | None, int]:
        """Return a terminal and its version as they are in the file now; never suspends, and decodes a version once."""
        rows = self._read(sql.LOAD_TERMINAL, (id,))
        if not rows:
            return None, 0
        version, record = rows[0]
        found = self._terminals.get(id)
        if found is None or found[1] != version:
            found = self._terminals[id] = self._decode_terminal(id, record), version
        return found

    async def terminals(self) -> list[Terminal]:
        """Return every terminal, by id."""
        return [self._decode_terminal(id, record) for id, record in self._read(sql.TERMINALS, ())]

    def _decode_terminal(self, id: str, record: bytes) -> Terminal:
        try:
            return decode_terminal(record)
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"{self._path}: the record of the terminal {id!r} is damaged: {error}") from error

    async def nonces(self, after: Nonce | None, limit: int) -> list[Nonce]:
        """Return up to `limit` nonces by terminal and nonce, beginning behind `after`."""
        behind = (after.terminal, after.nonce) if after else ("", "")
        return [Nonce(*row) for row in self._read(sql.NONCES, (*behind, limit))]

    async def dump(self, msisdn: str) -> Everything | None:
        """Return all there is of a subscriber as it is in the file at one moment; None for an unknown number."""
        key = key_of(msisdn)
        # No group is being written now: that is done within one turn of the loop, as this is.
        self._read("BEGIN", ())
        try:
            return self._dump(key)
        finally:
            roll_back(self._db)

    def _dump(self, key: int) -> Everything | None:
        rows = self._read(sql.LOAD, (key,))
        if not rows:
            return None
        journal = [JournalEntry(at, kind, from_json(data)) for at, kind, data in self._read(sql.WHOLE_JOURNAL, (key,))]
        outbox = [
            Standing(OutboxEntry(id, kind, due, work_from_json(data), expires, tried), ready, attempt, reason)
            for id, kind, due, data, expires, tried, ready, attempt, reason in self._read(sql.WHOLE_OUTBOX, (key,))
        ]
        answers = [KeptAnswer(*row) for row in self._read(sql.WHOLE_ANSWERS, (key,))]
        return Everything(self._decode(str(key), rows[0][1]), journal, outbox, self._dead_letters(key), answers)

    async def in_use(self) -> str:
        """Return which other process has the file open; one of them, and "" for none."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, SHARED_BYTE, 1, 0)
        kind, *_, process = _FLOCK.unpack(fcntl.fcntl(self._shared, fcntl.F_GETLK, asked))
        return "" if kind == fcntl.F_UNLCK else f"process {process}"

    async def mark(self) -> str:
        """Return what the file is marked with, "" for nothing."""
        ((text,),) = self._read(sql.MARK, ())
        return str(text)

    async def identity(self) -> str:
        """Return "": who moves the file away does so on purpose."""
        return ""

    async def noted_keys(self) -> str:
        """Return what was noted of its servers' keys, "" for nothing."""
        ((text,),) = self._read(sql.NOTED_KEYS, ())
        return str(text)

    def _read(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        if self._broken:
            raise StoreUnavailable(self._broken)
        try:
            return self._db.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read the store: {explain(self._path, error)}") from error

    # Writing ------------------------------------------------------------------------------------------------------

    async def commit(self, change: Change) -> bool:
        """Write the change durably and return True, or False where it was made on an older version.

        A change that can never be written (an outbox id that is taken, a value that has no stored form) raises
        `ValueError` or `TypeError`.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._put(change, partial(pass_on, future))
        return await future

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit, and call `told` with what `commit` would return or raise."""
        try:
            self._put(change, told)
        except Exception as error:
            tell_soon(told, error)

    async def commit_and_hold(self, change: Change, now: int, lease: int) -> list[Claimed] | None:
        """Commit, and hold what of its outbox could be claimed at `now` until `lease`; None where it was refused."""
        future: asyncio.Future[list[Claimed] | None] = asyncio.get_running_loop().create_future()
        self.commit_and_hold_then(change, now, lease, partial(pass_on, future))
        return await future

    def commit_and_hold_then(self, change: Change, now: int, lease: int, told: ToldHeld) -> None:
        """Commit and hold, and call `told` with what `commit_and_hold` would return or raise."""
        held: list[Claimed] = []
        try:
            self._put(change, partial(_tell_held, told, held), now, lease, held)
        except Exception as error:
            tell_soon(told, error)

    def _put(self, change: Change, told: Told, now: int = 0, lease: int = 0, held: list[Claimed] | None = None) -> None:
        """Put a change into the next group."""
        record = change.record
        # Where there is a version, the number was a key when it was loaded.
        key = int(record.msisdn) if change.version else key_of(record.msisdn)
        more, work, also = False, None, None
        # Nearly every commit is a record and nothing else.
        if change.journal or change.outbox or change.settled or change.exhumed or change.answer:
            more = True
            work = work_of(change, key, now, lease, [] if held is None else held) if change.outbox else None
            also = also_of(change, key)
        commit = _Commit(change, (encode(record), key, change.version), more, work, also, told)
        if not self._commits:  # else who came before has seen to it
            self._wake()
        self._commits.append(commit)

    async def claim(
        self, now: int, limit: int, lease_ms: int, lanes: Collection[int] = EVERY_LANE, late: Late | None = None
    ) -> list[Claimed]:
        """Take up to `limit` due entries that nobody holds, the oldest of each subscriber and lane, and hold them.

        What is returned is durable, and so is all that was committed before it. Nothing comes late.
        """
        if not any(self._read(sql.CLAIMABLE, (lane, now, min(limit, 1))) for lane in lanes):
            return []
        return await self._do(lambda: self._claim(now, limit, lease_ms, lanes))

    async def renew(self, claimed: Sequence[Claimed], lease: int) -> None:
        """Hold entries that are under way until `lease` (ms), as the same attempt."""
        rows = [(lease, each.entry.id, each.attempt) for each in claimed]
        await self._do(lambda: self._db.executemany(sql.RENEW, rows))

    async def settle(self, claimed: Sequence[Claimed]) -> None:
        """Remove entries that are done with."""
        rows = [(each.entry.id, int(each.msisdn)) for each in claimed]  # it was a key when it was claimed
        future: asyncio.Future[Any] = self._loop().create_future()
        self._settling.append(_Job(lambda: self._db.executemany(sql.SETTLE, rows), future, True))
        if self._settles is None:
            self._settles = self._loop().call_later(SETTLE_WAIT_S, self._settle_now)
        await future

    def _settle_now(self) -> None:
        """Write a group for what is to be settled, if none came by."""
        if self._settling:
            self._jobs += self._taken_to_settle()
            self._wake()

    def _taken_to_settle(self) -> list[_Job]:
        """Take what is to be settled, for the group that is written now."""
        if self._settles is not None:
            self._settles.cancel()
        settling, self._settling, self._settles = self._settling, [], None
        return settling

    async def postpone(self, claimed: Claimed, due: int, reason: str) -> None:
        """Let go of an entry that failed for now; nothing happens where another has claimed it since."""
        await self._do(lambda: self._db.execute(sql.POSTPONE, (due, reason, claimed.entry.id, claimed.attempt)))

    async def bury(self, claimed: Claimed, now: int, reason: str, journal: Sequence[JournalEntry] = ()) -> None:
        """Move an entry to the dead letters with a journal entry `given_up`; nothing where another has claimed it."""
        await self._do(lambda: self._bury(claimed, now, reason, journal))

    async def forget(self, msisdn: str) -> bool:
        """Delete all that is known of a subscriber; False where nothing was."""
        forgotten = await self._do(lambda: self._forget(key_of(msisdn)))
        # Only now: a commit of the same group may have put it there a moment ago.
        self._cache.drop(msisdn)
        return forgotten

    async def risks(self) -> list[str]:
        """Return nothing: what was acknowledged is on the disk."""
        return []

    async def ping(self) -> None:
        """Write something and wait until it is on the disk."""
        await self._do(lambda: self._db.execute(sql.PING), steps=False)

    async def commit_terminal(self, terminal: Terminal, version: int) -> bool:
        """Write a terminal durably and return True, or return False where `version` is not the stored one."""
        statement = sql.UPDATE_TERMINAL if version else sql.ADD_TERMINAL
        return await self._one_changed(statement, (encode_terminal(terminal), terminal.id, version))

    async def use_nonce(self, terminal: str, nonce: str, until: int) -> bool:
        """Return True and remember the nonce durably, False where this terminal has used it and it was not swept."""
        return await self._one_changed(sql.USE, (terminal, nonce, until))

    async def answer(self, terminal: str, key: str) -> KeptAnswer | None:
        """Return the kept answer of a request; what is returned is durable, and so is what was committed with it."""
        rows = self._read(sql.ANSWER, (terminal, key))
        if rows:
            # What is read may not be on the disk yet, and an answer is passed on.
            rows = await self._do(lambda: self._db.execute(sql.ANSWER, (terminal, key)).fetchall(), steps=False)
        return KeptAnswer(terminal, key, *rows[0]) if rows else None

    async def sweep(self, now: int, limit: int) -> int:
        """Delete up to `limit` nonces and answers whose time is over, a slice at a time; commits go on in between."""
        swept = 0
        while swept < limit and self._read(sql.OVER, (now,)) == [(1,)]:
            swept += await self._do(partial(self._sweep, now, min(limit - swept, SWEEP_SLICE)))
        return swept

    async def restore(self, everything: Everything) -> None:
        """Let what there is of this subscriber be just this, durably; ValueError where an id belongs to another."""
        msisdn = everything.record.msisdn
        key = key_of(msisdn)
        await self._do(lambda: self._restore(key, everything))
        self._cache.drop(msisdn)

    async def set_mark(self, mark: str) -> None:
        """Mark the file durably; "" takes the mark off."""
        await self._do(lambda: self._db.execute(sql.SET_MARK, (mark,)), steps=False)

    async def note_keys(self, before: str, after: str) -> bool:
        """Note it durably and return True, or return False where what is noted is not `before`."""
        return await self._one_changed(sql.NOTE_KEYS, (before, after))

    async def _one_changed(self, statement: str, row: Row) -> bool:
        return await self._do(lambda: self._db.execute(statement, row).rowcount == 1, steps=False)

    async def _do(self, work: Callable[[], T], steps: bool = True) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(work, future, steps))
        self._wake()
        return await future

    def _sweep(self, now: int, limit: int) -> int:
        swept = self._db.execute(sql.SWEEP_NONCES, (now, limit)).rowcount
        return swept + self._db.execute(sql.SWEEP_ANSWERS, (now, limit - swept)).rowcount

    def _claim(self, now: int, limit: int, lease_ms: int, lanes: Collection[int]) -> list[Claimed]:
        rows: list[Row] = []
        for lane in lanes:
            rows += self._db.execute(sql.CLAIMABLE, (lane, now, limit - len(rows))).fetchall()
        lease = now + lease_ms
        self._db.executemany(sql.HOLD, [(lease, row[0]) for row in rows])
        return [
            Claimed(str(key), OutboxEntry(id, kind, due, work_from_json(data), expires, tried), attempt + 1, lease)
            for _, id, key, kind, due, expires, data, tried, attempt in rows
        ]

    def _bury(self, claimed: Claimed, now: int, reason: str, journal: Sequence[JournalEntry]) -> None:
        entry, key = claimed.entry, key_of(claimed.msisdn)
        if self._db.execute(sql.GIVE_UP, (entry.id, claimed.attempt)).rowcount:
            dead = (entry.id, key, now, entry.kind, to_json(entry.data), entry.expires, claimed.attempt, reason)
            self._db.execute(sql.BURY, dead)
            told = JournalEntry(now, "given_up", {"id": entry.id, "kind": entry.kind, "reason": reason})
            self._add_notes(journal_rows((told, *journal), key))

    def _restore(self, key: int, everything: Everything) -> None:
        record = encode(everything.record)
        if not self._db.execute(sql.REPLACE, (record, key)).rowcount:
            self._db.execute(sql.INSERT, (self._first_version(), record, key))
        for table in ("journal", "outbox", "dead_letter", "answer"):
            self._db.execute(f"DELETE FROM {table} WHERE msisdn = ?", (key,))
        self._db.executemany(sql.NOTE, journal_rows(everything.journal, key))
        self._db.executemany(sql.STAND, [standing_row(each, key) for each in everything.outbox])
        self._db.executemany(sql.BURY, [dead_row(each, key) for each in everything.dead_letters])
        self._db.executemany(sql.RESTORE_ANSWER, [answer_row(each, key) for each in everything.answers])

    def _forget(self, key: int) -> bool:
        deleted = sum(
            self._db.execute(f"DELETE FROM {table} WHERE msisdn = ?", (key,)).rowcount
            for table in ("subscriber", "journal", "outbox", "dead_letter", "answer")
        )
        if deleted:
            self._db.execute("UPDATE counter SET value = value + 1 WHERE name = 'forgotten'")
        return deleted > 0

    # Changes, in an open transaction ------------------------------------------------------------------------------

    def _apply_all(self, commits: Sequence[_Commit]) -> list[_Outcome]:
        """Write those changes that can be written, of a group that has just begun its transaction.

        Nearly always that is all of them. A savepoint before would have SQLite keep a copy of each page that is
        changed; without one the whole transaction is begun anew where a change is refused.
        """
        try:
            return self._apply(commits)
        except (_Refused, *_UNFIT):
            roll_back(self._db)
            self._db.execute("BEGIN IMMEDIATE")
            return self._apply_each(commits)

    def _apply_each(self, commits: Sequence[_Commit]) -> list[_Outcome]:
        """Write those changes that can be written: all at once, or where one is refused, by halves."""
        unfit: Exception | None = None
        try:
            with self._all_or_nothing():
                return self._apply(commits)
        except _Refused:
            pass
        except _UNFIT as error:
            unfit = ValueError(f"this change can never be written: {error}")
        if len(commits) == 1:
            return [unfit or 0]
        middle = len(commits) // 2
        return self._apply_each(commits[:middle]) + self._apply_each(commits[middle:])

    def _apply(self, commits: Sequence[_Commit]) -> list[_Outcome]:
        """Write all of these changes and return the versions they make; raise `_Refused` where one does not apply."""
        updates = [commit.row for commit in commits if commit.row[2]]
        first = 0
        if len(updates) < len(commits):
            first = self._first_version()
            rows = [commit.row for commit in commits if not commit.row[2]]
            self._change_each(sql.INSERT, [(first, record, key) for record, key, _ in rows])
        self._change_each(sql.UPDATE, updates)
        more = [commit for commit in commits if commit.more]
        if more:
            self._apply_more(more)
        if not first:  # nearly always
            return [row[2] + 1 for row in updates]
        return [commit.row[2] + 1 if commit.row[2] else first for commit in commits]

    def _add_notes(self, notes: list[Row]) -> None:
        """Write these journal entries, and let go of the oldest of their kinds that are too many."""
        self._db.executemany(sql.NOTE, notes)
        kinds = {(key, kind) for key, _, kind, _ in notes}
        self._db.executemany(sql.TRIM, [(key, kind, kept_of(kind, self._journal_entries)) for key, kind in kinds])

    def _apply_more(self, commits: Sequence[_Commit]) -> None:
        """Write what these changes have beside their records."""
        every = [also for commit in commits if (also := commit.also)]
        if every:
            self._change_each(sql.SETTLE, [row for also in every for row in also.settled])
            self._change_each(sql.EXHUME, [row for also in every for row in also.exhumed])
            if notes := [row for also in every for row in also.journal]:
                self._add_notes(notes)
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

    def _first_version(self) -> int:
        """Return the version of a number's first record: above those that a forgotten record of it can have had."""
        ((forgotten,),) = self._db.execute("SELECT value FROM counter WHERE name = 'forgotten'").fetchall()
        return (int(forgotten) << 32) + 1

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Take back what was written inside where it raises; the transaction around it goes on."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            # Some errors (a full disk) have ended the whole transaction already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO part")
                self._db.execute("RELEASE part")
            raise
        self._db.execute("RELEASE part")

    def _perform(self, job: _Job) -> Any:
        """Do one job; a mistake in its arguments is its own and comes back as an exception."""
        try:
            with self._all_or_nothing() if job.steps else nullcontext():
                return job.work()
        except _UNFIT as error:
            return ValueError(str(error))

    # The group: gathered while the disk is busy, written in one transaction, acknowledged when it is on the disk ----

    def _wake(self) -> None:
        """See to it that what is waiting is written: after this turn of the loop, or after the group under way."""
        if self._resting.is_set():
            self._resting.clear()
            self._loop().call_soon(self._write)

    def _write(self) -> None:
        """Write a group in one transaction and hand it to the disk, which calls `_written`."""
        commits, self._commits = self._commits[:GROUP], self._commits[GROUP:]
        if self._settling:
            self._jobs += self._taken_to_settle()
        jobs, self._jobs = self._jobs[:GROUP], self._jobs[GROUP:]
        if self._broken:
            self._fail(commits, jobs, self._broken)
            self._next()
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            versions = self._apply_all(commits) if commits else []
            answers = [self._perform(job) for job in jobs]
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(self._db)
            self._not_written(commits, jobs, error)
            return
        self._tries = 0
        self._disk.do(self._sync, lambda error: self._written(error, commits, versions, jobs, answers))

    def _not_written(self, commits: list[_Commit], jobs: list[_Job], error: sqlite3.Error) -> None:
        """Try again soon where another process is writing; anything else fails this group, and the next may succeed."""
        # What Python says itself, as of text that is not UTF-8, has no code.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY and self._tries < LOCK_TRIES:
            self._tries += 1
            self._commits[:0] = commits
            self._jobs[:0] = jobs
            self._loop().call_later(LOCK_RETRY_S, self._write)
            return
        self._tries = 0
        reason = f"cannot write the store: {explain(self._path, error)}"
        log.error("store_write_failed", reason=reason, commits=len(commits))
        self._fail(commits, jobs, reason)
        self._next()

    def _sync(self) -> None:
        """Wait until the log is on the disk. Runs in the disk's thread; the store writes nothing meanwhile."""
        # Closing this descriptor drops no lock of SQLite's: those are on the database and its -shm, never on the log.
        if not os.fstat(self._log).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the log was taken away", f"{self._path}-wal")
        os.fdatasync(self._log)

    def _written(
        self,
        error: BaseException | None,
        commits: list[_Commit],
        versions: list[_Outcome],
        jobs: list[_Job],
        answers: list[Any],
    ) -> None:
        """Acknowledge a group that is on the disk."""
        if error is not None:
            # After a failed sync nobody knows what is on the disk, and a second sync would say that all is well.
            self._break(f"the disk lost a write; check it and start again: {explain(self._path, error)}")
            log.critical("store_broken", reason=self._broken)
            self._fail(commits, jobs, self._broken)
        else:
            put = self._cache.put
            for commit, version in zip(commits, versions, strict=True):
                done: bool | Exception = True
                if type(version) is int and version:
                    put(commit.change.record, version, len(commit.row[0]))
                else:
                    self._cache.drop(commit.change.record.msisdn)
                    done = version if isinstance(version, Exception) else False
                tell(commit.told, done)
            for job, came in zip(jobs, answers, strict=True):
                pass_on(job.future, came)
            if self._db.total_changes - self._checkpointed > self._checkpoint_rows:
                self._start_checkpoint()
        self._next()

    def _fail(self, commits: list[_Commit], jobs: list[_Job], reason: str) -> None:
        for commit in commits:
            self._cache.drop(commit.change.record.msisdn)
            tell(commit.told, StoreUnavailable(reason))
        for job in jobs:
            pass_on(job.future, StoreUnavailable(reason))

    def _break(self, reason: str) -> None:
        """From now on refuse everything, what is remembered too."""
        self._broken = reason
        self._cache.clear()

    def _next(self) -> None:
        """Go on after a group: shorten the log where that is due, write who came meanwhile, or rest."""
        if self._log_may_restart and not self._broken:
            self._log_may_restart = False
            self._disk.do(self._checkpoint, lambda _: self._next())
        elif self._commits or self._jobs:
            self._loop().call_soon(self._write)
        else:
            self._resting.set()

    # Checkpoints: the log is copied into the database beside the work, and starts anew when all of it is copied ------

    def _start_checkpoint(self) -> None:
        """Copy the bulk of the log while groups go on being written; what they add meanwhile is copied after."""
        if self._bulk_copy is None:
            self._checkpointed = self._db.total_changes
            self._bulk_copy = self._loop().run_in_executor(self._bulk, self._checkpoint)
            self._bulk_copy.add_done_callback(self._bulk_copied)

    def _bulk_copied(self, _: "asyncio.Future[None]") -> None:
        self._bulk_copy = None
        self._log_may_restart = True
        if self._resting.is_set():
            self._resting.clear()
            self._next()

    def _checkpoint(self) -> None:
        """Copy as much of the log as can be copied without waiting for anybody; syncs the log and the database."""
        try:
            self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            # Nothing is lost: the log keeps it all, and the next checkpoint copies it.
            log.error("store_checkpoint_failed", reason=explain(self._path, error))

    async def close(self) -> None:
        """Finish what is under way, copy the whole log into the database, and let go of the file."""
        self._settle_now()
        while self._bulk_copy or not self._resting.is_set():
            if self._bulk_copy:
                await asyncio.wait([self._bulk_copy])
            await self._resting.wait()
        if self._released:
            return
        self._released = True
        self._break(self._broken or f"the store is closed: {self._path}")
        await self._loop().run_in_executor(self._bulk, self._let_go)
        self._disk.end()
        self._bulk.shutdown()

    def _let_go(self) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._checkpointer.close()
        self._db.close()
        os.close(self._shared)
        os.close(self._log)

    @staticmethod
    def _loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()


def _tell_held(told: ToldHeld, held: list[Claimed], done: bool | BaseException) -> None:
    told(held if done is True else None if done is False else done)
