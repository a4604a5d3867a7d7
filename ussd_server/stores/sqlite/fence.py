"""A fence around the embedded store's tables: nobody changes them, in whatever process, until it is taken away.

Triggers are the fence. So the file itself refuses, also for who opened it before; and without one no write costs more.
"""

import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.sqlite import statements as sql

T = TypeVar("T")

_TABLES: Final = ("subscriber", "journal", "outbox", "dead_letter", "answer", "terminal", "nonce")
_EVENTS: Final = (
    *(f"{verb} ON {table}" for table in _TABLES for verb in ("INSERT", "UPDATE", "DELETE")),
    "UPDATE OF keys ON mark",
)
"""What is refused: all that changes what a copy has."""

_TRIGGERS: Final = {f"fence_{number}": event for number, event in enumerate(_EVENTS)}


def fence(db: sqlite3.Connection, mark: str, passing: bool = False) -> None:
    """Let nobody change anything, within the transaction that is open; but for who does it by `let_pass`, if so."""
    unfence(db)
    text = mark.replace("'", "''")
    when = ""
    if passing:
        when, text = "WHEN NOT EXISTS (SELECT 1 FROM counter WHERE name = 'passing')", f"being {text}"
    for name, event in _TRIGGERS.items():
        db.execute(f"CREATE TRIGGER {name} BEFORE {event} {when} BEGIN SELECT RAISE(ABORT, '{text}'); END")


def let_pass(db: sqlite3.Connection, work: Callable[[], T]) -> T:
    """Do this in the transaction that is open as who passes the fence; nobody else sees how."""
    db.execute(sql.PASS)
    try:
        return work()
    finally:
        if db.in_transaction:  # some errors (a full disk) have ended it
            db.execute(sql.PASS_NO_MORE)


def unfence(db: sqlite3.Connection) -> None:
    """Take the fence away, where there is one."""
    for name in _TRIGGERS:
        db.execute(f"DROP TRIGGER IF EXISTS {name}")


def refusal(error: Exception) -> StoreUnavailable | None:
    """Return what is to be told where the fence refused something; None where it was not the fence."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return StoreUnavailable(f"the store takes no changes: it is {error}")
    return None
