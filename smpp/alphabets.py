"""Text to octets and back: GSM 03.38, UCS-2, and the other alphabets that data_coding names.

GSM text travels unpacked, one septet an octet; packing is the gateway's work.
"""

from typing import Literal, NamedTuple, TypeAlias

Alphabet: TypeAlias = Literal["gsm", "ucs2", "ascii", "latin-1", "iso-8859-5", "iso-8859-8"]


class Encoded(NamedTuple):
    """A text as it goes into short_message, with the data_coding that says what it is."""

    data: bytes
    data_coding: int
    alphabet: Alphabet


def decode(data: bytes, data_coding: int, default: Alphabet = "gsm") -> str:
    """Read received octets; never raises, what cannot be read becomes U+FFFD.

    `default` is the account's alphabet for data_coding 0 and for codings that nobody assigned. Binary codings are read
    as Latin-1, so that no octet is lost.
    """
    raise NotImplementedError


def encode(text: str, alphabet: Alphabet) -> bytes:
    """Write a text in an alphabet; a character that the alphabet does not have becomes '?'."""
    raise NotImplementedError


def choose(text: str, gsm_coding: int = 0x00, ucs2_coding: int = 0x08) -> Encoded:
    """Encode in GSM 03.38 where every character is in it, else in UCS-2, with the account's data_coding for each."""
    raise NotImplementedError


def septets(text: str) -> int | None:
    """Return the length in GSM septets (an extension character counts two), None where a character is not GSM."""
    raise NotImplementedError


def ucs2_units(text: str) -> int:
    """Return the length in UTF-16 units: one a character, two outside the Basic Multilingual Plane."""
    raise NotImplementedError
