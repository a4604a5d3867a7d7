"""SMS: what a received message says, the parts of one to send, and what may become of it."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from menus.render import Channel
from smpp.alphabets import Alphabet, decode
from smpp.constants import CommandId
from smpp.pdu import Message
from smpp.segments import Style, split

SMS = Channel("sms")
"""SMS screens are as long as they are: the network joins the parts of a long one."""

BLANK = " \t\r\n\x00"
"""What phones and SMSCs put into a message that its sender left empty. A GSM `@` (octet 0) is decoded before."""


def text_of(message: Message, default: Alphabet) -> str:
    """Return what the subscriber wrote, without blanks around it; "" for an empty SMS in any of its forms.

    Empty are: no short_message, one of no octets, a message_payload of no octets, a single blank, CR or stray NUL.
    """
    return decode(message.user_data, message.data_coding, default).strip(BLANK)


def parts(
    source: str, ton: int, npi: int, msisdn: str, text: str, reference: int, style: Style = "udh8"
) -> list[Message]:
    """Return the submit_sm of a text: one, or several that the phone joins by their common `reference` (16 bits)."""
    bare = Message(
        CommandId.SUBMIT_SM,
        source_addr_ton=ton,
        source_addr_npi=npi,
        source_addr=source,
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=msisdn,
    )
    return [part.into(bare) for part in split(text, reference, style=style)]


SendResult: TypeAlias = Literal["sent", "later", "refused"]


@dataclass(frozen=True)
class SendOutcome:
    """What became of a submit_sm: `sent`, to be tried `later`, or `refused` for good; and the network's reason."""

    result: SendResult
    reason: str = ""


class Sender(Protocol):
    """Whatever takes an SMS to the network."""

    async def send_sms(self, account: str, source: str, msisdn: str, text: str, reference: int) -> SendOutcome:
        """Send an SMS by this account; return when the network has answered every part of it."""
