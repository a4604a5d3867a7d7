"""The SMPP session as a state machine without I/O, for an ESME and for an SMSC.

Octets go in with `receive`, octets to be written come out of `take`; what happened comes back as events. Time is an
argument, `now` in milliseconds on a clock that does not go back: `timer` says when to call `tick`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Final, Protocol, TypeAlias, TypeVar

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
    Expired,
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
    acknowledge_and_submit,
    decode,
    encode,
    submit,
    unpack_header,
)

LAST_SEQUENCE: Final = 0x7FFFFFFF
"""Sequence numbers go from 1 to this and then from 1 again (SMPP 3.4 §3.2)."""


class Role(Enum):
    """Which side of the link this is."""

    ESME = auto()
    SMSC = auto()


class State(Enum):
    """Where the session stands (SMPP 3.4 §2.2). BINDING and UNBINDING wait for a response."""

    OPEN = auto()
    BINDING = auto()
    BOUND_TRX = auto()
    BOUND_TX = auto()
    BOUND_RX = auto()
    UNBINDING = auto()
    CLOSED = auto()


class Submitted(Protocol):
    """Whatever a submit_sm is made of; it is the tag of that as well."""

    @property
    def body(self) -> bytes:
        """What follows the header."""


Request = TypeVar("Request", bound=Submitted)

Answered: TypeAlias = tuple[int, bytes, Any]
"""The number of a deliver_sm that was taken, the body of the submit_sm that answers it, and the tag of that."""


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


class _Request(msgspec.Struct, frozen=True, gc=False):
    """A request on its way: what to tell whom when it is answered, by a PDU of `answer`, or not by `deadline`.

    The cycle collector need not know it: a link forgets its requests when it closes, whatever their tags refer to.
    """

    tag: Any
    answer: int
    deadline: int
    brief: bool = False
    """Whether it is told by its tag alone that the other side took it."""


_STATE_OF_BIND: Final = {
    CommandId.BIND_TRANSCEIVER: State.BOUND_TRX,
    CommandId.BIND_TRANSMITTER: State.BOUND_TX,
    CommandId.BIND_RECEIVER: State.BOUND_RX,
}
_BOUND: Final = frozenset(_STATE_OF_BIND.values())
_NEVER: Final = 1 << 63
_SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
_SUBMIT_SM_RESP: Final = int(CommandId.SUBMIT_SM_RESP)
_GENERIC_NACK: Final = int(CommandId.GENERIC_NACK)
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
        self.due_sooner = True
        """Whether `tick` may be due sooner than `timer` last said; as long as not, a timer that runs may be left."""
        self._window, self._response_ms = settings.window, settings.response_ms  # every message asks for them
        self._framer = Framer(settings.max_pdu)
        self._decoders = decoders
        self._out: list[bytes] = []
        self._state = State.OPEN
        self._sequence = 0
        self._bound_as = State.BOUND_TRX
        # Response times are the same for all requests, so the first of the dict is the first to expire.
        self._pending: dict[int, _Request] = {}
        self._urgent: deque[tuple[Any, bytes]] = deque()
        self._queue: deque[tuple[Any, bytes]] = deque()
        self._may_send: frozenset[int] = frozenset()
        self._held_until = 0
        self._waits = False
        """Whether something waits, is held or is to end, so that whatever goes or comes is `_pump`'s affair."""
        self._heard = 0
        self._active = 0  # when the last message or response went either way
        self._enquiry: _Request | None = None
        self._handshake = 0  # the sequence number of our bind or unbind
        self._state_deadline: int | None = None
        self._told_due = _NEVER  # what `timer` last said
        self._drain_deadline: int | None = None
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
        return self._state in _BOUND and self._drain_deadline is None

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered yet."""
        return len(self._pending)

    @property
    def queued(self) -> int:
        """Requests that wait for the window."""
        return len(self._urgent) + len(self._queue)

    @property
    def urgent(self) -> int:
        """Requests among these that go before the others."""
        return len(self._urgent)

    @property
    def requested(self) -> int:
        """The sequence number of the latest request: how many there were, until it begins anew."""
        return self._sequence

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
        self._heard = now
        self._state_deadline = now + self.settings.bind_ms
        self.due_sooner = True

    def receive(self, data: bytes, now: int) -> list[Event]:
        """Take octets from the connection, cut anywhere."""
        events: list[Event] = []
        self._heard = now
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
        due = None
        if not self.closed:
            due = self._state_deadline
            dues = (self._expiry(), self._enquiry_due(), self._drain_deadline, self._release(), self._inactive())
            for candidate in dues:
                if candidate is not None and (due is None or candidate < due):
                    due = candidate
        self._told_due = _NEVER if due is None else due
        self.due_sooner = False
        return due

    def _expiry(self) -> int | None:
        for request in self._pending.values():
            return request.deadline
        return None

    def _enquiry_due(self) -> int | None:
        if self._state not in _BOUND:
            return None
        return self._enquiry.deadline if self._enquiry else self._heard + self.settings.enquire_ms

    def _release(self) -> int | None:
        return self._held_until if self._held_until and self._queue else None

    def _inactive(self) -> int | None:
        """Return when the link is to be given up, because nobody needs it."""
        span = self.settings.inactivity_ms
        return self._active + span if span and self._state in _BOUND and self._drain_deadline is None else None

    def tick(self, now: int) -> list[Event]:
        """Do what is due by now."""
        events: list[Event] = []
        self.due_sooner = True
        if self.closed:
            return events
        if self._state_deadline is not None and now >= self._state_deadline:
            parting = self._state is State.UNBINDING
            self._close(self._parting if parting else CloseReason.BIND_TIMEOUT, events)
            return events
        self._expire(now, events)
        if self._owed_nothing():
            self._close(self._parting, events)
            return events
        if self._drain_deadline is not None and now >= self._drain_deadline:
            self._send_unbind(now)
        due = self._inactive()
        if due is not None and now >= due:
            self._active = now  # whatever is under way or waits is activity
            if not self._pending and not self.queued:
                self._parting = CloseReason.INACTIVE
                self._send_unbind(now)
        due = self._enquiry_due()
        if due is not None and now >= due:
            if self._enquiry is not None:
                self._close(CloseReason.NOT_ANSWERING, events)
                return events
            sequence = self._next_sequence()
            self._enquiry = _Request(sequence, CommandId.ENQUIRE_LINK_RESP, now + self.settings.response_ms)
            self._write(Bare(CommandId.ENQUIRE_LINK, sequence))
        return events

    def _expire(self, now: int, events: list[Event]) -> None:
        pending = self._pending
        while pending:
            sequence, request = next(iter(pending.items()))
            if request.deadline > now:
                break
            del pending[sequence]
            events.append(Expired(request.tag))
        self._pump(now)

    # Binding and unbinding --------------------------------------------------------------------------------------

    def bind(self, pdu: Bind, now: int) -> None:
        """ESME side: ask to be bound. Raises `ValueError` where the link is not fresh or a field does not fit."""
        if self._state is not State.OPEN or self.role is not Role.ESME:
            raise ValueError(f"cannot bind: {self.role.name} link is {self._state.name}")
        self._bound_as = _STATE_OF_BIND[CommandId(pdu.command)]
        self._handshake = self._next_sequence()
        self._out.append(encode(pdu, self._handshake))
        self._enter(State.BINDING)
        self._state_deadline = now + self.settings.bind_ms

    def accept(self, pdu: Bind, system_id: str, now: int) -> list[Event]:
        """SMSC side: grant the bind that `BindRequested` told of; `system_id` is the SMSC's name."""
        if self._state is not State.BINDING:
            return []
        tlvs = {int(Tag.SC_INTERFACE_VERSION): bytes((INTERFACE_VERSION,))} if pdu.interface_version >= 0x34 else {}
        response = BindResp(pdu.command | RESPONSE_BIT, pdu.sequence, Status.ROK, system_id, tlvs)
        self._write(response)
        self._heard = self._active = now
        self._enter(_STATE_OF_BIND[CommandId(pdu.command)])
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
        elif self._state in _BOUND:
            self._drain_deadline = now + drain_ms
            self._may_send = _NONE
            self._held_until = 0
            self.due_sooner = True
            self._pump(now)  # unbinds at once where nothing is under way
            if not drain_ms and self._state is not State.UNBINDING:
                self._send_unbind(now)
        return events

    def _send_unbind(self, now: int) -> None:
        self._drain_deadline = None
        self._handshake = self._next_sequence()
        self._write(Bare(CommandId.UNBIND, self._handshake))
        self._enter(State.UNBINDING)
        self._state_deadline = now + self.settings.response_ms

    # Messages ---------------------------------------------------------------------------------------------------

    def send(self, message: Message | Packed, tag: Any, now: int, *, urgent: bool = False) -> bool:
        """Send a message when the window allows; `tag` comes back with its outcome.

        The link gives it a sequence number. Urgent messages overtake the others that still wait. False: not taken,
        because the link is not bound for it or its queue is full; no event will follow. Raises `ValueError` where a
        field does not fit.
        """
        command = message.command
        if command not in self._may_send:
            return False
        if self._waits or len(self._pending) >= self._window:
            return self._enqueue(message, tag, now, urgent)
        sequence = self._sequence % LAST_SEQUENCE + 1
        self._request(tag, sequence, encode(message, sequence), command, now, urgent)
        return True

    def _enqueue(self, message: Message | Packed, tag: Any, now: int, urgent: bool) -> bool:
        """Let a message wait for its turn, if only until `_pump` has looked."""
        if self.queued >= self.settings.queue:
            return False
        (self._urgent if urgent else self._queue).append((tag, encode(message)))
        self._waits = True
        self.due_sooner = True
        self._pump(now)
        return True

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
        may_send = _SUBMIT_SM in self._may_send
        room = self._window - len(self._pending) if may_send and not self._waits else 0
        if room > 0:
            self._answer_at_once(answers[:room], now)
        events: list[Event] = []
        for delivered, body, tag in answers[max(0, room) :]:
            self._write(MessageResp(CommandId.DELIVER_SM_RESP, delivered))
            if not self.send(Packed(_SUBMIT_SM, body), tag, now, urgent=True):
                events.append(Lost(tag, False))
        return events

    def _answer_at_once(self, answers: Sequence[Answered], now: int) -> None:
        pending, out, sequence = self._pending, self._out, self._sequence
        deadline = self._awaited_until(now)
        for delivered, body, tag in answers:
            sequence = sequence % LAST_SEQUENCE + 1
            pending[sequence] = _Request(tag, _SUBMIT_SM_RESP, deadline, True)
            out.append(acknowledge_and_submit(delivered, body, sequence))
        self._sequence = sequence

    def submit(self, requests: Sequence[Request], now: int, brief: bool) -> list[Request]:
        """Send submit_sms as `send` does each, for less; return those that were not taken.

        Every SMS and push passes here. Where `brief`, the response of one that was taken is not wanted: its tag may be
        told instead, as that of an urgent one is.
        """
        may_send = _SUBMIT_SM in self._may_send
        room = max(0, self._window - len(self._pending)) if may_send and not self._waits else 0
        if room and requests:
            pending, out, sequence = self._pending, self._out, self._sequence
            deadline = self._awaited_until(now)
            for one in requests[:room]:
                sequence = sequence % LAST_SEQUENCE + 1
                pending[sequence] = _Request(one, _SUBMIT_SM_RESP, deadline, brief)
                out.append(submit(one.body, sequence))
            self._sequence = sequence
        return [one for one in requests[room:] if not self.send(Packed(_SUBMIT_SM, one.body), one, now)]

    def hold(self, until: int, now: int) -> None:
        """Let the messages that are not urgent wait until `until`, in their order: the other side is throttling."""
        self._held_until = until
        self.due_sooner = True
        self._pump(now)

    def _pump(self, now: int) -> None:
        """Send what waits, as far as the window allows."""
        if self._held_until and now >= self._held_until:
            self._held_until = 0
        while len(self._pending) < self._window:
            urgent = bool(self._urgent)
            if not urgent and (self._held_until or not self._queue):
                break
            tag, frame = (self._urgent if urgent else self._queue).popleft()
            sequence = self._sequence % LAST_SEQUENCE + 1
            command = int.from_bytes(frame[4:8], "big")
            self._request(tag, sequence, _with_sequence(frame, sequence), command, now, urgent)
        if self._drain_deadline is not None and not self._pending and not self.queued and self._state in _BOUND:
            self._send_unbind(now)
        self._waits = bool(self.queued or self._held_until) or self._drain_deadline is not None

    def _request(self, tag: Any, sequence: int, frame: bytes, command: int, now: int, urgent: bool) -> None:
        """Write a request and wait for its answer."""
        self._sequence = sequence
        self._pending[sequence] = _Request(tag, command | RESPONSE_BIT, self._awaited_until(now), urgent)
        self._out.append(frame)

    def _awaited_until(self, now: int) -> int:
        """Return until when the response is awaited to what is sent now."""
        self._active = now
        deadline = now + self._response_ms
        if deadline < self._told_due:
            self.due_sooner = True
        return deadline

    def _answered(self, now: int, events: list[Event]) -> None:
        """Do what a request that was under way held up."""
        if self._owed_nothing():
            self._close(self._parting, events)
        else:
            self._pump(now)

    # Inside -----------------------------------------------------------------------------------------------------

    def _next_sequence(self) -> int:
        sequence = self._sequence = self._sequence % LAST_SEQUENCE + 1
        return sequence

    def _write(self, pdu: Pdu) -> None:
        self._out.append(encode(pdu))

    def _enter(self, state: State) -> None:
        self._state = state
        self.closed = state is State.CLOSED
        self._takers = _TAKERS[self.role, state]
        self._actions = _ACTIONS[self.role, state]
        self._may_send = _MAY_SEND[self.role, state]
        self.due_sooner = True
        if state in _BOUND or state is State.CLOSED:
            self._state_deadline = None

    def _close(self, reason: CloseReason, events: list[Event]) -> None:
        self._enter(State.CLOSED)
        self._drain_deadline = None
        events.extend(Lost(request.tag, True) for request in self._pending.values())
        self._pending.clear()
        self._lose_queued(events)
        events.append(Closed(reason))

    def _owed_nothing(self) -> bool:
        """Return whether the other side has unbound, and every response that it owed us is there or given up."""
        return self._state is State.UNBINDING and self._drain_deadline is not None and not self._pending

    def _lose_queued(self, events: list[Event]) -> None:
        events.extend(Lost(tag, False) for lane in (self._urgent, self._queue) for tag, _ in lane)
        self._urgent.clear()
        self._queue.clear()


