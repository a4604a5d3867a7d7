"""Walks through a service with its memory, held against the same walks without, and what of them was worked out."""

from dataclasses import dataclass, field, replace
from typing import Any

from menus.compiler import Flow
from menus.conditions import Facts
from menus.engine import work_out
from menus.events import Answered, Ask, Begin, Effect, Event, Reply
from menus.memory import Memory
from menus.render import Channel
from menus.session import Items, Session, Value
from menus.steps import Step
from tests.menus.small import FACTS, NOW, USSD, item, shop

FLOW = shop()
GOODS = Items(item(number) for number in range(1, 13))
OTHERS = Items(item(number) for number in range(3, 6))
ANSWERS: dict[str, tuple[str, Value]] = {
    "items": ("ok", GOODS),
    "find": ("ok", item(5)),
    "quote": ("ok", {"price": 5000, "starts": "2009-12-01"}),
    "verify": ("ok", None),
    "activate": ("done", None),
}
OUTCOMES: dict[str, list[tuple[str, Value]]] = {
    "items": [("ok", GOODS), ("ok", OTHERS), ("ok", list(OTHERS)), ("ok", Items()), ("down", None), ("down", GOODS)],
    "find": [("ok", item(1)), ("unknown", None)],
    "quote": [("ok", {"price": 0, "starts": "2010-02-28"}), ("poor", {"missing": 12345}), ("ok", GOODS)],
    "verify": [("ok", None), ("wrong", None)],
    "balance": [
        ("ok", {"left": 5}),
        ("ok", {"left": -(10**12), "more": "than is asked for"}),
        ("ok", {"left": "5"}),
        ("ok", {"left": 5, "much": "x" * 20_000}),
        ("ok", [5]),
        ("down", None),
        ("down", {"left": 5}),
        ("gone", {"left": 5}),
    ],
    "activate": [("done", None), ("already", None)],
}


def flow_with(steps: int = 4096, octets: int = 1 << 22) -> Flow:
    """Return the flow with a memory of its own, of this size."""
    fresh = replace(FLOW)
    fresh.__dict__["memory"] = Memory(fresh, steps, octets)
    return fresh


class Walk:
    """One event after the other, as a turn hands them in, and which of them had to be worked out."""

    def __init__(self, flow: Flow, channel: Channel, now: int, session: Session | None) -> None:
        self.flow, self.channel, self.now = flow, channel, now
        self.done = Step(session)
        self.worked_out: list[Event] = []

    def work_out(self, flow: Flow, session: Session | None, event: Event, *more: Any) -> Step:
        self.worked_out.append(event)
        return work_out(flow, session, event, *more)

    def take(self, event: Event, facts: Facts) -> tuple[Effect, ...]:
        memory, before, session = self.flow.memory, self.done, self.session
        at = self.now, facts, self.channel
        if isinstance(event, Answered) and session is not None and session.asked == event.ask != "":
            done = self.done = memory.answered(self.work_out, before, event.outcome, event.value, *at)
        else:
            done = self.done = memory.step(self.work_out, session, event, *at)
        waits = done.waits
        if waits is None:
            return done.effects
        assert (done.session, done.effects) == (None, ())
        return (Ask(waits.id, waits.operation, waits.arguments),)

    @property
    def session(self) -> Session | None:
        return self.done.whole_session


@dataclass
class Counted:
    """Takes a subscriber's steps with the flow's memory, and counts those that had to be worked out."""

    flow: Flow
    id: str = "s1"
    channel: Channel = USSD
    facts: dict[str, str | bool | int] = field(default_factory=lambda: dict(FACTS))
    answers: dict[str, tuple[str, Value]] = field(default_factory=lambda: dict(ANSWERS))
    session: Session | None = None
    taken: list[tuple[Session | None, Event]] = field(default_factory=list)
    """All steps: where the subscriber stood, and what they did there."""
    asked: list[tuple[Session | None, Event, Session | None]] = field(default_factory=list)
    """Those that asked: where the subscriber stood, what they did there, and where they waited then."""

    def does(self, *events: Event) -> list[Event]:
        """Take these events and the answers between them, as without a memory; return which had to be worked out."""
        facts = self.facts | {"channel": self.channel.name}
        worked_out: list[Event] = []
        for event in events:
            walk = Walk(self.flow, self.channel, NOW, self.session)
            waiting: Event | None = event
            plain = self.session
            while waiting is not None:
                effects = walk.take(waiting, facts)
                done = work_out(self.flow, plain, waiting, NOW, facts, self.channel)
                assert Step(walk.session, effects) == done
                self.taken.append((plain, waiting))
                if asks := [effect for effect in effects if isinstance(effect, Ask)]:
                    self.asked.append((plain, waiting, done.session))
                    waiting = Answered(asks[0].id, *self.answers[asks[0].operation])
                else:
                    waiting = None
                plain = done.session
            self.session = walk.session
            worked_out += walk.worked_out
        return worked_out

    def walks(self) -> list[Event]:
        """Take the usual way: the menu, the list, an item and back, the menu."""
        return self.does(Begin(self.id, "main"), *map(Reply, ("1", "3", "0", "99", "00", "x", "5")))


FREE = [Reply("x")]


def warm() -> Flow:
    """Return the flow with the usual way remembered: two subscribers took it."""
    flow = flow_with()
    for msisdn in ("79101111111", "79102222222"):
        Counted(flow, facts=FACTS | {"msisdn": msisdn}).walks()
    return flow


def agree(flow: Flow, session: Session | None, *events: Event) -> bool:
    """Whether these steps are the same with and without memory; of a session that cannot be, also how they fail."""
    facts = FACTS | {"channel": USSD.name}
    walk = Walk(flow, USSD, NOW, session)
    results: list[list[Step | type[Exception]]] = [[], []]
    for event in events:
        try:
            effects = walk.take(event, facts)
            results[0].append(Step(walk.session, effects))
        except (KeyError, TypeError, AssertionError) as error:
            results[0].append(type(error))
        try:
            done = work_out(flow, session, event, NOW, facts, USSD)
            session = done.session
            results[1].append(done)
        except (KeyError, TypeError, AssertionError) as error:
            results[1].append(type(error))
    return results[0] == results[1]
