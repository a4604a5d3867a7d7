"""One operator connection: its parts, put together, and what its links tell, given to the part that it is for."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import structlog

from menus.render import Channel
from smpp.constants import CommandId
from smpp.dialect import Dialect
from smpp.events import Bound, Closed, Delivered, Event, Expired, Ignored, Lost, Nacked, Responded
from smpp.inputs import Heard, Inputs, Texted
from smpp.pdu import DECODERS, MessageResp
from smpp.transport import Connection
from ussd_server.channels.binds import NO_LINK, Binds
from ussd_server.channels.incoming import Incoming
from ussd_server.channels.intake import Intake
from ussd_server.channels.outgoing import Outgoing, Sms, SmsPart, UssdPush
from ussd_server.channels.receipts import Receipts
from ussd_server.channels.sms import SmsTold
from ussd_server.channels.sms_inputs import SmsInputs
from ussd_server.channels.throttling import Throttling
from ussd_server.channels.ussd import PushOutcome
from ussd_server.channels.ussd_steps import UssdStep, UssdSteps
from ussd_server.dialects.files import load
from ussd_server.metrics import Metrics
from ussd_server.outbox.deliveries import Deliveries
from ussd_server.smsc_url import SmscUrl
from ussd_server.turns.admission import Backlog
from ussd_server.turns.conversation import Conversations

log = structlog.get_logger()

_DELIVERED: Final = frozenset({Heard, Texted, Delivered})


class Account:
    """One operator connection: its binds, and what is special about this operator."""

    def __init__(
        self,
        url: SmscUrl,
        conversations: Conversations,
        screen: Channel,
        metrics: Metrics,
        *,
        country: str,
        now: Callable[[], int],
        random: Callable[[], float],
        boot: str,
        on_bound: Callable[[], None],
        deliveries: Deliveries,
        sms_told: SmsTold,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name = str(url)
        self.screen = screen
        self.backlog = backlog = Backlog()
        """The screens that wait for this operator's window."""
        self._dialect = dialect = _dialect(url)
        """How this operator's gateway spells USSD."""
        self._metrics = metrics
        self._now = now
        self._on_bound = on_bound
        self._leaving = False
        self.intake = intake = Intake(name, conversations, backlog)
        self.binds = binds = Binds(
            url,
            metrics,
            boot=boot,
            random=random,
            tls=tls,
            decoders=DECODERS | {int(CommandId.DELIVER_SM): Inputs(dialect, url.default_alphabet or "gsm").read},
            on_event=self._on_event,
            on_events=self._on_events,
            on_read=intake.hand_in,
        )
        throttling = Throttling(name, url.rate, binds, metrics)
        self._steps = steps = UssdSteps(
            url, dialect, screen, intake=intake, binds=binds, throttling=throttling, metrics=metrics
        )
        self.outgoing = Outgoing(
            url, dialect, steps.shown, random, sms_told, binds=binds, throttling=throttling, metrics=metrics
        )
        self._incoming = Incoming(
            url,
            dialect,
            country,
            links=binds.links,
            steps=steps,
            texts=SmsInputs(name, binds.links, intake),
            receipts=Receipts(name, url.receipt_id, deliveries, country=country, now=now),
            backlog=backlog,
            conversations=conversations,
            metrics=metrics,
        )

    @property
    def bound(self) -> bool:
        """Whether messages flow both ways."""
        return self.binds.bound

    @property
    def unbound_because(self) -> str:
        """Why a bind is missing, for `/readyz`; "" where none is, or its first try is under way."""
        return self.binds.unbound_because

    @property
    def pushes(self) -> bool:
        """Whether this operator's gateway takes dialogues that we begin."""
        return self._dialect.ask is not None or self._dialect.notify is not None

    async def push(self, source: str, msisdn: str, text: str, ends: bool) -> PushOutcome:
        """Send a notification (`ends`) or a question, and return what the gateway said to it."""
        return await self.outgoing.push(source, msisdn, text, ends)

    def tick(self, now: float) -> None:
        """Look how many screens wait; to be called several times in a second with the loop's time (s)."""
        links = self.binds.sending()
        self.backlog.tick(now, sum(link.urgent for link in links), sum(link.requested for link in links))

    def start(self) -> None:
        """Begin to connect."""
        self.binds.start()

    def leave(self) -> None:
        """From now on leave what comes in without a response; what is under way goes on.

        Once the bind is gone the SMSC gives it to another one, of this or another server, which answers it. An error
        would end a dialogue, and so would the polite text.
        """
        self._leaving = True

    async def handed_in(self) -> None:
        """Return when all that was read has been handed in."""
        await self.intake.handed_in()

    async def stop(self, drain_ms: int) -> None:
        """Wait for the responses under way, unbind and close; what waits for its turn is to be sent later.

        What was read and still waits to be handed in is left to other binds: its answer would find no link.
        """
        self.intake.close()
        self.outgoing.clear()
        await self.binds.stop(drain_ms)

    # What the links tell ----------------------------------------------------------------------------------------------

    def _on_events(self, connection: Connection, events: list[Any]) -> None:
        """Take what was read at once, in its order: first what every USSD step brings, then what every SMS does."""
        now, leaving, heard, incoming = self._now(), self._leaving, 0, self._incoming
        taken: list[Sms] = []
        for event in events:  # there may come more meanwhile
            kind = type(event)
            try:
                if kind is UssdStep:  # the gateway took an answer
                    event.link.unaccepted.discard(event.msisdn)
                elif leaving and kind in _DELIVERED:
                    self._metrics.suppressed["leaving"] += 1
                elif kind is Heard:
                    heard += 1
                    incoming.heard(connection, event, now)
                elif kind is Texted:
                    heard += 1
                    incoming.texted(connection, event, now)
                elif kind is Sms:  # the SMSC took it, and nothing more is to be heard of it
                    taken.append(event)
                elif kind is Delivered:
                    incoming.delivered(connection, event, now)
                else:
                    if taken:
                        self._on_taken(connection, taken)
                        taken = []
                    if kind is Responded:
                        self._on_responded(event)
                    elif kind is SmsPart or kind is UssdPush:
                        self.outgoing.taken(event)
                    else:
                        connection.tell(event)
            except Exception as broken:
                connection.report(event, broken)
        if taken:
            self._on_taken(connection, taken)  # which brings no event
        if heard:
            self._metrics.pdus["in", "deliver_sm"] += heard

    def _on_taken(self, connection: Connection, taken: list[Sms]) -> None:
        try:
            self.outgoing.sms_taken(taken)
        except Exception as broken:
            connection.report(taken[0], broken)

    def _on_responded(self, event: Responded) -> None:
        tag, status = event.tag, event.status
        if type(tag) is UssdStep:
            self._steps.turned_down(tag, status)
        elif status:
            self.outgoing.turned_down(tag, status)
        else:
            self.outgoing.taken(tag, event.pdu.message_id if isinstance(event.pdu, MessageResp) else "")

    def _on_event(self, connection: Connection, event: Event) -> None:
        match event:
            case Bound():
                self.binds.opened(connection)
                self.outgoing.take_turns()
                self._on_bound()
            case Expired(tag=UssdStep() as step):
                self._steps.lost(step, "the SMSC did not answer in time")
            case Lost(tag=UssdStep() as step, sent=sent):
                self._steps.lost(step, "the link was lost" if sent else NO_LINK)
            case Expired(tag=Sms() | SmsPart() | UssdPush() as one):
                self.outgoing.lost(one, "the SMSC did not answer in time")
            case Lost(tag=Sms() | SmsPart() | UssdPush() as one):
                self.outgoing.lost(one, "the link was lost")
            case Nacked(reason=reason):
                self._metrics.pdu_errors["in", "refused"] += 1
                log.warning("PDU refused", smsc=self.name, cause=reason)
            case Ignored():
                self._metrics.pdu_errors["in", "unexpected"] += 1
            case Closed(reason=reason):
                self.binds.closed(connection, reason)
            case _:
                pass


def _dialect(url: SmscUrl) -> Dialect:
    """Return how the gateway spells USSD: the dialect, but for what the URL says itself."""
    dialect = load(url.dialect)
    return replace(
        dialect,
        alphabet=url.default_alphabet or dialect.alphabet,
        gsm_coding=dialect.gsm_coding if url.ussd_gsm is None else url.ussd_gsm,
        ucs2_coding=dialect.ucs2_coding if url.ussd_ucs2 is None else url.ussd_ucs2,
    )
