"""What happens after the commit: takes entries out of the store's outbox and has them performed, at least once each.

An entry that could be claimed right after its commit is held from the commit on and begun at once, so an SMS costs one
commit before it goes and one removal after; all else is claimed (`claiming.py`). Either takes room in its lane
(`lanes.py`), is performed (`performing.py`) and ours so long (`leases.py`), and is removed then (`removals.py`), or
left to others at a stop (`leaving.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ussd_server.metrics import Metrics
from ussd_server.outbox.claiming import Claiming
from ussd_server.outbox.lanes import Lane, Lanes, give_back
from ussd_server.outbox.leases import LEASE_MS, Leases
from ussd_server.outbox.leaving import RELEASE_S, Leaving
from ussd_server.outbox.outcomes import Performed, Performer
from ussd_server.outbox.performing import Performing
from ussd_server.outbox.removals import Removals
from ussd_server.stores.base import EVERY_LANE, Change, Claimed, OutboxKind, Store, Told, Unsure, tell
from ussd_server.turns.eager import Eager


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
        self._now = now
        self._lease_ms = lease_ms
        self._pressed = pressed
        self._give_up = give_up
        self._lanes = lanes = Lanes()
        self._lane_of = lanes.of_kind
        self._leases = leases = Leases(store, lanes, now, lease_ms)
        self._removals = removals = Removals(store, leases, lanes, now)
        self._performing = Performing(store, performers, lanes, leases, removals, metrics, now)
        self._claiming = Claiming(store, lanes, self._performing.begin, now, lease_ms, pressed)
        self._leaving = Leaving(store, leases, removals, now)
        self._holds = self._stopping = False
        self._renewer: asyncio.Task[None] | None = None
        metrics.outbox_under_way = lambda: self.under_way

    @property
    def under_way(self) -> int:
        """How many entries this server performs now, or is removing."""
        return self._performing.under_way + len(self._removals.left)

    def start(self) -> None:
        """Begin to work."""
        self._claiming.start()
        self._renewer = asyncio.get_running_loop().create_task(self._renew())
        self._holds = True

    def wake(self, lanes: Iterable[int] = EVERY_LANE) -> None:
        """Look into the outbox soon."""
        self._lanes.wake(lanes)

    def ended(self, entries: Sequence[Claimed], came: Performed | Callable[[Claimed], Awaitable[Performed]]) -> None:
        """Take what came of entries of one kind that were handed over, or what is to be awaited for that of each.

        Nearly always they are only to be removed. What is told of an entry once more, a defect, is logged and left.
        """
        self._performing.ended(entries, came)

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit a change with work for the outbox and see to that work; call `told` as the store does.

        What may be performed at once is begun here, without a look into the store. Where we cannot know whether it
        was committed (Unsure), what the store may hold for us begins when the lease ends, and the rest at once.
        """
        lanes: list[Lane] = []
        hold, pressed = self._holds, self._pressed()
        for entry in change.outbox:
            lane = self._lane_of[entry.kind]
            if lane.taken >= (lane.yielding if pressed else lane.most):
                hold = False
            lane.taken += 1
            lanes.append(lane)
        if not hold:
            looked_for = {lane.number for lane in lanes}
            give_back(lanes)
            self._store.commit_then(change, partial(self._committed, looked_for, told))
            return
        now = self._now()
        try:
            self._store.commit_and_hold_then(change, now, now + self._lease_ms, partial(self._held_by, lanes, told))
        except BaseException:
            give_back(lanes)
            raise

    def _committed(self, lanes: Iterable[int], told: Told, done: bool | BaseException) -> None:
        """Have what was committed looked for, as there was no room to begin it at once."""
        if done is True:
            self._lanes.wake(lanes)
        told(done)

    def _held_by(self, lanes: list[Lane], told: Told, came: list[Claimed] | BaseException | None) -> None:
        """Begin what the commit holds, in the room that was kept in these lanes, and have the rest looked for."""
        if type(came) is not list:
            if isinstance(came, Unsure):
                self._lanes.wake(lane.number for lane in lanes)
            give_back(lanes)
            told(came if isinstance(came, BaseException) else False)
            return
        if self._stopping and came:  # meanwhile
            give_back(lanes)
            Eager(self._leaving.leave(came), partial(tell, told), lambda _: tell(told, True))
            return
        for each in came:
            lane = self._lane_of[each.entry.kind]
            lanes.remove(lane)  # its room is the entry's now
            self._performing.begin(lane, each)
        if lanes:
            self._lanes.wake(lane.number for lane in lanes)
            give_back(lanes)
        told(True)

    async def drain(self, seconds: float) -> None:
        """Take nothing new, and wait so long for what is under way; what takes longer goes on."""
        self._stopping, self._holds = True, False
        self._performing.drain()
        self._claiming.drain()
        rest = asyncio.get_running_loop().create_task(self._rest())
        await asyncio.wait({rest}, timeout=seconds)
        rest.cancel()

    async def _rest(self) -> None:
        await asyncio.gather(*map(asyncio.shield, self._claiming.workers))  # an answer that they wait for brings more
        while True:
            # The last of them may leave one that removes what they finished.
            if tasks := [*self._claiming.late, *self._tasks()]:
                await asyncio.wait(tasks)
            elif not await self._performing.answers():
                return

    async def stop(self, seconds: float, release_s: float = RELEASE_S) -> None:
        """Drain; cancel what takes longer, and let go of it: whoever starts next does it at once.

        A store that has not heard of it in `release_s` is left alone with it.
        """
        await self.drain(seconds)
        claims = self._claiming.stop()
        self._performing.stop()
        self._give_up()
        late = self._tasks() + self._claiming.workers
        if self._renewer is not None:
            late.append(self._renewer)
        while late:
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            late = [task for task in self._tasks() if not task.done()]  # what the end of another began
        await self._leaving.leave_all(claims, release_s)

    def _tasks(self) -> list[asyncio.Task[Any]]:
        return [*self._performing.tasks, *self._removals.tasks]

    async def _renew(self) -> None:
        """Keep what is under way ours, however long it takes."""
        while True:
            await self._leases.until_renewal()
            self._removals.try_refused()
            await self._leases.renew()
