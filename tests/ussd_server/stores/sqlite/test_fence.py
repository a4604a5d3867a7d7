"""A fenced file refuses changes by itself, so also those of a program that knows no fence."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.ussd_server.stores.sqlite.bench import ANNA, on
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber

OTHERS = (
    f"UPDATE subscriber SET record = x'00' WHERE msisdn = {ANNA}",
    "INSERT OR IGNORE INTO subscriber (msisdn, version, record) VALUES (79100000009, 1, x'00')",
    f"INSERT OR REPLACE INTO subscriber (msisdn, version, record) VALUES ({ANNA}, 1, x'00')",
    f"DELETE FROM subscriber WHERE msisdn = {ANNA}",
    "UPDATE mark SET keys = 'others'",
)


def triggers(db: sqlite3.Connection) -> int:
    ((count,),) = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'")
    return int(count)


def test_a_connection_of_before_that_knows_no_fence_is_refused(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(Change(0, Subscriber(ANNA)))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            for statement in OTHERS:
                other.execute("BEGIN")
                other.execute(statement)  # it is in the connection's cache from now on
                other.execute("ROLLBACK")
            assert triggers(other) == 0
            await store.set_mark("moved to 'another'", fenced=True)
            for statement in OTHERS:
                with pytest.raises(sqlite3.IntegrityError, match="moved to 'another'"):
                    other.execute(statement)
            await store.set_mark("")
            assert triggers(other) == 0
            other.execute(OTHERS[0])

    on(path, test)
