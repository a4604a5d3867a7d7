"""The report: what is measured in which order, beside which target, and how it is shown and kept."""

import json
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console

from benchmarks.access import CHECKS_BESIDE, Access, Beside, Checks, Requests
from benchmarks.micro import ENCODE, ENCODE_SMPPLIB, PARSE, PARSE_SMPPLIB, Micro
from benchmarks.million import ACTIVE, Full
from benchmarks.million import WIDTH as FULL_WIDTH
from benchmarks.on_redis import BESIDE_FULL, BESIDE_TWO, ONE, TWO, Footprint, OnRedis, sharing
from benchmarks.on_redis import FULL as FULL_STORE
from benchmarks.processes import Process, answerer, cores, generator, server, yardstick
from benchmarks.tables import Sheet

WIDTHS = (1, 16, 64, 256)
TARGET_WIDTH, TARGET_RATE, TARGET_SHARE = 256, 25_000.0, 0.1
TARGET_CPU_US = 45.0
TARGET_P50_MS = 1.0
TARGET_MEMORY_MB = 200.0
TARGET_FULL_SHARE = 0.85
OPENING_WIDTH = 64
TARGET_LINK_SHARE = 0.5
TARGET_CODEC, TARGET_CODEC_TIMES = 300_000.0, 15.0
TARGET_CHECKS, TARGET_CHECKS_SHARE = 60.0, 0.8
TARGET_LAG_MS = 20.0
TARGET_USSD_SHARE = 0.8
TARGET_REQUESTS = 1_500.0
TARGET_REDIS_RATE = 12_000.0
TARGET_TWO_SERVERS = 1.6
MB = 1_000_000

CORES = 2  # one for the server, one for the generator
IDLE_LOAD = 0.3
SATURATED = 0.9
STEADY = 0.9

QUIET_S = 1.0
"""The server has nothing more to say when it has said nothing for so long: its SMS are out, its store is idle."""


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


# Measuring ----------------------------------------------------------------------------------------------------------


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


# Showing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """A target beside what was measured."""

    what: str
    target: str
    measured: str
    reached: bool


def goals(report: Report) -> list[Goal]:
    """Return the targets that this report can judge."""
    found = []
    wide, narrow, memory = report.rate("server", TARGET_WIDTH), report.rate("server", 1), report.memory
    if wide:
        reached = wide.rate >= TARGET_RATE
        found.append(Goal(f"steps/s at W={TARGET_WIDTH}", f"at least {TARGET_RATE:,.0f}", f"{wide.rate:,.0f}", reached))
        reached = wide.cpu_us <= TARGET_CPU_US
        target = f"at most {TARGET_CPU_US:.0f} µs"
        found.append(Goal(f"CPU a step at W={TARGET_WIDTH}", target, f"{wide.cpu_us:.0f} µs", reached))
        bare = report.rate("yardstick", TARGET_WIDTH)
        if bare:
            share = wide.rate / bare.rate
            target = f"at least {TARGET_SHARE:.0%}"
            found.append(Goal(f"of the yardstick at W={TARGET_WIDTH}", target, f"{share:.1%}", share >= TARGET_SHARE))
    if narrow:
        reached = narrow.p50_ms <= TARGET_P50_MS
        found.append(Goal("p50 at W=1", f"at most {TARGET_P50_MS} ms", f"{narrow.p50_ms:.2f} ms", reached))
    if memory:
        reached = memory.after < TARGET_MEMORY_MB * MB
        found.append(
            Goal(
                f"memory with {memory.sessions:,} live sessions",
                f"under {TARGET_MEMORY_MB:.0f} MB",
                f"{memory.after / MB:.0f} MB (before them {memory.before / MB:.0f} MB)",
                reached,
            )
        )
    if report.full:
        full = report.full
        target, share = f"at least {TARGET_FULL_SHARE:.0%}", full.share
        what = f"with {full.records:,} subscribers, of the rate without"
        measured = f"{share:.0%}; {full.share_by_cpu:.0%} by CPU time"
        found.append(Goal(what, target, measured, share >= TARGET_FULL_SHARE))
    return [*found, *_link_goals(report), *_access_goals(report.access), *_redis_goals(report)]


