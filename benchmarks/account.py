"""The wire alone, in this process: octets of an SMSC in, inputs out of the account; answers in, octets out.

The account is the real one, with its link, windows, timers and metrics. In place of the socket stands a transport that
keeps what is written, in place of the conversations something that answers every input with the same screen after all
that came in one piece was read, which is how turns that wait for one commit answer. What the SMSC says is made outside
the measured time. `--beside DIR` measures another working tree in turns with this one and prints both.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from pathlib import Path
from random import Random
from struct import pack_into, unpack_from
from time import process_time
from typing import Any, TypeVar, cast

import structlog
import uvloop

from benchmarks.beside import command
from benchmarks.loadgen import FIRST_MSISDN
from benchmarks.paths import FIXED_TEXT, SHORT_CODE
from benchmarks.wire import (
    ANSWER,
    BEGIN,
    BINDS,
    DELIVER_SM,
    MSISDN_DIGITS,
    RESPONSE,
    SEQUENCE_AT,
    SUBMIT_SM,
    deliver_template,
    pdu,
)
from ussd_server.channels.account import Account
from ussd_server.channels.base import Answer, Answering, Input
from ussd_server.channels.ussd import screen
from ussd_server.cli.process import COLLECT_AFTER
from ussd_server.metrics import Metrics
from ussd_server.smsc_url import SmscUrl

WIDTH = 64
ROUNDS = 60
REPEATS = 9  # the best one counts, as in micro.py
NOW = 1_258_362_000_000  # 16 November 2009, ms
HEADER = 16
Result = TypeVar("Result")
SAID = ((BEGIN, "*111#"), (ANSWER, "2"), (ANSWER, "1"), (ANSWER, "0"), (ANSWER, "00"), (ANSWER, "4"))


class Pipe(asyncio.Transport):
    """A transport without a network: what is written stays here until somebody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._came = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep the octets of one write."""
        self.written.append(bytes(data))
        self._came.set()

    async def next_write(self) -> bytes:
        """Wait until something is written, and return all that was since the last call."""
        while not self.written:
            self._came.clear()
            await self._came.wait()
        return written(self)

    def is_closing(self) -> bool:
        """Never: it lasts as long as the measurement."""
        return False

    def abort(self) -> None:
        """Nothing is open."""


class Loop(uvloop.Loop):
    """An event loop in which every connection is a `Pipe`; the last one made is `pipe`, with its `protocol`."""

    pipe: Pipe
    protocol: asyncio.Protocol

    async def create_connection(  # type: ignore[override]
        self, factory: Callable[[], asyncio.Protocol], *_: Any, **__: Any
    ) -> Any:
        """Make the protocol and tell it that it is connected."""
        self.pipe, self.protocol = Pipe(), factory()
        self.protocol.connection_made(self.pipe)
        return self.pipe, self.protocol


class Conversations:
    """Keeps inputs until `answer_all`, and then shows everybody the same."""

    def __init__(self) -> None:
        self.taken: list[Answering] = []

    def take(self, input: Input, answer: Answering) -> None:
        """Keep who waits for an answer."""
        self.taken.append(answer)

    async def all_taken(self) -> None:
        """Return when every dialogue's input is here: of a flood some are handed in at each turn of the loop."""
        for _ in range(WIDTH):
            if len(self.taken) < WIDTH:
                await asyncio.sleep(0)

    def answer_all(self) -> int:
        """Answer every input, and return how many there were."""
        taken, self.taken = self.taken, []
        shown = Answer(FIXED_TEXT, ends=False)
        for answer in taken:
            answer(shown)
        return len(taken)


