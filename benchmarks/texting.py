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
from benchmarks.wire import (
    DELIVER_SM,
    ENQUIRE_LINK,
    HEADER,
    MSISDN_DIGITS,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    pdu,
    read_message,
    sms_template,
)


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
        template, msisdn_at = sms_template(run.text, run.service)
        numbers = [str(FIRST_MSISDN + run.first + at).encode("ascii") for at in range(run.numbers)]
        by_number: dict[bytes, _Slot] = {}
        by_sequence: dict[int, _Slot] = {}
        known: set[bytes] = set()  # messages that were read and found right
        latencies = array("Q")
        cpu = os.times()
        began = perf_counter_ns()
        count_from = began + RAMP_NS
        stop_at = count_from + int(run.seconds * 1e9)
        started = ended = 0
        buffer, out, response = self._buffer, self._out, self._submit_response
        fresh: list[_Slot] = []

        def start(slot: _Slot) -> None:
            nonlocal started
            slot.msisdn = numbers[(run.skip + started) % len(numbers)]
            self._sequence = slot.sequence = self._sequence % 0x7FFFFFFF + 1
            slot.answered = False
            by_number[slot.msisdn] = by_sequence[slot.sequence] = slot
            pack_into(">I", template, 12, slot.sequence)
            template[msisdn_at : msisdn_at + MSISDN_DIGITS] = slot.msisdn
            out.extend(template)
            started += 1
            fresh.append(slot)

        def over(slot: _Slot, now: int) -> None:
            nonlocal ended
            ended += 1
            if now < stop_at:
                start(slot)

        for _ in range(run.width):
            start(_Slot())
        while by_number or by_sequence:
            now = perf_counter_ns()
            for slot in fresh:
                slot.sent = now
            fresh.clear()
            self._socket.sendall(out)
            out.clear()
            self._fill()
            now = perf_counter_ns()
            at, filled = 0, self._filled
            while filled - at >= 16:
                length, command, status, sequence = HEADER.unpack_from(buffer, at)
                if filled - at < length:
                    break
                if command == SUBMIT_SM:
                    pack_into(">I", response, 12, sequence)
                    out += response
                    slot = self._answer_of(bytes(self._view[at : at + length]), by_number, known, run.shows)
                    del by_number[slot.msisdn]
                    slot.answered = True
                    if count_from <= now < stop_at:
                        latencies.append(now - slot.sent)
                    if not slot.sequence:
                        over(slot, now)
                elif command == DELIVER_SM | RESPONSE:
                    if status:
                        raise Failed(f"deliver_sm_resp with status 0x{status:08X}")
                    slot = by_sequence.pop(sequence)
                    slot.sequence = 0
                    if slot.answered:
                        over(slot, now)
                elif command in (ENQUIRE_LINK, UNBIND):
                    out += pdu(command | RESPONSE, sequence)
                else:
                    raise Failed(f"unexpected command 0x{command:08X}, status 0x{status:08X}")
                at += length
            self._keep_from(at)
        self._socket.sendall(out)
        out.clear()
        if not latencies:
            raise Failed("nothing was counted: the run was too short")
        ordered = sorted(latencies)
        return Measured(
            width=run.width,
            exchanges=ended,
            rate=round(len(ordered) / run.seconds, 1),
            p50_ms=percentile_ms(ordered, 0.50),
            p99_ms=percentile_ms(ordered, 0.99),
            generator_us=cpu_us(cpu, ended),
        )

    def _answer_of(self, frame: bytes, by_number: dict[bytes, _Slot], known: set[bytes], shows: str) -> _Slot:
        """Return the exchange that this submit_sm answers; Failed where it is the wrong answer, or nobody's."""
        try:
            message = read_message(frame)
        except (IndexError, ValueError, StructError) as error:
            raise Failed(f"a submit_sm that cannot be read ({error}): {frame.hex(' ')}") from None
        slot = by_number.get(message.destination)
        if slot is None:
            raise Failed(f"an answer to {message.destination!r}, who has asked nothing: {message.text!r}")
        if message.message not in known:
            if shows not in message.text:
                raise Failed(f"expected {shows!r}, got {message.text!r}")
            known.add(message.message)
        return slot


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
