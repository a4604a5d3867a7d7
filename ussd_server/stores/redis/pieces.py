"""All that a cursor of Redis leads through, a piece at a time."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import structlog

from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.redis.wire import Asked

BEGIN: Final = b"0"
"""The cursor to begin with, and the one that is given at the end."""

MOST_LOST: Final = 10
"""Connections that may be lost under way: where so many are, they live shorter than all takes to be read."""

log = structlog.get_logger(__name__)


async def pieces(ask: Callable[[bytes], Asked], name: str) -> AsyncIterator[Any]:
    """Yield each piece that is answered to `ask` with a cursor; what is there all the time is in one of them, or more.

    A cursor is a place in the order that a server has for as long as it runs. So it begins anew where the next piece
    came by another connection: that may be to the server that took over, or to the same after a start. Raises
    StoreUnavailable, in which the store is called `name`, where that does not end.
    """
    cursor, wire, lost = BEGIN, None, 0
    while True:
        request = ask(cursor)
        following, piece = await request.answer
        if cursor != BEGIN and request.wire is not wire:
            lost += 1
            if lost == MOST_LOST:
                raise StoreUnavailable(
                    f"{name}: the connection broke {lost} times before all was read, which begins anew each time: "
                    "see what breaks it (a proxy, `timeout` in redis.conf, a failover), then give it again"
                )
            log.warning("connection lost, all is read from the beginning again", store=name, times=lost)
            cursor = BEGIN
            continue
        yield piece
        if following == BEGIN:
            return
        cursor, wire = following, request.wire
