"""The embedded store's groups: gathered while the disk is busy, written in one transaction, synced, acknowledged.

`docs/decisions/0003-sqlite-store.md` tells why this is as durable as `synchronous=FULL`.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, TypeVar

import msgspec
import structlog

from ussd_server.database import code_of, explain, roll_back
from ussd_server.outage import Outage
from ussd_server.stores.base import Change, Claimed, PerhapsDone, StoreUnavailable, pass_on, tell, tell_each
from ussd_server.stores.cache import Cache
from ussd_server.stores.sqlite import statements as sql
from ussd_server.stores.sqlite.changes import UNFIT, Changes, Outcome, all_or_nothing
from ussd_server.stores.sqlite.checkpoints import Checkpoints
from ussd_server.stores.sqlite.fence import refusal
from ussd_server.stores.sqlite.file import File
from ussd_server.stores.sqlite.onethread import OneThread
from ussd_server.stores.sqlite.rows import Rows, to_json

GROUP = 256
"""Changes in one transaction at most, so that the loop is never held for longer than about 4 ms."""

SETTLE_WAIT_S = 0.01
"""How long entries that are done with may wait for a group to be removed with. By themselves they were half of the
groups of 64 writers: a write and a wait for the disk in which the next turns stood. A crash meanwhile has them done
again, as it has while an SMSC's response is on its way, which takes as long."""

