"""Quiet hours: when nobody is to be called on, by the wall clock of one time zone. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from zoneinfo import ZoneInfo

MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 24 * 60
_WRITTEN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class QuietHours:
    """From `first` until `last`, minutes of the local day; over midnight where `last` is the smaller one.

    Where both are the same there are none.
    """

    first: int
    last: int
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> Self:
        """Read `21:00-09:00`, or "" for none; ValueError says what is wrong."""
        if not text:
            return cls(0, 0, zone)
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r}: quiet hours are written HH:MM-HH:MM, as 21:00-09:00")
        hour, minute, last_hour, last_minute = map(int, found.groups())
        first, last = hour * 60 + minute, last_hour * 60 + last_minute
        if first == last:
            raise ValueError(f"{text!r}: they end when they begin; leave the text empty for no quiet hours")
        return cls(first, last, zone)

    def end(self, now: int) -> int | None:
        """Return when the quiet hours that `now` lies in are over (both ms); None: it lies in none.

        They are over at the first minute that the wall clock shows outside of them, also on a day on which it is put
        forward or back; put back into them, they begin once more.
        """
        if not self._quiet(self._minute(now)):
            return None
        at = now - now % MINUTE_MS
        left = self._left(self._minute(now))
        # As a rule the clock runs on evenly; where it is moved meanwhile, minute by minute.
        if self._offset(at) == self._offset(at + left * MINUTE_MS):
            return at + left * MINUTE_MS
        while self._quiet(self._minute(at)):
            at += MINUTE_MS
        return at

    def _quiet(self, minute: int) -> bool:
        if self.first <= self.last:
            return self.first <= minute < self.last
        return minute >= self.first or minute < self.last

    def _left(self, minute: int) -> int:
        return (self.last - minute) % DAY_MINUTES

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at // 1000, UTC).astimezone(self.zone)

    def _minute(self, at: int) -> int:
        local = self._local(at)
        return local.hour * 60 + local.minute

    def _offset(self, at: int) -> object:
        return self._local(at).utcoffset()


NO_QUIET_HOURS: Final = QuietHours(0, 0, ZoneInfo("UTC"))