def _link_goals(report: Report) -> Iterable[Goal]:
    bare, link = report.rate("yardstick", WIDTHS[-1]), report.rate("link", WIDTHS[-1])
    if bare and link:
        share = link.rate / bare.rate
        yield Goal(
            f"link alone, of the yardstick at W={WIDTHS[-1]}",
            f"at least {TARGET_LINK_SHARE:.0%}",
            f"{share:.0%}: {link.rate:,.0f} steps/s",
            share >= TARGET_LINK_SHARE,
        )
    took = {one.what: one.us for one in report.micro}
    for what, other in ((PARSE, PARSE_SMPPLIB), (ENCODE, ENCODE_SMPPLIB)):
        if what in took and other in took:
            rate, times = 1e6 / took[what], took[other] / took[what]
            yield Goal(
                f"{what}, a second",
                f"at least {TARGET_CODEC:,.0f}, {TARGET_CODEC_TIMES:.0f} times smpplib",
                f"{rate:,.0f}, {times:.0f} times",
                rate >= TARGET_CODEC and times >= TARGET_CODEC_TIMES,
            )


def _access_goals(access: Access) -> Iterable[Goal]:
    if access.checks:
        best = max(access.checks, key=lambda one: one.rate)
        share = median(one.share for one in access.checks if one.queued)
        yield Goal("code checks/s", f"at least {TARGET_CHECKS:.0f}", f"{best.rate:.1f}", best.rate >= TARGET_CHECKS)
        yield Goal(
            "of bare argon2id, with entries waiting",
            f"at least {TARGET_CHECKS_SHARE:.0%}",
            f"{share:.0%}",
            share >= TARGET_CHECKS_SHARE,
        )
    lags = [one.lag.p99_ms for one in access.checks] + [one.lag.p99_ms for one in access.beside if one.pace]
    if lags:
        reached = max(lags) <= TARGET_LAG_MS
        yield Goal("loop lag under checks, p99", f"at most {TARGET_LAG_MS:.0f} ms", f"up to {max(lags):g} ms", reached)
    for one in access.beside:
        if one.pace:
            yield Goal(
                f"USSD beside checks, {one.pace:,.0f} steps/s asked",
                f"at least {TARGET_USSD_SHARE:.0%}",
                f"{one.share:.0%}, with {one.checks:.0f} checks/s",
                one.share >= TARGET_USSD_SHARE,
            )
    for path in dict.fromkeys(one.path for one in access.requests):
        rate = max(one.rate for one in access.requests if one.path == path)
        reached = rate >= TARGET_REQUESTS
        yield Goal(f"signed requests/s, {path}", f"at least {TARGET_REQUESTS:,.0f}", f"{rate:,.0f}", reached)


def _redis_goals(report: Report) -> Iterable[Goal]:
    runs = {run.who: run for run in report.on_redis}
    alone = [run for run in report.on_redis if run.who == ONE]
    if alone:
        best = max(alone, key=lambda run: run.rate)
        reached = best.rate >= TARGET_REDIS_RATE
        yield Goal(
            "steps/s on Redis", f"at least {TARGET_REDIS_RATE:,.0f}", f"{best.rate:,.0f}, W={best.width}", reached
        )
    if TWO in runs:
        shared = sharing(runs[BESIDE_TWO], runs[TWO], cores())
        how = ", computed from CPU: too few cores" if shared.computed else ""
        reached = shared.times >= TARGET_TWO_SERVERS
        target = f"at least {TARGET_TWO_SERVERS} times one"
        yield Goal("two servers on one Redis", target, f"{shared.times:.2f} times{how}", reached)
    if FULL_STORE in runs and report.footprint:
        share = runs[FULL_STORE].rate / runs[BESIDE_FULL].rate
        yield Goal(
            f"on Redis with {report.scale.records:,} subscribers",
            f"at least {TARGET_FULL_SHARE:.0%} of an empty store",
            f"{share:.0%}",
            share >= TARGET_FULL_SHARE,
        )


