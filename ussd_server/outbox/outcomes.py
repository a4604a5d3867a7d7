"""What may come of an entry of the outbox, and how long one waits that could not be done."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from ussd_server.stores.base import Claimed

FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 60_000
"""Bounds of the wait before another try; it doubles each time."""


class Done(msgspec.Struct, frozen=True):
    """Performed, and removed by the performer's own commit."""


class Finished(msgspec.Struct, frozen=True):
    """Performed, and nothing came of it that must be kept: the entry is only to be removed."""


class Later(msgspec.Struct, frozen=True):
    """Not possible now. `due` is when to try again (ms), 0: after a while that grows with each try."""

    reason: str
    due: int = 0


class Hopeless(msgspec.Struct, frozen=True):
    """Not possible ever; `late`: not any more."""

    reason: str
    late: bool = False


Performed: TypeAlias = Done | Finished | Later | Hopeless
FINISHED = Finished()

Performer: TypeAlias = Callable[[Claimed], Performed | Awaitable[Performed] | None]
"""Performs an entry, or hands it over and returns None: `Outbox.ended` is told of it then.

An SMS is not worth a task that only waits for its SMSC.
"""


def wait_ms(tries: int) -> int:
    """Return how long to wait after so many tries, from 1."""
    return min(FIRST_WAIT_MS << min(tries - 1, 16), LONGEST_WAIT_MS)
