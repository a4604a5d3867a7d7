"""What a report holds: all that was measured, at which scale, and on what machine."""

import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.access import Access, Beside, Checks, Requests
from benchmarks.micro import Micro
from benchmarks.million import Full
from benchmarks.on_redis import Footprint, OnRedis
from benchmarks.processes import cores

WIDTHS = (1, 16, 64, 256)
MB = 1_000_000


@dataclass(frozen=True)
class Scale:
    """How much is measured: `seconds` a run, `numbers` subscribers for the rate, `sessions` for the memory.

    `records` are in a store that is full.
    """

    seconds: float
    numbers: int
    sessions: int
    records: int


FULL = Scale(seconds=5.0, numbers=20_000, sessions=100_000, records=1_000_000)
QUICK = Scale(seconds=1.5, numbers=2_000, sessions=10_000, records=100_000)


@dataclass(frozen=True)
class Rate:
    """One run at one width. `cpu_us` is the CPU time of the measured process a step, all its threads.

    `core` is the part of its core that it had: well below 1 at a great width, something else was running there.
    """

    who: str
    width: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    core: float
    generator_us: float


@dataclass(frozen=True)
class Memory:
    """Resident memory before and after `sessions` dialogues were opened and left open, octets."""

    sessions: int
    before: int
    after: int


@dataclass
class Report:
    """All that was measured, and on what."""

    machine: dict[str, str]
    scale: Scale
    rates: list[Rate] = field(default_factory=list)
    memory: Memory | None = None
    full: Full | None = None
    micro: list[Micro] = field(default_factory=list)
    access: Access = field(default_factory=Access)
    on_redis: list[OnRedis] = field(default_factory=list)
    footprint: Footprint | None = None

    def add(self, result: Checks | Beside | Requests) -> None:
        """Take a result of the terminals' part."""
        match result:
            case Checks():
                self.access.checks.append(result)
            case Beside():
                self.access.beside.append(result)
            case Requests():
                self.access.requests.append(result)

    def rate(self, who: str, width: int) -> Rate | None:
        """Return one measured run."""
        return next((rate for rate in self.rates if (rate.who, rate.width) == (who, width)), None)


def machine() -> dict[str, str]:
    """Return what the numbers depend on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown",
    )
    return {
        "CPU": f"{model}, {cores()} cores used (server on one, generator on another)",
        "memory": f"{psutil.virtual_memory().total / MB / 1000:.1f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": _commit(),
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load before": f"{psutil.getloadavg()[0]:.2f}",
    }


def _lines(path: str) -> Iterable[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    done = subprocess.run([git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
