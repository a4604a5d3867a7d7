"""`python -m benchmarks`: measure, print the report, and keep it in build/bench."""

import argparse
import sys
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

PARTS = ("yardstick", "link", "server", "million", "redis", "cluster", "terminals", "micro")


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
    console = Console()
    status = Console(stderr=True)

    def wanted(part: str) -> bool:
        return not options.only or part in options.only

    try:
        if wanted("micro"):
            status.print("measuring single operations", style="dim")
            report.micro.extend(measure_micro())
        for part, measure in (("yardstick", measure_yardstick), ("link", measure_link)):
            for rate in measure(report.scale, options.out) if wanted(part) else ():
                status.print(f"{part}, W={rate.width}: {rate.rate:,.0f} steps/s", style="dim")
                report.rates.append(rate)
        if wanted("server"):
            for result in measure_server(report.scale, options.out):
                if isinstance(result, Memory):
                    report.memory = result
                else:
                    status.print(f"server, W={result.width}: {result.rate:,.0f} steps/s", style="dim")
                    report.rates.append(result)
        if wanted("million"):
            status.print("filling a store", style="dim")
            report.full = measure_full(report.scale.records, report.scale.seconds, options.out)
        if wanted("redis"):
            scale = report.scale
            for measured_there in measure_on_redis(WIDTHS, scale.seconds, scale.numbers, scale.records, options.out):
                status.print(f"Redis: {measured_there}", style="dim", highlight=False)
                if isinstance(measured_there, Footprint):
                    report.footprint = measured_there
                else:
                    report.on_redis.append(measured_there)
        if wanted("cluster"):
            for on_cluster in measure_on_cluster(report.scale.seconds, report.scale.numbers, options.out):
                status.print(f"Redis: {on_cluster}", style="dim", highlight=False)
                report.on_redis.append(on_cluster)
        if wanted("terminals"):
            for measured in measure_access(report.scale.seconds, options.out):
                status.print(f"terminals: {measured}", style="dim", highlight=False)
                report.add(measured)
    except BenchmarkFailed as failure:
        status.print(f"benchmark failed: {failure}", style="red", markup=False)
        return 2
    show(report, console)
    write(report, options.out)
    return 0 if all(goal.reached for goal in goals(report)) else 1


if __name__ == "__main__":
    sys.exit(main())
