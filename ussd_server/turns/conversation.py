"""The turn, from an input to its answer: one at a time for each subscriber, durable before it is answered."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog
from msgspec.structs import replace

from menus.compiler import Flow
from menus.engine import accepts, open_question, say
from menus.events import Begin, Dropped, Event, Reply, Show
from menus.render import Channel
from smpp.reassembly import Part, Taken
from ussd_server.channels.base import Answer, Answering, Input
from ussd_server.channels.sms import SMS
from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.outage import Outage
from ussd_server.stores.base import Change, JournalEntry, Store, StoreUnavailable, Told, Unsure, pass_on
from ussd_server.subscribers.record import Exchange, Subscriber
from ussd_server.turns import pushes
from ussd_server.turns.admission import MAX_PARTS_WAITING, MAX_WAITING, Admission, Kind
from ussd_server.turns.eager import Eager
from ussd_server.turns.letters import Letters
from ussd_server.turns.patience import Patience
from ussd_server.turns.redelivery import ENDINGS, is_repetition, is_same_pdu, keep, place, remember, standing
from ussd_server.turns.turn import Tools, Turn

log = structlog.get_logger()

MAX_CONFLICTS = 8
"""How often a turn is made again because another server was faster, before its input is refused."""


class PerhapsCommitted(Exception):
    """A commit raised what nobody expects: it may have been written. That is its cause."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__("it is not known whether anything was changed")
        self.__cause__ = cause


@dataclass(frozen=True)
class Limits:
    """What a turn may take, `deadline_ms` for queries while a USSD dialogue waits, and what a sender may."""

    deadline_ms: int
    patience: Patience


