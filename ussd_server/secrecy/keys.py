"""The server's keys: a file that only its owner can read, with keys by id, of which one of each kind is current.

Older keys stay readable until they are retired, so keys overlap and rotation interrupts nothing:

    {"version": 1, "keys": [{"id": "kek-5f0c9a1e", "kind": "kek", "created": 1763881200000, "current": true,
                             "secret": "<32 octets in base64>"}]}

The current key of a kind seals or signs; every key opens or verifies. Servers that run take up a changed file by
themselves (`KeyFile`).
"""

import base64
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, get_args

import msgspec
import nacl.utils
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from ussd_server.secrecy import files
from ussd_server.secrecy.files import UnguardedFile
from ussd_server.secrecy.secrets import Secret

Kind: TypeAlias = Literal["kek", "transport", "signing", "digest"]
"""Key-encryption key of what is stored; X25519 key that terminals seal to; Ed25519 seed that signs answers; key of
digests by which inputs and requests are known again."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

KEY_SIZE: Final = 32
"""Octets of XChaCha20-Poly1305 keys, X25519 private keys, Ed25519 seeds and BLAKE2b keys alike."""
FILE_NAME: Final = "keys.json"
DIRECTORY_MODE: Final = 0o700
FILE_VERSION: Final[Literal[1]] = 1

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
class Public:
    """The public half of a key: an X25519 public key or an Ed25519 verify key, 32 octets."""

    id: str
    octets: bytes
    current: bool


class Keys(Protocol):
    """Where keys are had: a ring, or the file of it that may change under a running server."""

    def current(self, kind: Kind) -> Key:
        """Return the key of this kind to seal or sign with. Raises KeysError where there is none."""

    def get(self, kid: str) -> Key | None:
        """Return the key of this id."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys, oldest first; immutable, so that a rotation is a new ring."""

    keys: tuple[Key, ...] = ()

    def current(self, kind: Kind) -> Key:
        """Return the key of this kind to seal or sign with. Raises KeysError where there is none."""
        for key in self.keys:
            if key.current and key.kind == kind:
                return key
        raise KeysError(f"there is no current key of the kind {kind}; make one with: ussd-server keys rotate {kind}")

    def get(self, kid: str) -> Key | None:
        """Return the key of this id."""
        return next((key for key in self.keys if key.id == kid), None)

    def of(self, kind: Kind) -> tuple[Key, ...]:
        """Return the keys of this kind, oldest first."""
        return tuple(key for key in self.keys if key.kind == kind)

    def public(self, kind: Literal["transport", "signing"]) -> tuple[Public, ...]:
        """Return the public halves of all keys of this kind, oldest first. Takes 50 us a key."""
        halve = _x25519 if kind == "transport" else _ed25519
        return tuple(Public(key.id, halve(key.secret), key.current) for key in self.of(kind))

    def replaced_at(self, key: Key) -> int:
        """Return when a key was replaced by the next of its kind (ms), 0 where it was not."""
        kind = self.of(key.kind)
        place = kind.index(key)
        return kind[place + 1].created if place + 1 < len(kind) else 0

    def lacks(self, other: "Keyring") -> list[str]:
        """Return the ids of the keys that `other` has in use and that are not here, be it as older ones."""

        def here(key: Key) -> bool:
            mine = self.get(key.id)
            return mine is not None and (mine.kind, mine.secret) == (key.kind, key.secret)

        return [key.id for key in other.keys if key.current and not here(key)]

    def missing(self) -> tuple[Kind, ...]:
        """Return the kinds of which there is no current key."""
        present = {key.kind for key in self.keys if key.current}
        return tuple(kind for kind in KINDS if kind not in present)

    def completed(self, now: int, random: Random = nacl.utils.random) -> "Keyring":
        """Return the ring with a new key of every missing kind."""
        ring = self
        for kind in self.missing():
            ring = ring.rotate(kind, now, random)
        return ring

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
            raise KeysError(f"there is no key {kid}; see: ussd-server keys list")
        if key.current:
            raise KeysError(f"{kid} is in use; rotate first: ussd-server keys rotate {key.kind}")
        return Keyring(tuple(each for each in self.keys if each.id != kid))


def _never(ring: Keyring) -> bool:
    return False


