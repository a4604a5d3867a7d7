"""The embedded store's file: opened with its log, read, synced, copied into from the log, and let go of."""

import errno
import fcntl
import os
import sqlite3
import struct
from contextlib import ExitStack, suppress
from typing import Any

import structlog

from ussd_server.database import SchemaError, connect, explain, migrate
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.sqlite import statements as sql
from ussd_server.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS

LOG_LIMIT_BYTES = 128 * 1024 * 1024
"""A log that grew beyond this (a reader held it) is cut when it starts anew."""

SHARED_BYTE = 128
"""The byte of the -shm file on which every connection to the database holds a shared lock (UNIX_SHM_DMS)."""

_FLOCK = struct.Struct("hhqqi4x")
"""Linux's `struct flock`: type, whence, start, length, process."""

log = structlog.get_logger(__name__)


class File:
    """A database with its write-ahead log. Opening raises `StoreUnavailable` with the cause.

    `db` is for the event loop's thread. `broken` tells why nothing is read or written any more, if so.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.broken = ""
        try:
            self._open()
        except (sqlite3.Error, OSError, SchemaError) as error:
            raise StoreUnavailable(f"cannot open the store: {explain(path, error)}") from error

    def _open(self) -> None:
        with ExitStack() as undo:
            self.db = connect(self.path)
            undo.callback(self.db.close)
            migrate(self.db, APPLICATION_ID, MIGRATIONS)
            # A first write makes the log exist, and shows now rather than later that the file can be written.
            self.db.execute(sql.PING)
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute("PRAGMA busy_timeout = 0")
            self.db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
            self._checkpointer = connect(self.path)
            undo.callback(self._checkpointer.close)
            self._checkpointer.execute("PRAGMA busy_timeout = 0")
            self._log = os.open(f"{self.path}-wal", os.O_RDONLY)
            undo.callback(os.close, self._log)
            # Kept until the end: to close it would drop the locks that SQLite holds on it in this process.
            self._shared = os.open(f"{self.path}-shm", os.O_RDWR)
            undo.callback(os.close, self._shared)
            directory = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
            undo.pop_all()

    def read(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return the rows that a statement brings; raises `StoreUnavailable` with the cause."""
        if self.broken:
            raise StoreUnavailable(self.broken)
        try:
            return self.db.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read the store: {explain(self.path, error)}") from error

    def sync(self) -> None:
        """Wait until the log is on the disk: in a thread, and while nothing is written. Raises OSError."""
        # Closing this descriptor drops no lock of SQLite's: those are on the database and its -shm, never on the log.
        if not os.fstat(self._log).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the log was taken away", f"{self.path}-wal")
        os.fdatasync(self._log)

    def copy_log(self) -> None:
        """Copy as much of the log as can be copied without waiting for anybody, in a thread; syncs both."""
        try:
            self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            # Nothing is lost: the log keeps it all, and the next checkpoint copies it.
            log.error("store_checkpoint_failed", reason=explain(self.path, error))

    def empty_log(self) -> bool:
        """Copy the whole log, in a thread, and cut it to nothing; False where somebody uses it at that moment."""
        self.copy_log()  # beside all work, so that little is left to do while nobody may write
        try:
            ((busy, _, _),) = self._checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            return False
        return not busy

    def holder(self) -> str:
        """Return which other process has the file open; one of them, and "" for none."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, SHARED_BYTE, 1, 0)
        kind, *_, process = _FLOCK.unpack(fcntl.fcntl(self._shared, fcntl.F_GETLK, asked))
        return "" if kind == fcntl.F_UNLCK else f"process {process}"

    def close(self) -> None:
        """Copy the whole log into the database, and let go of all. Where the disk is slow, so is this."""
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._checkpointer.close()
        self.db.close()
        os.close(self._shared)
        os.close(self._log)
