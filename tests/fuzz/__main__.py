"""`python -m tests.fuzz`: feed every target many inputs, guided by what code they reach, and keep the best of them."""

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

WORK: Final = Path("build/fuzz")
MAX_OCTETS: Final = 512
LOG_LINES_SHOWN: Final = 25
COUNT: Final = re.compile(r"#(\d+)\s")

EPILOG: Final = """\
examples:
  make fuzz                                       ten million inputs, evenly over all targets
  python -m tests.fuzz links --inputs 1000000     a million for one of them
  python -m tests.fuzz links --replay build/fuzz/links-crash-5ba9…
                                                  what one input does, with a traceback

Exit status: 0 all held, 1 a target failed (its input is kept, and how to run it again is said).
"""


@dataclass
class Fuzzing:
    """One target's run: how far it is, and how it ended."""

    target: str
    inputs: int
    done: int = 0
    failed: bool = False
    log: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def directory(self) -> Path:
        """Where the fuzzer has its inputs."""
        return WORK / self.target

    def run(self, progress: Progress) -> "Fuzzing":
        """Feed the target."""
        shutil.rmtree(self.directory, ignore_errors=True)
        corpus.unpack(corpus.read(self.target), self.directory)
        bar = progress.add_task(self.target, total=self.inputs)
        began = time.monotonic()
        with self._start(f"-runs={self.inputs}", f"-artifact_prefix={WORK}/{self.target}-", self.directory) as child:
            assert child.stderr is not None
            for line in child.stderr:
                self.log = (*self.log[1 - LOG_LINES_SHOWN :], line)
                counted = COUNT.match(line)
                if counted:
                    self.done = int(counted[1])
                    progress.update(bar, completed=min(self.done, self.inputs))
        self.seconds = time.monotonic() - began
        self.failed = child.returncode != 0
        return self

    def keep(self) -> int:
        """Keep of the inputs a least set that reaches as much; returns how many."""
        least = WORK / f"{self.target}-least"
        shutil.rmtree(least, ignore_errors=True)
        least.mkdir()
        with self._start("-merge=1", least, self.directory) as child:
            child.communicate()
        inputs = corpus.pack(least)
        corpus.keep(self.target, inputs)
        return len(inputs)

    def _start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.fuzz.one", self.target, f"-max_len={MAX_OCTETS}", *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__.partition(": ")[2],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; by default all")
    parser.add_argument("--inputs", type=int, default=10_000_000, help="how many, over all targets (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at once (%(default)s)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the one target on this file's octets")
    options = parser.parse_args()
    wanted = options.targets or list(TARGETS)
    unknown = set(wanted) - TARGETS.keys()
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if options.replay:
        if len(wanted) != 1:
            parser.error("--replay is for one target: name it")
        TARGETS[wanted[0]](options.replay.read_bytes())
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    return _fuzz([Fuzzing(target, options.inputs // len(wanted)) for target in wanted], options.jobs)


def _fuzz(runs: Sequence[Fuzzing], jobs: int) -> int:
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, ThreadPoolExecutor(jobs) as threads:
        for run in threads.map(lambda run: run.run(progress), runs):
            if run.failed:
                console.print("".join(run.log), markup=False, highlight=False)
                console.print(
                    f"{run.target} failed: its input is one of {WORK}/{run.target}-*; see --replay", style="red"
                )
    for run in runs:
        if not run.failed:
            kept = run.keep()
            console.print(f"{run.target}: {run.done:,} inputs in {run.seconds:.0f} s, {kept} kept", highlight=False)
    console.print(f"{sum(run.done for run in runs):,} inputs in all", highlight=False)
    return 1 if any(run.failed for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
