"""The load generator for SMS: W exchanges always under way on one bind, each a keyword sent and its answer awaited.

It is driven as `benchmarks.loadgen` is, whose link and paths it has; `{"text": "balance", "shows": "...", "width": 64,
"seconds": 5, "numbers": 20000}` asks for exchanges. One is over when the `deliver_sm` has its response and the
answering `submit_sm` is there, in whichever order: some take the message first and answer later, some do both at once.
"""

import os
import sys
from array import array
from dataclasses import asdict, dataclass
from struct import error as StructError
from struct import pack_into
from time import perf_counter_ns
from typing import Any

from benchmarks.loadgen import FIRST_MSISDN, MAX_WIDTH, RAMP_NS, Failed, Generator, cpu_us, main, percentile_ms
from benchmarks.loadgen import obey as obey_loadgen
from benchmarks.wire import MSISDN_DIGITS, read_message, sms_template


@dataclass(frozen=True)
class Exchanges:
    """One command: SMS with `text` to `service` from numbers `first` to `first + numbers - 1`, round and round.

    It begins with the number after the `skip` first ones, so that the next run can go on where this one ended. Each
    answer must hold the words `shows`. It stops after `seconds`, when what is under way has ended.
    """

    text: str
    shows: str
    width: int
    seconds: float
    service: str = "111"
    first: int = 0
    numbers: int = 20_000
    skip: int = 0


@dataclass(frozen=True)
class Measured:
    """What a run gave. `exchanges` are all that ended; rate and latencies are of the counted part alone."""

    width: int
    exchanges: int
    rate: float
    p50_ms: float
    p99_ms: float
    generator_us: float


class _Slot:
    """One exchange under way: `sequence` of its deliver_sm, 0 once that has its response; whether the answer came."""

    __slots__ = ("answered", "msisdn", "sent", "sequence")

    def __init__(self) -> None:
        self.msisdn = b""
        self.sequence = 0
        self.answered = False
        self.sent = 0


class SmsGenerator(Generator):
    """One bound link, and the exchanges on it."""

    def exchange(self, run: Exchanges) -> Measured:
        """Do one run; Failed says what went wrong."""
        return _Exchanging(self, run).go()


class _Exchanging:
    """One run under way."""

    def __init__(self, generator: SmsGenerator, run: Exchanges) -> None:
        self._generator = generator
        self._run = run
        self._template, self._msisdn_at = sms_template(run.text, run.service)
        self._numbers = [str(FIRST_MSISDN + run.first + at).encode("ascii") for at in range(run.numbers)]
        self._by_number: dict[bytes, _Slot] = {}
        self._by_sequence: dict[int, _Slot] = {}
        self._known: set[bytes] = set()  # messages that were read and found right
        self._out = generator._out
        self._fresh: list[_Slot] = []  # in `out`, and not sent yet
        self._started = self._ended = 0
        self._latencies = array("Q")
        self._cpu = os.times()
        self._now = perf_counter_ns()
        self._count_from = self._now + RAMP_NS
        self._stop_at = self._count_from + int(run.seconds * 1e9)

    def go(self) -> Measured:
        """Begin, and go on until nothing is under way; Failed says what went wrong."""
        generator = self._generator
        for _ in range(self._run.width):
            self._start(_Slot())
        while self._by_number or self._by_sequence:
            self._write()
            generator._fill()
            self._now = perf_counter_ns()
            for at, length in generator._take(self._out, self._responded):
                self._answer(bytes(generator._view[at : at + length]))
        self._write()
        return self._measured()

    def _start(self, slot: _Slot) -> None:
        generator, template = self._generator, self._template
        slot.msisdn = self._numbers[(self._run.skip + self._started) % len(self._numbers)]
        generator._sequence = slot.sequence = generator._sequence % 0x7FFFFFFF + 1
        generator._unacknowledged += 1
        slot.answered = False
        self._by_number[slot.msisdn] = self._by_sequence[slot.sequence] = slot
        pack_into(">I", template, 12, slot.sequence)
        template[self._msisdn_at : self._msisdn_at + MSISDN_DIGITS] = slot.msisdn
        self._out += template
        self._started += 1
        self._fresh.append(slot)

    def _write(self) -> None:
        now = perf_counter_ns()
        for slot in self._fresh:
            slot.sent = now
        self._fresh.clear()
        self._generator._socket.sendall(self._out)
        self._out.clear()

    def _answer(self, frame: bytes) -> None:
        """Note how long an answer took."""
        slot, now = self._answer_of(frame), self._now
        del self._by_number[slot.msisdn]
        slot.answered = True
        if self._count_from <= now < self._stop_at:
            self._latencies.append(now - slot.sent)
        if not slot.sequence:
            self._over(slot)

    def _responded(self, sequence: int) -> None:
        slot = self._by_sequence.pop(sequence)
        slot.sequence = 0
        if slot.answered:
            self._over(slot)

    def _over(self, slot: _Slot) -> None:
        self._ended += 1
        if self._now < self._stop_at:
            self._start(slot)

    def _answer_of(self, frame: bytes) -> _Slot:
        """Return the exchange that this submit_sm answers; Failed where it is the wrong answer, or nobody's."""
        try:
            message = read_message(frame)
        except (IndexError, ValueError, StructError) as error:
            raise Failed(f"a submit_sm that cannot be read ({error}): {frame.hex(' ')}") from None
        slot = self._by_number.get(message.destination)
        if slot is None:
            raise Failed(f"an answer to {message.destination!r}, who has asked nothing: {message.text!r}")
        if message.message not in self._known:
            if self._run.shows not in message.text:
                raise Failed(f"expected {self._run.shows!r}, got {message.text!r}")
            self._known.add(message.message)
        return slot

    def _measured(self) -> Measured:
        if not self._latencies:
            raise Failed("nothing was counted: the run was too short")
        ordered = sorted(self._latencies)
        return Measured(
            width=self._run.width,
            exchanges=self._ended,
            rate=round(len(ordered) / self._run.seconds, 1),
            p50_ms=percentile_ms(ordered, 0.50),
            p99_ms=percentile_ms(ordered, 0.99),
            generator_us=cpu_us(self._cpu, self._ended),
        )


def obey(generator: SmsGenerator, command: dict[str, Any]) -> dict[str, Any]:
    """Do what one command asks."""
    if "text" not in command:
        return obey_loadgen(generator, command)
    run = Exchanges(**command)
    if not 1 <= run.width <= min(MAX_WIDTH, run.numbers) or run.seconds <= 0:
        raise Failed(f"a run needs 1 to {MAX_WIDTH} exchanges, at least as many numbers, and a time: {run}")
    return asdict(generator.exchange(run))


if __name__ == "__main__":
    sys.exit(main(__doc__, SmsGenerator, obey))
