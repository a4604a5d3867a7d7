"""`python -m benchmarks.peers`: SMS exchanges of the real server beside Kannel's, in turn, and what a step costs each.

The same generator sends the same keyword to both and awaits an answer of the same length on one bind. Kannel asks a
page that always says the same; the server counts its answers to this number, asks the operator for the balance, keeps
record and answer durably before it acknowledges the keyword, and settles the answer durably when the SMSC has it.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.kannel import kannel, missing
from benchmarks.processes import SERVER_CPU, BenchmarkFailed, Process, generator, server
from benchmarks.report import GOAL_HEAD, Goal, machine

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

OURS, KANNEL = "ussd-server", "Kannel"


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
def _kannel(port: int, directory: Path, logs: Path) -> Iterator[Mapping[str, Process]]:
    with kannel(port, ANSWER, directory, logs) as boxes:
        yield {"bearerbox": boxes.bearerbox, "smsbox": boxes.smsbox, "page": boxes.page}


CONTENDERS = {OURS: _ours, KANNEL: _kannel}


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


def goals(runs: Iterable[Run]) -> list[Goal]:
    """Return the targets, each contender taken at the width that suits it best; none where one is missing."""
    best: dict[str, Run] = {}
    for run in runs:
        if run.who not in best or run.rate > best[run.who].rate:
            best[run.who] = run
    if len(best) < len(CONTENDERS):
        return []
    ours, other = best[OURS], best[KANNEL]
    times, share = ours.rate / other.rate, ours.own_us / other.own_us
    return [
        Goal(
            "SMS exchanges/s, each at its best",
            f"at least {TARGET_TIMES:g} times Kannel's",
            f"{times:.2f} times: {ours.rate:,.0f} and {other.rate:,.0f}",
            times >= TARGET_TIMES,
        ),
        Goal(
            "CPU an exchange there",
            f"at most 1/{TARGET_TIMES:g} of Kannel's",
            f"{share:.2f}: {ours.own_us:.0f} and {other.own_us:.0f} µs",
            share <= 1 / TARGET_TIMES,
        ),
    ]


HEAD = ("", "W", "exchanges/s", "p50 ms", "p99 ms", "CPU µs", "of which", "generator µs")


def rows(runs: Iterable[Run]) -> list[tuple[str, ...]]:
    """Return the table as texts."""
    return [
        (
            run.who,
            str(run.width),
            f"{run.rate:,.0f}",
            f"{run.p50_ms:.2f}",
            f"{run.p99_ms:.2f}",
            f"{run.own_us:.0f}",
            ", ".join(f"{name} {us:.0f}" for name, us in run.cpu_us.items()),
            f"{run.generator_us:.0f}",
        )
        for run in runs
    ]


TUNED = (
    "Kannel keeps nothing on a disk, logs errors only, and may have 1,000 SMS under way in each queue; no receipts",
    "Kannel's two boxes have a core to themselves, as the server has; the page behind Kannel shares the generator's",
    "the server acknowledges a keyword when record and answer are on the disk; no receipts either",
)


def markdown(on: Mapping[str, str], runs: Iterable[Run], reached: Iterable[Goal]) -> str:
    """Return the report as Markdown."""
    lines = ["# SMS exchanges beside Kannel's", "", *(f"- {name}: {value}" for name, value in on.items())]
    lines += [f"- {how}" for how in TUNED]
    lines += ["", _row(HEAD), _row(["---"] * len(HEAD)), *map(_row, rows(runs))]
    lines += ["", _row(GOAL_HEAD), _row(["---"] * len(GOAL_HEAD)), *map(_row, _goal_rows(reached))]
    return "\n".join(lines) + "\n"


def _goal_rows(goals: Iterable[Goal]) -> list[tuple[str, ...]]:
    return [(goal.what, goal.target, goal.measured, "reached" if goal.reached else "missed") for goal in goals]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _show(console: Console, title: str, head: Iterable[str], texts: Iterable[Iterable[str]]) -> None:
    table = Table(*head, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in texts:
        table.add_row(*row)
    console.print(table)


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
    reached = goals(chosen)
    console = Console()
    _show(console, "SMS exchanges, both on one core", HEAD, rows(chosen))
    _show(console, "Targets", GOAL_HEAD, _goal_rows(reached))
    (options.out / "peers.md").write_text(markdown(on, chosen, reached), encoding="utf-8")
    content = {"machine": on, "runs": [asdict(run) for run in runs]}
    (options.out / "peers.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if all(goal.reached for goal in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
