"""The operator connections: what their links deliver goes to the conversations, what the server says goes to a link."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from hmac import compare_digest
from itertools import count
from typing import Any, Literal

import msgspec
import structlog

from menus.render import Channel
from smpp import receipts, ussd
from smpp.alphabets import Alphabet, choose
from smpp.constants import CommandId, Status, status_name
from smpp.dialect import Dialect
from smpp.errors import THROTTLED, TRANSIENT
from smpp.events import Bound, Closed, Delivered, Event, Expired, Ignored, Lost, Nacked, Responded
from smpp.inputs import Heard, Inputs, Texted
from smpp.link import Link, LinkSettings, Submitted
from smpp.pdu import DECODERS, Bind, Delivery, Message, MessageResp, Outbind, Packed, Password
from smpp.reassembly import Part, part_of
from smpp.replies import Replies, Shown
from smpp.transport import Awaited, Binding, Connection, Retrying
from ussd_server.channels import sms
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.intake import Intake
from ussd_server.channels.lineup import Lineup, Waiting
from ussd_server.channels.pace import Pace
from ussd_server.channels.sms import SMS, SendOutcome
from ussd_server.channels.ussd import Deed, Line, PushOutcome, done_by
from ussd_server.dialects.files import load as load_dialect
from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.outage import Outage
from ussd_server.outbox.deliveries import Deliveries
from ussd_server.smsc_url import SmscUrl
from ussd_server.stores.base import StoreUnavailable
from ussd_server.subscribers.msisdn import NotSubscriber, parse
from ussd_server.turns.admission import Backlog
from ussd_server.turns.conversation import Conversations
from ussd_server.turns.eager import Eager

log = structlog.get_logger()

SCREENS_KEPT = 1024
"""Screens repeat, so the latest are kept as they were encoded. SMS are not: one may hold an access code."""

NO_LINK = "no bound link takes it"

MOST_RECEIPTS = 1000
"""Receipts of one account that are being kept at once; the SMSC repeats what is more."""

RETRY_SECONDS = 0.3
"""A throttled USSD answer is tried once more after this; later the subscriber is gone."""


class UssdStep(msgspec.Struct, gc=False):
    """An input on its way: what it was, what is awaited, and what is sent back; the tag of that submit_sm.

    `awaited`: what comes again meanwhile was not answered yet. `shows`: a text may be shown, `waits`: the gateway waits
    for one, or for a word that there is none.
    """

    up: "_Up"
    received: Message | Heard
    session: ussd.Session
    msisdn: str
    awaited: bool
    waits: bool
    shows: bool
    reply: Message | Packed | None = None
    retried: bool = False

    def answer(self, answer: Answer) -> None:
        """Take what the input led to."""
        if answer.text is None or not self.shows:
            self.up.account.answered(self, answer)
        else:
            self.up.account.reply(self, answer.text, answer)


class SmsInput(msgspec.Struct, gc=False):
    """An SMS that came, or a part of one, which waits for its response."""

    heard_by: Connection
    received: Message | Texted

    def answer(self, answer: Answer) -> None:
        """Respond to it; what it led to goes out from the outbox."""
        if answer.durable:
            self.heard_by.respond(self.received)
        else:
            self.heard_by.respond(self.received, Status.RTHROTTLED if answer.busy else Status.RX_T_APPN)


class SmsPart(msgspec.Struct, gc=False):
    """A submit_sm that is an SMS (`whole`) or a part of one, and what becomes of it.

    Its place in the queue is the tag of the PDU.
    """

    body: bytes
    done: asyncio.Future[SendOutcome]
    whole: bool


class _Up(msgspec.Struct, gc=False):
    """A connection that is bound: its name in inputs, and the subscribers who were answered by or for it in vain.

    The gateway has not accepted the last USSD answer to them (yet), or their turn is still under way.
    """

    account: "Account"
    connection: Connection
    name: str
    unaccepted: set[str]


class UssdPush(msgspec.Struct, gc=False):
    """A submit_sm that begins a dialogue from our side, and what becomes of it."""

    message: Message
    done: asyncio.Future[PushOutcome]


BUSY = "busy"
"""What a dialect calls the status of a gateway whose subscriber has a dialogue already."""


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
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = str(url)
        self._conversations = conversations
        self.screen = screen
        self._dialect = dialect = _dialect(url)
        """How this operator's gateway spells USSD."""
        self._alphabet: Alphabet = url.default_alphabet or "gsm"
        self._replies = replies = Replies(dialect)

        def shown(text: str) -> Shown:
            return replies.shown(choose(text, dialect.gsm_coding, dialect.ucs2_coding, dialect.alphabet))

        self._shown = lru_cache(SCREENS_KEPT)(shown)
        self._writer = sms.Writer(
            sms.Spelling(
                url.source_ton,
                url.source_npi,
                url.dest_ton,
                url.dest_npi,
                url.sms_gsm,
                url.sms_ucs2,
                self._alphabet,
                url.long,
                url.receipts,
            )
        )
        self._tells_ends = url.receipts
        """Whether receipts are asked for, so that the ids of what was sent are of use."""
        self._sent = SendOutcome("sent", account=self.name)
        self.sending = 0
        """SMS that are under way here, long ones too."""
        self._deliveries = deliveries
        self._submit_base, self._receipt_base = url.response_id, url.receipt_id
        self._receipts = 0
        self._transient = TRANSIENT | url.retry
        self._metrics = metrics
        self._country = country
        self._now = now
        self._outage = Outage("store unavailable, receipt refused")
        self._boot = boot
        self._on_bound = on_bound
        self._links = count(1)
        self._up: dict[Connection, _Up] = {}
        self._pace = Pace(url.rate)
        self._lineup: Lineup[SmsPart | UssdPush] = Lineup(self._pace)
        self._share = max(1, url.window // 2)
        """SMS and pushes take half of each window at most, so that a USSD answer never waits for them."""
        self._next_turn: asyncio.TimerHandle | None = None
        self._turns_come = False
        """Whether those who wait are looked at when the loop has told all that it has at hand."""
        # Not from 0: a server that starts anew must not number a dialogue as it did before.
        self._pushes = count(int(random() * 0x10000))
        self.backlog = Backlog()
        """The screens that wait for this operator's window."""
        self._intake = Intake(self.name, conversations, self.backlog)
        self._answers_back = url.bind == "trx"
        """Whether the link that an input came by takes its answer; a receiver does not."""
        self._answers_at_once = self._answers_back and dialect.submit == CommandId.SUBMIT_SM
        self._unbound_because: dict[str, str] = {}
        self._leaving = False
        self._bindings: dict[str, Binding] = {}
        self._senders: list[Binding] = []
        self._receivers: list[Binding] = []
        self._handlers: Mapping[type, Callable[..., None]] = {
            Waiting: self._on_taken,
            Texted: self._on_texted,
            Delivered: self._on_delivered,
            Responded: self._on_responded,
        }
        decoders = DECODERS | {int(CommandId.DELIVER_SM): Inputs(dialect).read}
        for label, command in _labels(url):
            binding = self._bindings[label] = _binding_of(url)(
                url.host,
                url.port,
                _bind(url, command),
                self._on_event,
                partial(self._on_retry, label),
                random,
                _link_settings(url),
                ssl=tls,
                server_name=url.check_name,
                on_events=self._on_events,
                on_read=self._intake.hand_in,
                decoders=decoders,
            )
            if command != CommandId.BIND_RECEIVER:
                self._senders.append(binding)
            if command != CommandId.BIND_TRANSMITTER:
                self._receivers.append(binding)
        self._count_binds()
        metrics.sms_waiting[self.name] = lambda: len(self._lineup)
        metrics.screens_waiting[self.name] = lambda: sum(link.urgent for link in self._sending())
        metrics.sms_limit[self.name] = lambda: self._pace.limit or 0

    @property
    def bound(self) -> bool:
        """Whether messages flow both ways: something is bound that sends, and something that receives."""
        return any(one.bound for one in self._senders) and any(one.bound for one in self._receivers)

    def tick(self, now: float) -> None:
        """Look how many screens wait; to be called several times in a second with the loop's time (s)."""
        links = self._sending()
        self.backlog.tick(now, sum(link.urgent for link in links), sum(link.requested for link in links))

    def _sending(self) -> list[Link]:
        return [one.connection.link for one in self._senders if one.connection is not None]

    @property
    def unbound_because(self) -> str:
        """Why a bind is missing, for `/readyz`; "" where none is, or its first try is under way."""
        causes = self._unbound_because
        if len(self._bindings) == 1:
            return next(iter(causes.values()), "")
        return "; ".join(f"{label}: {cause}" for label, cause in sorted(causes.items()))

    @property
    def pushes(self) -> bool:
        """Whether this operator's gateway takes dialogues that we begin."""
        return self._dialect.ask is not None or self._dialect.notify is not None

    def start(self) -> None:
        """Begin to connect."""
        for binding in self._bindings.values():
            binding.start()

    def leave(self) -> None:
        """From now on leave what comes in without a response; what is under way goes on.

        Once the bind is gone the SMSC gives it to another one, of this or another server, which answers it. An error
        would end a dialogue, and so would the polite text.
        """
        self._leaving = True

    async def handed_in(self) -> None:
        """Return when all that was read has been handed in."""
        await self._intake.handed_in()

    async def stop(self, drain_ms: int) -> None:
        """Wait for the responses under way, unbind and close; what waits for its turn is to be sent later.

        What was read and still waits to be handed in is left to other binds: its answer would find no link.
        """
        self._intake.close()
        for one in self._lineup.clear():
            self._settle(one, "the server stops", later=True)
        await asyncio.gather(*(binding.stop(drain_ms) for binding in self._bindings.values()))

    def send_sms(self, source: str, msisdn: str, text: str, reference: int) -> asyncio.Future[SendOutcome]:
        """Send an SMS; the future is done when the SMSC has answered every part of it, or will not.

        Whoever does not wait for it any more cancels the future: what has not gone out by then stays here.
        """
        loop = asyncio.get_running_loop()
        try:
            cut = self._writer.write(source, msisdn, text, reference)
        except ValueError as error:
            return _known(SendOutcome("refused", str(error)))
        self.sending += 1
        if len(cut) > 1:
            long = loop.create_task(self._send_long(cut))
            long.add_done_callback(self._long_ended)
            return long
        done = loop.create_future()
        self._line_up(SmsPart(cut[0], done, True))
        return done

    async def _send_long(self, cut: Sequence[bytes]) -> SendOutcome:
        """Send all parts of an SMS; the first that was refused, or else is to come later, speaks for the whole."""
        loop = asyncio.get_running_loop()
        parts = [SmsPart(body, loop.create_future(), False) for body in cut]
        for part in parts:
            self._line_up(part)
        try:
            outcomes = [await part.done for part in parts]
        finally:
            for part in parts:  # those that have not gone out stay here, where nobody waits for the whole any more
                part.done.cancel()
        for result in ("refused", "later"):
            for outcome in outcomes:
                if outcome.result == result:
                    return outcome
        ids = tuple(id for outcome in outcomes for id in outcome.message_ids)
        return SendOutcome("sent", account=self.name, message_ids=ids if len(ids) == len(parts) else ())

    def _long_ended(self, _: object) -> None:
        self.sending -= 1

    async def push(self, source: str, msisdn: str, text: str, ends: bool) -> PushOutcome:
        """Send a notification (`ends`) or a question, and return what the gateway said to it."""
        try:
            message = ussd.push(
                source,
                msisdn,
                self._shown(text).encoded,
                ends=ends,
                session=self._pushed_session(),
                dialect=self._dialect,
            )
        except ValueError as error:
            return PushOutcome("refused", str(error))
        push = UssdPush(message, asyncio.get_running_loop().create_future())
        self._line_up(push)
        return await push.done

    def _pushed_session(self) -> int:
        """Return a session for a dialogue that we begin, for gateways that leave its number to us."""
        mask = self._dialect.id_mask
        return next(self._pushes) * (mask & -mask) & mask

    def _line_up(self, one: SmsPart | UssdPush) -> None:
        """Let a message wait for its turn."""
        self._lineup.put(one)
        self._take_turns_soon()

    def _take_turns_soon(self) -> None:
        """See to those who wait, once for all that commits and responses bring within this turn of the loop."""
        if not self._turns_come and self._lineup.waits:
            self._turns_come = True
            asyncio.get_running_loop().call_soon(self._take_turns)

    def _take_turns(self) -> None:
        """Send the SMS and pushes whose turn it is, and come back when it is the next one's."""
        self._turns_come = False
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        senders = [one for one in self._senders if one.bound]
        if not senders:
            for one in self._lineup.clear():
                self._settle(one, NO_LINK, later=True)
            return
        room = self._share * len(senders)
        loop = asyncio.get_running_loop()
        now, lineup = loop.time(), self._lineup
        loads = [one.load for one in senders]
        texts: list[list[Submitted]] = [[] for _ in senders]
        while (waiting := lineup.take(now, room)) is not None:
            one = waiting.message
            if one.done.done():  # nobody waits for it any more
                lineup.ended()
                self._settle(one, "")
                continue
            least = loads.index(min(loads))
            loads[least] += 1
            if type(one) is SmsPart:
                texts[least].append((one.body, waiting))
            elif type(one) is UssdPush:
                self._submit(senders[least], texts[least])
                texts[least] = []
                self._metrics.pdus["out", "submit_sm"] += 1
                if not senders[least].send(one.message, waiting):
                    self._no_link(waiting)
        for sender, requests in zip(senders, texts, strict=True):
            self._submit(sender, requests)
        wait = lineup.wait(now, room)
        if wait is not None:
            self._next_turn = loop.call_later(wait, self._take_turns)

    def _submit(self, sender: Binding, requests: list[Submitted]) -> None:
        """Send SMS together; their responses are of use only where receipts are to be matched to them."""
        if requests:
            self._metrics.pdus["out", "submit_sm"] += len(requests)
            for waiting in sender.submit(requests, not self._tells_ends):
                self._no_link(waiting)

    def _no_link(self, waiting: Waiting[SmsPart | UssdPush]) -> None:
        self._lineup.ended()
        self._settle(waiting.message, NO_LINK, later=True)

    def _send(self, message: Message | Packed, tag: object, *, urgent: bool = False) -> bool:
        """Send by the link of this account that has the least to do."""
        self._metrics.pdus["out", "submit_sm"] += 1
        senders = [one for one in self._senders if one.bound]
        return bool(senders) and min(senders, key=_load).send(message, tag, urgent=urgent)

    # What comes in ----------------------------------------------------------------------------------------------------

    def _on_events(self, connection: Connection, events: list[Any]) -> None:
        """Take what was read at once, in its order: first what every USSD step brings, which is nearly all."""
        now, leaving, heard = self._now(), self._leaving, 0
        for event in events:  # there may come more meanwhile
            kind = type(event)
            try:
                if kind is UssdStep:  # the gateway took an answer
                    event.up.unaccepted.discard(event.msisdn)
                elif leaving and kind in _DELIVERED:
                    self._metrics.suppressed["leaving"] += 1
                elif kind is Heard:
                    heard += 1
                    self._on_heard(connection, event, now)
                elif kind in self._handlers:
                    self._handlers[kind](connection, event)
                else:
                    connection.tell(event)
            except Exception as broken:
                connection.report(event, broken)
        if heard:
            self._metrics.pdus["in", "deliver_sm"] += heard

    def _on_heard(self, connection: Connection, heard: Heard, now: int) -> None:
        """Take a begin or an answer that was known by its likeness, as nearly all are."""
        likeness = heard.likeness
        msisdn = parse(heard.source_addr, likeness.source_addr_ton, likeness.source_addr_npi, self._country)
        if isinstance(msisdn, NotSubscriber):
            self._leave_alone(connection, heard, msisdn)
        elif likeness.begins and self.backlog.full:
            self._turn_away(connection, heard)
        else:
            if likeness.unnamed:
                self._note_unnamed(likeness.unnamed)
            kind: Deed = "dial" if likeness.begins else "reply"
            session = heard.session
            self._put(
                connection,
                heard,
                session,
                msisdn,
                kind,
                heard.text,
                step=session.sequence,
                now=now,
                waits=True,
                shows=not likeness.last,
            )

    def _on_delivered(self, connection: Connection, event: Delivered) -> None:
        message = event.pdu
        self._metrics.pdus["in", "data_sm" if message.command == CommandId.DATA_SM else "deliver_sm"] += 1
        msisdn = parse(message.source_addr, message.source_addr_ton, message.source_addr_npi, self._country)
        if receipts.is_receipt(message):
            self._receipt(connection, message)
        elif isinstance(msisdn, NotSubscriber):
            self._leave_alone(connection, message, msisdn)
        else:
            session = ussd.session_of(message, self._dialect)
            heard = ussd.classify(message, self._dialect, None, session)
            if heard is None:
                part = part_of(message, msisdn, self._alphabet)
                text = sms.text_of(message, self._alphabet) if part is None else ""
                self._read(connection, message, msisdn, message.destination_addr, text, part)
            elif self.backlog.full and isinstance(heard, ussd.Begin):
                self._turn_away(connection, message)
            else:
                self._heard(connection, message, session, heard, msisdn)

    def _on_texted(self, connection: Connection, texted: Texted) -> None:
        """Take an SMS that was known by its likeness, as nearly all are."""
        self._metrics.pdus["in", "deliver_sm"] += 1
        likeness = texted.likeness
        msisdn = parse(texted.source_addr, likeness.source_addr_ton, likeness.source_addr_npi, self._country)
        if isinstance(msisdn, NotSubscriber):
            self._leave_alone(connection, texted, msisdn)
        else:
            text = sms.read_text(texted.data, likeness.data_coding, self._alphabet)
            self._read(connection, texted, msisdn, likeness.destination_addr, text)

    def _leave_alone(self, connection: Connection, message: Delivery, sender: NotSubscriber) -> None:
        """Answer nothing to short codes, names, machines: nobody there reads it, and some would answer it."""
        self._metrics.suppressed[sender.reason] += 1
        log.info("no subscriber's number, not answered", reason=sender.reason)
        connection.respond(message)

    def _turn_away(self, connection: Connection, message: Delivery) -> None:
        self._metrics.turned_away[self.name] += 1
        self._conversations.not_handed_in()
        connection.respond(message, Status.RTHROTTLED)

    def _heard(
        self, connection: Connection, message: Message, session: ussd.Session, heard: ussd.Input, msisdn: str
    ) -> None:
        shows = waits = True
        if isinstance(heard, ussd.Answer):
            shows = not heard.last
            if not heard.op_known:
                self._note_unnamed(ussd.unnamed(message, self._dialect))
        else:
            waits = isinstance(heard, ussd.Begin)
        kind, text, step = done_by(heard)
        self._put(
            connection, message, session, msisdn, kind, text, step=step, now=self._now(), waits=waits, shows=shows
        )

    def _put(
        self,
        connection: Connection,
        received: Message | Heard,
        session: ussd.Session,
        msisdn: str,
        kind: Deed,
        text: str,
        *,
        step: int | None,
        now: int,
        waits: bool,
        shows: bool,
    ) -> None:
        """Make an input of what was done, and see to it that its answer is sent."""
        up = self._up[connection]
        unaccepted = up.unaccepted
        accepted = msisdn not in unaccepted
        input = Input(
            msisdn,
            self.screen,
            kind,
            text,
            self.name,
            f"{self.name}/{session.dialogue}",
            up.name,
            received.sequence,
            now,
            connection.read_at,
            step=-1 if step is None else step,
            accepted=accepted,
            others=self._accepted_by_others(up, msisdn) if len(self._up) > 1 else (),
        )
        awaited = accepted and waits
        if awaited:
            unaccepted.add(msisdn)
        self._intake.read.append((input, UssdStep(up, received, session, msisdn, awaited, waits, shows).answer))

    def _note_unnamed(self, sign: str) -> None:
        if sign:
            log.info("operation that the dialect does not name", smsc=self.name, dialect=self._dialect.name, sign=sign)

    def reply(self, step: UssdStep, text: str, answer: Answer) -> None:
        """Acknowledge an input, now that what it changed is durable, and show a text: as every USSD step does."""
        received, up = step.received, step.up
        try:
            reply = self._replies.write(received, step.session, self._shown(text), answer.ends, answer.pushed)
        except Exception:  # its change is kept, so the gateway is not to repeat it
            self._acknowledge(step)
            raise
        step.reply = reply
        up.unaccepted.add(step.msisdn)
        if type(received) is not Heard or not self._answers_at_once or self._pace.limit is not None:
            up.connection.respond(received)
            self._show(step)
            return
        self._metrics.pdus["out", "submit_sm"] += 1
        if not up.connection.answer(received.sequence, reply.body, step):
            self._not_shown(step, NO_LINK)

    def answered(self, step: UssdStep, answer: Answer) -> None:
        """Acknowledge an input, now that what it changed is durable, where there is nothing to be shown, or no way."""
        self._acknowledge(step)
        if answer.text is not None:
            log.info("not shown, the gateway had closed the dialogue", smsc=self.name, msisdn=mask(step.msisdn))
        elif step.waits:
            received = step.received
            whole = received.in_full() if isinstance(received, Heard) else received
            step.reply = ussd.release(whole, self._dialect)
            if step.reply is not None:  # nothing to say: nobody is to wait for it
                self._show(step)

    def _acknowledge(self, step: UssdStep) -> None:
        step.up.connection.respond(step.received)
        if step.awaited:
            step.up.unaccepted.discard(step.msisdn)

    def _accepted_by_others(self, up: _Up, msisdn: str) -> tuple[str, ...]:
        """Name the other links on which the gateway took our last answer: it may spread a dialogue over all binds."""
        return tuple(one.name for one in self._up.values() if one is not up and msisdn not in one.unaccepted)

    def _show(self, step: UssdStep) -> None:
        """Send a screen, back on the link that its dialogue came by where that can be."""
        reply = step.reply
        assert reply is not None
        if self._pace.limit is not None:
            self._pace.overtaken(asyncio.get_running_loop().time())
        if self._answers_back:
            self._metrics.pdus["out", "submit_sm"] += 1
            sent = step.up.connection.send(reply, step, urgent=True)
        else:
            sent = self._send(reply, step, urgent=True)
        if not sent:
            self._not_shown(step, NO_LINK)

    def _not_shown(self, step: UssdStep, cause: str) -> None:
        self._metrics.pdu_errors["out", "ussd answer lost"] += 1
        log.warning("USSD answer lost", smsc=self.name, msisdn=mask(step.msisdn), cause=cause)

    def _read(
        self,
        connection: Connection,
        received: Message | Texted,
        msisdn: str,
        number: str,
        text: str,
        part: Part | None = None,
    ) -> None:
        """Make an input of an SMS to a service number, or of a part of one."""
        input = Input(
            msisdn,
            SMS,
            "message",
            text,
            self.name,
            number,
            self._up[connection].name,
            received.sequence,
            self._now(),
            connection.read_at,
            number=number,
            part=part,
        )
        self._intake.read.append((input, SmsInput(connection, received).answer))

    def _receipt(self, connection: Connection, message: Message) -> None:
        """Answer a receipt when what it says is kept."""
        if self._receipts >= MOST_RECEIPTS:
            connection.respond(message, Status.RX_T_APPN)
            return
        self._receipts += 1
        Eager(self._take_receipt(connection, message), lambda error: log.error("receipt failed", exc_info=error))

    async def _take_receipt(self, connection: Connection, message: Message) -> None:
        receipt = receipts.parse(message)
        receipt = msgspec.structs.replace(receipt, message_id=receipts.same_id(receipt.message_id, self._receipt_base))
        # It comes from the number that the SMS went to; some SMSCs leave the addresses as they were.
        source = parse(message.source_addr, message.source_addr_ton, message.source_addr_npi, self._country)
        destination = parse(message.destination_addr, message.dest_addr_ton, message.dest_addr_npi, self._country)
        msisdns = [number for number in (source, destination) if not isinstance(number, NotSubscriber)]
        try:
            await self._deliveries.take(self.name, msisdns, receipt)
        except StoreUnavailable as error:
            self._outage.failed(self._now(), smsc=self.name, cause=str(error))
            connection.respond(message, Status.RX_T_APPN)
        else:
            connection.respond(message)
        finally:
            self._receipts -= 1

    # What went out ----------------------------------------------------------------------------------------------------

    def _on_responded(self, connection: Connection, event: Responded) -> None:
        tag, status = event.tag, event.status
        if type(tag) is Waiting:
            if status:
                self._turned_down(tag, status)
            else:
                self._taken(tag, event.pdu.message_id if isinstance(event.pdu, MessageResp) else "")
        elif status in THROTTLED and not tag.retried:
            self._throttled(status)
            tag.retried = True
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._show, tag)
        else:
            if status in THROTTLED:
                self._throttled(status)
            else:
                self._metrics.pdu_errors["out", status_name(status)] += 1
            meaning = self._dialect.statuses.get(status)
            self._not_shown(tag, f"{status_name(status)}, {meaning}" if meaning else status_name(status))

    def _on_taken(self, connection: Connection, waiting: Waiting[SmsPart | UssdPush]) -> None:
        """Note that the SMSC took an SMS of which nothing more is to be heard."""
        self._taken(waiting)

    def _taken(self, waiting: Waiting[SmsPart | UssdPush], message_id: str = "") -> None:
        """Tell who waits that the SMSC took it."""
        one = waiting.message
        self._lineup.accepted(asyncio.get_running_loop().time())
        if type(one) is SmsPart:
            outcome = self._sent
            if self._tells_ends and message_id:
                id = receipts.same_id(message_id, self._submit_base)
                outcome = SendOutcome("sent", account=self.name, message_ids=(id,))
            self._sms_ended(one, outcome)
        else:
            self._settle(one, "")
        self._take_turns_soon()

    def _turned_down(self, waiting: Waiting[SmsPart | UssdPush], status: int) -> None:
        """Keep for later what the SMSC will take then; tell who waits of all else."""
        one = waiting.message
        if status in THROTTLED:
            self._throttled(status)
            if isinstance(one, UssdPush):
                self._lineup.ended()  # it has a time of its own, which may be over by then
                self._settle(one, status_name(status), later=True)
            elif not self._lineup.throttled(waiting, asyncio.get_running_loop().time()):
                self._settle(one, status_name(status), later=True)
        else:
            self._metrics.pdu_errors["out", status_name(status)] += 1
            self._lineup.ended()
            busy = isinstance(one, UssdPush) and self._dialect.statuses.get(status) == BUSY
            self._settle(one, status_name(status), later=status in self._transient or busy)
        self._take_turns_soon()

    def _throttled(self, status: int) -> None:
        """Stand still for a moment, then go on slower. What is under way says the same, which is no news."""
        self._metrics.pdu_errors["out", status_name(status)] += 1
        self._metrics.throttled[self.name] += 1
        now = asyncio.get_running_loop().time()
        if not self._pace.throttled(now):
            return
        pause = self._pace.wait(now)
        for binding in self._senders:
            if binding.connection is not None:
                binding.connection.hold(round(pause * 1000))  # what its window kept waiting
        log.warning(
            "throttled by the SMSC",
            smsc=self.name,
            status=status_name(status),
            pause_seconds=round(pause, 1),
            sms_a_second=round(self._pace.limit or 0, 1),
        )

    def _on_event(self, connection: Connection, event: Event) -> None:
        match event:
            case Bound():
                self._up[connection] = _Up(self, connection, f"{self._boot}{next(self._links)}", set())
                self._count_binds()
                self._take_turns()
                label = self._label(connection)
                self._unbound_because.pop(label, None)
                log.info("bound", smsc=self.name, bind=label)
                self._on_bound()
            case Expired(tag=UssdStep() as step):
                self._not_shown(step, "the SMSC did not answer in time")
            case Lost(tag=UssdStep() as step, sent=sent):
                self._not_shown(step, "the link was lost" if sent else NO_LINK)
            case Expired(tag=Waiting() as waiting):
                self._turn_lost(waiting.message, "the SMSC did not answer in time")
            case Lost(tag=Waiting() as waiting):
                self._turn_lost(waiting.message, "the link was lost")
            case Nacked(reason=reason):
                self._metrics.pdu_errors["in", "refused"] += 1
                log.warning("PDU refused", smsc=self.name, cause=reason)
            case Ignored():
                self._metrics.pdu_errors["in", "unexpected"] += 1
            case Closed(reason=reason):
                self._up.pop(connection, None)
                self._count_binds()
                log.info("link closed", smsc=self.name, bind=self._label(connection), cause=reason)
            case _:
                pass

    def _turn_lost(self, one: SmsPart | UssdPush, cause: str) -> None:
        """Give up waiting for a response: nobody knows whether the SMSC took it."""
        self._lineup.ended()
        self._settle(one, cause, later=True, known=False)
        self._take_turns_soon()

    def _sms_ended(self, part: SmsPart, outcome: SendOutcome) -> None:
        if part.whole:
            self.sending -= 1
        if not part.done.done():
            part.done.set_result(outcome)

    def _settle(self, one: SmsPart | UssdPush, reason: str, *, later: bool = False, known: bool = True) -> None:
        """Tell who waits what became of a submit: no `reason`, it was taken; not `known`, nobody answered it."""
        if isinstance(one, SmsPart):
            self._sms_ended(one, SendOutcome("later" if later else "refused" if reason else "sent", reason))
        elif not one.done.done():
            unlucky: Literal["unknown", "later", "refused"]
            unlucky = "unknown" if not known else "later" if later else "refused"
            one.done.set_result(PushOutcome(unlucky if reason else "accepted", reason))

    def _count_binds(self) -> None:
        self._metrics.links[self.name] = self.bound
        self._metrics.binds[self.name] = sum(binding.bound for binding in self._bindings.values())

    def _label(self, connection: Connection) -> str:
        return next((label for label, binding in self._bindings.items() if binding.connection is connection), "")

    def _on_retry(self, label: str, retrying: Retrying) -> None:
        say = log.error if retrying.loud else log.warning
        cause = f"{retrying.reason}: {status_name(retrying.status)}" if retrying.status else retrying.reason
        self._unbound_because[label] = cause
        say("not bound", smsc=self.name, bind=label, cause=cause, next_try_seconds=round(retrying.delay_ms / 1000, 1))


