"""The records that a store used last, decoded, so that most of a subscriber's steps read nothing.

They are in two generations. What is used goes into the younger one; when that is full it becomes the older one, and
what was in the older one and not used since is forgotten. To keep them in the order of their last use would cost a turn
more than all the rest that is done here.
"""

from collections.abc import Iterable
from typing import TypeAlias

from ussd_server.subscribers.record import Subscriber

CACHED_RECORDS = 20_000
CACHED_OCTETS = 64 * 1024 * 1024
"""Decoded records kept in memory at most, by number and by stored size; decoded alone each takes 2 KB more than that.

Half of it is certain, and must hold those who are in a dialogue, or none of their steps finds anything."""

Entry: TypeAlias = tuple[tuple[Subscriber, int], int]
"""A record with its version, and its stored size."""


class Cache:
    """The records used last, decoded, with their versions: at most so many, of at most so many octets."""

    __slots__ = ("_held", "_octets", "_older", "_records", "_younger")

    def __init__(self, records: int = CACHED_RECORDS, octets: int = CACHED_OCTETS) -> None:
        self._records = records // 2
        self._octets = octets // 2
        self._younger: dict[str, Entry] = {}
        self._older: dict[str, Entry] = {}
        self._held = 0
        """The stored size of the younger ones."""

    def get(self, msisdn: str) -> tuple[Subscriber, int] | None:
        """Return what is remembered of a number, if anything."""
        entry = self._younger.get(msisdn)
        if entry is not None:
            return entry[0]
        entry = self._older.get(msisdn)
        if entry is None:
            return None
        (record, version), octets = entry
        return self.put(record, version, octets)

    def put(self, record: Subscriber, version: int, octets: int) -> tuple[Subscriber, int]:
        """Remember a record of this stored size, and forget some that were not used lately where there is no room."""
        younger, loaded, msisdn = self._younger, (record, version), record.msisdn
        before = younger.get(msisdn)
        younger[msisdn] = loaded, octets
        self._held = held = self._held + octets - (before[1] if before is not None else 0)
        if held > self._octets or len(younger) > self._records:
            self._older, self._younger, self._held = younger, {msisdn: younger.pop(msisdn)}, octets
        return loaded

    def put_all(self, entries: Iterable[Entry]) -> None:
        """Remember these records, the later ones of a number; what is forgotten for them are others."""
        younger, held = self._younger, self._held
        for entry in entries:
            (record, _), octets = entry
            msisdn = record.msisdn
            before = younger.get(msisdn)
            held += octets if before is None else octets - before[1]
            younger[msisdn] = entry
        self._held = held
        if held > self._octets or len(younger) > self._records:
            self._older, self._younger, self._held = younger, {}, 0

    def drop(self, msisdn: str) -> None:
        """Forget a number's record."""
        entry = self._younger.pop(msisdn, None)
        if entry is not None:
            self._held -= entry[1]
        self._older.pop(msisdn, None)

    def clear(self) -> None:
        """Forget everything."""
        self._younger.clear()
        self._older.clear()
        self._held = 0
