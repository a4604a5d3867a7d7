"""What happens after the commit: takes entries out of the store's outbox and has them performed, at least once each.

An entry that could be claimed right after its commit is held from the commit on and begun at once, so an SMS costs one
commit before it goes and one removal after. Whoever performs an entry removes it in the commit that keeps what came of
it; where there is nothing to keep, the worker removes it, many at a time. An entry that cannot be done now waits
longer each time; one that can never be done, or is worth nothing any more, is buried with a journal entry.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeAlias, TypeVar

import msgspec
import structlog

from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.outage import Outage
from ussd_server.stores.base import (
    EVERY_LANE,
    LANES,
    PUSHES,
    Change,
    Claimed,
    JournalEntry,
    OutboxEntry,
    OutboxKind,
    Store,
    StoreUnavailable,
    Told,
    Unsettled,
    Unsure,
    tell,
)
from ussd_server.stores.damaged import DAMAGED
from ussd_server.turns.eager import Eager

log = structlog.get_logger()
T = TypeVar("T")

UNDER_WAY = 512
"""Entries of a lane that are performed at once. Each lane has its own, so that a slow operator holds up no SMS.

An SMSC 50 ms away takes 10,000 SMS/s of so many, if its window has room for them.
"""

YIELDING = 8
"""The same while the server has too much to do; pushes wait then."""

YIELD_S = 1.0
"""How soon to look again whether it still has."""

LEASE_MS = 30_000
"""How long an entry is ours: as long as somebody waits for an SMS after a crash. While performed it is renewed."""

RENEWALS = 3
"""How often a lease is renewed before it would end, so that one late or failed renewal loses nothing."""

FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 60_000
"""Bounds of the wait before another try; it doubles each time."""

LOOK_S = 1.0
"""How long the worker of a lane sleeps at most: work may come from another process, which cannot wake it (a push, what
was given up and is taken back), and a lease may end of who has died."""

STORE_WAIT_S = 1.0
"""How long to leave a store alone that could not be reached."""

TOGETHER = 4_096
"""How many entries at most are removed or renewed by one call of the store, which may send a request for each."""

SLOW_S = 0.25
"""How long entries wait for the removal or renewal of those before them. Part of the store may be away, and it is known
only in seconds."""

RELEASE_S = 0.5
"""How long the store may take at a stop to be told of what is left: what it does not hear of waits for its lease."""


class Done(msgspec.Struct, frozen=True):
    """Performed, and removed by the performer's own commit."""


class Finished(msgspec.Struct, frozen=True):
    """Performed, and nothing came of it that must be kept: the entry is only to be removed."""


class Later(msgspec.Struct, frozen=True):
    """Not possible now. `due` is when to try again (ms), 0: after a while that grows with each try."""

    reason: str
    due: int = 0


class Hopeless(msgspec.Struct, frozen=True):
    """Not possible ever; `late`: not any more."""

    reason: str
    late: bool = False


Performed: TypeAlias = Done | Finished | Later | Hopeless
FINISHED = Finished()
_BROKEN_OFF = Later("it was broken off")
UNREADABLE = "its data is damaged, the store cannot decode it"
_METRIC: Mapping[type, str] = {Done: "done", Finished: "done", Later: "later", Hopeless: "hopeless"}


Performer: TypeAlias = Callable[[Claimed], Performed | Awaitable[Performed] | None]
"""Performs an entry, or hands it over and returns None: `Outbox.ended` is told of it then.

An SMS is not worth a task that only waits for its SMSC.
"""


def wait_ms(tries: int) -> int:
    """Return how long to wait after so many tries, from 1."""
    return min(FIRST_WAIT_MS << min(tries - 1, 16), LONGEST_WAIT_MS)


def _unsent(entry: OutboxEntry, now: int, late: bool) -> tuple[JournalEntry, ...]:
    """Return how an SMS ended that no SMSC took, for the journal; nothing for an entry of another kind."""
    if entry.kind != "sms":
        return ()
    return (JournalEntry(now, "sms ended", {"outcome": "expired" if late else "failed", "sms": entry.id}),)


class _Claim:
    """A claim that is under way, some of which may go on when the rest has come."""

    def __init__(self) -> None:
        self.parts = 1
        self.gone: set[str] = set()
        """What was removed meanwhile, which it may bring all the same."""


