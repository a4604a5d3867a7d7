"""`python -m benchmarks.soak`: offer more than the server can do for ten minutes, and judge how it fares.

The capacity is measured first: what a crowd gets, whose owners think for a second at each screen, when as much is
offered as a closed loop of dialogues without a thought gets. That is less, since a step costs more where fewer are
taken together. Then new dialogues come as a Poisson process, however the server fares: below capacity, beyond it, and
below it again. Every dialogue that is
admitted must get all of its screens, every other one the polite text; memory must stay flat, the admitted must be
served quickly, and afterwards nothing may be refused.
"""

import argparse
import json
import re
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Any

from rich.console import Console

from benchmarks.measured import MB, machine
from benchmarks.paths import PATHS
from benchmarks.processes import BenchmarkFailed, Process, generator, http_port, server
from benchmarks.rates import QUIET_S
from benchmarks.targets import TARGET_WIDTH

PATH = "tariffs"
NUMBERS = 50_000
CAPACITY_WIDTH, CAPACITY_S = 256, 8.0
CROWD_WARM_S, CROWD_S = 10.0, 20.0
BEFORE, BEYOND, AFTER = 0.6, 1.2, 0.6
"""What is offered, in parts of the capacity: before the peak, in it, after it."""

BEFORE_S, AFTER_S = 30.0, 60.0
RECOVERY_S = 20.0
"""How long after the peak something may still be refused: dialogues of the peak are still under way."""

PHASES = ("before", "peak", "after", "after")
MOST_P99_MS = 500.0
"""What an admitted step may take, p99 of each minute of the peak: five times the delay that the server allows itself,
a thirtieth of a gateway's timer."""

MOST_GROWTH_MB_A_MINUTE = 1.0
"""Memory is flat where it grows by no more than this; a step that leaked 100 octets would cost 60 times as much."""

WARM_MINUTES = 2
"""Minutes of the peak before memory is judged: caches fill up."""

PROBE_S = 1.0

IDLE_KEPT = 0.1
NOT_IDLE = (
    "The machine was not idle: others had the server's core while it could have run. Its latencies are theirs, too."
)


@dataclass(frozen=True)
class Row:
    """One part of a phase: what the generator saw, and what the server's process had then."""

    phase: str
    seconds: float
    offered: int
    admitted: int
    shed: int
    steps: int
    under_way: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    shed_p99_ms: float
    pause_ms: float
    rss: int
    cpu_us: float
    core: float
    kept: float
    limit: float
    visits_refused: int
    visits: int


@dataclass(frozen=True)
class Verdict:
    """One thing that must hold, what was seen, and whether it does."""

    what: str
    seen: str
    holds: bool


@dataclass
class Soak:
    """A soak and all that was seen."""

    machine: dict[str, str]
    minutes: float
    closed: float = 0.0
    """Steps a second that a closed loop gets."""
    capacity: float = 0.0
    """Those that a crowd gets."""
    rows: list[Row] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @property
    def peak(self) -> list[Row]:
        """Return the rows of the peak."""
        return [row for row in self.rows if row.phase == "peak"]