LOCK_RETRY_S = 0.005
LOCK_TRIES = 400
"""How often, and how many times, a group is tried again while another process writes: about 2 s in all."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class _Job(msgspec.Struct, frozen=True):
    """Another piece of writing, and who waits for what it returns; `steps` says that it is more than one statement."""

    work: Callable[[], Any]
    future: "asyncio.Future[Any]"
    steps: bool


class _Group:
    """Changes that are written together, and who is told what of each when they are."""

    __slots__ = ("rows", "told")

    def __init__(self) -> None:
        self.rows = Rows()
        self.told: list[tuple[Callable[[Any], None], Literal[True] | list[Claimed]]] = []


class Groups:
    """Writes to a file for all who ask, one group after the other, and remembers in the cache what was committed."""

    def __init__(self, file: File, cache: Cache, journal_entries: int, checkpoint_rows: int) -> None:
        self._file = file
        self._db = file.db
        self._cache = cache
        self._changes = Changes(file.db, journal_entries)
        self._checkpoints = Checkpoints(file, checkpoint_rows, self._shorten_log)
        self._disk = OneThread("store-disk")
        self._gathering = _Group()
        self._full: deque[_Group] = deque()
        """What is as large as may be, and waits."""
        self._jobs: list[_Job] = []
        self._settling: list[_Job] = []
        """What goes with the next group, and has one written only when it has waited for long enough."""
        self._settles: asyncio.TimerHandle | None = None
        self._tries = 0
        self._outage = Outage("store_write_failed", over="the store can be written again")
        self._resting = asyncio.Event()
        self._resting.set()
        self._closed = False

    # Gathered: who asks while a group is under way is in the next one ------------------------------------------------

    def put(
        self,
        change: Change,
        told: Callable[[Any], None],
        now: int = 0,
        lease: int = 0,
        held: list[Claimed] | None = None,
    ) -> None:
        """Put a change into the next group, and call `told` with what becomes of it.

        With an empty list for what is `held` that is told, not True: what of the outbox is due at `now`, with nothing
        before it in its lane. Raises why a change can never be written, as far as that is known already.
        """
        group = self._gathering
        number = group.rows.add(change, now, lease, held)
        group.told.append((told, True if held is None else held))
        if number == 1:  # else who came before has seen to it
            self._wake()
        elif number == GROUP:
            self._full.append(group)
            self._gathering = _Group()

    async def do(self, work: Callable[[], T], steps: bool = True) -> T:
        """Do this within the next group, and return what it returned when that is durable."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(work, future, steps))
        self._wake()
        return await future

    async def settle(self, ids: list[str], keys: list[int]) -> None:
        """Remove these entries of these subscribers with a group that is soon written, or with one of their own."""
        future: asyncio.Future[Any] = self._loop().create_future()
        settled = to_json(ids), to_json(keys)
        self._settling.append(_Job(lambda: self._db.execute(sql.SETTLE_ALL, settled), future, False))
        if self._settles is None:
            self._settles = self._loop().call_later(SETTLE_WAIT_S, self._settle_now)
        await future

    def _settle_now(self) -> None:
        """Write a group for what is to be settled, if none came by."""
        if self._settling:
            self._jobs += self._taken_to_settle()
            self._wake()

    def _taken_to_settle(self) -> list[_Job]:
        """Take what is to be settled, for the group that is written now."""
        if self._settles is not None:
            self._settles.cancel()
        settling, self._settling, self._settles = self._settling, [], None
        return settling

    def _wake(self) -> None:
        """See to it that what is waiting is written: after this turn of the loop, or after the group under way."""
        if self._resting.is_set():
            self._resting.clear()
            self._loop().call_soon(self._write)

    def _take(self) -> _Group:
        """Take the changes that have waited for longest."""
        if self._full:
            return self._full.popleft()
        group, self._gathering = self._gathering, _Group()
        return group

    # Written in one transaction ---------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write a group in one transaction and hand it to the disk, which calls `_written`."""
        group = self._take()
        if self._settling:
            self._jobs += self._taken_to_settle()
        jobs, self._jobs = self._jobs[:GROUP], self._jobs[GROUP:]
        if self._file.broken:
            self._fail(group, jobs, self._file.broken)
            self._next()
            return
        ends = False
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes = self._changes.apply_all(group.rows) if group.told else []
            answers = [self._perform(job) for job in jobs]
            ends = True
            self._db.execute("COMMIT")
        except Exception as error:
            roll_back(self._db)
            self._not_written(group, jobs, error, ends)
            return
        self._tries = 0
        self._disk.do(self._file.sync, lambda error: self._written(error, group, outcomes, jobs, answers))

    def _perform(self, job: _Job) -> Any:
        """Do one job; what is wrong with its arguments, its rows or itself is its own, and comes back as an error."""
        try:
            with all_or_nothing(self._db) if job.steps else nullcontext():
                return job.work()
        except UNFIT as error:
            return refusal(error) or ValueError(str(error))
        except sqlite3.Error as error:
            if code_of(error):  # the file's
                raise
            return StoreUnavailable(f"cannot read the store: {explain(self._file.path, error)}")
        except Exception as error:
            return error

    def _not_written(self, group: _Group, jobs: list[_Job], error: Exception, ends: bool) -> None:
        """Try again soon where another process is writing; anything else fails this group, and the next may succeed.

        `ends`: it was the end of the transaction that failed.
        """
        code = code_of(error)
        if code == sqlite3.SQLITE_BUSY and self._tries < LOCK_TRIES:
            self._tries += 1
            if group.told:
                self._full.appendleft(group)
            self._jobs[:0] = jobs
            self._loop().call_later(LOCK_RETRY_S, self._write)
            return
        self._tries = 0
        reason = f"cannot write the store: {explain(self._file.path, error)}"
        if defect := _defect(error):
            log.error("store_write_failed", reason=reason, commits=len(group.told), exc_info=defect)
        else:
            self._outage.failed(self._now(), reason=reason, commits=len(group.told))
        # The log may hold the end all the same, and who opens the file after a crash then finds it; where there was no
        # room for it, it does not.
        perhaps = ends and code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)
        self._fail(group, jobs, reason, PerhapsDone if perhaps else StoreUnavailable)
        self._next()

    # Synced, and acknowledged -----------------------------------------------------------------------------------------

    def _written(
        self,
        error: BaseException | None,
        group: _Group,
        outcomes: list[Outcome],
        jobs: list[_Job],
        answers: list[Any],
    ) -> None:
        """Acknowledge a group that is on the disk."""
        if error is not None:
            # After a failed sync nobody knows what is on the disk, and a second sync would say that all is well.
            self._refuse_all(f"the disk lost a write; check it and start again: {explain(self._file.path, error)}")
            log.critical("store_broken", reason=self._file.broken)
            self._fail(group, jobs, self._file.broken, PerhapsDone)
        else:
            self._outage.worked(self._now())
            if outcomes:
                self._tell_each(group, outcomes)
            else:
                self._tell_all(group)
            for job, came in zip(jobs, answers, strict=True):
                pass_on(job.future, came)
            self._checkpoints.consider()
        self._next()

    def _tell_all(self, group: _Group) -> None:
        """Remember what replaced its record, and tell who asked for it."""
        self._cache.put_all(group.rows.entries)
        tell_each(group.told)

    def _tell_each(self, group: _Group, outcomes: list[Outcome]) -> None:
        """Remember what was written and no other, and tell who asked what became of it."""
        for ((record, _), octets), (told, done), outcome in zip(group.rows.entries, group.told, outcomes, strict=True):
            if isinstance(outcome, int) and outcome:
                self._cache.put(record, outcome, octets)
                tell(told, done)
            else:
                self._cache.drop(record.msisdn)
                tell(told, outcome or (False if done is True else None))

    def _fail(
        self, group: _Group, jobs: list[_Job], reason: str, kind: type[StoreUnavailable] = StoreUnavailable
    ) -> None:
        for change in group.rows.changes:
            self._cache.drop(change.record.msisdn)
        tell_each([(told, kind(reason)) for told, _ in group.told])
        for job in jobs:
            pass_on(job.future, kind(reason))

    def _refuse_all(self, reason: str) -> None:
        """From now on refuse everything, what is remembered too."""
        self._file.broken = reason
        self._cache.clear()

    def _next(self) -> None:
        """Go on after a group: shorten the log where that is due, write who came meanwhile, or rest."""
        if self._checkpoints.log_may_restart and not self._file.broken:
            self._checkpoints.log_may_restart = False
            self._disk.do(self._file.copy_log, lambda _: self._next())
        elif self._full or self._gathering.told or self._jobs:
            self._loop().call_soon(self._write)
        else:
            self._resting.set()

    def _shorten_log(self) -> None:
        """Shorten the log now where no group is under way; after one it is seen to."""
        if self._resting.is_set():
            self._resting.clear()
            self._next()

    async def empty_log(self) -> None:
        """Let nothing that was deleted be left in the log, as far as others let go of it."""
        await self._checkpoints.empty_log()

    async def close(self) -> None:
        """Finish what is under way, copy the whole log into the database, and let go of the file."""
        self._settle_now()
        while await self._checkpoints.rest() or not self._resting.is_set():
            await self._resting.wait()
        if self._closed:
            return
        self._closed = True
        self._refuse_all(self._file.broken or f"the store is closed: {self._file.path}")
        await self._checkpoints.close()
        self._disk.end()

    @staticmethod
    def _loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _now(self) -> int:
        return int(self._loop().time() * 1000)


def _defect(error: Exception) -> Exception | None:
    """Return what nobody expects here, so that the log tells where it is from."""
    return None if isinstance(error, sqlite3.Error) else error
