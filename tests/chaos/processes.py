"""The processes under test: started, killed, paused, started again. What they print goes to a file each."""

import asyncio
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from tests.acceptance.harness import COMMAND, own_environment

STOP_S = 30.0
"""How long a process may take to stop in good order; the server promises ten seconds on a machine of its own."""


LOOK_S = 0.005
"""How often it is looked whether a command is at its work, which is short."""


class Child:
    """One process. `command` is asked anew at each start."""

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        directory: Path,
        environment: dict[str, str] | None = None,
        pipe: bool = False,
    ) -> None:
        self.name = name
        self.log = directory / f"{name.replace(' ', '-')}.log"
        self.starts = 0
        self.kills = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._command = command
        self._directory = directory
        self._environment = own_environment(environment)
        self._pipe = pipe

    def start(self) -> None:
        """Start it."""
        assert self.process is None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE if self._pipe else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=self._environment,
            )
        self.starts += 1

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def send(self, number: int) -> None:
        """Send a signal, where it is there to get it."""
        if self.process is not None:
            self.process.send_signal(number)

    async def ends(self, seconds: float) -> int | None:
        """Wait until it has ended by itself, or is ended when so long is over; returns its status."""
        process = self.process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, seconds)
        return await self.end(signal.SIGKILL)

    async def at_work(self) -> None:
        """Wait until a command has read what it is made of and begins: its event loop has a socket of its own."""
        while self.alive and not self._has_socket():
            await asyncio.sleep(LOOK_S)

    def _has_socket(self) -> bool:
        assert self.process is not None
        with suppress(OSError):  # it ends just now
            return any(os.readlink(each).startswith("socket:") for each in _open_files(self.process.pid))
        return False

    async def kill(self) -> None:
        """End it as a power failure would; counted. Nothing where it has ended by itself."""
        if self.alive:
            self.kills += 1
        await self.end(signal.SIGKILL)

    async def end(self, number: int = signal.SIGTERM) -> int | None:
        """Signal it, wait for its end, and return its status; None where it was not there."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(number)  # nobody, where it has ended
        process.send_signal(signal.SIGCONT)
        status = await asyncio.to_thread(_wait, process)
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        return status


def _open_files(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/fd").iterdir())


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -signal.SIGKILL


def server(
    name: str, directory: Path, environment: dict[str, str], options: Callable[[], Sequence[str]], http: int
) -> Child:
    """Return a server, not started yet; its options are asked anew at each start."""
    arguments = [COMMAND, "run", "--log-format", "json", "--http", f"127.0.0.1:{http}"]
    return Child(name, lambda: [*arguments, *options()], directory, environment)


async def is_ready(http: int, seconds: float) -> bool:
    """Wait until a server says that it is ready; False where it does not in time."""
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        with suppress(OSError):
            return await asyncio.to_thread(_says_ready, http)
        await asyncio.sleep(0.05)
    return False


def _says_ready(http: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz", timeout=STOP_S) as response:
        return response.status == HTTPStatus.OK
