"""Sealing: how an access code is made, stored and checked, and how the SMS that tells it waits in the outbox.

A stored code is `Aead(KEK).encrypt(argon2id(code, salt), aad = purpose, MSISDN, generation)`. The key is what protects
it: a million guesses at eight digits take hours, not years, of argon2id alone, and the hash keeps the code itself from
whoever has the key. The additional data ties a box to its place: one that was moved to another subscriber, another
generation or another purpose does not open.

An argon2id takes 22 ms, so `Vault.seal` and `Vault.verify` are for threads: `CodeHasher` runs them there.
"""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Literal, ParamSpec, TypeAlias, TypeVar

import msgspec
import nacl.exceptions
import nacl.pwhash.argon2id
import nacl.utils
from nacl.secret import Aead

from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.secrets import Secret
from ussd_server.subscribers.codes import MIN_DIGITS, SealedCode

ARGON2_PASSES: Final = 2
ARGON2_MEMORY: Final = 19 * 1024 * 1024
"""Octets; passes and memory are what OWASP's Password Storage Cheat Sheet recommends (19 MiB, t=2, p=1)."""
HASH_SIZE: Final = 32
DIGEST_SIZE: Final = 16
"""Octets by which an input is known again."""
SALT_SIZE: Final = nacl.pwhash.argon2id.SALTBYTES
HASHING_THREADS: Final = 2
"""Enough for 90 checks a second, and 38 MiB at most."""

Purpose: TypeAlias = Literal["code", "outbox"]
Random: TypeAlias = Callable[[int], bytes]
"""So many random octets."""

P = ParamSpec("P")
R = TypeVar("R")


class VaultError(Exception):
    """Something sealed does not open: its key is missing, or it was altered or moved. The text holds no secret."""


def generate(digits: int, below: Callable[[int], int] = secrets.randbelow) -> Secret[str]:
    """Return a new code of so many digits, all equally likely; `below(n)` returns a random number under n."""
    if digits < MIN_DIGITS:
        raise ValueError(f"an access code needs at least {MIN_DIGITS} digits, not {digits}")
    return Secret(f"{below(10**digits):0{digits}d}")


class Vault:
    """Seals and opens with the current key-encryption key, and opens what older keys of the ring sealed."""

    def __init__(self, keys: Keyring, random: Random = nacl.utils.random) -> None:
        self._keys = keys
        self._random = random
        key = _derive(keys.current("kek").secret, b"input")
        self._digest = hashlib.blake2b(digest_size=DIGEST_SIZE, key=key)

    def seal(self, code: Secret[str], msisdn: str, generation: int) -> SealedCode:
        """Return the code as it is stored, for this subscriber and generation. Takes 22 ms."""
        salt = self._random(SALT_SIZE)
        kid, box = self._encrypt(_hash(code, salt), _place("code", msisdn, generation))
        return SealedCode(kid, salt, box)

    def verify(self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int) -> bool:
        """Return whether this is the code. Takes 22 ms whatever the answer; None is the code of nobody, never right.

        Raises VaultError where the stored code does not belong here: the record is damaged, the entry not judged.
        """
        if sealed is None:
            _hash(code, bytes(SALT_SIZE))
            return False
        expected = self._decrypt(sealed.kid, sealed.box, _place("code", msisdn, generation))
        return _hash(code, sealed.salt) == expected

    def rewrap(self, sealed: SealedCode, msisdn: str, generation: int) -> SealedCode:
        """Return the same code under the current key, without knowing it. Raises VaultError as `verify` does."""
        place = _place("code", msisdn, generation)
        kid, box = self._encrypt(self._decrypt(sealed.kid, sealed.box, place), place)
        return SealedCode(kid, sealed.salt, box)

    def seal_text(self, text: Secret[str], msisdn: str, entry_id: str) -> str:
        """Return a text that holds a code as it waits in the outbox under this entry's id: printable ASCII."""
        kid, box = self._encrypt(_octets(text), _place("outbox", msisdn, entry_id))
        return f"{kid}:{base64.urlsafe_b64encode(box).decode()}"

    def open_text(self, sealed: str, msisdn: str, entry_id: str) -> Secret[str]:
        """Return the text that `seal_text` sealed for this subscriber and entry. Raises VaultError."""
        kid, _, encoded = sealed.partition(":")
        try:
            box = base64.b64decode(encoded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise VaultError("a sealed text is damaged") from None
        opened = self._decrypt(kid, box, _place("outbox", msisdn, entry_id))
        return Secret(opened.reveal().decode("utf-8", "surrogatepass"))

    def digest(self, text: str) -> bytes:
        """Return octets by which the same text is known again, and from which nobody without the key finds it.

        Other servers of the same keys make the same digest; after a rotation it is another one.
        """
        digest = self._digest.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _encrypt(self, plain: Secret[bytes], place: bytes) -> tuple[str, bytes]:
        key = self._keys.current("kek")
        nonce = self._random(Aead.NONCE_SIZE)
        return key.id, bytes(Aead(key.secret.reveal()).encrypt(plain.reveal(), place, nonce))

    def _decrypt(self, kid: str, box: bytes, place: bytes) -> Secret[bytes]:
        key = self._keys.get(kid)
        if key is None or key.kind != "kek":
            raise VaultError(f"the key {kid!r} is not in the key file")
        try:
            return Secret(Aead(key.secret.reveal()).decrypt(box, place))
        except (nacl.exceptions.CryptoError, ValueError):
            raise VaultError("what was sealed was altered, or belongs to another place") from None


class CodeHasher:
    """The slow half of a vault for the event loop: what takes an argon2id runs on two threads of its own."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._threads = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="argon2")

    async def seal(self, code: Secret[str], msisdn: str, generation: int) -> SealedCode:
        """Do what `Vault.seal` does."""
        return await self._run(self._vault.seal, code, msisdn, generation)

    async def verify(self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int) -> bool:
        """Do what `Vault.verify` does."""
        return await self._run(self._vault.verify, sealed, code, msisdn, generation)

    async def close(self) -> None:
        """Wait for what is under way and let go of the threads; what had not begun is cancelled."""
        await asyncio.get_running_loop().run_in_executor(None, partial(self._threads.shutdown, cancel_futures=True))

    async def _run(self, work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **named))


def _derive(key: Secret[bytes], purpose: bytes) -> bytes:
    return hashlib.blake2b(digest_size=32, key=key.reveal(), person=purpose).digest()


def _place(purpose: Purpose, msisdn: str, which: int | str) -> bytes:
    """Return the additional data; MessagePack keeps the parts apart, whatever they hold."""
    return msgspec.msgpack.encode((purpose, msisdn, which))


def _octets(text: Secret[str]) -> Secret[bytes]:
    return Secret(text.reveal().encode("utf-8", "surrogatepass"))


def _hash(code: Secret[str], salt: bytes) -> Secret[bytes]:
    """Return the argon2id of a code."""
    try:
        return Secret(
            nacl.pwhash.argon2id.kdf(
                HASH_SIZE, _octets(code).reveal(), salt, opslimit=ARGON2_PASSES, memlimit=ARGON2_MEMORY
            )
        )
    except Exception as error:
        failure = type(error).__name__
    # Raised out here it has no context: the frames below hold the code in plain variables, which some tracebacks show.
    raise VaultError(f"argon2id failed: {failure}")
