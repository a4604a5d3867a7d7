"""What systemd does with our units, for tests: starts servers, waits for their READY, stops and restarts them.

`systemctl` becomes a program that asks it; the servers are real processes.
"""

import json
import os
import queue
import re
import shlex
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


class UnitFile:
    """A unit as systemd reads it for an instance. `state` is where the state directories of all services are."""

    def __init__(self, path: Path, instance: int, state: Path) -> None:
        text = path.read_text(encoding="utf-8").replace("%i", str(instance)).replace("%S", str(state))
        self._settings = re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)

    def all(self, name: str) -> list[str]:
        """Return the values of a setting that may stand there more than once."""
        return [value for each, value in self._settings if each == name]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def words(self, name: str) -> list[str]:
        """Return a command line."""
        return shlex.split(self.one(name))

    def seconds(self, name: str) -> float:
        return float(self.one(name).removesuffix("s"))

    def environment(self) -> dict[str, str]:
        """Return what it puts into the environment; a file that is not there is none where a `-` says so."""
        lines = self.all("Environment")
        for name in self.all("EnvironmentFile"):
            path = Path(name.removeprefix("-"))
            if path.exists() or not name.startswith("-"):
                lines += path.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def calls(self) -> set[str]:
        """Return the system calls that it allows: the first of the lists is one of these, others take away or add."""
        sets = _sets_of_calls()
        allowed: set[str] = set()
        for line in self.all("SystemCallFilter"):
            names = set().union(*(_each_call(name, sets) for name in line.removeprefix("~").split()))
            allowed = allowed - names if line.startswith("~") else allowed | names
        return allowed


def _sets_of_calls() -> dict[str, list[str]]:
    """Return what systemd's sets of system calls are made of: calls, and other sets."""
    told = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    sets: dict[str, list[str]] = {}
    for line in told.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line, [])
        elif line.startswith("#"):  # from here on those that are in no set
            members = []
        elif line.strip() and not line.lstrip().startswith("#"):
            members.append(line.strip())
    return sets


def _each_call(name: str, sets: dict[str, list[str]]) -> set[str]:
    return set().union(*(_each_call(member, sets) for member in sets[name])) if name.startswith("@") else {name}


class Units:
    """Services of which each is one server; `start(port, environment)` makes its process."""

    def __init__(self, place: Path, start: Callable[[int, dict[str, str]], ServerProcess]) -> None:
        self._place = place
        self._start = start
        self.servers: dict[int, ServerProcess] = {}
        self.restarted: list[int] = []
        self.crashing: set[int] = set()
        """Those that die as soon as somebody has looked at them; the units start them anew."""
        self.failed: set[int] = set()
        """Those that are not started anew any more when they have ended."""
        self.stopped: set[int] = set()
        """Those that somebody has stopped."""
        self.looks: queue.SimpleQueue[int] = queue.SimpleQueue()
        """The port of each that somebody has looked whether it still is the same run."""
        self._starting: dict[int, Notified] = {}
        self._runs: Counter[int] = Counter()

    def begin(self, port: int) -> None:
        """Start a unit, and let it say READY when it likes."""
        if port in self._starting:  # it ended before it said so
            self._starting.pop(port).close()
        notified = self._starting[port] = Notified(self._place / f"{port}.notify")
        self._runs[port] += 1
        self.servers[port] = self._start(port, {"NOTIFY_SOCKET": str(notified.path), "WATCHDOG_USEC": "30000000"})

    def start(self, port: int) -> None:
        """Start a unit and return when it has said READY."""
        self.begin(port)
        self.ready(port)

    def ready(self, port: int) -> None:
        """Return when a unit that was begun has said READY."""
        self._starting[port].wait_for("READY=1")
        self._starting.pop(port).close()

    def state(self, port: int) -> tuple[str, str]:
        """Return how systemd calls what a unit is at: ACTIVE and SUB. One that ended waits until it is started anew."""
        if port in self.stopped:
            return "inactive", "dead"
        if self.servers[port].process.poll() is not None:
            return ("failed", "failed") if port in self.failed else ("activating", "auto-restart")
        return ("activating", "start") if port in self._starting else ("active", "running")

    def _list(self, states: set[str]) -> str:
        """Return the lines of the units in these states; without any, of all but those that are stopped."""
        lines = []
        for port in self.servers:
            active, sub = self.state(port)
            if states & {active, sub, "loaded"} if states else active != "inactive":
                lines.append(f"ussd-server@{port}.service loaded {active} {sub} A server\n")
        return "".join(lines)

    def ask(self, words: list[str]) -> tuple[int, str]:
        """Do what `systemctl` was called with; returns exit code and output."""
        match words:
            case ["list-units", "--plain", "--no-legend", *options, "ussd-server@*.service"]:
                assert all(option.startswith("--state=") for option in options)
                return 0, self._list({state for option in options for state in option[8:].split(",")})
            case ["restart", unit]:
                port = int(unit.removeprefix("ussd-server@").removesuffix(".service"))
                if self.servers[port].process.poll() is None and self.servers[port].terminate() != 0:
                    return 1, ""
                self.restarted.append(port)
                self.start(port)
                return 0, ""
            case ["show", "--property=MainPID", "--value", unit]:
                server = self.servers[int(unit.removeprefix("ussd-server@").removesuffix(".service"))]
                return 0, f"{0 if server.process.poll() is not None else server.process.pid}\n"
            case ["show", "--property=InvocationID", "--value", unit]:
                port = int(unit.removeprefix("ussd-server@").removesuffix(".service"))
                run = self._runs[port]
                self.looks.put(port)
                if port in self.crashing and port in self.restarted:
                    self.servers[port].close()
                    self.start(port)
                return 0, f"{port}-{run}\n"
        raise AssertionError(f"systemctl {words}")

    def rolling_restart(self, *words: str, steady_s: int = 1) -> tuple[int, list[str]]:
        """Run `deploy/rolling-restart` on these units; returns exit code and lines."""
        with self.asked_by_systemctl() as environment:
            done = subprocess.run(
                [DEPLOY / "rolling-restart", *words],
                env={**environment, "STEADY_S": str(steady_s)},
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
        for notified in self._starting.values():
            notified.close()
