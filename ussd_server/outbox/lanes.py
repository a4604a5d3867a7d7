"""The lanes of an outbox: how much of each may be performed at once, and who is woken when there may be more.

Each has room of its own, so that a slow operator holds up no SMS. Whoever performs an entry, or may get one to perform,
takes room for it and gives it back.
"""

import asyncio
from collections.abc import Iterable

from ussd_server.stores.base import EVERY_LANE, LANES, PUSHES

UNDER_WAY = 512
"""Entries of a lane that are performed at once.

An SMSC 50 ms away takes 10,000 SMS/s of so many, if its window has room for them.
"""

YIELDING = 8
"""The same while the server has too much to do; pushes wait then."""


class Claim:
    """A claim that is under way, some of which may go on when the rest has come."""

    def __init__(self) -> None:
        self.parts = 1
        self.gone: set[str] = set()
        """What was removed meanwhile, which it may bring all the same."""


class Lane:
    """One lane's entries, counted, and what its worker waits for."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.most = UNDER_WAY
        """How many at once."""
        self.yielding = 0 if number == PUSHES else YIELDING
        """The same while the server has too much to do."""
        self.taken = 0
        """Room of entries that are performed, that are being committed and may be held then, that a claim may bring."""
        self.news = asyncio.Event()
        self.claims: set[Claim] = set()

    def room(self, yields: bool) -> int:
        """Return how many more may be performed; less than none where there are too many by now."""
        return (self.yielding if yields else self.most) - self.taken

    def part_ended(self, claim: Claim) -> None:
        """Note that a part of a claim has brought what it will."""
        claim.parts -= 1
        if not claim.parts:
            self.claims.remove(claim)


class Lanes:
    """All lanes of an outbox."""

    def __init__(self) -> None:
        self.every = [Lane(number) for number in EVERY_LANE]
        self.of_kind = {kind: self.every[number] for kind, number in LANES.items()}

    def wake(self, numbers: Iterable[int] = EVERY_LANE) -> None:
        """Have these lanes looked into soon."""
        for number in numbers:
            self.every[number].news.set()


def give_back(lanes: list[Lane]) -> None:
    """Give the room back that was kept in these lanes; once, however often it is called."""
    while lanes:
        lanes.pop().taken -= 1
