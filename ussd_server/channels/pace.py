"""How fast we send to one operator: at its agreed rate, and slower for a while where it says that we are too fast.

Additive increase, multiplicative decrease, as TCP does it: a throttling halves the rate at once and makes everything
stand still for a moment; each accepted message raises the rate a little, by `STEP` a second while messages flow.
"""

SLOWEST = 0.2
"""Messages a second below which nothing is slowed: no operator's throttle wants less than one in 5 s."""

FIRST = 10.0
"""Messages a second that are halved by a first throttling, where no rate was agreed and hardly anything was sent."""

UNLIMITED = 1000.0
"""Messages a second from which on a limit that no operator agreed is forgotten again."""

STEP = 1.0
"""Messages a second by which the rate grows in a second."""

STANDSTILL_S = 1.0
LONGEST_STANDSTILL_S = 30.0
"""How long everything waits after a throttling, twice as long after each further one with nothing accepted between.

SMPP 3.4 names no time, and vendors count by the second.
"""

PATIENCE_S = 1.0
"""However many USSD answers overtake, an SMS goes after this, or at the agreed rate where that is slower."""


class Pace:
    """One account's pace, kept over reconnects; times are seconds on a clock that does not go back.

    `rate` is messages a second, None for no limit; a part of a long SMS is a message.
    """

    def __init__(self, rate: float | None) -> None:
        self.limit = rate
        """Messages a second now, None for no limit."""
        self._agreed = rate
        self._free_at = 0.0
        self._still_until = 0.0
        self._standstill = STANDSTILL_S
        self._last_at = 0.0  # when `went` was last told
        self._second = 0.0  # the second in which `_count` messages were accepted, `_before` in the one before
        self._count = self._before = 0

    def wait(self, now: float) -> float:
        """Return in how many seconds the next message may go, 0 for now."""
        return max(0.0, self._free_at - now, self._still_until - now)

    def turn(self, now: float) -> float:
        """Return how long the next message must wait, and count it: whoever asks later waits for it as well."""
        wait = self.wait(now)
        self.went(now + wait)
        return wait

    def went(self, now: float) -> None:
        """Note that a message goes now."""
        self._last_at = now
        if self.limit is not None:
            self._free_at = max(now, self._free_at) + 1 / self.limit

    def go(self, now: float, most: int) -> int:
        """Return how many of so many messages may go now, and count those."""
        if most <= 0 or self.wait(now) > 0:
            return 0
        self.went(now)
        return most if self.limit is None else 1

    def overtaken(self, now: float) -> None:
        """Note that a message goes now that could not wait: the others make room for it, but not without end."""
        if self.limit is not None:
            pause = 1 / self.limit
            latest = max(now, self._last_at + max(PATIENCE_S, pause))
            self._free_at = max(self._free_at, min(max(now, self._free_at) + pause, latest))

    def taken(self, now: float, amount: int = 1) -> None:
        """Note that messages were accepted."""
        self._standstill = STANDSTILL_S
        if now - self._second >= 1:
            self._before = self._count if now - self._second < 2 else 0
            self._second, self._count = now, 0
        self._count += amount
        while amount and self.limit is not None and self.limit != self._agreed:
            amount -= 1
            limit = self.limit + min(self.limit, STEP / self.limit)
            if self._agreed is not None:
                self.limit = min(limit, self._agreed)
            else:
                self.limit = limit if limit < UNLIMITED else None

    def throttled(self, now: float) -> bool:
        """Note that the operator said we were too fast; every message under way says so, which counts once.

        Returns whether it counted.
        """
        if now < self._still_until:
            return False
        present = self.limit or max(FIRST, self._count, self._before)
        least = SLOWEST if self._agreed is None else min(SLOWEST, self._agreed)
        self.limit = max(least, present / 2)
        self._still_until = now + self._standstill
        self._standstill = min(LONGEST_STANDSTILL_S, self._standstill * 2)
        return True
