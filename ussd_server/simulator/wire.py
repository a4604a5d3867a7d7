"""What went over the wire, decoded for people: each PDU's fields with their offsets, its TLVs, its text and how much of
the budget the text takes.

The recording is kept in memory only, is bounded, and never holds a secret: passwords of binds, and groups of six and
more digits in every SMS, are overwritten in the octets before anything is read from them. What the recording shows is
made from those octets, so it cannot show what they do not hold. The phone that got the SMS shows it whole.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Literal, NamedTuple

import msgspec

from smpp import alphabets
from smpp.constants import (
    HEADER_OCTETS,
    RESPONSE_BIT,
    CommandId,
    EsmClass,
    MessageState,
    Npi,
    Tag,
    Ton,
    UssdOp,
    command_name,
    status_description,
    status_name,
)
from smpp.dialect import STANDARD, Dialect, Sign
from smpp.pdu import Malformed, Message, Unknown
from smpp.pdu import decode as decode_pdu
from smpp.specs import FIELDS, WITHOUT_TLVS, Kind
from smpp.ussd import is_ussd, session_of
from ussd_server.simulator.measure import PartView, measures, part_of, usage
from ussd_server.simulator.phone import Usage

HISTORY = 500
"""PDUs that are remembered; the oldest go first."""

SECRET_DIGITS = 6
"""A group of digits this long in an SMS is taken for an access code; no code is shorter."""

Direction = Literal["to_service", "from_service"]

_NAMED_OPS = frozenset(UssdOp)
_UPKEEP = frozenset({CommandId.ENQUIRE_LINK, CommandId.ENQUIRE_LINK_RESP})
_MESSAGES = frozenset({CommandId.SUBMIT_SM, CommandId.DELIVER_SM, CommandId.DATA_SM})
_GSM_GROUP = re.compile(rb"[0-9]{%d,}" % SECRET_DIGITS)
_UCS2_GROUP = re.compile(rb"(?:\x00[0-9]){%d,}" % SECRET_DIGITS)


class FieldView(msgspec.Struct, frozen=True):
    """One field or TLV: where it lies in the PDU in octets, its value, and what that means."""

    name: str
    offset: int
    size: int
    value: str
    meaning: str = ""


class OpView(msgspec.Struct, frozen=True):
    """The USSD operation, as number and name; no number where the service_type names it."""

    code: int | None
    name: str


class SessionView(msgspec.Struct, frozen=True):
    """The dialogue as the gateway's dialect has it: number, step where it counts them, and whether it ends."""

    number: int
    step: int | None
    end: bool


class Entry(msgspec.Struct, frozen=True):
    """One PDU as the wire view shows it. `at` is ms since 1970 UTC; `text` is None where the PDU carries none."""

    id: int
    at: int
    direction: Direction
    link: int
    system_id: str
    command: str
    response: bool
    upkeep: bool
    sequence: int
    status: int
    status_name: str
    phone: str | None
    source: str
    destination: str
    text: str | None
    usage: Usage | None
    op: OpView | None
    session: SessionView | None
    part: PartView | None
    receipt: bool
    masked: bool
    problem: str
    fields: tuple[FieldView, ...]
    tlvs: tuple[FieldView, ...]
    hex: str


