"""What terminals cost: code checks beside bare argon2id, what they leave of USSD, and signed requests of a visit.

Code checks are hashing: two threads of it fill both cores of the machine the targets are for. So nothing is pinned to a
core there, the server and all generators share what there is, and every figure stands beside one of the same seconds:
bare argon2id before and after each run of checks, USSD alone before and after each run of USSD under checks.
"""

import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.request import urlopen

from benchmarks.processes import BenchmarkFailed, Process, argon, generator, http_port, server, terminals
from benchmarks.stage import set_stage
from ussd_server.secrecy.vault import HASHING_THREADS

CHECK_WIDTHS = (2, 8, 32)
"""Entries under way at once: one for each of the two threads, then with a queue before them; the server admits 64."""
CHECK_ROUNDS = 3
"""Runs of each width; the one with the middle share counts, for neighbours of the machine take a tenth at times."""
SESSION_WIDTHS = (1, 16, 64)
SESSION_PATHS = ("inputs", "balance")
PERSONS = 64

USSD_WIDTH = 64
USSD_PACE = 2_000.0
"""Steps a second that subscribers ask for beside the checks: a busy hour of a million subscribers who dial once a day,
at six steps a dialogue, with some to spare; a fifth of what the server can do alone."""

CHECKS_BESIDE = 8
"""Entries under way while USSD is measured: the threads never rest."""

LAG_SHARE = 0.99


@dataclass(frozen=True)
class Lag:
    """The event loop's lag in a run: so many samples, and the bucket's bound below which 99 % of them are, ms."""

    samples: int
    p99_ms: float


@dataclass(frozen=True)
class Checks:
    """One run of code checks, and bare argon2id in the same seconds (mean of before and after)."""

    width: int
    rate: float
    p50_ms: float
    p99_ms: float
    bare: float
    lag: Lag

    @property
    def share(self) -> float:
        """Checks for each hash of the yardstick."""
        return self.rate / self.bare

    @property
    def queued(self) -> bool:
        """Whether another entry waits whenever a thread is free.

        Without that a thread rests while an entry's commits are made durable, and the yardstick has none to wait for.
        """
        return self.width > HASHING_THREADS


@dataclass(frozen=True)
class Beside:
    """USSD with and without code checks, in turn. `pace` 0: as much as it can."""

    pace: float
    alone: float
    alone_p99_ms: float
    under_checks: float
    under_checks_p99_ms: float
    checks: float
    lag: Lag

    @property
    def share(self) -> float:
        """What is left of the rate."""
        return self.under_checks / self.alone


@dataclass(frozen=True)
class Requests:
    """One run of signed requests within visits. `core` is the part of its core that the server had."""

    path: str
    width: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    core: float
    generator_us: float


@dataclass
class Access:
    """All that was measured of terminals."""

    checks: list[Checks] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)
    requests: list[Requests] = field(default_factory=list)


