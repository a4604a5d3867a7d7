"""PDUs as values, and the codec between them and octets.

Field names are the specification's. TLVs stay raw, `{tag: value}`, so one that nobody knows survives; accessors read
the few that are of use. Decoding never raises: a body that makes no sense becomes `Malformed`, which says how to
answer it. Encoding raises `ValueError` where a field does not fit, because then the caller is wrong.
"""

from typing import TypeAlias

import msgspec

from smpp.constants import CommandId

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


class Message(msgspec.Struct, gc=False):
    """A deliver_sm, submit_sm or data_sm (SMPP 3.4 §4.4, §4.6, §4.7), as `command` says.

    Addresses are the digits or letters as sent, never with a '+'. `sequence` 0 is filled in by the link. A data_sm has no
    short_message and none of the fields that only SMS-C storage needs; they keep their defaults.
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
        raise NotImplementedError

    @property
    def user_data(self) -> bytes:
        """`payload` without a user data header, where esm_class says that there is one."""
        raise NotImplementedError

    def integer(self, tag: int) -> int | None:
        """Return a TLV as an unsigned integer of whatever length it has, None where it is missing or empty."""
        raise NotImplementedError

    def text(self, tag: int) -> str | None:
        """Return a TLV as a C-octet string, up to its NUL or its end, None where it is missing."""
        raise NotImplementedError


class Bind(msgspec.Struct):
    """A request to bind as transceiver, transmitter or receiver (§4.1), as `command` says."""

    command: int = CommandId.BIND_TRANSCEIVER
    sequence: int = 0
    status: int = 0
    system_id: str = ""
    password: Password = Password()
    system_type: str = ""
    interface_version: int = 0x34
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


Pdu: TypeAlias = Message | Bind | BindResp | MessageResp | Bare | Outbind | Alert | Unknown


class Malformed(msgspec.Struct, frozen=True):
    """A request whose body does not parse. `error` is the status to answer with, `reason` says what was wrong."""

    command: int
    sequence: int
    error: int
    reason: str


def decode(frame: bytes) -> Pdu | Malformed:
    """Decode one whole PDU, as `Framer` cuts them; never raises."""
    raise NotImplementedError


def encode(pdu: Pdu) -> bytes:
    """Encode a PDU with its header. Raises `ValueError` where a field does not fit its place."""
    raise NotImplementedError
