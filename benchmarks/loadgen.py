"""The load generator: an SMSC in a process of its own, with W dialogues always under way over one real connection.

It listens on a loopback port that the system chooses, lets one ESME bind, and takes one JSON command a line on standard
input: `{"path": "tariffs", "width": 64, "seconds": 5, "first": 0, "numbers": 20000}`. Each is answered by one JSON line
with what was measured, or by `{"error": ...}` and exit 1: a wrong, missing or late screen ends everything.

It must be several times faster than what it measures, so it is one blocking loop around one socket: what it sends are
templates patched in place, and an answer that looks as it did before is compared, not parsed.
"""

import argparse
import json
import os
import select
import socket
import sys
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from struct import error as StructError
from struct import pack, pack_into, unpack_from
from time import perf_counter_ns
from typing import Any, TypeVar

from benchmarks.paths import PATHS, SHORT_CODE, Step
from benchmarks.wire import (
    ANSWER,
    BEGIN,
    BINDS,
    DELIVER_SM,
    ENQUIRE_LINK,
    HEADER,
    MSISDN_DIGITS,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    Message,
    deliver_template,
    pdu,
    read_message,
)

FIRST_MSISDN = 79100000000
BUFFER = 1 << 20
ANSWER_TIMEOUT_S = 10
"""A step without an answer for so long has failed; a gateway's own timer would have ended the dialogue."""

BIND_TIMEOUT_S = 30
RAMP_NS = 300_000_000
"""The start of a timed run that does not count, while the dialogues spread over the path."""

TICK_NS = 2_000_000
"""With a pace, inputs are sent together so often: one at a time would cost the generator more than the server."""

MAX_WIDTH = 4096


G = TypeVar("G", bound="Generator")


class Failed(Exception):
    """The run is worth nothing: the text says which step went wrong and how."""


@dataclass(frozen=True)
class Run:
    """One command: dialogues of `path` for so many `numbers`, every `spread`-th from `first` on, round and round.

    It stops by itself after `seconds` or `dialogues`, whichever comes first, when what is under way has ended. With a
    `pace` it sends at most so many inputs a second, as evenly as it can: a load that is offered, not the most there is.
    """

    path: str
    width: int
    first: int = 0
    numbers: int = 20_000
    seconds: float = 0.0
    dialogues: int = 0
    pace: float = 0.0
    spread: int = 1


@dataclass(frozen=True)
class Measured:
    """What a run gave. `steps` are all answered; rate and latencies are of the counted part of the run alone."""

    path: str
    width: int
    steps: int
    counted: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    generator_us: float
    """CPU time of this process a step, µs: how near the generator itself is to its limit."""
    octets: float
    """What went over the connection both ways, a step."""

    def as_json(self) -> dict[str, Any]:
        """Return what goes out on standard output."""
        return asdict(self)


class Known:
    """What an answer to a step looked like the first time, to compare the next ones with."""

    __slots__ = ("destination", "length", "message", "message_at", "op_at", "session_at")

    def __init__(self, frame: bytes, message: Message) -> None:
        self.length = len(frame)
        self.destination = message.destination_at
        self.message = message.message
        self.message_at = message.message_at
        self.op_at = message.op_at
        self.session_at = message.session_at


class Slot:
    """One dialogue under way."""

    __slots__ = ("msisdn", "sent", "session", "step")

    def __init__(self) -> None:
        self.msisdn = b""
        self.session = 0
        self.step = 0
        self.sent = 0


