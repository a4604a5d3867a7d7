"""Two working trees measured in turns, a moment each: what slows one on a shared machine slows the other."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

WARM, PAIRS = 3, 60


def beside(script: Path, other: Path, pairs: int = PAIRS) -> None:
    """Run `script --on-demand` in this tree and in `other`, and print both and how they compare.

    The script prints one figure, µs a step, for each line of its standard input.
    """
    trees = [script.resolve().parent.parent, other.resolve()]
    running = [
        subprocess.Popen(
            ["env", f"PYTHONPATH={tree}", sys.executable, str(script.resolve()), "--on-demand"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for tree in trees
    ]
    took: list[list[float]] = [[], []]
    for turn in range(WARM + pairs):
        for child, figures in zip(running, took, strict=True):
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n")
            child.stdin.flush()
            figure = float(child.stdout.readline())
            if turn >= WARM:
                figures.append(figure)
    for child in running:
        child.communicate()
    for tree, figures in zip(trees, took, strict=True):
        print(f"{min(figures):6.2f} best, {median(figures):6.2f} median µs a step  {tree}")
    print(
        f"{median(theirs / ours for ours, theirs in zip(*took, strict=True)):.2f} times as fast (median of the pairs)"
    )


def command(script: Path, about: str, once: Callable[[], None], on_demand: Callable[[], None]) -> None:
    """Be the command line of a script that measures one figure: once, for each line of standard input, or beside."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, metavar="DIR", help="another working tree, measured in turns")
    parser.add_argument("--on-demand", action="store_true", help="print one figure for each line of standard input")
    options = parser.parse_args()
    if options.beside:
        beside(script, options.beside)
    elif options.on_demand:
        on_demand()
    else:
        once()
