"""Changes, and what goes with them, as rows of the embedded store's tables. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

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
    OutboxKind,
    Standing,
)
from ussd_server.stores.cache import Entry
from ussd_server.stores.damaged import DAMAGED, UNDECODABLE, damaged, shown, tolerant
from ussd_server.subscribers.record import encode

Row: TypeAlias = tuple[Any, ...]

_encode_json = msgspec.json.Encoder().encode
from_json: Callable[[str | bytes], Values] = msgspec.json.Decoder(dict[str, Any]).decode
work_from_json = tolerant(from_json)


def to_json(values: Values | list[int] | list[str]) -> str:
    """Return values as they stand in a column."""
    return _encode_json(values).decode()


def text_of(octets: bytes) -> str | None:
    """Return a column's text, None where it is none."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None


def note_of(at: int, kind: bytes, data: bytes) -> JournalEntry:
    """Return the journal entry that is kept so; one of kind `DAMAGED` where its kind or its data is none."""
    try:
        return JournalEntry(at, kind.decode(), from_json(data))
    except UNDECODABLE:
        return JournalEntry(at, DAMAGED, damaged(b" ".join((kind, data))))


def entry_of(
    seq: int, id: bytes, kind: bytes, due: int, data: bytes, expires: int, tried: int
) -> tuple[OutboxEntry, bool]:
    """Return the outbox entry that is kept so, and whether it is one; else of kind `DAMAGED`: nobody knows what it was.

    Data that cannot be decoded is told of as such, in an entry that is one.
    """
    name, sort = text_of(id), text_of(kind)
    if name is None or sort is None:
        values = damaged(b" ".join((id, kind, data)))
        return OutboxEntry(name or f"{DAMAGED}-{seq}", DAMAGED, due, values, expires, tried), False
    return OutboxEntry(name, cast(OutboxKind, sort), due, work_from_json(data), expires, tried), True


def letter_of(
    msisdn: str, id: bytes, kind: bytes, data: bytes, expires: int, at: int, attempt: int, reason: bytes
) -> DeadLetter:
    """Return the dead letter that is kept so; of kind `DAMAGED` where its id or its kind is no text.

    An id that is none is told as its octets, in hexadecimal digits, and taken back by that.
    """
    name, sort = text_of(id), text_of(kind)
    if name is None or sort is None:
        known, values = name or f"{DAMAGED}-x{id.hex()}", damaged(b" ".join((id, kind, data)))
        return DeadLetter(msisdn, known, DAMAGED, values, expires, at, attempt, shown(reason))
    return DeadLetter(msisdn, name, cast(OutboxKind, sort), work_from_json(data), expires, at, attempt, shown(reason))


def key_of(msisdn: str) -> int:
    """Return the key of a subscriber; ValueError for what is no MSISDN."""
    key = int(msisdn)
    if str(key) != msisdn or not 0 < key < 10**15:
        raise ValueError("a MSISDN is up to 15 digits and does not start with 0")
    return key