class Generator:
    """One bound link, and the dialogues on it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._filled = self._taken = 0
        self._octets = 0
        self._sequence = 0
        self._session = 0
        self._slots: dict[bytes, Slot] = {}
        self._unacknowledged = 0
        self._out = bytearray()
        self._submit_response = bytearray(pdu(SUBMIT_SM | RESPONSE, 0, b"0\0"))

    # The link ---------------------------------------------------------------------------------------------------

    def bind(self) -> None:
        """Answer the ESME's bind; Failed where it sends something else or nothing."""
        deadline = perf_counter_ns() + BIND_TIMEOUT_S * 1_000_000_000
        while perf_counter_ns() < deadline:
            for command, _, sequence, _ in self._receive(BIND_TIMEOUT_S):
                if command not in BINDS:
                    raise Failed(f"expected a bind, got command 0x{command:08X}")
                self._socket.sendall(pdu(command | RESPONSE, sequence, b"bench\0"))
                return
        raise Failed("no bind")

    def idle(self) -> None:
        """Answer what comes between runs: enquire_link, and SMS that are still on their way."""
        for command, _, sequence, frame in self._receive(0):
            if command == SUBMIT_SM:
                self._socket.sendall(pdu(SUBMIT_SM | RESPONSE, sequence, b"0\0"))
            elif command in (ENQUIRE_LINK, UNBIND):
                self._socket.sendall(pdu(command | RESPONSE, sequence))
            elif not command & RESPONSE:
                raise Failed(f"unexpected command 0x{command:08X}: {frame.hex(' ')}")

    def quiet(self, seconds: float) -> int:
        """Answer what comes until nothing has come for so long; returns how many reads it took."""
        count = 0
        while select.select([self._socket], [], [], seconds)[0]:
            self.idle()
            count += 1
        return count

    def _receive(self, timeout_s: float) -> list[tuple[int, int, int, bytes]]:
        """Return the whole PDUs of one read as command, status, sequence and octets."""
        if timeout_s and not select.select([self._socket], [], [], timeout_s)[0]:
            raise Failed(f"the server sent nothing for {timeout_s} s")
        self._fill()
        found, at = [], 0
        while self._filled - at >= 16:
            length, command, status, sequence = HEADER.unpack_from(self._buffer, at)
            if self._filled - at < length:
                break
            found.append((command, status, sequence, bytes(self._view[at : at + length])))
            at += length
        self._taken = at
        return found

    def _fill(self) -> None:
        self._forget_taken()
        try:
            count = self._socket.recv_into(self._view[self._filled :])
            # Who writes an answer in two pieces (Kannel does) must not wait for our acknowledgement of the first.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except BlockingIOError:
            slot = min(self._slots.values(), key=lambda slot: slot.sent, default=None)
            waiting = f"; oldest: {slot.msisdn.decode()} at step {slot.step + 1}" if slot else ""
            raise Failed(f"{len(self._slots)} steps had no answer for {ANSWER_TIMEOUT_S} s{waiting}") from None
        if not count:
            raise Failed("the server closed the connection")
        self._filled += count
        self._octets += count

    def _forget_taken(self) -> None:
        taken, left = self._taken, self._filled - self._taken
        if taken and left:
            self._buffer[:left] = self._buffer[taken : self._filled]
        self._filled, self._taken = left, 0

    # A run ------------------------------------------------------------------------------------------------------

    def run(self, run: Run) -> Measured:
        """Do one run; Failed says what went wrong."""
        return _Running(self, run).go()

    def _take(self, out: bytearray, responded: Callable[[int], None] | None = None) -> list[tuple[int, int]]:
        """Return where each submit_sm is that was read, and how long; good until more is read.

        What each whole PDU is to be answered with is written into `out`; `responded` hears the sequence number of each
        deliver_sm_resp.
        """
        found = []
        buffer, response = self._buffer, self._submit_response
        at, filled = 0, self._filled
        while filled - at >= 16:
            length, command, status, sequence = HEADER.unpack_from(buffer, at)
            if filled - at < length:
                break
            if command == SUBMIT_SM:
                pack_into(">I", response, 12, sequence)
                out += response
                found.append((at, length))
            elif command == DELIVER_SM | RESPONSE:
                if status:
                    raise Failed(f"deliver_sm_resp with status 0x{status:08X}")
                self._unacknowledged -= 1
                if responded:
                    responded(sequence)
            elif command in (ENQUIRE_LINK, UNBIND):
                out += pdu(command | RESPONSE, sequence)
            else:
                raise Failed(f"unexpected command 0x{command:08X}, status 0x{status:08X}")
            at += length
        self._taken = at
        return found

    def _answered(self, at: int, length: int, path: Sequence[Step], known: list[Known | None]) -> Slot | None:
        """Return the dialogue that this submit_sm answers, None for an SMS; Failed where it is the wrong answer."""
        buffer = self._buffer
        for shape in known:  # a shape fits where all places agree; the number then says which dialogue it is
            if shape is None or shape.length != length:
                continue
            place = at + shape.destination
            slot = self._slots.get(bytes(buffer[place : place + MSISDN_DIGITS]))
            if slot is None or known[slot.step] is not shape:
                continue
            message_at = at + shape.message_at
            if (
                buffer[message_at : message_at + len(shape.message)] == shape.message
                and buffer[at + shape.op_at] == path[slot.step].op
                and unpack_from(">H", buffer, at + shape.session_at)[0] >> 1 == slot.session >> 1
            ):
                return slot
        return self._read(bytes(self._view[at : at + length]), path, known)

    def _read(self, frame: bytes, path: Sequence[Step], known: list[Known | None]) -> Slot | None:
        """Read an answer in full, check it, and remember how it looked."""
        try:
            message = read_message(frame)
        except (IndexError, ValueError, StructError) as error:
            raise Failed(f"a submit_sm that cannot be read ({error}): {frame.hex(' ')}") from None
        if message.op < 0:
            return None
        slot = self._slots.get(message.destination)
        if slot is None:
            raise Failed(f"an answer to {message.destination!r}, who has asked nothing: {message.text!r}")
        step = path[slot.step]
        where = f"step {slot.step + 1} ({step.said!r}) of {slot.msisdn.decode()}"
        if step.shows not in message.text or message.op != step.op:
            raise Failed(
                f"{where}: expected op 0x{step.op:02X} and {step.shows!r}, "
                f"got op 0x{message.op:02X} and {message.text!r}"
            )
        if message.session >> 1 != slot.session >> 1:
            raise Failed(f"{where}: session {message.session:04X} for {slot.session:04X}")
        known[slot.step] = Known(frame, message)
        return slot


