"""PDUs as values, and the codec between them and octets.

Field names are the specification's. TLVs stay raw, `{tag: value}`, so one that nobody knows survives; accessors read
the few that are of use. Decoding never raises: a body that makes no sense becomes `Malformed`, which says how to
answer it. Encoding raises `ValueError` where a field does not fit, because then the caller is wrong.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from struct import Struct
from struct import error as StructError
from typing import Any, Final, Protocol, TypeAlias, cast

import msgspec

from smpp import specs
from smpp.constants import HEADER_OCTETS, INTERFACE_VERSION, RESPONSE_BIT, CommandId, EsmClass, Status, Tag
from smpp.specs import Field, Kind

Tlvs: TypeAlias = dict[int, bytes]


class Password:
    """A password that shows in no text and no traceback; `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the password itself."""
        return self._value

    def __repr__(self) -> str:
        return "Password(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


_MESSAGE_PAYLOAD: Final = int(Tag.MESSAGE_PAYLOAD)
_UDHI: Final = int(EsmClass.UDHI)


class Message(msgspec.Struct, gc=False):
    """A deliver_sm, submit_sm or data_sm (SMPP 3.4 §4.4, §4.6, §4.7), as `command` says.

    Addresses are the digits or letters as sent. `sequence` is filled in by the link. A data_sm has no short_message
    and none of the fields that only storing needs; they keep their defaults. Of a repeated TLV the last is kept.
    """

    command: int
    sequence: int = 0
    status: int = 0
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Tlvs = {}

    @property
    def payload(self) -> bytes:
        """The octets of the text wherever they are: short_message, or else message_payload."""
        return self.short_message or self.tlvs.get(_MESSAGE_PAYLOAD, b"")

    @property
    def user_data(self) -> bytes:
        """`payload` without a user data header, where esm_class says that there is one."""
        payload = self.short_message or self.payload
        if self.esm_class & _UDHI and payload:
            return payload[payload[0] + 1 :]
        return payload

    def integer(self, tag: int) -> int | None:
        """Return a TLV as an unsigned integer of whatever length it has, None where it is missing or empty."""
        value = self.tlvs.get(tag)
        return int.from_bytes(value, "big") if value else None

    def text(self, tag: int) -> str | None:
        """Return a TLV as a C-octet string, up to its NUL or its end, None where it is missing."""
        value = self.tlvs.get(tag)
        return None if value is None else value.partition(b"\0")[0].decode("latin-1")


class Bind(msgspec.Struct):
    """A request to bind as transceiver, transmitter or receiver (§4.1), as `command` says."""

    command: int = CommandId.BIND_TRANSCEIVER
    sequence: int = 0
    status: int = 0
    system_id: str = ""
    password: Password = Password()
    system_type: str = ""
    interface_version: int = INTERFACE_VERSION
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    tlvs: Tlvs = {}


class BindResp(msgspec.Struct):
    """The answer to a bind; after an error the body may be missing, which reads as an empty `system_id`."""

    command: int
    sequence: int = 0
    status: int = 0
    system_id: str = ""
    tlvs: Tlvs = {}


class MessageResp(msgspec.Struct, gc=False):
    """The answer to a `Message`. `message_id` is opaque: its case and leading zeros are kept."""

    command: int
    sequence: int = 0
    status: int = 0
    message_id: str = ""
    tlvs: Tlvs = {}


class Bare(msgspec.Struct, gc=False):
    """A PDU without a body: enquire_link, unbind, their responses, and generic_nack."""

    command: int
    sequence: int = 0
    status: int = 0


class Outbind(msgspec.Struct):
    """An SMSC asks an ESME to bind (§4.1.7)."""

    command: int = CommandId.OUTBIND
    sequence: int = 0
    status: int = 0
    system_id: str = ""
    password: Password = Password()


class Alert(msgspec.Struct):
    """alert_notification: a subscriber can be reached again (§4.12). It has no response."""

    command: int = CommandId.ALERT_NOTIFICATION
    sequence: int = 0
    status: int = 0
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""
    tlvs: Tlvs = {}


class Unknown(msgspec.Struct):
    """A PDU whose command this codec does not speak, kept whole."""

    command: int
    sequence: int = 0
    status: int = 0
    body: bytes = b""


class Packed(msgspec.Struct, gc=False):
    """A request that is written already, all but its header: from templates, say, which cost less than a `Message`."""

    command: int
    body: bytes
    sequence: int = 0
    status: int = 0


class Delivery(Protocol):
    """A message as it was delivered, in whatever form, that waits for its response."""

    @property
    def command(self) -> int:
        """Its command."""

    @property
    def sequence(self) -> int:
        """Its sequence number, which is the response's."""


Pdu: TypeAlias = Message | Bind | BindResp | MessageResp | Bare | Outbind | Alert | Unknown


class Malformed(msgspec.Struct, frozen=True):
    """A request whose body does not parse. `error` is the status to answer with, `reason` says what was wrong."""

    command: int
    sequence: int
    error: int
    reason: str


# Decoding -------------------------------------------------------------------------------------------------------

_HEADER = Struct(">IIII")
_TLV = Struct(">HH")
unpack_header: Final = _HEADER.unpack_from
"""Reads length, command, status and sequence number of a PDU."""
_unpack_tlv = _TLV.unpack_from

# From esm_class to sm_length where schedule_delivery_time and validity_period are empty: octets all.
_TEN = Struct("10B")
_pack_ten = _TEN.pack
_unpack_ten = _TEN.unpack_from

# The TLVs of nearly every USSD message are ussd_service_op and its_session_info, of one octet and of two: read at once.
_PAIR = Struct(">HH1sHH2s")
_PAIR_OCTETS: Final = _PAIR.size
_unpack_pair = _PAIR.unpack_from

_TYPES: dict[int, type[Pdu]] = {
    CommandId.SUBMIT_SM: Message,
    CommandId.DELIVER_SM: Message,
    CommandId.DATA_SM: Message,
    CommandId.BIND_RECEIVER: Bind,
    CommandId.BIND_TRANSMITTER: Bind,
    CommandId.BIND_TRANSCEIVER: Bind,
    CommandId.BIND_RECEIVER_RESP: BindResp,
    CommandId.BIND_TRANSMITTER_RESP: BindResp,
    CommandId.BIND_TRANSCEIVER_RESP: BindResp,
    CommandId.SUBMIT_SM_RESP: MessageResp,
    CommandId.DELIVER_SM_RESP: MessageResp,
    CommandId.DATA_SM_RESP: MessageResp,
    CommandId.OUTBIND: Outbind,
    CommandId.ALERT_NOTIFICATION: Alert,
    CommandId.UNBIND: Bare,
    CommandId.UNBIND_RESP: Bare,
    CommandId.ENQUIRE_LINK: Bare,
    CommandId.ENQUIRE_LINK_RESP: Bare,
    CommandId.GENERIC_NACK: Bare,
}
_LONG_MESSAGES: Final = frozenset({int(CommandId.SUBMIT_SM), int(CommandId.DELIVER_SM)})


Decoders: TypeAlias = Mapping[int, Callable[[bytes, int, int, int], Any]]
"""By command: what makes a value of a whole PDU, its command, status and sequence number. Raises as `decode_long`."""


class _Broken(Exception):
    """A field or TLV runs past the end of the body; stays inside this module."""

    def __init__(self, error: Status, reason: str) -> None:
        super().__init__(reason)
        self.error = error


UNREADABLE: Final = (_Broken, IndexError, ValueError, StructError)
"""What a decoder raises where a body does not parse."""


def _decode_unknown(frame: bytes, command: int, status: int, sequence: int) -> Unknown:
    return Unknown(command, sequence, status, frame[HEADER_OCTETS:])


def decode_long(frame: bytes, command: int, status: int, sequence: int) -> Message:
    """Decode a deliver_sm or submit_sm; the same as by its table, unrolled because they are many.

    Raises what `decode` makes a `Malformed` of.
    """
    text = frame.decode("latin-1")
    find = text.index
    service_end = find("\0", HEADER_OCTETS)
    source_end = find("\0", service_end + 3)
    destination_end = find("\0", source_end + 3)
    esm_class, protocol, priority, schedule, validity, registered, replace, coding, canned, length = _unpack_ten(
        frame, destination_end + 1
    )
    if schedule or validity:  # their strings are not empty: what was read is not what it is called
        return cast(Message, _decode_by_table(frame, command, status, sequence))
    start = destination_end + 11
    end = start + length
    if end > len(frame):
        raise _Broken(Status.RINVMSGLEN, f"short_message is cut off: sm_length {length} of {len(frame) - start} octets")
    return Message(
        command,
        sequence,
        status,
        text[HEADER_OCTETS:service_end],
        frame[service_end + 1],
        frame[service_end + 2],
        text[service_end + 3 : source_end],
        frame[source_end + 1],
        frame[source_end + 2],
        text[source_end + 3 : destination_end],
        esm_class,
        protocol,
        priority,
        "",
        "",
        registered,
        replace,
        coding,
        canned,
        frame[start:end],
        _decode_tlvs(frame, end),
    )


def _decode_tlvs(frame: bytes, position: int) -> Tlvs:
    """Read TLVs up to the end; up to three octets too many, such as a NUL after short_message, are passed over."""
    total = len(frame)
    if total - position == _PAIR_OCTETS:
        one_tag, one_length, one, other_tag, other_length, other = _unpack_pair(frame, position)
        if one_length == 1 and other_length == 2:
            return {one_tag: one, other_tag: other}
    tlvs: Tlvs = {}
    while total - position >= 4:
        tag, length = _unpack_tlv(frame, position)
        start = position + 4
        position = start + length
        if position > total:
            raise _Broken(Status.RINVOPTPARSTREAM, f"TLV 0x{tag:04X} is cut off: length {length} of {total - start}")
        tlvs[tag] = frame[start:position]
    return tlvs


def _decode_by_table(frame: bytes, command: int, status: int, sequence: int) -> Pdu:
    """Decode a body as `specs.FIELDS` says."""
    values: dict[str, Any] = {}
    position = HEADER_OCTETS
    for name, kind in specs.FIELDS[command]:
        values[name], position = _decode_field(frame, position, kind)
    if command not in specs.WITHOUT_TLVS:
        values["tlvs"] = _decode_tlvs(frame, position)
    return _TYPES[command](command, sequence, status, **values)


def _decode_field(frame: bytes, position: int, kind: Kind) -> tuple[int | str | bytes | Password, int]:
    if kind is Kind.OCTET:
        return frame[position], position + 1
    if kind is Kind.COUNTED:
        length = frame[position]
        end = position + 1 + length
        if end > len(frame):
            left = len(frame) - position - 1
            raise _Broken(Status.RINVMSGLEN, f"short_message is cut off: sm_length {length} of {left} octets")
        return frame[position + 1 : end], end
    end = frame.index(0, position)
    text = frame[position:end].decode("latin-1")
    return (Password(text) if kind is Kind.SECRET else text), end + 1


def _decode_message_response(frame: bytes, command: int, status: int, sequence: int) -> MessageResp:
    end = len(frame) - 1
    if frame.find(0, HEADER_OCTETS) == end:  # an id and nothing else, as nearly always
        return MessageResp(command, sequence, status, frame[HEADER_OCTETS:end].decode("latin-1"), {})
    return MessageResp(command, sequence, status, *_decode_response(frame))


def _decode_bind_response(frame: bytes, command: int, status: int, sequence: int) -> BindResp:
    return BindResp(command, sequence, status, *_decode_response(frame))


def _decode_response(frame: bytes) -> tuple[str, Tlvs]:
    """Decode a response as far as it goes: a request must find its answer, however badly the answer is written."""
    end = frame.find(0, HEADER_OCTETS)
    tlvs: Tlvs = {}
    if 0 <= end < len(frame) - 1:
        with suppress(_Broken):
            tlvs = _decode_tlvs(frame, end + 1)
    return str(frame[HEADER_OCTETS : end if end >= 0 else None], "latin-1"), tlvs


def _decode_bare(frame: bytes, command: int, status: int, sequence: int) -> Bare:
    return Bare(command, sequence, status)


_BODY_DECODERS: Final[dict[type[Pdu], Callable[[bytes, int, int, int], Pdu]]] = {
    MessageResp: _decode_message_response,
    BindResp: _decode_bind_response,
    Bare: _decode_bare,
}
DECODERS: Final[dict[int, Callable[[bytes, int, int, int], Any]]] = {
    int(command): decode_long if command in _LONG_MESSAGES else _BODY_DECODERS.get(kind, _decode_by_table)
    for command, kind in _TYPES.items()
}


def decode(frame: bytes, decoders: Decoders = DECODERS) -> Pdu | Malformed:
    """Decode one whole PDU, as `Framer` cuts them; never raises. `decoders` may have some of the owner's own."""
    try:
        length, command, status, sequence = unpack_header(frame)
    except StructError:
        return Malformed(0, 0, Status.RINVCMDLEN, f"{len(frame)} octets are less than a header")
    if length != len(frame):
        return Malformed(command, sequence, Status.RINVCMDLEN, f"command_length {length} of {len(frame)} octets")
    try:
        pdu: Pdu = decoders.get(command, _decode_unknown)(frame, command, status, sequence)
    except _Broken as broken:
        return Malformed(command, sequence, broken.error, str(broken))
    except UNREADABLE:
        return Malformed(command, sequence, Status.RINVCMDLEN, "the body ends inside its mandatory fields")
    return pdu


# Encoding -------------------------------------------------------------------------------------------------------

_pack_header = _HEADER.pack
_pack_tlv = _TLV.pack
_DELIVER_SM: Final = int(CommandId.DELIVER_SM)
_DELIVER_SM_RESP: Final = int(CommandId.DELIVER_SM_RESP)
_SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
_pack_acknowledgement = Struct(">IIIIx").pack
_pack_two_heads = Struct(">IIIIxIIII").pack


def encode(pdu: Pdu | Packed, sequence: int | None = None) -> bytes:
    """Encode a PDU with its header, its sequence number replaced by `sequence` where one is given.

    Raises `ValueError` where a field does not fit its place.
    """
    try:
        if isinstance(pdu, Packed):
            body = pdu.body
        elif type(pdu) is Message and pdu.command in _LONG_MESSAGES:
            body = _encode_long(pdu)
        elif type(pdu) is MessageResp:
            body = _encode_response(pdu, pdu.message_id)
        elif type(pdu) is BindResp:
            body = _encode_response(pdu, pdu.system_id)
        elif type(pdu) is Unknown:
            body = pdu.body
        else:
            body = _encode_by_table(pdu)
        if sequence is None:
            sequence = pdu.sequence
        return _pack_header(len(body) + HEADER_OCTETS, pdu.command, pdu.status, sequence) + body
    except StructError as wrong:
        raise ValueError(f"a number out of range: {wrong}") from wrong


def acknowledge(message: Delivery) -> bytes:
    """Encode the response that says that a message was taken, and nothing else.

    A deliver_sm has the short way: every USSD step passes here. Raises as `encode`.
    """
    if message.command != _DELIVER_SM:
        return encode(MessageResp(message.command | RESPONSE_BIT, message.sequence))
    try:
        return _pack_acknowledgement(17, _DELIVER_SM_RESP, 0, message.sequence)  # the header and one NUL
    except StructError as wrong:
        raise ValueError(f"a number out of range: {wrong}") from wrong


def acknowledge_and_submit(delivered: int, body: bytes, sequence: int) -> bytes:
    """Encode the response that the deliver_sm of this number was taken, and a submit_sm behind it.

    The same octets as by `acknowledge` and `encode`. The numbers fit: one was decoded, the other is the link's own.
    """
    length = len(body) + HEADER_OCTETS
    return _pack_two_heads(17, _DELIVER_SM_RESP, 0, delivered, length, _SUBMIT_SM, 0, sequence) + body


def submit(body: bytes, sequence: int) -> bytes:
    """Encode a submit_sm whose body is written already; the same octets as by `encode`."""
    return _pack_header(len(body) + HEADER_OCTETS, _SUBMIT_SM, 0, sequence) + body


def _encode_response(pdu: MessageResp | BindResp, name: str) -> bytes:
    """Encode the answer to a bind or a message."""
    if pdu.status and not name and not pdu.tlvs and pdu.command != _DELIVER_SM_RESP:
        return b""  # §4.4.2: no body after an error. A deliver_sm_resp keeps its one NUL: some SMSCs wait for it.
    if _TYPES.get(pdu.command) is not type(pdu):
        raise ValueError(f"command 0x{pdu.command:08X} is not a {type(pdu).__name__}")
    if "\0" in name:
        raise ValueError("a C-octet string holds a NUL")
    return name.encode("latin-1") + b"\0" + _encode_tlvs(pdu.tlvs)


def _encode_long(message: Message) -> bytes:
    """Encode a deliver_sm or submit_sm; the same as by its table, unrolled because every USSD step passes here."""
    short_message = message.short_message
    if message.schedule_delivery_time or message.validity_period:
        return _encode_by_table(message)
    service_type = message.service_type
    source = message.source_addr
    destination = message.destination_addr
    if "\0" in service_type + source + destination:
        raise ValueError("a C-octet string holds a NUL")
    addresses = (
        f"{service_type}\0{chr(message.source_addr_ton)}{chr(message.source_addr_npi)}{source}\0"
        f"{chr(message.dest_addr_ton)}{chr(message.dest_addr_npi)}{destination}\0"
    ).encode("latin-1")
    ten = _pack_ten(
        message.esm_class,
        message.protocol_id,
        message.priority_flag,
        0,
        0,
        message.registered_delivery,
        message.replace_if_present_flag,
        message.data_coding,
        message.sm_default_msg_id,
        len(short_message),
    )
    body = addresses + ten + short_message
    tlvs = message.tlvs
    if not tlvs:
        return body
    if short_message and _MESSAGE_PAYLOAD in tlvs:
        raise ValueError("short_message and message_payload exclude each other")
    return body + _encode_tlvs(tlvs)


def _encode_tlvs(tlvs: Tlvs) -> bytes:
    out = b""
    for tag, value in tlvs.items():
        out += _pack_tlv(tag, len(value)) + value
    return out


def _encode_by_table(pdu: Pdu) -> bytes:
    """Encode a body as `specs.FIELDS` says."""
    if _TYPES.get(pdu.command) is not type(pdu):
        raise ValueError(f"command 0x{pdu.command:08X} is not a {type(pdu).__name__}")
    if type(pdu) is Message and pdu.short_message:
        if pdu.command == CommandId.DATA_SM:
            raise ValueError("a data_sm has no short_message: use message_payload")
        if _MESSAGE_PAYLOAD in pdu.tlvs:
            raise ValueError("short_message and message_payload exclude each other")
    body = b"".join(_encode_field(field, getattr(pdu, field.name)) for field in specs.FIELDS[pdu.command])
    if pdu.command in specs.WITHOUT_TLVS:
        return body
    return body + _encode_tlvs(getattr(pdu, "tlvs", {}))


def _encode_field(field: Field, value: Any) -> bytes:
    if field.kind is Kind.OCTET:
        return bytes((value,))
    if field.kind is Kind.COUNTED:
        return bytes((len(value),)) + bytes(value)
    text: str = value.reveal() if field.kind is Kind.SECRET else value
    if "\0" in text:
        raise ValueError(f"{field.name} holds a NUL")
    return text.encode("latin-1") + b"\0"
