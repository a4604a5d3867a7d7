"""What a gateway's message says in each dialect, to find out which one the gateway speaks."""

from typing import NamedTuple

from smpp.constants import CommandId
from smpp.dialect import Dialect
from smpp.pdu import Malformed, Message, decode
from smpp.ussd import Abort, Answer, Begin, Confirm, Input, classify, session_of, unnamed

_RECEIVED = frozenset({CommandId.DELIVER_SM, CommandId.DATA_SM})


class Reading(NamedTuple):
    """A dialect, what it takes a message for, the dialogue's id ("" none), and how much of the message it explains."""

    dialect: str
    meaning: str
    dialogue: str
    explains: int


def message_of(octets: bytes) -> Message:
    """Return the one message that these octets are. Raises `ValueError` where they are something else."""
    pdu = decode(octets)
    if isinstance(pdu, Malformed):
        raise ValueError(f"this is no whole PDU: {pdu.reason}")
    if not isinstance(pdu, Message) or pdu.command not in _RECEIVED:
        raise ValueError("this is no deliver_sm and no data_sm")
    return pdu


def readings(message: Message, dialects: list[Dialect]) -> list[Reading]:
    """Return what a message says in each of these dialects, those that explain the most of it first."""
    found = [_reading(message, dialect) for dialect in dialects]
    return sorted(found, key=lambda reading: -reading.explains)  # of equals the order stays


def _reading(message: Message, dialect: Dialect) -> Reading:
    heard = classify(message, dialect)
    dialogue = "" if heard is None else heard.dialogue
    explains = 0
    if heard is not None and not unnamed_of(heard, message, dialect):
        explains = 8
        explains += 4 * (session_of(message, dialect).number is not None)
        explains += 2 * (message.service_type in {dialect.service_type} | dialect.words)
        explains += message.command == dialect.deliver
    return Reading(dialect.name, _meaning(heard, message, dialect), dialogue, explains)


def unnamed_of(heard: Input, message: Message, dialect: Dialect) -> str:
    """Return the op or service_type that the dialect has no step for, "" where it has."""
    return unnamed(message, dialect) if isinstance(heard, Answer) and not heard.op_known else ""


def _meaning(heard: Input | None, message: Message, dialect: Dialect) -> str:
    match heard:
        case Begin(text=text):
            return f"dialled {text}"
        case Answer(text=text) if sign := unnamed_of(heard, message, dialect):
            return f"{sign} is none of its steps; {text!r} goes on, or begins"
        case Answer(text=text, last=last):
            return f"answered {text!r}{', the last message' if last else ''}"
        case Confirm(closes=closes):
            return f"a notification was shown{', and all is over' if closes else ''}"
        case Abort():
            return "the dialogue is over"
    return "no USSD"
