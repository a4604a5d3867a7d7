"""A bind that is kept: connected, bound, and tried again when it is lost, by us or at the SMSC's call."""

import asyncio
import ssl as tls
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from smpp.errors import BIND_HOPELESS, CloseReason
from smpp.events import BindRefused, Bound, Closed, Event, Outbound
from smpp.link import DEFAULTS, Link, LinkSettings
from smpp.pdu import DECODERS, Bind, Decoders, Message, Outbind, Packed
from smpp.states import Role
from smpp.transport import Connection, Listener, OnEvent, OnEvents, connect, listen, tell_each, wait_or_abort
from smpp.window import Request


class Retrying(msgspec.Struct, frozen=True):
    """A bind was lost or not to be had; the next try is in `delay_ms`. `loud`: it takes a person to mend it.

    `status` is the SMSC's where it refused the bind, else 0.
    """

    reason: str
    status: int
    delay_ms: int
    loud: bool


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait between tries, in milliseconds.

    Full jitter: any time up to a bound that doubles with every try, from `first_ms` to `most_ms`; a bind that held for
    `most_ms` starts afresh. After a refusal that only a person can mend: between half and all of `refused_ms`.
    """

    first_ms: int = 1_000
    most_ms: int = 60_000
    refused_ms: int = 300_000

    def delay_ms(self, tries: int, loud: bool, random: float) -> int:
        """Return the delay after so many tries in vain; `random` is in [0, 1)."""
        if loud:
            return int(self.refused_ms * (1 + random) / 2)
        return int(min(self.most_ms, self.first_ms * 2 ** min(tries - 1, 30)) * random)


DEFAULT_BACKOFF: Final = Backoff()


class Binding:
    """Keeps one bind alive: connects, binds, and when it is lost tries again after a while, until stopped.

    Events of each connection go to `on_event`; `on_events` and `on_read` are those of a connection, `decoders` are the
    links'. Answer a message on the connection that brought it. `on_retry` is told before
    each wait. `random` gives numbers in [0, 1).
    """

    def __init__(
        self,
        host: str,
        port: int,
        bind: Bind,
        on_event: OnEvent,
        on_retry: Callable[[Retrying], None],
        random: Callable[[], float],
        settings: LinkSettings = DEFAULTS,
        backoff: Backoff = DEFAULT_BACKOFF,
        ssl: tls.SSLContext | None = None,
        server_name: str | None = None,
        on_events: OnEvents = tell_each,
        on_read: Callable[[], None] | None = None,
        decoders: Decoders = DECODERS,
    ) -> None:
        self.connection: Connection | None = None
        self._host, self._port, self._ssl, self._server_name = host, port, ssl, server_name
        self._bind = bind
        self._on_event = on_event
        self._on_events = on_events
        self._on_read = on_read
        self._on_retry = on_retry
        self._random = random
        self._link = partial(Link, Role.ESME, settings, decoders)
        self._settings = settings
        self._backoff = backoff
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._reason = ""
        self._status = 0
        self._bound_at: float | None = None

    @property
    def bound(self) -> bool:
        """Whether messages may be sent now."""
        return self.connection is not None and self.connection.link.bound

    @property
    def load(self) -> int:
        """How many of our requests are under way or wait."""
        return 0 if self.connection is None else self.connection.link.in_flight + self.connection.link.queued

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def send(self, message: Message | Packed, tag: Any, *, urgent: bool = False) -> bool:
        """As `Link.send`, on the present connection; False where there is none."""
        return self.connection is not None and self.connection.send(message, tag, urgent=urgent)

    def submit(self, requests: Sequence[Request], brief: bool) -> list[Request]:
        """As `Link.submit`, on the present connection."""
        if self.connection is None:
            return list(requests)
        return self.connection.submit(requests, brief)

    async def stop(self, drain_ms: int = 5_000) -> None:
        """Take no more messages, wait up to `drain_ms` for those under way, unbind, close, and stay closed."""
        self._stopping = True
        connection = self.connection
        if connection is not None:
            connection.unbind(drain_ms)
            await wait_or_abort(connection, drain_ms)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep(self) -> None:
        tries = 0
        loop = asyncio.get_running_loop()
        while True:
            self._reason, self._status, self._bound_at = "", 0, None
            try:
                await self._hold_once()
            except (OSError, UnicodeError) as error:  # TimeoutError and SSL errors, too; and what is no host's name
                self._reason = _why(error)
            except Exception as error:  # else nobody would hear of it, and the bind be gone for good
                loop.call_exception_handler({"message": "a bind was not kept, it is tried again", "exception": error})
                self._reason = repr(error)
            if self._stopping:
                return
            held_ms = (loop.time() - self._bound_at) * 1000 if self._bound_at is not None else 0
            well = held_ms >= self._backoff.most_ms or self._reason == CloseReason.INACTIVE
            tries = 1 if well else tries + 1
            loud = self._status in BIND_HOPELESS
            delay_ms = self._backoff.delay_ms(tries, loud, self._random())
            self._on_retry(Retrying(self._reason, self._status, delay_ms, loud))
            await asyncio.sleep(delay_ms / 1000)

    async def _hold_once(self) -> None:
        """Connect, bind, and return when the connection is gone."""
        link = self._link()
        async with asyncio.timeout(self._settings.bind_ms / 1000):
            connection = await connect(self._host, self._port, link, self._note, self._ssl, self._server_name)
        try:
            self._bind_by(connection)
            await connection.wait_closed()
        finally:
            self.connection = None
            connection.close()

    def _bind_by(self, connection: Connection) -> None:
        self.connection = connection
        connection.on_events, connection.on_read = self._on_events, self._on_read
        connection.bind(self._bind)

    def _note(self, connection: Connection, event: Event) -> None:
        """Remember what the next try depends on, and pass the event on."""
        if type(event) in _TELLING_OF_A_BIND:
            self._remember(event)
        self._on_event(connection, event)

    def _remember(self, event: Event) -> None:
        if isinstance(event, Bound):
            self._bound_at = asyncio.get_running_loop().time()
        elif isinstance(event, BindRefused):
            self._status = event.status
        elif isinstance(event, Closed):
            self._reason = event.reason.value


_TELLING_OF_A_BIND: Final = frozenset({Bound, BindRefused, Closed})


class Awaited(Binding):
    """Keeps one bind alive whose connections the SMSC makes: listens at host and port, and binds where an outbind asks.

    `admit` says whether an outbind is the SMSC's: our bind tells whoever called the password. There is one connection
    at a time; another call is closed. What an SMSC does again, and when, is its own affair, so no delay is told.
    """

    def __init__(self, *arguments: Any, admit: Callable[[Outbind], bool], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._admit = admit
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """Where it listens, 0 while it does not."""
        return 0 if self._listener is None else self._listener.port

    async def _hold_once(self) -> None:
        """Listen until the task is cancelled. Raises `OSError` where the port is not to be had."""
        self._listener = await listen(self._host, self._port, self._link, self._called, self._ssl)
        self._tell(f"waits for the SMSC's call at {self._host}:{self.port}")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._listener.close()
            self._listener = None

    def _called(self, connection: Connection, event: Event) -> None:
        """Bind where that is asked, and pass on what comes by the connection that is bound."""
        if connection is self.connection:
            self._note(connection, event)
            if isinstance(event, Closed):
                self.connection = None
                if not self._stopping:
                    self._tell(f"{self._reason}; the SMSC is to call again")
        elif isinstance(event, Outbound):
            self._asked(connection, event.pdu)

    def _asked(self, connection: Connection, outbind: Outbind) -> None:
        if not self._admit(outbind):
            self._tell(f"an outbind from {connection.peer} with another name or password", loud=True)
            connection.close()
        elif self.connection is not None or self._stopping:
            connection.close()
        else:
            self._reason, self._status = "", 0
            self._bind_by(connection)

    def _tell(self, reason: str, *, loud: bool = False) -> None:
        loud = loud or self._status in BIND_HOPELESS
        self._on_retry(Retrying(reason, self._status, 0, loud))


def _why(error: OSError | UnicodeError) -> str:
    """Return why there is no connection, in words: without the number that the system has for it."""
    plain = error.strerror if isinstance(error, OSError) and not isinstance(error, tls.SSLError) else None
    return plain or str(error) or type(error).__name__
