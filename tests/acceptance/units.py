"""What systemd does with our units, for tests: starts servers, waits for their READY, stops and restarts them.

`systemctl` becomes a program that asks it; the servers are real processes.
"""

import json
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.acceptance.harness import PATIENCE_S, ServerProcess

DEPLOY = Path(__file__).parents[2] / "deploy"

SYSTEMCTL = """#!/usr/bin/env python3
import json, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect("SOCKET")
asked.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
code, said = json.loads(asked.makefile().readline())
print(said, end="")
sys.exit(code)
"""


class Notified:
    """A socket as systemd gives one to a service of the type notify. It keeps what came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE_S)

    def wait_for(self, line: str) -> None:
        """Return when this line came, or came before."""
        while line not in self.said:
            self.said += self._socket.recv(4096).decode().splitlines()

    def silent(self, seconds: float) -> bool:
        """Forget what came, and return whether nothing more comes for so long."""
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE_S)
        return False

    def close(self) -> None:
        self._socket.close()
        self.path.unlink()


class Units:
    """Services of which each is one server; `start(port, environment)` makes its process."""

    def __init__(self, place: Path, start: Callable[[int, dict[str, str]], ServerProcess]) -> None:
        self._place = place
        self._start = start
        self.servers: dict[int, ServerProcess] = {}
        self.restarted: list[int] = []
        self.crashing: set[int] = set()
        """Those that die as soon as somebody has looked at them; the units start them anew."""
        self._runs: Counter[int] = Counter()

    def start(self, port: int) -> None:
        """Start a unit and return when it has said READY."""
        notified = Notified(self._place / f"{port}.notify")
        self._runs[port] += 1
        self.servers[port] = self._start(port, {"NOTIFY_SOCKET": str(notified.path), "WATCHDOG_USEC": "30000000"})
        notified.wait_for("READY=1")
        notified.close()

    def ask(self, words: list[str]) -> tuple[int, str]:
        """Do what `systemctl` was called with; returns exit code and output."""
        match words:
            case ["list-units", *_]:
                lines = (f"ussd-server@{port}.service loaded active running A server\n" for port in self.servers)
                return 0, "".join(lines)
            case ["restart", unit]:
                port = int(unit.removeprefix("ussd-server@").removesuffix(".service"))
                if self.servers[port].terminate() != 0:
                    return 1, ""
                self.restarted.append(port)
                self.start(port)
                return 0, ""
            case ["show", "--property=InvocationID", "--value", unit]:
                port = int(unit.removeprefix("ussd-server@").removesuffix(".service"))
                run = self._runs[port]
                if port in self.crashing and port in self.restarted:
                    self.servers[port].close()
                    self.start(port)
                return 0, f"{port}-{run}\n"
        raise AssertionError(f"systemctl {words}")

    def rolling_restart(self, *words: str) -> tuple[int, list[str]]:
        """Run `deploy/rolling-restart` on these units; returns exit code and lines."""
        with self.asked_by_systemctl() as environment:
            done = subprocess.run(
                [DEPLOY / "rolling-restart", *words],
                env={**environment, "STEADY_S": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        return done.returncode, done.stdout.splitlines()

    @contextmanager
    def asked_by_systemctl(self) -> Iterator[dict[str, str]]:
        """Give an environment in which `systemctl` asks these units."""
        path, program = self._place / "units.socket", self._place / "bin" / "systemctl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(SYSTEMCTL.replace("SOCKET", str(path)), encoding="utf-8")
        program.chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
            yield {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
            listener.shutdown(socket.SHUT_RDWR)
        path.unlink()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw") as stream:
                stream.write(json.dumps(self.ask(json.loads(stream.readline()))) + "\n")

    def close(self) -> None:
        """Make sure that every server is gone."""
        for server in self.servers.values():
            server.close()
