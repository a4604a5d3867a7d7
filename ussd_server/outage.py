"""What is said in the log of something that is away: when it begins, then once a minute, and when it is over."""

from typing import Any, Final

import structlog

AGAIN_MS: Final = 60_000
"""Between two lines of the same outage. After so long without a failure the next one is another outage.

A clock set back by less is not noticed; by more, the next failure is another outage, or it would be silent for long.
"""

log = structlog.get_logger()


class Outage:
    """One kind of failure, called `event` in the log, and `over` where its end is to be said. Times in ms."""

    def __init__(self, event: str, over: str = "") -> None:
        self._event = event
        self._over = over
        self._since: int | None = None
        self._last = self._told = 0
        self._untold = 0

    def failed(self, now: int, **fields: object) -> None:
        """Say that it failed, unless that was said a moment ago; `fields` are of this failure."""
        if self._since is None or abs(now - self._last) > AGAIN_MS:
            self._since = self._last = now
            self._say(now, fields)
        elif now - self._told >= AGAIN_MS:
            self._say(now, {"lasts_seconds": (now - self._since) // 1000, "times": self._untold + 1, **fields})
        else:
            self._untold += 1
        self._last = max(self._last, now)

    def worked(self, now: int) -> None:
        """Say that it is over, where it was under way."""
        if self._since is None:
            return
        if self._over:
            log.info(self._over, lasted_seconds=max(0, now - self._since) // 1000)
        self._since = None

    def _say(self, now: int, fields: dict[str, Any]) -> None:
        log.error(self._event, **fields)
        self._told, self._untold = now, 0
