"""Marks on two stores of which one is copied into the other: nobody serves from a half, nor writes what is left behind.

The target is marked and fenced before anything is written to it, and until all of it is there: the copy alone passes.
The source is fenced before what is compared last: what a server was told that is committed is there by then, and nobody
is told so of anything later.

Who marks a store looks after that whether somebody has it open, who opens one looks after that whether it is marked. So
one of the two sees the other, whatever happens at the same time.
"""

import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final

from ussd_server.stores.base import Store, StoreUnavailable

COPIED: Final = "copied from "
ADDED: Final = "added to from "
"""How a store is marked and fenced: with the one that it is copied from, or that is added to what it had before."""

MOVED: Final = "moved to "
"""How a store is marked and fenced: with the one that it is copied into. It stays so when that is done."""

Unseen = Callable[[str], None]
"""Is told the name of a store of which nobody can tell who has it open."""


class CopyError(Exception):
    """The copy cannot begin, or cannot end well. The text is one line: what, and the mend."""


class AlreadyMoved(CopyError):
    """An earlier copy has ended, and nothing is to be done; the text says with which store to go on."""


class Move:
    """Marks `source` and `target`; `name` and `into` are what they are called, and known by when a copy goes on."""

    def __init__(self, source: Store, target: Store, name: str, into: str, unseen: Unseen = lambda name: None) -> None:
        self._source = source
        self._target = target
        self._name = name
        self._into = into
        self._unseen = unseen
        self.alone = True
        """Whether the target holds nothing else."""

    async def goes_on(self, into_nonempty: bool) -> bool:
        """Return whether an earlier copy goes on. Raises CopyError where none may begin; nothing is written."""
        away = await goes_away(self._source, self._name, self._into)
        found = await self._target.mark()
        if found in (COPIED + self._name, ADDED + self._name):
            self.alone = found.startswith(COPIED)
        elif found.startswith(MOVED):
            raise CopyError(f"{self._into} is {found}; take an empty store")
        elif found:
            raise CopyError(f"{self._into} is being {found}; end that copy, or take an empty store")
        else:
            self.alone = await self._is_empty()
            if away and not self.alone:
                raise AlreadyMoved(
                    f"{self._name} was moved to {self._into} already: name that one with --store; or, to go back: "
                    "ussd-server store reopen FROM"
                )
            if not self.alone and not into_nonempty:
                raise CopyError(f"{self._into} holds other data; take an empty store, or say --into-nonempty")
        await self._refuse_written_target()
        return bool(found)

    @property
    def _under_way(self) -> str:
        """How the target is marked."""
        return (COPIED if self.alone else ADDED) + self._name

    async def mark_target(self) -> None:
        """Let no server serve from the target, and this copy alone write it.

        Raises CopyError where a server has it open already, which goes on where no copy was under way before.
        """
        before = await self._target.mark()
        await self._target.set_mark(self._under_way, fenced=True, passing=True)
        try:
            await self._refuse_written_target()
        except CopyError:
            if not before:
                await self._target.set_mark("")
            raise

    async def fence_source(self) -> None:
        """Let nobody write the source. Raises CopyError where a server runs on it, which goes on."""
        before = await self._source.mark()
        await self._source.set_mark(MOVED + self._into, fenced=True)
        try:
            await self._refuse_written_source()
        except CopyError:
            if not before:
                await self._source.set_mark("")
            raise

    async def end(self) -> None:
        """Let servers serve from the target. Raises CopyError where either could have been written meanwhile."""
        await self._refuse_written_source()
        await self._refuse_written_target()
        if await self._source.mark() != MOVED + self._into:
            raise CopyError(f"{self._name} was reopened meanwhile: give the same command again, it goes on")
        if await self._target.mark() != self._under_way:
            raise CopyError(f"{self._into} was reopened meanwhile, and may have been served from; nothing was ended")
        await self._target.set_mark("")

    async def _refuse_written_source(self) -> None:
        if users := await self._users(self._source, self._name):
            raise CopyError(
                f"{self._name} is in use by {users}: stop what runs on it, and give the same command again, it goes on"
            )

    async def _refuse_written_target(self) -> None:
        if users := await self._users(self._target, self._into):
            raise CopyError(f"{self._into} is in use by {users}: nobody may write it meanwhile")

    async def _users(self, store: Store, name: str) -> str:
        users = await store.in_use()
        if users is None:
            self._unseen(name)
        return users or ""

    async def _is_empty(self) -> bool:
        some: Sequence[Any] = await self._target.subscribers("", 1) or await self._target.terminals()
        return not (some or await self._target.nonces(None, 1))


async def goes_away(source: Store, name: str, into: str) -> bool:
    """Return whether a store is being moved to this other one, or was. Raises CopyError where it is marked else."""
    marked = await source.mark()
    if not marked:
        return False
    if marked == MOVED + into:
        return True
    if marked.startswith(MOVED):
        raise CopyError(f"{name} is {marked}; end that copy, or give it up with: ussd-server store reopen FROM")
    raise CopyError(f"{name} is not whole, it is being {marked}; end that copy first")


async def reopen(store: Store, name: str, unseen: Unseen = lambda name: None) -> str:
    """Let servers run on a store again that is or was moved; return to which, "" where it was open.

    Raises CopyError where it is half of a copy, or in use.
    """
    marked = await store.mark()
    if marked and not marked.startswith(MOVED):
        raise CopyError(
            f"{name} is not whole, it is being {marked}; end that copy first; or, to serve from the part that is "
            "there, say --unfinished"
        )
    await _take_mark_off(store, name, marked, unseen)
    return marked.removeprefix(MOVED)


async def leave_unfinished(store: Store, name: str, unseen: Unseen = lambda name: None) -> str:
    """Let servers run on a store that is being copied into, with the part that is there; return from which.

    It is "" where it was whole. Raises CopyError where it is not whole for another reason, or in use.
    """
    marked = await store.mark()
    if marked.startswith(MOVED):
        raise CopyError(f"{name} is {marked}, and whole; leave --unfinished out")
    await _take_mark_off(store, name, marked, unseen)
    return marked.removeprefix(COPIED).removeprefix(ADDED)


async def _take_mark_off(store: Store, name: str, marked: str, unseen: Unseen) -> None:
    if marked:
        users = await store.in_use()
        if users is None:
            unseen(name)
        elif users:
            raise CopyError(f"{name} is in use by {users}: end that first")
    await store.set_mark("")


async def refuse_marked(store: Store, name: str) -> None:
    """Raise StoreUnavailable where nobody may serve from a store: it is not whole, or another has its data by now."""
    mark = await store.mark()
    if mark.startswith(MOVED):
        raise StoreUnavailable(
            f"{name}: it is {mark}: name that one with --store; or, to go on with this one: "
            f"ussd-server store reopen {shlex.quote(name)}"
        )
    if mark:
        raise StoreUnavailable(
            f"{name}: it is being {mark}; end that first, with: ussd-server store copy FROM TO; or, to serve from the "
            f"part that is there: ussd-server store reopen {shlex.quote(name)} --unfinished"
        )