class Conversations:
    """Takes every channel's inputs through the engine. `flow` may be exchanged at any time, between two turns."""

    def __init__(
        self,
        flow: Flow,
        store: Store,
        tools: Tools,
        limits: Limits,
        admission: Admission,
        metrics: Metrics,
        digest: Callable[[str], bytes],
        letters: Letters,
        commit_work: Callable[[Change, Told], None],
        work_waits: Callable[[], None],
        stopwatch: Callable[[], float] = monotonic,
    ) -> None:
        self.flow = flow
        self._store = store
        self._tools = tools
        self._limits = limits
        self._admission = admission
        self._metrics = metrics
        self._digest = digest
        self._letters = letters
        self._commit_work = commit_work
        """Commits a change that leaves work in the outbox, and sees to it."""
        self._work_waits = work_waits
        self._stopwatch = stopwatch
        self._lanes: dict[str, deque[tuple[Input, Answering]] | None] = {}
        """The subscribers who have an input under way, with those that wait for it; nearly always that is none."""
        self._outage = Outage("store unavailable, input refused")
        self._idle: asyncio.Future[None] | None = None
        self._busy: dict[Channel, Answer] = {}
        self._busy_of = flow

    @property
    def under_way(self) -> int:
        """How many subscribers have an input under way."""
        return len(self._lanes)

    async def finished(self) -> None:
        """Return when no turn is under way."""
        while self._lanes:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def take(self, input: Input, answer: Answering) -> None:
        """Handle an input to its end and call `answer` once, after whatever it changed is durable.

        Inputs of one subscriber are handled in the order they came. What is not admitted is answered with the polite
        text `overload`; nothing is changed, and nothing is kept of it.
        """
        lanes, msisdn = self._lanes, input.msisdn
        if msisdn in lanes:
            self._line_up(input, answer)
        elif self._admission.admits(kind := kind_of(input), len(lanes)):
            lanes[msisdn] = None
            _UnderWay(self, input, answer)
        else:
            self._admission.refuse(kind)
            self._refuse(input, answer)

    def _line_up(self, input: Input, answer: Answering) -> None:
        """Let an input wait for the one of its subscriber that is under way."""
        lane = self._lanes[input.msisdn]
        if lane is None:
            lane = self._lanes[input.msisdn] = deque()
        if len(lane) < (MAX_WAITING if input.part is None else MAX_PARTS_WAITING):
            lane.append((input, answer))
        else:
            self._refuse(input, answer)

    def refuse(self, input: Input, answer: Answering) -> None:
        """Answer an input that its channel has no room for, as one that is not admitted."""
        self._admission.refuse(kind_of(input))
        self._refuse(input, answer)

    def turned_away(self, input: Input, answer: Answering, before: int) -> bool:
        """Refuse an input that is not admitted behind so many that wait to be handed in; return whether it was so."""
        if self._admission.admits(kind_of(input), len(self._lanes) + before, before):
            return False
        self.refuse(input, answer)
        return True

    def not_handed_in(self) -> None:
        """Count a dialogue that its channel has not even handed in."""
        self._admission.refuse(Kind.DIALOGUE)

    def _ended(self, msisdn: str) -> None:
        """Go on with what came from the same subscriber meanwhile."""
        lanes = self._lanes
        lane = lanes.pop(msisdn)
        if lane:
            lanes[msisdn] = lane
            # By way of the loop: inputs that need no commit would be calls within calls.
            asyncio.get_running_loop().call_soon(_UnderWay, self, *lane.popleft())
        elif self._idle is not None and not lanes and not self._idle.done():
            self._idle.set_result(None)

    def _failed(self, input: Input, error: BaseException) -> Answer:
        """Say that something broke, and log what."""
        channel = input.channel.name
        if isinstance(error, StoreUnavailable):
            self._metrics.turns[channel, "refused"] += 1
            self._outage.failed(self._tools.clock(), msisdn=mask(input.msisdn), cause=str(error))
        else:
            self._metrics.turns[channel, "failed"] += 1
            if isinstance(error, PerhapsCommitted):
                log.error("turn failed, perhaps committed", msisdn=mask(input.msisdn), channel=channel, exc_info=error)
            else:
                log.error("turn failed, nothing changed", msisdn=mask(input.msisdn), channel=channel, exc_info=error)
        return Answer(self._say("broken", input.channel), durable=False)

    async def _kept(self, input: Input, name: str, typed: bytes) -> Answer | None:
        """Return the answer that this input has in the record, by a commit of which we do not know; None for none."""
        record, _ = await self._store.load(input.msisdn, latest=True)
        last = record.exchanges.get(name)
        if last is None or standing(last, input, typed) != "repeated":
            return None
        return Answer(last.text, last.ends, pushed=last.pushed)

    def _count(self, input: Input, result: str) -> None:
        self._metrics.turns[input.channel.name, result] += 1

    def _ask_again(self, turn: Turn, input: Input, last: Exchange) -> bool:
        """Ask a question by SMS once more that the input would answer, if it were not taken for a repetition.

        It answered an earlier question in the same words, and came by another link since: the network may repeat it, or
        the subscriber mean the new question. Nobody is charged for what they may not have agreed to, and nobody who
        did is left without a word.
        """
        session = turn.record.sessions.get("sms")
        if input.kind != "message" or session is None or session.at <= last.at or is_same_pdu(last, input):
            return False
        known = turn.facts(input.channel)
        if not accepts(turn.flow, session, input.text, known, turn.now):
            return False
        question = open_question(turn.flow, session, turn.now, known, input.channel)
        patient = self._limits.patience.one_more(turn.record, turn.now, known=True)
        if question is None or patient is None:
            return False
        turn.record = patient
        turn.send(question.text)
        return True

    async def _commit(self, change: Change, age: float) -> bool:
        """Commit, and tell what waits how long: `age` is how old the input was when it was handled (s)."""
        self._admission.begun()
        asked = self._stopwatch()
        try:
            committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            commit = self._commit_work if change.outbox else self._store.commit_then
            commit(change, partial(pass_on, committed))
            return await committed
        except StoreUnavailable:
            raise
        except (Exception, asyncio.CancelledError) as error:
            raise PerhapsCommitted(error) from error
        finally:
            self._admission.done(age, self._stopwatch() - asked)

    def _count_push(self, turn: Turn, heard: pushes.Heard | None) -> None:
        if heard is not None:  # the next push of this subscriber may be due
            self._work_waits()
        if heard is not None and heard.result:
            self._metrics.pushes[heard.push.kind, heard.result] += 1
        elif any(entry.kind == pushes.LATE for entry in turn.journal):
            self._metrics.pushes["ask", "late"] += 1

    async def _turn_of_part(self, input: Input, part: Part, age: float) -> Answer:
        """Keep a part of a long SMS; with the last one the whole is played, in the same commit."""
        turns = self._metrics.turns
        latest = False
        for _ in range(MAX_CONFLICTS):
            record, version = await self._store.load(input.msisdn, latest)
            until = input.at + self._limits.deadline_ms
            turn = Turn(self.flow, record, version, input.at, until, self._tools, input.account, input.number)
            taken = self._letters.take(turn, part)
            result = "repeated" if taken.repeated else "part"
            if taken.text is not None:
                result = await self._play_whole(turn, replace(input, text=taken.text, part=None))
            if turn.record is record and not latest:  # nothing to commit, as far as it is known here
                latest = True
                continue
            if turn.record is record or await self._commit(turn.change(), age):
                turns[input.channel.name, result] += 1
                self._count_letters(taken)
                return Answer(None)
            latest = True
            turns[input.channel.name, "conflict"] += 1
        raise _beaten()

    async def _play_whole(self, turn: Turn, input: Input) -> str:
        """Play an SMS whose last part came, unless the whole of it was played before; return the turn's result."""
        typed = self._digest(input.text)
        name = place(input, typed)
        last = turn.record.exchanges.get(name)
        if last is not None and is_repetition(last, input, typed):
            return "repeated"
        await self._play_message(turn, input)
        answer = Answer(None)
        exchanges = keep(turn.record.exchanges, name, remember(last, input, typed, answer))
        turn.record = replace(turn.record, exchanges=exchanges)
        return "answered"

    def expire_letters(self, turn: Turn, now: int) -> None:
        """Let the turn give up long SMS whose missing parts did not come by now, and tell who wrote them."""
        lost = self._letters.expire(turn, now)
        for _ in lost:
            self._metrics.letters["expired"] += 1
        patient = self._limits.patience.one_more(turn.record, turn.now, known=False) if lost else None
        if patient is not None:
            turn.record = patient
            turn.send(self._say("unknown_sms", SMS, patient.language))

    def _count_letters(self, taken: Taken) -> None:
        if taken.text is not None:
            self._metrics.letters["whole"] += 1
        for each in taken.lost:
            self._metrics.letters[each.reason] += 1

    def _too_late(self, turn: Turn, input: Input, last: Exchange | None) -> Answer:
        """Say that a dialogue is over, and note it where it is one that we began."""
        push = pushes.late(last) if last is not None and input.kind == "reply" else ""
        if push:
            turn.journal.append(JournalEntry(turn.now, pushes.LATE, {"push": push}))
        if input.kind == "confirm":
            return Answer(None)  # the last text of a dialogue that we began is confirmed as well
        self._metrics.turns[input.channel.name, "stale"] += 1
        if input.kind == "drop":
            return Answer(None)
        return Answer(self._say("expired", input.channel, turn.record.language), pushed=bool(push))

    def _event(self, turn: Turn, input: Input) -> Event | None:
        if input.kind in ENDINGS:
            return Dropped("timeout" if input.text == "timeout" else "abort")
        session = turn.record.sessions.get(input.channel.name)
        # Some gateways begin and go on with the same operation: a code where nothing waits is dialled.
        if input.kind == "reply" and (session is not None or not _is_code(input.text)):
            return Reply(input.text)
        match = turn.flow.match_ussd(input.text)
        if match is None:
            return None
        if session is not None and not session.dropped:
            # Many gateways never say that a dialogue ended; a new one says so as well.
            dropped = replace(session, dropped=True)
            turn.record = replace(turn.record, sessions={**turn.record.sessions, input.channel.name: dropped})
        return Begin(turn.tools.new_id(), match.node, tail=match.tail)

    async def _play_message(self, turn: Turn, input: Input) -> None:
        """Play an SMS: the answer to a waiting question, a keyword, or something that leads nowhere.

        A sender that is a machine must not be answered for ever, so every answer needs the patience for one more. What
        was asked for is done all the same.
        """
        flow, record = turn.flow, turn.record
        session = record.sessions.get("sms")
        match = None
        waited_for = session is not None and accepts(flow, session, input.text, turn.facts(input.channel), turn.now)
        if not waited_for:
            match = flow.match_sms(input.number, input.text)
        known = waited_for or match is not None
        patient = self._limits.patience.one_more(record, turn.now, known)
        if patient is None:
            self._metrics.suppressed["patience"] += 1
            log.info("SMS not answered, its sender had enough", msisdn=mask(input.msisdn), known=known)
        else:
            turn.record = patient
        if known:
            event = Reply(input.text) if match is None else Begin(turn.tools.new_id(), match.node, values=match.values)
            shown = await turn.play(event, input.channel)
            text = None if shown is None else shown.text
        else:
            text = self._say("unknown_sms", input.channel, record.language)
        if patient is not None and text is not None:
            turn.send(text)

    def _refuse(self, input: Input, answer: Answering) -> None:
        """Answer what is not begun, at the least cost: this is done most when there is most to do."""
        if self._busy_of is not self.flow:
            self._busy_of, self._busy = self.flow, {}
        said = _WITHOUT_A_WORD if input.kind in ENDINGS else self._busy.get(input.channel)
        if said is None:
            said = self._busy[input.channel] = self._polite(input)
        try:
            answer(said)
            self._metrics.turns[input.channel.name, "overload"] += 1
        except Exception as error:
            report("answering failed", input, error)

    def _polite(self, input: Input) -> Answer:
        """Return what this flow says by this channel where there is too much to do, if it can."""
        try:
            return Answer(self._say("overload", input.channel), durable=False, busy=True)
        except Exception as error:
            report("refused without a word", input, error)
            return _WITHOUT_A_WORD

    def _say(self, name: str, channel: Channel, language: str = "") -> str:
        return say(self.flow, name, {}, language or self.flow.default_language, channel)


