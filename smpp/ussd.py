"""How an operator's gateway spells a USSD dialogue in SMPP: dialects as data, and what reads and writes them.

Our side: `classify` what came in, answer it with `reply`, or `push` a dialogue of our own. The gateway's side, which a
simulator needs: `dial`, `answer` and `abort` make the deliver_sm, and `read_reply` reads the submit_sm.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from smpp import alphabets
from smpp.alphabets import Alphabet, Encoded
from smpp.constants import CommandId, DataCoding, Npi, Tag, Ton, UssdOp
from smpp.pdu import Message, Tlvs

_DELIVER_SM: Final = int(CommandId.DELIVER_SM)
_SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
_USSD_SERVICE_OP: Final = int(Tag.USSD_SERVICE_OP)

_OCTETS: Final = tuple(bytes((octet,)) for octet in range(256))

NO_OP: Final = -1
"""The op of a USSD message that carries none: its service_type alone says that it is USSD."""


@dataclass(frozen=True, eq=False)  # each is itself: comparing or hashing the fields would cost on every step
class Dialect:
    """One way to spell USSD. The ops are values of `ussd_service_op`, SMPP 3.4 §5.3.2.44.

    The session TLV is read as one big-endian integer of `session_octets`. `id_mask` picks the bits that name the
    dialogue, `sequence_mask` those that count the inputs in it, `end_mask` those that end it; a mask of 0 picks none.
    Where `session_tag` is None no id travels: account and MSISDN name the dialogue.
    """

    name: str
    service_type: str = "USSD"
    session_tag: int | None = Tag.ITS_SESSION_INFO
    session_octets: int = 2
    id_mask: int = 0xFF00
    sequence_mask: int = 0x00FE
    end_mask: int = 0x0001
    begin_ops: frozenset[int] = frozenset({UssdOp.PSSD_INDICATION, UssdOp.PSSR_INDICATION})
    answer_ops: frozenset[int] = frozenset({UssdOp.USSR_CONFIRM})
    confirm_ops: frozenset[int] = frozenset({UssdOp.USSN_CONFIRM})
    abort_ops: frozenset[int] = frozenset()
    menu_op: int = UssdOp.USSR_REQUEST
    end_op: int = UssdOp.PSSR_RESPONSE
    push_menu_op: int = UssdOp.USSR_REQUEST
    push_end_op: int = UssdOp.USSN_REQUEST
    sets_end_bit: bool = True


STANDARD = Dialect("standard")
DIALECTS = {STANDARD.name: STANDARD}
"""What a setting may name."""


class Begin(msgspec.Struct, frozen=True, gc=False):
    """A subscriber dialled `text`, such as `*111#`.

    `dialogue` is the network's id of the exchange, "" where none travels; with account and MSISDN it is unique while
    the exchange lasts. `sequence` counts the inputs of the dialogue, so that a redelivery can be told from an answer;
    None where the dialect has no such count.
    """

    dialogue: str
    text: str
    sequence: int | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A subscriber answered `text`. Where not `op_known`: an answer if the dialogue lives, else what was dialled."""

    dialogue: str
    text: str
    sequence: int | None = None
    op_known: bool = True


class Confirm(msgspec.Struct, frozen=True, gc=False):
    """A subscriber's phone has shown a notification that we pushed."""

    dialogue: str


class Abort(msgspec.Struct, frozen=True, gc=False):
    """The network or the subscriber ended the dialogue."""

    dialogue: str


Input: TypeAlias = Begin | Answer | Confirm | Abort


def classify(message: Message, dialect: Dialect = STANDARD, default: Alphabet = "gsm") -> Input | None:
    """Say what a received message is in this dialect; None: it is not USSD. `default` is as in `alphabets.decode`."""
    value = message.tlvs.get(_USSD_SERVICE_OP)
    if value:
        op = value[0]
    elif message.service_type == dialect.service_type:
        op = NO_OP
    else:
        return None

    session = _session(message, dialect)
    dialogue = session.dialogue
    if session.ended or op in dialect.abort_ops:
        return Abort(dialogue)
    if op in dialect.confirm_ops:
        return Confirm(dialogue)

    text = _text(message, default)
    if op in dialect.begin_ops:
        return Begin(dialogue, text or message.destination_addr, session.sequence)
    return Answer(dialogue, text, session.sequence, op in dialect.answer_ops)


class _Session(msgspec.Struct, frozen=True):
    """What a session TLV says, and how it goes back: in a menu and in the last text, None where none goes."""

    number: int | None = None
    dialogue: str = ""
    sequence: int | None = None
    ended: bool = False
    in_menu: bytes | None = None
    in_end: bytes | None = None


_NO_SESSION: Final = _Session()


def _session(message: Message, dialect: Dialect) -> _Session:
    """Read the session TLV; one of another length than the dialect's counts as none."""
    tag = dialect.session_tag
    value = None if tag is None else message.tlvs.get(tag)
    if value is None or len(value) != dialect.session_octets:
        return _NO_SESSION
    return _read_session(value, dialect)


@lru_cache(maxsize=4096)  # a gateway has few ids and counts from 0: the same values come again and again
def _read_session(value: bytes, dialect: Dialect) -> _Session:
    number = int.from_bytes(value, "big")
    mask = dialect.sequence_mask
    return _Session(
        number,
        f"{number & dialect.id_mask:0{2 * dialect.session_octets}x}",
        (number & mask) // (mask & -mask) if mask else None,
        bool(number & dialect.end_mask),
        _session_octets(number, False, dialect),
        _session_octets(number, True, dialect),
    )


