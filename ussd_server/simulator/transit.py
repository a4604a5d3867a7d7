"""What lies between the network and a service: a link with a recording and faults, and a line that can be slow."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from smpp.constants import RESPONSE_BIT, CommandId
from smpp.events import Event
from smpp.framing import Framer
from smpp.link import Link, LinkSettings
from smpp.pdu import Message, Packed
from smpp.states import Role
from ussd_server.simulator.faults import Fault
from ussd_server.simulator.wire import Direction

SETTINGS = LinkSettings()

HELD_MS: Final = 2_000
"""How long `reorder` waits for more PDUs before it lets go of those that it has."""

_MESSAGES: Final = frozenset({CommandId.SUBMIT_SM, CommandId.DELIVER_SM, CommandId.DATA_SM})


class RecordedLink(Link):
    """The SMSC's side of a link; `record` is told each PDU as it comes and as it goes.

    While `silent()` nothing goes. `suffer` lets a fault happen to what goes.
    """

    def __init__(
        self,
        number: int,
        record: Callable[["RecordedLink", bytes, Direction], None],
        silent: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(Role.SMSC, SETTINGS)
        self.number = number
        self.system_id = ""
        self._record = record
        self._silent = silent
        self._incoming = Framer(SETTINGS.max_pdu)
        self._outgoing = Framer(SETTINGS.max_pdu)
        self._now = 0
        self._ready: list[bytes] = []
        self._swap = 0  # how many PDUs `reorder` is to turn around
        self._held: list[bytes] = []
        self._turn_at: int | None = None
        self._halving: Fault | None = None
        self._rest_at: int | None = None  # when the half that is missing follows, or the end
        self._behind: list[bytes] = []  # the half, and PDUs that come after it
        self._cut = False

    def receive(self, data: bytes, now: int) -> list[Event]:
        """As `Link.receive`."""
        self._now = now
        for frame in self._incoming.feed(data):
            self._record(self, frame, "from_service")
        return super().receive(data, now)

    def send(self, message: Message | Packed, tag: Any, now: int, *, urgent: bool = False) -> bool:
        """As `Link.send`."""
        self._now = now
        return super().send(message, tag, now, urgent=urgent)

    def take(self) -> bytes:
        """As `Link.take`."""
        for frame in self._outgoing.feed(super().take()):
            self._let_go(frame)
        data = b"".join(self._ready)
        self._ready.clear()
        return data

    def timer(self) -> int | None:
        """As `Link.timer`."""
        dues = (super().timer(), self._turn_at, self._rest_at)
        return None if self.closed else min((due for due in dues if due is not None), default=None)

    def tick(self, now: int) -> list[Event]:
        """As `Link.tick`."""
        self._now = now
        events: list[Event] = []
        if self._turn_at is not None and now >= self._turn_at:
            self._turn_around()
        if self._rest_at is not None and now >= self._rest_at:
            events = self._end_half(now)
        return events + super().tick(now)

    # Faults -------------------------------------------------------------------------------------------------------

    def suffer(self, fault: Fault) -> None:
        """Let `reorder`, `half` or `garbage` happen; what there is to write is to be taken afterwards."""
        if fault.kind == "reorder":
            self._swap = fault.messages
        elif fault.kind == "half":
            self._halving = fault
        else:
            octets = bytes.fromhex(fault.octets)
            self._record(self, octets, "to_service")
            self._ready.append(octets)

    def _let_go(self, frame: bytes) -> None:
        """Let a PDU go its way: out, away, or into what is held."""
        command = int.from_bytes(frame[4:8], "big")
        if self._silent():
            return
        if self._swap and command & ~RESPONSE_BIT in _MESSAGES:
            self._held.append(frame)
            self._turn_at = self._now + HELD_MS
            self.timers.sooner = True
            if len(self._held) >= self._swap:
                self._turn_around()
        else:
            self._put_out(frame, command)

    def _turn_around(self) -> None:
        """Let what was held go, the last one first."""
        held, self._held = self._held, []
        self._swap, self._turn_at = 0, None
        for frame in reversed(held):
            self._put_out(frame, int.from_bytes(frame[4:8], "big"))

    def _put_out(self, frame: bytes, command: int) -> None:
        if self._rest_at is not None:
            self._behind.append(frame)
            return
        if self._halving is not None and command & ~RESPONSE_BIT in _MESSAGES:
            self._begin_half(frame, self._halving)
            return
        self._record(self, frame, "to_service")
        self._ready.append(frame)

    def _begin_half(self, frame: bytes, fault: Fault) -> None:
        """Write the first half; what is left is for later, or for nobody."""
        half = len(frame) // 2
        self._ready.append(frame[:half])
        self._halving = None
        self._cut = not fault.for_ms
        self._rest_at = self._now + fault.for_ms
        self._behind = [frame[half:]]
        self.timers.sooner = True
        if not self._cut:
            self._record(self, frame, "to_service")

    def _end_half(self, now: int) -> list[Event]:
        """Write the other half and what waited behind it, or give the connection up."""
        self._rest_at = None
        behind, self._behind = self._behind, []
        if self._cut:
            return self.lost(now)
        rest, *frames = behind
        self._ready.append(rest)
        for frame in frames:
            self._put_out(frame, int.from_bytes(frame[4:8], "big"))
        return []


class Line:
    """One direction of a network: acts happen in their order, each `delay_ms` after it was passed on."""

    def __init__(self, delay_ms: int = 0) -> None:
        self.delay_ms = delay_ms
        self._held: deque[Callable[[], None]] = deque()
        self._handles: deque[asyncio.TimerHandle] = deque()
        self._last = 0.0

    def pass_on(self, act: Callable[[], None]) -> None:
        """Do it now, or after the delay and after all that is held already."""
        if self.delay_ms == 0 and not self._held:
            act()
            return
        loop = asyncio.get_running_loop()
        self._last = max(self._last, loop.time() + self.delay_ms / 1000)
        self._held.append(act)
        self._handles.append(loop.call_at(self._last, self._release))

    def close(self) -> None:
        """Drop what is held."""
        for handle in self._handles:
            handle.cancel()
        self._held.clear()
        self._handles.clear()

    def _release(self) -> None:
        # Timers of the same instant fire in any order; the queue keeps the acts in theirs. Every held act has a timer
        # of its own, so each firing releases exactly one.
        self._handles.popleft()
        self._held.popleft()()
