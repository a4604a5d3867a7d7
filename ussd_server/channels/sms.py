"""SMS: what a received message says, the parts of one to send, and what may become of it."""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, Literal, Protocol, TypeAlias
from zlib import crc32

import msgspec

from menus.render import Channel
from smpp.alphabets import Alphabet, alphabet_of, choose
from smpp.constants import HEADER_OCTETS, CommandId, DataCoding, Npi, Ton
from smpp.pdu import Message, encode
from smpp.reassembly import read_one
from smpp.segments import GSM_ALONE, UCS2_ALONE, Style, split

SMS = Channel("sms")
"""SMS screens are as long as they are: the network joins the parts of a long one."""

BLANK = " \t\r\n\x00"
"""What phones and SMSCs put into a message that its sender left empty. A GSM `@` (octet 0) is decoded before."""


def text_of(message: Message, default: Alphabet) -> str:
    """Return what the subscriber wrote, without blanks around it; "" for an empty SMS in any of its forms.

    Empty are: no short_message, one of no octets, a message_payload of no octets, a single blank, CR or stray NUL. Half
    a unit of UCS-2 at the end is a stray NUL, too.
    """
    return read_one(message.user_data, alphabet_of(message.data_coding, default)).strip(BLANK)


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
    bare = _bare(source, msisdn, spelling)
    cut = split(text, reference, spelling.gsm_coding, spelling.ucs2_coding, spelling.style, spelling.default)
    return [part.into(bare) for part in cut]


def reference_of(id: str) -> int:
    """Return a number of 16 bits for an SMS, the same each time."""
    return crc32(id.encode()) & 0xFFFF


def _bare(source: str, msisdn: str, spelling: Spelling) -> Message:
    """Return a submit_sm without its text."""
    named = not source.isdigit()
    return Message(
        CommandId.SUBMIT_SM,
        source_addr_ton=Ton.ALPHANUMERIC if named else spelling.source_ton,
        source_addr_npi=Npi.UNKNOWN if named else spelling.source_npi,
        source_addr=source,
        dest_addr_ton=spelling.dest_ton,
        dest_addr_npi=spelling.dest_npi,
        destination_addr=msisdn,
        registered_delivery=RECEIPT_OF_ANY_END if spelling.receipts else 0,
    )


_ALONE: Final[dict[Alphabet, int]] = {"gsm": GSM_ALONE, "ucs2": UCS2_ALONE}
"""Octets of a text that is one SMS, by the alphabet in which it is written and travels alike."""
_FIELDS: Final = Struct("6xBxBxB")
"""The NUL of the number, then esm_class to sm_length; registered_delivery, data_coding and sm_length are not 0."""
_pack_fields = _FIELDS.pack

HEADS_KEPT: Final = 256
"""Senders that are remembered; a server has a few."""


class Writer:
    """Writes the submit_sm of one operator: those that `parts` makes, at a fraction of its cost where a text is short.

    Every answer to an SMS passes here. Of a short one only subscriber and text are its own; no text is kept.
    """

    def __init__(self, spelling: Spelling) -> None:
        self._spelling = spelling
        self._registered = RECEIPT_OF_ANY_END if spelling.receipts else 0
        self._heads: dict[str, bytes] = {}

    def write(self, source: str, msisdn: str, text: str, id: str) -> Sequence[bytes]:
        """Return the bodies of the submit_sm of an SMS, those of `parts`. Raises `ValueError` as the codec does."""
        spelling = self._spelling
        encoded = choose(text, spelling.gsm_coding, spelling.ucs2_coding, spelling.default)
        data = encoded.data
        if len(data) > _ALONE.get(encoded.alphabet, -1):
            every = parts(source, msisdn, text, reference_of(id), spelling)
            return [encode(each)[HEADER_OCTETS:] for each in every]
        head = self._heads.get(source) or self._head(source)
        fields = _pack_fields(self._registered, encoded.data_coding, len(data))
        return (b"".join((head, msisdn.encode(), fields, data)),)

    def _head(self, source: str) -> bytes:
        """Write what comes before the subscriber's number."""
        bare = _bare(source, "", self._spelling)
        if len(self._heads) >= HEADS_KEPT:
            self._heads.clear()
        head = self._heads[source] = encode(bare)[HEADER_OCTETS : -_FIELDS.size]
        return head


SendResult: TypeAlias = Literal["sent", "later", "refused"]


class SendOutcome(msgspec.Struct, frozen=True):
    """What became of a submit_sm: `sent`, to be tried `later`, or `refused` for good; and the network's reason.

    Where receipts were asked for and can be known, `message_ids` are those of the parts, and `account` where they come.
    `crowded`: it was not tried, for its account has as many under way as it may.
    """

    result: SendResult
    reason: str = ""
    account: str = ""
    message_ids: tuple[str, ...] = ()
    crowded: bool = False


SmsTold: TypeAlias = Callable[[Sequence[Any], SendOutcome], None]
"""Is told, in the loop's thread, what became of the SMS with these tags. It should raise nothing."""


class Sender(Protocol):
    """Whatever takes an SMS to the network."""

    def send_sms(self, account: str, source: str, msisdn: str, text: str, id: str, tag: object) -> SendOutcome | None:
        """Send an SMS by this account; by its tag is told what became of it when every part of it is answered.

        It has the same id whenever it is sent, so that the phone joins parts of a repeated send with those it has.

        Returns the outcome where it is known at once; then nobody is told of it, and never before this returns.
        """