@dataclass
class Site:
    """A running server, its subscribers' phones and its terminals."""

    server: Process
    phones: Process
    terminals: Process
    port: int

    def lag(self) -> dict[float, int]:
        """Return the histogram of the loop's lag as it is now: samples up to each bound, s."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as page:
            text = page.read().decode()
        found = re.findall(r'^ussd_server_loop_lag_seconds_bucket\{le="([^"]+)"\} ([0-9.e+]+)$', text, re.MULTILINE)
        if not found:
            raise BenchmarkFailed("the server tells no ussd_server_loop_lag_seconds")
        return {float(bound): int(float(count)) for bound, count in found}


def measure_access(seconds: float, logs: Path) -> Iterable[Checks | Beside | Requests]:
    """Measure everything that terminals do."""
    with _site(logs, pinned=False) as site, argon(logs / "argon.log") as yardstick:
        yield from _checks(site, yardstick, seconds)
        yield _beside(site, seconds, USSD_PACE)
        yield _beside(site, seconds, 0.0)
    with _site(logs, pinned=True) as site:
        yield from _requests(site, seconds)


@contextmanager
def _site(logs: Path, *, pinned: bool) -> Iterator[Site]:
    part = "requests" if pinned else "checks"
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ussd-bench-")))
        stage = set_stage(data, PERSONS)
        apart: dict[str, Any] = {} if pinned else {"cpu": None}
        phones, smsc = generator(logs / f"generator-{part}.log", **apart)
        stack.enter_context(phones)
        real = stack.enter_context(server(smsc, data, logs / f"server-{part}.log", **apart))
        phones.hear()
        port = http_port(real)
        crowd = stage.crowd(data / "crowd.json", "127.0.0.1", port)
        cards = stack.enter_context(terminals(crowd, logs / f"terminals-{part}.log", **apart))
        yield Site(real, phones, cards, port)


def _checks(site: Site, yardstick: Process, seconds: float) -> Iterable[Checks]:
    for width in CHECK_WIDTHS:
        rounds = [_check_round(site, yardstick, width, seconds) for _ in range(CHECK_ROUNDS)]
        yield sorted(rounds, key=lambda one: one.share)[CHECK_ROUNDS // 2]


def _check_round(site: Site, yardstick: Process, width: int, seconds: float) -> Checks:
    before, lag = _bare(yardstick, seconds), site.lag()
    site.terminals.tell(path="checks", width=width, seconds=seconds)
    site.terminals.hear()
    run = site.terminals.hear()
    lag_after, after = site.lag(), _bare(yardstick, seconds)
    bare = round(fmean((before, after)), 2)
    return Checks(width, run["rate"], run["p50_ms"], run["p99_ms"], bare, _lag(lag, lag_after))


def _bare(yardstick: Process, seconds: float) -> float:
    yardstick.tell(seconds=seconds)
    return float(yardstick.hear()["rate"])


def _beside(site: Site, seconds: float, pace: float) -> Beside:
    """Measure USSD alone, with checks, and alone again; what the two alone say is one figure."""
    _activate(site.phones)
    alone = [_ussd(site, seconds, pace)]
    before = site.lag()
    # The checks begin before USSD does and end after it.
    site.terminals.tell(path="checks", width=CHECKS_BESIDE, seconds=seconds + 1.0)
    site.terminals.hear()
    under = _ussd(site, seconds, pace)
    checks = site.terminals.hear()
    lag = _lag(before, site.lag())
    alone.append(_ussd(site, seconds, pace))
    return Beside(
        pace=pace,
        alone=round(fmean(run["rate"] for run in alone), 1),
        alone_p99_ms=round(fmean(run["p99_ms"] for run in alone), 3),
        under_checks=under["rate"],
        under_checks_p99_ms=under["p99_ms"],
        checks=checks["rate"],
        lag=lag,
    )


def _activate(phones: Process) -> None:
    phones.tell(path="activate", width=USSD_WIDTH, numbers=USSD_WIDTH, dialogues=USSD_WIDTH)
    phones.hear()
    phones.tell(quiet_s=1.0)
    phones.hear()


def _ussd(site: Site, seconds: float, pace: float) -> dict[str, float]:
    site.phones.tell(path="tariffs", width=USSD_WIDTH, seconds=seconds, numbers=USSD_WIDTH, pace=pace)
    return site.phones.hear()


def _requests(site: Site, seconds: float) -> Iterable[Requests]:
    for path in SESSION_PATHS:
        for width in SESSION_WIDTHS:
            site.terminals.tell(path=path, width=width, seconds=seconds)
            site.terminals.hear()  # the visits are open, each with a check; that is not what is measured
            began, cpu = time.monotonic(), site.server.cpu_seconds()
            run = site.terminals.hear()
            cpu, took = site.server.cpu_seconds() - cpu, time.monotonic() - began
            yield Requests(
                path=path,
                width=width,
                rate=run["rate"],
                p50_ms=run["p50_ms"],
                p99_ms=run["p99_ms"],
                cpu_us=round(cpu / run["all"] * 1e6, 1),
                core=round(cpu / took, 2),
                generator_us=run["generator_us"],
            )


def _lag(before: dict[float, int], after: dict[float, int]) -> Lag:
    grown = {bound: after[bound] - before.get(bound, 0) for bound in sorted(after)}
    samples = max(grown.values())
    bound = next((bound for bound, count in grown.items() if count >= LAG_SHARE * samples), float("inf"))
    return Lag(samples, round(bound * 1000, 3))
