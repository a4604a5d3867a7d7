"""Changes, and what goes with them, as rows of the embedded store's tables. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from menus.session import Values
from ussd_server.stores.base import (
    LANES,
    Change,
    Claimed,
    DeadLetter,
    JournalEntry,
    KeptAnswer,
    OutboxEntry,
    Standing,
)
from ussd_server.stores.damaged import tolerant

Row: TypeAlias = tuple[Any, ...]

_encode_json = msgspec.json.Encoder().encode
from_json: Callable[[str | bytes], Values] = msgspec.json.Decoder(dict[str, Any]).decode
work_from_json = tolerant(from_json)


def to_json(values: Values | list[int]) -> str:
    """Return values as they stand in a column."""
    return _encode_json(values).decode()


def text_of(octets: bytes) -> str | None:
    """Return a column's text, None where it is none."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None


def key_of(msisdn: str) -> int:
    """Return the key of a subscriber; ValueError for what is no MSISDN."""
    key = int(msisdn)
    if str(key) != msisdn or not 0 < key < 10**15:
        raise ValueError("a MSISDN is up to 15 digits and does not start with 0")
    return key


class Work(msgspec.Struct, frozen=True):
    """What a change puts into the outbox, as rows, those held already that may be: they are `hoped` to be the first.

    `held` is what is held indeed, as nothing waits before it.
    """

    rows: list[Row]
    hoped: list[Claimed]
    held: list[Claimed]


class Also(msgspec.Struct, frozen=True):
    """What a change has beside the record and the outbox, as rows."""

    settled: list[Row]
    journal: list[Row]
    answers: list[Row]
    exhumed: list[Row]


def settled_rows(ids: Sequence[str], key: int) -> list[Row]:
    """Return which of a subscriber's entries are to be removed."""
    return [(id, key) for id in ids]


def journal_rows(entries: Sequence[JournalEntry], key: int) -> list[Row]:
    """Return journal entries as rows."""
    return [(key, entry.at, entry.kind, to_json(entry.data)) for entry in entries]


def also_of(change: Change, key: int) -> Also | None:
    """Return what a change has beside the record and the outbox; for an SMS that is nothing."""
    if not (change.journal or change.settled or change.exhumed or change.answer):
        return None
    return Also(
        settled_rows(change.settled, key),
        journal_rows(change.journal, key),
        [answer_row(change.answer, key)] if change.answer else [],
        settled_rows(change.exhumed, key),
    )


def outbox_row(entry: OutboxEntry, key: int, ready: int, attempt: int) -> Row:
    """Return an outbox entry that may be taken from `ready` on (ms)."""
    return (
        entry.id,
        key,
        LANES[entry.kind],
        entry.kind,
        entry.due,
        entry.expires,
        _encode_json(entry.data).decode(),
        entry.tried,
        ready,
        attempt,
    )


def work_of(change: Change, key: int, now: int, lease: int, held: list[Claimed]) -> Work:
    """Return what a change puts into the outbox; with a `lease`, what is due and first in its lane is held till then.

    What of that is held indeed goes into `held`, when it is known what waits before it.
    """
    rows: list[Row] = []
    hoped: list[Claimed] = []
    lanes: list[int] = []
    for entry in change.outbox:
        ready, attempt, lane = entry.due, entry.tried, LANES[entry.kind]
        if lease and ready <= now and lane not in lanes:
            ready, attempt = lease, attempt + 1
            hoped.append(Claimed(change.record.msisdn, entry, attempt, lease))
        lanes.append(lane)
        rows.append(outbox_row(entry, key, ready, attempt))
    return Work(rows, hoped, held)


def hold_first(work: Work, waiting: set[Row]) -> list[Row]:
    """Return a change's rows, not held where anything waits before them: pairs of a subscriber's key and a lane."""
    work.held.clear()  # of a try that was taken back
    if not waiting:  # nearly always
        work.held.extend(work.hoped)
        return work.rows
    behind = {row[0] for row in work.rows if row[1:3] in waiting}
    work.held.extend(hope for hope in work.hoped if hope.entry.id not in behind)
    return [(*row[:8], row[4], row[7]) if row[0] in behind else row for row in work.rows]


def standing_row(standing: Standing, key: int) -> Row:
    """Return an outbox entry as it stood in another store."""
    return *outbox_row(standing.entry, key, standing.ready, standing.attempt), standing.reason


def dead_row(dead: DeadLetter, key: int) -> Row:
    """Return what was given up."""
    return dead.id, key, dead.at, dead.kind, to_json(dead.data), dead.expires, dead.attempt, dead.reason


def answer_row(answer: KeptAnswer, key: int) -> Row:
    """Return the answer that a terminal had."""
    return answer.terminal, answer.key, key, answer.fingerprint, answer.body, answer.expires
