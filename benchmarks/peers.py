"""`python -m benchmarks.peers`: SMS exchanges of the real server beside Kannel's, in turn, and what a step costs each.

The same generator sends the same keyword to both and awaits an answer of the same length on one bind. Kannel asks a
page that always says the same; the server counts its answers to this number, asks the operator for the balance, keeps
record and answer durably before it acknowledges the keyword, and settles the answer durably when the SMSC has it.

Kannel runs twice: without a store, which is its fastest, and with a spool, so that a kill loses nothing with it either.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.kannel import kannel, missing
from benchmarks.measured import machine
from benchmarks.processes import SERVER_CPU, BenchmarkFailed, Process, generator, server
from benchmarks.report import GOAL_HEAD
from benchmarks.tables import Sheet
from benchmarks.targets import Goal

WIDTHS = (1, 16, 64, 256, 768)
"""Exchanges under way at once; the server takes a thousand turns, so does each of Kannel's queues."""

TARGET_TIMES = 3.0
ROUNDS = 3
"""Runs of each width, one of each contender in turn; the one with the middle rate counts."""

WARM_WIDTH, WARM_S = 64, 3.0
KEYWORD, SHOWS = "balance", "Баланс: "
ANSWER = "Баланс: 149,50 руб."
"""What Kannel's page says: as long as what the server answers, in the same alphabet."""

NUMBERS = 80_000
"""Subscribers who write, one after the other through all runs: the server answers each 20 times an hour at most."""

PATIENT = "overload_delay_s = 2"
"""All that is offered is to be done here, however long it waits; in service the server would refuse a part of it."""

OURS, KANNEL, SPOOLED = "ussd-server", "Kannel", "Kannel, spool"


@dataclass(frozen=True)
class Run:
    """One run of one width. `cpu_us` is the CPU time an exchange of each process."""

    who: str
    width: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]
    generator_us: float

    @property
    def own_us(self) -> float:
        """CPU time of the product itself: without the page behind Kannel, which is whoever's uses it."""
        return round(sum(us for name, us in self.cpu_us.items() if name != "page"), 1)


@contextmanager
def _ours(port: int, directory: Path, logs: Path) -> Iterator[Mapping[str, Process]]:
    settings = directory / "settings.toml"
    settings.write_text(PATIENT, encoding="ascii")
    options = ("--settings", str(settings))
    with server(port, directory, logs / "peers-server.log", SERVER_CPU, *options, more="&receipts=0") as real:
        yield {"server": real}


@contextmanager
def _kannel(port: int, directory: Path, logs: Path, keeps: bool = False) -> Iterator[Mapping[str, Process]]:
    with kannel(port, ANSWER, directory, logs, keeps) as boxes:
        yield {"bearerbox": boxes.bearerbox, "smsbox": boxes.smsbox, "page": boxes.page}


PEERS = (KANNEL, SPOOLED)
CONTENDERS: Mapping[str, Callable[[int, Path, Path], AbstractContextManager[Mapping[str, Process]]]] = {
    OURS: _ours,
    KANNEL: _kannel,
    SPOOLED: partial(_kannel, keeps=True),
}


class Contender:
    """One that is measured, with its processes and a load generator of its own."""

    def __init__(self, who: str, load: Process, processes: Mapping[str, Process]) -> None:
        self.who = who
        self._load = load
        self._processes = processes
        self._wrote = 0

    def warm_up(self) -> None:
        """Let everything be loaded and connected, and every subscriber of ours be activated."""
        self._load.hear()
        if self.who == OURS:
            self._load.tell(path="activate", width=WARM_WIDTH, numbers=NUMBERS, dialogues=NUMBERS)
            self._load.hear()
            self._load.tell(quiet_s=1.0)
            self._load.hear()
        self.run(WARM_WIDTH, WARM_S)

    def run(self, width: int, seconds: float) -> Run:
        """Measure one run."""
        before = {name: process.cpu_seconds() for name, process in self._processes.items()}
        asked = {"width": width, "seconds": seconds, "numbers": NUMBERS, "skip": self._wrote}
        self._load.tell(text=KEYWORD, shows=SHOWS, **asked)
        run = self._load.hear()
        self._wrote += run["exchanges"]
        cpu = {
            name: round((process.cpu_seconds() - before[name]) / run["exchanges"] * 1e6, 1)
            for name, process in self._processes.items()
        }
        return Run(self.who, width, run["rate"], run["p50_ms"], run["p99_ms"], cpu, run["generator_us"])


def measure(seconds: float, rounds: int, logs: Path, contenders: Iterable[str] = CONTENDERS) -> Iterable[Run]:
    """Measure every width so many times, the contenders in turn; those whose turn it is not are idle."""
    with ExitStack() as stack:
        both = []
        for who in contenders:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ussd-bench-")))
            load, port = generator(logs / f"peers-generator-{who}.log", module="benchmarks.texting")
            stack.enter_context(load)
            both.append(Contender(who, load, stack.enter_context(CONTENDERS[who](port, directory, logs))))
            both[-1].warm_up()
        for width in WIDTHS:
            for _ in range(rounds):
                for contender in both:
                    yield contender.run(width, seconds)


