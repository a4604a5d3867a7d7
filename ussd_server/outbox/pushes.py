"""How a push is performed: judged anew, made known in the record, sent, and left to its timer.

Nothing waits for the phone here. Once the gateway took a push, its entry sleeps until the timer; whichever server hears
the confirmation or the answer removes it. So it is shown once, but where the gateway's answer to the submit was lost
(a crash, a broken link): then nobody knows, and within its validity it is sent again.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from menus.entries import Push
from menus.events import Begin, Dropped
from menus.render import Channel
from menus.session import Values
from ussd_server.channels.pace import Pace
from ussd_server.channels.ussd import Line, Lines
from ussd_server.metrics import Metrics
from ussd_server.outbox.outcomes import Done, Later, Performed
from ussd_server.stores.base import Change, Claimed, JournalEntry, Store, StoreUnavailable
from ussd_server.subscribers.record import Pushed, PushKind, Subscriber
from ussd_server.turns import pushes
from ussd_server.turns.operations import Outcome, Queries
from ussd_server.turns.pushes import End, PushOrder, Wait
from ussd_server.turns.quiet import NO_QUIET_HOURS, QuietHours
from ussd_server.turns.resources import Resources
from ussd_server.turns.turn import Tools, Turn

MAX_CONFLICTS: Final = 32
"""Commits that may fail because something else changed the subscriber; each time somebody made progress."""

ASK_MS: Final = 10_000
"""How long the operator may take for what a screen says before it is sent; then it is tried later."""

NO_LINK_MS: Final = 2_000
"""Between two looks for a bound link."""


@dataclass(frozen=True)
class Manners:
    """How we call on subscribers: not in `quiet` hours, at most so many a second (None: no limit), from `source`.

    `timer_ms` is how long the phone has to confirm, and its owner to answer.
    """

    quiet: Callable[[], QuietHours] = lambda: NO_QUIET_HOURS
    rate: float | None = None
    timer_ms: int = 120_000
    source: str = "111"


class _Watched(Queries):
    """The operator's answers, with a note whether one was missing: nobody is called on to read that."""

    def __init__(self, inner: Queries) -> None:
        self._inner = inner
        self.missing = False

    async def ask(self, operation: str, msisdn: str, arguments: Values) -> Outcome:
        outcome = await self._inner.ask(operation, msisdn, arguments)
        self.missing = self.missing or outcome[0] == "unavailable"
        return outcome


@dataclass(frozen=True)
class _Ready:
    """A push as it will be sent, once its record is committed."""

    change: Change
    text: str
    ends: bool


