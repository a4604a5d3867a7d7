"""A long SMS in parts that a phone joins again, by an 8-bit reference in a header (3GPP TS 23.040 §9.2.3.24.1)."""

from typing import Final, NamedTuple

from smpp import alphabets
from smpp.constants import DataCoding

# Octets of unpacked septets and of UTF-16, alone and beside a header (TS 23.040 §9.2.3.16: 140 octets in all).
GSM_ALONE: Final = 160
GSM_PART: Final = 153
UCS2_ALONE: Final = 140
UCS2_PART: Final = 134
MOST_PARTS: Final = 255

_BLANK: Final = " \n\r"


class Part(NamedTuple):
    """One SMS. `udh` is its user data header, b"" where the text is one part; with it esm_class must say UDHI."""

    udh: bytes
    data: bytes
    data_coding: int


def split(
    text: str, reference: int, gsm_coding: int = DataCoding.DEFAULT, ucs2_coding: int = DataCoding.UCS2
) -> list[Part]:
    """Encode a text as one SMS or as parts; their texts joined are the text.

    A cut is never inside a character, and inside a word only where the word alone is longer than a part. `reference`
    (the low 8 bits count) must differ between the texts that a phone may get at the same time. Raises `ValueError`
    above 255 parts.
    """
    whole = alphabets.choose(text, gsm_coding, ucs2_coding)
    gsm = whole.alphabet == "gsm"
    if len(whole.data) <= (GSM_ALONE if gsm else UCS2_ALONE):
        return [Part(b"", whole.data, whole.data_coding)]
    octets = [len(alphabets.encode(character, whole.alphabet)) for character in text]
    pieces = _cut(text, octets, GSM_PART if gsm else UCS2_PART)
    if len(pieces) > MOST_PARTS:
        raise ValueError(f"a text of {len(text)} characters takes more than {MOST_PARTS} SMS")
    return [
        Part(
            bytes((5, 0, 3, reference & 0xFF, len(pieces), number)),
            alphabets.encode(piece, whole.alphabet),
            whole.data_coding,
        )
        for number, piece in enumerate(pieces, 1)
    ]


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
