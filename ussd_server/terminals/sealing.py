"""The sealed entry: what a person typed, on its way from the terminal to the server's transport key and nowhere else.

A libsodium SealedBox (X25519, XSalsa20-Poly1305) over a padded JSON record. Terminals seal (`seal`), the server opens
(`unseal`). The record repeats the request's own fields, so that a box cannot be put into another request.
"""

from typing import Final

import msgspec

from ussd_server.secrecy.secrets import Secret

VERSION: Final = 1
RECORD_SIZE: Final = 256
"""Octets to which every record is padded, so that the length tells nothing."""
MAX_AGE_MS: Final = 60_000
"""How old an entry may be when it arrives; as for the signature around it."""


class Entry(msgspec.Struct, frozen=True):
    """What was typed, and for which request: `attempt` is the Idempotency-Key, `iat` when it was typed (ms)."""

    msisdn: str
    code: Secret[str]
    terminal: str
    attempt: str
    iat: int
    nonce: str


class Unreadable(msgspec.Struct, frozen=True):
    """The box does not open with this key, or what is inside is no record."""


def seal(entry: Entry, public: bytes) -> str:
    """Return the entry sealed to the transport key `public` (32 octets), in base64."""
    raise NotImplementedError


def unseal(box: str, private: Secret[bytes]) -> Entry | Unreadable:
    """Return what was sealed to the public half of the transport key `private` (32 octets)."""
    raise NotImplementedError
