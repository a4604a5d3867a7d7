"""`python -m benchmarks`: measure, print the report, and keep it in build/bench."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks.access import measure_access
from benchmarks.measured import FULL, QUICK, WIDTHS, Memory, Report, machine
from benchmarks.micro import measure_micro
from benchmarks.million import measure_full
from benchmarks.on_redis import Footprint, measure_on_cluster, measure_on_redis
from benchmarks.processes import BenchmarkFailed
from benchmarks.rates import measure_link, measure_server, measure_yardstick
from benchmarks.report import show, write
from benchmarks.targets import goals

Say = Callable[[str], None]


def main() -> int:
    """Run what was asked for; 0 where every target was reached, 1 where one was missed, 2 where measuring failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure speed and memory of ussd-server over a real socket, beside a bare ESME.",
        epilog="Exit status: 0 all targets reached, 1 one missed, 2 the measurement failed.",
    )
    parser.add_argument("--quick", action="store_true", help="shorter runs and fewer sessions; for a first look")
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="leave the other parts out; may be given more than once"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where report and logs go (%(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    report = Report(machine(), QUICK if options.quick else FULL)
    status = Console(stderr=True)

    def say(how_it_goes: str) -> None:
        status.print(how_it_goes, style="dim", highlight=False)

    try:
        for part, measure in PARTS.items():
            if not options.only or part in options.only:
                measure(report, options.out, say)
    except BenchmarkFailed as failure:
        status.print(f"benchmark failed: {failure}", style="red", markup=False)
        return 2
    show(report, Console())
    write(report, options.out)
    return 0 if all(goal.reached for goal in goals(report)) else 1


def _micro(report: Report, out: Path, say: Say) -> None:
    say("measuring single operations")
    report.micro.extend(measure_micro())


def _yardstick(report: Report, out: Path, say: Say) -> None:
    for rate in measure_yardstick(report.scale, out):
        say(f"yardstick, W={rate.width}: {rate.rate:,.0f} steps/s")
        report.rates.append(rate)


def _link(report: Report, out: Path, say: Say) -> None:
    for rate in measure_link(report.scale, out):
        say(f"link, W={rate.width}: {rate.rate:,.0f} steps/s")
        report.rates.append(rate)


def _server(report: Report, out: Path, say: Say) -> None:
    for result in measure_server(report.scale, out):
        if isinstance(result, Memory):
            report.memory = result
        else:
            say(f"server, W={result.width}: {result.rate:,.0f} steps/s")
            report.rates.append(result)


def _million(report: Report, out: Path, say: Say) -> None:
    say("filling a store")
    report.full = measure_full(report.scale.records, report.scale.seconds, out)


def _redis(report: Report, out: Path, say: Say) -> None:
    scale = report.scale
    for measured in measure_on_redis(WIDTHS, scale.seconds, scale.numbers, scale.records, out):
        say(f"Redis: {measured}")
        if isinstance(measured, Footprint):
            report.footprint = measured
        else:
            report.on_redis.append(measured)


def _cluster(report: Report, out: Path, say: Say) -> None:
    for measured in measure_on_cluster(report.scale.seconds, report.scale.numbers, out):
        say(f"Redis: {measured}")
        report.on_redis.append(measured)


def _terminals(report: Report, out: Path, say: Say) -> None:
    for measured in measure_access(report.scale.seconds, out):
        say(f"terminals: {measured}")
        report.add(measured)


PARTS: dict[str, Callable[[Report, Path, Say], None]] = {
    "micro": _micro,
    "yardstick": _yardstick,
    "link": _link,
    "server": _server,
    "million": _million,
    "redis": _redis,
    "cluster": _cluster,
    "terminals": _terminals,
}
"""What can be measured, in this order. Each puts what it found into the report, and says meanwhile how it goes."""


if __name__ == "__main__":
    sys.exit(main())
