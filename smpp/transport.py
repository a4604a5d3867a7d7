"""A link on an asyncio connection: plain callbacks, no task a PDU, one write for what one piece of input brings."""

import asyncio
import ssl as tls
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, TypeAlias, cast

from smpp.events import Event
from smpp.link import Link
from smpp.pdu import Bind, Delivery, Message, Packed, Tlvs
from smpp.window import Answered, Request

LINGER_SECONDS: Final = 2
"""How long a closed link may take to get its last octets out, and its peer to take note."""

SLICE_OCTETS: Final = 4_096
"""A flood is answered by so much at a time: the other side takes the first answers while we make the next."""


class Connection(asyncio.Protocol):
    """A link and its socket. Methods are plain calls, to be made in the event loop's thread.

    Every event goes to `on_event(connection, event)`; `Closed` is the last. Who has much to do takes all that comes at
    once in `on_events`, and has `tell` for what is not its own. What is sent while they are told is written together
    after that; what is sent at another time, together at the next turn of the loop. While the other side does not take
    what we write, we do not read, so neither side's haste fills our memory.
    """

    def __init__(self, link: Link, on_event: "OnEvent", alive: set["Connection"] | None = None) -> None:
        self.link = link
        self.peer = ""
        self.read_at = 0.0
        """When the octets that are being handled were read, seconds of `time.monotonic`."""
        self.on_events: OnEvents = tell_each
        """Takes what one piece of input brought, in its order. More may be added to the list meanwhile."""
        self.on_read: Callable[[], None] | None = None
        """Called when everything that was read at once has been told."""
        self._on_event = on_event
        self._alive = alive if alive is not None else set()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()
        self._telling: list[Event] | None = None  # the events that the owner is being told
        self._answers: list[Answered] = []
        """What is answered and not given to the link yet."""
        self._paused = False
        self._shutting = False
        self._flush_waits = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._resting: asyncio.TimerHandle | None = None

    # The owner's side -------------------------------------------------------------------------------------------

    def send(self, message: Message | Packed, tag: Any, *, urgent: bool = False) -> bool:
        """As `Link.send`."""
        taken = self.link.send(message, tag, int(self._loop.time() * 1000), urgent=urgent)
        if not self._flush_waits:
            self._flush_soon()
        return taken

    def respond(self, pdu: Delivery, status: int = 0, message_id: str = "", tlvs: Tlvs | None = None) -> bool:
        """As `Link.respond`."""
        written = self.link.respond(pdu, status, message_id, tlvs)
        if not self._flush_waits:
            self._flush_soon()
        return written

    def answer(self, delivered: int, body: bytes, tag: Any) -> bool:
        """As `Link.answer`, with all that is answered before the next write; False where the link has closed."""
        if self.link.closed:
            return False
        self._answers.append((delivered, body, tag))
        if not self._flush_waits:
            self._flush_soon()
        return True

    def submit(self, requests: Sequence[Request], brief: bool) -> list[Request]:
        """As `Link.submit`."""
        self._answer()
        left = self.link.submit(requests, self._now(), brief)
        if not self._flush_waits:
            self._flush_soon()
        return left

    def hold(self, delay_ms: int) -> None:
        """As `Link.hold`, for this long from now."""
        now = self._now()
        self.link.hold(now + delay_ms, now)
        self._flush_soon()

    def bind(self, pdu: Bind) -> None:
        """As `Link.bind`."""
        self.link.bind(pdu, self._now())
        self._flush_soon()

    def accept(self, pdu: Bind, system_id: str) -> None:
        """As `Link.accept`."""
        self._tell(self.link.accept(pdu, system_id, self._now()))
        self._flush_soon()

    def refuse(self, pdu: Bind, status: int) -> None:
        """As `Link.refuse`."""
        self._tell(self.link.refuse(pdu, status, self._now()))
        self._flush_soon()

    def unbind(self, drain_ms: int = 0) -> None:
        """As `Link.unbind`."""
        self._answer()
        self._tell(self.link.unbind(self._now(), drain_ms))
        self._flush_soon()

    def flush(self) -> None:
        """Write soon what the link has by then."""
        self._flush_soon()

    def rest(self, delay_ms: int) -> None:
        """Read nothing for this long, so that what the other side writes is held up in the network."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.pause_reading()
        if self._resting is not None:
            self._resting.cancel()
        self._resting = self._loop.call_later(delay_ms / 1000, self._end_rest)

    def close(self) -> None:
        """Close at once, without an unbind."""
        if self._transport is not None:
            self._transport.abort()

    def tell(self, event: Event) -> None:
        """Tell the owner of an event by itself."""
        try:
            self._on_event(self, event)
        except Exception as broken:
            self.report(event, broken)

    def report(self, event: object, broken: Exception) -> None:
        """Report that an event was not handled: it must not take down the link that all subscribers share."""
        context = {"message": f"handler of {type(event).__name__} failed", "exception": broken, "protocol": self}
        self._loop.call_exception_handler(context)

    async def wait_closed(self) -> None:
        """Return when the connection is gone and its last event was told."""
        await self._gone.wait()

    # The event loop's side --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the link."""
        self._transport = cast(asyncio.Transport, transport)
        self._alive.add(self)  # only now: one whose TLS handshake fails is never made, nor lost
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else ""
        self.link.connected(self._now())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Feed the link, tell what happened, write what came of it."""
        now = int(self._loop.time() * 1000)
        self.read_at = monotonic()
        self._flush_waits = True  # what is sent meanwhile is written here
        self._answer()
        for at in range(0, len(data), SLICE_OCTETS):
            events = self.link.receive(data[at : at + SLICE_OCTETS], now)
            if events:
                self._tell(events)
            self._flush()
        if self.on_read is not None:
            self.on_read()
            self._flush()
        self._flush_waits = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the link settle its accounts."""
        for handle in (self._timer, self._resting):
            if handle is not None:
                handle.cancel()
        self._timer = self._resting = self._transport = None
        self._answer()
        self._tell(self.link.lost(self._now()))
        self._alive.discard(self)
        self._gone.set()

    def pause_writing(self) -> None:
        """Stop both ways: what we read would only make us write more."""
        self._paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on both ways."""
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            if self._resting is None:
                self._transport.resume_reading()
            self._flush()

    def _end_rest(self) -> None:
        self._resting = None
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _now(self) -> int:
        return int(self._loop.time() * 1000)

    def _tell(self, events: list[Event]) -> None:
        """Tell events in their order, also those that the owner brings about while it is told."""
        if self._telling is not None:
            self._telling.extend(events)
            return
        self._telling = events
        try:
            self.on_events(self, events)
        finally:
            self._telling = None

    def _flush_soon(self) -> None:
        """Write at the end of the read that is being handled, or else of the loop's turn."""
        if not self._flush_waits and self._transport is not None:
            self._flush_waits = True
            self._loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._flush_waits = False
        self._flush()

    def _answer(self) -> None:
        """Give the link the answers: before a write, and before whatever could close it."""
        if self._answers:
            answers, self._answers = self._answers, []
            lost = self.link.answer(answers, self._now())
            if lost:
                self._tell(lost)

    def _flush(self) -> None:
        self._answer()
        transport = self._transport
        if transport is None or self._shutting:
            return
        link = self.link
        closed = link.closed
        if not self._paused or closed:
            data = link.take()
            if data:
                transport.write(data)
        if closed:
            self._shutting = True
            transport.close()
            self._wake_at(self._now() + LINGER_SECONDS * 1000)
        elif link.timers.sooner:
            self._schedule()

    def _schedule(self) -> None:
        """Have the timer run no later than the link wants. One that runs too early does no harm, so it is left."""
        due = self.link.timer()
        if due is not None and (self._timer is None or due < self._timer_due):
            self._wake_at(due)

    def _wake_at(self, due: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at((due + 1) / 1000, self._on_timer)

    def _on_timer(self) -> None:
        if self._shutting:
            self._timer = None
            self.close()
        else:
            # What has arrived is read first: where the process stood still, an answer may lie there whose time is over
            # by the clock alone. Two turns of the loop, because some loops run timers before they look for input.
            self._loop.call_soon(self._loop.call_soon, self._on_due)

    def _on_due(self) -> None:
        if self._transport is None or self._shutting:
            return
        self._timer = None
        self._answer()
        self._tell(self.link.tick(self._now()))
        self._flush()


def tell_each(connection: Connection, events: list[Event]) -> None:
    """Tell the owner of every event by itself."""
    for event in events:
        connection.tell(event)


OnEvent: TypeAlias = Callable[[Connection, Event], None]
OnEvents: TypeAlias = Callable[[Connection, list[Event]], None]


async def connect(
    host: str,
    port: int,
    link: Link,
    on_event: OnEvent,
    ssl: tls.SSLContext | None = None,
    server_name: str | None = None,
) -> Connection:
    """Connect to an SMSC; the bind is the caller's next step. Raises `OSError` where there is no connection.

    `server_name` is whom the certificate must be for, where that is not the host.
    """
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(link, on_event), host, port, ssl=ssl, server_hostname=server_name
    )
    return connection


