"""`python -m tests.chaos`: kill and hinder servers under load, and check that nothing acknowledged was lost."""

import argparse
import asyncio
import logging
import random
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos import plan, report, round, stage
from tests.chaos.round import Outcome, Wanted
from tests.chaos.storage import OTHER, StoreKind

WORK: Final = Path("build/chaos")

USUAL: Final[Mapping[StoreKind, tuple[float, int]]] = {
    "sqlite": (400, 180),
    "redis": (540, 480),
    "sentinel": (180, 70),
    "cluster": (180, 70),
}
"""Seconds and faults. A server's start takes most of a run without a store that can be killed by itself; while a store
of several processes is whole again, little passes. All four are half an hour, with more than 500 kills."""

EPILOG: Final = """\
examples:
  make chaos                                                    half an hour: every store, more than 500 kills
  python -m tests.chaos --store sentinel cluster                those with failovers alone
  python -m tests.chaos --store sqlite --seconds 60 --faults 25 a minute
  python -m tests.chaos --seed 7 --plan                         which faults this seed has, and when
  python -m tests.chaos --servers 3 --seed 7                    with one server more
  python -m tests.chaos --store redis --seconds 90 --faults 30 --only forget kill
                                                                subscribers are forgotten, and all else is killed
  python -m tests.chaos --store sqlite --copy --seconds 120 --faults 12 --only copy kill
                                                                and the store moved, to Redis and back to SQLite

Who is forgotten is one of those who came last, in the middle of what they do or when they are through. The command is
killed up to twice at its work, and given again until it says that it is done; so is each copy of a store, up to four
times. Then the two are compared, and the servers go on with the copy.

The same seed makes the same plan of faults. What the processes are at when a fault comes is chance, so a violation may
need the run again and again: the ledger, logs and data of the last one stay in build/chaos.

Exit status: 0 no violation, 1 at least one (build/chaos/report.md has them).
"""


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__.partition(": ")[2],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--store",
        choices=get_args(StoreKind),
        nargs="+",
        default=get_args(StoreKind),
        help="(all, one after the other)",
    )
    usual = ", ".join(f"{store} {faults} in {seconds} s" for store, (seconds, faults) in USUAL.items())
    parser.add_argument("--seconds", type=float, help="of load and faults with each store")
    parser.add_argument("--faults", type=int, help=f"in that time (by default {usual})")
    parser.add_argument("--seed", type=int, help="of the plan (by default a new one, which the report names)")
    parser.add_argument("--servers", type=int, default=2, help="on the one store (%(default)s)")
    parser.add_argument("--people", type=int, default=40, help="who use the service at once (%(default)s)")
    parser.add_argument(
        "--replicas", type=int, help="that a commit waits for, where there are any (by default all of them)"
    )
    parser.add_argument(
        "--copy",
        action="store_true",
        help="now and then stop the servers and move their store to one of the other kind (SQLite and Redis)",
    )
    kinds = ", ".join(plan.WEIGHTS)
    parser.add_argument(
        "--only", choices=plan.WEIGHTS, nargs="+", default=(), metavar="FAULT", help=f"these, each as often: {kinds}"
    )
    parser.add_argument("--plan", action="store_true", help="only print the plan")
    options = parser.parse_args()
    if options.copy and not set(options.store) <= OTHER.keys():
        parser.error(f"--copy is for --store {' '.join(OTHER)}")
    # What terminals try again is no news here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    missing = stage.what_is_missing()
    for kind, why in missing.items():
        print(f"not done here: {kind}, because {why}", file=sys.stderr)
    wanted = [_wanted(store, options, seed) for store in options.store]
    if options.plan:
        for each in wanted:
            _print_plan(each, missing)
        return 0
    return _finish([_run(each, missing) for each in wanted])


def _wanted(store: StoreKind, options: argparse.Namespace, seed: int) -> Wanted:
    seconds, faults = USUAL[store]
    return Wanted(
        store,
        options.seconds or seconds,
        faults if options.faults is None else options.faults,
        seed,
        options.servers,
        options.people,
        options.replicas,
        moves=options.copy,
        only=tuple(options.only),
    )


def _print_plan(wanted: Wanted, missing: Mapping[plan.Kind, str]) -> None:
    print(f"{wanted.store}, seed {wanted.seed}:")
    scene = round.scene_of(wanted, missing)
    for fault in plan.make(wanted.seed, wanted.seconds, wanted.faults, scene):
        print(f"{fault.at / 1000:8.2f} s  {fault}")


def _run(wanted: Wanted, missing: Mapping[plan.Kind, str]) -> Outcome:
    directory = (WORK / wanted.store).absolute()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    columns = (
        TextColumn(f"{wanted.store}, seed {wanted.seed}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=1.0)
        return asyncio.run(
            round.run(
                wanted,
                directory,
                missing,
                lambda what, share: progress.update(bar, description=what, completed=share),
            )
        )


def _finish(outcomes: list[Outcome]) -> int:
    path = report.write(outcomes, WORK)
    print(path.read_text(encoding="utf-8"))
    print(f"The report is in {path}.")
    return 1 if any(outcome.violations for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
