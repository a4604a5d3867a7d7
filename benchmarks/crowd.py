"""The load generator of a soak: dialogues begin when they begin, however the server fares, and their owners think.

As `benchmarks.loadgen`, an SMSC in a process of its own that obeys JSON lines, with one command more:
`{"phases": [[30, 500], [600, 2000]], "think_s": 1.0, ...}` offers so many new dialogues a second for so long, as a
Poisson process. It is answered by one line a minute of each phase, and by one when every dialogue has come to its end.

A dialogue is admitted where its first screen comes, and then must get all of its screens; or it is refused with the
polite text. A wrong screen, a second answer or an error ends everything; what had no answer is counted as lost.
"""

import heapq
import select
import socket
import sys
from array import array
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from random import Random
from struct import error as StructError
from struct import pack_into, unpack_from
from time import perf_counter_ns
from typing import Any

from benchmarks import loadgen
from benchmarks.loadgen import ANSWER_TIMEOUT_S, FIRST_MSISDN, Failed, Generator, Known, Slot, templates_of
from benchmarks.paths import END, PATHS, POLITE, Step
from benchmarks.wire import MSISDN_DIGITS, read_message

BUCKET_SHIFT = 17
BUCKETS = 1 << 17
"""Latencies are counted in buckets of 2^17 ns, 0.13 ms, up to 17 s: nothing is sorted while the load goes on."""

WAIT_S = 0.002
"""How long the generator sleeps at most: what is due is sent together so often."""


@dataclass(frozen=True)
class Offer:
    """One command: dialogues of `path`, so many new ones a second in each phase of (seconds, dialogues a second).

    Each uses a number of its own, of `numbers` from `first` on. Between a screen and the next input its owner thinks,
    half of `think_s` to one and a half of it. A line is written every `every_s`.
    """

    phases: Sequence[tuple[float, float]]
    path: str = "tariffs"
    first: int = 0
    numbers: int = 50_000
    think_s: float = 1.0
    every_s: float = 60.0
    seed: int = 1


@dataclass
class Minute:
    """What was seen in a part of a phase. Latencies are those of the admitted: from the write to the screen.

    `pause_ms` is the longest that this process itself did not come to its work: the machine was busy with others.
    """

    phase: int
    seconds: float = 0.0
    offered: int = 0
    admitted: int = 0
    shed: int = 0
    finished: int = 0
    steps: int = 0
    under_way: int = 0
    waiting: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    shed_p99_ms: float = 0.0
    pause_ms: float = 0.0
    served: "array[int]" = field(default_factory=lambda: array("I", bytes(4 * BUCKETS)))
    refused: "array[int]" = field(default_factory=lambda: array("I", bytes(4 * BUCKETS)))

    def as_json(self) -> dict[str, Any]:
        """Return what goes out on standard output."""
        self.p50_ms, self.p99_ms, self.max_ms = (share(self.served, part) for part in (0.5, 0.99, 1.0))
        self.shed_p99_ms = share(self.refused, 0.99)
        told = asdict(self)
        del told["served"], told["refused"]
        return told


def share(counts: "array[int]", part: float) -> float:
    """Return the latency that this part of the counted stayed within, ms; 0 where there are none."""
    wanted = max(1, int(sum(counts) * part))
    seen = 0
    for bucket, count in enumerate(counts):
        seen += count
        if count and seen >= wanted:
            return round(((bucket + 1) << BUCKET_SHIFT) / 1e6, 1)
    return 0.0


