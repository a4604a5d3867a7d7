"""The binds of one account: kept alive, which of them are bound now, and which has the least to do."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from hmac import compare_digest
from itertools import count
from typing import Final

import msgspec
import structlog

from smpp.binding import Awaited, Binding, Retrying
from smpp.constants import CommandId, status_name
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, Decoders, Message, Outbind, Packed, Password
from smpp.transport import Connection, OnEvent, OnEvents
from ussd_server.metrics import Metrics
from ussd_server.smsc_url import SmscUrl

log = structlog.get_logger()

NO_LINK: Final = "no bound link takes it"
"""Why a message was not sent where none of the binds can."""


class BoundLink(msgspec.Struct, gc=False):
    """A connection that is bound, its name in inputs, and the subscribers who were answered by or for it in vain.

    The gateway has not accepted the last USSD answer to them (yet), or their turn is still under way.
    """

    connection: Connection
    name: str
    unaccepted: set[str]


class Binds:
    """The binds of one account.

    What comes by them goes to `on_event`, `on_events` and `on_read`, as those of a `Connection`; `opened` and `closed`
    are to be told of their `Bound` and `Closed`. Links are named `boot` and a number.
    """

    def __init__(
        self,
        url: SmscUrl,
        metrics: Metrics,
        *,
        boot: str,
        random: Callable[[], float],
        tls: ssl.SSLContext | None,
        decoders: Decoders,
        on_event: OnEvent,
        on_events: OnEvents,
        on_read: Callable[[], None],
    ) -> None:
        self.links: dict[Connection, BoundLink] = {}
        """What is bound now."""
        self._account = str(url)
        self._metrics = metrics
        self._boot = boot
        self._numbers = count(1)
        self._unbound_because: dict[str, str] = {}
        self._bindings: dict[str, Binding] = {}
        self._senders: list[Binding] = []
        self._receivers: list[Binding] = []
        for label, command in _labels(url):
            binding = self._bindings[label] = _binding_of(url)(
                url.host,
                url.port,
                _bind(url, command),
                on_event,
                partial(self._on_retry, label),
                random,
                _link_settings(url),
                ssl=tls,
                server_name=url.check_name,
                on_events=on_events,
                on_read=on_read,
                decoders=decoders,
            )
            if command != CommandId.BIND_RECEIVER:
                self._senders.append(binding)
            if command != CommandId.BIND_TRANSMITTER:
                self._receivers.append(binding)
        self._count()

    @property
    def bound(self) -> bool:
        """Whether messages flow both ways: something is bound that sends, and something that receives."""
        return any(one.bound for one in self._senders) and any(one.bound for one in self._receivers)

    @property
    def unbound_because(self) -> str:
        """Why a bind is missing, for `/readyz`; "" where none is, or its first try is under way."""
        causes = self._unbound_because
        if len(self._bindings) == 1:
            return next(iter(causes.values()), "")
        return "; ".join(f"{label}: {cause}" for label, cause in sorted(causes.items()))

    def start(self) -> None:
        """Begin to connect."""
        for binding in self._bindings.values():
            binding.start()

    async def stop(self, drain_ms: int) -> None:
        """Wait for the responses under way, unbind and close."""
        await asyncio.gather(*(binding.stop(drain_ms) for binding in self._bindings.values()))

    def opened(self, connection: Connection) -> None:
        """Note that a connection is bound."""
        self.links[connection] = BoundLink(connection, f"{self._boot}{next(self._numbers)}", set())
        self._count()
        label = self._label(connection)
        self._unbound_because.pop(label, None)
        log.info("bound", smsc=self._account, bind=label)

    def closed(self, connection: Connection, reason: str) -> None:
        """Note that a connection is gone, whether it was bound or not."""
        self.links.pop(connection, None)
        self._count()
        log.info("link closed", smsc=self._account, bind=self._label(connection), cause=reason)

    # What sends -------------------------------------------------------------------------------------------------------

    def senders(self) -> list[Binding]:
        """Return the binds by which messages may be sent now."""
        return [one for one in self._senders if one.bound]

    def sending(self) -> list[Link]:
        """Return the links of all connections that send, also of those that are not bound yet."""
        return [one.connection.link for one in self._senders if one.connection is not None]

    def send(self, message: Message | Packed, tag: object, *, urgent: bool = False) -> bool:
        """Send by the bind that has the least to do; False where none takes it."""
        senders = self.senders()
        return bool(senders) and min(senders, key=_load).send(message, tag, urgent=urgent)

    def hold(self, delay_ms: int) -> None:
        """Let what waits for a window wait for so long."""
        for binding in self._senders:
            if binding.connection is not None:
                binding.connection.hold(delay_ms)

    # ------------------------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        self._metrics.links[self._account] = self.bound
        self._metrics.binds[self._account] = sum(binding.bound for binding in self._bindings.values())

    def _label(self, connection: Connection) -> str:
        return next((label for label, binding in self._bindings.items() if binding.connection is connection), "")

    def _on_retry(self, label: str, retrying: Retrying) -> None:
        say = log.error if retrying.loud else log.warning
        cause = f"{retrying.reason}: {status_name(retrying.status)}" if retrying.status else retrying.reason
        self._unbound_because[label] = cause
        delay_s = round(retrying.delay_ms / 1000, 1)
        say("not bound", smsc=self._account, bind=label, cause=cause, next_try_seconds=delay_s)


_KINDS: Final = {
    "trx": (CommandId.BIND_TRANSCEIVER,),
    "txrx": (CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER),
}


def _labels(url: SmscUrl) -> Iterator[tuple[str, CommandId]]:
    """Yield a name for the log, such as `receiver 2`, and the command of every bind."""
    for number in range(1, url.binds + 1):
        for command in _KINDS[url.bind]:
            kind = command.name.removeprefix("BIND_").lower()
            yield (f"{kind} {number}" if url.binds > 1 else kind), command


def _binding_of(url: SmscUrl) -> Callable[..., Binding]:
    """Return what makes a bind: one that calls the SMSC, or one that waits for its call."""
    password = url.outbind_password
    if password is None:
        return Binding

    def admit(outbind: Outbind) -> bool:
        named = not url.outbind_id or compare_digest(outbind.system_id.encode(), url.outbind_id.encode())
        return compare_digest(outbind.password.reveal().encode(), password.reveal().encode()) and named

    return partial(Awaited, admit=admit)


def _bind(url: SmscUrl, command: CommandId) -> Bind:
    return Bind(
        command,
        system_id=url.system_id,
        password=Password(url.password.reveal()),
        system_type=url.system_type,
        addr_ton=url.address_ton,
        addr_npi=url.address_npi,
        address_range=url.address_range,
    )


def _link_settings(url: SmscUrl) -> LinkSettings:
    return LinkSettings(
        window=url.window,
        enquire_ms=round(url.enquire_s * 1000),
        response_ms=round(url.response_s * 1000),
        bind_ms=round(url.bind_s * 1000),
        inactivity_ms=round(url.inactivity_s * 1000),
    )


def _load(binding: Binding) -> int:
    return binding.load
