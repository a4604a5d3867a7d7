"""How a store is called of which a part, or all, may be away: with so much at once, and waited for so long."""

from typing import TypeVar

T = TypeVar("T")

TOGETHER = 4_096
"""How many entries at most are removed or renewed by one call of the store, which may send a request for each."""

SLOW_S = 0.25
"""How long entries wait for the removal or renewal of those before them. Part of the store may be away, and it is known
only in seconds."""

STORE_WAIT_S = 1.0
"""How long to leave a store alone that could not be reached."""


def first(entries: list[T]) -> list[T]:
    """Take out as many of these as may go together."""
    taken = entries[:TOGETHER]
    del entries[:TOGETHER]
    return taken
