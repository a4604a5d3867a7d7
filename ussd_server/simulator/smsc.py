"""The operator's side: an SMSC and USSD gateway that services bind to, with the phones of its subscribers.

It speaks one dialect to every service. A dialogue stays with the account that it began with and moves to another of
its links when one is lost. An SMS that no service takes now is kept and tried again, as the store-and-forward of an
SMSC does; a USSD message is not.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from smpp import alphabets, ussd
from smpp.constants import Status
from smpp.dialect import BUSY, MISMATCH, NOT_FOUND, STANDARD, TOO_LONG, Dialect
from smpp.events import BindRequested, Closed, Delivered, Expired, Lost, Responded
from smpp.events import Event as LinkEvent
from smpp.link import Link
from smpp.pdu import Bind, Message
from smpp.segments import Style
from smpp.transport import Connection, Listener, listen
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator import protocol
from ussd_server.simulator.deliveries import Deliveries, Letter, Outgoing, Subscriber
from ussd_server.simulator.faults import MOST_DELAY_MS, Fault, Script, usual, wrong_with
from ussd_server.simulator.measure import fits, part_of, usage
from ussd_server.simulator.messages import (
    ADDRESS_CHARACTERS,
    End,
    can_be_dialled,
    can_be_said,
    receipt_of,
    service_code,
    sms_messages,
    ussd_message,
)
from ussd_server.simulator.phone import Part, Phone, Timers, Utterance, together
from ussd_server.simulator.services import Service, Services
from ussd_server.simulator.transit import Line, RecordedLink
from ussd_server.simulator.trouble import FORMS, Trouble
from ussd_server.simulator.wire import Direction, Recorder

MOST_PHONES: Final = 50
MOST_TEXT: Final = 2_000
RECEIPT_MS: Final = 500
"""How long a phone takes to confirm an SMS. Sooner, the receipt could overtake a response that goes by another link."""

NUMBER_DIGITS: Final = (5, 15)
"""A phone's number: E.164 allows 15 digits, and nobody has fewer than five."""

RECEIPT_BITS: Final = 0x03
RECEIPT_ALWAYS: Final = 0x01
RECEIPT_OF_FAILURE: Final = 0x02
"""registered_delivery: a receipt of the final outcome, whichever it is, or only of a failure (SMPP 3.4, 5.2.17)."""