class _UnderWay:
    """An input on its way to its answer: load, step, commit, answer.

    Each part of the way is a method, called by the one before; where one must wait, what it waits for calls the next.
    Nearly always that is the commit alone. Whatever breaks on the way ends in `_fail`.

    What the turn began with: `_record`, the `_name` of its exchange, the digest of what was `_typed`, and the `_last`
    exchange of that name.
    """

    __slots__ = (
        "_age",
        "_answer",
        "_answering",
        "_asked",
        "_at",
        "_heard",
        "_input",
        "_last",
        "_name",
        "_read",
        "_record",
        "_tries",
        "_turn",
        "_typed",
    )

    _asked: float | None
    """When the commit was asked for, None where its outcome is known."""

    def __init__(self, at: Conversations, input: Input, answering: Answering) -> None:
        """Handle the input; `answering` is called once, perhaps before this returns."""
        self._at = at
        self._input = input
        self._answering = answering
        self._tries = 1
        begun = at._stopwatch()
        self._read = read = input.read or begun
        self._age = age = begun - read
        try:
            if input.part is not None:
                Eager(at._turn_of_part(input, input.part, age), self._fail, self._end)
                return
            found = at._store.remembered(input.msisdn)
            if found is None:
                Eager(at._store.load(input.msisdn), self._fail, self._judge)
            else:
                self._judge(found)
        except Exception as error:
            self._fail(error)

    def _again(self) -> None:
        """Do everything again from what every server has committed by now."""
        if self._tries == MAX_CONFLICTS:
            self._fail(_beaten())
            return
        self._tries += 1
        Eager(self._at._store.load(self._input.msisdn, latest=True), self._fail, self._judge)

    def _judge(self, loaded: tuple[Subscriber, int]) -> None:
        """Tell what the input is: new, come again, or too late; and do what is done with such."""
        at, input = self._at, self._input
        record, version = loaded
        typed = at._digest(input.text)
        name = place(input, typed)
        last = record.exchanges.get(name)
        heard = None
        if record.push is not None:
            last, heard = pushes.heard(record, input, typed, last)
        known = "new" if heard is not None else standing(last, input, typed)
        if known != "new" and self._tries == 1:
            # Another server may have gone on, and nothing is committed here that would find out.
            self._again()
            return
        until = input.at + at._limits.deadline_ms
        turn = Turn(at.flow, record, version, input.at, until, at._tools, input.account, input.number)
        self._record, self._name, self._typed, self._last = record, name, typed, last
        self._turn, self._heard = turn, heard
        if known == "new":
            self._play(turn, heard)
        elif known == "stale":
            self._keep(turn, at._too_late(turn, input, last))
        elif last is not None and not at._ask_again(turn, input, last):
            at._count(input, "repeated")
            self._end(Answer(last.text, last.ends, pushed=last.pushed))
        else:
            self._keep(turn, Answer(None))

    def _play(self, turn: Turn, heard: pushes.Heard | None) -> None:
        """Play the input; an SMS is answered by SMS, from the outbox, everything else at once.

        `heard` is what it means for a push.
        """
        at, input = self._at, self._input
        if input.kind == "message":
            Eager(at._play_message(turn, input), self._fail, self._played)
            return
        if heard is not None:
            turn.record = pushes.heard_of(turn.record, heard)
            turn.journal.extend(heard.note(turn.now))
            if heard.push.kind == "notify":
                self._keep(turn, Answer(None))
                return
        event = at._event(turn, input)
        if event is None:
            self._keep(turn, Answer(at._say("unknown_code", input.channel, turn.record.language)))
            return
        shown = turn.begin(event, input.channel)
        if shown is None or type(shown) is Show:
            self._played(shown)
        else:
            Eager(shown, self._fail, self._played)

    def _played(self, shown: Show | None) -> None:
        """Answer with what the turn has come to show."""
        input, turn = self._input, self._turn
        if shown is None or input.kind in ENDINGS:
            self._keep(turn, Answer(None))
        else:
            pushed = _was_pushed(self._last, input, self._heard)
            self._keep(turn, Answer(shown.text, shown.ends, True, pushed))

    def _keep(self, turn: Turn, answer: Answer) -> None:
        """Commit what the turn has done, and with it the answer; where it has done nothing, answer."""
        at, input, heard = self._at, self._input, self._heard
        if turn.record is self._record and not turn.journal:
            self._end(answer)
            return
        if heard is None or (heard.push.kind == "ask" and input.kind != "confirm"):
            exchange = remember(self._last, input, self._typed, answer)
            turn.record = replace(turn.record, exchanges=keep(self._record.exchanges, self._name, exchange))
        change = turn.change(heard.settles if heard else ())
        self._answer = answer
        at._admission.begun()
        asked = self._asked = at._stopwatch()
        try:
            if change.outbox:
                at._commit_work(change, self._committed)
            else:
                at._store.commit_then(change, self._committed)
        except Exception as error:
            if self._asked is asked:
                self._committed(error)
            else:
                report("a commit broke after it told", self._input, error)

    def _committed(self, done: bool | BaseException) -> None:
        """Answer what was committed; go on from the newer record where another server was faster."""
        at, input, asked = self._at, self._input, self._asked
        if asked is None:  # it raised before it told
            return
        self._asked = None
        at._admission.done(self._age, at._stopwatch() - asked)
        try:
            if done is True:
                self._answered(self._answer)
            elif done is False:
                at._count(input, "conflict")
                self._again()
            elif isinstance(done, Unsure):
                Eager(at._kept(input, self._name, self._typed), self._lost, partial(self._found, done))
            else:
                self._lost(done)
        except Exception as error:
            self._fail(error)

    def _found(self, unsure: Unsure, kept: Answer | None) -> None:
        """Answer what the record has by a commit of which nobody could tell."""
        if kept is None:
            self._fail(unsure)
        else:
            self._answered(kept)

    def _lost(self, error: BaseException) -> None:
        """Fail by what a commit raised, or the look for what became of it."""
        self._fail(error if isinstance(error, StoreUnavailable) else PerhapsCommitted(error))

    def _answered(self, answer: Answer) -> None:
        """Answer what is durable, and count it."""
        at = self._at
        try:
            at._metrics.turns[self._input.channel.name, "answered"] += 1
            if self._heard is not None or self._turn.journal:
                at._count_push(self._turn, self._heard)
        except Exception as error:
            report("turn not counted", self._input, error)
        self._end(answer)

    def _fail(self, error: BaseException) -> None:
        """Answer that something broke, if need be without a word."""
        answer = _BROKEN
        try:
            answer = self._at._failed(self._input, error)
        except Exception as another:
            report("failing failed", self._input, another)
        self._end(answer)

    def _end(self, answer: Answer) -> None:
        """Answer, and let the subscriber's next input begin, whatever breaks."""
        at, input = self._at, self._input
        try:
            self._answering(answer)
            at._metrics.turn_seconds[input.channel.name].observe(at._stopwatch() - self._read)
        except Exception as error:
            report("answering failed", input, error)
        finally:
            at._ended(input.msisdn)


