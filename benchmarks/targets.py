"""The targets beside what was measured, and what makes the figures worse than the server is."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.access import Access
from benchmarks.measured import MB, WIDTHS, Report
from benchmarks.micro import ENCODE, ENCODE_SMPPLIB, PARSE, PARSE_SMPPLIB
from benchmarks.on_redis import BESIDE_FULL, BESIDE_TWO, ONE, TWO, sharing
from benchmarks.on_redis import FULL as FULL_STORE
from benchmarks.processes import cores

TARGET_WIDTH, TARGET_RATE, TARGET_SHARE = 256, 25_000.0, 0.1
TARGET_CPU_US = 45.0
TARGET_P50_MS = 1.0
TARGET_MEMORY_MB = 200.0
TARGET_FULL_SHARE = 0.85
TARGET_LINK_SHARE = 0.5
TARGET_CODEC, TARGET_CODEC_TIMES = 300_000.0, 15.0
TARGET_CHECKS, TARGET_CHECKS_SHARE = 60.0, 0.8
TARGET_LAG_MS = 20.0
TARGET_USSD_SHARE = 0.8
TARGET_REQUESTS = 1_500.0
TARGET_REDIS_RATE = 12_000.0
TARGET_TWO_SERVERS = 1.6

CORES = 2  # one for the server, one for the generator
IDLE_LOAD = 0.3
SATURATED = 0.9
STEADY = 0.9


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
