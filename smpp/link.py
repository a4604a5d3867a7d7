"""The SMPP session as a state machine without I/O, for an ESME and for an SMSC.

Octets go in with `receive`, octets to be written come out of `take`; what happened comes back as events. Time is an
argument, `now` in milliseconds on a clock that does not go back: `timer` says when to call `tick`.

What a PDU does where is a table (`states.py`); here is how. Requests wait and are matched in the `Window`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from smpp.constants import INTERFACE_VERSION, RESPONSE_BIT, CommandId, Status, Tag
from smpp.errors import CloseReason
from smpp.events import (
    Alerted,
    BindRefused,
    BindRequested,
    Bound,
    Closed,
    Delivered,
    Event,
    Ignored,
    Lost,
    Nacked,
    Outbound,
    Responded,
)
from smpp.framing import Framer
from smpp.pdu import (
    DECODERS,
    UNREADABLE,
    Alert,
    Bare,
    Bind,
    BindResp,
    Decoders,
    Delivery,
    Malformed,
    Message,
    MessageResp,
    Outbind,
    Packed,
    Pdu,
    Tlvs,
    Unknown,
    acknowledge,
    decode,
    encode,
    unpack_header,
)
from smpp.states import BOUND, DOES, MAY_SEND, MESSAGES, NONE, STATE_OF_BIND, Does, Role, State
from smpp.timers import Timers
from smpp.window import Answered, Request, Window


class LinkSettings(msgspec.Struct, frozen=True):
    """Limits of a link; times in milliseconds.

    `window` requests may be unanswered at once (many SMSCs allow 10), `queue` more wait for their turn. A link that
    heard nothing for `enquire_ms` asks; a request is given up after `response_ms`, a connection that is not bound
    after `bind_ms`. A link that carried no message for `inactivity_ms` is unbound; 0 for never (SMPP 3.4 §7.2). After
    the other side's unbind, responses under way are awaited for `linger_ms`. `max_pdu` is in octets: a message_payload
    of 64 KiB and room for the rest.
    """

    window: int = 10
    queue: int = 10_000
    enquire_ms: int = 30_000
    response_ms: int = 30_000
    bind_ms: int = 15_000
    inactivity_ms: int = 0
    linger_ms: int = 2_000
    max_pdu: int = 70_000


DEFAULTS: Final = LinkSettings()

_SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
_RSYSERR: Final = int(Status.RSYSERR)


class Link:
    """One connection and its bind state.

    What one of `decoders` makes of a message, where it is no `Message`, is told as it is.
    """

    def __init__(self, role: Role, settings: LinkSettings = DEFAULTS, decoders: Decoders = DECODERS) -> None:
        self.role = role
        self.settings = settings
        self.closed = False
        """Whether the connection is to be closed once `take()` is written."""
        self.timers = Timers(settings.response_ms, settings.enquire_ms, settings.inactivity_ms)
        """Its times; `timer` says when `tick` is due, and `timers.sooner` whether that is to be asked again."""
        self._framer = Framer(settings.max_pdu)
        self._decoders = decoders
        self._out: list[bytes] = []
        self._window = Window(settings.window, settings.queue, self.timers, self._out)
        self._state = State.OPEN
        self._bound_as = State.BOUND_TRX
        self._may_send: frozenset[int] = NONE
        self._handshake = 0  # the sequence number of our bind or unbind
        self._parting = CloseReason.UNBOUND  # why the link will be over, once it is UNBINDING
        self._enter(State.OPEN)

    # What may be asked of it ------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def bound(self) -> bool:
        """Whether messages may be sent now, in the direction that the bind allows."""
        return self._state in BOUND and self.timers.drain_deadline is None

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered yet."""
        return len(self._window.pending)

    @property
    def queued(self) -> int:
        """Requests that wait for the window."""
        return self._window.queued

    @property
    def urgent(self) -> int:
        """Requests among these that go before the others."""
        return len(self._window.urgent)

    @property
    def requested(self) -> int:
        """The sequence number of the latest request: how many there were, until it begins anew."""
        return self._window.sequence

    def take(self) -> bytes:
        """Return the octets to write since the last call, b"" for none."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    # Input ------------------------------------------------------------------------------------------------------

    def connected(self, now: int) -> None:
        """Say that the connection is there."""
        timers = self.timers
        timers.heard = now
        timers.state_deadline = now + self.settings.bind_ms
        timers.sooner = True

    def receive(self, data: bytes, now: int) -> list[Event]:
        """Take octets from the connection, cut anywhere."""
        events: list[Event] = []
        self.timers.heard = now
        framer = self._framer
        for frame in framer.feed(data):
            _, command, status, sequence = unpack_header(frame)
            take = self._takers.get(command)
            if take is not None:
                take(self, frame, command, status, sequence, now, events)
            elif not self.closed:
                self._take_other(frame, now, events)
        if framer.fault is not None and not self.closed:
            self._write(Bare(CommandId.GENERIC_NACK, 0, Status.RINVCMDLEN))
            self._close(CloseReason.BAD_LENGTH, events)
        return events

    def _take_other(self, frame: bytes, now: int, events: list[Event]) -> None:
        """Take a PDU that is no message and no response to one, or that has no place here."""
        pdu = decode(frame, self._decoders)
        action = self._actions.get(pdu.command)
        if action is None or type(pdu) is Malformed:
            _refuse(self, pdu, now, events)
        else:
            action(self, pdu, now, events)

    def lost(self, now: int) -> list[Event]:
        """Say that the connection is gone."""
        events: list[Event] = []
        if not self.closed:
            parting = self._state is State.UNBINDING
            self._close(self._parting if parting else CloseReason.CONNECTION_LOST, events)
        self._out.clear()
        return events

    def timer(self) -> int | None:
        """Return when `tick` must be called at the latest, None for never. A time that has passed means at once."""
        window = self._window
        return self.timers.soonest(self._state in BOUND, window.expiry(), window.release_due())

    def tick(self, now: int) -> list[Event]:
        """Do what is due by now."""
        events: list[Event] = []
        timers, window = self.timers, self._window
        timers.sooner = True
        if self.closed:
            return events
        if timers.state_deadline is not None and now >= timers.state_deadline:
            parting = self._state is State.UNBINDING
            self._close(self._parting if parting else CloseReason.BIND_TIMEOUT, events)
            return events
        window.expire(now, events)
        self._pump(now)
        if self._owed_nothing():
            self._close(self._parting, events)
            return events
        if timers.drain_deadline is not None and now >= timers.drain_deadline:
            self._send_unbind(now)
        if self._state in BOUND:
            due = timers.inactive()
            if due is not None and now >= due:
                timers.active = now  # whatever is under way or waits is activity
                if window.idle:
                    self._parting = CloseReason.INACTIVE
                    self._send_unbind(now)
        if self._state in BOUND and now >= timers.enquiry_due():
            if timers.enquiry:
                self._close(CloseReason.NOT_ANSWERING, events)
            else:
                sequence = window.next_sequence()
                timers.enquired(sequence, now)
                self._write(Bare(CommandId.ENQUIRE_LINK, sequence))
        return events

    # Binding and unbinding --------------------------------------------------------------------------------------

    def bind(self, pdu: Bind, now: int) -> None:
        """ESME side: ask to be bound. Raises `ValueError` where the link is not fresh or a field does not fit."""
        if self._state is not State.OPEN or self.role is not Role.ESME:
            raise ValueError(f"cannot bind: {self.role.name} link is {self._state.name}")
        self._bound_as = STATE_OF_BIND[CommandId(pdu.command)]
        self._handshake = self._window.next_sequence()
        self._out.append(encode(pdu, self._handshake))
        self._enter(State.BINDING)
        self.timers.state_deadline = now + self.settings.bind_ms

    def accept(self, pdu: Bind, system_id: str, now: int) -> list[Event]:
        """SMSC side: grant the bind that `BindRequested` told of; `system_id` is the SMSC's name."""
        if self._state is not State.BINDING:
            return []
        tlvs = {int(Tag.SC_INTERFACE_VERSION): bytes((INTERFACE_VERSION,))} if pdu.interface_version >= 0x34 else {}
        response = BindResp(pdu.command | RESPONSE_BIT, pdu.sequence, Status.ROK, system_id, tlvs)
        self._write(response)
        self.timers.heard = self.timers.active = now
        self._enter(STATE_OF_BIND[CommandId(pdu.command)])
        return [Bound(response)]

    def refuse(self, pdu: Bind, status: int, now: int) -> list[Event]:
        """SMSC side: refuse the bind that `BindRequested` told of, and close."""
        events: list[Event] = []
        if self._state is State.BINDING:
            self._write(BindResp(pdu.command | RESPONSE_BIT, pdu.sequence, status))
            self._close(CloseReason.BIND_REFUSED, events)
        return events

    def unbind(self, now: int, drain_ms: int = 0) -> list[Event]:
        """Take no more messages, wait up to `drain_ms` for those under way, unbind and close."""
        events: list[Event] = []
        if self._state in (State.OPEN, State.BINDING):
            self._close(CloseReason.UNBOUND, events)
        elif self._state in BOUND:
            self.timers.drain_deadline = now + drain_ms
            self.timers.sooner = True
            self._may_send = NONE
            self._window.hold(0)
            self._pump(now)  # unbinds at once where nothing is under way
            if not drain_ms and self._state is not State.UNBINDING:
                self._send_unbind(now)
        return events

    def _send_unbind(self, now: int) -> None:
        self.timers.drain_deadline = None
        self._handshake = self._window.next_sequence()
        self._write(Bare(CommandId.UNBIND, self._handshake))
        self._enter(State.UNBINDING)
        self.timers.state_deadline = now + self.settings.response_ms

    # Messages ---------------------------------------------------------------------------------------------------

    def send(self, message: Message | Packed, tag: Any, now: int, *, urgent: bool = False) -> bool:
        """Send a message when the window allows; `tag` comes back with its outcome.

        The link gives it a sequence number. Urgent messages overtake the others that still wait. False: not taken,
        because the link is not bound for it or its queue is full; no event will follow. Raises `ValueError` where a
        field does not fit.
        """
        return message.command in self._may_send and self._window.send(message, tag, now, urgent)

    def respond(self, pdu: Delivery, status: int = 0, message_id: str = "", tlvs: Tlvs | None = None) -> bool:
        """Answer a delivered message; False where the link has closed meanwhile."""
        if self.closed:
            return False
        if status or message_id or tlvs:
            self._write(MessageResp(pdu.command | RESPONSE_BIT, pdu.sequence, status, message_id, tlvs or {}))
        else:
            self._out.append(acknowledge(pdu))
        return True

    def answer(self, answers: Sequence[Answered], now: int) -> list[Event]:
        """Respond that deliver_sms were taken, and send a submit_sm behind each response, as what is urgent.

        Every USSD step passes here; what is answered together is sent together.
        """
        sent = self._window.answer(answers, now) if _SUBMIT_SM in self._may_send else 0
        events: list[Event] = []
        for delivered, body, tag in answers[sent:]:
            self._write(MessageResp(CommandId.DELIVER_SM_RESP, delivered))
            if not self.send(Packed(_SUBMIT_SM, body), tag, now, urgent=True):
                events.append(Lost(tag, False))
        return events

    def submit(self, requests: Sequence[Request], now: int, brief: bool) -> list[Request]:
        """Send submit_sms as `send` does each, for less; return those that were not taken.

        Every SMS and push passes here. Where `brief`, the response of one that was taken is not wanted: its tag may be
        told instead, as that of an urgent one is.
        """
        sent = self._window.submit(requests, now, brief) if _SUBMIT_SM in self._may_send else 0
        return [one for one in requests[sent:] if not self.send(Packed(_SUBMIT_SM, one.body), one, now)]

    def hold(self, until: int, now: int) -> None:
        """Let the messages that are not urgent wait until `until`, in their order: the other side is throttling."""
        self._window.hold(until)
        self.timers.sooner = True
        self._pump(now)

    def _pump(self, now: int) -> None:
        """Send what waits, as far as the window allows; unbind where that was put off until nothing is left."""
        window = self._window
        window.pump(now)
        if self.timers.drain_deadline is not None:
            if window.idle and self._state in BOUND:
                self._send_unbind(now)
            else:
                window.waits = True  # for the last response

    def _answered(self, now: int, events: list[Event]) -> None:
        """Do what a request that was under way held up."""
        if self._owed_nothing():
            self._close(self._parting, events)
        else:
            self._pump(now)

    # Inside -----------------------------------------------------------------------------------------------------

    def _write(self, pdu: Pdu) -> None:
        self._out.append(encode(pdu))

    def _enter(self, state: State) -> None:
        self._state = state
        self.closed = state is State.CLOSED
        self._takers = _TAKERS[self.role, state]
        self._actions = _ACTIONS[self.role, state]
        self._may_send = MAY_SEND[self.role, state]
        self.timers.sooner = True
        if state in BOUND or state is State.CLOSED:
            self.timers.state_deadline = None

    def _close(self, reason: CloseReason, events: list[Event]) -> None:
        self._enter(State.CLOSED)
        self.timers.drain_deadline = None
        self._window.lose_all(events)
        events.append(Closed(reason))

    def _owed_nothing(self) -> bool:
        """Return whether the other side has unbound, and every response that it owed us is there or given up."""
        return self._state is State.UNBINDING and self.timers.drain_deadline is not None and not self._window.pending


