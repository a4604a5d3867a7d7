"""What else than changes is written to the embedded store in several statements, each within an open transaction."""

import sqlite3
from collections.abc import Collection, Sequence

from ussd_server.stores.base import LANES, Claimed, Everything, JournalEntry
from ussd_server.stores.damaged import DAMAGED
from ussd_server.stores.sqlite import statements as sql
from ussd_server.stores.sqlite.changes import add_notes, first_version
from ussd_server.stores.sqlite.fence import fence, unfence
from ussd_server.stores.sqlite.rows import (
    Row,
    answer_row,
    dead_row,
    entry_of,
    journal_rows,
    key_of,
    standing_row,
    to_json,
)
from ussd_server.subscribers.record import encode


def claim(db: sqlite3.Connection, now: int, limit: int, lease_ms: int, lanes: Collection[int]) -> list[Claimed]:
    """Hold up to `limit` entries that can be claimed, the oldest of each subscriber and lane, and return them."""
    rows: list[Row] = []
    for lane in lanes:
        rows += db.execute(sql.CLAIMABLE, (lane, now, limit - len(rows))).fetchall()
    lease = now + lease_ms
    db.executemany(sql.HOLD, [(lease, row[0]) for row in rows])
    return [_claimed(db, row, lease) for row in rows]


def _claimed(db: sqlite3.Connection, row: Row, lease: int) -> Claimed:
    seq, id, key, kind, due, expires, data, tried, attempt = row
    entry, whole = entry_of(seq, id, kind, due, data, expires, tried)
    if not whole:
        # What it is called from now on must be in the file, for it is given up by that.
        db.execute(sql.MEND, (entry.id, LANES[DAMAGED], DAMAGED, to_json(entry.data), seq))
    return Claimed(str(key), entry, attempt + 1, lease)


def bury(
    db: sqlite3.Connection,
    claimed: Claimed,
    now: int,
    reason: str,
    journal: Sequence[JournalEntry],
    journal_entries: int,
) -> None:
    """Move an entry to the dead letters and say so in the journal; nothing where another has claimed it since."""
    entry, key = claimed.entry, key_of(claimed.msisdn)
    if db.execute(sql.GIVE_UP, (entry.id, claimed.attempt)).rowcount:
        dead = (entry.id, key, now, entry.kind, to_json(entry.data), entry.expires, claimed.attempt, reason)
        db.execute(sql.BURY, dead)
        told = JournalEntry(now, "given_up", {"id": entry.id, "kind": entry.kind, "reason": reason})
        add_notes(db, journal_rows((told, *journal), key), journal_entries)


def restore(db: sqlite3.Connection, key: int, everything: Everything, brought: bool) -> None:
    """Let what there is of a subscriber be just this, under a new version."""
    if brought:
        db.execute(sql.BRING, (key,))
    record = encode(everything.record)
    if not db.execute(sql.REPLACE, (record, key)).rowcount:
        db.execute(sql.INSERT, (first_version(db), record, key))
    for table in ("journal", "outbox", "dead_letter", "answer"):
        db.execute(f"DELETE FROM {table} WHERE msisdn = ?", (key,))
    db.executemany(sql.NOTE, journal_rows(everything.journal, key))
    db.executemany(sql.STAND, [standing_row(each, key) for each in everything.outbox])
    db.executemany(sql.BURY, [dead_row(each, key) for each in everything.dead_letters])
    db.executemany(sql.RESTORE_ANSWER, [answer_row(each, key) for each in everything.answers])


def mark(db: sqlite3.Connection, text: str, fenced: bool, passing: bool) -> None:
    """Mark the file, and let it be fenced or not, for all or but for who is passing."""
    db.execute(sql.NONE_BROUGHT, (text,))
    db.execute(sql.SET_MARK, (text,))
    if fenced:
        fence(db, text, passing)
    else:
        unfence(db)


def forget(db: sqlite3.Connection, key: int) -> bool:
    """Delete all there is of a subscriber; False where nothing was."""
    deleted = sum(
        db.execute(f"DELETE FROM {table} WHERE msisdn = ?", (key,)).rowcount
        for table in ("subscriber", "journal", "outbox", "dead_letter", "answer")
    )
    if deleted:
        db.execute("UPDATE counter SET value = value + 1 WHERE name = 'forgotten'")
    return deleted > 0


def sweep(db: sqlite3.Connection, now: int, limit: int) -> int:
    """Delete up to `limit` nonces and answers whose time is over, and return how many."""
    swept = db.execute(sql.SWEEP_NONCES, (now, limit)).rowcount
    return swept + db.execute(sql.SWEEP_ANSWERS, (now, limit - swept)).rowcount
