"""A fence around the embedded store's tables: nobody changes them, in whatever process, until it is taken away.

Triggers are the fence. So the file itself refuses, also for who opened it before; and without one no write costs more.
"""

import sqlite3
from typing import Final

from ussd_server.stores.base import StoreUnavailable

_TABLES: Final = ("subscriber", "journal", "outbox", "dead_letter", "answer", "terminal", "nonce")
_EVENTS: Final = (
    *(f"{verb} ON {table}" for table in _TABLES for verb in ("INSERT", "UPDATE", "DELETE")),
    "UPDATE OF keys ON mark",
)
"""What is refused: all that changes what a copy has."""

_TRIGGERS: Final = {f"fence_{number}": event for number, event in enumerate(_EVENTS)}


def fence(db: sqlite3.Connection, reason: str) -> None:
    """Let nobody change anything, within the transaction that is open."""
    unfence(db)
    text = reason.replace("'", "''")
    for name, event in _TRIGGERS.items():
        db.execute(f"CREATE TRIGGER {name} BEFORE {event} BEGIN SELECT RAISE(ABORT, '{text}'); END")


def unfence(db: sqlite3.Connection) -> None:
    """Take the fence away, where there is one."""
    for name in _TRIGGERS:
        db.execute(f"DROP TRIGGER IF EXISTS {name}")


def refusal(error: Exception) -> StoreUnavailable | None:
    """Return what is to be told where the fence refused something; None where it was not the fence."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return StoreUnavailable(f"the store takes no changes: it is {error}")
    return None