# What each PDU does ---------------------------------------------------------------------------------------------

_Action: TypeAlias = Callable[[Link, Any, int, list[Event]], None]

_Taker: TypeAlias = Callable[[Link, bytes, int, int, int, int, list[Event]], None]
"""Takes a PDU as it came, its command, status and sequence number: messages and responses, nearly all that comes."""


def _deliver(link: Link, frame: bytes, command: int, status: int, sequence: int, now: int, events: list[Event]) -> None:
    try:
        message = link._decoders[command](frame, command, status, sequence)
    except UNREADABLE:
        link._take_other(frame, now, events)
        return
    link.timers.active = now
    events.append(Delivered(message) if type(message) is Message else message)


def _settle(link: Link, frame: bytes, command: int, status: int, sequence: int, now: int, events: list[Event]) -> None:
    """Match a response to its request."""
    window = link._window
    request = window.pending.get(sequence)
    if request is None or request.answer != command:
        link._take_other(frame, now, events)
        return
    del window.pending[sequence]
    if request.brief and not status:
        events.append(request.tag)
    else:
        pdu = link._decoders[command](frame, command, status, sequence)  # that of a response reads whatever comes
        events.append(Responded(request.tag, status, pdu))
    if window.waits:
        link._answered(now, events)


def _nacked(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    """Find out which of our requests a generic_nack is about."""
    pending, enquiry = link._window.pending, link.timers.enquiry
    if enquiry and pdu.sequence == enquiry:
        _alive(link, pdu, now, events)  # it does not know enquire_link, but it is there
    elif link._state is State.BINDING and pdu.sequence == link._handshake:
        events.append(BindRefused(pdu.status))
        link._close(CloseReason.BIND_REFUSED, events)
    elif link._state is State.UNBINDING and pdu.sequence == link._handshake:
        link._close(link._parting, events)
    elif pdu.sequence in pending:  # a refusal, though it may give no reason
        request = pending.pop(pdu.sequence)
        events.append(Responded(request.tag, pdu.status or _RSYSERR, pdu))
        if link._window.waits:
            link._answered(now, events)
    else:
        events.append(Ignored(pdu))


def _answer_enquiry(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    link._write(Bare(CommandId.ENQUIRE_LINK_RESP, pdu.sequence))


def _alive(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    # Any sequence number will do: some SMSCs answer with another one, and it proves the same.
    link.timers.alive()


def _ask_owner(link: Link, pdu: Bind, now: int, events: list[Event]) -> None:
    link._enter(State.BINDING)
    events.append(BindRequested(pdu))


def _bind_answered(link: Link, pdu: BindResp, now: int, events: list[Event]) -> None:
    if pdu.status:
        events.append(BindRefused(pdu.status))
        link._close(CloseReason.BIND_REFUSED, events)
    else:
        link._enter(link._bound_as)
        link.timers.active = now
        events.append(Bound(pdu))


def _already_bound(link: Link, pdu: Bind, now: int, events: list[Event]) -> None:
    link._write(BindResp(pdu.command | RESPONSE_BIT, pdu.sequence, Status.RALYBND))
    events.append(Nacked(pdu, Status.RALYBND, "a bind on a link that has one"))


def _peer_unbinds(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    """Answer, and close once what is under way has its responses, which may be on their way behind the unbind."""
    link._write(Bare(CommandId.UNBIND_RESP, pdu.sequence))
    if link._state not in BOUND or not link._window.pending:
        link._close(CloseReason.UNBOUND_BY_PEER, events)
        return
    link._window.lose_queued(events)
    link._enter(State.UNBINDING)
    link._parting = CloseReason.UNBOUND_BY_PEER
    link._handshake = 0
    link.timers.state_deadline = link.timers.drain_deadline = now + link.settings.linger_ms
    link._window.waits = True


def _unbound(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    link._close(link._parting, events)


def _busy(link: Link, pdu: Message, now: int, events: list[Event]) -> None:
    link.respond(pdu, Status.RX_T_APPN)
    events.append(Nacked(pdu, Status.RX_T_APPN, "a message while unbinding"))


def _left(link: Link, pdu: Message, now: int, events: list[Event]) -> None:
    """Leave it without a response: an error would end a dialogue that the SMSC can give to another bind."""


def _alert(link: Link, pdu: Alert, now: int, events: list[Event]) -> None:
    events.append(Alerted(pdu))


def _outbind(link: Link, pdu: Outbind, now: int, events: list[Event]) -> None:
    events.append(Outbound(pdu))


def _refuse(link: Link, pdu: Pdu | Malformed, now: int, events: list[Event]) -> None:
    """Answer what makes no sense, or not in this state. The link lives on."""
    response: Pdu | None
    if isinstance(pdu, Malformed):
        status, reason = pdu.error, pdu.reason
    elif pdu.command & RESPONSE_BIT:
        events.append(Ignored(pdu))
        return
    elif type(pdu) is Unknown:
        status, reason = int(Status.RINVCMDID), "an unknown command"
    else:
        status, reason = int(Status.RINVBNDSTS), f"not while {link._state.name}"
    if pdu.command in MESSAGES:
        response = MessageResp(pdu.command | RESPONSE_BIT, pdu.sequence, status)
    elif pdu.command in STATE_OF_BIND:
        response = BindResp(pdu.command | RESPONSE_BIT, pdu.sequence, status)
    elif pdu.command in _UNANSWERED:
        response = None
    else:
        response = Bare(CommandId.GENERIC_NACK, pdu.sequence, status)
    if response is not None:
        link._write(response)
    events.append(Nacked(pdu, status, reason))


_UNANSWERED: Final = frozenset({CommandId.OUTBIND, CommandId.ALERT_NOTIFICATION})

_TAKER: Final[dict[Does, _Taker]] = {Does.DELIVER: _deliver, Does.SETTLE: _settle}
_ACTION: Final[dict[Does, _Action]] = {
    Does.ASK_OWNER: _ask_owner,
    Does.ANSWER_BIND: _bind_answered,
    Does.BIND_AGAIN: _already_bound,
    Does.UNBIND: _peer_unbinds,
    Does.ANSWER_UNBIND: _unbound,
    Does.BE_LEFT: _left,
    Does.BE_PUT_OFF: _busy,
    Does.ENQUIRE: _answer_enquiry,
    Does.PROVE_ALIVE: _alive,
    Does.NACK: _nacked,
    Does.ALERT: _alert,
    Does.OUTBIND: _outbind,
}
_TAKERS: Final = {
    where: {command: _TAKER[does] for command, does in row.items() if does in _TAKER} for where, row in DOES.items()
}
_ACTIONS: Final = {
    where: {command: _ACTION[does] for command, does in row.items() if does in _ACTION} for where, row in DOES.items()
}
