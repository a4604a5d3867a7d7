"""How far a clock is from those of the store's servers, by which other servers' clocks are measured, too."""

import asyncio
import math
from collections.abc import Callable, Mapping

from ussd_server.stores.base import ClockReading
from ussd_server.stores.redis import durability
from ussd_server.stores.redis.layout import Layout


async def read(layout: Layout, now: Callable[[], int]) -> ClockReading | None:
    """Return how far the clock that `now` reads (ms) is from that of the server farthest from it; None for no clock.

    Raises StoreUnavailable.
    """
    slots = await layout.one_of_each_server()
    readings = await asyncio.gather(*(_read_one(layout, slot, now) for slot in slots))
    told = [each for each in readings if each is not None]
    return max(told, key=lambda each: abs(each.ahead) - each.unsure, default=None)


async def _read_one(layout: Layout, slot: int, now: Callable[[], int]) -> ClockReading | None:
    loop_time = asyncio.get_running_loop().time
    began, before = loop_time(), now()
    # Not TIME, which is in none of the categories of commands that the documentation has a user of Redis allowed.
    info = await layout.link.ask(slot, (b"INFO", b"server")).answer
    took_ms = (loop_time() - began) * 1000  # by a clock that nobody sets
    return reading(before, took_ms, durability.fields(info.decode()))


def reading(before: int, took_ms: float, info: Mapping[str, str]) -> ClockReading | None:
    """Return what it says that Redis, asked at `before` (ms), answered so after so long: its clock is of between."""
    theirs = info.get("server_time_usec", "")
    if not theirs.isdigit():
        return None
    ahead = before + took_ms / 2 - int(theirs) / 1000
    return ClockReading(round(ahead), math.ceil(took_ms / 2) + 1)  # and 1 for what is rounded
