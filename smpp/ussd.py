"""A USSD dialogue in SMPP: what reads and writes its messages as a gateway's dialect has them.

Our side: `classify` what came in, answer it with `reply`, `push` a dialogue of our own, `release` one without a text.
The gateway's side, which a simulator needs: `dial`, `answer`, `confirm` and `abort` make the deliver_sm, and
`read_reply` reads the submit_sm.
"""

from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from smpp import alphabets
from smpp.alphabets import Alphabet, Encoded
from smpp.constants import CommandId, DataCoding, EsmClass, Npi, Tag, Ton
from smpp.dialect import ABORT, BEGIN, CLOSED, CONFIRM, LAST_ANSWER, STANDARD, UNDECIDED, Dialect, Ending, Mark
from smpp.pdu import Message, Tlvs

_DATA_SM: Final = int(CommandId.DATA_SM)
_USSD_SERVICE_OP: Final = int(Tag.USSD_SERVICE_OP)
_UDHI: Final = int(EsmClass.UDHI)
_MESSAGE_PAYLOAD: Final = int(Tag.MESSAGE_PAYLOAD)


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
    """A subscriber answered `text`. Where not `op_known`: an answer if the dialogue lives, else what was dialled.

    `last`: the gateway has closed the dialogue with it, so nothing can be shown any more.
    """

    dialogue: str
    text: str
    sequence: int | None = None
    op_known: bool = True
    last: bool = False


class Confirm(msgspec.Struct, frozen=True, gc=False):
    """A subscriber's phone has shown a notification that we pushed; `closes`: and the dialogue is over."""

    dialogue: str
    closes: bool = False


class Abort(msgspec.Struct, frozen=True, gc=False):
    """The network or the subscriber ended the dialogue."""

    dialogue: str


Input: TypeAlias = Begin | Answer | Confirm | Abort


def classify(
    message: Message, dialect: Dialect = STANDARD, default: Alphabet | None = None, session: "Session | None" = None
) -> Input | None:
    """Say what a received message is in this dialect; None: it is not USSD.

    `default` is the alphabet of data_coding 0, by default the dialect's; `session` is `session_of(message)`, where it
    is known already.
    """
    value = message.tlvs.get(_USSD_SERVICE_OP)
    step = dialect.by_op[value[0]] if value else None
    if step is None:
        step = dialect.by_service_type.get(message.service_type)
        if step is None:
            if not value:
                return None
            step = UNDECIDED

    if session is None:
        session = session_of(message, dialect)
    if step >= CONFIRM:
        if step == ABORT:
            return Abort(session.dialogue)
        return Confirm(session.dialogue, step == CLOSED or session.ended)
    if session.ended:
        return Abort(session.dialogue)

    text = _text(message, default or dialect.alphabet)
    if step == BEGIN:
        place = message.destination_addr
        text = (place or text) if dialect.takes_from_address else (text or place)
        return Begin(session.dialogue, text, session.sequence)
    if step == UNDECIDED and not text and message.destination_addr.endswith("#"):
        text = message.destination_addr  # what was dialled, if it begins
    return Answer(session.dialogue, text, session.sequence, step != UNDECIDED, step == LAST_ANSWER)


def unnamed(message: Message, dialect: Dialect) -> str:
    """Return the op or service_type of a received USSD message that the dialect has no step for, "" where it has."""
    op = message.integer(_USSD_SERVICE_OP)
    if op is None:
        return "" if message.service_type in dialect.words else f"service_type {message.service_type!r}"
    return "" if op in dialect.begin else f"op 0x{op:02X}"


class Session(msgspec.Struct, frozen=True):
    """What a session TLV says, and how it goes back: in a menu and in the last text, None where none goes.

    `number` is that of the dialogue, as the gateway counts them.
    """

    number: int | None = None
    dialogue: str = ""
    sequence: int | None = None
    ended: bool = False
    in_menu: bytes | None = None
    in_end: bytes | None = None


NO_SESSION: Final = Session()
"""That of a message without one."""


def session_of(message: Message, dialect: Dialect) -> Session:
    """Read a message's session TLV; one of another length than the dialect's counts as none."""
    tag = dialect.session_tag
    value = None if tag is None else message.tlvs.get(tag)
    if value is None or len(value) != dialect.session_octets:
        return NO_SESSION
    return session_in(value, dialect)


