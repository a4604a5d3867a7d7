"""Whether this server's clock is the store's, so that the leases of all its servers end alike: watched, and said."""

from collections.abc import Callable
from typing import Final

import structlog

from ussd_server.stores.base import Store

log = structlog.get_logger()

LIMIT_MS: Final = 5_000
"""How far the clocks may differ. Each is right within a second where NTP runs.

A server holds work until a time by its own clock. By one that is 20 s ahead, what another renewed 10 s ago is over.
"""


class Clock:
    """The clock that `now` reads (ms), held against that of the store that is called `name` in the log."""

    def __init__(self, store: Store, name: str, now: Callable[[], int]) -> None:
        self._store = store
        self._name = name
        self._now = now
        self.wrong = ""
        """By how much it is wrong, in words for a person; "" while it is not known to be."""
        self._ahead = 0.0

    async def look(self) -> float:
        """Compare the clocks, say when they begin and cease to differ, and return by how many s this one is ahead.

        Where the answer took too long to tell, that is what the last one told. Raises StoreUnavailable.
        """
        reading = await self._store.read_clock(self._now)
        if reading is None:
            return 0.0
        seconds = reading.ahead / 1000
        if reading.beyond(LIMIT_MS):
            if not self.wrong:
                log.warning("clock differs from the store's", store=self._name, ahead_seconds=seconds)
            self.wrong = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} the store's: see to NTP"
            self._ahead = seconds
        elif reading.within(LIMIT_MS):
            if self.wrong:
                log.info("clock is the store's again", store=self._name, ahead_seconds=seconds)
            self.wrong = ""
            self._ahead = seconds
        return self._ahead