REDIS_HEAD = ("", "W", "steps/s", "p50 ms", "p99 ms", "server µs/step", "Redis µs", "log octets", "network octets")


def redis_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of what runs on Redis as texts."""
    return [
        (
            run.who,
            str(run.width),
            f"{run.rate:,.0f}",
            f"{run.p50_ms:.2f}",
            f"{run.p99_ms:.2f}",
            f"{run.server_us:.1f}",
            f"{run.redis_us:.1f}",
            f"{run.log_octets:,.0f}",
            f"{run.network_octets:,.0f}",
        )
        for run in report.on_redis
    ]


FOOTPRINT_HEAD = ("subscribers", "memory, octets each", "of the process", "in the log", "the record alone")


def footprint_rows(report: Report) -> list[tuple[str, ...]]:
    """Return what subscribers take in Redis as texts."""
    one = report.footprint
    if one is None:
        return []
    return [(f"{one.subscribers:,}", *(f"{octets:,.0f}" for octets in (one.memory, one.resident, one.log, one.record)))]


RATE_HEAD = ("", "W", "steps/s", "p50 ms", "p99 ms", "CPU µs/step", "of its core", "of the yardstick")


def rate_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of rates as texts."""
    rows: list[tuple[str, ...]] = []
    for rate in report.rates:
        bare = report.rate("yardstick", rate.width)
        share = f"{rate.rate / bare.rate:.1%}" if bare and rate.who != "yardstick" else ""
        rows.append(
            (
                rate.who,
                str(rate.width),
                f"{rate.rate:,.0f}",
                f"{rate.p50_ms:.2f}",
                f"{rate.p99_ms:.2f}",
                f"{rate.cpu_us:.1f}",
                f"{rate.core:.0%}",
                share,
            )
        )
    return rows


FULL_HEAD = ("pair", "steps/s, those alone", "CPU µs/step", "steps/s, full store", "CPU µs/step", "of it")


def full_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of the full store as texts."""
    return [
        (
            str(number),
            f"{few.rate:,.0f}",
            f"{few.cpu_us:.1f}",
            f"{full.rate:,.0f}",
            f"{full.cpu_us:.1f}",
            f"{full.rate / few.rate:.0%}",
        )
        for number, (few, full) in enumerate(report.full.pairs if report.full else (), 1)
    ]


GOAL_HEAD = ("", "target", "measured", "")


def goal_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of targets as texts."""
    return [(goal.what, goal.target, goal.measured, "reached" if goal.reached else "missed") for goal in goals(report)]


CHECKS_HEAD = ("at once", "checks/s", "p50 ms", "p99 ms", "bare argon2id/s", "of it", "loop lag p99 ms")


def checks_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of code checks as texts."""
    return [
        (
            str(one.width),
            f"{one.rate:.1f}",
            f"{one.p50_ms:.0f}",
            f"{one.p99_ms:.0f}",
            f"{one.bare:.1f}",
            f"{one.share:.0%}",
            f"{one.lag.p99_ms:g} ({one.lag.samples})",
        )
        for one in report.access.checks
    ]


BESIDE_HEAD = ("asked for", "steps/s alone", "p99 ms", "under checks", "p99 ms", "of it", "checks/s", "loop lag p99 ms")


def beside_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of USSD beside code checks as texts."""
    return [
        (
            f"{one.pace:,.0f}/s" if one.pace else "all it can",
            f"{one.alone:,.0f}",
            f"{one.alone_p99_ms:.2f}",
            f"{one.under_checks:,.0f}",
            f"{one.under_checks_p99_ms:.2f}",
            f"{one.share:.0%}",
            f"{one.checks:.1f}",
            f"{one.lag.p99_ms:g} ({one.lag.samples})",
        )
        for one in report.access.beside
    ]


