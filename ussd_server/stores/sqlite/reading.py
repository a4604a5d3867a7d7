"""What can be asked of the embedded store: from memory or from the file, on the event loop's thread."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final, cast

from ussd_server.database import roll_back
from ussd_server.log import mask
from ussd_server.stores.base import (
    EVERY_LANE,
    DamagedRecord,
    DeadLetter,
    Everything,
    JournalEntry,
    KeptAnswer,
    Nonce,
    OutboxKind,
    Standing,
)
from ussd_server.stores.cache import Cache
from ussd_server.stores.damaged import DAMAGED, UNDECODABLE, shown
from ussd_server.stores.sqlite import statements as sql
from ussd_server.stores.sqlite.file import File
from ussd_server.stores.sqlite.rows import entry_of, key_of, letter_of, note_of, text_of
from ussd_server.subscribers.record import Subscriber, decode
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.record import decode as decode_terminal

ALL: Final = -1
"""A limit that is none."""


class Reading:
    """The port's reading half on a file, with a memory of the records that were used last."""

    def __init__(self, file: File, cache: Cache) -> None:
        self._file = file
        self._read = file.read
        self._cache = cache
        # As many as there are terminals: whoever asks for another finds none, and nothing is kept of it.
        self._terminals: dict[str, tuple[Terminal, int]] = {}

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
        except UNDECODABLE as error:
            raise DamagedRecord(f"{self._file.path}: the record of {mask(msisdn)} is damaged: {error}") from error

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
        key = key_of(msisdn)
        # What is damaged stands in the file under the kind that it had: where there is any, all are looked through.
        stands, most = (None, ALL) if kind == DAMAGED else (kind, limit)
        notes = self._notes(key, stands, most)
        if kind is not None and any(each.kind != kind for each in notes):
            notes = [each for each in self._notes(key, stands, ALL) if each.kind == kind]
        return notes[:limit]

    def _notes(self, key: int, kind: str | None, limit: int) -> list[JournalEntry]:
        return [note_of(*row) for row in self._read(sql.JOURNAL, (key, kind, limit))]

    async def subscribers(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have a record, by their value, beginning behind `after` ("": all)."""
        return [str(key) for (key,) in self._read(sql.WALK, (key_of(after) if after else 0, limit))]

    async def count_subscribers(self) -> int:
        """Return how many numbers have a record: reads the whole file, about a second for a gigabyte."""
        ((count,),) = self._read(sql.COUNT)
        return int(count)

    async def relist(self) -> int:
        """Return 0: records are their own list here."""
        return 0

    async def dead_letters(self, msisdn: str) -> list[DeadLetter]:
        """Return what was given up of a subscriber, oldest first."""
        return self._dead_letters(key_of(msisdn))

    def _dead_letters(self, key: int) -> list[DeadLetter]:
        return [letter_of(str(key), *row) for row in self._read(sql.DEAD_LETTERS, (key,))]

    async def given_up(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have dead letters, by their value, beginning behind `after` ("": all)."""
        return [str(key) for (key,) in self._read(sql.GIVEN_UP, (key_of(after) if after else 0, limit))]

    async def count_dead_letters(self) -> Mapping[OutboxKind, int]:
        """Return how many dead letters there are of each kind that there are any of."""
        found: Counter[OutboxKind] = Counter()
        for kind, count in self._read(sql.COUNT_DEAD):
            found[cast(OutboxKind, text_of(kind) or DAMAGED)] += count
        return found

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
        return [self._decode_terminal(id, record) for id, record in self._read(sql.TERMINALS)]

    def _decode_terminal(self, id: str, record: bytes) -> Terminal:
        try:
            return decode_terminal(record)
        except UNDECODABLE as error:
            raise DamagedRecord(f"{self._file.path}: the record of the terminal {id!r} is damaged: {error}") from error

    async def nonces(self, after: Nonce | None, limit: int) -> list[Nonce]:
        """Return up to `limit` nonces by terminal and nonce, beginning behind `after`."""
        behind = (after.terminal, after.nonce) if after else ("", "")
        return [Nonce(*row) for row in self._read(sql.NONCES, (*behind, limit))]

    async def dump(self, msisdn: str) -> Everything | None:
        """Return all there is of a subscriber as it is in the file at one moment; None for an unknown number."""
        key = key_of(msisdn)
        # No group is being written now: that is done within one turn of the loop, as this is.
        self._read("BEGIN")
        try:
            return self._dump(key)
        finally:
            roll_back(self._file.db)

    def _dump(self, key: int) -> Everything | None:
        rows = self._read(sql.LOAD, (key,))
        if not rows:
            return None
        journal = [note_of(*row) for row in self._read(sql.WHOLE_JOURNAL, (key,))]
        outbox = [
            Standing(entry_of(*row)[0], ready, attempt, shown(reason))
            for ready, attempt, reason, *row in self._read(sql.WHOLE_OUTBOX, (key,))
        ]
        answers = [KeptAnswer(*row) for row in self._read(sql.WHOLE_ANSWERS, (key,))]
        return Everything(self._decode(str(key), rows[0][1]), journal, outbox, self._dead_letters(key), answers)

    async def brought(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that were restored as `brought` since the file was marked, by their value."""
        return [str(key) for (key,) in self._read(sql.BROUGHT, (key_of(after) if after else 0, limit))]

    async def in_use(self) -> str | None:
        """Return which other process has the file open; one of them, and "" for none."""
        return self._file.holder()

    async def mark(self) -> str:
        """Return what the file is marked with, "" for nothing."""
        ((text,),) = self._read(sql.MARK)
        return str(text)

    @property
    def broken(self) -> str:
        """Why nothing is read or written any more: nobody knows what of the last writes is on the disk."""
        return self._file.broken

    async def identity(self) -> str:
        """Return "": who moves the file away does so on purpose."""
        return ""

    async def noted_keys(self) -> str:
        """Return what was noted of its servers' keys, "" for nothing."""
        ((text,),) = self._read(sql.NOTED_KEYS)
        return str(text)
