"""The operator connections: what their links deliver goes to the conversations, what the server says goes to a link."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import count

import msgspec
import structlog

from menus.render import Channel
from smpp import receipts, ussd
from smpp.alphabets import choose
from smpp.constants import CommandId, Status, status_name
from smpp.errors import THROTTLED, TRANSIENT
from smpp.events import Bound, Closed, Delivered, Event, Expired, Ignored, Lost, Nacked, Responded
from smpp.link import LinkSettings
from smpp.pdu import Bind, Message, Password
from smpp.reassembly import part_of
from smpp.transport import Binding, Connection, Retrying
from ussd_server.channels import sms
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.pace import Pace
from ussd_server.channels.sms import SMS, SendOutcome
from ussd_server.channels.ussd import to_input
from ussd_server.dialects.files import load as load_dialect
from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.settings import SmscUrl
from ussd_server.subscribers.msisdn import NotSubscriber, parse
from ussd_server.turns.conversation import Conversations

log = structlog.get_logger()

encoded = lru_cache(2048)(choose)
"""Screens repeat, so the latest are kept as they were encoded. SMS are not: one may hold an access code."""

RETRY_SECONDS = 0.3
"""A throttled USSD answer is tried once more after this; later the subscriber is gone."""


class UssdAnswer(msgspec.Struct, gc=False):
    """The tag of a submit_sm that answers a USSD input."""

    msisdn: str
    message: Message
    retried: bool = False


class SmsPart(msgspec.Struct, gc=False):
    """The tag of a submit_sm that is a part of an SMS."""

    done: asyncio.Future[SendOutcome]


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
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = str(url)
        self._conversations = conversations
        self._screen = screen
        self._dialect = load_dialect(url.dialect)
        """How this operator's gateway spells USSD."""
        self._metrics = metrics
        self._country = country
        self._now = now
        self._boot = boot
        self._on_bound = on_bound
        self._links = count(1)
        self._names: dict[Connection, str] = {}
        self._unaccepted: set[str] = set()
        """Subscribers whose last USSD answer the gateway has not accepted (yet)."""
        self._style = url.long
        self._pace = Pace(url.rate)
        self._room = asyncio.Semaphore(max(1, url.window // 2))
        """SMS take half of the window at most, so that a USSD answer never waits for them."""
        self._answers_back = url.bind == "trx"
        """Whether the link that an input came by takes its answer; a receiver does not."""
        self.unbound_because = ""
        """Why there is no bind, for `/readyz`; "" where there is one or the first try is under way."""
        commands = (
            (CommandId.BIND_TRANSCEIVER,)
            if url.bind == "trx"
            else (CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER)
        )
        self._bindings = [
            Binding(
                url.host,
                url.port,
                Bind(command, system_id=url.system_id, password=Password(url.password.reveal())),
                self._on_event,
                self._on_retry,
                random,
                LinkSettings(window=url.window),
                ssl=tls,
            )
            for command in commands
        ]
        metrics.links[self.name] = False

    @property
    def bound(self) -> bool:
        """Whether every bind of this account is up."""
        return all(binding.bound for binding in self._bindings)

    def start(self) -> None:
        """Begin to connect."""
        for binding in self._bindings:
            binding.start()

    async def stop(self, drain_ms: int) -> None:
        """Wait for the responses under way, unbind and close."""
        await asyncio.gather(*(binding.stop(drain_ms) for binding in self._bindings))

    async def send_sms(self, source: str, msisdn: str, text: str, reference: int) -> SendOutcome:
        """Send an SMS and return when the SMSC has answered every part of it."""
        ton, npi = (0, 1) if source.isdigit() else (5, 0)
        waiting = []
        for part in sms.parts(source, ton, npi, msisdn, text, reference, self._style):
            await self._room.acquire()
            wait = self._pace.wait(asyncio.get_running_loop().time())
            if wait:
                await asyncio.sleep(wait)
            done: asyncio.Future[SendOutcome] = asyncio.get_running_loop().create_future()
            done.add_done_callback(lambda _: self._room.release())
            waiting.append(done)
            if not self._send(part, SmsPart(done)):
                done.set_result(SendOutcome("later", "no bound link takes it"))
        outcomes = await asyncio.gather(*waiting)
        for result in ("refused", "later"):
            for outcome in outcomes:
                if outcome.result == result:
                    return outcome
        return outcomes[0]

    def _send(self, message: Message, tag: object, *, urgent: bool = False) -> bool:
        """Send by any link of this account that takes it."""
        self._metrics.pdus["out", "submit_sm"] += 1
        return any(binding.send(message, tag, urgent=urgent) for binding in self._bindings)

    def _on_event(self, connection: Connection, event: Event) -> None:
        if isinstance(event, Delivered):
            self._delivered(connection, event.pdu)
        elif isinstance(event, Responded):
            self._responded(connection, event)
        else:
            self._link_event(connection, event)

    # What comes in ----------------------------------------------------------------------------------------------------

    def _delivered(self, connection: Connection, message: Message) -> None:
        self._metrics.pdus["in", "deliver_sm"] += 1
        msisdn = parse(message.source_addr, message.source_addr_ton, message.source_addr_npi, self._country)
        if receipts.is_receipt(message):
            connection.respond(message)
        elif isinstance(msisdn, NotSubscriber):
            # Short codes, names, machines: nobody there reads an answer, and some would answer it.
            self._metrics.suppressed[msisdn.reason] += 1
            log.info("no subscriber's number, not answered", reason=msisdn.reason)
            connection.respond(message)
        elif (heard := ussd.classify(message, self._dialect)) is not None:
            self._heard(connection, message, heard, msisdn)
        else:
            self._read(connection, message, msisdn)

    def _heard(self, connection: Connection, message: Message, heard: ussd.Input, msisdn: str) -> None:
        if isinstance(heard, ussd.Confirm) and not heard.closes:
            connection.respond(message)
            return
        dialect = self._dialect
        input = to_input(
            heard,
            msisdn,
            self._screen,
            account=self.name,
            link=self._names[connection],
            sequence=message.sequence,
            now=self._now(),
            accepted=msisdn not in self._unaccepted,
        )

        def answer(answer: Answer) -> None:
            connection.respond(message)
            if answer.text is None:
                if input.kind != "drop" and (closing := ussd.release(message, dialect)) is not None:
                    self._show(connection, UssdAnswer(msisdn, closing))  # nothing to say, so nobody is to wait for it
                return
            if isinstance(heard, ussd.Answer) and heard.last:
                log.info("not shown, the gateway had closed the dialogue", smsc=self.name, msisdn=mask(msisdn))
                return
            text = encoded(answer.text, dialect.gsm_coding, dialect.ucs2_coding)
            reply = ussd.reply(message, text, ends=answer.ends, dialect=dialect)
            self._unaccepted.add(msisdn)
            self._show(connection, UssdAnswer(msisdn, reply))

        self._conversations.take(input, answer)

    def _show(self, connection: Connection, answer: UssdAnswer) -> None:
        """Send a screen, back on the link that its dialogue came by where that can be."""
        if self._answers_back:
            self._metrics.pdus["out", "submit_sm"] += 1
            sent = connection.send(answer.message, answer, urgent=True)
        else:
            sent = self._send(answer.message, answer, urgent=True)
        if not sent:
            self._not_shown(answer, "no bound link takes it")

    def _not_shown(self, answer: UssdAnswer, cause: str) -> None:
        self._metrics.pdu_errors["out", "ussd answer lost"] += 1
        log.warning("USSD answer lost", smsc=self.name, msisdn=mask(answer.msisdn), cause=cause)

    def _read(self, connection: Connection, message: Message, msisdn: str) -> None:
        part = part_of(message, msisdn)
        input = Input(
            msisdn=msisdn,
            channel=SMS,
            kind="message",
            text=sms.text_of(message, "gsm") if part is None else "",
            account=self.name,
            dialogue=message.destination_addr,
            link=self._names[connection],
            sequence=message.sequence,
            at=self._now(),
            number=message.destination_addr,
            part=part,
        )

        def answer(answer: Answer) -> None:
            connection.respond(message, Status.ROK if answer.durable else Status.RX_T_APPN)

        self._conversations.take(input, answer)

    # What went out ----------------------------------------------------------------------------------------------------

    def _responded(self, connection: Connection, event: Responded) -> None:
        tag, status = event.tag, event.status
        if isinstance(tag, UssdAnswer):
            if status == Status.ROK:
                self._unaccepted.discard(tag.msisdn)
            elif status in THROTTLED and not tag.retried:
                again = UssdAnswer(tag.msisdn, tag.message, retried=True)
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._show, connection, again)
            else:
                self._metrics.pdu_errors["out", status_name(status)] += 1
                meaning = self._dialect.statuses.get(status)
                self._not_shown(tag, f"{status_name(status)}, {meaning}" if meaning else status_name(status))
        elif status == Status.ROK:
            self._pace.taken()
            _settle(tag, SendOutcome("sent"))
        else:
            self._metrics.pdu_errors["out", status_name(status)] += 1
            if status in THROTTLED:
                self._pace.throttled(asyncio.get_running_loop().time())
                log.warning("throttled by the SMSC", smsc=self.name, status=status_name(status))
            _settle(tag, SendOutcome("later" if status in TRANSIENT else "refused", status_name(status)))

    def _link_event(self, connection: Connection, event: Event) -> None:
        match event:
            case Bound():
                self._names[connection] = f"{self._boot}{next(self._links)}"
                self._metrics.links[self.name] = self.bound
                self.unbound_because = ""
                log.info("bound", smsc=self.name)
                self._on_bound()
            case Expired(tag=UssdAnswer() as answer):
                self._not_shown(answer, "the SMSC did not answer in time")
            case Lost(tag=UssdAnswer() as answer):
                self._not_shown(answer, "the link was lost")
            case Expired(tag=tag):
                _settle(tag, SendOutcome("later", "the SMSC did not answer in time"))
            case Lost(tag=tag):
                _settle(tag, SendOutcome("later", "the link was lost"))
            case Nacked(reason=reason):
                self._metrics.pdu_errors["in", "refused"] += 1
                log.warning("PDU refused", smsc=self.name, cause=reason)
            case Ignored():
                self._metrics.pdu_errors["in", "unexpected"] += 1
            case Closed(reason=reason):
                self._names.pop(connection, None)
                self._unaccepted.clear()  # on another link nothing counts as accepted anyway
                self._metrics.links[self.name] = self.bound
                log.info("link closed", smsc=self.name, cause=reason)
            case _:
                pass

    def _on_retry(self, retrying: Retrying) -> None:
        say = log.error if retrying.loud else log.warning
        cause = f"{retrying.reason}: {status_name(retrying.status)}" if retrying.status else retrying.reason
        self.unbound_because = cause
        say("not bound", smsc=self.name, cause=cause, next_try_seconds=round(retrying.delay_ms / 1000, 1))


def _settle(tag: object, outcome: SendOutcome) -> None:
    if isinstance(tag, SmsPart) and not tag.done.done():
        tag.done.set_result(outcome)


class Gateway:
    """All accounts of this server."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.accounts: Mapping[str, Account] = {account.name: account for account in accounts}

    async def send_sms(self, account: str, source: str, msisdn: str, text: str, reference: int) -> SendOutcome:
        """Send an SMS by this account.

        Where it has none (its order came from a terminal), or one that is no longer configured, it goes by the first
        that is bound.
        """
        chosen = self.accounts.get(account)
        if chosen is None:
            every = self.accounts.values()
            chosen = next((one for one in every if one.bound), next(iter(every), None))
        if chosen is None:
            return SendOutcome("later", "no SMSC is configured")
        return await chosen.send_sms(source, msisdn, text, reference)

    def start(self) -> None:
        """Begin to connect every account."""
        for account in self.accounts.values():
            account.start()

    async def stop(self, drain_ms: int) -> None:
        """Drain, unbind and close every account."""
        await asyncio.gather(*(account.stop(drain_ms) for account in self.accounts.values()))
