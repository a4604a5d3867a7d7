"""What systemd is told: that the server is ready, that it still lives, that it stops. Without systemd nothing is done.

The protocol is sd_notify(3): datagrams of `NAME=VALUE` lines to a socket that the environment names.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ussd_server.settings import Supervisor

LOOK_S: Final = 0.1
"""Between two looks whether the server is bound."""

READY_S: Final = 30.0
"""After which a server that is still not bound is called ready: it serves terminals, and goes on trying by itself."""

PINGS: Final = 3
"""Signs of life within the time that systemd gives, so that one may come late."""


class Supervision:
    """Tells the supervisor. `bound` says whether messages flow; a server that has none to bind to is ready at once."""

    def __init__(self, supervisor: Supervisor, bound: Callable[[], bool] = lambda: True) -> None:
        self._supervisor = supervisor
        self._bound = bound
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: socket.socket | None = None
        if supervisor.socket:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def started(self) -> None:
        """Say READY once the server is bound, and that it lives, from now on."""
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._say_ready()))
        if self._supervisor.watchdog_s:
            self._tasks.append(loop.create_task(self._live()))

    def stopping(self) -> None:
        """Say that the server stops; signs of life go on until it has."""
        self._tell("STOPPING=1\nSTATUS=finishing what is under way")

    def stopped(self) -> None:
        """Let go of the socket."""
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _say_ready(self) -> None:
        self._tell("STATUS=not bound yet")
        for _ in range(round(READY_S / LOOK_S)):
            if self._bound():
                self._tell("READY=1\nSTATUS=bound")
                return
            await asyncio.sleep(LOOK_S)
        self._tell("READY=1\nSTATUS=started, and not bound yet; /readyz says why")

    async def _live(self) -> None:
        """Say so from the loop that does the work: one that hangs says nothing, and is started anew."""
        while True:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._supervisor.watchdog_s / PINGS)

    def _tell(self, lines: str) -> None:
        if self._socket is None:
            return
        name = self._supervisor.socket
        with suppress(OSError):  # a supervisor that does not listen now gets the next one
            self._socket.sendto(lines.encode(), f"\0{name[1:]}" if name.startswith("@") else name)
