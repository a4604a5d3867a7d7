"""One process from its start to its end: signals, and a stop that does not hang."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import uvloop

from ussd_server.cli.common import EXIT_FAILED, Interrupted, complain
from ussd_server.cli.supervision import Supervision
from ussd_server.settings import supervisor

SWITCH_S = 0.0002
"""How long a thread that has something to do waits for the loop's thread to pause. The store's thread comes back from
the disk and needs a few microseconds to say so; Python's 5 ms are as long as handling a whole group of inputs."""

STOP_S = 9.5
"""How long a stop may take, so that the process is gone within ten seconds."""

LOOK_S = 1.0
"""Between two looks whether only a new start could help."""

COLLECT_AFTER = (20_000, 20, 20)
"""New objects before a garbage collection, and collections before one that looks further. With Python's own
(700, 10, 10) a loaded server stops for tens of milliseconds again and again, to look through records in use."""

T = TypeVar("T")


class Part(Protocol):
    """Something that runs between its start and its stop."""

    async def start(self) -> None:
        """Begin; an exception means that it did not."""

    async def stop(self) -> None:
        """Finish what is under way and let go."""


def run_until_signal(
    part: Part,
    ready: Callable[[], None],
    reload: Callable[[], None],
    bound: Callable[[], bool] = lambda: True,
    broken: Callable[[], str] = str,
) -> int:
    """Start, wait for SIGTERM or SIGINT, stop; return the exit code.

    `ready` is called once it has started, `reload` at every SIGHUP from then on, and at once for one that `main` has
    held back until then: what the start had read may be older than what it speaks of. `bound` says from then on whether
    it does what it is for, which a supervisor is told. `broken` says why only a new start could help, "" while none is
    needed: then it stops as well, and has failed. A second SIGTERM or SIGINT ends the process at once.
    """
    return uvloop.run(_life(part, ready, reload, broken, Supervision(supervisor(), bound)))


async def _life(
    part: Part,
    ready: Callable[[], None],
    reload: Callable[[], None],
    broken: Callable[[], str],
    supervision: Supervision,
) -> int:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()

    def end() -> None:
        if ending.is_set():
            os._exit(EXIT_FAILED)
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await part.start()
    _settle()
    _tell(ready)
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    supervision.started()
    cause = await _ended(ending, broken)
    if cause:
        complain(f"only a new start can help, so this one ends: {cause}")
    supervision.stopping()
    try:
        async with asyncio.timeout(STOP_S):
            await part.stop()
    except TimeoutError:
        complain(f"not everything had stopped after {STOP_S:g} seconds; what was committed is kept")
        return EXIT_FAILED
    finally:
        supervision.stopped()
    return EXIT_FAILED if cause else 0


def _tell(ready: Callable[[], None]) -> None:
    """Say that it has started. Where nobody can read that, for the disk is full or the reader gone, it serves still."""
    try:
        ready()
    except OSError:
        sys.stdout = None  # what is left to flush would only fail again


async def _ended(ending: asyncio.Event, broken: Callable[[], str]) -> str:
    """Wait until it is to end, and return why where something is broken."""
    waiting = asyncio.ensure_future(ending.wait())
    while not (cause := broken()):
        done, _ = await asyncio.wait({waiting}, timeout=LOOK_S)
        if done:
            break
    waiting.cancel()
    return cause


def run_unless_interrupted(work: Coroutine[Any, Any, T], remark: Callable[[], str]) -> T:
    """Run a work that has an end, and return what it returns.

    SIGTERM and SIGINT cancel it, so that it lets go of what it has; then Interrupted is raised with what is to be
    remarked by then.
    """
    came: list[int] = []

    async def within() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            came.append(number)
            task.cancel()

        if threading.current_thread() is threading.main_thread():  # no other gets signals
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, end, number)
        return await work

    try:
        return uvloop.run(within())
    except asyncio.CancelledError:
        if not came:
            raise
        raise Interrupted(came[0], remark()) from None


def _settle() -> None:
    """Leave what was loaded at the start out of garbage collections, collect less often, switch threads sooner."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_S)