class Probe:
    """Asks for a new visit every second, without a signature: what is told when there is too much to do comes first."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.answers: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()

    def metric(self, name: str) -> float:
        """Return a number of `/metrics`, 0 where it is not there."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=10) as response:
            found = re.search(rf"^{name} (\S+)$", response.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def _run(self) -> None:
        while not self._stop.wait(PROBE_S):
            try:
                self.answers[self._ask()] += 1
            except OSError:
                self.answers["no answer"] += 1

    def _ask(self) -> str:
        request = urllib.request.Request(f"{self._url}/v1/visits", b"{}", {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return str(response.status)
        except urllib.error.HTTPError as error:
            with error:
                again = error.headers.get("Retry-After")
                return f"{error.code}" if error.code != 503 else f"503, Retry-After {again}"


def soak(minutes: float, out: Path, console: Console, every_s: float) -> Soak:
    """Measure the capacity, offer the load, and return what was seen."""
    found = Soak(machine(), minutes)
    with tempfile.TemporaryDirectory(prefix="ussd-soak-") as data:
        console.print(f"activating {NUMBERS:,} numbers, measuring the capacity", style="dim")
        found.closed = _closed_loop(Path(data), out)
        found.capacity = _crowd(Path(data), out, found.closed)
        console.print(f"capacity: {found.capacity:,.0f} steps/s (closed loop: {found.closed:,.0f})", style="dim")
        load, port = generator(out / "crowd.log", module="benchmarks.crowd")
        with load, server(port, Path(data), out / "server.log", environment=()) as real:
            probe = Probe(http_port(real))
            load.hear()
            load.tell(**_offer(found.capacity, minutes, every_s))
            probe.start()
            try:
                _watch(found, load, real, probe, console)
            finally:
                probe.stop()
        found.log = (out / "server.log").read_text(encoding="utf-8").splitlines()
    return found


def _closed_loop(data: Path, out: Path) -> float:
    """Activate every number, and return how many steps a second a closed loop gets."""
    load, port = generator(out / "generator.log")
    with load, server(port, data, out / "server-capacity.log"):
        load.hear()
        load.tell(path="activate", width=TARGET_WIDTH, numbers=NUMBERS, dialogues=NUMBERS)
        load.hear()
        load.tell(quiet_s=QUIET_S)
        load.hear()
        load.tell(path=PATH, width=CAPACITY_WIDTH, numbers=NUMBERS, seconds=CAPACITY_S)
        return float(load.hear()["rate"])


def _crowd(data: Path, out: Path, offered: float) -> float:
    """Return how many steps a second a crowd gets when so many are offered; what is too much is refused."""
    rate = offered / len(PATHS[PATH])
    load, port = generator(out / "crowd-capacity.log", module="benchmarks.crowd")
    with load, server(port, data, out / "server-crowd.log", environment=()):
        load.hear()
        load.tell(path=PATH, numbers=NUMBERS, phases=[(CROWD_WARM_S, rate), (CROWD_S, rate)], every_s=CROWD_S)
        _, counted = load.hear()["minute"], load.hear()["minute"]
        load.hear()
        return float(counted["steps"] / counted["seconds"])


def _offer(capacity: float, minutes: float, every_s: float) -> dict[str, Any]:
    dialogues = capacity / len(PATHS[PATH])
    # A row covers no more than one part, however long rows are: what is judged after the peak begins one.
    after = (RECOVERY_S, AFTER), (AFTER_S - RECOVERY_S, AFTER)
    parts = ((min(BEFORE_S, minutes * 60), BEFORE), (minutes * 60, BEYOND), *after)
    return {
        "path": PATH,
        "numbers": NUMBERS,
        "phases": [(seconds, part * dialogues) for seconds, part in parts],
        "every_s": every_s,
    }


def _watch(found: Soak, load: Process, real: Process, probe: Probe, console: Console) -> None:
    cpu, kept, asked = real.cpu_seconds(), real.kept_seconds(), probe.answers.copy()
    while "ended" not in (said := load.hear()):
        minute = said["minute"]
        used, cpu = real.cpu_seconds() - cpu, real.cpu_seconds()
        waited, kept = real.kept_seconds() - kept, real.kept_seconds()
        answers, asked = probe.answers - asked, probe.answers.copy()
        counted = ("seconds", "offered", "admitted", "shed", "steps", "under_way")
        names = (*counted, "p50_ms", "p99_ms", "max_ms", "shed_p99_ms", "pause_ms")
        row = Row(
            phase=PHASES[minute["phase"]],
            **{name: minute[name] for name in names},
            rss=real.rss(),
            cpu_us=round(used / max(1, minute["steps"]) * 1e6, 1),
            core=round(used / minute["seconds"], 2),
            kept=round(waited / minute["seconds"], 2),
            limit=probe.metric("ussd_server_turns_limit"),
            visits_refused=sum(count for answer, count in answers.items() if answer.startswith("503, Retry-After ")),
            visits=answers.total(),
        )
        found.rows.append(row)
        console.print(" ".join(_cells(row)), style="dim", highlight=False)
    found.ended = said["ended"]


# Judging ------------------------------------------------------------------------------------------------------------


def slope_mb(rows: Sequence[Row]) -> float:
    """Return by how much memory grew, MB a minute: the line that fits best. 0 where there are not two rows."""
    if len(rows) < 2:
        return 0.0
    at = 0.0
    times = []
    for row in rows:
        at += row.seconds / 60
        times.append(at)
    return linear_regression(times, [row.rss / MB for row in rows]).slope


def verdicts(found: Soak) -> list[Verdict]:
    """Return what must hold, judged."""
    peak, ended = found.peak, found.ended
    settled = peak[WARM_MINUTES:] if len(peak) > 2 * WARM_MINUTES else peak[len(peak) // 2 :]
    slope, worst = slope_mb(settled), max(row.p99_ms for row in peak)
    shed = sum(row.shed for row in peak)
    unaccounted = ended["offered"] - ended["finished"] - ended["shed"]
    after = [row for row in found.rows if row.phase == "after"]
    late = [row for at, row in enumerate(after) if sum(each.seconds for each in after[:at]) >= RECOVERY_S]
    again = sum(row.shed for row in late)
    broken = [line for line in found.log if '"level": "error"' in line or "[error" in line]
    return [
        Verdict(
            "beyond capacity new dialogues are refused", f"{shed:,} of {sum(row.offered for row in peak):,}", shed > 0
        ),
        Verdict(
            "nothing is lost: every dialogue got all of its screens, or the polite text",
            f"{unaccounted} without, {ended['lost']} without an answer, {ended['unacknowledged']} without a response",
            not (unaccounted or ended["lost"] or ended["unacknowledged"]),
        ),
        Verdict(
            f"p99 of admitted steps at most {MOST_P99_MS:.0f} ms in each part of the peak",
            f"{worst:.0f} ms",
            worst <= MOST_P99_MS,
        ),
        Verdict(
            f"memory flat: at most {MOST_GROWTH_MB_A_MINUTE:.0f} MB a minute",
            f"{slope:+.2f} MB a minute, {max(row.rss for row in found.rows) / MB:.0f} MB at most",
            slope <= MOST_GROWTH_MB_A_MINUTE,
        ),
        Verdict(
            f"after the peak it recovers: nothing is refused from {RECOVERY_S:.0f} s on",
            f"{again} refused, p99 {late[-1].p99_ms if late else 0:.0f} ms",
            bool(late) and not again,
        ),
        Verdict("the server logged no error", f"{len(broken)} lines", not broken),
    ]


# Showing ------------------------------------------------------------------------------------------------------------

HEAD = (
    "phase",
    "s",
    "offered/s",
    "admitted",
    "refused",
    "steps/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "refusal p99 ms",
    "generator's pause ms",
    "RSS MB",
    "CPU µs a step",
    "core",
    "kept from it",
    "limit",
    "visits refused",
)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.phase,
        f"{row.seconds:.0f}",
        f"{row.offered / row.seconds:,.0f}",
        f"{row.admitted:,}",
        f"{row.shed:,}",
        f"{row.steps / row.seconds:,.0f}",
        f"{row.p50_ms:.1f}",
        f"{row.p99_ms:.1f}",
        f"{row.max_ms:.0f}",
        f"{row.shed_p99_ms:.1f}",
        f"{row.pause_ms:.0f}",
        f"{row.rss / MB:.1f}",
        f"{row.cpu_us:.1f}",
        f"{row.core:.2f}",
        f"{row.kept:.0%}",
        f"{row.limit:.0f}",
        f"{row.visits_refused} of {row.visits}",
    )


def markdown(found: Soak) -> str:
    """Return the report."""
    steps = len(PATHS[PATH])
    lines = [
        "# Soak",
        "",
        *(f"- {name}: {value}" for name, value in found.machine.items()),
        "",
        f"Capacity of a crowd: {found.capacity:,.0f} steps/s, when as much was offered as a closed loop got.",
        f"The closed loop, {CAPACITY_WIDTH} dialogues without a thought: {found.closed:,.0f} steps/s.",
        f"Offered: {BEFORE:.0%} of it, {BEYOND:.0%} for {found.minutes:g} minutes, {AFTER:.0%}.",
        f"New dialogues come as a Poisson process, each of {steps} steps if it is admitted.",
        "",
        "| must hold | seen | |",
        "|---|---|---|",
        *(f"| {each.what} | {each.seen} | {'yes' if each.holds else '**no**'} |" for each in verdicts(found)),
        "",
        *([NOT_IDLE, ""] if any(row.kept > IDLE_KEPT for row in found.rows) else []),
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(_cells(row))} |" for row in found.rows),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Soak, report, judge: 0 where all holds, 1 where something does not, 2 where it could not be done."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Offer the server 120 % of its capacity for some minutes, and judge how it fares.",
        epilog="Exit status: 0 all holds, 1 something does not, 2 the soak failed. Example: "
        "python -m benchmarks.soak --minutes 1 --every 10",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the peak lasts (%(default)s)")
    parser.add_argument("--every", type=float, default=60.0, help="seconds a row of the report covers (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="where report and logs go (%(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    try:
        found = soak(options.minutes, options.out, console, options.every)
    except BenchmarkFailed as failure:
        console.print(f"soak failed: {failure}", style="red", markup=False)
        return 2
    report = markdown(found)
    (options.out / "report.md").write_text(report, encoding="utf-8")
    (options.out / "report.json").write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    print(report)
    return 0 if all(each.holds for each in verdicts(found)) else 1


if __name__ == "__main__":
    sys.exit(main())