class Pusher:
    """Performs outbox entries of the kind `push`."""

    def __init__(
        self,
        store: Store,
        resources: Resources,
        lines: Lines,
        tools: Tools,
        metrics: Metrics,
        manners: Manners,
    ) -> None:
        self._store = store
        self._resources = resources
        self._lines = lines
        self._tools = tools
        self._metrics = metrics
        self._manners = manners
        self._pace = Pace(manners.rate)

    async def push(self, claimed: Claimed) -> Performed:
        """Do what is to be done now about a push: send it, wait, or end it with a journal entry."""
        order, id = pushes.read(claimed.entry), claimed.entry.id
        paced = False
        for _ in range(MAX_CONFLICTS):
            record, version = await self._store.load(claimed.msisdn, latest=True)
            now = self._tools.clock()
            match pushes.decide(record, order, id, now, self._manners.quiet()):
                case Wait(until=until, reason=reason):
                    return Later(reason, until)
                case End() as end:
                    return await self._end(claimed, order, end)
            line = self._lines.line(order.account)
            if line is None:
                return Later("no bound link takes it", min(now + NO_LINK_MS, order.until))
            if not paced:
                paced = True
                if wait := self._pace.turn(asyncio.get_running_loop().time()):
                    await asyncio.sleep(wait)
                    continue  # much may have happened meanwhile: consent taken back, a code dialled
            ready = await self._ready(record, version, order, id, now, line)
            if isinstance(ready, Later):
                return ready
            if isinstance(ready, End):
                return await self._end(claimed, order, ready)
            if await self._store.commit(ready.change):
                return await self._send(claimed, order, line, ready)
        raise StoreUnavailable(f"the subscriber was changed {MAX_CONFLICTS} times meanwhile")

    async def _ready(
        self, record: Subscriber, version: int, order: PushOrder, id: str, now: int, line: Line
    ) -> _Ready | Later | End:
        """Make the screen, and the record of who is being called on."""
        if order.text:
            turn, text, ends = self._turn(record, version, now, order, self._tools), order.text, True
            if line.screen.fits is not None and not line.screen.fits(text):
                return End("too_long")
        else:
            entry = self._resources.flow.pushes.get(order.screen)
            if entry is None:
                return End("no_such_screen")
            shown = await self._open(record, version, order, entry, now, line)
            if not isinstance(shown, tuple):
                return shown
            turn, text, ends = shown
        kind: PushKind = "notify" if ends else "ask"
        if order.kind and order.kind != kind:
            return End("wrong_kind", "the screen waits for an answer" if kind == "ask" else "the screen closes at once")
        push = Pushed(id, kind, line.name, now + self._manners.timer_ms)
        session = turn.record.sessions.get("ussd") if kind == "ask" else None
        turn.record = pushes.begun(replace(turn.record, sessions=record.sessions), push, session, text, now)
        return _Ready(turn.change(), text, ends)

    async def _open(
        self, record: Subscriber, version: int, order: PushOrder, entry: Push, now: int, line: Line
    ) -> tuple[Turn, str, bool] | Later | End:
        """Begin a session at a push's screen, as if its owner had dialled."""
        availability = self._resources.flow.availability
        if availability is not None and not availability.covers(record.msisdn, now):
            return End("not_served")
        watched = _Watched(self._tools.queries)
        turn = self._turn(record, version, now, order, dataclasses.replace(self._tools, queries=watched))
        # What was cut off before stays cut off: this is another errand.
        turn.record = replace(record, sessions={at: one for at, one in record.sessions.items() if at != "ussd"})
        shown = await turn.play(Begin(self._tools.new_id(), entry.node), line.screen)
        if watched.missing or any(work.kind == "query" for work in turn.outbox):
            return Later("the operator is out of reach")
        if shown is None:
            return End("wrong_kind", "there is nothing to show")
        return turn, shown.text, shown.ends

    def _turn(self, record: Subscriber, version: int, now: int, order: PushOrder, tools: Tools) -> Turn:
        return Turn(self._resources.flow, record, version, now, now + ASK_MS, tools, order.account, order.source)

    async def _send(self, claimed: Claimed, order: PushOrder, line: Line, ready: _Ready) -> Performed:
        source = order.source or self._manners.source
        outcome = await line.push(source, claimed.msisdn, ready.text, ready.ends)
        match outcome.result:
            case "accepted":
                return await self._sent(claimed)
            case "refused":
                return await self._end(claimed, order, End("refused", outcome.reason))
            case "later":
                await self._take_back(claimed)
                return Later(outcome.reason)
            case "unknown":
                # The phone may show it. What comes from there is still known to belong to it until it is sent again.
                return Later(outcome.reason)

    async def _sent(self, claimed: Claimed) -> Performed:
        """Note that the phone has it, and let the entry sleep until the timer."""
        for _ in range(MAX_CONFLICTS):
            record, version = await self._store.load(claimed.msisdn)
            until = self._tools.clock() + self._manners.timer_ms
            noted = pushes.sent(record, claimed.entry.id, until)
            if noted is None or await self._store.commit(Change(version, noted)):
                # Where it is over already its entry is gone; where a code was dialled meanwhile it is tried once more.
                return Later("the phone has it", until)
        raise StoreUnavailable(f"the subscriber was changed {MAX_CONFLICTS} times meanwhile")

    async def _take_back(self, claimed: Claimed) -> None:
        for _ in range(MAX_CONFLICTS):
            record, version = await self._store.load(claimed.msisdn)
            before = pushes.taken_back(record, claimed.entry.id)
            if before is record or await self._store.commit(Change(version, before)):
                return

    async def _end(self, claimed: Claimed, order: PushOrder, end: End) -> Performed:
        """Remove the entry, with a journal entry that says how it ended."""
        seen, id = -1, claimed.entry.id
        for _ in range(MAX_CONFLICTS):
            record, version = await self._store.load(claimed.msisdn, latest=True)
            if version == seen:
                return Done()  # nothing but the entry can have made the commit fail: another server settled it
            seen, now = version, self._tools.clock()
            turn = self._turn(record, version, now, order, self._tools)
            kind: str = order.kind
            if record.push is not None and record.push.id == id:
                kind = record.push.kind
                await self._let_go(turn, end)
            told = {**order.about(id), "kind": kind, "result": end.result}
            turn.journal.append(JournalEntry(now, "push ended", told | ({"reason": end.reason} if end.reason else {})))
            if await self._store.commit(turn.change(settled=(id,))):
                self._metrics.pushes[kind, end.result] += 1
                return Done()
        raise StoreUnavailable(f"the subscriber was changed {MAX_CONFLICTS} times meanwhile")

    async def _let_go(self, turn: Turn, end: End) -> None:
        """Close what was begun: a question that nobody answered may be gone on with as after any dropped dialogue."""
        push = turn.record.push
        assert push is not None
        if not push.sent:
            turn.record = pushes.taken_back(turn.record, push.id)
            return
        if push.kind == "ask":
            await turn.play(Dropped("timeout"), Channel("ussd"))
        turn.record = pushes.over(turn.record, turn.now)
