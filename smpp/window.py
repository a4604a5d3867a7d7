"""Requests of a link: so many are under way, by their sequence numbers; the others wait in line, urgent ones first."""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import msgspec

from smpp.constants import RESPONSE_BIT, CommandId
from smpp.events import Event, Expired, Lost
from smpp.pdu import Message, Packed, acknowledge_and_submit, encode, submit
from smpp.timers import Timers

LAST_SEQUENCE: Final = 0x7FFFFFFF
"""Sequence numbers go from 1 to this and then from 1 again (SMPP 3.4 §3.2)."""

_SUBMIT_SM_RESP: Final = int(CommandId.SUBMIT_SM_RESP)


class Submitted(Protocol):
    """Whatever a submit_sm is made of; it is the tag of that as well."""

    @property
    def body(self) -> bytes:
        """What follows the header."""


Request = TypeVar("Request", bound=Submitted)

Answered: TypeAlias = tuple[int, bytes, Any]
"""The number of a deliver_sm that was taken, the body of the submit_sm that answers it, and the tag of that."""


class Awaited(msgspec.Struct, frozen=True, gc=False):
    """A request on its way: what to tell whom when it is answered, by a PDU of `answer`, or not by `deadline`.

    The cycle collector need not know it: a link forgets its requests when it closes, whatever their tags refer to.
    """

    tag: Any
    answer: int
    deadline: int
    brief: bool = False
    """Whether it is told by its tag alone that the other side took it."""


class Window:
    """At most `most` requests under way and `queue` in line. What is written is put into `out`."""

    def __init__(self, most: int, queue: int, timers: Timers, out: list[bytes]) -> None:
        self._most = most
        self._longest = queue
        self._timers = timers
        self._out = out
        self.sequence = 0
        """The sequence number of the latest request."""
        # Response times are the same for all requests, so the first of the dict is the first to expire.
        self.pending: dict[int, Awaited] = {}
        """What is under way, by its sequence number."""
        self.urgent: deque[tuple[Any, bytes]] = deque()
        self._queue: deque[tuple[Any, bytes]] = deque()
        self._held_until = 0
        self.waits = False
        """Whether something waits or is held, or a link is to end with the last response: then `pump` is due whenever
        one comes."""

    @property
    def queued(self) -> int:
        """How many wait in line."""
        return len(self.urgent) + len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or in line."""
        return not self.pending and not self.queued

    def next_sequence(self) -> int:
        """Return the sequence number of a request that is no message, and needs no room."""
        sequence = self.sequence = self.sequence % LAST_SEQUENCE + 1
        return sequence

    def send(self, message: Message | Packed, tag: Any, now: int, urgent: bool) -> bool:
        """Send a message now, or when there is room; False where the line is full."""
        if self.waits or len(self.pending) >= self._most:
            return self._enqueue(message, tag, now, urgent)
        sequence = self.sequence % LAST_SEQUENCE + 1
        self._request(tag, sequence, encode(message, sequence), message.command, now, urgent)
        return True

    def answer(self, answers: Sequence[Answered], now: int) -> int:
        """Write each response with the submit_sm behind it, as far as there is room; return for how many there was."""
        room = self._most - len(self.pending) if not self.waits else 0
        if room <= 0:
            return 0
        pending, out, sequence = self.pending, self._out, self.sequence
        deadline = self._timers.awaited_until(now)
        for delivered, body, tag in answers[:room]:
            sequence = sequence % LAST_SEQUENCE + 1
            pending[sequence] = Awaited(tag, _SUBMIT_SM_RESP, deadline, True)
            out.append(acknowledge_and_submit(delivered, body, sequence))
        self.sequence = sequence
        return room

    def submit(self, requests: Sequence[Submitted], now: int, brief: bool) -> int:
        """Write submit_sms as far as there is room; return for how many there was."""
        room = self._most - len(self.pending) if not self.waits else 0
        if room <= 0 or not requests:
            return 0
        pending, out, sequence = self.pending, self._out, self.sequence
        deadline = self._timers.awaited_until(now)
        for one in requests[:room]:
            sequence = sequence % LAST_SEQUENCE + 1
            pending[sequence] = Awaited(one, _SUBMIT_SM_RESP, deadline, brief)
            out.append(submit(one.body, sequence))
        self.sequence = sequence
        return room

    def hold(self, until: int) -> None:
        """Let those in line that are not urgent wait until then; 0 for no longer."""
        self._held_until = until

    def release_due(self) -> int | None:
        """Return until when something is held."""
        return self._held_until if self._held_until and self._queue else None

    def pump(self, now: int) -> None:
        """Send what waits, as far as there is room."""
        if self._held_until and now >= self._held_until:
            self._held_until = 0
        while len(self.pending) < self._most:
            urgent = bool(self.urgent)
            if not urgent and (self._held_until or not self._queue):
                break
            tag, frame = (self.urgent if urgent else self._queue).popleft()
            sequence = self.sequence % LAST_SEQUENCE + 1
            command = int.from_bytes(frame[4:8], "big")
            self._request(tag, sequence, _with_sequence(frame, sequence), command, now, urgent)
        self.waits = bool(self.queued or self._held_until)

    def expiry(self) -> int | None:
        """Return when the first of those under way is given up."""
        for request in self.pending.values():
            return request.deadline
        return None

    def expire(self, now: int, events: list[Event]) -> None:
        """Give up what was not answered in time."""
        pending = self.pending
        while pending:
            sequence, request = next(iter(pending.items()))
            if request.deadline > now:
                break
            del pending[sequence]
            events.append(Expired(request.tag))

    def lose_queued(self, events: list[Event]) -> None:
        """Give up what waits in line."""
        events.extend(Lost(tag, False) for line in (self.urgent, self._queue) for tag, _ in line)
        self.urgent.clear()
        self._queue.clear()

    def lose_all(self, events: list[Event]) -> None:
        """Give up whatever is under way or waits."""
        events.extend(Lost(request.tag, True) for request in self.pending.values())
        self.pending.clear()
        self.lose_queued(events)

    def _enqueue(self, message: Message | Packed, tag: Any, now: int, urgent: bool) -> bool:
        """Let a message wait for its turn, if only until `pump` has looked."""
        if self.queued >= self._longest:
            return False
        (self.urgent if urgent else self._queue).append((tag, encode(message)))
        self.waits = True
        self._timers.sooner = True
        self.pump(now)
        return True

    def _request(self, tag: Any, sequence: int, frame: bytes, command: int, now: int, urgent: bool) -> None:
        """Write a request and wait for its answer."""
        self.sequence = sequence
        self.pending[sequence] = Awaited(tag, command | RESPONSE_BIT, self._timers.awaited_until(now), urgent)
        self._out.append(frame)


def _with_sequence(frame: bytes, sequence: int) -> bytes:
    return frame[:12] + sequence.to_bytes(4, "big") + frame[16:]
