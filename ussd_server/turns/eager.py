"""Run a coroutine at once, and only as far as it really has to wait.

What a turn waits for beside its commit (a read, a query) has nearly always come when it is asked for. An asyncio task
would cost it two rounds of the event loop and about as much as the whole engine step; here it runs inside the callback
that brought the input. (Python 3.12 has eager tasks; this project starts at 3.11.)
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


def _nothing(_: object) -> None:
    pass


class Eager(Generic[Result]):
    """Drives one coroutine: its first step now, each further one when what it awaits is done.

    The coroutine may await futures and tasks, not things that ask for the current task (`asyncio.timeout`); `within`
    is there for deadlines. `done` gets what the coroutine returns, `failed` the exception that it, or `done`, did not
    handle; so where both tell the same one, let it be by what raises nothing (`stores.base.tell_of`).
    """

    __slots__ = ("_done", "_failed", "_send")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Result],
        failed: Callable[[BaseException], None],
        done: Callable[[Result], None] = _nothing,
    ) -> None:
        self._send = coroutine.send
        self._failed = failed
        self._done = done
        self._advance(None)

    def _advance(self, _: object) -> None:
        try:
            awaited = self._send(None)
        except StopIteration as stop:
            result: Result = stop.value
        except BaseException as error:
            self._failed(error)
            return
        else:
            self._wait(awaited)
            return
        try:
            self._done(result)
        except Exception as error:  # what ends the process is nothing to be told of
            self._failed(error)

    def _wait(self, awaited: Any) -> None:
        if awaited is None:  # a bare yield, as `asyncio.sleep(0)` makes
            asyncio.get_running_loop().call_soon(self._advance, None)
        else:
            awaited._asyncio_future_blocking = False  # the protocol between a future's __await__ and its driver
            awaited.add_done_callback(self._advance)


class Late:
    """Says that the deadline passed first."""


class Started(Generic[Result]):
    """A coroutine that has already yielded once, as an awaitable that goes on from there."""

    def __init__(self, coroutine: Coroutine[Any, Any, Result], first: Any) -> None:
        self._coroutine = coroutine
        self._awaited = first

    def __await__(self) -> Generator[Any, Any, Result]:
        awaited = self._awaited
        while True:
            thrown: BaseException | None = None
            try:
                yield awaited
            except BaseException as error:
                thrown = error
            try:
                awaited = self._coroutine.send(None) if thrown is None else self._coroutine.throw(thrown)
            except StopIteration as stop:
                result: Result = stop.value
                return result

    async def within(self, seconds: float) -> Result | Late:
        """Return the coroutine's result, or `Late()` where that takes longer; then it is cancelled."""

        async def rest() -> Result:
            return await self

        task = asyncio.get_running_loop().create_task(rest())
        done, _ = await asyncio.wait({task}, timeout=max(0.0, seconds))
        if done:
            return task.result()
        task.cancel()
        return Late()


def start(coroutine: Coroutine[Any, Any, Result]) -> Result | Started[Result]:
    """Run a coroutine and return its result, or the rest of it where it has to wait.

    One that never waits costs no task, no timer and no coroutine around it, and nobody asks what time is left.
    """
    try:
        return Started(coroutine, coroutine.send(None))
    except StopIteration as stop:
        result: Result = stop.value
        return result


async def within(coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result | Late:
    """Return the coroutine's result, or `Late()` where that takes longer; then it is cancelled."""
    started = start(coroutine)
    return await started.within(seconds) if isinstance(started, Started) else started
