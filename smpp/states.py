"""The SMPP session as a table: what a PDU does, by which side of the link this is and where the session stands.

Where a row does not name a PDU it has no place: it is refused, and the session stands where it stood.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, TypeAlias

from smpp.constants import RESPONSE_BIT, CommandId


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


class Does(Enum):
    """What a PDU does. Nearly all that comes is delivered or settles."""

    DELIVER = auto()  # a message for the owner, who answers it
    SETTLE = auto()  # a response to a message of ours
    ASK_OWNER = auto()  # asks to be bound: OPEN -> BINDING
    ANSWER_BIND = auto()  # BINDING -> as it was asked for, or CLOSED
    BIND_AGAIN = auto()  # is refused
    UNBIND = auto()  # -> UNBINDING where responses are under way, else CLOSED
    ANSWER_UNBIND = auto()  # UNBINDING -> CLOSED
    BE_LEFT = auto()  # a message that crossed an unbind: for another bind
    BE_PUT_OFF = auto()  # the same, on the SMSC's side
    ENQUIRE = auto()
    PROVE_ALIVE = auto()
    NACK = auto()  # the end of whatever request it is about: a bind that it refuses ends the link
    ALERT = auto()
    OUTBIND = auto()


Row: TypeAlias = Mapping[int, Does]

STATE_OF_BIND: Final = {
    CommandId.BIND_TRANSCEIVER: State.BOUND_TRX,
    CommandId.BIND_TRANSMITTER: State.BOUND_TX,
    CommandId.BIND_RECEIVER: State.BOUND_RX,
}
BOUND: Final = frozenset(STATE_OF_BIND.values())
MESSAGES: Final = frozenset({CommandId.SUBMIT_SM, CommandId.DELIVER_SM, CommandId.DATA_SM})
FROM_ESME: Final = frozenset({int(CommandId.SUBMIT_SM), int(CommandId.DATA_SM)})
FROM_SMSC: Final = frozenset({int(CommandId.DELIVER_SM), int(CommandId.DATA_SM)})
NONE: Final[frozenset[int]] = frozenset()

_ALWAYS: Final[Row] = {
    CommandId.ENQUIRE_LINK: Does.ENQUIRE,
    CommandId.ENQUIRE_LINK_RESP: Does.PROVE_ALIVE,
    CommandId.GENERIC_NACK: Does.NACK,
    CommandId.UNBIND: Does.UNBIND,
}
_OUTBIND: Final[Row] = {CommandId.OUTBIND: Does.OUTBIND}
_ALERT: Final[Row] = {CommandId.ALERT_NOTIFICATION: Does.ALERT}
_BIND: Final[Row] = dict.fromkeys(STATE_OF_BIND, Does.ASK_OWNER)
_BIND_AGAIN: Final[Row] = dict.fromkeys(STATE_OF_BIND, Does.BIND_AGAIN)
_BIND_RESP: Final[Row] = {command | RESPONSE_BIT: Does.ANSWER_BIND for command in STATE_OF_BIND}
_UNBIND_RESP: Final[Row] = {CommandId.UNBIND_RESP: Does.ANSWER_UNBIND}
_LEFT: Final[Row] = dict.fromkeys(MESSAGES, Does.BE_LEFT)
_PUT_OFF: Final[Row] = dict.fromkeys(MESSAGES, Does.BE_PUT_OFF)


def _row(*rows: Row, takes: frozenset[int] = NONE, sent: frozenset[int] = NONE) -> Row:
    """Return what these rows say, that messages are taken of some commands, and responses to those that were sent."""
    row: dict[int, Does] = dict.fromkeys(takes, Does.DELIVER)
    row |= {command | RESPONSE_BIT: Does.SETTLE for command in sent}
    for each in (_ALWAYS, *rows):
        row |= each
    return row


_ESME, _SMSC = Role.ESME, Role.SMSC
DOES: Final[Mapping[tuple[Role, State], Row]] = {
    (_ESME, State.OPEN): _row(_OUTBIND),
    (_ESME, State.BINDING): _row(_OUTBIND, _BIND_RESP),
    (_ESME, State.BOUND_TRX): _row(_ALERT, takes=FROM_SMSC, sent=FROM_ESME),
    (_ESME, State.BOUND_TX): _row(sent=FROM_ESME),
    (_ESME, State.BOUND_RX): _row(_ALERT, takes=FROM_SMSC),
    (_ESME, State.UNBINDING): _row(_UNBIND_RESP, _LEFT, sent=FROM_ESME),
    (_ESME, State.CLOSED): {},
    (_SMSC, State.OPEN): _row(_BIND),
    (_SMSC, State.BINDING): _row(_BIND_AGAIN),
    (_SMSC, State.BOUND_TRX): _row(_BIND_AGAIN, takes=FROM_ESME, sent=FROM_SMSC),
    (_SMSC, State.BOUND_TX): _row(_BIND_AGAIN, takes=FROM_ESME),
    (_SMSC, State.BOUND_RX): _row(_BIND_AGAIN, sent=FROM_SMSC),
    (_SMSC, State.UNBINDING): _row(_UNBIND_RESP, _PUT_OFF, sent=FROM_SMSC),
    (_SMSC, State.CLOSED): {},
}

MAY_SEND: Final[Mapping[tuple[Role, State], frozenset[int]]] = dict.fromkeys(DOES, NONE) | {
    (_ESME, State.BOUND_TRX): FROM_ESME,
    (_ESME, State.BOUND_TX): FROM_ESME,
    (_SMSC, State.BOUND_TRX): FROM_SMSC,
    (_SMSC, State.BOUND_RX): FROM_SMSC,
}