def _session_octets(number: int, ends: bool, dialect: Dialect) -> bytes:
    """Write a session TLV with its end bit as it is to be."""
    number &= ~dialect.end_mask
    if ends and dialect.sets_end_bit:
        number |= dialect.end_mask
    return number.to_bytes(dialect.session_octets, "big")


def _text(message: Message, default: Alphabet) -> str:
    """Return the text without the CR that pads packed septets to whole octets (3GPP TS 23.038 §6.1.2.3.1)."""
    return alphabets.decode(message.user_data, message.data_coding, default).removesuffix("\r")


# Our side ---------------------------------------------------------------------------------------------------------


def reply(received: Message, encoded: Encoded, *, ends: bool, dialect: Dialect = STANDARD) -> Message:
    """Make the submit_sm that answers a received begin or answer: a menu, or where it `ends` the last text.

    The session goes back as it came, but for its end bit.
    """
    tlvs: Tlvs = {_USSD_SERVICE_OP: _OCTETS[dialect.end_op if ends else dialect.menu_op]}
    session = _session(received, dialect)
    echo = session.in_end if ends else session.in_menu
    if echo is not None and dialect.session_tag is not None:
        tlvs[dialect.session_tag] = echo
    return Message(
        _SUBMIT_SM,
        service_type=dialect.service_type,
        source_addr_ton=received.dest_addr_ton,
        source_addr_npi=received.dest_addr_npi,
        source_addr=received.destination_addr,
        dest_addr_ton=received.source_addr_ton,
        dest_addr_npi=received.source_addr_npi,
        destination_addr=received.source_addr,
        data_coding=encoded.data_coding,
        short_message=encoded.data,
        tlvs=tlvs,
    )


def push(
    source: str, msisdn: str, encoded: Encoded, *, ends: bool, session: int | None = None, dialect: Dialect = STANDARD
) -> Message:
    """Make the submit_sm that begins a dialogue from our side: a notification where it `ends`, else a menu.

    `session` is the whole session TLV as a number; None where the gateway is to choose it.
    """
    tlvs: Tlvs = {_USSD_SERVICE_OP: bytes((dialect.push_end_op if ends else dialect.push_menu_op,))}
    if session is not None and dialect.session_tag is not None:
        tlvs[dialect.session_tag] = _session_octets(session, ends, dialect)
    return Message(
        _SUBMIT_SM,
        service_type=dialect.service_type,
        source_addr_npi=Npi.ISDN,
        source_addr=source,
        dest_addr_ton=Ton.INTERNATIONAL,
        dest_addr_npi=Npi.ISDN,
        destination_addr=msisdn,
        data_coding=encoded.data_coding,
        short_message=encoded.data,
        tlvs=tlvs,
    )


# The gateway's side -----------------------------------------------------------------------------------------------


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a gateway is asked to show. `session` is the session TLV as a number, None where there is none."""

    dialogue: str
    text: str
    ends: bool
    session: int | None = None


def read_reply(message: Message, dialect: Dialect = STANDARD) -> Reply | None:
    """Read a submit_sm as a gateway does; None: it is not USSD."""
    value = message.tlvs.get(_USSD_SERVICE_OP)
    if not value:
        return None
    session = _session(message, dialect)
    ends = value[0] != dialect.menu_op or session.ended
    return Reply(session.dialogue, _text(message, "gsm"), ends, session.number)


def dial(
    msisdn: str, code: str, encoded: Encoded, *, session: int, sequence: int = 0, dialect: Dialect = STANDARD
) -> Message:
    """Make the gateway's deliver_sm of a subscriber who dialled a code such as `*111#`.

    `code` is the service's address; `session` and `sequence` count from 0 and wrap at what their masks hold.
    """
    return _deliver(msisdn, code, encoded, UssdOp.PSSR_INDICATION, _compose(session, sequence, dialect), dialect)


def answer(
    msisdn: str, code: str, encoded: Encoded, *, session: int, sequence: int, dialect: Dialect = STANDARD
) -> Message:
    """Make the gateway's deliver_sm of a subscriber's answer to a menu; the arguments are those of `dial`."""
    return _deliver(msisdn, code, encoded, min(dialect.answer_ops), _compose(session, sequence, dialect), dialect)


def abort(msisdn: str, code: str, *, session: int, sequence: int = 0, dialect: Dialect = STANDARD) -> Message:
    """Make the gateway's deliver_sm that says that the dialogue is over; the arguments are those of `dial`."""
    op = min(dialect.abort_ops or dialect.answer_ops)
    value = _compose(session, sequence, dialect) | dialect.end_mask
    return _deliver(msisdn, code, Encoded(b"", DataCoding.DEFAULT, "gsm"), op, value, dialect)


def _compose(session: int, sequence: int, dialect: Dialect) -> int:
    """Put a session number and a sequence number where the dialect's masks have them."""
    value = 0
    for number, mask in ((session, dialect.id_mask), (sequence, dialect.sequence_mask)):
        value |= (number * (mask & -mask)) & mask
    return value


def _deliver(msisdn: str, code: str, encoded: Encoded, op: int, session: int, dialect: Dialect) -> Message:
    tlvs: Tlvs = {_USSD_SERVICE_OP: bytes((op,))}
    if dialect.session_tag is not None:
        tlvs[dialect.session_tag] = session.to_bytes(dialect.session_octets, "big")
    return Message(
        _DELIVER_SM,
        service_type=dialect.service_type,
        source_addr_ton=Ton.INTERNATIONAL,
        source_addr_npi=Npi.ISDN,
        source_addr=msisdn,
        dest_addr_npi=Npi.ISDN,
        destination_addr=code,
        data_coding=encoded.data_coding,
        short_message=encoded.data,
        tlvs=tlvs,
    )
