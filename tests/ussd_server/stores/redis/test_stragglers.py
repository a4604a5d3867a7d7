"""What is slow keeps nothing else, and what is away is not taken for slow."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ussd_server.stores.redis.stragglers import without_stragglers

AWAY = ConnectionError("away")
Futures = dict[str, "asyncio.Future[int]"]


def on_loop(body: Callable[[Futures], Coroutine[Any, Any, None]]) -> None:
    """Run a test with three requests, `a`, `b` and `c`, that end when it says so."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await body({name: loop.create_future() for name in "abc"})

    asyncio.run(main())


async def places(work: Coroutine[Any, Any, tuple[dict[str, int | BaseException], Futures]]) -> tuple[str, str]:
    ended, going_on = await work
    return "".join(ended), "".join(going_on)


def test_what_goes_on_when_the_time_is_over_is_left_to_go_on() -> None:
    async def body(asked: Futures) -> None:
        asked["b"].set_result(1)
        assert await places(without_stragglers(asked, 0, some=True)) == ("b", "ac")
        assert not asked["a"].done()
        assert await places(without_stragglers({"a": asked["a"]}, 0, some=False)) == ("", "a")

    on_loop(body)


def test_without_a_time_all_are_waited_for() -> None:
    async def body(asked: Futures) -> None:
        waiting = asyncio.ensure_future(places(without_stragglers(asked, None, some=False)))
        for name, future in asked.items():
            await asyncio.sleep(0)
            assert not waiting.done()
            if name == "b":
                future.set_exception(AWAY)
            else:
                future.set_result(1)
        assert await waiting == ("abc", "")

    on_loop(body)


@pytest.mark.parametrize("comes", [True, False])
def test_where_some_must_come_a_failure_is_not_enough(comes: bool) -> None:
    """Whether the rest is slow or nothing is there at all is known when one has come, or all have failed."""

    async def body(asked: Futures) -> None:
        waiting = asyncio.ensure_future(places(without_stragglers(asked, 0, some=True)))
        asked["a"].set_exception(AWAY)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        if comes:
            asked["c"].set_result(1)
            assert await waiting == ("ac", "b")
        else:
            for name in "bc":
                asked[name].set_exception(AWAY)
            assert await waiting == ("abc", "")

    on_loop(body)


def test_who_gives_up_ends_all_of_it() -> None:
    async def body(asked: Futures) -> None:
        waiting = asyncio.ensure_future(without_stragglers(asked, None, some=False))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert all(each.cancelled() for each in asked.values())

    on_loop(body)


def test_nothing_asked_is_nothing_told() -> None:
    async def body(asked: Futures) -> None:
        assert await without_stragglers({}, 0, some=True) == ({}, {})

    on_loop(body)
