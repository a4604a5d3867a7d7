"""Delivery receipts: what became of a message that was submitted (SMPP 3.4 §5.2.12, §5.3.2, appendix B)."""

import re
from typing import Final, Literal, TypeAlias

import msgspec

from smpp.constants import EsmClass, MessageState, Tag
from smpp.pdu import Message

Base: TypeAlias = Literal["opaque", "dec", "hex"]
"""How an SMSC writes its message ids, where it does not write them alike everywhere; opaque is compared as it is."""

Outcome: TypeAlias = Literal["delivered", "failed", "expired"]
"""How a message ended."""

_RECEIPT_BITS: Final = int(
    EsmClass.DELIVERY_RECEIPT | EsmClass.DELIVERY_ACKNOWLEDGEMENT | EsmClass.INTERMEDIATE_NOTIFICATION
)
_RECEIPTED: Final = int(Tag.RECEIPTED_MESSAGE_ID)
_USSD: Final = int(Tag.USSD_SERVICE_OP)
_FIELD: Final = re.compile(
    rb"(?i)\b(id|stat|err|submit date|done date):(?:[ \t]+(?!\S*:|(?:submit|done) date:))?([^\s,;]*)"
)
"""Some SMSCs write a blank behind the colon, or commas between the fields. What looks like the next field is none."""
_STATES: Final = {
    b"ENROUTE": MessageState.ENROUTE,
    b"DELIVRD": MessageState.DELIVERED,
    b"DELIVER": MessageState.DELIVERED,
    b"EXPIRED": MessageState.EXPIRED,
    b"DELETED": MessageState.DELETED,
    b"UNDELIV": MessageState.UNDELIVERABLE,
    b"ACCEPTD": MessageState.ACCEPTED,
    b"ACCEPTE": MessageState.ACCEPTED,
    b"UNKNOWN": MessageState.UNKNOWN,
    b"REJECTD": MessageState.REJECTED,
    b"REJECTE": MessageState.REJECTED,
    b"FAILED": MessageState.UNDELIVERABLE,
}
"""By the first seven characters (appendix B), also of words that are written out."""
_OUTCOMES: Final[dict[MessageState, Outcome]] = {
    MessageState.DELIVERED: "delivered",
    MessageState.EXPIRED: "expired",
    MessageState.DELETED: "failed",
    MessageState.UNDELIVERABLE: "failed",
    MessageState.UNKNOWN: "failed",
    MessageState.REJECTED: "failed",
}
_STATE_NUMBERS: Final[dict[int, MessageState]] = {state.value: state for state in MessageState}
_NETWORK_ERROR_OCTETS: Final = 3  # §5.3.2.31: one of the kind of network, two of its error


class Receipt(msgspec.Struct, frozen=True):
    """What a receipt says; a field that it does not give is "" or None.

    `message_id` is opaque, as it was in the response to the submit, or in another base: SMSCs differ. `error` and the
    dates (YYMMDDhhmm, in the SMSC's time) are as they were written.
    """

    message_id: str = ""
    state: MessageState | None = None
    error: str = ""
    submitted: str = ""
    done: str = ""


def is_receipt(message: Message) -> bool:
    """Return whether a deliver_sm tells of a message of ours, and is nothing that a subscriber wrote."""
    if message.esm_class & _RECEIPT_BITS:
        return True
    # Some SMSCs forget to say so, but the id of a message of ours stands in nothing that a subscriber writes.
    return _RECEIPTED in message.tlvs and _USSD not in message.tlvs


def outcome_of(state: MessageState | None) -> Outcome | None:
    """Return how a message in this state has ended; None where it has not, or nobody said.

    ACCEPTED has not: what §5.2.28 means by it is rare, and many SMSCs say it of a message that is on its way.
    """
    return None if state is None else _OUTCOMES.get(state)


def parse(message: Message) -> Receipt:
    """Read a receipt: its TLVs, and for what they do not give its text. Never raises."""
    fields = _fields(message)
    state = _STATE_NUMBERS.get(message.integer(Tag.MESSAGE_STATE) or 0)
    network_error = message.tlvs.get(Tag.NETWORK_ERROR_CODE, b"")
    return Receipt(
        message_id=message.text(Tag.RECEIPTED_MESSAGE_ID) or fields.get(b"id", b"").decode("latin-1"),
        state=state or _STATES.get(fields.get(b"stat", b"").upper()[:7]),
        error=(
            str(int.from_bytes(network_error[1:], "big"))
            if len(network_error) == _NETWORK_ERROR_OCTETS
            else fields.get(b"err", b"").decode("latin-1")
        ),
        submitted=fields.get(b"submit date", b"").decode("latin-1"),
        done=fields.get(b"done date", b"").decode("latin-1"),
    )


def _fields(message: Message) -> dict[bytes, bytes]:
    """Find the text's fields in its octets: data_coding is often wrong here, ASCII that says UCS-2 for one."""
    raw = message.user_data.replace(b"\0", b"")
    head = re.split(rb"(?i)\btext:", raw, maxsplit=1)[0]
    fields: dict[bytes, bytes] = {}
    for name, value in _FIELD.findall(head):
        fields.setdefault(name.lower(), value)
    return fields


def same_id(message_id: str, base: Base) -> str:
    """Return an id by which a receipt and the response to the submit can be matched, whatever base either is in.

    SMSCs are known to write hex in `submit_sm_resp` and decimal in receipts, or the other way round. What is no number
    in that base comes back as it is, as everything opaque does: its case and leading zeros count.
    """
    if base == "opaque" or not (message_id.isascii() and message_id.isalnum()):
        return message_id
    try:
        return str(int(message_id, 10 if base == "dec" else 16))
    except ValueError:
        return message_id
