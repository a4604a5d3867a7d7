"""The server's keys: a file that only its owner can read, with keys by id, of which one of each kind is current.

Older keys stay readable until they are retired, so keys overlap and rotation interrupts nothing:

    {"version": 1, "keys": [{"id": "kek-5f0c9a1e", "kind": "kek", "created": 1763881200000, "current": true,
                             "secret": "<32 octets in base64>"}]}

The current key of a kind seals or signs; every key opens or verifies.
"""

import base64
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import msgspec
import nacl.utils

from ussd_server.secrecy.secrets import Secret

Kind: TypeAlias = Literal["kek", "transport", "signing"]
"""Key-encryption key of what is stored; X25519 key that terminals seal to; Ed25519 seed that signs responses."""

KEY_SIZE: Final = 32
"""Octets of XChaCha20-Poly1305 keys, X25519 private keys and Ed25519 seeds alike."""
FILE_NAME: Final = "keys.json"
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
FILE_VERSION: Final[Literal[1]] = 1
MAX_FILE_SIZE: Final = 1024 * 1024
"""Octets; a key takes 150, so more is another file."""

Random: TypeAlias = Callable[[int], bytes]
"""So many random octets."""


class KeysError(Exception):
    """The keys cannot be had. The text is one line that says which file, what is wrong and how to mend it."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key: 32 octets, made at `created` (ms)."""

    id: str
    kind: Kind
    created: int
    current: bool
    secret: Secret[bytes]


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys, oldest first; immutable, so that a rotation is a new ring."""

    keys: tuple[Key, ...] = ()

    def current(self, kind: Kind) -> Key:
        """Return the key of this kind to seal or sign with. Raises KeysError where there is none."""
        for key in self.keys:
            if key.current and key.kind == kind:
                return key
        raise KeysError(f"there is no current key of the kind {kind}; make one with: ussd-server keys rotate")

    def get(self, kid: str) -> Key | None:
        """Return the key of this id."""
        return next((key for key in self.keys if key.id == kid), None)

    def rotate(self, kind: Kind, now: int, random: Random = nacl.utils.random) -> "Keyring":
        """Return a ring with a new current key of this kind; the one before stays readable."""
        kid = f"{kind}-{random(4).hex()}"
        while self.get(kid) is not None:
            kid = f"{kind}-{random(4).hex()}"
        before = (msgspec.structs.replace(key, current=False) if key.kind == kind else key for key in self.keys)
        return Keyring((*before, Key(kid, kind, now, True, Secret(random(KEY_SIZE)))))

    def retire(self, kid: str) -> "Keyring":
        """Return a ring without this key; what only it can open is lost. Raises KeysError for a current one."""
        key = self.get(kid)
        if key is None:
            raise KeysError(f"there is no key {kid}")
        if key.current:
            raise KeysError(f"{kid} is in use; rotate first: ussd-server keys rotate")
        return Keyring(tuple(each for each in self.keys if each.id != kid))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The ring, where its file is, and whether this call made it."""

    ring: Keyring
    path: Path
    created: bool


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    keys: tuple[Key, ...]


def load_or_create(directory: Path, now: int, random: Random = nacl.utils.random) -> Loaded:
    """Return the keys of the data directory; on the first start make the directory, the file and a KEK.

    Two servers that start at once end up with the same keys. Raises KeysError.
    """
    path = directory / FILE_NAME
    try:
        return Loaded(load(path), path, created=False)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(path, error) from None
    ring = Keyring().rotate("kek", now, random)
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        _write(path, ring, random, os.link)
    except FileExistsError:
        return Loaded(load(path), path, created=False)
    except OSError as error:
        raise _unusable(path, error) from None
    return Loaded(ring, path, created=True)


def load(path: Path) -> Keyring:
    """Read a key file. Raises FileNotFoundError, and KeysError where it is not ours alone or not a key file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise KeysError(f"{path} is a link; put the key file itself there") from None
        raise _unusable(path, error) from None
    try:
        # Of the open file, not of its name: nobody can put another one there in between.
        _check_guarded(path, os.fstat(descriptor))
        content = Secret(os.read(descriptor, MAX_FILE_SIZE))
    except OSError as error:
        raise _unusable(path, error) from None
    finally:
        os.close(descriptor)
    return _decode(path, content)


def save(path: Path, ring: Keyring, random: Random = nacl.utils.random) -> None:
    """Replace the key file, whole or not at all. Raises KeysError."""
    try:
        _write(path, ring, random, os.replace)
    except OSError as error:
        raise _unusable(path, error) from None


def _check_guarded(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeysError(f"{path} is not a file")
    if status.st_size > MAX_FILE_SIZE:
        raise KeysError(f"{path} is not a key file: it is larger than {MAX_FILE_SIZE} octets")
    if status.st_uid != os.geteuid():
        raise KeysError(f"{path} belongs to another user; mend it with: chown {os.geteuid()} {path}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeysError(f"{path} can be read or written by other users; mend it with: chmod 600 {path}")


def _decode(path: Path, content: Secret[bytes]) -> Keyring:
    try:
        keys = msgspec.json.decode(content.reveal(), type=_File, dec_hook=_from_base64).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeysError(f"{path} is not a key file: {error}; bring back a copy of it") from None
    if len({key.id for key in keys}) != len(keys):
        raise KeysError(f"{path} has two keys with the same id; bring back a copy of it")
    for kind in get_args(Kind):
        if sum(key.current for key in keys if key.kind == kind) > 1:
            raise KeysError(f"{path} has two current keys of the kind {kind}; leave one")
    return Keyring(keys)


def _from_base64(wanted: type, value: str) -> Secret[bytes]:
    secret = Secret(base64.b64decode(value, validate=True))
    if len(secret.reveal()) != KEY_SIZE:
        raise ValueError(f"a key has {KEY_SIZE} octets")
    return secret


def _to_base64(value: Secret[bytes]) -> str:
    return base64.b64encode(value.reveal()).decode()


def _write(path: Path, ring: Keyring, random: Random, publish: Callable[[Path, Path], None]) -> None:
    """Write a complete file under another name, then give it its name: `os.link` only to a new one, or `os.replace`."""
    beside = path.with_name(f".{path.name}.{random(8).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)  # the umask may have taken the owner's own rights
            file.write(_encode(ring).reveal())
            file.flush()
            os.fsync(file.fileno())
        publish(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _encode(ring: Keyring) -> Secret[bytes]:
    return Secret(
        msgspec.json.format(msgspec.json.encode(_File(FILE_VERSION, ring.keys), enc_hook=_to_base64), indent=2) + b"\n"
    )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> KeysError:
    return KeysError(f"the key file {path} cannot be used: {error.strerror or error}")