def session_in(value: bytes, dialect: Dialect) -> Session:
    """Read the octets of a session TLV, of the dialect's length."""
    number = int.from_bytes(value, "big")
    return Session(
        _field(number, dialect.id_mask),
        f"{number & dialect.id_mask:0{2 * dialect.session_octets}x}",
        _field(number, dialect.sequence_mask),
        bool(number & dialect.end_mask),
        _session_octets(number, False, dialect),
        _session_octets(number, True, dialect),
    )


def _field(number: int, mask: int) -> int | None:
    """Return the bits under a mask as a number, None where the mask has none."""
    return (number & mask) // (mask & -mask) if mask else None


def _session_octets(number: int, ends: bool, dialect: Dialect) -> bytes:
    """Write a session TLV with its end bit as it is to be."""
    number &= ~dialect.end_mask
    if ends and dialect.sets_end_bit:
        number |= dialect.end_mask
    return number.to_bytes(dialect.session_octets, "big")


def _text(message: Message, default: Alphabet) -> str:
    """Return the text without the CR that pads packed septets to whole octets (3GPP TS 23.038 §6.1.2.3.1)."""
    octets = message.short_message
    if not octets or message.esm_class & _UDHI:
        octets = message.user_data
    return alphabets.decode(octets, message.data_coding, default).removesuffix("\r")


def _carry(message: Message) -> Message:
    """Move the text to where a data_sm has it; the other commands have it where it is."""
    if message.command == _DATA_SM:
        message.tlvs[_MESSAGE_PAYLOAD], message.short_message = message.short_message, b""
    return message


# Our side ---------------------------------------------------------------------------------------------------------

_NOTHING: Final = Encoded(b"", DataCoding.DEFAULT, "gsm")


