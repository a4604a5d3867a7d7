"""Text to octets and back: GSM 03.38, UCS-2, and the other alphabets that data_coding names.

GSM text travels unpacked, one septet an octet; packing is the gateway's work.
"""

import codecs
import re
from contextlib import suppress
from typing import Literal, TypeAlias

import msgspec

from smpp.constants import DataCoding

Alphabet: TypeAlias = Literal["gsm", "ucs2", "ascii", "latin-1", "iso-8859-5", "iso-8859-8"]


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """A text as it goes into short_message, with the data_coding that says what it is."""

    data: bytes
    data_coding: int
    alphabet: Alphabet


# 3GPP TS 23.038 §6.2.1: the default alphabet by septet. 1B escapes to the extension table.
_ESCAPE = 0x1B
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# §6.2.1.1: the second septet of an extension pair.
_EXTENSION = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|"}
_EXTENSION[0x65] = "€"

_UNREADABLE = "\ufffd"
# For charmap codecs, which do a whole text in C. The escape is no character of its own: it cannot be written.
_READ_BASIC = _BASIC.replace("\x1b", _UNREADABLE) + _UNREADABLE * 128
_WRITE_GSM = {ord(char): bytes((septet,)) for septet, char in enumerate(_BASIC) if septet != _ESCAPE}
_WRITE_GSM |= {ord(char): bytes((_ESCAPE, septet)) for septet, char in _EXTENSION.items()}

_ESCAPED = re.compile(rb"\x1b(.?)", re.DOTALL)
_OUTSIDE_GSM = re.compile("[^" + re.escape(_BASIC.replace("\x1b", "") + "".join(_EXTENSION.values())) + "]")

_CODECS: dict[Alphabet, str] = {
    "ucs2": "utf-16-be",
    "ascii": "ascii",
    "latin-1": "latin-1",
    "iso-8859-5": "iso-8859-5",
    "iso-8859-8": "iso-8859-8",
}
# SMPP 3.4 §5.2.19 below 0x10; message classes and waiting groups as TS 23.038 §4; 0x48 is UCS-2 of a USSD gateway (§5).
_CODINGS: dict[int, Alphabet] = {
    DataCoding.ASCII: "ascii",
    DataCoding.BINARY_ALIAS: "latin-1",
    DataCoding.LATIN_1: "latin-1",
    DataCoding.BINARY: "latin-1",
    DataCoding.CYRILLIC: "iso-8859-5",
    DataCoding.HEBREW: "iso-8859-8",
    DataCoding.UCS2: "ucs2",
    DataCoding.GSM7: "gsm",
    DataCoding.USSD_UCS2: "ucs2",
    **dict.fromkeys(range(0x18, 0x1C), "ucs2"),
    **dict.fromkeys(range(0xF0, 0xF4), "gsm"),
    **dict.fromkeys(range(0xF4, 0xF8), "latin-1"),
}


def alphabet_of(data_coding: int, default: Alphabet = "gsm") -> Alphabet:
    """Return which alphabet a data_coding means; `default` is as in `decode`."""
    return _CODINGS.get(data_coding, default)


def decode(data: bytes, data_coding: int, default: Alphabet = "gsm") -> str:
    """Read received octets; never raises, what cannot be read becomes U+FFFD.

    `default` is the account's alphabet for data_coding 0 and for codings that nobody assigned. Binary codings are read
    as Latin-1, so that no octet is lost.
    """
    return read(data, _CODINGS.get(data_coding, default))


def read(data: bytes, alphabet: Alphabet) -> str:
    """Read octets of an alphabet; never raises, as `decode`."""
    if alphabet != "gsm":
        return data.decode(_CODECS[alphabet], "replace")
    text = codecs.charmap_decode(data, "replace", _READ_BASIC)[0]
    return _with_extension(data, text) if _ESCAPE in data else text


def _with_extension(data: bytes, text: str) -> str:
    """Return `text`, which is `data` in the basic table, with its escapes and what they escape read as one."""
    pieces: list[str] = []
    done = 0
    for pair in _ESCAPED.finditer(data):
        pieces.append(text[done : pair.start()])
        done = pair.end()
        for second in pair[1]:
            # §6.2.1.1: an unassigned pair reads as the basic character, a second escape as a space.
            pieces.append(" " if second == _ESCAPE else _EXTENSION.get(second) or text[done - 1])
    pieces.append(text[done:])
    return "".join(pieces)


def encode(text: str, alphabet: Alphabet) -> bytes:
    """Write a text in an alphabet; a character that the alphabet does not have becomes '?'."""
    if alphabet == "gsm":
        try:
            return codecs.charmap_encode(text, "strict", _WRITE_GSM)[0]
        except UnicodeEncodeError:
            return codecs.charmap_encode(_OUTSIDE_GSM.sub("?", text), "strict", _WRITE_GSM)[0]
    return text.encode(_CODECS[alphabet], "replace")


def choose(
    text: str, gsm_coding: int = DataCoding.DEFAULT, ucs2_coding: int = DataCoding.UCS2, default: Alphabet = "gsm"
) -> Encoded:
    """Encode in GSM 03.38 where every character is in it, else in UCS-2, with the account's data_coding for each.

    Where `gsm_coding` means another alphabet to this account (`default` is as in `decode`), the text is written in that
    one, and in UCS-2 where it lacks a character. What fits is still counted in septets: that is how it will travel.
    """
    if not _OUTSIDE_GSM.search(text):
        alphabet = _CODINGS.get(gsm_coding, default)
        if alphabet == "gsm":
            return Encoded(codecs.charmap_encode(text, "strict", _WRITE_GSM)[0], gsm_coding, "gsm")
        with suppress(UnicodeEncodeError):
            return Encoded(text.encode(_CODECS[alphabet]), gsm_coding, alphabet)
    return Encoded(text.encode("utf-16-be", "replace"), ucs2_coding, "ucs2")


def septets(text: str) -> int | None:
    """Return the length in GSM septets (an extension character counts two), None where a character is not GSM."""
    if _OUTSIDE_GSM.search(text):
        return None
    return len(codecs.charmap_encode(text, "strict", _WRITE_GSM)[0])


def ucs2_units(text: str) -> int:
    """Return the length in UTF-16 units: one a character, two outside the Basic Multilingual Plane."""
    return len(text.encode("utf-16-be", "surrogatepass")) // 2
