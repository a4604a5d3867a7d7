"""The sealed entry: what a person typed, on its way from the terminal to the server's transport key and nowhere else.

A libsodium SealedBox (X25519, XSalsa20-Poly1305) over a JSON record that is padded with spaces:

    {"v": 1, "msisdn": "79101234567", "code": "90417263", "terminal": "hall-1", "attempt": "5f0c...",
     "iat": 1763881200000, "nonce": "c29t..."}

Terminals seal (`seal`), the server opens (`unseal`). The record repeats the request's own fields, so that a box cannot
be put into another request.
"""

import base64
import binascii
from typing import Annotated, Final, Literal

import msgspec
import nacl.exceptions
from msgspec import Meta
from nacl.public import PrivateKey, PublicKey, SealedBox

from ussd_server.secrecy.secrets import Secret

VERSION: Final[Literal[1]] = 1
RECORD_SIZE: Final = 512
"""Octets to which every record is padded, so that the length tells nothing: 70 of JSON, and the longest fields with
every character escaped (2 x 32 of code, 2 x 64 of attempt, 32 each of terminal and nonce, 15 digits, a time)."""
BOX_LENGTH: Final = (RECORD_SIZE + 48 + 2) // 3 * 4
"""Characters of a box: the record, the sender's passing key (32) and the tag (16) in base64."""
MAX_CODE: Final = 32
"""Characters of what may be typed for a code; more is no code, and terminals need not send it."""
MAX_AGE_MS: Final = 60_000
"""How old an entry may be when it arrives; as for the signature around it."""
MAX_TIME: Final = 2**53
"""Milliseconds; beyond this JSON numbers are no longer exact everywhere."""


class Entry(msgspec.Struct, frozen=True):
    """What was typed, and for which request: `attempt` is the Idempotency-Key, `iat` when it was typed (ms).

    `nonce` is random, new for each entry, up to 32 characters.
    """

    msisdn: str
    code: Secret[str]
    terminal: str
    attempt: str
    iat: int
    nonce: str


class Unreadable(msgspec.Struct, frozen=True):
    """The box does not open with this key, or what is inside is no record."""


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    v: Literal[1]
    msisdn: str
    code: Secret[str]
    terminal: str
    attempt: str
    iat: Annotated[int, Meta(ge=0, le=MAX_TIME)]
    nonce: str


def _hidden(_: type, value: object) -> Secret[str]:
    if not isinstance(value, str):
        raise ValueError("a code is a string")
    return Secret(value)


_encoder: Final = msgspec.json.Encoder(enc_hook=Secret.reveal)
_decoder: Final = msgspec.json.Decoder(_Record, dec_hook=_hidden)


def seal(entry: Entry, public: bytes) -> str:
    """Return the entry sealed to the transport key `public` (32 octets), in base64: always `BOX_LENGTH` characters.

    Raises ValueError for fields that no request can have; the text holds none of them.
    """
    if not _plausible(entry):
        raise ValueError(f"an entry's fields are printable ASCII and short: a code has up to {MAX_CODE} characters")
    record = _Record(VERSION, entry.msisdn, entry.code, entry.terminal, entry.attempt, entry.iat, entry.nonce)
    padded = Secret(_encoder.encode(record).ljust(RECORD_SIZE))
    return base64.b64encode(SealedBox(PublicKey(public)).encrypt(padded.reveal())).decode()


def unseal(box: str, private: Secret[bytes]) -> Entry | Unreadable:
    """Return what was sealed to the public half of the transport key `private` (32 octets)."""
    if len(box) != BOX_LENGTH:
        return Unreadable()
    try:
        sealed = base64.b64decode(box, validate=True)
        if base64.b64encode(sealed).decode() != box:  # another spelling of the same octets
            return Unreadable()
        plain = Secret(SealedBox(PrivateKey(private.reveal())).decrypt(sealed))
        record = _decoder.decode(plain.reveal())
    except (binascii.Error, nacl.exceptions.CryptoError, msgspec.MsgspecError, ValueError):
        return Unreadable()
    return Entry(record.msisdn, record.code, record.terminal, record.attempt, record.iat, record.nonce)


def _plausible(entry: Entry) -> bool:
    """Return whether the record is sure to fit: an escaped ASCII character takes two octets at most."""
    texts = (
        (entry.msisdn, 15),
        (entry.code.reveal(), MAX_CODE),
        (entry.terminal, 32),
        (entry.attempt, 64),
        (entry.nonce, 32),
    )
    return 0 <= entry.iat <= MAX_TIME and all(
        len(text) <= limit and text.isascii() and text.isprintable() for text, limit in texts
    )
