"""A long SMS in parts that a phone joins again, or whole for an SMSC that cuts it.

| style | the parts are known by | octets of GSM, units of UCS-2 in a part |
|---|---|---|
| `udh8` | a user data header with an 8-bit reference (3GPP TS 23.040 §9.2.3.24.1) | 153, 67 |
| `udh16` | a user data header with a 16-bit reference (§9.2.3.24.8) | 152, 66 |
| `sar` | the TLVs sar_msg_ref_num and two more (SMPP 3.4 §5.3.2.22 to 24) | 152, 66 |
| `payload` | the TLV message_payload, in which all of the text goes at once (§5.3.2.32) | the SMSC cuts |

With `sar` the SMSC writes the header, and may write either.
"""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

from smpp import alphabets
from smpp.alphabets import Alphabet
from smpp.constants import DataCoding, EsmClass, Tag
from smpp.pdu import Message, Tlvs

Style: TypeAlias = Literal["udh8", "udh16", "sar", "payload"]
STYLES: Final[tuple[Style, ...]] = get_args(Style)

# Octets of unpacked septets and of UTF-16, alone and beside a header (TS 23.040 §9.2.3.16: 140 octets in all).
GSM_ALONE: Final = 160
UCS2_ALONE: Final = 140
_PART: Final[dict[Style, tuple[int, int]]] = {
    "udh8": (153, 134),
    "udh16": (152, 132),
    "sar": (152, 132),
    "payload": (152, 132),
}
MOST_PARTS: Final = 255

_BLANK: Final = " \n\r"


class Part(msgspec.Struct, frozen=True, gc=False):
    """One SMS: its user data header where it has one (esm_class must say UDHI), its octets, and its TLVs.

    Header and TLVs are empty where the text is one part. With a message_payload `data` is empty.
    """

    udh: bytes
    data: bytes
    data_coding: int
    tlvs: Tlvs = {}

    def into(self, message: Message) -> Message:
        """Return the message with this part as its text."""
        return msgspec.structs.replace(
            message,
            esm_class=message.esm_class | (EsmClass.UDHI if self.udh else 0),
            data_coding=self.data_coding,
            short_message=self.udh + self.data,
            tlvs={**message.tlvs, **self.tlvs},
        )


def split(
    text: str,
    reference: int,
    gsm_coding: int = DataCoding.DEFAULT,
    ucs2_coding: int = DataCoding.UCS2,
    style: Style = "udh8",
    default: Alphabet = "gsm",
) -> list[Part]:
    """Encode a text as one SMS or as parts; their texts joined are the text.

    A cut is never inside a character, and inside a word only where the word alone is longer than a part. `reference`
    (as many of its low bits as the style has) must differ between the texts that a phone may get at the same time.
    The codings and `default` are as in `alphabets.choose`. Raises `ValueError` where the text takes more than 255
    parts, in one payload too.
    """
    whole = alphabets.choose(text, gsm_coding, ucs2_coding, default)
    travels: Alphabet = "ucs2" if whole.alphabet == "ucs2" else "gsm"  # whatever else it is written in until then
    gsm = travels == "gsm"
    travelling = whole.data if whole.alphabet == travels else alphabets.encode(text, travels)
    if len(travelling) <= (GSM_ALONE if gsm else UCS2_ALONE):
        return [Part(b"", whole.data, whole.data_coding)]
    octets = [len(alphabets.encode(character, travels)) for character in text]
    pieces = _cut(text, octets, _PART[style][0 if gsm else 1])
    if len(pieces) > MOST_PARTS:
        raise ValueError(f"a text of {len(text)} characters takes more than {MOST_PARTS} SMS")
    if style == "payload":
        return [Part(b"", b"", whole.data_coding, {int(Tag.MESSAGE_PAYLOAD): whole.data})]
    parts = []
    for number, piece in enumerate(pieces, 1):
        udh, tlvs = _mark(style, reference, len(pieces), number)
        parts.append(Part(udh, alphabets.encode(piece, whole.alphabet), whole.data_coding, tlvs))
    return parts


def _mark(style: Style, reference: int, total: int, number: int) -> tuple[bytes, Tlvs]:
    """Return the header or the TLVs that say which part this is; never both."""
    if style == "udh8":
        return bytes((5, 0, 3, reference & 0xFF, total, number)), {}
    wide = (reference & 0xFFFF).to_bytes(2, "big")
    if style == "udh16":
        return bytes((6, 8, 4, *wide, total, number)), {}
    return b"", {
        int(Tag.SAR_MSG_REF_NUM): wide,
        int(Tag.SAR_TOTAL_SEGMENTS): bytes((total,)),
        int(Tag.SAR_SEGMENT_SEQNUM): bytes((number,)),
    }


def _cut(text: str, octets: list[int], room: int) -> list[str]:
    """Cut a text into pieces of at most `room` octets, beside a blank where there is one."""
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = start
        used = 0
        while end < len(text) and used + octets[end] <= room:
            used += octets[end]
            end += 1
        if end < len(text):
            end = _beside_blank(text, start, end)
        pieces.append(text[start:end])
        start = end
    return pieces


def _beside_blank(text: str, start: int, end: int) -> int:
    """Return the last place to cut at or before `end` that is not inside a word, or `end` where there is none."""
    for place in range(end, start, -1):
        if text[place] in _BLANK or text[place - 1] in _BLANK:
            return place
    return end
