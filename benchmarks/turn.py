"""The turn alone: inputs in, answers out, with the shipped service and a real store on a real file, but no network.

All dialogues take the same step together, which tells what each kind of screen costs. `--beside DIR` measures another
working tree in turns with this one and prints both. Under `valgrind --tool=callgrind` two runs of different `--rounds`
tell the instructions of a step, which no other work on the machine changes.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from itertools import count
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Literal

import uvloop

import ussd_server
from benchmarks.beside import beside
from benchmarks.paths import PATHS, Step
from menus.compiler import compile_flow
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.ussd import screen
from ussd_server.cli.process import COLLECT_AFTER, SWITCH_S
from ussd_server.metrics import Metrics
from ussd_server.operators.embedded import EmbeddedOperator, read_catalogue
from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Policy
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns.admission import Admission
from ussd_server.turns.conversation import Conversations
from ussd_server.turns.letters import Letters
from ussd_server.turns.operations import Queries
from ussd_server.turns.patience import Patience
from ussd_server.turns.resources import Limits, Resources
from ussd_server.turns.service import REGISTRY
from ussd_server.turns.turn import Tools

FLOWS = Path(ussd_server.__file__).with_name("flows.yaml")
FIRST_MSISDN = 79_100_000_000
NUMBERS = 20_000
"""Subscribers, round and round: more than the store keeps in memory, so each dialogue begins with a read."""
NOW = 1_258_362_000_000  # 16 November 2009, ms
ROUND_MS, DEADLINE_MS = 1_000, 60_000
WIDTH = 64
"""Dialogues that take a step together. The server's groups are about as large at W=256."""
WARM_UP = 2
"""Rounds that do not count: in them caches are filled and screens laid out."""
ROUNDS = 200
PATH = PATHS["tariffs"]


class WrongScreen(Exception):
    """An answer does not hold what it must: a fast wrong answer is no measurement."""


class Turns:
    """The turn and what it stands on, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.now = NOW
        self.store = SqliteStore(directory / "store.db")
        self.operator = EmbeddedOperator(directory / "operator.db", read_catalogue(), lambda: self.now)
        self._screen = screen(182, 80)
        ids = count(1)
        vault = Vault(Keyring().completed(NOW))
        resources = Resources(
            compile_flow(FLOWS.read_bytes(), str(FLOWS), REGISTRY, self._screen.fits),
            self.store,
            Tools(Queries(self.operator), Policy(), lambda: self.now, lambda: f"0123456789ab-{next(ids):x}"),
            Limits(DEADLINE_MS, Patience(replies_an_hour=20)),
            Admission(NUMBERS),
            Metrics(),
            digest=vault.digest,
            letters=Letters(vault),
            commit_work=self.store.commit_then,
            work_waits=lambda: None,
        )
        self.conversations = Conversations(resources)
        self._sequences = count(1)

    async def activate(self, numbers: int) -> None:
        """Give so many subscribers a record."""
        records = (Subscriber(str(FIRST_MSISDN + at), activated_at=NOW) for at in range(numbers))
        await asyncio.gather(*(self.store.commit(Change(0, record)) for record in records))

    async def rounds(self, numbers: int) -> AsyncIterator[list[float]]:
        """Take the path with the next subscribers, over and over; yield the CPU µs of each of its steps."""
        for at in count():
            self.now += ROUND_MS
            msisdns = [str(FIRST_MSISDN + (at * WIDTH + one) % numbers) for one in range(WIDTH)]
            took = []
            for number, step in enumerate(PATH):
                kind: Literal["dial", "reply"] = "reply" if number else "dial"
                inputs = [self._input(msisdn, kind, step, f"bench/{at}") for msisdn in msisdns]
                before = process_time()
                await self._answered(inputs, step)
                took.append((process_time() - before) / WIDTH * 1e6)
            if at >= WARM_UP:
                yield took

    def _input(self, msisdn: str, kind: Literal["dial", "reply"], step: Step, dialogue: str) -> Input:
        return Input(
            msisdn=msisdn,
            channel=self._screen,
            kind=kind,
            text=step.said,
            account="bench",
            dialogue=dialogue,
            link="bench#1",
            sequence=next(self._sequences),
            at=self.now,
        )

    async def _answered(self, inputs: list[Input], step: Step) -> None:
        """Take all of these inputs at once and return when the last of them has its answer, the right one."""
        missing = len(inputs)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answer(answer: Answer) -> None:
            nonlocal missing
            missing -= 1
            if step.shows not in (answer.text or "") and not done.done():
                done.set_exception(WrongScreen(f"{step.said!r}: expected {step.shows!r}, got {answer.text!r}"))
            elif not missing and not done.done():
                done.set_result(None)

        take = self.conversations.take
        for input in inputs:
            take(input, answer)
        await done

    async def close(self) -> None:
        """Let go of the files."""
        await self.store.close()
        await self.operator.close()


async def _with_turns(numbers: int, use: Callable[[AsyncIterator[list[float]]], Coroutine[None, None, None]]) -> None:
    """Set everything up as the server does, and let the rounds be used."""
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as data:
        turns = Turns(Path(data))
        await turns.activate(numbers)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        sys.setswitchinterval(SWITCH_S)
        await use(turns.rounds(numbers))
        await turns.close()


def measure_turn(number: int = ROUNDS, numbers: int = NUMBERS) -> Sequence[tuple[str, float]]:
    """Return what was said and what the turn took, µs of CPU time, for each step: the median of so many rounds."""
    by_step: list[Sequence[float]] = []

    async def use(rounds: AsyncIterator[list[float]]) -> None:
        by_step.extend(zip(*[await anext(rounds) for _ in range(number)], strict=True))

    uvloop.run(_with_turns(numbers, use))
    return [(step.said, median(figures)) for step, figures in zip(PATH, by_step, strict=True)]


async def _on_demand(rounds: AsyncIterator[list[float]]) -> None:
    """Print the mean step of a few rounds for each line of standard input, until it ends."""
    for _ in sys.stdin:
        print(mean([mean(await anext(rounds)) for _ in range(10)]), flush=True)


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, metavar="DIR", help="another working tree, measured in turns")
    parser.add_argument("--on-demand", action="store_true", help="print one figure for each line of standard input")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often the path is taken (%(default)s)")
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="subscribers, round and round (%(default)s)")
    options = parser.parse_args()
    if options.beside:
        beside(Path(__file__), options.beside)
    elif options.on_demand:
        uvloop.run(_with_turns(options.numbers, _on_demand))
    else:
        took = measure_turn(options.rounds, options.numbers)
        for said, us in took:
            print(f"{us:7.2f} µs  {said}")
        print(f"{mean(us for _, us in took):7.2f} µs a step")


if __name__ == "__main__":
    main()
