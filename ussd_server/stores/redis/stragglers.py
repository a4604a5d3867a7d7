"""Many requests at once, of which some may take long: a server is away, or a slot is being moved."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final, TypeAlias, TypeVar

STRAGGLERS_S: Final = 0.25
"""How long the rest is waited for, where some may be answered much later than others."""

Place = TypeVar("Place")
Reply = TypeVar("Reply")
Futures: TypeAlias = dict[Place, asyncio.Future[Reply]]


async def without_stragglers(
    asked: Mapping[Place, Awaitable[Reply]], seconds: float | None, some: bool
) -> tuple[dict[Place, Reply | BaseException], Futures[Place, Reply]]:
    """Return what came of these requests in so many seconds (None: of all), and those that go on.

    Where there must be `some` that succeeded, the seconds begin anew whenever one ends, until that is so or all ended.
    """
    if seconds is None:
        return dict(zip(asked, await asyncio.gather(*asked.values(), return_exceptions=True), strict=True)), {}
    futures: Futures[Place, Reply] = {place: asyncio.ensure_future(each) for place, each in asked.items()}
    going_on = set(futures.values())
    try:
        while going_on:
            done, going_on = await asyncio.wait(futures.values(), timeout=seconds)
            if not some or any(each.exception() is None for each in done):
                break
            if going_on:
                await asyncio.wait(going_on, return_when=asyncio.FIRST_COMPLETED)
    except BaseException:
        for each in futures.values():
            each.cancel()
        raise
    came = {place: each.exception() or each.result() for place, each in futures.items() if each not in going_on}
    return came, {place: each for place, each in futures.items() if each in going_on}