class Smsc:
    """What the other side says: the inputs of `WIDTH` dialogues, and the responses to our submits."""

    def __init__(self, sequence: int = 0) -> None:
        self._templates = [deliver_template(op, text, SHORT_CODE) for op, text in SAID]
        self._sequence = sequence

    def inputs(self, round_: int, width: int = WIDTH) -> bytes:
        """Return the next step of so many dialogues; each has a session and a number of its own."""
        template, msisdn_at = self._templates[round_ % len(SAID)]
        out = bytearray()
        for dialogue in range(width):
            self._sequence += 1
            session = round_ // len(SAID) * width + dialogue
            pack_into(">I", template, SEQUENCE_AT, self._sequence)
            template[msisdn_at : msisdn_at + MSISDN_DIGITS] = str(FIRST_MSISDN + session % 20_000).encode()
            pack_into(">H", template, len(template) - 2, session % 256 << 8 | round_ % len(SAID) << 1)
            out += template
        return bytes(out)

    def responses(self, written: bytes) -> bytes:
        """Return the responses to a bind and to submits; the other PDUs are responses to us."""
        out, at = b"", 0
        while at < len(written):
            length, command, _, sequence = unpack_from(">IIII", written, at)
            at += length
            if command in BINDS:
                out += pdu(command | RESPONSE, sequence, b"bench\0")
            elif command == SUBMIT_SM:
                out += pdu(command | RESPONSE, sequence, b"0\0")
            elif command != DELIVER_SM | RESPONSE:
                raise AssertionError(f"unexpected command 0x{command:08X}")
        return out


def account(conversations: Any, now: Callable[[], int] = lambda: NOW) -> Account:
    """Return the account that the server would have for a URL such as the benchmark's."""
    return Account(
        SmscUrl.parse("smpp://bench:bench@127.0.0.1:2775?window=1000"),
        conversations,
        screen(182, 80),
        Metrics(),
        country="7",
        now=now,
        random=Random(1).random,
        boot="bench.",
        on_bound=lambda: None,
        deliveries=cast(Any, None),  # no receipt comes
        sms_told=lambda sms, outcome: None,
    )


async def bind(loop: Loop, account: Account, smsc: Smsc) -> None:
    """Have an account bound to the SMSC."""
    account.start()
    for _ in range(100):
        await asyncio.sleep(0)
    loop.protocol.data_received(smsc.responses(written(loop.pipe)))
    assert account.bound


async def _measure(loop: Loop) -> AsyncIterator[float]:
    """Yield what a step takes, µs of CPU time, over and over."""
    conversations, smsc = Conversations(), Smsc()
    await bind(loop, account(conversations), smsc)
    settle()
    responses = b""
    for first in count(0, ROUNDS):
        took = 0.0
        for round_ in range(first, first + ROUNDS):
            piece = responses + smsc.inputs(round_)
            began = process_time()
            loop.protocol.data_received(piece)
            await conversations.all_taken()
            answered = conversations.answer_all()
            await asyncio.sleep(0)  # what was sent is written at the end of the loop's turn
            took += process_time() - began
            responses = smsc.responses(written(loop.pipe))
            if answered != WIDTH or len(responses) != WIDTH * (HEADER + 2):
                raise AssertionError(f"{answered} of {WIDTH} inputs came through, or their answers did not")
        yield took / (ROUNDS * WIDTH) * 1e6


def written(pipe: Pipe) -> bytes:
    """Return what was written since the last call."""
    pieces, pipe.written = pipe.written, []
    return b"".join(pieces)


def settle() -> None:
    """Collect garbage as the server does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def measure_account() -> float:
    """Return the CPU time of a step, µs: the best of the rounds, for everything else can only make one slower."""

    async def best(loop: Loop) -> float:
        figures = _measure(loop)
        return min([await anext(figures) for _ in range(REPEATS)])

    return run(best)


def run(measure: Callable[[Loop], Coroutine[Any, Any, Result]]) -> Result:
    """Measure on a loop whose connections are pipes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(measure(cast(Loop, runner.get_loop())))


async def _on_demand(loop: Loop) -> None:
    """Print one figure for each line of standard input, until it ends."""
    figures = _measure(loop)
    for _ in sys.stdin:
        print(await anext(figures), flush=True)


def main() -> None:
    """Measure, and print the figure."""
    command(Path(__file__), str(__doc__), lambda: print(f"{measure_account():.2f} µs a step"), lambda: run(_on_demand))


if __name__ == "__main__":
    main()