class Rows:
    """Changes that are written together, as rows by what becomes of them; and what is remembered of them then."""

    __slots__ = (
        "answers",
        "changes",
        "dropped",
        "enqueued",
        "entries",
        "exhumed",
        "held",
        "inserted",
        "journal",
        "replaced",
        "settled",
    )

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.entries: list[Entry] = []
        """Each change's record as the cache keeps it, under the version after that which it replaces."""
        self.replaced: list[tuple[bytes, int, int]] = []
        self.inserted: list[tuple[bytes, int]] = []
        """The first records of their numbers: what version they have is not known yet."""
        self.settled: list[Row] = []
        self.dropped: list[Row] = []
        self.exhumed: list[Row] = []
        self.journal: list[Row] = []
        self.enqueued: list[Row] = []
        self.held: list[tuple[int, list[Claimed]]] = []
        """What of `enqueued` is held, by subscriber's key: all that may be, hoping that nothing waits before it."""
        self.answers: list[Row] = []

    def add(self, change: Change, now: int = 0, lease: int = 0, held: list[Claimed] | None = None) -> int:
        """Add a change, and return how many there are.

        With a list of what is `held`, what is due and first of its lane in this change is put into it, held until
        `lease`. Nothing is added where it raises: for a number that is none, or a value that has no stored form.
        """
        record, version = change.record, change.version
        # Where there is a version, the number was a key when it was loaded.
        key = int(record.msisdn) if version else key_of(record.msisdn)
        stored = encode(record)
        outbox = change.outbox and _outbox_rows(change, key, now, lease, held)
        # Nearly every commit is a record and nothing else, or with an SMS.
        if change.journal or change.settled or change.dropped or change.exhumed or change.answer:
            self._add_more(change, key)
        if outbox:
            self.enqueued += outbox
            if held:
                self.held.append((key, held))
        if version:
            self.replaced.append((stored, key, version))
        else:
            self.inserted.append((stored, key))
        self.entries.append(((record, version + 1), len(stored)))
        self.changes.append(change)
        return len(self.changes)

    def _add_more(self, change: Change, key: int) -> None:
        self.journal += journal_rows(change.journal, key)
        self.settled += settled_rows(change.settled, key)
        self.dropped += settled_rows(change.dropped, key)
        self.exhumed += settled_rows(change.exhumed, key)
        if change.answer:
            self.answers.append(answer_row(change.answer, key))

    def let_wait(self, waiting: set[tuple[int, int]]) -> None:
        """Hold nothing that something waits before: pairs of a subscriber's key and a lane."""
        behind = {row[0] for row in self.enqueued if row[1:3] in waiting}
        self.enqueued = [(*row[:8], row[4], row[7]) if row[0] in behind else row for row in self.enqueued]
        for _, held in self.held:
            held[:] = [each for each in held if each.entry.id not in behind]


def settled_rows(ids: Sequence[str], key: int) -> list[Row]:
    """Return which of a subscriber's entries are to be removed."""
    return [(id, key) for id in ids]


def journal_rows(entries: Sequence[JournalEntry], key: int) -> list[Row]:
    """Return journal entries as rows."""
    return [(key, entry.at, entry.kind, to_json(entry.data)) for entry in entries]


def _outbox_rows(change: Change, key: int, now: int, lease: int, held: list[Claimed] | None) -> list[Row]:
    """Return what it puts into the outbox; with a list of what is `held`, what is due and first of its lane is."""
    rows: list[Row] = []
    for entry in change.outbox:
        kind, due, tried = entry.kind, entry.due, entry.tried
        lane, ready, attempt = LANES[kind], due, tried
        if held is not None and due <= now and (not rows or all(row[2] != lane for row in rows)):
            ready, attempt = lease, tried + 1
            held.append(Claimed(change.record.msisdn, entry, attempt, lease))
        data = _encode_json(entry.data).decode()
        rows.append((entry.id, key, lane, kind, due, entry.expires, data, tried, ready, attempt))
    return rows


def standing_row(standing: Standing, key: int) -> Row:
    """Return an outbox entry as it stood in another store."""
    entry = standing.entry
    beginning = (
        entry.id,
        key,
        LANES[entry.kind],
        entry.kind,
        entry.due,
        entry.expires,
        to_json(entry.data),
        entry.tried,
    )
    return *beginning, standing.ready, standing.attempt, standing.reason


def dead_row(dead: DeadLetter, key: int) -> Row:
    """Return what was given up."""
    return dead.id, key, dead.at, dead.kind, to_json(dead.data), dead.expires, dead.attempt, dead.reason


def answer_row(answer: KeptAnswer, key: int) -> Row:
    """Return the answer that a terminal had."""
    return answer.terminal, answer.key, key, answer.fingerprint, answer.body, answer.expires