class Listener:
    """An SMSC's open port and its connections."""

    def __init__(self, make_link: Callable[[], Link], on_event: OnEvent) -> None:
        self.port = 0
        self.connections: set[Connection] = set()
        self._make_link = make_link
        self._on_event = on_event
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int, ssl: tls.SSLContext | None) -> None:
        """Open the port."""
        self._server = await asyncio.get_running_loop().create_server(self._make, host, port, ssl=ssl)
        self.port = self._server.sockets[0].getsockname()[1]

    def _make(self) -> Connection:
        return Connection(self._make_link(), self._on_event, self.connections)

    async def close(self, drain_ms: int = 0) -> None:
        """Stop listening, unbind every connection, and return when all are gone."""
        if self._server is not None:
            self._server.close()
        open_connections = list(self.connections)
        for connection in open_connections:
            connection.unbind(drain_ms)
        for connection in open_connections:
            await wait_or_abort(connection, drain_ms)


async def listen(
    host: str, port: int, make_link: Callable[[], Link], on_event: OnEvent, ssl: tls.SSLContext | None = None
) -> Listener:
    """Open a port for ESMEs to connect to; for port 0 `Listener.port` says which one it is."""
    listener = Listener(make_link, on_event)
    await listener.open(host, port, ssl)
    return listener


async def wait_or_abort(connection: Connection, drain_ms: int) -> None:
    """Wait for a connection that was asked to unbind, but not for ever."""
    try:
        async with asyncio.timeout(drain_ms / 1000 + LINGER_SECONDS):
            await connection.wait_closed()
    except TimeoutError:
        connection.close()
        await connection.wait_closed()