_DELIVERED = frozenset({Heard, Texted, Delivered})


_KINDS = {
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


def _dialect(url: SmscUrl) -> Dialect:
    """Return how the gateway spells USSD: the dialect, but for what the URL says itself."""
    dialect = load_dialect(url.dialect)
    return replace(
        dialect,
        alphabet=url.default_alphabet or dialect.alphabet,
        gsm_coding=dialect.gsm_coding if url.ussd_gsm is None else url.ussd_gsm,
        ucs2_coding=dialect.ucs2_coding if url.ussd_ucs2 is None else url.ussd_ucs2,
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


def _known(outcome: SendOutcome) -> asyncio.Future[SendOutcome]:
    """Return an outcome that needs no waiting for."""
    done = asyncio.get_running_loop().create_future()
    done.set_result(outcome)
    return done


class Gateway:
    """All accounts of this server.

    Whoever sends has `slots` for SMS under way. Of several accounts each gets its share of them, so that one which is
    slow does not keep those of the others.
    """

    def __init__(self, accounts: Sequence[Account], slots: int) -> None:
        self.accounts: Mapping[str, Account] = {account.name: account for account in accounts}
        self._most = max(1, slots // max(1, len(accounts)))

    def send_sms(
        self, account: str, source: str, msisdn: str, text: str, reference: int
    ) -> asyncio.Future[SendOutcome]:
        """Send an SMS by this account, as it does.

        Where it has none (its order came from a terminal), or one that is no longer configured, it goes by the first
        that is bound.
        """
        chosen = self.accounts.get(account)
        if chosen is None:
            every = self.accounts.values()
            chosen = next((one for one in every if one.bound), next(iter(every), None))
        if chosen is None:
            return _known(SendOutcome("later", "no SMSC is configured"))
        if chosen.sending >= self._most:
            return _known(SendOutcome("later", "as many SMS wait for this SMSC as may", crowded=True))
        return chosen.send_sms(source, msisdn, text, reference)

    def line(self, account: str) -> Line | None:
        """Return this account, if it is bound here; any that can push where "" is given.

        Another server may have the account that this one has not, and another operator's does not know the number.
        """
        if account:
            chosen = self.accounts.get(account)
            return chosen if chosen is not None and chosen.bound else None
        return next((one for one in self.accounts.values() if one.bound and one.pushes), None)

    def delays(self) -> dict[str, float]:
        """Return for how long screens stand in line at each account, seconds."""
        return {name: account.backlog.delay for name, account in self.accounts.items()}

    def tick(self, now: float) -> None:
        """Look how many screens wait at each account; several times in a second, with the loop's time (s)."""
        for account in self.accounts.values():
            account.tick(now)

    def start(self) -> None:
        """Begin to connect every account."""
        accounts = self.accounts.values()
        if accounts and not any(account.pushes for account in accounts):
            log.info("no account's dialect takes pushes, they will wait and expire", smsc=[*self.accounts])
        for account in accounts:
            account.start()

    def leave(self) -> None:
        """From now on leave what comes in to other binds."""
        for account in self.accounts.values():
            account.leave()

    async def handed_in(self) -> None:
        """Return when every account has handed in all that it read."""
        await asyncio.gather(*(account.handed_in() for account in self.accounts.values()))

    async def stop(self, drain_ms: int) -> None:
        """Drain, unbind and close every account."""
        await asyncio.gather(*(account.stop(drain_ms) for account in self.accounts.values()))