class _Running:
    """One run under way: its dialogues go round and round over the path, and what they took is noted."""

    def __init__(self, generator: Generator, run: Run) -> None:
        self._generator = generator
        self._run = run
        self._path = path = PATHS[run.path]
        self._templates = templates_of(path)
        self._numbers = [str(FIRST_MSISDN + run.first + at * run.spread).encode("ascii") for at in range(run.numbers)]
        self._known: list[Known | None] = [None] * len(path)
        self._slots, self._out = generator._slots, generator._out
        self._fresh: list[Slot] = []  # in `out`, and not sent yet
        self._paced = bool(run.pace)
        self._waiting: deque[tuple[Slot, int]] = deque()  # with a pace: whose turn it is next, and with which step
        self._most = run.dialogues or 1 << 62
        self._started = self._steps = self._sent = 0
        self._latencies = array("Q")
        self._cpu, self._octets = os.times(), generator._octets
        self._began = self._last = perf_counter_ns()
        self._count_from = self._began + RAMP_NS if run.seconds else self._began
        self._stop_at = self._count_from + int(run.seconds * 1e9) if run.seconds else 1 << 62

    def go(self) -> Measured:
        """Begin, and go on until nothing is under way; Failed says what went wrong."""
        generator, out, waiting = self._generator, self._out, self._waiting
        for _ in range(min(self._run.width, self._most, len(self._numbers))):
            if self._paced:
                waiting.append((Slot(), 0))
            else:
                self._send(Slot(), 0)
        while True:
            if waiting:
                self._send_due()
            self._write()
            if not self._slots and not generator._unacknowledged and not waiting:
                break
            if waiting and not self._readable():
                continue
            generator._fill()
            now = perf_counter_ns()
            self._screens(generator._take(out), now)
        return self._measured()

    def _screens(self, found: Sequence[tuple[int, int]], now: int) -> None:
        """Note how long the answers took that have come, and go on with their dialogues or with others."""
        answered, path, known, send = self._generator._answered, self._path, self._known, self._send
        counts = self._count_from <= now < self._stop_at
        for at, length in found:
            slot = answered(at, length, path, known)
            if slot is None:
                continue
            if counts:
                self._latencies.append(now - slot.sent)
                self._last = now
            self._steps += 1
            step = slot.step + 1
            if step == len(path):
                del self._slots[slot.msisdn]
                if self._started >= self._most or now >= self._stop_at:
                    continue
                step = 0
            if self._paced:
                self._waiting.append((slot, step))
            else:
                send(slot, step)

    def _send(self, slot: Slot, step: int) -> None:
        """Let this input go with the next write, which also says when it was sent."""
        generator = self._generator
        if not step:
            self._start(slot)
        template, msisdn_at = self._templates[step]
        generator._sequence = sequence = generator._sequence % 0x7FFFFFFF + 1
        pack_into(">I", template, 12, sequence)
        template[msisdn_at : msisdn_at + MSISDN_DIGITS] = slot.msisdn
        pack_into(">H", template, len(template) - 2, slot.session)
        slot.step = step
        slot.sent = 0
        self._out += template
        generator._unacknowledged += 1
        self._fresh.append(slot)

    def _start(self, slot: Slot) -> None:
        """Let the next number begin a dialogue."""
        generator = self._generator
        slot.msisdn = self._numbers[self._started % len(self._numbers)]
        generator._session = generator._session % 127 + 1
        slot.session = generator._session << 8
        self._slots[slot.msisdn] = slot
        self._started += 1

    def _send_due(self) -> None:
        """With a pace: send those whose turn has come, and at the end all that are in a dialogue."""
        now, waiting = perf_counter_ns(), self._waiting
        while waiting and (now >= self._stop_at or self._sent < (now - self._began) / 1e9 * self._run.pace):
            slot, step = waiting.popleft()
            if step or now < self._stop_at:
                self._send(slot, step)
                self._sent += 1

    def _write(self) -> None:
        now, out = perf_counter_ns(), self._out
        for slot in self._fresh:
            slot.sent = now
        self._fresh.clear()
        self._generator._socket.sendall(out)
        self._generator._octets += len(out)
        out.clear()

    def _readable(self) -> bool:
        """Wait until something comes or the next inputs are to be sent; False where nothing has come."""
        due = self._began + self._sent / self._run.pace * 1e9 + TICK_NS
        wait_s = max(0.0, (due - perf_counter_ns()) / 1e9)
        return bool(select.select([self._generator._socket], [], [], wait_s)[0])

    def _measured(self) -> Measured:
        run, steps, counted = self._run, self._steps, len(self._latencies)
        seconds = run.seconds or (self._last - self._began) / 1e9
        ordered = sorted(self._latencies)
        if not ordered:
            raise Failed("nothing was counted: the run was too short")
        return Measured(
            path=run.path,
            width=run.width,
            steps=steps,
            counted=counted,
            seconds=round(seconds, 3),
            rate=round(counted / seconds, 1) if seconds else 0.0,
            p50_ms=percentile_ms(ordered, 0.50),
            p99_ms=percentile_ms(ordered, 0.99),
            max_ms=percentile_ms(ordered, 1.0),
            generator_us=cpu_us(self._cpu, steps),
            octets=round((self._generator._octets - self._octets) / steps, 1),
        )