def middle(runs: Iterable[Run]) -> list[Run]:
    """Return of each contender and width the run with the middle rate."""
    by: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        by.setdefault((run.who, run.width), []).append(run)
    return [sorted(each, key=lambda run: run.rate)[(len(each) - 1) // 2] for each in by.values()]


@dataclass(frozen=True)
class Both:
    """The server and one way to run Kannel, each with as many exchanges under way as it says."""

    ours: Run
    kannel: Run

    @property
    def times(self) -> float:
        """How many exchanges of ours there are to one of Kannel's."""
        return self.ours.rate / self.kannel.rate

    @property
    def share(self) -> float:
        """Our CPU time an exchange, of Kannel's."""
        return self.ours.own_us / self.kannel.own_us


def at_each_width(runs: Iterable[Run]) -> list[Both]:
    """Return the server beside each Kannel at each width at which both were measured."""
    by = {(run.who, run.width): run for run in runs}
    pairs = [((OURS, width), (peer, width)) for peer in PEERS for width in WIDTHS]
    return [Both(by[ours], by[peer]) for ours, peer in pairs if {ours, peer} <= {*by}]


def at_their_best(runs: Iterable[Run]) -> list[Both]:
    """Return the server beside each Kannel that was measured, each at the width that suits it best."""
    best: dict[str, Run] = {}
    for run in runs:
        if run.who not in best or run.rate > best[run.who].rate:
            best[run.who] = run
    return [Both(best[OURS], best[peer]) for peer in PEERS if {OURS, peer} <= {*best}]


def goals(runs: Iterable[Run]) -> list[Goal]:
    """Return the targets beside each Kannel; none where one side is missing."""
    return [goal for both in at_their_best(runs) for goal in _goals(both)]


def _goals(both: Both) -> tuple[Goal, Goal]:
    peer = both.kannel.who
    return (
        Goal(
            f"SMS/s beside {peer}",
            f"at least {TARGET_TIMES:g} times",
            f"{both.times:.2f} times: {both.ours.rate:,.0f} and {both.kannel.rate:,.0f}",
            both.times >= TARGET_TIMES,
        ),
        Goal(
            f"CPU beside {peer}",
            f"at most 1/{TARGET_TIMES:g}",
            f"{both.share:.2f}: {both.ours.own_us:.0f} and {both.kannel.own_us:.0f} µs",
            both.share <= 1 / TARGET_TIMES,
        ),
    )


def tables(runs: Iterable[Run]) -> list[Sheet]:
    """Return the report's tables that have rows."""
    runs = list(runs)
    boxes = [run for run in runs if run.who in PEERS]
    every = [
        Sheet(
            "SMS exchanges, each on one core",
            ("", "W", "exchanges/s", "p50 ms", "p99 ms", "CPU µs", "generator µs"),
            [
                (
                    run.who,
                    str(run.width),
                    f"{run.rate:,.0f}",
                    f"{run.p50_ms:.2f}",
                    f"{run.p99_ms:.2f}",
                    f"{run.own_us:.0f}",
                    f"{run.generator_us:.0f}",
                )
                for run in runs
            ],
        ),
        Sheet(
            "Kannel's CPU µs an exchange, by process",
            ("", "W", *(boxes[0].cpu_us if boxes else ())),
            [(run.who, str(run.width), *(f"{us:.0f}" for us in run.cpu_us.values())) for run in boxes],
        ),
        Sheet(
            "The server beside Kannel at each width",
            ("beside", "W", "exchanges/s", "Kannel's", "times", "CPU µs", "Kannel's", "of it"),
            [
                (
                    both.kannel.who,
                    str(both.ours.width),
                    f"{both.ours.rate:,.0f}",
                    f"{both.kannel.rate:,.0f}",
                    f"{both.times:.2f}",
                    f"{both.ours.own_us:.0f}",
                    f"{both.kannel.own_us:.0f}",
                    f"{both.share:.2f}",
                )
                for both in at_each_width(runs)
            ],
        ),
        Sheet(
            "Targets",
            GOAL_HEAD,
            [(goal.what, goal.target, goal.measured, "reached" if goal.reached else "missed") for goal in goals(runs)],
        ),
    ]
    return [sheet for sheet in every if sheet.rows]


TUNED = (
    "Kannel keeps nothing on a disk, logs errors only, and may have 1,000 SMS under way in each queue; no receipts",
    "with a spool it keeps each SMS, in both directions, as a file until it is done; it does not wait for the disk",
    "Kannel's two boxes have a core to themselves, as the server has; the page behind Kannel shares the generator's",
    "the server acknowledges a keyword when record and answer are on the disk; no receipts either",
)


def markdown(on: Mapping[str, str], runs: Iterable[Run]) -> str:
    """Return the report as Markdown."""
    lines = ["# SMS exchanges beside Kannel's", "", *(f"- {name}: {value}" for name, value in on.items())]
    lines += [f"- {how}" for how in TUNED]
    for sheet in tables(runs):
        lines += ["", f"## {sheet.title}", "", *sheet.markdown()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure both in turn, print the report and keep it; 0 targets reached, 1 one missed, 2 measuring failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Measure SMS exchanges of ussd-server beside Kannel's.",
        epilog="Exit status: 0 all targets reached, 1 one missed, 2 the measurement failed.",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run is (%(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each width (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where report and logs go (%(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    on, runs, status = machine(), [], Console(stderr=True)
    try:
        if absent := missing():
            raise BenchmarkFailed(absent)
        for run in measure(options.seconds, options.rounds, options.out):
            status.print(f"{run.who}, W={run.width}: {run.rate:,.0f} exchanges/s", style="dim")
            runs.append(run)
    except BenchmarkFailed as failure:
        status.print(f"benchmark failed: {failure}", style="red", markup=False)
        return 2
    chosen = middle(runs)
    console = Console()
    for sheet in tables(chosen):
        sheet.show(console)
    (options.out / "peers.md").write_text(markdown(on, chosen), encoding="utf-8")
    content = {"machine": on, "runs": [asdict(run) for run in runs]}
    (options.out / "peers.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if all(goal.reached for goal in goals(chosen)) else 1


if __name__ == "__main__":
    sys.exit(main())
