"""What a server does beside its work, from time to time.

It forgets what is over, counts what is left undone, takes up new keys, and watches its own loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import structlog

from ussd_server.metrics import Metrics
from ussd_server.outage import Outage
from ussd_server.secrecy.keys import KeysError
from ussd_server.stores.base import OUTBOX_KINDS, Store, StoreUnavailable

log = structlog.get_logger()

SWEEP_S: Final = 10.0
"""Between two looks for nonces and kept answers that are over."""
SWEPT: Final = 500
"""How many are deleted at once, so that no commit waits for them."""
COUNT_S: Final = 15.0
"""Between two counts of what was given up."""
KEYS_S: Final = 2.0
"""Between two looks at the key file: how soon a new key is in use, but for one that is asked for by its id."""
RISKS_S: Final = 15.0
"""Between two looks at how the store is set up: how soon a replica that took over is looked at."""
CLOCK_S: Final = 5.0
"""Between two comparisons of this server's clock with the store's: work is held for six times as long."""
LAG_S: Final = 0.05
"""Between two measurements of the loop's lag."""


class Housekeeping:
    """Looks after the store, the keys and the loop until it is stopped. A defect in one of these ends none of them.

    `refresh_keys` reads the key file again where it changed and returns whether it did; it is told what the store
    remembers, "" where that is not known. `note_keys` then has the store remember them; `compare_keys` only looks what
    it remembers. Both raise KeysError where its servers have others. `look_at_risks` returns in how many ways the store
    could lose what it acknowledged, `look_at_clock` by how many seconds this server's clock is ahead of the store's.
    `now` is in ms; `pause` waits so many seconds; each of `ticks`, by name, is called with the loop's time (s) every
    `LAG_S`.
    """

    def __init__(
        self,
        store: Store,
        refresh_keys: Callable[[str], bool],
        note_keys: Callable[[], Awaitable[None]],
        compare_keys: Callable[[], Awaitable[None]],
        look_at_risks: Callable[[], Awaitable[int]],
        look_at_clock: Callable[[], Awaitable[float]],
        metrics: Metrics,
        now: Callable[[], int],
        ticks: Mapping[str, Callable[[float], None]],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pause = pause
        self._store = store
        self._refresh_keys = refresh_keys
        self._note_keys = note_keys
        self._compare_keys = compare_keys
        self._look_at_risks = look_at_risks
        self._look_at_clock = look_at_clock
        self._asked = asyncio.Event()
        """Set where somebody asks for a look at the keys."""
        self._looking = asyncio.Lock()
        """So that of two looks neither takes the other's keys for noted."""
        self._unnoted = False
        self.other_keys = ""
        """Why the keys here are not those of the store's servers; "" where they are."""
        self._strange = Outage(
            "the keys of this store's servers are not here", over="the keys of this store's servers are here again"
        )
        self._untaken = _untaken()
        self._cause = ""
        """Why the key file was not taken up when it was looked at last."""
        self._metrics = metrics
        self._now = now
        self._ticks = ticks
        self._unswept = Outage("store unavailable, nothing swept")
        self._uncounted = Outage("store unavailable, dead letters not counted")
        self._failed: dict[str, Outage] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        work = (
            self._repeat("sweep", self._sweep, SWEEP_S),
            self._repeat("dead letters", self._count_dead_letters, COUNT_S, at_once=True),
            self._repeat("risks", self._watch_risks, RISKS_S),
            self._repeat("clock", self._watch_clock, CLOCK_S),
            self._repeat("keys", self._watch_keys, KEYS_S),
            self._watch_keys_when_asked(),
            self._watch_loop(),
        )
        self._tasks = [loop.create_task(each) for each in work]

    async def stop(self) -> None:
        """End, whatever is under way; nothing of it is needed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look_at_keys(self) -> None:
        """Have the key file looked at as soon as may be, and not only when its time comes."""
        self._asked.set()

    def _take_up_keys(self, noted: str) -> None:
        """Look at the key file. One that cannot be used is logged, and the keys in force stay.

        `noted` is what the store remembers.
        """
        try:
            taken_up, cause = self._refresh_keys(noted), ""
        except KeysError as error:
            taken_up, cause = False, str(error)
        if cause:
            if cause != self._cause:
                self._untaken = _untaken()  # another trouble is told at once
            self._untaken.failed(self._now(), cause=cause)
        else:
            self._untaken.worked(self._now())
        self._cause = cause
        if taken_up:
            log.info("keys taken up")
            self._unnoted = True

    async def _repeat(
        self, name: str, work: Callable[[], Awaitable[None]], pause: float, at_once: bool = False
    ) -> None:
        """Do this again and again, with a pause (s) before each time, but for the first where it is done `at_once`."""
        while True:
            if not at_once:
                await self._pause(pause)
            at_once = False
            with self._guarded(name):
                await work()

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Tell a defect and go on: nobody asks for a task's result that never ends, so it would end without a word."""
        try:
            yield
        except Exception as error:
            self._metrics.housekeeping_failed[name] += 1
            failed = self._failed.setdefault(name, Outage("housekeeping failed, it is done again"))
            failed.failed(self._now(), work=name, exc_info=error)

    async def _sweep(self) -> None:
        try:
            while await self._store.sweep(self._now(), SWEPT) == SWEPT:
                pass
        except StoreUnavailable as error:
            self._unswept.failed(self._now(), cause=str(error))

    async def _count_dead_letters(self) -> None:
        try:
            counts = await self._store.count_dead_letters()
        except StoreUnavailable as error:
            self._metrics.store_reached = 0
            self._uncounted.failed(self._now(), cause=str(error))
        else:
            self._metrics.store_reached = 1
            # None of a kind is a number, too: an alarm on a rise would miss the first.
            shown: dict[str, int] = dict.fromkeys(OUTBOX_KINDS, 0)
            shown.update({str(kind): count for kind, count in counts.items()})
            self._metrics.dead_letters = shown

    async def _watch_risks(self) -> None:
        with suppress(StoreUnavailable):  # others say that it is away
            self._metrics.store_risks = await self._look_at_risks()

    async def _watch_clock(self) -> None:
        with suppress(StoreUnavailable):
            self._metrics.clock_offset = await self._look_at_clock()

    async def _watch_keys(self) -> None:
        async with self._looking:
            noted = ""
            with suppress(StoreUnavailable):  # others say that it is away
                noted = await self._store.noted_keys()
            self._take_up_keys(noted)
            await self._agree_on_keys()

    async def _watch_keys_when_asked(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            with self._guarded("keys"):
                await self._watch_keys()

    async def _agree_on_keys(self) -> None:
        """Have the store remember what was taken up here, or else see whether its other servers have newer keys.

        Keys that were not changed here are not noted again and again: of two files that both have all keys in use one
        may still have an old one, and neither is to undo what the other's server noted.
        """
        try:
            await (self._note_keys() if self._unnoted else self._compare_keys())
        except StoreUnavailable:
            return  # it is tried again, and others say that the store is away
        except KeysError as error:
            self.other_keys = str(error)
            self._strange.failed(self._now(), cause=self.other_keys)
        else:
            self.other_keys = ""
            self._strange.worked(self._now())
        self._unnoted = False

    async def _watch_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_S
            await self._pause(LAG_S)
            now = loop.time()
            self._metrics.loop_lag.observe(max(0.0, now - due))
            for name, tick in self._ticks.items():
                with self._guarded(name):
                    tick(now)


def _untaken() -> Outage:
    return Outage("keys not taken up, the old ones stay", over="the key file can be used again")
