"""Sealing: how an access code is made, stored and checked, and how the SMS that tells it waits in the outbox.

A stored code is `Aead(KEK).encrypt(argon2id(code, salt), aad = purpose, MSISDN, generation)`. The key is what protects
it: a million guesses at eight digits take hours, not years, of argon2id alone, and the hash keeps the code itself from
whoever has the key. The additional data ties a box to its place: one that was moved to another subscriber, another
generation or another purpose does not open.

An argon2id takes 22 ms, so `Vault.seal`, `Vault.check` and `Vault.same` are for threads: `CodeHasher` runs them there.

The same keys seal what terminals carry for us (a visit's token) and what is kept for them (answers), and a key that no
rotation changes makes the digests by which inputs and requests are known again.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Final, Literal, NamedTuple, ParamSpec, TypeAlias, TypeVar

import msgspec
import nacl.exceptions
import nacl.pwhash.argon2id
import nacl.utils
from nacl.secret import Aead

from ussd_server.secrecy.keys import Keys
from ussd_server.secrecy.secrets import Secret
from ussd_server.subscribers.codes import MIN_DIGITS, SealedCode

ARGON2_PASSES: Final = 2
ARGON2_MEMORY: Final = 19 * 1024 * 1024
"""Octets; passes and memory are what OWASP's Password Storage Cheat Sheet recommends (19 MiB, t=2, p=1)."""
HASH_SIZE: Final = 32
DIGEST_SIZE: Final = 16
"""Octets by which an input or a request is known again."""
OPTION_SIZE: Final = 2
"""Characters of the number of an option, which most inputs are. What is longer may be a secret, and is not kept."""
OPTIONS_KEPT: Final = 1_000
"""Digests of such inputs kept in memory: all numbers of them, and whatever else is typed first."""
SALT_SIZE: Final = nacl.pwhash.argon2id.SALTBYTES
HASHING_NICENESS: Final = 10
"""How far hashing stands back behind all else where the cores are full: under checks subscribers' dialogues keep four
fifths of their rate with it, and two fifths without. Alone, checks are as fast."""
HASHING_THREADS: Final = 2
"""Enough for 90 checks a second, and 38 MiB at most."""
MOST_CHECKS: Final = 64
"""Checks under way at once: at 45 to 90 a second, nobody waits much longer than a second."""
MAX_TOKEN: Final = 200
"""Characters of a visit's token: it stands in paths."""

Purpose: TypeAlias = Literal["code", "outbox", "visit", "answer", "letters"]
Part: TypeAlias = str | bytes | int | Secret[str] | Secret[bytes]
"""Part of what a fingerprint is made from."""
Random: TypeAlias = Callable[[int], bytes]
"""So many random octets."""

P = ParamSpec("P")
R = TypeVar("R")


class VaultError(Exception):
    """Something sealed does not open: its key is missing, or it was altered or moved. The text holds no secret."""


class UnknownKey(VaultError):
    """What was sealed is under a key that is not here; another server may have it already."""


def generate(digits: int, below: Callable[[int], int] = secrets.randbelow) -> Secret[str]:
    """Return a new code of so many digits, all equally likely; `below(n)` returns a random number under n."""
    if digits < MIN_DIGITS:
        raise ValueError(f"an access code needs at least {MIN_DIGITS} digits, not {digits}")
    return Secret(f"{below(10**digits):0{digits}d}")


def kid_of(sealed: str | bytes) -> str:
    """Return the id of the key that seals a text, an answer or the parts of a long SMS; "" where they are damaged.

    The key need not be here.
    """
    try:
        kid, _ = _text_parts(sealed) if isinstance(sealed, str) else _parts(sealed, "this is")
    except VaultError:
        return ""
    return kid


class Checked(NamedTuple):
    """Whether an entry is right, and the fingerprint by which it is known again."""

    right: bool
    fingerprint: bytes