class KeyFile:
    """The keys of a file that may be changed while the server runs. The ring in force is `ring`.

    An unknown id makes it look whether the file has changed: another server may use the new key already. A look is
    one `stat`, and an unchanged file is never read again, so strangers' key ids cost nothing.

    A file that lacks a key in force is not taken up: what that has sealed would be lost with the memory of the last
    server that has it.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises FileNotFoundError, and KeysError as `load` does."""
        self.path = path
        self._seen = _appearance(path)
        self.ring = self._told = load(path)
        self._trouble = ""

    def current(self, kind: Kind) -> Key:
        """Return the key of this kind to seal or sign with. Raises KeysError where there is none."""
        return self.ring.current(kind)

    def get(self, kid: str) -> Key | None:
        """Return the key of this id, if need be from a file that has changed."""
        key = self.ring.get(kid)
        if key is None and _appearance(self.path) != self._seen:
            self._take_up()
            key = self.ring.get(kid)
        return key

    def refresh(self, may_replace: Callable[[Keyring], bool] = _never) -> bool:
        """Take up a file that has changed; return whether the keys are others than at the last call.

        A ring that lacks a key in force is taken up where it `may_replace` that all the same. Raises KeysError where
        the file cannot be taken: the keys in force stay, and the next call tries again.
        """
        if self._trouble or _appearance(self.path) != self._seen:
            self._take_up(may_replace)
        if self._trouble:
            raise KeysError(self._trouble)
        before, self._told = self._told, self.ring
        return self.ring != before

    def _take_up(self, may_replace: Callable[[Keyring], bool] = _never) -> None:
        """Read the file, whatever comes of it; a file that is the same and no better is not read by `get` again."""
        self._seen = _appearance(self.path)
        try:
            self.ring = self._load_usable(may_replace)
            self._trouble = ""
        except KeysError as error:
            self._trouble = str(error)

    def _load_usable(self, may_replace: Callable[[Keyring], bool]) -> Keyring:
        try:
            ring = load(self.path)
        except FileNotFoundError:
            raise KeysError(f"{self.path} is gone; bring back a copy of it") from None
        if missing := ring.missing():
            raise KeysError(f"{self.path} has no current key of the kind {missing[0]}; bring back a newer copy of it")
        if (lacking := ring.lacks(self.ring)) and not may_replace(ring):
            raise KeysError(
                f"{self.path} lacks {', '.join(lacking)}, in use here: bring back the file that has them, from a copy "
                "or another server's data directory, before this server ends"
            )
        return ring


@dataclass(frozen=True, slots=True)
class Loaded:
    """The ring, where its file is, whether this call made it, and the kinds of keys that it added to an older one."""

    ring: Keyring
    path: Path
    created: bool
    added: tuple[Kind, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    keys: tuple[Key, ...]


def load_or_create(directory: Path, now: int, random: Random = nacl.utils.random) -> Loaded:
    """Return the keys of the data directory; on the first start make the directory and the file.

    A file of an older version gets the kinds that it lacks. Two servers that start at once end up with the same keys.
    Raises KeysError.
    """
    path = directory / FILE_NAME
    try:
        return _completed(path, now, random)
    except FileNotFoundError:
        pass
    ring = Keyring().completed(now, random)
    make_directory(directory)
    try:
        files.create(path, _encode(ring))
    except FileExistsError:
        return _completed(path, now, random)
    except OSError as error:
        raise KeysError(str(files.unusable(path, error))) from None
    except UnguardedFile as error:
        raise KeysError(str(error)) from None
    return Loaded(ring, path, created=True)


def make_directory(directory: Path) -> None:
    """Make the data directory, its owner's alone, where there is none. Raises KeysError."""
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise KeysError(f"the directory {directory} cannot be made: {error.strerror or error}") from None


def load(path: Path) -> Keyring:
    """Read a key file. Raises FileNotFoundError, and KeysError where it is not ours alone or not a key file."""
    try:
        return _decode(path, files.read(path))
    except UnguardedFile as error:
        raise KeysError(str(error)) from None


def save(path: Path, ring: Keyring) -> None:
    """Replace the key file, whole or not at all. Raises KeysError."""
    try:
        files.replace(path, _encode(ring))
    except UnguardedFile as error:
        raise KeysError(str(error)) from None


def change(path: Path, alter: Callable[[Keyring], Keyring]) -> Keyring:
    """Replace the ring in the file by what `alter` makes of it, one process after the other; return the new one.

    Raises FileNotFoundError, KeysError, and what `alter` raises: then nothing was changed.
    """
    with _alone(path):
        before = load(path)
        after = alter(before)
        if after != before:
            save(path, after)
        return after


def _completed(path: Path, now: int, random: Random) -> Loaded:
    missing = load(path).missing()
    if not missing:
        return Loaded(load(path), path, created=False)
    added: list[Kind] = []

    def complete(ring: Keyring) -> Keyring:
        added.extend(ring.missing())
        return ring.completed(now, random)

    return Loaded(change(path, complete), path, created=False, added=tuple(added))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the key file against others that would change it; the lock is on the file, which a change replaces."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise KeysError(str(files.unusable(path, error))) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_ino != _inode(path):
                continue  # it was replaced while we waited
            yield
            return
        finally:
            os.close(descriptor)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _appearance(path: Path) -> tuple[int, ...] | None:
    """Return what changes with every change of the file, be it of its mode; None where it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _decode(path: Path, content: Secret[bytes]) -> Keyring:
    try:
        keys = msgspec.json.decode(content.reveal(), type=_File, dec_hook=_from_base64).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeysError(f"{path} is not a key file: {error}; bring back a copy of it") from None
    if len({key.id for key in keys}) != len(keys):
        raise KeysError(f"{path} has two keys with the same id; bring back a copy of it")
    for kind in KINDS:
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


def _encode(ring: Keyring) -> Secret[bytes]:
    return Secret(
        msgspec.json.format(msgspec.json.encode(_File(FILE_VERSION, ring.keys), enc_hook=_to_base64), indent=2) + b"\n"
    )


def _x25519(private: Secret[bytes]) -> bytes:
    return bytes(PrivateKey(private.reveal()).public_key)


def _ed25519(seed: Secret[bytes]) -> bytes:
    return bytes(SigningKey(seed.reveal()).verify_key)
