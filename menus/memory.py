"""Steps that were taken before: where another subscriber's is the very same, it is looked up and not worked out again.

Nearly every step of a service is the same for everybody: at the menu "2" asks for the tariffs, and the same tariffs
give the same screen. What a step is, `menus.engine.work_out` alone says; here is kept what it said.

A step is found by all that it depends on, so it can never be another subscriber's. What a session carries (its way back
and its values) may be kilobytes, and is known by identity: all kept steps share one copy of what is equal and sessions
get that copy, so whoever comes back with it is known at once. What was read from a store is known by its stored form.

What somebody typed may be a secret, so neither that nor anything that follows from it is ever kept. A kept step begins
with nothing, or with what another kept step led to; and it was taken by one or two digits at a screen that asks for no
value, by an answer that came to another subscriber as well, or by an entry without anything after it.
"""

from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from menus.conditions import Facts
from menus.events import Answered, Ask, Begin, Effect, Event, Reply, Show, Step
from menus.machine import START
from menus.nodes import Input
from menus.render import Channel
from menus.session import Items, Place, Session, Values, encode

if TYPE_CHECKING:
    from menus.flow import Flow

WorkOut: TypeAlias = "Callable[[Flow, Session | None, Event, int, Facts, Channel], Step]"
Carried: TypeAlias = tuple[tuple[Place, ...], Values]
"""What a session carries: its way back and its values."""

KEPT_STEPS: Final = 8192
"""Steps kept of a flow, 1 KB each. The shipped service taken to its last screen by three kinds of subscribers, in three
languages and on three channels, has 2,942."""
KEPT_OCTETS: Final = 4 * 1024 * 1024
"""What the sessions of kept steps carry together at most, in its stored form; in memory it takes a few times as much.
A list of tariffs is 4 KB, and there is one for each set of products that subscribers have."""

_KEYS: Final = frozenset([*map(str, range(100)), *(f"0{digit}" for digit in range(10))])
_NOWHERE: Final[tuple[Place, ...]] = ()
_NOTHING: Final[Values] = {}
_STANDS: Final = attrgetter("node", "page", "tries", "tail", "slots", "entry", "revision", "instead")
"""All of a session that decides a step, but for what it carries, and whether it waits for an answer."""


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """A step: `session` is what it leads to but for id, time and count, None where `step` has none to keep.

    `asks` is the operation that is asked with `arguments`, "" where a screen is shown. `begins` is what the step's key
    knows by identity: while the step is kept, nothing else can have its address.
    """

    step: Step
    session: Session | None
    effects: tuple[Effect, ...]
    asks: str
    arguments: Values
    begins: Carried