def reply(
    received: Message, encoded: Encoded, *, ends: bool, dialect: Dialect = STANDARD, pushed: bool = False
) -> Message:
    """Make the submit_sm that answers a received begin or answer: a menu, or where it `ends` the last text.

    The session goes back as it came, but for its end bit. `pushed` tells that the dialogue is one that we began.
    """
    service_type, op = (dialect.end_pushed_as if pushed else dialect.end_as) if ends else dialect.menu_as
    tlvs: Tlvs = {} if op is None else {_USSD_SERVICE_OP: op}
    tag = dialect.session_tag
    if tag is not None:
        session = session_of(received, dialect)
        echo = session.in_end if ends else session.in_menu
        if echo is not None:
            tlvs[tag] = echo
    message = Message(
        dialect.submit,
        service_type=service_type,
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
    return _carry(message) if dialect.submit == _DATA_SM else message


def release(received: Message, dialect: Dialect = STANDARD) -> Message | None:
    """Make the submit_sm that ends a dialogue without a text, None where the gateway has nothing for it."""
    if dialect.release is None:
        return None
    message = reply(received, _NOTHING, ends=True, dialect=dialect)
    message.service_type, op = dialect.mark(dialect.release)
    message.tlvs.pop(_USSD_SERVICE_OP, None)
    return message if op is None else replace(message, tlvs={_USSD_SERVICE_OP: op, **message.tlvs})


def push(
    source: str, msisdn: str, encoded: Encoded, *, ends: bool, session: int | None = None, dialect: Dialect = STANDARD
) -> Message:
    """Make the submit_sm that begins a dialogue from our side: a notification where it `ends`, else a menu.

    `session` is the whole session TLV as a number; None, or a dialect in which it is so, lets the gateway choose it.
    Raises `ValueError` where the gateway takes no such thing: its dialect has no `notify`, no `ask`.
    """
    sign = dialect.notify if ends else dialect.ask
    if sign is None:
        raise ValueError(f"the dialect {dialect.name} does not {'notify' if ends else 'ask'}")
    mark = dialect.mark(sign)
    tlvs: Tlvs = {} if mark.op is None else {_USSD_SERVICE_OP: mark.op}
    if session is not None and dialect.session_tag is not None and dialect.push_session:
        tlvs[dialect.session_tag] = _session_octets(session, ends, dialect)
    return _carry(
        Message(
            dialect.submit,
            service_type=mark.service_type,
            source_addr_npi=Npi.ISDN,
            source_addr=source,
            dest_addr_ton=Ton.INTERNATIONAL,
            dest_addr_npi=Npi.ISDN,
            destination_addr=msisdn,
            data_coding=encoded.data_coding,
            short_message=encoded.data,
            tlvs=tlvs,
        )
    )


# The gateway's side -----------------------------------------------------------------------------------------------


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a gateway is asked to show.

    `session` is the dialogue's number as `dial` was given it, None where the message has none. `opens`: it may begin a
    dialogue, which is for the gateway to know where the same op goes on with one. `releases`: there is nothing to show.
    """

    dialogue: str
    text: str
    ends: bool
    session: int | None = None
    opens: bool = False
    releases: bool = False


def is_ussd(message: Message, dialect: Dialect = STANDARD) -> bool:
    """Tell whether a message, either way, is of a USSD dialogue by its op, or by a service_type that names a step."""
    return _USSD_SERVICE_OP in message.tlvs or message.service_type in dialect.words


def read_reply(message: Message, dialect: Dialect = STANDARD) -> Reply | None:
    """Read a submit_sm as a gateway does; None: it is not USSD. An op that the dialect does not have ends."""
    value = message.tlvs.get(_USSD_SERVICE_OP)
    if message.service_type in dialect.words:
        mark = Mark(message.service_type, None)
    elif value:
        mark = Mark(dialect.service_type, value[:1])
    else:
        return None
    session = session_of(message, dialect)
    ends = session.ended or mark not in dialect.asking
    releases = dialect.release is not None and mark == dialect.mark(dialect.release)
    text = _text(message, dialect.alphabet)
    return Reply(session.dialogue, text, ends, session.number, mark in dialect.opening, releases)


def dial(
    msisdn: str, code: str, encoded: Encoded, *, session: int, sequence: int = 0, dialect: Dialect = STANDARD
) -> Message:
    """Make the gateway's deliver_sm of a subscriber who dialled a code such as `*111#`.

    `code` is the service's address, which gives way to what was dialled where the dialect has that there; `session` and
    `sequence` count from 0 and wrap at what their masks hold.
    """
    if dialect.takes_from_address:
        code, encoded = alphabets.decode(encoded.data, encoded.data_coding), _NOTHING
    return _deliver(
        msisdn, code, encoded, dialect.mark(dialect.begin[0]), _compose(session, sequence, dialect), dialect
    )


def answer(
    msisdn: str, code: str, encoded: Encoded, *, session: int, sequence: int, dialect: Dialect = STANDARD
) -> Message:
    """Make the gateway's deliver_sm of a subscriber's answer to a menu; the arguments are those of `dial`."""
    mark = dialect.mark(dialect.answer[0])
    return _deliver(msisdn, code, encoded, mark, _compose(session, sequence, dialect), dialect)


def confirm(msisdn: str, code: str, *, session: int, sequence: int = 0, dialect: Dialect = STANDARD) -> Message | None:
    """Make the gateway's deliver_sm that says that a notification was shown; the arguments are those of `dial`.

    None where the gateway never says so.
    """
    signs = dialect.confirm or dialect.closed
    if not signs:
        return None
    return _deliver(msisdn, code, _NOTHING, dialect.mark(signs[0]), _compose(session, sequence, dialect), dialect)


def abort(
    msisdn: str,
    code: str,
    *,
    session: int,
    sequence: int = 0,
    why: Ending = "drop",
    dialect: Dialect = STANDARD,
) -> Message | None:
    """Make the gateway's deliver_sm that says that the dialogue is over; the arguments are those of `dial`.

    None where the gateway does not say so, or not of this ending.
    """
    signs = dialect.abort or (dialect.answer if dialect.session_tag is not None and dialect.end_mask else ())
    if not signs or why not in dialect.tells:
        return None
    value = _compose(session, sequence, dialect) | dialect.end_mask
    return _deliver(msisdn, code, _NOTHING, dialect.mark(signs[0]), value, dialect)


def _compose(session: int, sequence: int, dialect: Dialect) -> int:
    """Put a session number and a sequence number where the dialect's masks have them."""
    value = 0
    for number, mask in ((session, dialect.id_mask), (sequence, dialect.sequence_mask)):
        value |= (number * (mask & -mask)) & mask
    return value


def _deliver(msisdn: str, code: str, encoded: Encoded, mark: Mark, session: int, dialect: Dialect) -> Message:
    tlvs: Tlvs = {} if mark.op is None else {_USSD_SERVICE_OP: mark.op}
    if dialect.session_tag is not None:
        tlvs[dialect.session_tag] = session.to_bytes(dialect.session_octets, "big")
    return _carry(
        Message(
            dialect.deliver,
            service_type=mark.service_type,
            source_addr_ton=Ton.INTERNATIONAL,
            source_addr_npi=Npi.ISDN,
            source_addr=msisdn,
            dest_addr_npi=Npi.ISDN,
            destination_addr=code,
            data_coding=encoded.data_coding,
            short_message=encoded.data,
            tlvs=tlvs,
        )
    )
