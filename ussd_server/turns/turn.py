"""One input, or one outcome, on its way through the engine: what the record becomes and what is committed with it.

A turn is not durable and has no effect outside until its `change` is committed; a turn that loses the race for the
commit is thrown away and made again from the newer record.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from menus.compiler import Flow
from menus.engine import work_out
from menus.events import Ask, Defer, Effect, Event, Late, Note, Order, Send, Show
from menus.render import Channel
from menus.session import Session, Values
from menus.steps import Step
from ussd_server.stores.base import Change, JournalEntry, KeptAnswer, OutboxEntry, OutboxKind
from ussd_server.subscribers.codes import Policy
from ussd_server.subscribers.record import Subscriber, facts
from ussd_server.turns import eager, pushes
from ussd_server.turns.operations import ACTIONS, Acted, Outcome, Queries, act

SMS_VALIDITY_MS = 24 * 3_600_000
"""How long an SMS of ours is worth sending where nothing else is set; operators keep undelivered ones one to three
days."""

_DONE_HERE = ACTIONS.keys() | {"push"}
"""Operations that are carried out on the record, in the turn."""

MAX_LATE = 3
"""Sessions of one subscriber that may wait for late answers; whoever dials on while the operator is away has one SMS
coming for each of the latest."""


Played: TypeAlias = Show | Coroutine[Any, Any, Show | None] | None
"""What a turn shows, or what comes to that when the operator has answered."""


@dataclass(frozen=True)
class Tools:
    """What every turn works with: the operator's answers, the code's rules, the time (ms), ids of our own.

    An SMS is tried for `sms_validity_ms`.
    """

    queries: Queries
    policy: Policy
    clock: Callable[[], int]
    new_id: Callable[[], str]
    sms_validity_ms: int = SMS_VALIDITY_MS


class Turn(msgspec.Struct, gc=False):
    """The work on one subscriber's record between its load and its commit.

    SMS of this turn go by `account` and come from the service number `number` ("": the settings say). `now` is when the
    input came, the same all through the turn; queries may take until `deadline` (ms). `terminal` is the one at which
    the subscriber stands ("" none), `language` what is spoken there ("": the record's), `agreed` the price that the
    terminal showed by itself. `dropped` are outbox entries of this subscriber that have nothing to do any more. That
    the engine has `played` to a screen is worth a commit also where the record stays as it was.
    """

    flow: Flow
    record: Subscriber
    version: int
    now: int
    deadline: int
    tools: Tools
    account: str
    number: str
    terminal: str = ""
    language: str = ""
    agreed: str = ""
    journal: list[JournalEntry] = []
    outbox: list[OutboxEntry] = []
    dropped: list[str] = []
    played: bool = False

    async def play(self, event: Event, channel: Channel, place: str = "") -> Show | None:
        """Step the channel's session until it shows something; None where there is nothing to show.

        Every query is performed on the way. One that is not answered by the deadline ends the dialogue with the text
        that an SMS will follow, and becomes durable work whose answer goes on with the session by SMS. Until then the
        session is kept under the query's id, out of the way of newer ones; `place` says so when the answer is there.
        """
        played = self.begin(event, channel, place)
        return played if played is None or isinstance(played, Show) else await played

    def begin(self, event: Event, channel: Channel, place: str = "") -> Played:
        """Play as `play` does, at once where the operator answers at once: a coroutine costs as much as a step."""
        place, known = place or channel.name, self.facts(channel)
        session = self.record.sessions.get(place)
        done = self.flow.memory.step(work_out, session, event, self.now, known, channel)
        return self._go_on(done, known, channel, place)

    def _go_on(self, done: Step, known: Values, channel: Channel, place: str) -> Played:
        """Go on from what a step led to, until something is shown or the operator takes its time."""
        while True:
            shown: Show | None = None
            asked: Ask | None = done.waits
            for effect in done.effects:
                # `isinstance` takes several times as long to say no: a Struct's class is asked whether it has it.
                if type(effect) is Show:
                    shown = effect
                elif type(effect) is Ask:
                    asked = effect
                else:
                    self._take(effect, channel.name)
            if asked is None:
                self._keep(place, done.session)
                return shown
            if asked.operation in _DONE_HERE:
                outcome, value = self._do(asked)
                known = self.facts(channel)
            else:
                answer = eager.start(self.tools.queries.ask(asked.operation, self.record.msisdn, asked.arguments))
                if isinstance(answer, eager.Started):
                    return self._go_on_later(asked.id, answer, done, known, channel, place)
                outcome, value = answer
            done = self.flow.memory.answered(work_out, done, outcome, value, self.now, known, channel)

    async def _go_on_later(
        self, ask: str, answer: eager.Started[Outcome], done: Step, known: Values, channel: Channel, place: str
    ) -> Show | None:
        """Go on when the operator has answered, or when it is too late for that."""
        answered = await answer.within((self.deadline - self.tools.clock()) / 1000)
        if isinstance(answered, eager.Late):
            following = work_out(self.flow, done.whole_session, Late(ask), self.now, known, channel)
        else:
            following = self.flow.memory.answered(work_out, done, *answered, self.now, known, channel)
        played = self._go_on(following, known, channel, place)
        return played if played is None or isinstance(played, Show) else await played

    def facts(self, channel: Channel) -> Values:
        """Return what conditions may ask about this subscriber."""
        known = facts(self.record, self.now, self.flow.default_language, channel.name, self.tools.policy)
        if self.language:
            known["language"] = self.language
        return known

    def send(self, text: str) -> None:
        """Put an SMS to the subscriber into the outbox."""
        self.outbox.append(self.sms(self.tools.new_id(), text))

    def sms(self, id: str, text: str) -> OutboxEntry:
        """Return an SMS to the subscriber as an outbox entry."""
        data = {"from": self.number, "text": text, "account": self.account}
        return OutboxEntry(id, "sms", self.now, data, self.now + self.tools.sms_validity_ms)

    def enqueue(self, id: str, kind: OutboxKind, due: int, data: Values | None = None) -> None:
        """Put work of its own into the outbox, due at this time (ms); its SMS go the way of this turn's."""
        self.outbox.append(self._from_here(OutboxEntry(id=id, kind=kind, due=due, data=data or {})))

    def apply(self, effects: Sequence[Effect]) -> None:
        """Take over effects that need no answer: the closing texts of an order."""
        for effect in effects:
            self._take(effect)

    def take_over(self, acted: Acted) -> None:
        """Take over what an action made of the record, and what goes with it."""
        self.record = acted.record
        self.journal.extend(acted.journal)
        self.outbox.extend(self._from_here(entry) for entry in acted.outbox)

    def change(self, settled: Sequence[str] = (), answer: KeptAnswer | None = None) -> Change:
        """Return all of this turn's work as one commit; it is refused where what it `settled` is gone."""
        return Change(self.version, self.record, self.journal, self.outbox, settled, answer, dropped=self.dropped)

    def _take(self, effect: Effect, channel: str = "") -> None:
        match effect:
            case Order():
                self._place(effect, channel)
            case Defer():
                data = {"ask": effect.id, "operation": effect.operation, "arguments": effect.arguments}
                self.outbox.append(self._work(effect.id, "query", data))
            case Send():
                self.send(effect.text)
            case Note():
                self.journal.append(JournalEntry(self.now, effect.kind, effect.data))

    def _do(self, asked: Ask) -> Outcome:
        """Carry out what is done on the record, in the turn."""
        if asked.operation == "push":
            acted = self._push(asked)
        else:
            acted = act(asked.operation, self.record, asked.arguments, asked.id, self.now, self.tools.policy)
        self.take_over(acted)
        if self.language and asked.operation == "set_language":
            self.language = asked.arguments["language"]
        return acted.outcome, acted.value

    def _push(self, asked: Ask) -> Acted:
        """Queue one of the flow's own pushes, to be shown later by the account that this input came by."""
        order, due = pushes.order_of(self.flow.pushes[asked.arguments["push"]], self.now, self.account)
        queued = pushes.queue(self.record, order, asked.id, self.now, due)
        if queued is None:
            return Acted(self.record, "no_consent")
        return Acted(self.record, "queued", journal=queued.journal, outbox=queued.outbox)

    def _place(self, order: Order, channel: str) -> None:
        """Make an order durable, with what its closing texts will need, and keep the consent in the journal.

        `shown` is the text that was read, or the price as the terminal was told it.
        """
        self.record = replace(self.record, pending={**self.record.pending, order.id: order.pending})
        data = {"operation": order.operation, "arguments": order.arguments}
        self.outbox.append(self._work(order.id, "command", data))
        agreed = {"channel": channel, "terminal": self.terminal, "shown": order.shown or self.agreed}
        self.journal.append(JournalEntry(self.now, "order placed", {"order": order.id, **data, **agreed}))

    def _work(self, id: str, kind: OutboxKind, data: Values) -> OutboxEntry:
        return self._from_here(OutboxEntry(id=id, kind=kind, due=self.now, data=data))

    def _from_here(self, entry: OutboxEntry) -> OutboxEntry:
        """Return the entry with the way on which its SMS are to go."""
        return replace(entry, data={**entry.data, "account": self.account, "number": self.number})

    def _keep(self, place: str, session: Session | None) -> None:
        """Keep a session where it will be looked for next: under its channel, or under the query that it waits for."""
        self.played = True
        if session is not None and not session.asked and session.channel == place:  # nearly always
            self.record = replace(self.record, sessions={**self.record.sessions, place: session})
            return
        if session is None and place not in self.record.sessions:  # a keyword whose answer is all that there is
            return
        sessions = dict(self.record.sessions)
        to = "" if session is None else session.asked or session.channel
        if to != place:
            sessions.pop(place, None)
        if session is not None:
            if session.asked:
                late = [other for other, one in sessions.items() if one.asked]
                for oldest in late[: len(late) - MAX_LATE + 1]:
                    del sessions[oldest]
            sessions[to] = session
        self.record = replace(self.record, sessions=sessions)
