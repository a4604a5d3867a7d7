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

RETURNED = "returned"
"""The event of a coroutine method that has returned; it is named as `package.module:Class.method`."""

COMMITTED = "ussd_server.stores.sqlite.store:SqliteStore.commit"
RESTORED = "ussd_server.stores.sqlite.store:SqliteStore.restore"
RESTORED_IN_REDIS = "ussd_server.stores.redis.store:RedisStore.restore"
MARKED = "ussd_server.stores.sqlite.store:SqliteStore.set_mark"
MARKED_IN_REDIS = "ussd_server.stores.redis.store:RedisStore.set_mark"


class Ended(NamedTuple):
    """How a command ended: its exit code, or the signal below zero, and what it wrote."""

    code: int
    out: str
    err: str


def signalling(number: signal.Signals, event: str, name: str, nth: int = 1) -> tuple[str, ...]:
    """Return how `ussd-server` is run so that it gets this signal when it comes to this point for the nth time.

    `event` is `RETURNED`, or an audit event as "import" or "open" with what its first argument ends with.
    """
    # Not to find this directory's http before Python's.
    return (sys.executable, "-P", __file__, str(number.value), event, name, str(nth))


def signalled(words: Sequence[str], number: signal.Signals, event: str, name: str, nth: int = 1) -> Ended:
    """Give a command that is signalled so, and return how it ended."""
    command = [*signalling(number, event, name, nth), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Ended(done.returncode, done.stdout, done.stderr)


def _watch(event: str, name: str, came_by: Callable[[], None]) -> None:
    """Call this each time that the process comes to this point."""
    if event == RETURNED:
        place, _, method = name.rpartition(".")
        owner = pkgutil.resolve_name(place)
        real = getattr(owner, method)

        async def watched(*arguments: Any, **options: Any) -> Any:
            returned = await real(*arguments, **options)
            came_by()
            return returned

        setattr(owner, method, watched)
        return

    def hook(audited: str, details: tuple[Any, ...]) -> None:
        if audited == event and str(details[0]).endswith(name):
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
    _watch(event, name, _signal_at(int(number), int(nth)))
    main()
