"""What lies between the network and a service: a link whose PDUs are recorded, and a line that can be slow."""

import asyncio
from collections import deque
from collections.abc import Callable

from smpp.events import Event
from smpp.framing import Framer
from smpp.link import Link, LinkSettings, Role
from ussd_server.simulator.wire import Direction

SETTINGS = LinkSettings()


class RecordedLink(Link):
    """The SMSC's side of a link; `record` is told each PDU as it comes and as it goes."""

    def __init__(self, number: int, record: Callable[["RecordedLink", bytes, Direction], None]) -> None:
        super().__init__(Role.SMSC, SETTINGS)
        self.number = number
        self.system_id = ""
        self._record = record
        self._incoming = Framer(SETTINGS.max_pdu)
        self._outgoing = Framer(SETTINGS.max_pdu)

    def receive(self, data: bytes, now: int) -> list[Event]:
        """As `Link.receive`."""
        for frame in self._incoming.feed(data):
            self._record(self, frame, "from_service")
        return super().receive(data, now)

    def take(self) -> bytes:
        """As `Link.take`."""
        data = super().take()
        for frame in self._outgoing.feed(data):
            self._record(self, frame, "to_service")
        return data


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
