"""The SMS that wait for one operator: one queue, in order, at its pace. What it throttled goes back to its place."""

from heapq import heappop, heappush
from typing import Generic, TypeVar

from ussd_server.channels.pace import Pace

HELD_S = 60.0
"""So long an SMS that was throttled keeps its place here; then whoever sent it is told to try later."""

T = TypeVar("T")


class Waiting(Generic[T]):
    """A message and its place. `until` is when it gives the place up (s), None before it was throttled."""

    __slots__ = ("message", "number", "until")

    def __init__(self, number: int, message: T) -> None:
        self.number = number
        self.message = message
        self.until: float | None = None


class Lineup(Generic[T]):
    """Messages in the order in which they were put; times are seconds on a clock that does not go back."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._heap: list[tuple[int, Waiting[T]]] = []
        self._numbers = 0
        self._flying = 0

    def __len__(self) -> int:
        """Return how many wait or are under way."""
        return len(self._heap) + self._flying

    @property
    def waits(self) -> bool:
        """Whether a message waits for its turn."""
        return bool(self._heap)

    def put(self, message: T) -> None:
        """Let a message wait for its turn."""
        self._numbers += 1
        heappush(self._heap, (self._numbers, Waiting(self._numbers, message)))

    def take(self, now: float, room: int) -> Waiting[T] | None:
        """Return the next message if it may go now, with at most `room` under way; None: not yet, see `wait`."""
        if not self._heap or self._flying >= room or self._pace.wait(now) > 0:
            return None
        self._pace.went(now)
        self._flying += 1
        return heappop(self._heap)[1]

    def wait(self, now: float, room: int) -> float | None:
        """Return in how many seconds to take again, None: when something is put or settled."""
        return self._pace.wait(now) if self._heap and self._flying < room else None

    def accepted(self, now: float) -> None:
        """Note that the operator took a message."""
        self._flying -= 1
        self._pace.taken(now)

    def ended(self) -> None:
        """Note that a message under way came to another end."""
        self._flying -= 1

    def throttled(self, waiting: Waiting[T], now: float) -> bool:
        """Put back a message that the operator throttled; False: it waited long enough, and is out.

        The pace is told by whoever knows of the throttling: other messages are throttled, too.
        """
        self._flying -= 1
        if waiting.until is None:
            waiting.until = now + HELD_S
        if now >= waiting.until:
            return False
        heappush(self._heap, (waiting.number, waiting))
        return True

    def clear(self) -> list[T]:
        """Empty the queue, and return what waited in it."""
        waiting = [one.message for _, one in sorted(self._heap)]
        self._heap.clear()
        return waiting
