"""An entry from its beginning to what came of it: performed, handed over, awaited, and done, put off or buried.

Whoever performs an entry removes it in the commit that keeps what came of it; where there is nothing to keep, this has
it removed. An entry that cannot be done now waits longer each time; one that can never be done, or is worth nothing
any more, is buried with a journal entry.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog

from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.outage import Outage
from ussd_server.outbox.lanes import Lane, Lanes
from ussd_server.outbox.leases import Leases
from ussd_server.outbox.outcomes import Done, Finished, Hopeless, Later, Performed, Performer, wait_ms
from ussd_server.outbox.removals import Removals
from ussd_server.stores.base import Claimed, JournalEntry, OutboxEntry, OutboxKind, Store, StoreUnavailable
from ussd_server.stores.damaged import DAMAGED

log = structlog.get_logger()

UNREADABLE = "its data is damaged, the store cannot decode it"
_BROKEN_OFF = Later("it was broken off")
_METRIC: Mapping[type, str] = {Done: "done", Finished: "done", Later: "later", Hopeless: "hopeless"}


class Performing:
    """Has entries performed, and sees to it that what came of them is in the store."""

    def __init__(
        self,
        store: Store,
        performers: Mapping[OutboxKind, Performer],
        lanes: Lanes,
        leases: Leases,
        removals: Removals,
        metrics: Metrics,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._performers = performers
        self._lanes = lanes
        self._lane_of = lanes.of_kind
        self._leases = leases
        self._held = leases.held
        self._removals = removals
        self._metrics = metrics
        self._now = now
        self._handed_over: dict[str, Claimed] = {}
        """Entries that were handed over, and of which nothing was told yet, by id."""
        self._tasks: set[asyncio.Task[Performed]] = set()
        self._draining = self._stopped = False
        self._heard = asyncio.Event()
        """Set at a stop, when what was handed over is answered."""
        self._outage = Outage("store unavailable, will be tried again")

    @property
    def under_way(self) -> int:
        """How many entries are performed now."""
        return len(self._handed_over) + len(self._tasks)

    @property
    def tasks(self) -> list[asyncio.Task[Performed]]:
        """Whatever performs now, but for what is handed over."""
        return [*self._tasks]

    def begin(self, lane: Lane, claimed: Claimed) -> None:
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
        """Take what came of entries that were handed over, as `Outbox.ended` says."""
        if self._draining:
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
            self._removals.remove([each.entry.id for each in entries])
        else:
            for each in entries:
                self._see_to(each, came if isinstance(came, Performed) else came(each))

    def drain(self) -> None:
        """Expect that links go down, and that nothing more is begun but what is claimed by now."""
        self._draining = True

    async def answers(self) -> bool:
        """Wait until something is told of what is handed over; return False where nothing is."""
        if not self._handed_over:
            return False
        self._heard.clear()
        await self._heard.wait()
        return True

    def stop(self) -> None:
        """Let go of what is handed over, whatever is told of it from now on; others will have it."""
        self._stopped = True
        self._handed_over.clear()

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

    def _task_ended(self, lane: Lane, task: asyncio.Task[Performed]) -> None:
        lane.taken -= 1
        self._tasks.discard(task)
        if task.cancelled() or not isinstance(task.result(), Finished):
            # The same subscriber's next entry may be claimed now, and what this one led to.
            self._lanes.wake()

    async def _perform(self, claimed: Claimed, work: Awaitable[Performed]) -> Performed:
        performed = await self._try(claimed, work)
        entry = claimed.entry
        self._metrics.outbox[entry.kind, _METRIC[type(performed)]] += 1
        if isinstance(performed, Finished):
            self._removals.remove((entry.id,))
        elif isinstance(performed, Done):
            self._leases.gone((entry.id,))
        else:
            await self._leave(claimed, performed)
        return performed

    async def _try(self, claimed: Claimed, work: Awaitable[Performed]) -> Performed:
        try:
            return await work
        except StoreUnavailable as error:
            self._outage.failed(self._now(), id=claimed.entry.id, cause=str(error))
            return Later("the store was unavailable")
        except asyncio.CancelledError:
            if self._draining:  # the stop lets go of the entry
                raise
            return _BROKEN_OFF
        except Exception:
            log.exception("performing failed", msisdn=mask(claimed.msisdn), id=claimed.entry.id)
            return Later("failed here; see the log")

    async def _leave(self, claimed: Claimed, performed: Later | Hopeless) -> None:
        """Let go of an entry that was not done."""
        entry = claimed.entry
        held = self._held.pop(entry.id)  # by now perhaps a later claim than the one that began this
        try:
            if isinstance(performed, Later):
                # At a stop it fails because the links go down; the next start is another try soon enough.
                wait = 0 if self._draining else wait_ms(claimed.tries)
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
            self._outage.failed(self._now(), id=entry.id, cause=str(error))
        except Exception:
            log.exception("not let go, will be tried again", msisdn=mask(claimed.msisdn), id=entry.id)


def _unsent(entry: OutboxEntry, now: int, late: bool) -> tuple[JournalEntry, ...]:
    """Return how an SMS ended that no SMSC took, for the journal; nothing for an entry of another kind."""
    if entry.kind != "sms":
        return ()
    return (JournalEntry(now, "sms ended", {"outcome": "expired" if late else "failed", "sms": entry.id}),)


async def _told(performed: Performed) -> Performed:
    return performed


async def _failed(error: Exception) -> Performed:
    raise error
