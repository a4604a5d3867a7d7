"""The turn, from an input to its answer: durable before it is answered.

There is one way for all inputs, and no coroutine on it: `docs/decisions/0025-a-turn-called-back.md` tells why. Parts of
long SMS alone have turns of their own (`parts.py`).

| method | does | goes on with |
|---|---|---|
| `__init__`, `_again` | loads the record | `_judge` |
| `_judge` | tells what the input is | `_play` where it is new, else `_keep`, `_end`, or `_again` to be sure |
| `_play`, `_played` | steps the engine, and makes the answer | `_keep` |
| `_keep` | commits; nothing where nothing was done | `_committed`, `_end` |
| `_committed` | hears of the commit | `_answered`, `_again` after a conflict, `_kept` where nobody can tell |
| `_answered`, `_end` | counts, answers | the subscriber's next input |
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec.structs import replace

from menus.events import Show
from ussd_server.channels.base import Answer, Answering, Input
from ussd_server.stores.base import JournalEntry, StoreUnavailable, Unsure
from ussd_server.subscribers.record import Exchange, Subscriber
from ussd_server.turns import messages, parts, pushes
from ussd_server.turns.eager import Eager
from ussd_server.turns.failures import MAX_CONFLICTS, beaten, failed, of_commit, report
from ussd_server.turns.inputs import event_of
from ussd_server.turns.redelivery import ENDINGS, place, remember, standing
from ussd_server.turns.resources import Resources
from ussd_server.turns.turn import Turn

_SILENCE: Final = Answer(None)
"""The answer to what wants none; an SMS has its own from the outbox."""


class UnderWay:
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
        "_ended",
        "_heard",
        "_input",
        "_last",
        "_name",
        "_read",
        "_record",
        "_resources",
        "_tries",
        "_turn",
        "_typed",
    )

    _asked: float | None
    """When the commit was asked for, None where its outcome is known."""

    def __init__(self, resources: Resources, input: Input, answering: Answering, ended: Callable[[str], None]) -> None:
        """Handle the input; `answering` is called once, perhaps before this returns, and then `ended` with its MSISDN.

        `ended` is called whatever breaks, and must not raise.
        """
        self._resources = resources
        self._input = input
        self._answering = answering
        self._ended = ended
        self._tries = 1
        begun = resources.stopwatch()
        self._read = read = input.read or begun
        self._age = age = begun - read
        try:
            if input.part is not None:
                Eager(parts.take(resources, input, input.part, age), self._fail, self._end)
                return
            found = resources.store.remembered(input.msisdn)
            if found is None:
                Eager(resources.store.load(input.msisdn), self._fail, self._judge)
            else:
                self._judge(found)
        except Exception as error:
            self._fail(error)

    def _again(self) -> None:
        """Do everything again from what every server has committed by now."""
        if self._tries == MAX_CONFLICTS:
            self._fail(beaten())
            return
        self._tries += 1
        Eager(self._resources.store.load(self._input.msisdn, latest=True), self._fail, self._judge)

    def _judge(self, loaded: tuple[Subscriber, int]) -> None:
        """Tell what the input is: new, come again, or too late; and do what is done with such."""
        resources, input = self._resources, self._input
        record, version = loaded
        typed = resources.digest(input.text)
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
        until = input.at + resources.limits.deadline_ms
        turn = Turn(resources.flow, record, version, input.at, until, resources.tools, input.account, input.number)
        self._record = record
        self._name = name
        self._typed = typed
        self._last = last
        self._heard = heard
        self._turn = turn
        if known == "new":
            self._play(turn, heard)
        elif known == "stale":
            self._keep(turn, self._too_late(turn, last))
        elif last is not None and not messages.ask_again(resources, turn, input, last):
            resources.metrics.turns[input.channel.name, "repeated"] += 1
            self._end(Answer(last.text, last.ends, pushed=last.pushed))
        else:
            self._keep(turn, _SILENCE)

    def _too_late(self, turn: Turn, last: Exchange | None) -> Answer:
        """Say that a dialogue is over, and note it where it is one that we began."""
        input = self._input
        push = pushes.late(last) if last is not None and input.kind == "reply" else ""
        if push:
            turn.journal.append(JournalEntry(turn.now, pushes.LATE, {"push": push}))
        if input.kind == "confirm":
            return _SILENCE  # the last text of a dialogue that we began is confirmed as well
        self._resources.metrics.turns[input.channel.name, "stale"] += 1
        if input.kind == "drop":
            return _SILENCE
        return Answer(self._resources.text("expired", input.channel, turn.record.language), pushed=bool(push))

    def _play(self, turn: Turn, heard: pushes.Heard | None) -> None:
        """Play the input; an SMS is answered by SMS, from the outbox, everything else at once.

        `heard` is what it means for a push.
        """
        input = self._input
        if input.kind == "message":
            rest = messages.play(self._resources, turn, input)
            if rest is None:
                self._keep(turn, _SILENCE)
            else:
                Eager(rest, self._fail, self._played)
            return
        if heard is not None:
            turn.record = pushes.heard_of(turn.record, heard)
            turn.journal.extend(heard.note(turn.now))
            turn.dropped.extend(heard.drops)
            if heard.push.kind == "notify":
                self._keep(turn, _SILENCE)
                return
        event = event_of(turn, input)
        if event is None:
            self._resources.metrics.turns[input.channel.name, "unknown"] += 1
            self._keep(turn, Answer(self._resources.text("unknown_code", input.channel, turn.record.language)))
            return
        shown = turn.begin(event, input.channel)
        if shown is None or type(shown) is Show:
            self._played(shown)
        else:
            Eager(shown, self._fail, self._played)

    def _played(self, shown: Show | None) -> None:
        """Answer with what the turn has come to show."""
        input = self._input
        if shown is None or input.kind in ENDINGS:
            self._keep(self._turn, _SILENCE)
        else:
            pushed = _was_pushed(self._last, input, self._heard)
            self._keep(self._turn, Answer(shown.text, shown.ends, True, pushed))

    def _keep(self, turn: Turn, answer: Answer) -> None:
        """Commit what the turn has done, and with it the answer; where it has done nothing, answer."""
        resources, input, heard = self._resources, self._input, self._heard
        if turn.record is self._record and not turn.played and not turn.journal:
            self._end(answer)
            return
        if heard is None or (heard.push.kind == "ask" and input.kind != "confirm"):
            exchanges = remember(self._record.exchanges, self._name, self._last, input, self._typed, answer)
            turn.record = replace(turn.record, exchanges=exchanges)
        change = turn.change()
        self._answer = answer
        resources.admission.begun()
        asked = self._asked = resources.stopwatch()
        try:
            if change.outbox:
                resources.commit_work(change, self._committed)
            else:
                resources.store.commit_then(change, self._committed)
        except Exception as error:
            if self._asked is asked:
                self._committed(error)
            else:
                report("a commit broke after it told", input, error)

    def _committed(self, done: bool | BaseException) -> None:
        """Answer what was committed; go on from the newer record where something else was faster."""
        asked = self._asked
        if asked is None:  # it raised before it told
            return
        self._asked = None
        resources = self._resources
        resources.admission.done(self._age, resources.stopwatch() - asked)
        try:
            if done is True:
                self._answered(self._answer)
            elif done is False:
                resources.metrics.turns[self._input.channel.name, "conflict"] += 1
                self._again()
            elif isinstance(done, Unsure):
                Eager(self._kept(), partial(self._unfound, done), partial(self._found, done))
            else:
                self._lost(done)
        except Exception as error:
            self._fail(error)

    async def _kept(self) -> Answer | None:
        """Return the answer that this input has in the record, by a commit of which we do not know; None for none."""
        record, _ = await self._resources.store.load(self._input.msisdn, latest=True)
        last = record.exchanges.get(self._name)
        if last is None or standing(last, self._input, self._typed) != "repeated":
            return None
        return Answer(last.text, last.ends, pushed=last.pushed)

    def _found(self, unsure: Unsure, kept: Answer | None) -> None:
        """Answer what the record has by a commit of which nobody could tell."""
        if kept is None:
            self._lost(unsure)
        else:
            self._answered(kept)

    def _unfound(self, unsure: Unsure, error: BaseException) -> None:
        """Fail by the commit of which nobody could tell, where the look for what became of it broke."""
        self._lost(unsure if isinstance(error, StoreUnavailable) else error)

    def _answered(self, answer: Answer) -> None:
        """Answer what is durable, and count it."""
        try:
            self._resources.metrics.turns[self._input.channel.name, "answered"] += 1
            if self._heard is not None or self._turn.journal:
                self._count_push()
        except Exception as error:
            report("turn not counted", self._input, error)
        self._end(answer)

    def _count_push(self) -> None:
        resources, heard = self._resources, self._heard
        if heard is not None:  # the next push of this subscriber may be due
            resources.work_waits()
        if heard is not None and heard.result:
            resources.metrics.pushes[heard.push.kind, heard.result] += 1
        elif any(entry.kind == pushes.LATE for entry in self._turn.journal):
            resources.metrics.pushes["ask", "late"] += 1

    def _lost(self, error: BaseException) -> None:
        """Answer what is known of a commit that failed."""
        language = self._turn.record.language
        self._end(failed(self._resources, self._input, of_commit(error), language))

    def _fail(self, error: BaseException) -> None:
        """Answer that something broke, if need be without a word."""
        self._end(failed(self._resources, self._input, error))

    def _end(self, answer: Answer) -> None:
        """Answer, and let the subscriber's next input begin, whatever breaks."""
        resources, input = self._resources, self._input
        try:
            self._answering(answer)
            resources.metrics.turn_seconds[input.channel.name].observe(resources.stopwatch() - self._read)
        except Exception as error:
            report("answering failed", input, error)
        finally:
            self._ended(input.msisdn)


def _was_pushed(last: Exchange | None, input: Input, heard: pushes.Heard | None) -> bool:
    """Whether it was we who began the dialogue."""
    if heard is not None:
        return heard.push.kind == "ask" and heard.result == "answered"
    return last is not None and last.pushed and last.dialogue == input.dialogue and input.kind != "dial"