class _Lane:
    """One lane's entries, counted, and what its worker waits for."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.yielding = 0 if number == PUSHES else YIELDING
        """How many at once while the server has too much to do."""
        self.taken = 0
        """Room of entries that are performed, that are being committed and may be held then, that a claim may bring."""
        self.news = asyncio.Event()
        self.claims: set[_Claim] = set()

    def room(self, yields: bool) -> int:
        """Return how many more may be performed; less than none where there are too many by now."""
        return (self.yielding if yields else UNDER_WAY) - self.taken

    def part_ended(self, claim: _Claim) -> None:
        claim.parts -= 1
        if not claim.parts:
            self.claims.remove(claim)


class Outbox:
    """Works off the outbox until stopped. `wake` says that there may be something new.

    `pressed` says that the server has so much to do that what nobody waits for should wait. `give_up` is called at the
    end: nothing that is handed over and has not gone out by then is to go.
    """

    def __init__(
        self,
        store: Store,
        performers: Mapping[OutboxKind, Performer],
        metrics: Metrics,
        now: Callable[[], int],
        lease_ms: int = LEASE_MS,
        pressed: Callable[[], bool] = bool,
        give_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._performers = performers
        self._metrics = metrics
        self._now = now
        self._lease_ms = lease_ms
        self._pressed = pressed
        self._give_up = give_up
        self._lanes = [_Lane(number) for number in EVERY_LANE]
        self._lane_of = {kind: self._lanes[number] for kind, number in LANES.items()}
        self._held: dict[str, Claimed] = {}
        """The entries that are being performed or removed, by id, each as it was claimed last."""
        self._handed_over: dict[str, Claimed] = {}
        """Entries that were handed over, and of which nothing was told yet, by id."""
        self._tasks: set[asyncio.Task[Performed]] = set()
        self._late: dict[asyncio.Future[list[Claimed]], int] = {}
        """The parts of claims that go on when the rest has come, each with for how many entries at most."""
        self._finished: list[str] = []
        self._removing: list[list[str]] = []
        """Finished entries that the store was told to remove, by call."""
        self._unreached: list[str] = []
        """Finished entries for which the store was away; held, and tried again by themselves: it may be away for them
        alone."""
        self._refused: list[str] = []
        """Finished entries that the store is there for and does not remove; held, and tried again at each renewal."""
        self._remover: asyncio.Task[None] | None = None
        self._overtaken: set[asyncio.Task[None]] = set()
        """Removers for which nobody waits any more, as the store takes long for theirs."""
        self._retrier: asyncio.Task[None] | None = None
        self._holds = self._stopping = self._stopped = False
        self._heard = asyncio.Event()
        """Set at a stop, when what was handed over is answered."""
        self._workers: list[asyncio.Task[None]] = []
        self._renewer: asyncio.Task[None] | None = None
        self._outage = Outage("store unavailable, the outbox waits", over="the store is back, the outbox goes on")
        self._missing: set[int] = set()
        """The lanes that could not reach the store when they asked last; part of it may be away, and others go on."""
        self._unremoved = Outage("store unavailable, what is done is removed later")
        self._unrenewed = Outage("store unavailable, leases not renewed")
        self._untried = Outage("store unavailable, will be tried again")
        metrics.outbox_under_way = lambda: self.under_way

    @property
    def under_way(self) -> int:
        """How many entries this server performs now, or is removing."""
        return len(self._handed_over) + len(self._tasks) + len(self._to_remove())

    def _to_remove(self) -> list[str]:
        return [*chain.from_iterable(self._removing), *self._finished, *self._unreached, *self._refused]

    def start(self) -> None:
        """Begin to work."""
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work(lane)) for lane in self._lanes]
        self._renewer = loop.create_task(self._renew())
        self._holds = True

    def wake(self, lanes: Iterable[int] = EVERY_LANE) -> None:
        """Look into the outbox soon."""
        for lane in lanes:
            self._lanes[lane].news.set()

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit a change with work for the outbox and see to that work; call `told` as the store does.

        What may be performed at once is begun here, without a look into the store. Where we cannot know whether it
        was committed (Unsure), what the store may hold for us begins when the lease ends, and the rest at once.
        """
        lanes: list[_Lane] = []
        hold, pressed = self._holds, self._pressed()
        for entry in change.outbox:
            lane = self._lane_of[entry.kind]
            if lane.taken >= (lane.yielding if pressed else UNDER_WAY):
                hold = False
            lane.taken += 1
            lanes.append(lane)
        if not hold:
            looked_for = {lane.number for lane in lanes}
            _give_back(lanes)
            self._store.commit_then(change, partial(self._committed, looked_for, told))
            return
        now = self._now()
        try:
            self._store.commit_and_hold_then(change, now, now + self._lease_ms, partial(self._held_by, lanes, told))
        except BaseException:
            _give_back(lanes)
            raise

    def _committed(self, lanes: Iterable[int], told: Told, done: bool | BaseException) -> None:
        """Have what was committed looked for, as there was no room to begin it at once."""
        if done is True:
            self.wake(lanes)
        told(done)

    def _held_by(self, lanes: list[_Lane], told: Told, came: list[Claimed] | BaseException | None) -> None:
        """Begin what the commit holds, in the room that was kept in these lanes, and have the rest looked for."""
        if type(came) is not list:
            if isinstance(came, Unsure):
                self.wake(lane.number for lane in lanes)
            _give_back(lanes)
            told(came if isinstance(came, BaseException) else False)
            return
        if self._stopping and came:  # meanwhile
            _give_back(lanes)
            Eager(self._leave_to_others(came), partial(tell, told), lambda _: tell(told, True))
            return
        for each in came:
            lane = self._lane_of[each.entry.kind]
            lanes.remove(lane)  # its room is the entry's now
            self._begin(lane, each)
        if lanes:
            self.wake(lane.number for lane in lanes)
            _give_back(lanes)
        told(True)

    async def _leave_to_others(self, held: Iterable[Claimed]) -> None:
        """Leave entries to whoever comes next; their commit stands whatever becomes of this."""
        for each in held:
            try:
                await self._store.postpone(each, each.entry.due, "the server stops")
            except Exception as error:
                log.error("perhaps not released, then done when its lease ends", cause=str(error))

    async def drain(self, seconds: float) -> None:
        """Take nothing new, and wait so long for what is under way; what takes longer goes on."""
        self._stopping, self._holds = True, False
        self.wake()
        rest = asyncio.get_running_loop().create_task(self._rest())
        await asyncio.wait({rest}, timeout=seconds)
        rest.cancel()

    async def _rest(self) -> None:
        await asyncio.gather(*map(asyncio.shield, self._workers))  # an answer that they wait for brings more to do
        while True:
            # The last of them may leave one that removes what they finished.
            if tasks := [*self._late, *self._under_way()]:
                await asyncio.wait(tasks)
            elif self._handed_over:
                self._heard.clear()
                await self._heard.wait()
            else:
                return

    async def stop(self, seconds: float, release_s: float = RELEASE_S) -> None:
        """Drain; cancel what takes longer, and let go of it: whoever starts next does it at once.

        A store that has not heard of it in `release_s` is left alone with it.
        """
        await self.drain(seconds)
        claims, self._late = self._late, {}
        self._stopped = True
        self._give_up()
        self._handed_over.clear()
        late = self._under_way() + self._workers
        if self._renewer is not None:
            late.append(self._renewer)
        while late:
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            late = [task for task in self._under_way() if not task.done()]  # what the end of another began
        await self._release_all(claims, release_s)

    async def _release_all(self, claims: Mapping[asyncio.Future[list[Claimed]], int], seconds: float) -> None:
        """Remove what is finished and let go of the rest, as far as the store does it in so many seconds."""
        now, finished = self._now(), self._to_remove()
        unfinished = [self._held[id] for id in self._held.keys() - set(finished)]
        releases = [self._store.postpone(held, now, "the server stopped") for held in unfinished]
        late_releases = [self._release_late(claim) for claim in claims]
        work = [asyncio.ensure_future(each) for each in (*late_releases, *releases, self._settle(finished))]
        _, late = await asyncio.wait(work, timeout=seconds)
        for each in late:
            each.cancel()
        *came, unremoved = await asyncio.gather(*work, return_exceptions=True)
        for error, most in zip(tuple(came), claims.values(), strict=False):
            came += [error] * (most - 1)
        came += unremoved.values() if isinstance(unremoved, dict) else [unremoved] * len(finished)
        self._held.clear()
        self._removing, self._finished, self._unreached, self._refused = [], [], [], []
        silent = f"the store did not answer for {seconds:g} s"
        causes = Counter(str(error) or silent for error in came if isinstance(error, BaseException))
        for cause, entries in causes.items():
            # Perhaps: the store may do all the same what it has not answered to, or says has failed.
            log.error("perhaps not released, then done when its lease ends", entries=entries, cause=cause)

    async def _release_late(self, claim: asyncio.Future[list[Claimed]]) -> None:
        """Let go of what a part of a claim brings after the end."""
        for held in await claim:
            await self._store.postpone(held, self._now(), "the server stopped")

    def _under_way(self) -> list[asyncio.Task[Any]]:
        removers = (self._remover, self._retrier, *self._overtaken)
        return [*self._tasks, *(each for each in removers if each is not None)]

    async def _work(self, lane: _Lane) -> None:
        while not self._stopping:
            lane.news.clear()
            claim = _Claim()
            lane.claims.add(claim)
            try:
                claimed = await self._claim(lane, claim)
                pause = await self._pause(lane, bool(claimed))
            except StoreUnavailable as error:
                self._missing.add(lane.number)
                self._outage.failed(self._now(), cause=str(error))
                claimed, pause = None, STORE_WAIT_S
            except Exception:
                log.exception("the outbox could not be looked into; tried again", lane=lane.number)
                claimed, pause = None, STORE_WAIT_S
            if claimed is not None:
                self._reached(lane)
                for each in claimed:
                    if each.entry.id not in claim.gone:
                        lane.taken += 1
                        self._begin(lane, each)
            lane.part_ended(claim)
            if pause != 0:
                await _wait(lane.news, pause)

    def _reached(self, lane: _Lane) -> None:
        """Say that the store is back, when every lane that could not reach it has asked it again."""
        if lane.number in self._missing:
            self._missing.remove(lane.number)
            if not self._missing:
                self._outage.worked(self._now())

    async def _claim(self, lane: _Lane, claim: _Claim) -> list[Claimed] | None:
        """Return what was claimed, None where the store was not asked for want of room.

        It asks for half of the room. The other half is for what is committed meanwhile, which so is begun at once.
        """
        room = lane.room(self._pressed())
        if room <= 0:
            return None
        most = room - room // 2
        lane.taken += most
        try:
            late = partial(self._goes_on, lane, claim)
            return await self._store.claim(self._now(), most, self._lease_ms, [lane.number], late)
        finally:
            lane.taken -= most

    def _goes_on(self, lane: _Lane, claim: _Claim, most: int, part: asyncio.Future[list[Claimed]]) -> None:
        """Keep room for what a part of a claim brings that ends after the rest."""
        claim.parts += 1
        lane.taken += most
        self._late[part] = most
        part.add_done_callback(partial(self._came_late, lane, claim, most))

    def _came_late(self, lane: _Lane, claim: _Claim, most: int, part: asyncio.Future[list[Claimed]]) -> None:
        """Begin what a part of a claim brought, but for what another could claim before it is renewed."""
        lane.taken -= most
        lane.part_ended(claim)
        if self._late.pop(part, None) is None or part.cancelled():  # a stop sees to it
            return
        renewed = self._now() + self._lease_ms / RENEWALS
        for each in part.result():
            if each.entry.id not in claim.gone and each.lease > renewed:
                lane.taken += 1
                self._begin(lane, each)
        self.wake([lane.number])  # the store may know only now what is next

    def _begin(self, lane: _Lane, claimed: Claimed) -> None:
        """Perform an entry, whose room is taken; but for one still ours, whose lease ended while all stood still."""
        entry, held = claimed.entry, self._held
        under_way = entry.id in held
        held[entry.id] = claimed
        if under_way:
            lane.taken -= 1
            return
        came: Performed | Awaitable[Performed] | None
        try:
            if DAMAGED in entry.data:
                came = Hopeless(UNREADABLE)
            elif entry.expires and self._now() >= entry.expires:
                came = Hopeless("it expired before it could be done", late=True)
            else:
                came = self._performers[entry.kind](claimed)
        except Exception as error:
            came = _failed(error)
        if came is None:
            self._handed_over[entry.id] = claimed
        else:
            self._see_to(claimed, came)

    def ended(self, entries: Sequence[Claimed], came: Performed | Callable[[Claimed], Awaitable[Performed]]) -> None:
        """Take what came of entries of one kind that were handed over, or what is to be awaited for that of each.

        Nearly always they are only to be removed. What is told of an entry once more, a defect, is logged and left.
        """
        if self._stopping:
            if self._stopped:
                return  # others have them by now
            self._heard.set()
        entries = self._take_back(entries)
        if not entries:
            return
        if type(came) is Finished:
            kind = entries[0].entry.kind
            self._lane_of[kind].taken -= len(entries)
            self._metrics.outbox[kind, "done"] += len(entries)
            self._remove([each.entry.id for each in entries])
        else:
            for each in entries:
                self._see_to(each, came if isinstance(came, Performed) else came(each))

    def _take_back(self, entries: Sequence[Claimed]) -> list[Claimed]:
        """Return those of which nothing was told since they were handed over; each would give its room back again."""
        handed_over, back = self._handed_over, []
        for each in entries:
            id = each.entry.id
            if handed_over.get(id) is each:
                del handed_over[id]
                back.append(each)
            else:
                log.error("told again of what had ended", msisdn=mask(each.msisdn), kind=each.entry.kind, id=id)
        return back

    def _see_to(self, claimed: Claimed, came: Performed | Awaitable[Performed]) -> None:
        """Have a task do what is to be done for an entry."""
        work = _told(came) if isinstance(came, Performed) else came
        task = asyncio.get_running_loop().create_task(self._perform(claimed, work))
        self._tasks.add(task)
        task.add_done_callback(partial(self._task_ended, self._lane_of[claimed.entry.kind]))

    def _task_ended(self, lane: _Lane, task: asyncio.Task[Performed]) -> None:
        lane.taken -= 1
        self._tasks.discard(task)
        if task.cancelled() or not isinstance(task.result(), Finished):
            # The same subscriber's next entry may be claimed now, and what this one led to.
            self.wake()

    def _remove(self, ids: Iterable[str]) -> None:
        """Have entries removed, together with all that are finished while the store is busy; they are held so long."""
        self._finished += ids
        if self._remover is None:
            self._remover = asyncio.get_running_loop().create_task(self._remove_each())

    async def _remove_each(self) -> None:
        loop, this = asyncio.get_running_loop(), self._remover
        assert this is not None
        try:
            while self._finished and self._remover is this:
                batch = _first(self._finished)
                timer = loop.call_later(SLOW_S, self._overtake, this)
                try:
                    await self._remove_batch(batch)
                finally:
                    timer.cancel()
        finally:
            self._overtaken.discard(this)
            if self._remover is this:
                self._remover = None

    def _overtake(self, slow: "asyncio.Task[None]") -> None:
        """Have another remove what is finished meanwhile."""
        self._overtaken.add(slow)
        self._remover = None
        if self._finished:
            self._remove(())

    async def _remove_again(self) -> None:
        """Remove what the store was away for, as soon as it is back."""
        away = True
        try:
            while self._unreached:
                if away:
                    await asyncio.sleep(STORE_WAIT_S)
                away = await self._remove_batch(_first(self._unreached))
        finally:
            self._retrier = None

    async def _remove_batch(self, batch: list[str]) -> bool:
        """Remove these together, and have removed later what could not be; return whether the store is away."""
        self._removing.append(batch)
        unremoved = await self._settle(batch)
        self._removing.remove(batch)
        # What was behind them may be claimed now.
        self.wake(self._gone([id for id in batch if id not in unremoved] if unremoved else batch))
        return bool(unremoved) and self._try_again(unremoved)

    async def _settle(self, ids: Sequence[str]) -> dict[str, Exception]:
        """Remove entries from the store; return why each that remains does."""
        try:
            if ids:
                await self._store.settle([self._held[id] for id in ids])
        except Unsettled as error:
            return {claimed.entry.id: cause for claimed, cause in error.left}
        except Exception as error:
            if isinstance(error, StoreUnavailable) or len(ids) == 1:
                return dict.fromkeys(ids, error)
        else:
            return {}
        # One of them has all of them refused.
        every = await asyncio.gather(*(self._settle([id]) for id in ids))
        return {id: error for unremoved in every for id, error in unremoved.items()}

    def _try_again(self, unremoved: Mapping[str, Exception]) -> bool:
        """Have removed later what could not be; return whether the store is away."""
        away = False
        for id, error in unremoved.items():
            if isinstance(error, StoreUnavailable):
                if not away:
                    self._unremoved.failed(self._now(), cause=str(error))
                away = True
                self._unreached.append(id)
            else:
                held = self._held[id]
                log.error(
                    "done, but cannot be removed; tried again later",
                    msisdn=mask(held.msisdn),
                    kind=held.entry.kind,
                    id=id,
                    cause=repr(error),
                )
                self._refused.append(id)
        if away and self._retrier is None:
            self._retrier = asyncio.get_running_loop().create_task(self._remove_again())
        return away

    def _gone(self, ids: Iterable[str]) -> set[int]:
        """Let go of entries that the store has no more; return their lanes."""
        for lane in self._lanes:
            for claim in lane.claims:
                claim.gone.update(ids)
        kinds = {self._held.pop(id).entry.kind for id in ids}
        return {LANES[kind] for kind in kinds}

    async def _pause(self, lane: _Lane, busy: bool) -> float:
        """Return for how many seconds there is nothing to do."""
        if lane.room(self._pressed()) <= 0:
            # Not for ever: what was only reserved is given back without a word.
            return YIELD_S if lane.room(False) > 0 else LOOK_S
        if busy:
            return 0
        due = await self._store.next_due([lane.number])
        return LOOK_S if due is None else min(max(0.001, (due - self._now()) / 1000), LOOK_S)

    async def _renew(self) -> None:
        """Keep what is under way ours, however long it takes and whether or not there is room for more."""
        while True:
            await asyncio.sleep(self._lease_ms / RENEWALS / 1000)
            refused, self._refused = self._refused, []
            if refused:
                self._remove(refused)
            held = list(self._held.values())
            async with asyncio.TaskGroup() as group:
                while held:
                    renewal = group.create_task(self._renew_each(_first(held)))
                    await asyncio.wait((renewal,), timeout=SLOW_S)

    async def _renew_each(self, held: Sequence[Claimed]) -> None:
        try:
            await self._store.renew(held, self._now() + self._lease_ms)
        except StoreUnavailable as error:
            self._unrenewed.failed(self._now(), cause=str(error))
        except Exception as error:
            if len(held) > 1:  # one of them has all of them refused
                await asyncio.gather(*(self._renew_each([each]) for each in held))
            else:
                log.error("lease not renewed", id=held[0].entry.id, cause=repr(error))

    async def _perform(self, claimed: Claimed, work: Awaitable[Performed]) -> Performed:
        performed = await self._try(claimed, work)
        entry = claimed.entry
        self._metrics.outbox[entry.kind, _METRIC[type(performed)]] += 1
        if isinstance(performed, Finished):
            self._remove((entry.id,))
        elif isinstance(performed, Done):
            self._gone((entry.id,))
        else:
            await self._leave(claimed, performed)
        return performed

    async def _leave(self, claimed: Claimed, performed: Later | Hopeless) -> None:
        """Let go of an entry that was not done."""
        entry = claimed.entry
        held = self._held.pop(entry.id)  # by now perhaps a later claim than the one that began this
        try:
            if isinstance(performed, Later):
                # At a stop it fails because the links go down; the next start is another try soon enough.
                wait = 0 if self._stopping else wait_ms(claimed.tries)
                await self._store.postpone(held, performed.due or self._now() + wait, performed.reason)
            else:
                reason = performed.reason
                log.error("given up", msisdn=mask(claimed.msisdn), kind=entry.kind, id=entry.id, cause=reason)
                ended = _unsent(entry, self._now(), performed.late)
                await self._store.bury(held, self._now(), reason, ended)
                for each in ended:
                    self._metrics.deliveries[str(each.data["outcome"])] += 1
        except StoreUnavailable as error:
            # The lease runs out, and then it is tried again: at least once.
            self._untried.failed(self._now(), id=entry.id, cause=str(error))
        except Exception:
            log.exception("not let go, will be tried again", msisdn=mask(claimed.msisdn), id=entry.id)

    async def _try(self, claimed: Claimed, work: Awaitable[Performed]) -> Performed:
        try:
            return await work
        except StoreUnavailable as error:
            self._untried.failed(self._now(), id=claimed.entry.id, cause=str(error))
            return Later("the store was unavailable")
        except asyncio.CancelledError:
            if self._stopping:  # it lets go of the entry
                raise
            return _BROKEN_OFF
        except Exception:
            log.exception("performing failed", msisdn=mask(claimed.msisdn), id=claimed.entry.id)
            return Later("failed here; see the log")


def _first(entries: list[T]) -> list[T]:
    """Take out as many of these as may go together."""
    first = entries[:TOGETHER]
    del entries[:TOGETHER]
    return first


def _give_back(lanes: list[_Lane]) -> None:
    """Give the room back that was kept in these lanes; once, however often it is called."""
    while lanes:
        lanes.pop().taken -= 1


async def _told(performed: Performed) -> Performed:
    return performed


async def _failed(error: Exception) -> Performed:
    raise error


async def _wait(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, but no longer than this."""
    # Not `asyncio.wait_for`, which would make a task for each of the many short waits.
    timer = asyncio.get_running_loop().call_later(seconds, news.set)
    await news.wait()
    timer.cancel()