class Vault:
    """Seals and opens with the current key-encryption key, and opens what older keys of the ring sealed."""

    def __init__(self, keys: Keys, random: Random = nacl.utils.random) -> None:
        self._keys = keys
        self._random = random
        self._inputs = _keyed_digest(keys, b"input")
        self._digests: dict[str, bytes] = {}
        """Digests that are kept, of what is no secret."""
        self._most_digests = OPTIONS_KEPT
        self._requests = _keyed_digest(keys, b"request")

    @property
    def kek(self) -> str:
        """The id of the key that seals now."""
        return self._keys.current("kek").id

    def seal(self, code: Secret[str], msisdn: str, generation: int) -> SealedCode:
        """Return the code as it is stored, for this subscriber and generation. Takes 22 ms."""
        salt = self._random(SALT_SIZE)
        kid, box = self._encrypt(_hash(code, salt), _place("code", msisdn, generation))
        return SealedCode(kid, salt, box)

    def check(
        self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int, *parts: Part
    ) -> "Checked":
        """Return whether this is the code, and a fingerprint of the entry with these parts. Takes 22 ms in any case.

        None is the code of nobody, never right. Raises VaultError where the stored code does not belong here: the
        record is damaged, the entry not judged.

        In the fingerprint the code is an argon2id as well: who has the store and the keys finds it no sooner by that
        than by the stored code.
        """
        if sealed is None:
            salt = self._random(SALT_SIZE)
            return Checked(False, salt + self.fingerprint(*parts, _hash(code, salt)))
        expected = self._decrypt(sealed.kid, sealed.box, _place("code", msisdn, generation))
        hashed = _hash(code, sealed.salt)
        return Checked(hashed == expected, sealed.salt + self.fingerprint(*parts, hashed))

    def same(self, fingerprint: bytes, code: Secret[str], *parts: Part) -> bool:
        """Return whether `check` made this fingerprint of the same code and parts. Takes 22 ms."""
        salt, expected = fingerprint[:SALT_SIZE], fingerprint[SALT_SIZE:]
        if len(salt) < SALT_SIZE:
            return False
        return hmac.compare_digest(self.fingerprint(*parts, _hash(code, salt)), expected)

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
        opened = self._decrypt(*_text_parts(sealed), _place("outbox", msisdn, entry_id))
        return Secret(opened.reveal().decode("utf-8", "surrogatepass"))

    def know(self, keywords: Iterable[str]) -> None:
        """Keep the digests of these words of a flow, which are no secrets, as phones write them."""
        spellings = {spelling for word in keywords for spelling in (word, word.capitalize(), word.upper())}
        self._digests = {text: self._digest(text) for text in spellings}
        self._most_digests = len(spellings) + OPTIONS_KEPT

    def digest(self, text: str) -> bytes:
        """Return octets by which the same text is known again, and from which nobody without the key finds it.

        Other servers of the same keys make the same digest, whichever key seals.
        """
        known = self._digests.get(text)
        if known is not None:
            return known
        octets = self._digest(text)
        if len(text) <= OPTION_SIZE and len(self._digests) < self._most_digests:
            self._digests[text] = octets
        return octets

    def _digest(self, text: str) -> bytes:
        digest = self._inputs.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def fingerprint(self, *parts: Part) -> bytes:
        """Return octets by which the same parts in the same order are known again, as `digest` does for an input.

        A text is the same as its UTF-8 octets and as a secret of it.
        """
        digest = self._requests.copy()
        digest.update(msgspec.msgpack.encode([_plain(part) for part in parts]))
        return digest.digest()

    def seal_token(self, msisdn: str, visit_id: str) -> str:
        """Return a visit's name for its terminal: at most 200 letters, digits, `-` and `_` that tell nothing.

        Raises ValueError for an id that is too long.
        """
        kid, box = self._encrypt(Secret(msgspec.msgpack.encode((msisdn, visit_id))), _place("visit", "", ""))
        token = base64.urlsafe_b64encode(msgspec.msgpack.encode((kid, box))).rstrip(b"=").decode()
        if len(token) > MAX_TOKEN:
            raise ValueError(f"a visit's token has at most {MAX_TOKEN} characters, not {len(token)}")
        return token

    def open_token(self, token: str) -> tuple[str, str] | None:
        """Return (MSISDN, visit's id) of a token that `seal_token` made; None for anything else, and no exception."""
        if len(token) > MAX_TOKEN:
            return None
        try:
            octets = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() != token:
                return None  # another spelling of the same token
            kid, box = msgspec.msgpack.decode(octets, type=tuple[str, bytes])
            opened = self._decrypt(kid, box, _place("visit", "", ""))
            return msgspec.msgpack.decode(opened.reveal(), type=tuple[str, str])
        except (ValueError, msgspec.MsgspecError, VaultError):
            return None

    def seal_answer(self, body: bytes, terminal: str, key: str) -> bytes:
        """Return the answer to a terminal's request (its Idempotency-Key is `key`) as it is kept in the store."""
        return msgspec.msgpack.encode(self._encrypt(Secret(body), _place("answer", terminal, key)))

    def open_answer(self, sealed: bytes, terminal: str, key: str) -> bytes:
        """Return the answer that `seal_answer` sealed for this request. Raises VaultError."""
        return self._decrypt(*_parts(sealed, "a kept answer is"), _place("answer", terminal, key)).reveal()

    def seal_letters(self, parts: bytes, msisdn: str) -> bytes:
        """Return what this subscriber wrote, and is not whole yet, as it is kept in the record."""
        return msgspec.msgpack.encode(self._encrypt(Secret(parts), _place("letters", msisdn, "")))

    def open_letters(self, sealed: bytes, msisdn: str) -> bytes:
        """Return what `seal_letters` sealed for this subscriber. Raises VaultError."""
        kid, box = _parts(sealed, "the parts of a long SMS are")
        return self._decrypt(kid, box, _place("letters", msisdn, "")).reveal()

    def _encrypt(self, plain: Secret[bytes], place: bytes) -> tuple[str, bytes]:
        key = self._keys.current("kek")
        nonce = self._random(Aead.NONCE_SIZE)
        return key.id, bytes(Aead(key.secret.reveal()).encrypt(plain.reveal(), place, nonce))

    def _decrypt(self, kid: str, box: bytes, place: bytes) -> Secret[bytes]:
        key = self._keys.get(kid)
        if key is None or key.kind != "kek":
            raise UnknownKey(f"the key {kid!r} is not in the key file")
        try:
            return Secret(Aead(key.secret.reveal()).decrypt(box, place))
        except (nacl.exceptions.CryptoError, ValueError):
            raise VaultError("what was sealed was altered, or belongs to another place") from None


