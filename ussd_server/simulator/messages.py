"""What the network sends to a service, spelled as PDUs: USSD in the gateway's dialect, SMS and receipts."""

import re
import time
from typing import Final, Literal, TypeAlias, get_args

from smpp import alphabets, ussd
from smpp.alphabets import Encoded
from smpp.constants import CommandId, EsmClass, MessageState, Npi, Tag, Ton
from smpp.dialect import STANDARD, Dialect
from smpp.pdu import Message
from smpp.segments import Style, split
from ussd_server.simulator.measure import fits
from ussd_server.simulator.phone import Utterance

End: TypeAlias = Literal["delivered", "failed", "expired"]
"""How the network says that an SMS to a phone ended."""
ENDS: Final[tuple[End, ...]] = get_args(End)

_ENDS: Final[dict[End, tuple[MessageState, str, str]]] = {
    "delivered": (MessageState.DELIVERED, "DELIVRD", "000"),
    "failed": (MessageState.UNDELIVERABLE, "UNDELIV", "011"),
    "expired": (MessageState.EXPIRED, "EXPIRED", "001"),
}

ADDRESS_CHARACTERS: Final = 20
"""The longest address (SMPP 3.4, 5.2.8: 21 octets with the NUL)."""


def can_be_said(text: str, dialect: Dialect = STANDARD) -> bool:
    """Tell whether a phone can send this in one USSD message."""
    return fits(ussd.answer("", "", _encoded(text, dialect), session=0, sequence=0, dialect=dialect), dialect)


def can_be_dialled(code: str, dialect: Dialect = STANDARD) -> bool:
    """Tell whether a phone can send this to begin; a gateway that has it in an address has less room for it."""
    if dialect.takes_from_address:
        return len(code) <= ADDRESS_CHARACTERS and code.isascii() and code.isprintable()
    return can_be_said(code, dialect)


def ussd_message(msisdn: str, utterance: Utterance, code: str, dialect: Dialect = STANDARD) -> Message | None:
    """Spell what a phone says in this dialect; None where the gateway says nothing of it."""
    session, step = utterance.session, utterance.step
    if utterance.kind == "abort":
        return ussd.abort(msisdn, code, session=session, sequence=step, why=utterance.why, dialect=dialect)
    if utterance.kind == "confirm":
        return ussd.confirm(msisdn, code, session=session, sequence=step, dialect=dialect)
    make = ussd.dial if utterance.kind == "begin" else ussd.answer
    encoded = _encoded(utterance.text, dialect)
    return make(msisdn, code, encoded, session=session, sequence=step, dialect=dialect)


def _encoded(text: str, dialect: Dialect) -> Encoded:
    return alphabets.choose(text, dialect.gsm_coding, dialect.ucs2_coding, dialect.alphabet)


def service_code(dialled: str) -> str:
    """Return the number of the service that a dialled string names: 111 of `*111*2#`."""
    digits = re.search("[0-9]+", dialled)
    return digits[0][:ADDRESS_CHARACTERS] if digits else ""


def sms_messages(msisdn: str, to: str, text: str, reference: int, style: Style = "udh8") -> list[Message]:
    """Spell an SMS from a phone, in as many parts as it needs."""
    bare = Message(
        CommandId.DELIVER_SM,
        source_addr_ton=Ton.INTERNATIONAL,
        source_addr_npi=Npi.ISDN,
        source_addr=msisdn,
        dest_addr_npi=Npi.ISDN,
        destination_addr=to,
    )
    return [part.into(bare) for part in split(text, reference, style=style)]


def receipt_of(message: Message, message_id: str, now: int, end: End = "delivered") -> Message:
    """Spell the receipt of an SMS that ended so (SMPP 3.4, appendix B)."""
    date = time.strftime("%y%m%d%H%M", time.gmtime(now / 1000))
    state, word, error = _ENDS[end]
    fields = f"id:{message_id} sub:001 dlvrd:{int(end == 'delivered'):03} submit date:{date} done date:{date}"
    text = f"{fields} stat:{word} err:{error} text:"
    return Message(
        CommandId.DELIVER_SM,
        source_addr_ton=message.dest_addr_ton,
        source_addr_npi=message.dest_addr_npi,
        source_addr=message.destination_addr,
        dest_addr_ton=message.source_addr_ton,
        dest_addr_npi=message.source_addr_npi,
        destination_addr=message.source_addr,
        esm_class=EsmClass.DELIVERY_RECEIPT,
        short_message=text.encode("ascii"),
        tlvs={
            Tag.RECEIPTED_MESSAGE_ID: message_id.encode("ascii") + b"\0",
            Tag.MESSAGE_STATE: bytes((state,)),
        },
    )
