"""The embedded store: one SQLite file, written in groups, durable before a commit is acknowledged.

Here is the port, its writing half: what is asked becomes a change or a job of a group. `groups.py` gathers
them while the disk is busy, has them written in one transaction (`changes.py`, `jobs.py`), and
acknowledges what is on the disk. Statements run on the event loop's thread; only waiting for the disk happens
elsewhere, once a group. `docs/decisions/0003-sqlite-store.md` tells why, with figures.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from ussd_server.stores.base import (
    EVERY_LANE,
    JOURNAL_ENTRIES,
    Change,
    Claimed,
    ClockReading,
    Everything,
    JournalEntry,
    KeptAnswer,
    Late,
    Told,
    ToldHeld,
    pass_on,
    tell_soon,
)
from ussd_server.stores.cache import CACHED_OCTETS, CACHED_RECORDS, Cache
from ussd_server.stores.sqlite import jobs
from ussd_server.stores.sqlite import statements as sql
from ussd_server.stores.sqlite.checkpoints import CHECKPOINT_ROWS
from ussd_server.stores.sqlite.fence import let_pass
from ussd_server.stores.sqlite.file import File
from ussd_server.stores.sqlite.groups import Groups
from ussd_server.stores.sqlite.reading import Reading
from ussd_server.stores.sqlite.rows import Row, key_of
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.record import encode as encode_terminal

T = TypeVar("T")

SWEEP_SLICE = 64
"""Rows deleted in one transaction beside the changes: about 1 ms."""


class SqliteStore(Reading):
    """A store in one file. It belongs to the event loop that uses it first; `close` before the loop ends.

    Opening raises `StoreUnavailable` with the cause where the file cannot be used. Several stores, in this process or
    in others, may use one file at the same time.
    """

    def __init__(
        self,
        path: str | Path,
        cached_records: int = CACHED_RECORDS,
        cached_octets: int = CACHED_OCTETS,
        checkpoint_rows: int = CHECKPOINT_ROWS,
        journal_entries: int = JOURNAL_ENTRIES,
    ) -> None:
        file = File(str(path))
        super().__init__(file, Cache(cached_records, cached_octets))
        self._db = file.db
        self._journal_entries = journal_entries
        self._groups = Groups(file, self._cache, journal_entries, checkpoint_rows)
        self._do = self._groups.do

    async def commit(self, change: Change) -> bool:
        """Write the change durably and return True, or False where it was made on an older version.

        A change that can never be written (an outbox id that is taken, a value that has no stored form) raises
        `ValueError` or `TypeError`.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._groups.put(change, partial(pass_on, future))
        return await future

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit, and call `told` with what `commit` would return or raise."""
        try:
            self._groups.put(change, told)
        except Exception as error:
            tell_soon(told, error)

    async def commit_and_hold(self, change: Change, now: int, lease: int) -> list[Claimed] | None:
        """Commit, and hold what of its outbox could be claimed at `now` until `lease`; None where it was refused."""
        future: asyncio.Future[list[Claimed] | None] = asyncio.get_running_loop().create_future()
        self.commit_and_hold_then(change, now, lease, partial(pass_on, future))
        return await future

    def commit_and_hold_then(self, change: Change, now: int, lease: int, told: ToldHeld) -> None:
        """Commit and hold, and call `told` with what `commit_and_hold` would return or raise."""
        try:
            self._groups.put(change, told, now, lease, [])
        except Exception as error:
            tell_soon(told, error)

    async def claim(
        self, now: int, limit: int, lease_ms: int, lanes: Collection[int] = EVERY_LANE, late: Late | None = None
    ) -> list[Claimed]:
        """Take up to `limit` due entries that nobody holds, the oldest of each subscriber and lane, and hold them.

        What is returned is durable, and so is all that was committed before it. Nothing comes late.
        """
        if not any(self._read(sql.CLAIMABLE, (lane, now, min(limit, 1))) for lane in lanes):
            return []
        return await self._do(lambda: jobs.claim(self._db, now, limit, lease_ms, lanes))

    async def renew(self, claimed: Sequence[Claimed], lease: int) -> None:
        """Hold entries that are under way until `lease` (ms), as the same attempt."""
        rows = [(lease, each.entry.id, each.attempt) for each in claimed]
        await self._do(lambda: self._db.executemany(sql.RENEW, rows))

    async def settle(self, claimed: Sequence[Claimed]) -> None:
        """Remove entries that are done with."""
        # The number was a key when it was claimed.
        await self._groups.settle([each.entry.id for each in claimed], [int(each.msisdn) for each in claimed])

    async def postpone(self, claimed: Claimed, due: int, reason: str) -> None:
        """Let go of an entry that failed for now; nothing happens where another has claimed it since."""
        await self._do(lambda: self._db.execute(sql.POSTPONE, (due, reason, claimed.entry.id, claimed.attempt)))

    async def bury(self, claimed: Claimed, now: int, reason: str, journal: Sequence[JournalEntry] = ()) -> None:
        """Move an entry to the dead letters with a journal entry `given_up`; nothing where another has claimed it."""
        await self._do(lambda: jobs.bury(self._db, claimed, now, reason, journal, self._journal_entries))

    async def forget(self, msisdn: str) -> bool:
        """Delete all that is known of a subscriber, from the log, too; False where nothing was."""
        (forgotten,) = await self._forget([msisdn])
        return forgotten

    async def forget_each(self, msisdns: Sequence[str]) -> None:
        """Delete all that is known of each of these, and empty the log once."""
        await self._forget(msisdns)

    async def _forget(self, msisdns: Sequence[str]) -> list[bool]:
        keys = [key_of(msisdn) for msisdn in msisdns]
        forgotten = await self._do(lambda: [jobs.forget(self._db, key) for key in keys])
        # Only now: a commit of the same group may have put it there a moment ago.
        for msisdn in msisdns:
            self._cache.drop(msisdn)
        # Also where nothing was: whoever deleted it may have been killed before this.
        await self._groups.empty_log()
        return forgotten

    async def risks(self) -> list[str]:
        """Return nothing: what was acknowledged is on the disk."""
        return []

    async def read_clock(self, now: Callable[[], int]) -> ClockReading | None:
        """Return None: whoever shares a file has the same machine's clock."""
        return None

    async def ping(self) -> None:
        """Write something and wait until it is on the disk."""
        await self._do(lambda: self._db.execute(sql.PING), steps=False)

    async def commit_terminal(self, terminal: Terminal, version: int) -> bool:
        """Write a terminal durably and return True, or return False where `version` is not the stored one."""
        statement = sql.UPDATE_TERMINAL if version else sql.ADD_TERMINAL
        return await self._one_changed(statement, (encode_terminal(terminal), terminal.id, version))

    async def use_nonce(self, terminal: str, nonce: str, until: int) -> bool:
        """Return True and remember the nonce durably, False where this terminal has used it and it was not swept."""
        return await self._one_changed(sql.USE, (terminal, nonce, until))

    async def answer(self, terminal: str, key: str) -> KeptAnswer | None:
        """Return the kept answer of a request; what is returned is durable, and so is what was committed with it."""
        rows = self._read(sql.ANSWER, (terminal, key))
        if rows:
            # What is read may not be on the disk yet, and an answer is passed on.
            rows = await self._do(lambda: self._db.execute(sql.ANSWER, (terminal, key)).fetchall(), steps=False)
        return KeptAnswer(terminal, key, *rows[0]) if rows else None

    async def sweep(self, now: int, limit: int) -> int:
        """Delete up to `limit` nonces and answers whose time is over, a slice at a time; commits go on in between."""
        swept = 0
        while swept < limit and self._read(sql.OVER, (now,)) == [(1,)]:
            swept += await self._do(partial(jobs.sweep, self._db, now, min(limit - swept, SWEEP_SLICE)))
        return swept

    async def restore(self, everything: Everything, brought: bool = False) -> None:
        """Let what there is of this subscriber be just this, durably; ValueError where an id belongs to another."""
        msisdn = everything.record.msisdn
        key = key_of(msisdn)
        await self._do(lambda: jobs.restore(self._db, key, everything, brought))
        self._cache.drop(msisdn)

    async def set_mark(self, mark: str, fenced: bool = False, passing: bool = False) -> None:
        """Mark the file durably; "" takes the mark off. Where it is `fenced`, nobody changes what a copy has.

        But for this store's jobs, where it is `passing`.
        """
        await self._groups.do(lambda: jobs.mark(self._db, mark, fenced, passing))
        self._do = self._do_passing if passing else self._groups.do

    async def _do_passing(self, work: Callable[[], T], steps: bool = True) -> T:
        return await self._groups.do(lambda: let_pass(self._db, work), steps)

    async def note_keys(self, before: str, after: str) -> bool:
        """Note it durably and return True, or return False where what is noted is not `before`."""
        return await self._one_changed(sql.NOTE_KEYS, (before, after))

    async def _one_changed(self, statement: str, row: Row) -> bool:
        return await self._do(lambda: self._db.execute(statement, row).rowcount == 1, steps=False)

    async def close(self) -> None:
        """Finish what is under way, copy the whole log into the database, and let go of the file."""
        await self._groups.close()
