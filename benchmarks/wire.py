"""The few octets of SMPP 3.4 that a benchmark needs, written apart from the server's own codec on purpose.

Outgoing PDUs are templates in which sequence number, MSISDN and session are patched in place. Incoming ones are read in
full once a step, to learn where things are, and compared octet by octet after that.
"""

from dataclasses import dataclass
from struct import Struct, pack, unpack_from

HEADER = Struct(">IIII")
SEQUENCE_AT = 12
MSISDN_DIGITS = 11

SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK = 0x00000004, 0x00000005, 0x00000006, 0x00000015
RESPONSE = 0x80000000
BINDS = frozenset({0x00000001, 0x00000002, 0x00000009})
TAG_OP, TAG_SESSION, TAG_PAYLOAD = 0x0501, 0x1383, 0x0424
BEGIN, ANSWER = 0x01, 0x12

_NO_DATES = b"\0\0"
_GSM_CHARACTERS = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


def pdu(command: int, sequence: int, body: bytes = b"", status: int = 0) -> bytes:
    """Return a whole PDU."""
    return HEADER.pack(16 + len(body), command, status, sequence) + body


def tlv(tag: int, value: bytes) -> bytes:
    """Return one optional parameter."""
    return pack(">HH", tag, len(value)) + value


def deliver_template(op: int, text: str, short_code: str) -> tuple[bytearray, int]:
    """Return a USSD deliver_sm with room for the rest, and where its MSISDN goes; the session is its last 2 octets."""
    head = b"USSD\0\x01\x01"
    message = text.encode("ascii")
    body = b"".join(
        (
            head,
            b"0" * MSISDN_DIGITS + b"\0",
            b"\x00\x01" + short_code.encode("ascii") + b"\0",
            b"\0\0\0" + _NO_DATES + b"\0\0\0\0",  # esm_class ... sm_default_msg_id
            bytes((len(message),)) + message,
            tlv(TAG_OP, bytes((op,))),
            tlv(TAG_SESSION, b"\0\0"),
        )
    )
    return bytearray(pdu(DELIVER_SM, 0, body)), 16 + len(head)


def sms_template(text: str, number: str) -> tuple[bytearray, int]:
    """Return a deliver_sm that brings an SMS to a service number, and where its MSISDN goes."""
    head = b"\0\x01\x01"
    message = text.encode("ascii")
    body = b"".join(
        (
            head,
            b"0" * MSISDN_DIGITS + b"\0",
            b"\x00\x01" + number.encode("ascii") + b"\0",
            b"\0\0\0" + _NO_DATES + b"\0\0\0\0",
            bytes((len(message),)) + message,
        )
    )
    return bytearray(pdu(DELIVER_SM, 0, body)), 16 + len(head)


@dataclass(frozen=True)
class Message:
    """A submit_sm or deliver_sm, read in full. Places are offsets from the PDU's first octet; -1 is not there."""

    source: bytes
    destination: bytes
    destination_at: int
    data_coding: int
    message: bytes
    message_at: int
    op: int
    op_at: int
    session: int
    session_at: int

    @property
    def text(self) -> str:
        """Return the text: UCS-2 or one GSM septet an octet."""
        if self.data_coding & 0x0C == 0x08:
            return self.message.decode("utf-16-be")
        return "".join(_GSM_CHARACTERS[octet] for octet in self.message if octet < 128)


def read_message(frame: bytes) -> Message:
    """Read a submit_sm or deliver_sm; IndexError, ValueError or struct.error where it is not one."""
    at = frame.index(0, 16) + 1 + 2  # service_type, source TON and NPI
    source_end = frame.index(0, at)
    destination_at = source_end + 1 + 2
    destination_end = frame.index(0, destination_at)
    after = destination_end + 1 + 3  # esm_class, protocol_id, priority_flag
    after = frame.index(0, frame.index(0, after) + 1) + 1  # schedule_delivery_time, validity_period
    data_coding, length = frame[after + 2], frame[after + 4]
    message_at = after + 5
    message = frame[message_at : message_at + length]
    op = op_at = session = session_at = -1
    place = message_at + length
    while place + 4 <= len(frame):
        tag, size = unpack_from(">HH", frame, place)
        value_at = place + 4
        if tag == TAG_OP:
            op, op_at = frame[value_at], value_at
        elif tag == TAG_SESSION:
            session, session_at = unpack_from(">H", frame, value_at)[0], value_at
        elif tag == TAG_PAYLOAD:
            message, message_at = frame[value_at : value_at + size], value_at
        place = value_at + size
    return Message(
        source=frame[at:source_end],
        destination=frame[destination_at:destination_end],
        destination_at=destination_at,
        data_coding=data_coding,
        message=message,
        message_at=message_at,
        op=op,
        op_at=op_at,
        session=session,
        session_at=session_at,
    )
