"""A coroutine runs at once and waits only where it has to; a deadline costs nothing where nothing waits."""

import asyncio

import pytest

from ussd_server.turns.eager import Eager, Late, within


def fail(error: BaseException) -> None:
    raise AssertionError("not expected to fail") from error


def test_what_never_waits_is_done_when_the_call_returns() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    Eager(work(), fail)
    assert done == [1]


def test_it_goes_on_when_what_it_awaits_is_done() -> None:
    async def main() -> list[object]:
        heard: list[object] = []
        future = asyncio.get_running_loop().create_future()

        async def work() -> None:
            heard.append(await future)
            await asyncio.sleep(0)
            heard.append(await asyncio.create_task(asyncio.sleep(0, "task")))

        Eager(work(), fail)
        assert heard == []
        future.set_result("future")
        for _ in range(8):
            await asyncio.sleep(0)
        return heard

    assert asyncio.run(main()) == ["future", "task"]


def test_the_exception_of_what_it_awaits_is_raised_inside() -> None:
    async def main() -> list[str]:
        heard = []
        future = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                await future
            except OSError:
                heard.append("inside")
            raise ValueError("unhandled")

        Eager(work(), lambda error: heard.append(type(error).__name__))
        future.set_exception(OSError())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return heard

    assert asyncio.run(main()) == ["inside", "ValueError"]


def test_what_ends_the_process_is_told_to_nobody() -> None:
    heard = []

    async def work() -> str:
        return "done"

    def done(result: object) -> None:
        heard.append(result)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Eager(work(), done, done)
    assert heard == ["done"]


def test_what_is_at_once_beats_any_deadline() -> None:
    async def at_once() -> str:
        return "done"

    assert asyncio.run(within(at_once(), 0)) == "done"


def test_what_waits_is_waited_for_until_the_deadline() -> None:
    async def slow(future: asyncio.Future[str]) -> str:
        return await future + await asyncio.sleep(0, "!")

    async def main() -> tuple[object, object, bool]:
        loop = asyncio.get_running_loop()
        soon = loop.create_future()
        loop.call_soon(soon.set_result, "done")
        never = loop.create_future()
        return await within(slow(soon), 60), await within(slow(never), 0), never.cancelled()

    done, late, cancelled = asyncio.run(main())
    assert done == "done!"
    assert isinstance(late, Late)
    assert cancelled


def test_its_exception_is_raised_whether_it_waited_or_not() -> None:
    async def broken(waits: bool) -> None:
        if waits:
            await asyncio.sleep(0)
        raise OSError("broken")

    for waits in (False, True):
        with pytest.raises(OSError, match="broken"):
            asyncio.run(within(broken(waits), 60))


def test_an_eager_turn_may_have_a_deadline_inside() -> None:
    async def main() -> list[object]:
        heard: list[object] = []
        never = asyncio.get_running_loop().create_future()

        async def query() -> None:
            await never

        async def turn() -> None:
            heard.append(await within(query(), 0))

        Eager(turn(), fail)
        while not heard:
            await asyncio.sleep(0)
        return heard

    assert [type(heard) for heard in asyncio.run(main())] == [Late]