def wall_clock() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Smsc:
    """An SMSC on `host:port` (port 0: any free one, see `port` after `start`) with phones.

    `accounts` are the system ids that may bind, with their passwords; None lets anybody bind. `clock` gives
    milliseconds since 1970 UTC. `dialect` is how it spells USSD, `end` how every SMS to a phone ends, as receipts tell
    where they are asked for, and `style` how long ones from a phone are cut. `faults` is what goes wrong, and when.
    Whoever wants to see what happens puts a callback into `listeners`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        accounts: Mapping[str, Secret[str]] | None = None,
        phones: Iterable[str] = (),
        timers: Timers | None = None,
        clock: Callable[[], int] = wall_clock,
        dialect: Dialect = STANDARD,
        end: End = "delivered",
        style: Style = "udh8",
        faults: Script | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.listeners: set[Callable[[protocol.AnyEvent], None]] = set()
        self._timers = timers or Timers()
        self._clock = clock
        self._dialect = dialect
        self._end = end
        self._style = style
        self._recorder = Recorder(lambda entry: self._tell(protocol.Passed(entry)), dialect)
        self._subscribers = {msisdn: Subscriber(Phone(msisdn, self._timers)) for msisdn in phones}
        self._services = Services(accounts)
        self._to_service = Line()
        self._from_service = Line()
        self._receipts = Line(RECEIPT_MS)
        self._delay_ms = 0
        self._trouble = Trouble(faults, clock, self._services.first, self._network_changed)
        self._deliveries = Deliveries(self._services, self._to_service, self._trouble, self._changed)
        self._listener: Listener | None = None
        self._links = 0
        # Not from 0: a simulator that starts anew must not number a dialogue as the one before it did.
        self._sessions = clock() % dialect.ids
        self._references = 0
        self._messages = 0

    # Life -----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen; raises OSError where the address cannot be had."""
        self._listener = await listen(self.host, self.port, self._new_link, self._on_event)
        self.port = self._listener.port
        self._trouble.start()

    async def stop(self) -> None:
        """Unbind every service and close the port."""
        self._trouble.stop()
        if self._listener is not None:
            await self._listener.close()
        for line in (self._to_service, self._from_service, self._receipts):
            line.close()
        for subscriber in self._subscribers.values():
            _stop(subscriber.timer)
        self._deliveries.stop()

    def hello(self, quick: tuple[protocol.Shortcut, ...] = ()) -> protocol.Hello:
        """Return all that there is to see now."""
        phones = tuple(subscriber.view() for subscriber in self._subscribers.values())
        return protocol.Hello(self._clock(), phones, self._network(), self._recorder.entries, quick, FORMS)

    # What pages ask for ---------------------------------------------------------------------------------------------

    def perform(self, command: protocol.AnyCommand) -> protocol.Problem | None:
        """Carry a command out; None where that was possible."""
        if isinstance(command, protocol.Clear):
            self._recorder.clear()
            self._tell(protocol.Cleared())
            return None
        if isinstance(command, protocol.Delay):
            return self._delay(command.ms)
        if isinstance(command, protocol.Inject):
            return self._inject(command.fault)
        if isinstance(command, protocol.Calm):
            self._trouble.calm()
            return None
        if isinstance(command, protocol.Add):
            return self._add(command.phone)
        subscriber = self._subscribers.get(command.phone)
        if subscriber is None:
            return "bad_number"
        if isinstance(command, protocol.Remove):
            self._remove(subscriber)
            return None
        problem = self._act(subscriber, command)
        self._changed(subscriber)
        return problem

    def _act(self, subscriber: Subscriber, command: protocol.AnyCommand) -> protocol.Problem | None:
        phone = subscriber.phone
        match command:
            case protocol.Dial(text=text):
                return self._dial(subscriber, text)
            case protocol.Answer(text=text):
                if not can_be_said(text, self._dialect):
                    return "bad_text"
                self._utter(subscriber, phone.answer(text, self._clock()))
            case protocol.Cancel():
                self._utter(subscriber, phone.cancel())
            case protocol.Drop():
                self._utter(subscriber, phone.drop())
            case protocol.Dismiss():
                phone.dismiss()
            case protocol.Write(to=to, text=text):
                return self._write(subscriber, to, text)
            case protocol.Forget():
                phone.forget()
            case protocol.Redeliver():
                self._redeliver(subscriber)
        return None

    def _dial(self, subscriber: Subscriber, code: str) -> protocol.Problem | None:
        if not code or not can_be_dialled(code, self._dialect):
            return "bad_text"
        *given_up, begin = subscriber.phone.dial(code, self._new_session(), self._clock())
        self._utter(subscriber, given_up)
        # The account is chosen when the message is sent: with a delay, whoever is bound then.
        subscriber.account, subscriber.code = "", service_code(code)
        self._utter(subscriber, (begin,))
        return None

    def _new_session(self) -> int:
        self._sessions = (self._sessions + 1) % self._dialect.ids
        return self._sessions

    def _redeliver(self, subscriber: Subscriber) -> None:
        last = subscriber.last
        if last is not None:
            # Its outcome was counted already, so the letter is left out.
            self._deliveries.pass_on(replace(last, letter=None, account=last.account or subscriber.account))

    def _write(self, subscriber: Subscriber, to: str, text: str) -> protocol.Problem | None:
        if not 0 < len(to) <= ADDRESS_CHARACTERS or not to.isascii() or not to.isprintable():
            return "bad_number"
        if len(text) > MOST_TEXT:
            return "bad_text"
        self._references = (self._references + 1) % 0x10000
        messages = sms_messages(subscriber.phone.msisdn, to, text, self._references, self._style)
        measured = together(usage(message) for message in messages)
        letter = Letter(subscriber.phone.write(to, text, measured, self._clock()).id, len(messages))
        for message in messages:
            self._deliveries.pass_on(Outgoing(message, subscriber, letter=letter))
        return None

    def _add(self, msisdn: str) -> protocol.Problem | None:
        least, most = NUMBER_DIGITS
        if not (msisdn.isascii() and msisdn.isdigit() and least <= len(msisdn) <= most):
            return "bad_number"
        if msisdn in self._subscribers:
            return None
        if len(self._subscribers) >= MOST_PHONES:
            return "too_many"
        self._subscribers[msisdn] = Subscriber(Phone(msisdn, self._timers))
        self._changed(self._subscribers[msisdn])
        return None

    def _remove(self, subscriber: Subscriber) -> None:
        self._utter(subscriber, subscriber.phone.cancel())
        _stop(subscriber.timer)
        del self._subscribers[subscriber.phone.msisdn]
        self._tell(protocol.Removed(subscriber.phone.msisdn))

    def _delay(self, ms: int) -> protocol.Problem | None:
        if not 0 <= ms <= MOST_DELAY_MS:
            return "bad_command"
        self._delay_ms = ms
        self._network_changed()
        return None

    def _inject(self, fault: Fault) -> protocol.Problem | None:
        fault = usual(fault)
        if wrong_with(fault) is not None:
            return "bad_command"
        return None if self._trouble.inject(fault) else "nobody_bound"

    # To services ----------------------------------------------------------------------------------------------------

    def _utter(self, subscriber: Subscriber, utterances: Iterable[Utterance]) -> None:
        """Pass on what the phone's dialogue brings about."""
        for utterance in utterances:
            message = ussd_message(subscriber.phone.msisdn, utterance, subscriber.code, self._dialect)
            if message is not None:
                self._deliveries.pass_on(Outgoing(message, subscriber, subscriber.account, utterance))

    # From services --------------------------------------------------------------------------------------------------

    def _new_link(self) -> Link:
        self._links += 1
        return RecordedLink(self._links, self._record, lambda: self._trouble.silent)

    def _record(self, link: RecordedLink, frame: bytes, direction: Direction) -> None:
        self._recorder.record(frame, direction, link.number, link.system_id, self._clock())

    def _on_event(self, connection: Connection, event: LinkEvent) -> None:
        match event:
            case BindRequested(pdu=bind):
                self._bind(connection, bind)
            case Delivered(pdu=message):
                self._from_service.pass_on(lambda: self._submitted(connection, message))
            case Responded(tag=delivery, status=status):
                self._from_service.pass_on(lambda: self._deliveries.responded(delivery, status))
            case Expired(tag=delivery):
                self._deliveries.unanswered(delivery)
            case Lost(tag=delivery):
                self._deliveries.unanswered(delivery)
            case Closed():
                self._closed(connection)

    def _bind(self, connection: Connection, bind: Bind) -> None:
        if self._services.bind(connection, bind):
            self._network_changed()
            self._deliveries.forward()

    def _closed(self, connection: Connection) -> None:
        service = self._services.closed(connection)
        if service is None:
            return
        self._network_changed()
        if self._services.route(service.system_id) is not None:
            return
        for subscriber in self._subscribers.values():
            if subscriber.account == service.system_id and subscriber.phone.is_open():
                subscriber.phone.fail("lost")
                self._changed(subscriber)

    def _submitted(self, connection: Connection, message: Message) -> None:
        """Answer a submit_sm, then show it on the phone that it is for."""
        service = self._services.at(connection)
        if service is None:
            return
        reply = ussd.read_reply(message, self._dialect)
        refusal = self._trouble.refusal(reply is not None)
        subscriber = self._subscribers.get(message.destination_addr)
        if refusal:
            connection.respond(message, refusal)
        elif subscriber is None:
            connection.respond(message, Status.RINVDSTADR)
        elif reply is not None:
            status, said = self._show(service, subscriber, message, reply)
            connection.respond(message, status, self._message_id())
            self._utter(subscriber, said)
        elif not fits(message):
            connection.respond(message, Status.RINVMSGLEN)
        else:
            message_id = self._message_id()
            connection.respond(message, Status.ROK, message_id)
            self._receive(service, subscriber, message, message_id)
        self._trouble.message(connection)

    def _show(
        self, service: Service, subscriber: Subscriber, message: Message, reply: ussd.Reply
    ) -> tuple[int, tuple[Utterance, ...]]:
        """Show a screen, in the open dialogue or as the first of one.

        Returns what was wrong with it, and what the phone says to it.
        """
        phone, dialect = subscriber.phone, self._dialect
        if not fits(message, dialect):
            return dialect.status(TOO_LONG, Status.RINVMSGLEN), ()
        if not reply.text and not reply.releases:
            return Status.RINVMSGLEN, ()
        session = reply.session
        if session is None and dialect.session_tag is None and phone.dialogue is not None and phone.is_open():
            session = phone.dialogue.session  # no id travels: what comes is for the dialogue that is open
        if reply.opens and (session is None or not phone.is_open(session)):
            return self._push(service, subscriber, message, reply)
        if session is None and dialect.session_tag is not None:
            return dialect.status(MISMATCH, Status.RMISSINGOPTPARAM), ()
        if session is None or subscriber.account != service.system_id or not phone.is_open(session):
            return dialect.status(NOT_FOUND, Status.RINVOPTPARAMVAL), ()
        if reply.releases:
            phone.close(session)
        elif not phone.show(session, reply.text, reply.ends, usage(message, dialect), self._clock()):
            return dialect.status(MISMATCH, Status.RINVOPTPARAMVAL), ()
        self._changed(subscriber)
        # A notification is confirmed where it is the last text of a dialogue, too.
        return Status.ROK, phone.confirm(session) if reply.opens and reply.ends else ()

    def _push(
        self, service: Service, subscriber: Subscriber, message: Message, reply: ussd.Reply
    ) -> tuple[int, tuple[Utterance, ...]]:
        """Begin a dialogue from the service's side, under its number or, where it gives none, one of our own."""
        session = self._new_session() if reply.session is None else reply.session
        measured = usage(message, self._dialect)
        phone, open_before = subscriber.phone, subscriber.phone.is_open()
        said = phone.push(session, message.source_addr, reply.text, reply.ends, measured, self._clock())
        if said is None:
            busy = self._dialect.status(BUSY, Status.RX_T_APPN)
            return (busy if open_before else self._dialect.status(NOT_FOUND, Status.RINVOPTPARAMVAL)), ()
        subscriber.account, subscriber.code = service.system_id, message.source_addr
        self._changed(subscriber)
        return Status.ROK, said

    def _receive(self, service: Service, subscriber: Subscriber, message: Message, message_id: str) -> None:
        """Put an SMS on the phone, unless none get there, and send the receipt that was asked for."""
        if self._end == "delivered":
            self._arrive(subscriber, message)
        asked = message.registered_delivery & RECEIPT_BITS
        if asked == RECEIPT_ALWAYS or (asked == RECEIPT_OF_FAILURE and self._end != "delivered"):
            receipt = receipt_of(message, message_id, self._clock(), self._end)
            delivery = Outgoing(receipt, subscriber, service.system_id)
            self._receipts.pass_on(lambda: self._deliveries.pass_on(delivery))

    def _arrive(self, subscriber: Subscriber, message: Message) -> None:
        text = alphabets.decode(message.user_data, message.data_coding)
        part = part_of(message)
        reference, index, total = (part.reference, part.index, part.total) if part else (0, 1, 1)
        got = Part(message.source_addr, text, reference, total, index, usage(message))
        subscriber.phone.receive(got, self._clock())
        self._changed(subscriber)

    def _message_id(self) -> str:
        self._messages += 1
        return str(self._messages)

    # What is to be seen ---------------------------------------------------------------------------------------------

    def _network(self) -> protocol.Network:
        binds = self._services.binds()
        return protocol.Network(f"{self.host}:{self.port}", binds, self._delay_ms, self._trouble.going)

    def _network_changed(self) -> None:
        self._to_service.delay_ms = self._from_service.delay_ms = max(self._delay_ms, self._trouble.delay_ms)
        self._tell(protocol.NetworkChanged(self._network(), self._clock()))

    def _changed(self, subscriber: Subscriber) -> None:
        """Wind the gateway's timer for a phone, and tell who watches."""
        if subscriber.phone.msisdn not in self._subscribers:
            return
        _stop(subscriber.timer)
        now, until = self._clock(), subscriber.phone.timer()
        subscriber.timer = None
        if until is not None:
            delay = max(0, until - now) / 1000
            subscriber.timer = asyncio.get_running_loop().call_later(delay, self._expire, subscriber)
        self._tell(protocol.PhoneChanged(now, subscriber.view()))

    def _expire(self, subscriber: Subscriber) -> None:
        self._utter(subscriber, subscriber.phone.expire(self._clock()))
        self._changed(subscriber)

    def _tell(self, event: protocol.AnyEvent) -> None:
        for listener in tuple(self.listeners):
            listener(event)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
