"""Servers of one store must have the same keys: what one of them seals the others must open, and terminals believe all.

So a store remembers fingerprints of the keys that its servers have, and who comes with others is refused. A
fingerprint is a digest keyed with the key itself, which is 32 random octets: it tells nothing of the key.

A rotation changes nothing of that: a ring that has every key in use is one of theirs, also where it has newer ones.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ussd_server.secrecy.keys import Key, Keyring, KeysError

FINGERPRINT_SIZE: Final = 16
"""Octets of a fingerprint."""

WHENCE: Final = "from a backup or another server's data directory"
"""Where a keys.json may be had that is not here."""


class OtherKeys(KeysError):
    """The store's servers have keys that are not here."""


class Remembers(Protocol):
    """What is asked of a store."""

    async def noted_keys(self) -> str:
        """Return the fingerprints that were noted last, "" for none."""

    async def note_keys(self, before: str, after: str) -> bool:
        """Note others durably and return True, or return False where `before` is not what is noted."""


class _Noted(msgspec.Struct, frozen=True, array_like=True):
    """A key as a store remembers it; `since` is when it was replaced (ms), 0 where that is not known."""

    id: str
    current: bool
    fingerprint: str
    since: int = 0


_decoder = msgspec.json.Decoder(list[_Noted])


def note(ring: Keyring, before: str = "", now: int = 0) -> str:
    """Return what a store is to remember of these keys; the order in the file does not matter.

    `before` is what it remembers: a key that was in use by that, and is not any more, was replaced `now` (ms). So was
    an older one that it does not have: it came from another file, where it may have been in use until now.
    """
    known = {each.fingerprint: each for each in _read(before)}

    def noted(key: Key) -> _Noted:
        fingerprint = _fingerprint(key)
        earlier = known.get(fingerprint, _Noted(key.id, bool(known), fingerprint))
        since = 0 if key.current else now if earlier.current else earlier.since
        return _Noted(key.id, key.current, fingerprint, since)

    return msgspec.json.encode(sorted(map(noted, ring.keys), key=lambda one: one.id)).decode()


def replaced_at(noted: str, key: Key) -> int:
    """Return when the store's servers replaced a key (ms), 0 where that is not known.

    A key for several data directories is made long before any server has it.
    """
    fingerprint = _fingerprint(key)
    return next((each.since for each in _read(noted) if each.fingerprint == fingerprint), 0)


def lacking(ring: Keyring, noted: str) -> list[str]:
    """Return the ids of the keys in use that this ring has not, as they were noted."""
    here = {_fingerprint(key) for key in ring.keys}
    return [each.id for each in _read(noted) if each.current and each.fingerprint not in here]


def in_use(ring: Keyring, noted: str) -> frozenset[str]:
    """Return the ids of those keys of this ring that the store's servers have in use, as they were noted."""
    here = {_fingerprint(key) for key in ring.keys}
    return frozenset(each.id for each in _read(noted) if each.current and each.fingerprint in here)


def ids(noted: str) -> list[str]:
    """Return the ids of all keys that were noted, older ones included."""
    return [each.id for each in _read(noted)]


def left_for(ring: Keyring, noted: str, in_force: Keyring, agreed: Keyring) -> bool:
    """Return whether the keys in force can go for a ring: the store's servers have no others in use than that has.

    `agreed` is what this server had the store remember last. A key in force that is not in use there may be had here
    alone, whatever the others have: with it would go what it has sealed.
    """
    known = all(key in agreed.keys for key in in_force.keys if key.current)
    return known and bool(noted) and not lacking(ring, noted)


def joined(one: str, other: str) -> str | None:
    """Return what to remember where two stores become one; None where none of their servers have both's keys."""
    for ours, theirs in ((one, other), (other, one)):
        known = {each.fingerprint for each in _read(ours)}
        if all(each.fingerprint in known for each in _read(theirs) if each.current):
            return ours
    return None


async def check(store: Remembers, name: str, ring: Keyring, file: Path) -> str:
    """Return what the store, called `name`, has noted. Raises OtherKeys where this ring, of that file, is of others.

    Raises KeysError where what is noted cannot be read.
    """
    noted = await store.noted_keys()
    if absent := lacking(ring, noted):
        raise OtherKeys(f"{name}: its servers have {_others(ring, noted, absent, file)}")
    return noted


async def agree(store: Remembers, name: str, ring: Keyring, file: Path, now: int) -> None:
    """Have the store remember these keys. Raises OtherKeys as `check` does; of two that begin it at once, one is it."""
    while True:
        before = await check(store, name, ring, file)
        after = note(ring, before, now)
        if after == before or await store.note_keys(before, after):
            return


def mend(ring: Keyring, noted: str, file: Path) -> str:
    """Return how a ring, of that file, gets the keys in use that it lacks.

    A file may have keys that are nowhere else, as where two were rotated beside each other: it is not copied over.
    """
    known = {each.fingerprint for each in _read(noted)}
    if own := [key.id for key in ring.keys if key.current and _fingerprint(key) not in known]:
        return (
            f"copy nothing over {file}, for they never had its {', '.join(own)}, and codes may be under that; take the "
            f"keys.json that has the others, {WHENCE}, give ussd-server keys join with it and --data {file.parent}, "
            f"and put {file} into every other data directory"
        )
    return f"bring back the keys.json that has them, {WHENCE}, to {file.parent}"


def _others(ring: Keyring, noted: str, absent: Sequence[str], file: Path) -> str:
    """Return what is lacking, and the mend, be there other servers or a copy alone."""
    lacks = ", ".join(absent)
    if not ring.keys:
        return f"the keys {lacks}, and there is no {file}: bring back a copy of it, {WHENCE}"
    return (
        f"other keys than {file}, which lacks {lacks}: {mend(ring, noted, file)}; where none is left, ussd-server keys "
        "adopt tells what is lost and asks"
    )


def _fingerprint(key: Key) -> str:
    data = f"{key.kind} {key.id}".encode()
    return hashlib.blake2b(data, digest_size=FINGERPRINT_SIZE, key=key.secret.reveal(), person=b"noted").hexdigest()


def _read(noted: str) -> list[_Noted]:
    try:
        return _decoder.decode(noted) if noted else []
    except msgspec.DecodeError as error:
        raise KeysError(f"what the store remembers of its servers' keys cannot be read: {error}") from None
