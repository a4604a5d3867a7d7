"""The conversation: events in, effects out. Pure: the same inputs give the same step.

Where a conversation goes is decided by the flow's machine (`menus.machine`). Here it is decided what an event means to
a session: that it goes on from where it stands (`menus.walk`), is taken up again (`menus.resume`), begins anew or is
over.
"""

import msgspec

from menus.conditions import Facts
from menus.events import Answered, Ask, Begin, Defer, Effect, Event, Late, Reply, Send, Show
from menus.flow import Flow
from menus.limits import MAX_INPUT, MAX_TAIL, SMS_WAITS_MS
from menus.machine import START
from menus.nodes import ASKING, Ordering
from menus.own_texts import SMS, close, last_screen, say
from menus.render import Channel
from menus.resume import ask_to_resume, dropped, policy, resumed, wants_to_resume
from menus.session import Pending, Session, Value, encode
from menus.standing import foreign
from menus.steps import Step
from menus.walk import under_way


def step(flow: Flow, session: Session | None, event: Event, now: int, facts: Facts, channel: Channel) -> Step:
    """Take one event. `facts` are the registry's, and `msisdn` and `language` of the subscriber.

    The effects hold at most one of `Show` and `Ask`. After an `Ask`, step again with its `Answered` or `Late` and the
    session of this step. Without either the event changed nothing that the subscriber would see.

    What is in a step is shared with other subscribers' steps, so it must not be changed.
    """
    done = flow.memory.step(work_out, session, event, now, facts, channel)
    waits = done.waits
    return done if waits is None else Step(waits.session, (Ask(waits.id, waits.operation, waits.arguments),))


def work_out(flow: Flow, session: Session | None, event: Event, now: int, facts: Facts, channel: Channel) -> Step:
    """Take one event without remembering any: this says what `step` returns.

    Who feeds an answer back within the turn calls `flow.memory.step` with this, and `flow.memory.answered`, and needs
    no session between question and answer.
    """
    if isinstance(event, Reply):
        return _reply(flow, session, event, now, facts, channel)
    if isinstance(event, Answered):
        return _answered(flow, session, event, now, facts, channel)
    if isinstance(event, Begin):
        return _begin(flow, session, event, now, facts, channel)
    if isinstance(event, Late):
        return _late(flow, session, event, now, facts, channel)
    return dropped(flow, session, now)


def conclude(flow: Flow, pending: Pending, outcome: str, value: Value, now: int, facts: Facts) -> tuple[Effect, ...]:
    """Return what the later outcome of a command leads to: its SMS, in the subscriber's language.

    Where the flow has changed since, and has no such node any more, the SMS says in general whether it was done.
    """
    language = flow.language(facts)
    node = flow.nodes.get(pending.node)
    if isinstance(node, Ordering) and pending.revision == flow.revision:
        closing = node.closings.get(outcome)
        if closing is not None and flow.fits(node.call.operation.name, outcome, encode(value)):
            values = {**pending.values, closing.name: value} if closing.name else pending.values
            return (Send(closing.sms.render("sms", language, values)),)
    operation = flow.registry.operations.get(pending.operation)
    done = operation is not None and outcome == next(iter(operation.outcomes))
    return (Send(say(flow, "order_done" if done else "order_failed", {}, language)),)


def accepts(flow: Flow, session: Session, text: str, facts: Facts, now: int | None = None) -> bool:
    """Whether a session that waits would take this text as a valid input; with `now`, also whether it still waits."""
    if foreign(flow, session) or session.asked or len(text) > MAX_INPUT:
        return False
    if now is not None and now - session.at > SMS_WAITS_MS:
        return False
    if session.instead:
        return wants_to_resume(flow, text) is not None
    turn = under_way(flow, session, session.at, facts, SMS)
    trigger = turn.understood(text)
    return bool(trigger) and flow.moves.take(trigger, turn)


def open_question(flow: Flow, session: Session, now: int, facts: Facts, channel: Channel) -> Show | None:
    """Return the screen that a session waits at, to be read once more; None where it waits for no answer to one."""
    if foreign(flow, session) or session.asked or session.instead:
        return None
    effects = under_way(flow, session, now, facts, channel).show_again().effects
    return next((effect for effect in effects if isinstance(effect, Show)), None)


def _reply(flow: Flow, session: Session | None, event: Reply, now: int, facts: Facts, channel: Channel) -> Step:
    if session is None:
        return close(flow, "expired", facts, channel)
    if foreign(flow, session):
        fresh = Session(session.id, flow.revision, channel.name, START, now, serial=session.serial)
        turn = under_way(flow, fresh, now, facts, channel)
        turn.reason = "expired"
        return turn.begin(flow.home, {})
    if session.asked:
        return Step(session, close(flow, "late", facts, channel).effects)
    if session.instead:
        return resumed(flow, session, event, now, facts, channel)
    return under_way(flow, session, now, facts, channel).reply(event.text)


def _begin(flow: Flow, session: Session | None, event: Begin, now: int, facts: Facts, channel: Channel) -> Step:
    availability = flow.availability
    if availability is not None and not availability.covers(str(facts.get("msisdn", "")), now):
        text = availability.outside.render(channel.name, flow.language(facts), {})
        return Step(None, (last_screen(flow, text, facts, channel),))
    # Who dials another code than the one that was cut off wants that, and is not asked.
    if session is not None and session.entry == event.node and not event.tail and not event.values:
        match policy(flow, session, now):
            case "continue":
                return under_way(flow, session, now, facts, channel).show_again()
            case "ask":
                asking = msgspec.structs.replace(session, instead=event.node, at=now, channel=channel.name, tries=0)
                return ask_to_resume(flow, asking, facts, channel)
    fresh = Session(event.id, flow.revision, channel.name, START, now, tail=event.tail[:MAX_TAIL])
    return under_way(flow, fresh, now, facts, channel).begin(event.node, event.values)


def _answered(flow: Flow, session: Session | None, event: Answered, now: int, facts: Facts, channel: Channel) -> Step:
    if session is None or not session.asked or session.asked != event.ask:
        return Step(session)
    if foreign(flow, session):
        return close(flow, "expired", facts, channel)
    return under_way(flow, session, now, facts, channel).answered(event.outcome, event.value)


def _late(flow: Flow, session: Session | None, event: Late, now: int, facts: Facts, channel: Channel) -> Step:
    if session is None or not session.asked or session.asked != event.ask:
        return Step(session)
    node = flow.nodes.get(session.node)
    if foreign(flow, session) or not isinstance(node, ASKING):
        return close(flow, "expired", facts, channel)
    call = node.call
    if call.secret or call.operation.kind != "query":
        # What holds a secret is never stored, so it cannot be done later.
        return close(flow, "broken", facts, channel)
    deferred = Defer(event.ask, call.operation.name, call.values(session.values))
    waiting = msgspec.structs.replace(session, channel="sms", at=now, tail=())
    if channel.name == "sms":
        return Step(waiting, (deferred,))
    return Step(waiting, (*close(flow, "late", facts, channel).effects, deferred))
