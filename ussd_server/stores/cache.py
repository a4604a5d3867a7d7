"""The records that a store used last, decoded, so that most of a subscriber's steps read nothing."""

from collections import OrderedDict

from ussd_server.subscribers.record import Subscriber

CACHED_RECORDS = 20_000
CACHED_OCTETS = 8 * 1024 * 1024
"""Decoded records kept in memory at most, by number and by stored size; decoded they take 5 to 12 times as much."""


class Cache:
    """The records used last, decoded, with their versions."""

    def __init__(self, records: int = CACHED_RECORDS, octets: int = CACHED_OCTETS) -> None:
        self._records = records
        self._octets = octets
        self._held = 0
        self._entries: OrderedDict[str, tuple[tuple[Subscriber, int], int]] = OrderedDict()

    def get(self, msisdn: str) -> tuple[Subscriber, int] | None:
        """Return what is remembered of a number, if anything."""
        entry = self._entries.get(msisdn)
        if entry is None:
            return None
        self._entries.move_to_end(msisdn)
        return entry[0]

    def put(self, record: Subscriber, version: int, octets: int) -> tuple[Subscriber, int]:
        """Remember a record of this stored size, and forget the ones used longest ago where there is no room."""
        entries, loaded = self._entries, (record, version)
        msisdn, held = record.msisdn, self._held + octets
        before = entries.pop(msisdn, None)
        if before is not None:
            held -= before[1]
        entries[msisdn] = loaded, octets
        while held > self._octets or len(entries) > self._records:
            held -= entries.popitem(last=False)[1][1]
        self._held = held
        return loaded

    def drop(self, msisdn: str) -> None:
        """Forget a number's record."""
        entry = self._entries.pop(msisdn, None)
        if entry is not None:
            self._held -= entry[1]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._held = 0
