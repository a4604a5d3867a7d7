"""How fast SMS go to one operator: at its agreed rate, and slower for a while where it says that we are too fast."""

SLOWEST_S = 5.0
"""No operator's throttle wants less than a message in so many seconds."""

FIRST_PAUSE_S = 0.1
"""The pause between two messages that a first throttling brings, where none was agreed."""

STANDSTILL_S = 1.0
"""How long everything waits after a throttling; SMPP 3.4 names no time, and vendors count by the second."""

RECOVERY = 0.05
"""The part of the present pause that each accepted message takes off, down to the agreed one."""


class Pace:
    """One account's pace, kept over reconnects; times are seconds on a clock that does not go back.

    `rate` is messages (parts of SMS) a second, None for no limit. Halved at once by a throttling, regained slowly.
    """

    def __init__(self, rate: float | None) -> None:
        self._agreed = 1 / rate if rate else 0.0
        self._pause = self._agreed
        self._free_at = 0.0

    @property
    def pause(self) -> float:
        """Seconds between two messages now."""
        return self._pause

    def wait(self, now: float) -> float:
        """Return how long the next message must wait; turns are given in the order in which they are asked for."""
        mine = max(now, self._free_at)
        self._free_at = mine + self._pause
        return mine - now

    def taken(self) -> None:
        """Note that a message was accepted."""
        self._pause = max(self._agreed, self._pause - max(self._pause, FIRST_PAUSE_S) * RECOVERY)

    def throttled(self, now: float) -> None:
        """Note that the operator said we were too fast; every message under way says so, which counts once."""
        if self._free_at < now + STANDSTILL_S:
            self._pause = min(SLOWEST_S, max(self._pause * 2, FIRST_PAUSE_S))
            self._free_at = now + STANDSTILL_S
