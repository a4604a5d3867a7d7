"""A link on an asyncio connection: plain callbacks, no task a PDU, one write for whatever one input brought about."""

import ssl as tls
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from smpp.events import Event
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, Message, Tlvs


class Connection:
    """A link and its socket. All methods are plain calls; outcomes come as events to the callback."""

    link: Link
    peer: str

    def send(self, message: Message, tag: Any, *, urgent: bool = False) -> bool:
        """As `Link.send`."""
        raise NotImplementedError

    def respond(self, pdu: Message, status: int = 0, message_id: str = "", tlvs: Tlvs | None = None) -> bool:
        """As `Link.respond`."""
        raise NotImplementedError

    def bind(self, pdu: Bind) -> None:
        """As `Link.bind`."""
        raise NotImplementedError

    def accept(self, pdu: Bind, system_id: str) -> None:
        """As `Link.accept`."""
        raise NotImplementedError

    def refuse(self, pdu: Bind, status: int) -> None:
        """As `Link.refuse`."""
        raise NotImplementedError

    def unbind(self, drain_ms: int = 0) -> None:
        """As `Link.unbind`."""
        raise NotImplementedError

    def close(self) -> None:
        """Close at once, without an unbind."""
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Return when the connection is gone and its last event was told."""
        raise NotImplementedError


OnEvent: TypeAlias = Callable[[Connection, Event], None]


class Listener:
    """An SMSC's open port and its connections."""

    port: int
    connections: set[Connection]

    async def close(self, drain_ms: int = 0) -> None:
        """Stop listening, unbind every connection and wait until all are closed."""
        raise NotImplementedError


async def listen(
    host: str, port: int, make_link: Callable[[], Link], on_event: OnEvent, ssl: tls.SSLContext | None = None
) -> Listener:
    """Open a port (0: any free one, see `Listener.port`) for ESMEs to connect to."""
    raise NotImplementedError


async def connect(host: str, port: int, link: Link, on_event: OnEvent, ssl: tls.SSLContext | None = None) -> Connection:
    """Connect to an SMSC; the bind is the caller's next step. Raises `OSError` where there is no connection."""
    raise NotImplementedError


class Retrying(msgspec.Struct, frozen=True):
    """A bind was lost or not to be had; the next try is in `delay_ms`. `loud`: nobody but a person can mend it."""

    reason: str
    status: int
    delay_ms: int
    loud: bool


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait between tries, milliseconds; full jitter: any time up to the bound, which doubles each try."""

    first_ms: int = 1_000
    most_ms: int = 60_000
    refused_ms: int = 300_000


class Binding:
    """Keeps one bind alive: connects, binds, and on loss tries again with back-off until stopped."""

    def __init__(
        self,
        host: str,
        port: int,
        bind: Bind,
        on_event: OnEvent,
        on_retry: Callable[[Retrying], None],
        random: Callable[[], float],
        settings: LinkSettings = LinkSettings(),
        backoff: Backoff = Backoff(),
        ssl: tls.SSLContext | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def bound(self) -> bool:
        """Whether messages may be sent now."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to connect."""
        raise NotImplementedError

    def send(self, message: Message, tag: Any, *, urgent: bool = False) -> bool:
        """As `Link.send`, on the present connection; False where there is none."""
        raise NotImplementedError

    async def stop(self, drain_ms: int = 5_000) -> None:
        """Take no more messages, wait for the responses under way, unbind, close, and stay closed."""
        raise NotImplementedError