class Memory:
    """The kept steps of one flow. With more than `steps`, or if they carry more than `octets`, it forgets them all."""

    def __init__(self, flow: "Flow", steps: int = KEPT_STEPS, octets: int = KEPT_OCTETS) -> None:
        self._flow = flow
        self._most_steps = steps
        self._most_octets = octets
        self._seen: Callable[[Facts], Any] = itemgetter(*sorted({"language", *flow.facts}))
        self._kept: dict[object, _Kept] = {}
        self._carried: dict[bytes, Carried] = {}
        self._addresses: set[tuple[int, int]] = set()
        self._first_came_to: dict[int, object] = {}
        self.octets = 0
        """What the sessions of the kept steps carry together, in its stored form."""
        self.forget()

    def __len__(self) -> int:
        return len(self._kept)

    def forget(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._carried.clear()
        self._addresses.clear()
        self.octets = 0
        self._share((_NOWHERE, _NOTHING))

    def step(
        self, work_out: WorkOut, session: Session | None, event: Event, now: int, facts: Facts, channel: Channel
    ) -> Step:
        """Return the step that `work_out` would return."""
        # Not `isinstance`: of a Struct it asks the metaclass, which takes five times as long where it says no.
        said: object
        if type(event) is Reply:
            if session is None or session.asked:
                return work_out(self._flow, session, event, now, facts, channel)
            said, stands = event.text, session
        elif type(event) is Answered:
            value = event.value
            if session is None or not session.asked or session.asked != event.ask:
                return work_out(self._flow, session, event, now, facts, channel)
            if value is not None:
                if type(value) is not Items:  # one subscriber's own
                    return work_out(self._flow, session, event, now, facts, channel)
                value = value.packed
            said, stands = (event.outcome, value), session
        elif type(event) is Begin and self._begins_afresh(session, event, now, facts):
            said, stands = (Begin, event.node), Session(event.id, self._flow.revision, channel.name, START, now)
        else:
            return work_out(self._flow, session, event, now, facts, channel)
        try:
            seen = self._seen(facts)
        except KeyError:
            return work_out(self._flow, session, event, now, facts, channel)
        key = (id(stands.values or _NOTHING), id(stands.trail), _STANDS(stands), said, seen, channel)
        kept = self._kept.get(key)
        if kept is None:
            return self._first(key, stands, work_out, session, event, now, facts, channel)
        goes_on = kept.session
        if goes_on is None:
            return kept.step
        if kept.asks:
            serial = stands.serial + 1
            ask = f"{stands.id}-{serial}"
            return Step(
                replace(goes_on, id=stands.id, at=now, asked=ask, serial=serial), (Ask(ask, kept.asks, kept.arguments),)
            )
        return Step(replace(goes_on, id=stands.id, at=now, serial=stands.serial), kept.effects)

    def _begins_afresh(self, session: Session | None, event: Begin, now: int, facts: Facts) -> bool:
        """Whether a session begins at an entry, whatever there was before."""
        available = self._flow.availability
        return not (
            event.tail
            or event.values
            or (session is not None and session.dropped)
            or (available is not None and not available.covers(str(facts.get("msisdn", "")), now))
        )

    def _first(
        self,
        key: tuple[object, ...],
        stands: Session,
        work_out: WorkOut,
        session: Session | None,
        event: Event,
        now: int,
        facts: Facts,
        channel: Channel,
    ) -> Step:
        """Return a step that was not found, and keep it where others may come to it."""
        if not self._may_keep(stands, event):
            return work_out(self._flow, session, event, now, facts, channel)
        begins = stands.trail, stands.values or _NOTHING
        if _address(begins) not in self._addresses:
            shared = self._carried.get(encode(begins))
            if shared is None:
                return work_out(self._flow, session, event, now, facts, channel)
            known = replace(stands, trail=shared[0], values=shared[1])
            return self.step(work_out, known, event, now, facts, channel)
        done = work_out(self._flow, session, event, now, facts, channel)
        if isinstance(event, Answered) and event.value is not None and not self._came_to_others(event, facts):
            return done
        return self._keep(key, begins, done)

    def _came_to_others(self, event: Answered, facts: Facts) -> bool:
        """Whether this answer came to another subscriber before; one subscriber's own list is not worth keeping."""
        if len(self._first_came_to) >= self._most_steps:
            self._first_came_to.clear()
        answer, subscriber = hash((event.outcome, event.value.packed)), facts.get("msisdn")
        return self._first_came_to.setdefault(answer, subscriber) != subscriber

    def _may_keep(self, stands: Session, event: Event) -> bool:
        """Whether nothing that somebody typed freely goes into this step, as far as the session carries none."""
        if stands.tail or stands.revision != self._flow.revision:
            return False
        if isinstance(event, Reply):
            node = self._flow.nodes.get(stands.node)
            return event.text in _KEYS and node is not None and not isinstance(node, Input)
        return True

    def _keep(self, key: tuple[object, ...], begins: Carried, done: Step) -> Step:
        """Keep a step that was worked out, and return it with what its session carries shared."""
        if len(done.effects) != 1 or not isinstance(effect := done.effects[0], Ask | Show):
            return done
        if len(self._kept) >= self._most_steps or self.octets >= self._most_octets:
            self.forget()
        session = done.session
        if session is not None:
            trail, values = self._share((session.trail, session.values))
            session = replace(session, trail=trail, values=values)
            done = Step(session, done.effects)
        asks, arguments = (effect.operation, effect.arguments) if isinstance(effect, Ask) else ("", _NOTHING)
        self._kept[key] = _Kept(done, session, done.effects, asks, arguments, begins)
        return done

    def _share(self, carried: Carried) -> Carried:
        """Return the one copy of what sessions carry."""
        form = encode(carried)
        shared = self._carried.get(form)
        if shared is None:
            trail, values = carried
            shared = self._carried[form] = trail, values or _NOTHING
            self._addresses.add(_address(shared))
            self.octets += len(form)
        return shared


def _address(carried: Carried) -> tuple[int, int]:
    trail, values = carried
    return id(trail), id(values)