class Recorder:
    """Keeps the last PDUs and tells `heard` each one as it comes."""

    def __init__(self, heard: Callable[[Entry], None], dialect: Dialect = STANDARD) -> None:
        self._heard = heard
        self._dialect = dialect
        self._entries: deque[Entry] = deque(maxlen=HISTORY)
        self._asked: OrderedDict[tuple[int, Direction, int], str] = OrderedDict()
        self._count = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is remembered, the oldest first."""
        return tuple(self._entries)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def record(self, frame: bytes, direction: Direction, link: int, system_id: str, at: int) -> None:
        """Take one whole PDU as it passed on the link numbered `link`."""
        self._count += 1
        octets, masked = conceal(frame, self._dialect)
        entry = describe(octets, self._count, direction, link, system_id, at, masked, self._dialect)
        entry = self._with_phone(entry)
        self._entries.append(entry)
        self._heard(entry)

    def _with_phone(self, entry: Entry) -> Entry:
        """A response has no address: it is of the phone that its request was of."""
        if entry.phone is not None:
            self._asked[entry.link, entry.direction, entry.sequence] = entry.phone
            if len(self._asked) > HISTORY:
                self._asked.popitem(last=False)
        elif entry.response:
            asked: Direction = "from_service" if entry.direction == "to_service" else "to_service"
            phone = self._asked.pop((entry.link, asked, entry.sequence), None)
            return msgspec.structs.replace(entry, phone=phone)
        return entry


def describe(
    frame: bytes,
    number: int,
    direction: Direction,
    link: int,
    system_id: str,
    at: int,
    masked: bool = False,
    dialect: Dialect = STANDARD,
) -> Entry:
    """Decode one whole PDU for people; never raises, what does not parse is a `problem` beside what does."""
    pdu = decode_pdu(frame)
    _, command, status, sequence = unpack_from(">IIII", frame.ljust(HEADER_OCTETS, b"\0"))
    message = pdu if isinstance(pdu, Message) else None
    part = None if message is None else part_of(message)
    spans = list(_spans(frame))
    return Entry(
        id=number,
        at=at,
        direction=direction,
        link=link,
        system_id=system_id,
        command=command_name(command),
        response=bool(command & RESPONSE_BIT),
        upkeep=command in _UPKEEP,
        sequence=sequence,
        status=status,
        status_name=status_name(status),
        phone=_phone(message, direction),
        source="" if message is None else message.source_addr,
        destination="" if message is None else message.destination_addr,
        text=None if message is None else _text(message, dialect),
        usage=None if message is None else usage(message, dialect),
        op=None if message is None else _op(message, direction, dialect),
        session=None if message is None else _session(message, dialect),
        part=part,
        receipt=message is not None and bool(message.esm_class & EsmClass.DELIVERY_RECEIPT),
        masked=masked,
        problem=pdu.reason if isinstance(pdu, Malformed) else "",
        fields=tuple(_field_view(frame, span) for span in spans if not span.is_tlv),
        tlvs=tuple(_tlv_view(frame, span) for span in spans if span.is_tlv),
        hex=frame.hex(),
    )


# Where fields lie -------------------------------------------------------------------------------------------------


class _Span(NamedTuple):
    name: str
    kind: Kind
    offset: int
    size: int
    is_tlv: bool = False
    tag: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.size


def _spans(frame: bytes) -> Iterator[_Span]:
    """Yield the fields and TLVs of a PDU in order, as far as it can be walked."""
    total = len(frame)
    for at, name in enumerate(("command_length", "command_id", "command_status", "sequence_number")):
        if 4 * at + 4 <= total:
            yield _Span(name, Kind.OCTET, 4 * at, 4)
    if total <= HEADER_OCTETS:
        return
    command = int.from_bytes(frame[4:8], "big")
    at = HEADER_OCTETS
    for name, kind in FIELDS.get(command, ()):
        size = _size(frame, at, kind)
        if size is None:
            return
        yield _Span(name, kind, at, size)
        at += size
    if command in WITHOUT_TLVS or command not in FIELDS:
        return
    while total - at >= 4:
        tag, length = unpack_from(">HH", frame, at)
        size = min(4 + length, total - at)
        yield _Span("", Kind.COUNTED, at, size, True, tag)
        at += size


def _size(frame: bytes, at: int, kind: Kind) -> int | None:
    """Return how many octets the field at `at` takes, None where the PDU ends before it does."""
    if at >= len(frame):
        return None
    if kind is Kind.OCTET:
        return 1
    if kind is Kind.COUNTED:
        return min(1 + frame[at], len(frame) - at)
    end = frame.find(0, at)
    return len(frame) - at if end < 0 else end + 1 - at


# Secrets ----------------------------------------------------------------------------------------------------------


def conceal(frame: bytes, dialect: Dialect = STANDARD) -> tuple[bytes, bool]:
    """Overwrite passwords, and what may be a code in an SMS, with asterisks; tell whether a text changed."""
    octets = bytearray(frame)
    spans = list(_spans(frame))
    for span in spans:
        if span.kind is Kind.SECRET:
            secret = frame[span.offset : span.end].rstrip(b"\0")
            octets[span.offset : span.offset + len(secret)] = b"*" * len(secret)
    masked = False
    for start, end in _texts(frame, spans, dialect):
        masked |= _asterisks(octets, start, end)
    return bytes(octets), masked


def _texts(frame: bytes, spans: list[_Span], dialect: Dialect) -> Iterator[tuple[int, int]]:
    """Yield where a code could stand: in the texts of an SMS, and anywhere in what cannot be read."""
    pdu = decode_pdu(frame)
    if isinstance(pdu, Malformed | Unknown):
        yield HEADER_OCTETS, len(frame)
    elif isinstance(pdu, Message) and not is_ussd(pdu, dialect) and not pdu.esm_class & EsmClass.DELIVERY_RECEIPT:
        for span in spans:
            if span.name == "short_message" or span.tag == Tag.MESSAGE_PAYLOAD:
                at = span.offset + (4 if span.is_tlv else 1)
                header = frame[at] + 1 if pdu.esm_class & EsmClass.UDHI and at < span.end else 0
                yield min(at + header, span.end), span.end


def _asterisks(octets: bytearray, start: int, end: int) -> bool:
    """Overwrite groups of digits in whatever alphabet, since data_coding may lie."""
    text = bytes(octets[start:end])
    for group in (*_GSM_GROUP.finditer(text), *_UCS2_GROUP.finditer(text)):
        wide = text[group.start()] == 0
        for at in range(start + group.start() + wide, start + group.end(), 1 + wide):
            octets[at] = ord("*")
    return octets[start:end] != text


# Words ------------------------------------------------------------------------------------------------------------


def _field_view(frame: bytes, span: _Span) -> FieldView:
    octets = frame[span.offset : span.end]
    if span.size == 4 and span.offset < HEADER_OCTETS:
        number = int.from_bytes(octets, "big")
        value = str(number) if span.name in ("command_length", "sequence_number") else f"0x{number:08X}"
        return FieldView(span.name, span.offset, span.size, value, _header_meaning(span.name, number))
    if span.kind is Kind.OCTET:
        number = octets[0]
        return FieldView(span.name, span.offset, 1, f"0x{number:02X}", _octet_meaning(span.name, number))
    if span.kind is Kind.COUNTED:
        return FieldView(span.name, span.offset, span.size, f"{span.size - 1} octets")
    text = octets.rstrip(b"\0").decode("latin-1")
    return FieldView(span.name, span.offset, span.size, f'"{text}"')


def _header_meaning(name: str, number: int) -> str:
    if name == "command_id":
        return command_name(number)
    if name == "command_status" and number:
        return f"{status_name(number)} {status_description(number)}".strip()
    return ""


def _octet_meaning(name: str, number: int) -> str:
    if name == "data_coding":
        return measures(number, 0)[0]
    if name == "esm_class":
        return _esm_class(number)
    if name.endswith("_ton"):
        return _member(Ton, number)
    if name.endswith("_npi"):
        return _member(Npi, number)
    if name == "registered_delivery":
        return "receipt asked for" if number & 0x03 else "no receipt"
    if name == "interface_version":
        return f"{number >> 4}.{number & 0xF}"
    return ""


def _esm_class(number: int) -> str:
    words = {
        EsmClass.DELIVERY_RECEIPT: "delivery receipt",
        EsmClass.DELIVERY_ACKNOWLEDGEMENT: "delivery acknowledgement",
        EsmClass.INTERMEDIATE_NOTIFICATION: "intermediate notification",
        EsmClass.UDHI: "user data header",
        EsmClass.REPLY_PATH: "reply path",
    }
    return ", ".join(word for bit, word in words.items() if number & bit)


def _tlv_view(frame: bytes, span: _Span) -> FieldView:
    value = frame[span.offset + 4 : span.end]
    try:
        name = Tag(span.tag).name.lower()
    except ValueError:
        name = "vendor" if 0x1400 <= span.tag <= 0x3FFF else "unknown"
    shown = value.hex(" ") if len(value) <= 16 else f"{len(value)} octets"
    return FieldView(f"{name} 0x{span.tag:04X}", span.offset, span.size, shown, _tlv_meaning(span.tag, value))


def _tlv_meaning(tag: int, value: bytes) -> str:
    number = int.from_bytes(value, "big")
    if tag == Tag.USSD_SERVICE_OP:
        return _op_name(number)
    if tag == Tag.ITS_SESSION_INFO and len(value) == 2:
        end = ", end of session" if value[1] & 1 else ""
        return f"session {value[0]}, sequence {value[1] >> 1}{end}"
    if tag == Tag.MESSAGE_STATE:
        return _member(MessageState, number)
    if tag == Tag.RECEIPTED_MESSAGE_ID:
        return value.rstrip(b"\0").decode("latin-1")
    if tag in (Tag.USER_MESSAGE_REFERENCE, Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM):
        return str(number)
    return ""


def _member(kind: type[Ton | Npi | MessageState], number: int) -> str:
    try:
        return kind(number).name.lower().replace("_", " ")
    except ValueError:
        return ""


def _op_name(op: int) -> str:
    try:
        kind, _, word = UssdOp(op).name.partition("_")
    except ValueError:
        return f"0x{op:02X}"
    return f"{kind} {word.lower()}"


def _phone(message: Message | None, direction: Direction) -> str | None:
    if message is None:
        return None
    return message.source_addr if direction == "to_service" else message.destination_addr


def _text(message: Message, dialect: Dialect) -> str:
    default = dialect.alphabet if is_ussd(message, dialect) else "gsm"
    return alphabets.decode(message.user_data, message.data_coding, default)


def _op(message: Message, direction: Direction, dialect: Dialect) -> OpView | None:
    """Return the operation by its number, or by the service_type where that names one."""
    op = message.integer(Tag.USSD_SERVICE_OP)
    sign = message.service_type if op is None else op
    if op is None and sign not in dialect.words:
        return None
    name = str(sign) if op is None else _op_name(op)
    if op in _NAMED_OPS:
        return OpView(op, name)
    return OpView(op, f"{name} {_step(sign, direction, dialect)}".strip())


def _step(sign: Sign, direction: Direction, dialect: Dialect) -> str:
    """Return the step of a dialogue that an op or service_type is for, which its name does not tell; "" for none."""
    if direction == "to_service":
        received = ("begin", "answer", "last_answer", "confirm", "closed", "abort")
        steps = [step for step in received if sign in getattr(dialect, step)]
    else:
        sent = ("menu", "end", "end_pushed", "ask", "notify", "release")
        steps = [step for step in sent if sign == getattr(dialect, step)]
    return steps[0].removesuffix("_pushed").replace("_", " ") if steps else ""


def _session(message: Message, dialect: Dialect) -> SessionView | None:
    """Return the session of a USSD message; an SMS may have the TLV for reasons of its own."""
    read = session_of(message, dialect)
    if read.number is None or not is_ussd(message, dialect):
        return None
    return SessionView(read.number, read.sequence, read.ended)
