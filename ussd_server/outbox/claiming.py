"""Work is claimed from the store, each lane by a worker: when it is woken, when something is due, and now and then."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import structlog

from ussd_server.outage import Outage
from ussd_server.outbox.lanes import Claim, Lane, Lanes
from ussd_server.outbox.leases import RENEWALS
from ussd_server.outbox.store_calls import STORE_WAIT_S
from ussd_server.stores.base import Claimed, Store, StoreUnavailable

log = structlog.get_logger()

LOOK_S = 1.0
"""How long the worker of a lane sleeps at most: work may come from another process, which cannot wake it (a push, what
was given up and is taken back), and a lease may end of who has died."""

YIELD_S = 1.0
"""How soon to look again whether the server still has too much to do."""

Part: TypeAlias = asyncio.Future[list[Claimed]]
"""A part of a claim that goes on when the rest has come."""


class Claiming:
    """Claims as much as there is room for, and has it begun by `begin`, in room that was taken for it.

    `pressed` says that the server has so much to do that what nobody waits for should wait.
    """

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        begin: Callable[[Lane, Claimed], None],
        now: Callable[[], int],
        lease_ms: int,
        pressed: Callable[[], bool],
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._begin = begin
        self._now = now
        self._lease_ms = lease_ms
        self._pressed = pressed
        self.workers: list[asyncio.Task[None]] = []
        self.late: dict[Part, int] = {}
        """The parts of claims that go on when the rest has come, each with for how many entries at most."""
        self._stopping = False
        self._missing: set[int] = set()
        """The lanes that could not reach the store when they asked last; part of it may be away, and others go on."""
        self._outage = Outage("store unavailable, the outbox waits", over="the store is back, the outbox goes on")

    def start(self) -> None:
        """Begin to work."""
        loop = asyncio.get_running_loop()
        self.workers = [loop.create_task(self._work(lane)) for lane in self._lanes.every]

    def drain(self) -> None:
        """Claim no more; what a claim under way brings is begun."""
        self._stopping = True
        self._lanes.wake()

    def stop(self) -> dict[Part, int]:
        """Begin nothing more of the parts that still go on; return them, as `late` had them."""
        late, self.late = self.late, {}
        return late

    async def _work(self, lane: Lane) -> None:
        while not self._stopping:
            lane.news.clear()
            claim = Claim()
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

    def _reached(self, lane: Lane) -> None:
        """Say that the store is back, when every lane that could not reach it has asked it again."""
        if lane.number in self._missing:
            self._missing.remove(lane.number)
            if not self._missing:
                self._outage.worked(self._now())

    async def _claim(self, lane: Lane, claim: Claim) -> list[Claimed] | None:
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

    def _goes_on(self, lane: Lane, claim: Claim, most: int, part: Part) -> None:
        """Keep room for what a part of a claim brings that ends after the rest."""
        claim.parts += 1
        lane.taken += most
        self.late[part] = most
        part.add_done_callback(partial(self._came_late, lane, claim, most))

    def _came_late(self, lane: Lane, claim: Claim, most: int, part: Part) -> None:
        """Begin what a part of a claim brought, but for what another could claim before it is renewed."""
        lane.taken -= most
        lane.part_ended(claim)
        if self.late.pop(part, None) is None or part.cancelled():  # a stop sees to it
            return
        renewed = self._now() + self._lease_ms / RENEWALS
        for each in part.result():
            if each.entry.id not in claim.gone and each.lease > renewed:
                lane.taken += 1
                self._begin(lane, each)
        self._lanes.wake([lane.number])  # the store may know only now what is next

    async def _pause(self, lane: Lane, busy: bool) -> float:
        """Return for how many seconds there is nothing to do."""
        if lane.room(self._pressed()) <= 0:
            # Not for ever: what was only reserved is given back without a word.
            return YIELD_S if lane.room(False) > 0 else LOOK_S
        if busy:
            return 0
        due = await self._store.next_due([lane.number])
        return LOOK_S if due is None else min(max(0.001, (due - self._now()) / 1000), LOOK_S)


async def _wait(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, but no longer than this."""
    # Not `asyncio.wait_for`, which would make a task for each of the many short waits.
    timer = asyncio.get_running_loop().call_later(seconds, news.set)
    await news.wait()
    timer.cancel()