class Crowd(Generator):
    """One bound link, and a crowd of subscribers behind it."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._offering = False
        self._polite: Known | None = None
        self._refused = False

    def offer(self, offer: Offer) -> None:
        """Offer the load and write a line a minute; Failed says what went wrong."""
        self._socket.setblocking(False)
        self._offering = True
        try:
            _Offering(self, offer).run()
        finally:
            self._offering = False
            self._socket.setblocking(True)

    def _answered(self, at: int, length: int, path: Sequence[Step], known: list[Known | None]) -> Slot | None:
        """As for the generator, and say in `_refused` whether it was the polite text."""
        self._refused = False
        shape = self._polite
        if shape is not None and shape.length == length:
            place, message_at = at + shape.destination, at + shape.message_at
            slot = self._slots.get(bytes(self._buffer[place : place + MSISDN_DIGITS]))
            if (
                slot is not None
                and slot.step == 0
                and self._buffer[message_at : message_at + len(shape.message)] == shape.message
                and self._buffer[at + shape.op_at] == END
                and unpack_from(">H", self._buffer, at + shape.session_at)[0] >> 1 == slot.session >> 1
            ):
                self._refused = True
                return slot
        return super()._answered(at, length, path, known)

    def _read(self, frame: bytes, path: Sequence[Step], known: list[Known | None]) -> Slot | None:
        try:
            message = read_message(frame)
        except (IndexError, ValueError, StructError):
            return super()._read(frame, path, known)
        slot = self._slots.get(message.destination) if self._offering else None
        if slot is None or slot.step or message.op != END or POLITE not in message.text:
            return super()._read(frame, path, known)
        if message.session >> 1 != slot.session >> 1:
            raise Failed(f"{slot.msisdn.decode()} was refused in session {message.session:04X}, not {slot.session:04X}")
        self._polite = Known(frame, message)
        self._refused = True
        return slot


class _Offering:
    """One offer under way."""

    def __init__(self, crowd: Crowd, offer: Offer) -> None:
        self._crowd = crowd
        self._offer = offer
        self._path = path = PATHS[offer.path]
        self._templates = templates_of(path)
        self._known: list[Known | None] = [None] * len(path)
        self._random = Random(offer.seed)
        self._free = deque(str(FIRST_MSISDN + offer.first + at).encode("ascii") for at in range(offer.numbers))
        self._thinking: list[tuple[int, int, Slot]] = []
        self._order = 0
        self._out = bytearray()
        self._minute = Minute(0)
        self._came = perf_counter_ns()
        self._total = Minute(-1)

    def run(self) -> None:
        """Go through the phases, and wait for what is under way then."""
        began = end = perf_counter_ns()
        for phase, (seconds, rate) in enumerate(self._offer.phases):
            began, end = end, end + int(seconds * 1e9)
            self._phase(phase, began, end, rate)
        deadline = perf_counter_ns() + int((ANSWER_TIMEOUT_S + 2 * self._offer.think_s * len(self._path)) * 1e9)
        self._minute = Minute(len(self._offer.phases))
        while (self._crowd._slots or self._crowd._unacknowledged) and perf_counter_ns() < deadline:
            self._go_on(perf_counter_ns())
        self._close_minute(0.0)
        lost = len(self._crowd._slots)
        total = self._total
        loadgen.say(
            ended={
                "offered": total.offered,
                "admitted": total.admitted,
                "shed": total.shed,
                "finished": total.finished,
                "steps": total.steps,
                "lost": lost,
                "unacknowledged": self._crowd._unacknowledged,
            }
        )

    def _phase(self, phase: int, began: int, end: int, rate: float) -> None:
        """Offer new dialogues at this rate until the end, with a line a minute."""
        expovariate, each = self._random.expovariate, int(self._offer.every_s * 1e9)
        next_begin = began + int(expovariate(rate) * 1e9)
        opened, closes = began, min(end, began + each)
        self._minute = Minute(phase)
        while (now := perf_counter_ns()) < end:
            while next_begin <= now:
                self._begin(now)
                next_begin += int(expovariate(rate) * 1e9)
            self._go_on(now)
            if now >= closes and closes < end:
                self._close_minute((closes - opened) / 1e9)
                self._minute = Minute(phase)
                opened, closes = closes, min(end, closes + each)
        self._close_minute((end - opened) / 1e9)

    def _close_minute(self, seconds: float) -> None:
        minute, total, slots = self._minute, self._total, self._crowd._slots
        minute.seconds = seconds
        minute.under_way = len(slots)
        minute.waiting = sum(slot.sent > 0 for slot in slots.values())
        for name in ("offered", "admitted", "shed", "finished", "steps"):
            setattr(total, name, getattr(total, name) + getattr(minute, name))
        if seconds:
            loadgen.say(minute=minute.as_json())

    def _begin(self, now: int) -> None:
        if not self._free:
            raise Failed(f"all {self._offer.numbers} numbers are in a dialogue: more numbers, or less thinking")
        crowd, slot = self._crowd, Slot()
        slot.msisdn = self._free.popleft()
        crowd._session = crowd._session % 127 + 1
        slot.session = crowd._session << 8
        crowd._slots[slot.msisdn] = slot
        self._minute.offered += 1
        self._send(slot, 0, now)

    def _send(self, slot: Slot, step: int, now: int) -> None:
        crowd = self._crowd
        template, msisdn_at = self._templates[step]
        crowd._sequence = sequence = crowd._sequence % 0x7FFFFFFF + 1
        pack_into(">I", template, 12, sequence)
        template[msisdn_at : msisdn_at + MSISDN_DIGITS] = slot.msisdn
        pack_into(">H", template, len(template) - 2, slot.session)
        slot.step, slot.sent = step, now
        self._out += template
        crowd._unacknowledged += 1

    def _go_on(self, now: int) -> None:
        """Send what is due, and take what has come or comes soon."""
        thinking, out, connection = self._thinking, self._out, self._crowd._socket
        self._minute.pause_ms = max(self._minute.pause_ms, round((now - self._came) / 1e6, 1))
        self._came = now
        while thinking and thinking[0][0] <= now:
            _, _, slot = heapq.heappop(thinking)
            self._send(slot, slot.step + 1, now)
        if out:
            with suppress(BlockingIOError):  # the server takes nothing more for now; what waits here counts as sent
                del out[: connection.send(out)]
        readable, _, _ = select.select([connection], [connection] if out else [], [], WAIT_S)
        if readable:
            self._crowd._fill()
            read_at = perf_counter_ns()
            for at, length in self._crowd._take(out):
                answered = self._crowd._answered(at, length, self._path, self._known)
                if answered is not None:
                    self._screen(answered, read_at)

    def _screen(self, slot: Slot, now: int) -> None:
        """Note that a screen came, and go on."""
        minute = self._minute
        if not slot.sent:
            raise Failed(f"a second answer to step {slot.step + 1} of {slot.msisdn.decode()}")
        bucket = min(BUCKETS - 1, (now - slot.sent) >> BUCKET_SHIFT)
        slot.sent = 0
        if self._crowd._refused:
            minute.shed += 1
            minute.refused[bucket] += 1
            self._end(slot)
            return
        minute.served[bucket] += 1
        minute.steps += 1
        minute.admitted += slot.step == 0
        if slot.step == len(self._path) - 1:
            minute.finished += 1
            self._end(slot)
        else:
            self._order += 1
            due = now + int(self._offer.think_s * (0.5 + self._random.random()) * 1e9)
            heapq.heappush(self._thinking, (due, self._order, slot))

    def _end(self, slot: Slot) -> None:
        del self._crowd._slots[slot.msisdn]
        self._free.append(slot.msisdn)


def _obey(crowd: Crowd, command: dict[str, Any]) -> dict[str, Any] | None:
    if "phases" not in command:
        return loadgen.obey(crowd, command)
    crowd.offer(Offer(**command))
    return None


if __name__ == "__main__":
    sys.exit(loadgen.main(__doc__, Crowd, _obey))
