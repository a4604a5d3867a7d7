"""Moving up: all that one store has is copied into another of whatever kind, and compared until nothing differs.

Both are walked again and again. What differs is written, and a walk that finds nothing to write is the proof. So a
copy that was killed goes on where it is, and what changed in the meantime is copied again; it needs no list of what is
done. A store that is being copied into is marked, and no server serves from it, until all of it is there.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ussd_server.log import mask
from ussd_server.secrecy import agreement
from ussd_server.stores.base import Everything, Nonce, Store, StoreUnavailable

AT_ONCE: Final = 256
"""Subscribers that are looked at, and written, at once: their commits share a write to the disk."""
SWEPT: Final = 1000
MAX_WALKS: Final = 5
NAMED: Final = 5
"""Differences that are named; of the others only how many there are."""

COPIED: Final = "copied from "
ADDED: Final = "added to from "
"""How a store is marked: with the one that it is copied from, or that is added to what it had before."""

PARTS: Final = ("record", "journal", "outbox", "dead_letters", "answers")

_encode = msgspec.msgpack.Encoder().encode

Moved = Callable[[str, int], None]
"""Is told how far it is: which walk this is, and how many more subscribers it has seen."""


class CopyError(Exception):
    """The copy cannot begin, or cannot end well. The text is one line: what, and the mend."""


@dataclass
class Sum:
    """How much there is of each kind, and a digest of all of it that no order changes."""

    counts: Counter[str] = field(default_factory=Counter)
    digest: int = 0

    def add(self, kind: str, encoded: bytes) -> None:
        """Count one thing in."""
        self.counts[kind] += 1
        found = hashlib.blake2b(kind.encode() + b"\0" + encoded, digest_size=16).digest()
        self.digest = (self.digest + int.from_bytes(found)) % (1 << 128)

    def add_everything(self, everything: Everything, encoded: bytes) -> None:
        """Count a subscriber in, with all there is of it."""
        self.add("subscribers", encoded)
        self.counts["journal entries"] += len(everything.journal)
        self.counts["outbox entries"] += len(everything.outbox)
        self.counts["dead letters"] += len(everything.dead_letters)
        self.counts["kept answers"] += len(everything.answers)

    def __str__(self) -> str:
        return f"{self.digest:032x}"


@dataclass
class Walk:
    """What one walk over both stores found: the sums of both, and what differed, in words without numbers."""

    source: Sum = field(default_factory=Sum)
    target: Sum = field(default_factory=Sum)
    differing: int = 0
    named: list[str] = field(default_factory=list)

    def differs(self, what: str) -> None:
        """Note a difference."""
        self.differing += 1
        if len(self.named) < NAMED:
            self.named.append(what)


@dataclass(frozen=True)
class Copied:
    """What came of a copy: the walk that found nothing more to write, and what earlier ones wrote.

    `changed` is how much had to be written although an earlier walk had seen to it.
    """

    last: Walk
    written: int
    changed: int
    went_on: bool


class Copier:
    """Copies `source` into `target`; `name` and `into` are what they are called.

    The target is marked with `name`, and a copy goes on from a store of that name alone: no other may have it.
    `now` is in ms: nonces whose time is over by then are left where they are.
    """

    def __init__(
        self,
        source: Store,
        target: Store,
        name: str,
        into: str,
        now: int,
        moved: Moved = lambda what, more: None,
    ) -> None:
        self._source = source
        self._target = target
        self._name = name
        self._into = into
        self._now = now
        self._moved = moved
        self._alone = True
        """Whether the target holds nothing else."""

    async def begin(self, into_nonempty: bool = False) -> bool:
        """Mark the target, and return whether an earlier copy goes on. Raises CopyError where it may not be."""
        marked = await self._source.mark()
        if marked:
            raise CopyError(f"{self._name} is not whole, it is being {marked}; end that copy first")
        found = await self._target.mark()
        if found in (COPIED + self._name, ADDED + self._name):
            self._alone = found.startswith(COPIED)
            await self._join_keys()
            await self._sweep()
            return True
        if found:
            raise CopyError(f"{self._into} is being {found}; end that copy, or take an empty store")
        self._alone = await self._is_empty()
        if not self._alone and not into_nonempty:
            raise CopyError(f"{self._into} holds other data; take an empty store, or say --into-nonempty")
        await self._join_keys()
        await self._target.set_mark((COPIED if self._alone else ADDED) + self._name)
        return False

    async def seed(self) -> Walk:
        """Walk once and write what differs; the target stays marked. For a store that servers still write."""
        return await self._walk("copying", write=True)

    async def copy(self, went_on: bool = False) -> Copied:
        """Walk until nothing differs any more, and take the mark off. Raises CopyError where that does not come."""
        first = walk = await self._walk("copying", write=True)
        changed = 0
        for number in range(1, MAX_WALKS + 1):
            before, walk = walk, await self._walk(f"comparison {number}", write=True)
            if not walk.differing:
                await self._join_keys()  # they may have been rotated meanwhile
                await self._target.set_mark("")
                return Copied(walk, first.differing, changed, went_on)
            if walk.source.digest == before.source.digest:
                raise CopyError(f"{self._into} does not hold what was written: {_list(walk)}")
            changed += walk.differing
        raise CopyError(
            f"{self._name} changed during each of {MAX_WALKS} comparisons, servers still run on it: stop them and give "
            f"the same command again, it goes on; last {_list(walk)}"
        )

    async def compare(self) -> Walk:
        """Walk once and write nothing."""
        return await self._walk("comparison", write=False)

    # One walk ---------------------------------------------------------------------------------------------------------

    async def _walk(self, what: str, write: bool) -> Walk:
        walk = Walk()
        await self._walk_subscribers(walk, what, write)
        if self._alone:
            await self._walk_strangers(walk, write)
        await self._walk_terminals(walk, write)
        await self._walk_nonces(walk, write)
        return walk

    async def _walk_subscribers(self, walk: Walk, what: str, write: bool) -> None:
        after = ""
        while numbers := await self._source.subscribers(after, AT_ONCE):
            after = numbers[-1]
            ours = await _dump(self._source, numbers)
            theirs = dict(zip(numbers, await _dump(self._target, numbers), strict=True))
            differing = []
            for here in ours:
                if here is None:
                    continue  # forgotten since it was listed
                if self._differ(walk, here, theirs[here.record.msisdn]):
                    differing.append(here)
            if write and differing:
                await self._restore(differing)
            self._moved(what, len(numbers))

    def _differ(self, walk: Walk, here: Everything, there: Everything | None) -> bool:
        """Count both in, and note a difference."""
        encoded = _encode(here)
        walk.source.add_everything(here, encoded)
        if there is None:
            walk.differs(f"{mask(here.record.msisdn)} is missing")
            return True
        found = _encode(there)
        walk.target.add_everything(there, found)
        if encoded == found:
            return False
        parts = [part for part in PARTS if _encode(getattr(here, part)) != _encode(getattr(there, part))]
        walk.differs(f"{mask(here.record.msisdn)} has another {', another '.join(parts).replace('_', ' ')}")
        return True

    async def _restore(self, differing: Sequence[Everything]) -> None:
        outcomes = await asyncio.gather(*(self._target.restore(each) for each in differing), return_exceptions=True)
        for each, outcome in zip(differing, outcomes, strict=True):
            if isinstance(outcome, ValueError):
                raise CopyError(f"{mask(each.record.msisdn)} cannot be copied: {outcome}")
            if outcome is not None:
                raise outcome

    async def _walk_strangers(self, walk: Walk, write: bool) -> None:
        """Find who is in the target and not in the source: forgotten there since an earlier copy.

        All of the source are there by now, or counted as missing; so there are strangers where there are more.
        """
        missing = 0 if write else walk.source.counts["subscribers"] - walk.target.counts["subscribers"]
        if await self._target.count_subscribers() + missing == walk.source.counts["subscribers"]:
            return
        after = ""
        while numbers := await self._target.subscribers(after, AT_ONCE):
            after = numbers[-1]
            loaded = await asyncio.gather(*(self._source.load(msisdn, latest=True) for msisdn in numbers))
            for msisdn in (msisdn for msisdn, (_, version) in zip(numbers, loaded, strict=True) if not version):
                walk.differs(f"{mask(msisdn)} is not in {self._name}")
                if write:
                    await self._target.forget(msisdn)

    async def _walk_terminals(self, walk: Walk, write: bool) -> None:
        ours = await self._source.terminals()
        if self._alone:
            for stranger in {each.id for each in await self._target.terminals()} - {each.id for each in ours}:
                walk.differs(f"the terminal {stranger} is not in {self._name}")
        for here in ours:
            there, version = await self._target.load_terminal(here.id)
            walk.source.add("terminals", _encode(here))
            if there is not None:
                walk.target.add("terminals", _encode(there))
            if here != there:
                walk.differs(f"the terminal {here.id} is {'missing' if there is None else 'another'}")
                if write:
                    await self._target.commit_terminal(here, version)

    async def _walk_nonces(self, walk: Walk, write: bool) -> None:
        theirs = {hash(each) async for each in _nonces(self._target)}
        async for here in _nonces(self._source):
            if here.until <= self._now:
                continue
            encoded = _encode(here)
            walk.source.add("nonces", encoded)
            if hash(here) in theirs:
                walk.target.add("nonces", encoded)
                continue
            walk.differs(f"a nonce of the terminal {here.terminal} is missing")
            if write:
                await self._target.use_nonce(here.terminal, here.nonce, here.until)

    # The target -------------------------------------------------------------------------------------------------------

    async def _is_empty(self) -> bool:
        some: Sequence[Any] = await self._target.subscribers("", 1) or await self._target.terminals()
        return not (some or await self._target.nonces(None, 1))

    async def _join_keys(self) -> None:
        """Let the target remember the keys that what is copied is sealed with. Raises CopyError where it has others."""
        while True:
            ours, theirs = await self._source.noted_keys(), await self._target.noted_keys()
            joined = (ours or theirs) if self._alone else agreement.joined(theirs, ours)
            if joined is None:
                raise CopyError(f"{self._into} has other keys than {self._name}; take a store with the same keys")
            if joined == theirs or await self._target.note_keys(theirs, joined):
                return

    async def _sweep(self) -> None:
        """Let nothing that is over stand in the way: a nonce may have been used again since."""
        while await self._target.sweep(self._now, SWEPT) == SWEPT:
            pass


async def refuse_unfinished(store: Store, name: str) -> None:
    """Raise StoreUnavailable where a store is being copied into: what it has is not all, and may be old."""
    if mark := await store.mark():
        raise StoreUnavailable(f"{name}: it is being {mark}; end that first, with: ussd-server store copy FROM TO")


async def _dump(store: Store, numbers: Sequence[str]) -> list[Everything | None]:
    return await asyncio.gather(*(store.dump(msisdn) for msisdn in numbers))


async def _nonces(store: Store) -> AsyncIterator[Nonce]:
    after: Nonce | None = None
    while some := await store.nonces(after, SWEPT):
        for each in some:
            yield each
        after = some[-1]


def _list(walk: Walk) -> str:
    more = walk.differing - len(walk.named)
    return "; ".join(walk.named) + (f"; and {more} more" if more else "")