REQUESTS_HEAD = ("", "W", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "of its core", "generator µs")


def requests_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of signed requests as texts."""
    return [
        (
            one.path,
            str(one.width),
            f"{one.rate:,.0f}",
            f"{one.p50_ms:.2f}",
            f"{one.p99_ms:.2f}",
            f"{one.cpu_us:.0f}",
            f"{one.core:.0%}",
            f"{one.generator_us:.0f}",
        )
        for one in report.access.requests
    ]


MICRO_HEAD = ("", "µs", "note")


def micro_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of single operations as texts."""
    return [(micro.what, f"{micro.us:.2f}", micro.note) for micro in report.micro]


def tables(report: Report) -> list[Sheet]:
    """Return every table that has rows."""
    every = [
        Sheet("Steps answered, state durable before each answer", RATE_HEAD, rate_rows(report)),
        Sheet(
            f"{ACTIVE:,} subscribers who dial, alone and in a full store, W={FULL_WIDTH}", FULL_HEAD, full_rows(report)
        ),
        Sheet("Steps on Redis, in its log on the disk before each answer", REDIS_HEAD, redis_rows(report)),
        Sheet("Subscribers in Redis", FOOTPRINT_HEAD, footprint_rows(report)),
        Sheet("Code checks, beside bare argon2id of the same seconds", CHECKS_HEAD, checks_rows(report)),
        Sheet(f"USSD with {CHECKS_BESIDE} code checks always under way", BESIDE_HEAD, beside_rows(report)),
        Sheet("Signed requests of terminals, connections kept", REQUESTS_HEAD, requests_rows(report)),
        Sheet("Single operations", MICRO_HEAD, micro_rows(report)),
        Sheet("Targets", GOAL_HEAD, goal_rows(report)),
    ]
    return [sheet for sheet in every if sheet.rows]


def doubts(report: Report) -> list[str]:
    """Return what makes the figures worse than the server is."""
    found = []
    if cores() < CORES:
        found.append(f"{cores()} core for server and generator together: the figures are of both")
    if float(report.machine["load before"]) > IDLE_LOAD:
        found.append("the machine was not idle before the measurement")
    wide = report.rate("server", TARGET_WIDTH)
    if wide and wide.core < SATURATED:
        found.append(f"at W={TARGET_WIDTH} the server had {wide.core:.0%} of its core: something else ran there")
    bare = [one.bare for one in report.access.checks]
    if bare and min(bare) < STEADY * max(bare):
        found.append(
            f"bare argon2id went from {min(bare):.0f} to {max(bare):.0f} a second: something else ran meanwhile"
        )
    core = max((one.core for one in report.access.requests if one.width == TARGET_WIDTH), default=1.0)
    if core < SATURATED:
        found.append(f"under signed requests at W={TARGET_WIDTH} the server had {core:.0%} of its core")
    return found


def show(report: Report, console: Console) -> None:
    """Print the report."""
    for name, value in report.machine.items():
        console.print(f"[dim]{name}:[/] {value}", highlight=False)
    for sheet in tables(report):
        sheet.show(console)
    for doubt in doubts(report):
        console.print(f"[yellow]Note:[/] {doubt}", highlight=False)


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    lines = ["# Benchmark", ""]
    lines += [f"- {name}: {value}" for name, value in report.machine.items()]
    for sheet in tables(report):
        lines += ["", f"## {sheet.title}", "", *sheet.markdown()]
    lines += ["", *(f"Note: {doubt}" for doubt in doubts(report))]
    return "\n".join(lines).rstrip() + "\n"


def write(report: Report, directory: Path) -> None:
    """Keep the report as JSON and Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = asdict(report)
    (directory / "report.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / "report.md").write_text(markdown(report), encoding="utf-8")
