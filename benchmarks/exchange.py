"""An SMS exchange in this process: the whole server on a real store and file, between a transport without a network.

Each round brings one keyword from each of `WIDTH` subscribers in one piece; it is over when every keyword is
acknowledged, and every answer was sent and taken by the SMSC. After some rounds the outbox is waited for until it is
empty. `--beside DIR` measures another working tree in turns with this one and prints both.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from struct import pack_into, unpack_from
from time import process_time

from benchmarks.account import Loop, run, settle
from benchmarks.beside import command
from benchmarks.loadgen import FIRST_MSISDN
from benchmarks.wire import BINDS, DELIVER_SM, MSISDN_DIGITS, RESPONSE, SEQUENCE_AT, SUBMIT_SM, pdu, sms_template
from ussd_server.app import Server
from ussd_server.cli.process import SWITCH_S
from ussd_server.settings import load

WIDTH = 64
NUMBERS = 6_400
ROUNDS = 5
REPEATS = 60  # the best one counts: everything else on the machine can only make one slower
POLL_S = 0.001
"""How soon to look again for what was written, so that waiting for the disk is no work."""

KEYWORD, SERVICE = "balance", "111"


class Exchanges:
    """The SMSC's side of the pipe: keywords in, answers out, all of them counted."""

    def __init__(self, loop: Loop, server: Server) -> None:
        self._loop = loop
        self._server = server
        self._template, self._msisdn_at = sms_template(KEYWORD, SERVICE)
        self._sequence = self._number = 0

    async def bound(self) -> None:
        """Answer the server's bind."""
        await asyncio.sleep(0.01)
        self._loop.protocol.data_received(self._responses()[0])

    async def play(self) -> float:
        """Take one round from its beginning to its end, and return its CPU time (s)."""
        keywords = self._keywords()
        began = process_time()
        self._loop.protocol.data_received(keywords)
        acknowledged = answered = 0
        while acknowledged < WIDTH or answered < WIDTH:
            await asyncio.sleep(POLL_S)
            if self._loop.pipe.written:
                responses, acks, answers = self._responses()
                acknowledged, answered = acknowledged + acks, answered + answers
                if responses:
                    self._loop.protocol.data_received(responses)
        return process_time() - began

    async def rest(self) -> float:
        """Wait until the outbox is empty, and return the CPU time of that (s)."""
        began = process_time()
        while True:
            if not self._server.outbox.under_way:
                return process_time() - began
            await asyncio.sleep(POLL_S)

    def _keywords(self) -> bytes:
        template, at = self._template, self._msisdn_at
        out = bytearray()
        for _ in range(WIDTH):
            self._sequence += 1
            self._number = (self._number + 1) % NUMBERS
            pack_into(">I", template, SEQUENCE_AT, self._sequence)
            template[at : at + MSISDN_DIGITS] = str(FIRST_MSISDN + self._number).encode()
            out += template
        return bytes(out)

    def _responses(self) -> tuple[bytes, int, int]:
        """Return what the SMSC says to what was written, and how many inputs were acknowledged and answered there."""
        written, self._loop.pipe.written = b"".join(self._loop.pipe.written), []
        out, at, acknowledged, answered = [], 0, 0, 0
        while at < len(written):
            length, command, status, sequence = unpack_from(">IIII", written, at)
            at += length
            if command in BINDS:
                out.append(pdu(command | RESPONSE, sequence, b"bench\0"))
            elif command == SUBMIT_SM:
                out.append(pdu(command | RESPONSE, sequence, b"0\0"))
                answered += 1
            elif command == DELIVER_SM | RESPONSE and not status:
                acknowledged += 1
            else:
                raise AssertionError(f"unexpected command 0x{command:08X}, status {status}")
        return b"".join(out), acknowledged, answered


async def _measure(loop: Loop, directory: Path) -> AsyncGenerator[float, None]:
    """Yield what an exchange takes, µs of CPU time, all threads of the server, over and over."""
    smsc = "smpp://bench:bench@127.0.0.1:1?window=1000&receipts=0"
    server = Server(load({"data": directory, "smsc": [smsc], "sms_replies_per_hour": 1000}))
    await server.start()
    try:
        exchanges = Exchanges(loop, server)
        await exchanges.bound()
        settle()
        sys.setswitchinterval(SWITCH_S)
        for _ in range(NUMBERS // WIDTH):
            await exchanges.play()
        await exchanges.rest()
        while True:
            took = sum([await exchanges.play() for _ in range(ROUNDS)]) + await exchanges.rest()
            yield took / (ROUNDS * WIDTH) * 1e6
    finally:  # not the link: nobody is there who would take leave
        await server.outbox.stop(0)
        await server.store.close()


async def _best(loop: Loop) -> float:
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as directory:
        async with aclosing(_measure(loop, Path(directory))) as figures:
            return min([await anext(figures) for _ in range(REPEATS)])


async def _on_demand(loop: Loop) -> None:
    """Print one figure for each line of standard input, until it ends."""
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as directory:
        async with aclosing(_measure(loop, Path(directory))) as figures:
            for _ in sys.stdin:
                print(await anext(figures), flush=True)


def main() -> None:
    """Measure, and print the figure."""
    command(Path(__file__), str(__doc__), lambda: print(f"{run(_best):.2f} µs an exchange"), lambda: run(_on_demand))


if __name__ == "__main__":
    main()
