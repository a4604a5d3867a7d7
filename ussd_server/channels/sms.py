"""SMS: what a received message says, the parts of one to send, and what may become of it."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import msgspec

from menus.render import Channel
from smpp.alphabets import Alphabet, alphabet_of
from smpp.constants import CommandId, DataCoding, Npi, Ton
from smpp.pdu import Message
from smpp.reassembly import Piece, read
from smpp.segments import Style, split

SMS = Channel("sms")
"""SMS screens are as long as they are: the network joins the parts of a long one."""

BLANK = " \t\r\n\x00"
"""What phones and SMSCs put into a message that its sender left empty. A GSM `@` (octet 0) is decoded before."""


def text_of(message: Message, default: Alphabet) -> str:
    """Return what the subscriber wrote, without blanks around it; "" for an empty SMS in any of its forms.

    Empty are: no short_message, one of no octets, a message_payload of no octets, a single blank, CR or stray NUL. Half
    a unit of UCS-2 at the end is a stray NUL, too.
    """
    return read([Piece(message.user_data, alphabet_of(message.data_coding, default))]).strip(BLANK)


RECEIPT_OF_ANY_END = 1
"""`registered_delivery`: a receipt however delivery ends, and none before (SMPP 3.4 §5.2.17)."""


class Spelling(msgspec.Struct, frozen=True):
    """How one operator's SMS are addressed and encoded: types of number, numbering plans, data_coding per alphabet.

    `source_ton` and `source_npi` are those of a sender that is digits. `default` is what data_coding 0 means there.
    `style` is how a long one goes, `receipts` whether its end is to be told.
    """

    source_ton: int = Ton.UNKNOWN
    source_npi: int = Npi.ISDN
    dest_ton: int = Ton.INTERNATIONAL
    dest_npi: int = Npi.ISDN
    gsm_coding: int = DataCoding.DEFAULT
    ucs2_coding: int = DataCoding.UCS2
    default: Alphabet = "gsm"
    style: Style = "udh8"
    receipts: bool = False


USUAL = Spelling()


def parts(source: str, msisdn: str, text: str, reference: int, spelling: Spelling = USUAL) -> list[Message]:
    """Return the submit_sm of a text: one, or several that the phone joins by their common `reference` (16 bits)."""
    named = not source.isdigit()
    bare = Message(
        CommandId.SUBMIT_SM,
        source_addr_ton=Ton.ALPHANUMERIC if named else spelling.source_ton,
        source_addr_npi=Npi.UNKNOWN if named else spelling.source_npi,
        source_addr=source,
        dest_addr_ton=spelling.dest_ton,
        dest_addr_npi=spelling.dest_npi,
        destination_addr=msisdn,
        registered_delivery=RECEIPT_OF_ANY_END if spelling.receipts else 0,
    )
    cut = split(text, reference, spelling.gsm_coding, spelling.ucs2_coding, spelling.style, spelling.default)
    return [part.into(bare) for part in cut]


SendResult: TypeAlias = Literal["sent", "later", "refused"]


@dataclass(frozen=True)
class SendOutcome:
    """What became of a submit_sm: `sent`, to be tried `later`, or `refused` for good; and the network's reason.

    Where receipts were asked for and can be known, `message_ids` are those of the parts, and `account` where they come.
    `crowded`: it was not tried, for its account has as many under way as it may.
    """

    result: SendResult
    reason: str = ""
    account: str = ""
    message_ids: tuple[str, ...] = ()
    crowded: bool = False


class Sender(Protocol):
    """Whatever takes an SMS to the network."""

    async def send_sms(self, account: str, source: str, msisdn: str, text: str, reference: int) -> SendOutcome:
        """Send an SMS by this account; return when the network has answered every part of it."""
