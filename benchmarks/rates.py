"""Steps a second over a real socket, of the bare ESME, the link alone and the server; and what open sessions take."""

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.measured import WIDTHS, Memory, Rate, Scale
from benchmarks.processes import Process, answerer, generator, server, yardstick

OPENING_WIDTH = 64
QUIET_S = 1.0
"""The server has nothing more to say when it has said nothing for so long: its SMS are out, its store is idle."""


def measure_rates(who: str, path: str, load: Process, measured: Process, scale: Scale) -> Iterable[Rate]:
    """Run `path` at every width and yield each result as it is there."""
    for width in WIDTHS:
        began, before = time.monotonic(), measured.cpu_seconds()
        load.tell(path=path, width=width, seconds=scale.seconds, numbers=scale.numbers)
        run = load.hear()
        cpu, elapsed = measured.cpu_seconds() - before, time.monotonic() - began
        yield Rate(
            who=who,
            width=width,
            rate=run["rate"],
            p50_ms=run["p50_ms"],
            p99_ms=run["p99_ms"],
            cpu_us=round(cpu / run["steps"] * 1e6, 1),
            core=round(cpu / elapsed, 2),
            generator_us=run["generator_us"],
        )


def measure_yardstick(scale: Scale, logs: Path) -> Iterable[Rate]:
    """Measure the bare ESME."""
    yield from _measure_fixed("yardstick", yardstick, scale, logs)


def measure_link(scale: Scale, logs: Path) -> Iterable[Rate]:
    """Measure the link alone."""
    yield from _measure_fixed("link", answerer, scale, logs)


def _measure_fixed(who: str, start: Callable[[int, Path], Process], scale: Scale, logs: Path) -> Iterable[Rate]:
    load, port = generator(logs / f"generator-{who}.log")
    with load, start(port, logs / f"{who}.log") as measured:
        load.hear()
        yield from measure_rates(who, "fixed", load, measured, scale)


def measure_server(scale: Scale, logs: Path) -> Iterable[Rate | Memory]:
    """Measure the server: the rates, and with a fresh process and store the memory of open sessions."""
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as data:
        load, port = generator(logs / "generator.log")
        with load, server(port, Path(data), logs / "server.log") as real:
            load.hear()
            _activate(load, scale.numbers)
            yield from measure_rates("server", "tariffs", load, real, scale)
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as data:
        load, port = generator(logs / "generator-memory.log")
        with load, server(port, Path(data), logs / "server-memory.log") as real:
            load.hear()
            _activate(load, OPENING_WIDTH)  # what is loaded on the first step belongs to the server, not to sessions
            before = real.rss()
            _activate(load, scale.sessions, first=OPENING_WIDTH)
            _each_once(load, "open", scale.sessions, first=OPENING_WIDTH)
            yield Memory(scale.sessions, before, real.rss())


def _activate(load: Process, numbers: int, first: int = 0) -> None:
    _each_once(load, "activate", numbers, first)
    load.tell(quiet_s=QUIET_S)
    load.hear()


def _each_once(load: Process, path: str, numbers: int, first: int) -> None:
    load.tell(path=path, width=OPENING_WIDTH, first=first, numbers=numbers, dialogues=numbers)
    load.hear()