def templates_of(path: Sequence[Step]) -> list[tuple[bytearray, int]]:
    """Return the deliver_sm of each step, and where its MSISDN goes."""
    return [deliver_template(ANSWER if at else BEGIN, step.said, SHORT_CODE) for at, step in enumerate(path)]


def percentile_ms(ordered: Sequence[int], part: float) -> float:
    """Return the latency below which this part of them is, in ms; `ordered` is in ns and not empty."""
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))] / 1e6, 3)


def cpu_us(since: os.times_result, steps: int) -> float:
    """Return the CPU time of this process for each of so many steps, µs."""
    now = os.times()
    return round((now.user + now.system - since.user - since.system) / steps * 1e6, 1)


def say(**what: Any) -> None:
    """Write one JSON line to standard output."""
    print(json.dumps(what, ensure_ascii=False), flush=True)


def _run(command: dict[str, Any]) -> Run:
    run = Run(**command)
    if run.path not in PATHS:
        raise Failed(f"unknown path {run.path!r}; known are {', '.join(PATHS)}")
    if not 1 <= run.width <= MAX_WIDTH or run.numbers < run.width or not (run.seconds or run.dialogues):
        raise Failed(f"a run needs 1 to {MAX_WIDTH} dialogues, at least as many numbers, and an end: {run}")
    return run


def obey(generator: Generator, command: dict[str, Any]) -> dict[str, Any]:
    """Do what one command asks."""
    if "quiet_s" in command:
        return {"quiet": generator.quiet(command["quiet_s"])}
    return generator.run(_run(command)).as_json()


def serve(make: Callable[[socket.socket], G], obey: Callable[[G, dict[str, Any]], dict[str, Any] | None]) -> None:
    """Listen, let one ESME bind, and do what standard input asks until it ends.

    `make` makes what obeys; where `obey` returns None it has answered by itself.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(port=listener.getsockname()[1])
        listener.settimeout(BIND_TIMEOUT_S)
        connection, _ = listener.accept()
    with connection:
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pack("ll", ANSWER_TIMEOUT_S, 0))
        generator = make(connection)
        generator.bind()
        say(bound=True)
        while True:
            for ready in select.select([connection, sys.stdin], [], [])[0]:
                if ready is connection:
                    generator.idle()
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                answer = obey(generator, json.loads(line))
                if answer is not None:
                    say(**answer)


def main(
    about: str | None, make: Callable[[socket.socket], G], obey: Callable[[G, dict[str, Any]], dict[str, Any] | None]
) -> int:
    """Serve; exit 1 with `{"error": ...}` on standard output where a run failed."""
    argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        serve(make, obey)
    except (Failed, OSError, TypeError, ValueError) as error:
        say(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(__doc__, Generator, obey))
