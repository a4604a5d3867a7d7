"""A command that signals itself at a known point, so that however slow the machine is, it is busy with just that.

Who signals another process finds it wherever it is by then: before its work on one machine, behind it on another.
"""

import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

from ussd_server.cli import main


class Point(NamedTuple):
    """Where a command is when it comes to an audit event, as "import" or "open", of what so ends, for the nth time.

    `CALLED` and `RETURNED` are of a coroutine method, named as `package.module:Class.method`.
    """

    event: str
    name: str
    nth: int = 1


CALLED, RETURNED = "called", "returned"
SQLITE = "ussd_server.stores.sqlite.store:SqliteStore"
REDIS = "ussd_server.stores.redis.store:RedisStore"
"""The classes of the stores, as a point names them."""


def committed(nth: int) -> Point:
    """Return the point at which so many commits are in the file."""
    return Point(RETURNED, f"{SQLITE}.commit", nth)


class Ended(NamedTuple):
    """How a command ended: its exit code, or the signal below zero, and what it wrote."""

    code: int
    out: str
    err: str


def signalling(number: signal.Signals, point: Point) -> tuple[str, ...]:
    """Return how `ussd-server` is run so that it gets this signal when it comes to this point."""
    # Not to find the tests of a package before the package.
    return (sys.executable, "-P", __file__, str(number.value), point.event, point.name, str(point.nth))


def signalled(words: Sequence[str], number: signal.Signals, point: Point) -> Ended:
    """Give a command that gets this signal when it comes to this point, and return how it ended."""
    command = [*signalling(number, point), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Ended(done.returncode, done.stdout, done.stderr)


def _watch(point: Point, came_by: Callable[[], None]) -> None:
    """Call this each time that the process comes there."""
    if point.event in (CALLED, RETURNED):
        place, _, method = point.name.rpartition(".")
        owner = pkgutil.resolve_name(place)
        real = getattr(owner, method)

        async def watched(*arguments: Any, **options: Any) -> Any:
            if point.event == CALLED:
                came_by()
            result = await real(*arguments, **options)
            if point.event == RETURNED:
                came_by()
            return result

        setattr(owner, method, watched)
        return

    def hook(audited: str, details: tuple[Any, ...]) -> None:
        if audited == point.event and str(details[0]).endswith(point.name):
            came_by()

    sys.addaudithook(hook)


def _signal_at(number: int, nth: int) -> Callable[[], None]:
    times = count(1)

    def came_by() -> None:
        if next(times) == nth:
            os.kill(os.getpid(), number)

    return came_by


if __name__ == "__main__":
    number, event, name, nth = sys.argv[1:5]
    del sys.argv[1:5]
    point = Point(event, name, int(nth))
    _watch(point, _signal_at(int(number), point.nth))
    main()