class Place:
    """A place among the checks under way, given back by `with`, however that ends."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()


class CodeHasher:
    """The slow half of a vault for the event loop: what takes an argon2id runs on two threads of its own.

    Who checks an entry takes a place first (`admit`), so that a flood of entries is refused before anything of it is
    written down, and nobody waits long; at most `most` have one. New codes wait their turn without.
    """

    def __init__(self, vault: Vault, most: int = MOST_CHECKS) -> None:
        self._vault = vault
        self._most = most
        self._taken = 0
        self._threads = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="argon2", initializer=_stand_back)

    @property
    def under_way(self) -> int:
        """How many checks have a place."""
        return self._taken

    @property
    def full(self) -> bool:
        """Whether there is no place for another check."""
        return self._taken >= self._most

    def admit(self) -> Place | None:
        """Return a place for one check, from before its try is reserved until it is settled; None where all are taken.

        with place:
            ...  # reserve, verify, settle
        """
        if self.full:
            return None
        self._taken += 1
        return Place(self._leave)

    async def seal(self, code: Secret[str], msisdn: str, generation: int) -> SealedCode:
        """Do what `Vault.seal` does."""
        return await self._run(self._vault.seal, code, msisdn, generation)

    async def check(
        self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int, *parts: Part
    ) -> Checked:
        """Do what `Vault.check` does."""
        return await self._run(self._vault.check, sealed, code, msisdn, generation, *parts)

    async def same(self, fingerprint: bytes, code: Secret[str], *parts: Part) -> bool:
        """Do what `Vault.same` does."""
        return await self._run(self._vault.same, fingerprint, code, *parts)

    async def close(self) -> None:
        """Take no more checks, wait for what is under way and let go of the threads; the rest is cancelled."""
        self._most = 0
        await asyncio.get_running_loop().run_in_executor(None, partial(self._threads.shutdown, cancel_futures=True))

    def _leave(self) -> None:
        self._taken -= 1

    async def _run(self, work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **named))


def _stand_back() -> None:
    """Lower this thread's priority; elsewhere than on Linux it would be the whole process's."""
    # Where the system refuses it, as a service's filter of system calls may, codes are hashed all the same.
    if sys.platform == "linux":
        with suppress(OSError):
            os.nice(HASHING_NICENESS)


def _keyed_digest(keys: Keys, purpose: bytes) -> "hashlib.blake2b":
    key = keys.current("digest").secret
    return hashlib.blake2b(digest_size=DIGEST_SIZE, key=key.reveal(), person=purpose)


def _plain(part: Part) -> str | bytes | int:
    # MessagePack refuses lone surrogates; as octets they are parts like any other.
    if isinstance(part, Secret):
        part = part.reveal()
    return part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part


def _place(purpose: Purpose, msisdn: str, which: int | str) -> bytes:
    """Return the additional data; MessagePack keeps the parts apart, whatever they hold."""
    return msgspec.msgpack.encode((purpose, msisdn, which))


def _parts(sealed: bytes, damaged: str) -> tuple[str, bytes]:
    """Return key id and box of sealed octets. Raises VaultError, which says what is `damaged`."""
    try:
        return msgspec.msgpack.decode(sealed, type=tuple[str, bytes])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise VaultError(f"{damaged} damaged") from None


def _text_parts(sealed: str) -> tuple[str, bytes]:
    """Return key id and box of a sealed text. Raises VaultError."""
    kid, _, encoded = sealed.partition(":")
    try:
        return kid, base64.b64decode(encoded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise VaultError("a sealed text is damaged") from None


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
