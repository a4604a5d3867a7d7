"""All that a cursor of Redis leads through, a piece at a time."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from ussd_server.stores.redis.wire import Asked

BEGIN: Final = b"0"
"""The cursor to begin with, and the one that is given at the end."""


async def pieces(ask: Callable[[bytes], Asked]) -> AsyncIterator[Any]:
    """Yield each piece that is answered to `ask` with a cursor; what is there all the time is in one of them, or more.

    A cursor is a place in the order that a server has for as long as it runs. So it begins anew where the next piece
    came by another connection: that may be to the server that took over, or to the same after a start.
    """
    cursor, wire = BEGIN, None
    while True:
        request = ask(cursor)
        following, piece = await request.answer
        if cursor != BEGIN and request.wire is not wire:
            cursor = BEGIN
            continue
        yield piece
        if following == BEGIN:
            return
        cursor, wire = following, request.wire