def _with_sequence(frame: bytes, sequence: int) -> bytes:
    return frame[:12] + sequence.to_bytes(4, "big") + frame[16:]


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
    link._active = now
    events.append(Delivered(message) if type(message) is Message else message)


def _settle(link: Link, frame: bytes, command: int, status: int, sequence: int, now: int, events: list[Event]) -> None:
    """Match a response to its request."""
    request = link._pending.get(sequence)
    if request is None or request.answer != command:
        link._take_other(frame, now, events)
        return
    del link._pending[sequence]
    if request.brief and not status:
        events.append(request.tag)
    else:
        pdu = link._decoders[command](frame, command, status, sequence)  # that of a response reads whatever comes
        events.append(Responded(request.tag, status, pdu))
    if link._waits:
        link._answered(now, events)


def _nacked(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    """Find out which of our requests a generic_nack is about."""
    if link._enquiry is not None and pdu.sequence == link._enquiry.tag:
        _alive(link, pdu, now, events)  # it does not know enquire_link, but it is there
    elif link._state is State.BINDING and pdu.sequence == link._handshake:
        events.append(BindRefused(pdu.status))
        link._close(CloseReason.BIND_REFUSED, events)
    elif link._state is State.UNBINDING and pdu.sequence == link._handshake:
        link._close(link._parting, events)
    elif pdu.sequence in link._pending:  # a refusal, though it may give no reason
        request = link._pending.pop(pdu.sequence)
        events.append(Responded(request.tag, pdu.status or _RSYSERR, pdu))
        if link._waits:
            link._answered(now, events)
    else:
        events.append(Ignored(pdu))


def _answer_enquiry(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    link._write(Bare(CommandId.ENQUIRE_LINK_RESP, pdu.sequence))


def _alive(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    # Any sequence number will do: some SMSCs answer with another one, and it proves the same.
    link._enquiry = None
    link.due_sooner = True  # the next enquiry may be sooner than this one's answer was awaited


def _ask_owner(link: Link, pdu: Bind, now: int, events: list[Event]) -> None:
    link._enter(State.BINDING)
    events.append(BindRequested(pdu))


def _bind_answered(link: Link, pdu: BindResp, now: int, events: list[Event]) -> None:
    if pdu.status:
        events.append(BindRefused(pdu.status))
        link._close(CloseReason.BIND_REFUSED, events)
    else:
        link._enter(link._bound_as)
        link._active = now
        events.append(Bound(pdu))


def _already_bound(link: Link, pdu: Bind, now: int, events: list[Event]) -> None:
    link._write(BindResp(pdu.command | RESPONSE_BIT, pdu.sequence, Status.RALYBND))
    events.append(Nacked(pdu, Status.RALYBND, "a bind on a link that has one"))


def _peer_unbinds(link: Link, pdu: Bare, now: int, events: list[Event]) -> None:
    """Answer, and close once what is under way has its responses, which may be on their way behind the unbind."""
    link._write(Bare(CommandId.UNBIND_RESP, pdu.sequence))
    if link._state not in _BOUND or not link._pending:
        link._close(CloseReason.UNBOUND_BY_PEER, events)
        return
    link._lose_queued(events)
    link._enter(State.UNBINDING)
    link._parting = CloseReason.UNBOUND_BY_PEER
    link._handshake = 0
    link._state_deadline = link._drain_deadline = now + link.settings.linger_ms
    link._waits = True


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
    if pdu.command in _MESSAGES:
        response = MessageResp(pdu.command | RESPONSE_BIT, pdu.sequence, status)
    elif pdu.command in _STATE_OF_BIND:
        response = BindResp(pdu.command | RESPONSE_BIT, pdu.sequence, status)
    elif pdu.command in _UNANSWERED:
        response = None
    else:
        response = Bare(CommandId.GENERIC_NACK, pdu.sequence, status)
    if response is not None:
        link._write(response)
    events.append(Nacked(pdu, status, reason))


_MESSAGES: Final = frozenset({CommandId.SUBMIT_SM, CommandId.DELIVER_SM, CommandId.DATA_SM})
_UNANSWERED: Final = frozenset({CommandId.OUTBIND, CommandId.ALERT_NOTIFICATION})

# The tables: role and state, and what a PDU does there. What a row does not name is refused (`_refuse`).

_ALWAYS: Final[dict[int, _Action]] = {
    CommandId.ENQUIRE_LINK: _answer_enquiry,
    CommandId.ENQUIRE_LINK_RESP: _alive,
    CommandId.GENERIC_NACK: _nacked,
    CommandId.UNBIND: _peer_unbinds,
}
_BINDS: Final = (CommandId.BIND_TRANSCEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER)
_BIND_REQUESTS: Final[dict[int, _Action]] = dict.fromkeys(_BINDS, _ask_owner)
_BIND_AGAIN: Final[dict[int, _Action]] = dict.fromkeys(_BINDS, _already_bound)
_BIND_ANSWERS: Final[dict[int, _Action]] = {command | RESPONSE_BIT: _bind_answered for command in _BINDS}

_ALERTS: Final[dict[int, _Action]] = {CommandId.ALERT_NOTIFICATION: _alert}
_UNBINDING: Final[dict[int, _Action]] = {CommandId.UNBIND_RESP: _unbound}

_ESME, _SMSC = Role.ESME, Role.SMSC
_ACTIONS: Final[dict[tuple[Role, State], dict[int, _Action]]] = {
    (_ESME, State.OPEN): _ALWAYS | {CommandId.OUTBIND: _outbind},
    (_ESME, State.BINDING): _ALWAYS | _BIND_ANSWERS | {CommandId.OUTBIND: _outbind},
    (_ESME, State.BOUND_TRX): _ALWAYS | _ALERTS,
    (_ESME, State.BOUND_TX): _ALWAYS,
    (_ESME, State.BOUND_RX): _ALWAYS | _ALERTS,
    (_ESME, State.UNBINDING): _ALWAYS | _UNBINDING | dict.fromkeys(_MESSAGES, _left),
    (_ESME, State.CLOSED): {},
    (_SMSC, State.OPEN): _ALWAYS | _BIND_REQUESTS,
    (_SMSC, State.BINDING): _ALWAYS | _BIND_AGAIN,
    (_SMSC, State.BOUND_TRX): _ALWAYS | _BIND_AGAIN,
    (_SMSC, State.BOUND_TX): _ALWAYS | _BIND_AGAIN,
    (_SMSC, State.BOUND_RX): _ALWAYS | _BIND_AGAIN,
    (_SMSC, State.UNBINDING): _ALWAYS | _UNBINDING | dict.fromkeys(_MESSAGES, _busy),
    (_SMSC, State.CLOSED): {},
}

_TO_ESME: Final[dict[int, _Taker]] = {CommandId.DELIVER_SM: _deliver, CommandId.DATA_SM: _deliver}
_TO_SMSC: Final[dict[int, _Taker]] = {CommandId.SUBMIT_SM: _deliver, CommandId.DATA_SM: _deliver}
_ANSWERS_TO_ESME: Final[dict[int, _Taker]] = {CommandId.SUBMIT_SM_RESP: _settle, CommandId.DATA_SM_RESP: _settle}
_ANSWERS_TO_SMSC: Final[dict[int, _Taker]] = {CommandId.DELIVER_SM_RESP: _settle, CommandId.DATA_SM_RESP: _settle}
_NO_MESSAGES: Final[dict[int, _Taker]] = {}
_TAKERS: Final[dict[tuple[Role, State], dict[int, _Taker]]] = dict.fromkeys(_ACTIONS, _NO_MESSAGES) | {
    (_ESME, State.BOUND_TRX): _TO_ESME | _ANSWERS_TO_ESME,
    (_ESME, State.BOUND_TX): _ANSWERS_TO_ESME,
    (_ESME, State.BOUND_RX): _TO_ESME,
    (_ESME, State.UNBINDING): _ANSWERS_TO_ESME,
    (_SMSC, State.BOUND_TRX): _TO_SMSC | _ANSWERS_TO_SMSC,
    (_SMSC, State.BOUND_TX): _TO_SMSC,
    (_SMSC, State.BOUND_RX): _ANSWERS_TO_SMSC,
    (_SMSC, State.UNBINDING): _ANSWERS_TO_SMSC,
}

_FROM_ESME: Final = frozenset({int(CommandId.SUBMIT_SM), int(CommandId.DATA_SM)})
_FROM_SMSC: Final = frozenset({int(CommandId.DELIVER_SM), int(CommandId.DATA_SM)})
_NONE: Final[frozenset[int]] = frozenset()
_MAY_SEND: Final[dict[tuple[Role, State], frozenset[int]]] = dict.fromkeys(_ACTIONS, _NONE) | {
    (_ESME, State.BOUND_TRX): _FROM_ESME,
    (_ESME, State.BOUND_TX): _FROM_ESME,
    (_SMSC, State.BOUND_TRX): _FROM_SMSC,
    (_SMSC, State.BOUND_RX): _FROM_SMSC,
}
