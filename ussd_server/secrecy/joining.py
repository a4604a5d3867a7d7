"""Two key files become one: every key of either is in it, and of each kind one is in use.

What a key has sealed opens as long as it is in the file, so no kek, transport or digest key does harm there. A signing
key can: whatever is in the file is vouched for to terminals, which believe it from then on. So one that may be another
service's, or may have been retired because somebody has it, is `doubtful`: no file tells what was retired from it, nor
does the age of a key, for any that is not in use may be retired.

A digest key is never rotated, so two files with the same one are of one service.
"""

from collections.abc import Container

import msgspec

from ussd_server.secrecy.keys import KINDS, Key, Keyring, Kind


def clashing(ours: Keyring, theirs: Keyring) -> list[str]:
    """Return the ids that both rings have for different keys."""
    return [
        key.id
        for key in theirs.keys
        if (mine := ours.get(key.id)) is not None and (mine.kind, mine.secret) != (key.kind, key.secret)
    ]


def coming(ours: Keyring, theirs: Keyring) -> tuple[Key, ...]:
    """Return the keys of `theirs` that are not in `ours`, by their ids."""
    return tuple(key for key in theirs.keys if ours.get(key.id) is None)


def doubtful(ours: Keyring, theirs: Keyring, servers_use: Container[str]) -> list[str]:
    """Return the ids of signing keys that would come and that terminals might better not believe.

    Sure are only those that the store's servers have in use: such a key is not retired, and terminals believe it.
    """
    return [key.id for key in coming(ours, theirs) if key.kind == "signing" and key.id not in servers_use]


def joined(ours: Keyring, theirs: Keyring, servers_use: Container[str]) -> Keyring:
    """Return a ring with all keys of both, which must not clash; `ours` where nothing comes.

    `servers_use` has the ids of those of these that the store's servers have in use.
    """
    more = coming(ours, theirs)
    if not more:
        return ours
    used = {_used(kind, ours, theirs, servers_use) for kind in KINDS}
    keys = (msgspec.structs.replace(key, current=key.id in used) for key in (*ours.keys, *more))
    # The one in use is the last of its kind, so that each older one has one that came after it.
    return Keyring(tuple(sorted(keys, key=lambda key: (key.current, key.created))))


def _used(kind: Kind, ours: Keyring, theirs: Keyring, servers_use: Container[str]) -> str | None:
    """Return the id of the key that is in use afterwards; None where neither ring has one in use.

    A key that the other file has as an older one was replaced there. Otherwise the store's servers go on with theirs:
    who has not got the joined file yet opens nothing under another.
    """
    mine, other = in_use(kind, ours), in_use(kind, theirs)
    if mine is None or other is None:
        only = mine or other
        return only.id if only else None
    left_here, left_there = ours.get(other.id) is not None, theirs.get(mine.id) is not None
    if left_here != left_there:
        return mine.id if left_here else other.id
    for each in (mine, other):
        if each.id in servers_use:
            return each.id
    if kind == "digest" or not _one_service(ours, theirs):
        return mine.id
    return max(mine, other, key=lambda key: (key.created, key.id)).id


def _one_service(ours: Keyring, theirs: Keyring) -> bool:
    return any(theirs.get(key.id) is not None for key in ours.of("digest"))


def in_use(kind: Kind, ring: Keyring) -> Key | None:
    """Return the key of this kind that this ring has in use, where it has one."""
    return next((key for key in ring.of(kind) if key.current), None)
