"""A thread for waiting: it does one thing after the other and tells the event loop how each of them ended.

An executor does the same, by way of two futures with their locks and callbacks. Where a thread is asked for every few
milliseconds only to wait for the disk, that costs several times what the wait does.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias

Work: TypeAlias = Callable[[], None]
Told: TypeAlias = Callable[[BaseException | None], None]


class OneThread:
    """Does work in the order in which it was asked for. Nothing keeps the process from ending meanwhile."""

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[tuple[Work, Told, asyncio.AbstractEventLoop] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Work, told: Told) -> None:
        """Do the work in the thread, then call `told` on this loop with the exception that it raised, or None."""
        self._asked.put((work, told, asyncio.get_running_loop()))

    def end(self) -> None:
        """Wait until all that was asked for is done, and end the thread."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            work, told, loop = asked
            raised: BaseException | None = None
            try:
                work()
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # the loop is closed, and nobody wants to know any more
                loop.call_soon_threadsafe(told, raised)
            del asked, work, told, raised
