"""The mandatory fields of each PDU as tables, in wire order (SMPP 3.4 §4).

A field's name is the attribute that holds it. All PDUs but those without optional parameters end in TLVs.
"""

from enum import Enum, auto
from typing import NamedTuple

from smpp.constants import CommandId


class Kind(Enum):
    """How a field is written."""

    OCTET = auto()  # one unsigned octet
    CSTRING = auto()  # octets up to a NUL; read as Latin-1, so that every octet survives
    SECRET = auto()  # a CSTRING that must not show in any text
    COUNTED = auto()  # one octet of length, then that many octets


class Field(NamedTuple):
    """One mandatory field."""

    name: str
    kind: Kind


_ADDRESSES = (
    Field("service_type", Kind.CSTRING),
    Field("source_addr_ton", Kind.OCTET),
    Field("source_addr_npi", Kind.OCTET),
    Field("source_addr", Kind.CSTRING),
    Field("dest_addr_ton", Kind.OCTET),
    Field("dest_addr_npi", Kind.OCTET),
    Field("destination_addr", Kind.CSTRING),
    Field("esm_class", Kind.OCTET),
)

MESSAGE = (
    *_ADDRESSES,
    Field("protocol_id", Kind.OCTET),
    Field("priority_flag", Kind.OCTET),
    Field("schedule_delivery_time", Kind.CSTRING),
    Field("validity_period", Kind.CSTRING),
    Field("registered_delivery", Kind.OCTET),
    Field("replace_if_present_flag", Kind.OCTET),
    Field("data_coding", Kind.OCTET),
    Field("sm_default_msg_id", Kind.OCTET),
    Field("short_message", Kind.COUNTED),
)

DATA = (
    *_ADDRESSES,
    Field("registered_delivery", Kind.OCTET),
    Field("data_coding", Kind.OCTET),
)

BIND = (
    Field("system_id", Kind.CSTRING),
    Field("password", Kind.SECRET),
    Field("system_type", Kind.CSTRING),
    Field("interface_version", Kind.OCTET),
    Field("addr_ton", Kind.OCTET),
    Field("addr_npi", Kind.OCTET),
    Field("address_range", Kind.CSTRING),
)

OUTBIND = (
    Field("system_id", Kind.CSTRING),
    Field("password", Kind.SECRET),
)

ALERT = (
    Field("source_addr_ton", Kind.OCTET),
    Field("source_addr_npi", Kind.OCTET),
    Field("source_addr", Kind.CSTRING),
    Field("esme_addr_ton", Kind.OCTET),
    Field("esme_addr_npi", Kind.OCTET),
    Field("esme_addr", Kind.CSTRING),
)

BIND_RESP = (Field("system_id", Kind.CSTRING),)
MESSAGE_RESP = (Field("message_id", Kind.CSTRING),)

FIELDS: dict[int, tuple[Field, ...]] = {
    CommandId.SUBMIT_SM: MESSAGE,
    CommandId.DELIVER_SM: MESSAGE,
    CommandId.DATA_SM: DATA,
    CommandId.BIND_RECEIVER: BIND,
    CommandId.BIND_TRANSMITTER: BIND,
    CommandId.BIND_TRANSCEIVER: BIND,
    CommandId.BIND_RECEIVER_RESP: BIND_RESP,
    CommandId.BIND_TRANSMITTER_RESP: BIND_RESP,
    CommandId.BIND_TRANSCEIVER_RESP: BIND_RESP,
    CommandId.SUBMIT_SM_RESP: MESSAGE_RESP,
    CommandId.DELIVER_SM_RESP: MESSAGE_RESP,
    CommandId.DATA_SM_RESP: MESSAGE_RESP,
    CommandId.OUTBIND: OUTBIND,
    CommandId.ALERT_NOTIFICATION: ALERT,
    CommandId.UNBIND: (),
    CommandId.UNBIND_RESP: (),
    CommandId.ENQUIRE_LINK: (),
    CommandId.ENQUIRE_LINK_RESP: (),
    CommandId.GENERIC_NACK: (),
}

WITHOUT_TLVS = frozenset(
    {
        CommandId.OUTBIND,
        CommandId.UNBIND,
        CommandId.UNBIND_RESP,
        CommandId.ENQUIRE_LINK,
        CommandId.ENQUIRE_LINK_RESP,
        CommandId.GENERIC_NACK,
    }
)
