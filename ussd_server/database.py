"""SQLite files: opened the same way everywhere, brought up to the schema that is known, failing in plain words."""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Migration: TypeAlias = Sequence[str]
"""The statements that lead from one version of a schema to the next, run in one transaction."""

OPEN_RETRY_S = 0.01
"""How often to look whether the other process is done (s); only at the start, where nothing else waits."""

OPEN_WAIT_S = 5.0
"""How long opening may wait for another process that is just migrating the same file (s)."""

CACHE_KIB = 16 * 1024
"""Page cache of a connection (KiB)."""

PAGE_BYTES = 2048
"""A changed record costs its whole pages in the log; with 4096 they took 1.5 to 4 times as long to write (measured)."""

FILE_MODE = 0o600
"""Records hold numbers and what their owners did: nobody else on the machine reads them."""

_HINTS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file cannot be written; check its owner and the mount",
    sqlite3.SQLITE_CANTOPEN: "the directory is missing or may not be written",
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_LOCKED: "another connection holds it",
    sqlite3.SQLITE_NOTADB: "this is no SQLite database",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore it from a copy",
    sqlite3.SQLITE_IOERR: "the disk refused; it may be full, over a limit, or failing",
}

UNREADABLE = "the file may not be read by this user; do it as the one that owns it"
"""What SQLITE_CANTOPEN means where the file is there, as for who gives a command as another user than the server's."""


class SchemaError(Exception):
    """The file is a database, but not one that this version of the program may use. The text says why."""


def connect(path: str) -> sqlite3.Connection:
    """Open `path` (or `:memory:`) in autocommit mode with a write-ahead log that nobody checkpoints unasked.

    A new file is its owner's alone, and so are the log and the index beside it. What is deleted is overwritten, also
    on pages that are free then: that takes 3 % more log where entries come and go, and nothing where a record is
    replaced. Transactions are begun and ended by
    the caller. The connection may be used by any thread, one at a time. Raises `sqlite3.Error`.
    """
    if path != ":memory:":
        _create(path)
    connection = sqlite3.connect(path, timeout=OPEN_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        _write_ahead(connection)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: str) -> None:
    """Make an empty file of mode 0600 where there is none; SQLite gives that mode to its -wal and -shm as well.

    A file that exists is not even opened: closing it again would drop the locks that this process holds on it.
    """
    with suppress(OSError):  # what is wrong with the path, SQLite says
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. Two processes may do so at once, and for this SQLite does not wait by itself."""
    last_try = time.monotonic() + OPEN_WAIT_S
    while True:
        try:
            ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
            if mode in ("wal", "memory") or time.monotonic() > last_try:
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > last_try:
                raise
        time.sleep(OPEN_RETRY_S)


def migrate(connection: sqlite3.Connection, application_id: int, migrations: Sequence[Migration]) -> None:
    """Bring the schema to version `len(migrations)`; another application's or a newer file raises `SchemaError`.

    Two processes may do it at the same time: the second waits, and finds nothing left to do.
    """
    if _version(connection, application_id, len(migrations)) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations[_version(connection, application_id, len(migrations)) :]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {application_id}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def _version(connection: sqlite3.Connection, application_id: int, known: int) -> int:
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if found != application_id and (found or version or tables):
        raise SchemaError("this is another program's database")
    if version > known:
        raise SchemaError(f"its schema has version {version}, this program knows {known}; run a newer program")
    return int(version)


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction if there is one: SQLite has already ended it after some errors."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def code_of(error: BaseException) -> int:
    """Return SQLite's code of an error, 0 for what Python says itself, as of text that is not UTF-8."""
    return getattr(error, "sqlite_errorcode", None) or 0


def explain(path: str | Path, error: BaseException) -> str:
    """Return one line for the operator: which file, what happened, and what is probably wrong."""
    code = code_of(error) & 0xFF
    shut = code == sqlite3.SQLITE_CANTOPEN and os.path.isfile(path) and not os.access(path, os.R_OK)
    if isinstance(error, sqlite3.Error) and (hint := UNREADABLE if shut else _HINTS.get(code)):
        return f"{path}: {hint} ({error}, {error.sqlite_errorname})"
    return f"{path}: {error}"
