"""What a terminal needs to reach the server, and the file that holds it: its key, and the server's keys it believes.

    {"version": 1, "terminal": "hall-1", "key": "5f0c9a1e", "private": "<32 octets in base64>",
     "url": "https://terminals.example", "signing": {"signing-0a1b2c3d": "<32 octets in base64>"}}

`ussd-server terminal add --generate` writes it. Only its owner may read it: whoever has it is the terminal.
"""

import base64
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ussd_server.secrecy import files
from ussd_server.secrecy.secrets import Secret

FILE_VERSION: Final[Literal[1]] = 1
KEY_SIZE: Final = 32
"""Octets of Ed25519 seeds and public keys alike."""


class CredentialsError(Exception):
    """The credentials cannot be had. The text is one line that says which file, what is wrong and how to mend it."""


class Credentials(msgspec.Struct, frozen=True):
    """A terminal's id, the id and the seed (32 octets) of its Ed25519 key, the server's URL, and the server's Ed25519
    public keys (32 octets) by id. `url` is "" where the file does not say it."""

    terminal: str
    key: str
    private: Secret[bytes]
    url: str
    signing: dict[str, bytes]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    terminal: Annotated[str, Meta(min_length=1, max_length=32)]
    key: Annotated[str, Meta(min_length=1, max_length=64)]
    private: Secret[bytes]
    url: str
    signing: Annotated[dict[str, bytes], Meta(min_length=1)]


def load(path: Path) -> Credentials:
    """Read a terminal's file. Raises CredentialsError, also where others could read or write it."""
    try:
        content = files.read(path)
        found = msgspec.json.decode(content.reveal(), type=_File, dec_hook=_secret)
    except FileNotFoundError:
        raise CredentialsError(
            f"there is no {path}; make it with: ussd-server terminal add ID --generate {path}"
        ) from None
    except files.UnguardedFile as error:
        raise CredentialsError(str(error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{path} is no terminal's file: {error}; bring back a copy of it") from None
    if any(len(public) != KEY_SIZE for public in found.signing.values()):
        raise CredentialsError(f"{path} has a key in `signing` that is not of {KEY_SIZE} octets; bring back a copy")
    return Credentials(found.terminal, found.key, found.private, found.url, found.signing)


def create(path: Path, credentials: Credentials) -> None:
    """Write a new file. Raises CredentialsError, also where there is a file of this name."""
    try:
        files.create(path, _encode(credentials))
    except FileExistsError:
        raise CredentialsError(f"{path} is there already; choose another name, or remove it") from None
    except files.UnguardedFile as error:
        raise CredentialsError(str(error)) from None


def save(path: Path, credentials: Credentials) -> None:
    """Replace the file, whole or not at all: the server's keys were others. Raises CredentialsError."""
    try:
        files.replace(path, _encode(credentials))
    except files.UnguardedFile as error:
        raise CredentialsError(str(error)) from None


def _secret(wanted: type, value: object) -> Secret[bytes]:
    if not isinstance(value, str):
        raise ValueError("a key is a string in base64")
    secret = Secret(base64.b64decode(value, validate=True))
    if len(secret.reveal()) != KEY_SIZE:
        raise ValueError(f"a key has {KEY_SIZE} octets")
    return secret


def _encode(credentials: Credentials) -> Secret[bytes]:
    whole = _File(
        FILE_VERSION,
        credentials.terminal,
        credentials.key,
        credentials.private,
        credentials.url,
        credentials.signing,
    )
    encoded = msgspec.json.encode(whole, enc_hook=lambda secret: base64.b64encode(secret.reveal()).decode())
    return Secret(msgspec.json.format(encoded, indent=2) + b"\n")
