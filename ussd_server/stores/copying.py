"""Moving up: all that one store has is copied into another of whatever kind, and compared until nothing differs.

Both are walked again and again. What differs is written, and a walk that finds nothing to write is the proof. So a
copy that was killed goes on where it is, and what changed in the meantime is copied again; it needs no list of what is
done. Who may write the two meanwhile, and when servers change over, `moving.py` sees to.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ussd_server.log import mask
from ussd_server.secrecy import agreement
from ussd_server.stores.base import Everything, Nonce, Store
from ussd_server.stores.moving import CopyError, Move, Unseen

AT_ONCE: Final = 256
"""Subscribers that are looked at, and written, at once: their commits share a write to the disk."""
SWEPT: Final = 1000
MAX_WALKS: Final = 5
NAMED: Final = 5
"""Differences that are named; of the others only how many there are."""

PARTS: Final = ("record", "journal", "outbox", "dead_letters", "answers")

_encode = msgspec.msgpack.Encoder().encode

Moved = Callable[[str, int], None]
"""Is told how far it is: which walk this is, and how many more subscribers it has seen."""


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

    Both are marked with the other's name, and a copy goes on between stores of these names alone: no other may have it.
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
        unseen: Unseen = lambda name: None,
    ) -> None:
        self._source = source
        self._target = target
        self._name = name
        self._into = into
        self._now = now
        self._moved = moved
        self._move = Move(source, target, name, into, unseen)
        self.relisted = 0
        """How many subscribers the source did not list any more when it began, and lists again."""

    async def begin(self, into_nonempty: bool = False) -> bool:
        """Mark the target, and return whether an earlier copy goes on. Raises CopyError where it may not be."""
        went_on = await self._move.goes_on(into_nonempty)
        self.relisted = await self._source.relist()
        if went_on:
            await self._move.mark_target()  # again: this process passes the fence from then on
        await self._join_keys()
        if went_on:
            await self._sweep()
        else:
            await self._move.mark_target()
        return went_on

    async def seed(self) -> Walk:
        """Walk once and write what differs; the target stays marked. For a store that servers still write."""
        return await self._walk("copying", write=True)

    async def copy(self, went_on: bool = False) -> Copied:
        """Fence the source, walk until nothing differs any more, and let servers serve from the target.

        Raises CopyError where that does not come, or a server runs on either of them.
        """
        await self._move.fence_source()
        first = walk = await self._walk("copying", write=True)
        changed = 0
        for number in range(1, MAX_WALKS + 1):
            before, walk = walk, await self._walk(f"comparison {number}", write=True)
            if not walk.differing:
                await self._join_keys()  # they may have been rotated until the source was fenced
                await self._move.end()
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
        outcomes = await asyncio.gather(
            *(self._target.restore(each, not self._move.alone) for each in differing), return_exceptions=True
        )
        for each, outcome in zip(differing, outcomes, strict=True):
            if isinstance(outcome, ValueError):
                raise CopyError(f"{mask(each.record.msisdn)} cannot be copied: {outcome}")
            if outcome is not None:
                raise outcome

    async def _walk_strangers(self, walk: Walk, write: bool) -> None:
        """Find who is in the target and not in the source: forgotten there since a copy brought them.

        Of a target that had others before, only those are looked at that a copy brought.
        """
        if self._move.alone and not await self._has_strangers(walk, write):
            return
        theirs = self._target.subscribers if self._move.alone else self._target.brought
        after = ""
        while numbers := await theirs(after, AT_ONCE):
            after = numbers[-1]
            gone = await _unknown(self._source, numbers)
            removed = set(await _unknown(self._target, gone))  # before, and still noted as brought
            strangers = [msisdn for msisdn in gone if msisdn not in removed]
            for msisdn in strangers:
                walk.differs(f"{mask(msisdn)} is not in {self._name}")
            if write and strangers:
                await self._target.forget_each(strangers)

    async def _has_strangers(self, walk: Walk, write: bool) -> bool:
        """Return whether a target that has nobody else has more than all of the source: those are there by now.

        Where nothing is written, they are counted as missing.
        """
        missing = 0 if write else walk.source.counts["subscribers"] - walk.target.counts["subscribers"]
        return await self._target.count_subscribers() + missing != walk.source.counts["subscribers"]

    async def _walk_terminals(self, walk: Walk, write: bool) -> None:
        ours = await self._source.terminals()
        if self._move.alone:
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

    async def _join_keys(self) -> None:
        """Let the target remember the keys that what is copied is sealed with. Raises CopyError where it has others."""
        while True:
            ours, theirs = await self._source.noted_keys(), await self._target.noted_keys()
            joined = (ours or theirs) if self._move.alone else agreement.joined(theirs, ours)
            if joined is None:
                raise CopyError(
                    f"{self._into} has other keys than {self._name}: bring both into one keys.json with ussd-server "
                    "keys join, have TO remember them with ussd-server keys rewrap, and copy again; or take a store "
                    "with the same keys"
                )
            if joined == theirs or await self._target.note_keys(theirs, joined):
                return

    async def _sweep(self) -> None:
        """Let nothing that is over stand in the way: a nonce may have been used again since."""
        while await self._target.sweep(self._now, SWEPT) == SWEPT:
            pass


async def _unknown(store: Store, numbers: Sequence[str]) -> list[str]:
    """Return those of these numbers that have no record."""
    loaded = await asyncio.gather(*(store.load(msisdn, latest=True) for msisdn in numbers))
    return [msisdn for msisdn, (_, version) in zip(numbers, loaded, strict=True) if not version]


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
