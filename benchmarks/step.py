"""A whole step in this process: octets of an SMSC in, the account, the turn, a store on a real file, octets out.

`account` and `turn` measure its parts each by itself, where the processor has all that they need close by. A server
does both, so what comes next often is not. There is no socket. `--beside DIR` measures another working tree in turns
with this one and prints both.
"""

import sys
import tempfile
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from statistics import median
from time import process_time

from benchmarks.account import SAID, Loop, Smsc, account, bind, run, settle
from benchmarks.beside import command
from benchmarks.turn import NUMBERS, ROUND_MS, Turns
from benchmarks.wire import SUBMIT_SM
from ussd_server.cli.process import SWITCH_S

WIDTH = 200
"""Dialogues that take a step together: about as many as the server reads at once at W=256."""
ROUNDS = 60
SUBMIT_HEAD = SUBMIT_SM.to_bytes(4, "big") + bytes(4)
"""Command and status of a submit_sm. They stand nowhere else in what is written, if inputs are numbered from here:"""
FIRST_SEQUENCE = 0x01000000


async def _measure(loop: Loop, directory: Path) -> AsyncIterator[float]:
    """Yield what a step takes, µs of CPU time, over and over: the mean of a path."""
    turns, smsc = Turns(directory), Smsc(FIRST_SEQUENCE)
    await turns.activate(NUMBERS)
    await bind(loop, account(turns.conversations, lambda: turns.now), smsc)
    settle()
    sys.setswitchinterval(SWITCH_S)
    responses, took = b"", 0.0
    for round_ in count():
        turns.now += ROUND_MS
        piece = responses + smsc.inputs(round_, WIDTH)
        began = process_time()
        loop.protocol.data_received(piece)
        replies = await _replies(loop)
        took += process_time() - began
        responses = smsc.responses(replies)
        if round_ % len(SAID) == len(SAID) - 1:
            yield took / (WIDTH * len(SAID)) * 1e6
            took = 0.0


async def _replies(loop: Loop) -> bytes:
    """Return what is written once every dialogue has its reply."""
    out, missing = [], WIDTH
    while missing:
        octets = await loop.pipe.next_write()
        missing -= octets.count(SUBMIT_HEAD)
        out.append(octets)
    return b"".join(out)


async def _best(loop: Loop) -> float:
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as data:
        figures = _measure(loop, Path(data))
        return median([await anext(figures) for _ in range(ROUNDS)])


async def _on_demand(loop: Loop) -> None:
    """Print one figure for each line of standard input, until it ends."""
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as data:
        figures = _measure(loop, Path(data))
        for _ in sys.stdin:
            print(await anext(figures), flush=True)


def main() -> None:
    """Measure, and print the figure."""
    command(Path(__file__), str(__doc__), lambda: print(f"{run(_best):.1f} µs a step"), lambda: run(_on_demand))


if __name__ == "__main__":
    main()