_BROKEN = Answer(None, durable=False)
"""The answer where not even the text that says so can be said."""

_WITHOUT_A_WORD = Answer(None, durable=False, busy=True)
"""What the end of something is answered with that there was no room to note; and all, where the flow cannot say so."""

_KINDS = {
    "dial": Kind.DIALOGUE,
    "message": Kind.SMS,
    "reply": Kind.UNDER_WAY,
    "drop": Kind.ENDING,
    "confirm": Kind.ENDING,
}


def kind_of(input: Input) -> Kind:
    """Return what an input asks for; a code is dialled, also where a gateway says that it is an answer."""
    if input.kind == "reply" and _is_code(input.text):
        return Kind.DIALOGUE
    return _KINDS[input.kind]


def report(event: str, input: Input, error: BaseException) -> None:
    """Log what broke where nothing else may break for it; if that breaks, too, the loop says so."""
    try:
        log.error(event, msisdn=mask(input.msisdn), channel=input.channel.name, exc_info=error)
    except Exception as another:
        asyncio.get_running_loop().call_exception_handler({"message": event, "exception": another})


def _beaten() -> StoreUnavailable:
    return StoreUnavailable(f"another server changed this subscriber {MAX_CONFLICTS} times during one turn")


def _was_pushed(last: Exchange | None, input: Input, heard: pushes.Heard | None) -> bool:
    """Whether it was we who began the dialogue."""
    if heard is not None:
        return heard.push.kind == "ask" and heard.result == "answered"
    return last is not None and last.pushed and last.dialogue == input.dialogue and input.kind != "dial"


def _is_code(text: str) -> bool:
    return text.startswith(("*", "#")) and text.endswith("#")
