"""The SMS that wait for one operator: one queue, in order, at its pace. What it throttled goes back to its place."""

from bisect import insort
from itertools import count
from operator import attrgetter
from typing import Generic, TypeVar

import msgspec

from ussd_server.channels.pace import Pace

HELD_S = 60.0
"""So long an SMS that was throttled keeps its place here; then whoever sent it is told to try later."""


class Waiting(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """A message and its place, by the order in which messages are made and put into line.

    `until` is when it gives the place up (s), None before it was throttled.
    """

    number: int = msgspec.field(default_factory=count().__next__)
    until: float | None = None


T = TypeVar("T", bound=Waiting)
_number = attrgetter("number")


class Lineup(Generic[T]):
    """Messages in the order in which they were put; times are seconds on a clock that does not go back."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._line: list[T] = []
        self._flying = 0

    def __len__(self) -> int:
        """Return how many wait or are under way."""
        return len(self._line) + self._flying

    @property
    def waits(self) -> bool:
        """Whether a message waits for its turn."""
        return bool(self._line)

    def put(self, message: T) -> None:
        """Let a message wait for its turn."""
        self._line.append(message)

    def withdraw(self, message: T) -> None:
        """Forget a message that waits, if it still does."""
        if message in self._line:
            self._line.remove(message)

    def take(self, now: float, room: int) -> list[T]:
        """Return the messages that may go now, with at most `room` under way; for the others see `wait`."""
        amount = self._pace.go(now, min(len(self._line), room - self._flying))
        self._flying += amount
        taken = self._line[:amount]
        del self._line[:amount]
        return taken

    def wait(self, now: float, room: int) -> float | None:
        """Return in how many seconds to take again, None: when something is put or settled."""
        return self._pace.wait(now) if self._line and self._flying < room else None

    def accepted(self, now: float, amount: int = 1) -> None:
        """Note that the operator took messages."""
        self._flying -= amount
        self._pace.taken(now, amount)

    def ended(self) -> None:
        """Note that a message under way came to another end."""
        self._flying -= 1

    def throttled(self, message: T, now: float) -> bool:
        """Put back a message that the operator throttled; False: it waited long enough, and is out.

        The pace is told by whoever knows of the throttling: other messages are throttled, too.
        """
        self._flying -= 1
        if message.until is None:
            message.until = now + HELD_S
        if now >= message.until:
            return False
        insort(self._line, message, key=_number)
        return True

    def clear(self) -> list[T]:
        """Empty the queue, and return what waited in it."""
        waiting, self._line = self._line, []
        return waiting
