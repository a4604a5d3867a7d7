"""The processes of a benchmark: each on a core of its own, ended by the one that started it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

SERVER_CPU = 0
GENERATOR_CPU = 1
STOP_TIMEOUT_S = 15
LOG_LINES_SHOWN = 15


class BenchmarkFailed(Exception):
    """A process or a run failed; the text says how, for whoever reads the report."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


class Process:
    """A child process on one core, or on all that there are (`cpu` None), with its errors in a file."""

    def __init__(self, arguments: Sequence[str], cpu: int | None, log: Path) -> None:
        self._log = log
        self._errors = log.open("w", encoding="utf-8")
        pin = {cpu} if cpu is not None and cpu in os.sched_getaffinity(0) else None
        self._child = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        if pin is not None:
            os.sched_setaffinity(self._child.pid, pin)  # threads that it starts later inherit it
        self._process = psutil.Process(self._child.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process, kindly first."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._errors.close()

    def tell(self, **command: Any) -> None:
        """Write one JSON line to its standard input."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(command) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it has failed and says why on its standard output

    def line(self) -> str:
        """Return the next line of its standard output."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"the process ended with status {self._child.wait()}:\n{self.log_tail()}")
        return line

    def hear(self) -> dict[str, Any]:
        """Return the next JSON line of its standard output."""
        said: dict[str, Any] = json.loads(self.line())
        if "error" in said:
            raise BenchmarkFailed(said["error"])
        return said

    def cpu_seconds(self) -> float:
        """Return the CPU time it has used, user and system, all threads."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def kept_seconds(self) -> float:
        """Return for how long its first thread could have run while others had its core; 0 where nobody counts it."""
        try:
            return int(Path(f"/proc/{self._child.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def rss(self) -> int:
        """Return its resident memory, octets."""
        return int(self._process.memory_info().rss)

    def ended(self) -> bool:
        """Tell whether it is gone."""
        return self._child.poll() is not None

    def log_tail(self) -> str:
        """Return the last lines that it wrote to its standard error."""
        self._errors.flush()
        return "\n".join(self._log.read_text(encoding="utf-8").splitlines()[-LOG_LINES_SHOWN:])


def generator(log: Path, cpu: int | None = GENERATOR_CPU, module: str = "benchmarks.loadgen") -> tuple[Process, int]:
    """Start a load generator; returns it and the port where it waits for the ESME."""
    process = Process([sys.executable, "-m", module], cpu, log)
    return process, int(process.hear()["port"])


def yardstick(port: int, log: Path) -> Process:
    """Start the yardstick against a generator."""
    return Process([sys.executable, "-m", "benchmarks.yardstick", str(port)], SERVER_CPU, log)


def answerer(port: int, log: Path) -> Process:
    """Start the link alone against a generator."""
    return Process([sys.executable, "-m", "benchmarks.answerer", str(port)], SERVER_CPU, log)


def terminals(crowd: Path, log: Path, cpu: int | None = GENERATOR_CPU) -> Process:
    """Start a load generator of terminals."""
    return Process([sys.executable, "-m", "benchmarks.terminals", str(crowd)], cpu, log)


def argon(log: Path) -> Process:
    """Start the yardstick of code checks."""
    return Process([sys.executable, "-m", "benchmarks.argon"], None, log)


def http_port(server: Process) -> int:
    """Return where a server that was just started listens, from the line that says so."""
    said = server.line()
    address = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
    if address is None:
        raise BenchmarkFailed(f"the server said no address: {said!r}")
    return int(address[1])


PATIENT = ("USSD_SERVER_OVERLOAD_DELAY_S=2",)
"""A closed loop bounds the queue by itself; on a machine that is not idle some of it would be refused."""


def server(
    port: int,
    data: Path,
    log: Path,
    cpu: int | None = SERVER_CPU,
    *options: str,
    more: str = "",
    environment: Sequence[str] = PATIENT,
) -> Process:
    """Start the real server against a generator, with a data directory of its own.

    `options` are more of its command line, `more` those of the SMSC.
    """
    command = str(Path(sys.executable).with_name("ussd-server"))
    smsc = f"smpp://bench:bench@127.0.0.1:{port}?window=1000{more}"
    arguments = ["run", "--smsc", smsc, "--data", str(data), "--http", "127.0.0.1:0", "--log-level", "warning"]
    return Process(["env", *environment, command, *arguments, *options], cpu, log)
