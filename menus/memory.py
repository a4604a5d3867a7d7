"""Steps that were taken before: where another subscriber's is the very same, it is looked up and not worked out again.

Nearly every step of a service is the same for everybody: at the menu "2" asks for the tariffs, and the same tariffs
give the same screen. What a step is, `menus.engine.work_out` alone says; here is kept what it said.

A step is found by all that it depends on, so it can never be another subscriber's. What a session carries (its way back
and its values) may be kilobytes, and is known by identity: all kept steps share one copy of what is equal and sessions
get that copy, so whoever comes back with it is known at once. What was read from a store is known by its stored form.
What an answer leads to is kept with the step that asked, of which no session needs to be made then.

An answer that is one subscriber's own is not kept, but where it leads is, if that is the end (`menus.endings`).

What somebody typed may be a secret, so neither that nor anything that follows from it is ever kept. A kept step begins
with nothing, or with what another kept step led to; and it was taken by one or two digits at a screen that asks for no
value, by an answer that came to another subscriber as well, or by an entry without anything after it.
"""

from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from msgspec.structs import replace

from menus.availability import Availability
from menus.conditions import Facts
from menus.endings import Ends, endings
from menus.events import Answered, Ask, Begin, Event, Reply, Show
from menus.nodes import Input
from menus.render import Channel
from menus.session import Items, Place, Session, Value, Values, encode
from menus.steps import Carried, Kept, Step, Waiting

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


class Remembered(Ends, Protocol):
    """What a memory needs to know of the flow whose steps it keeps."""

    @property
    def revision(self) -> str:
        """Changes whenever what the flow says changes."""

    @property
    def facts(self) -> frozenset[str]:
        """The facts on which a step depends, but for the language."""

    @property
    def availability(self) -> Availability | None:
        """When and for whom the flow is there."""


F = TypeVar("F", bound=Remembered)
WorkOut: TypeAlias = Callable[[F, Session | None, Event, int, Facts, Channel], Step]


class Memory(Generic[F]):
    """The kept steps of one flow. With more than `steps`, or if they carry more than `octets`, it forgets them all."""

    def __init__(self, flow: F, steps: int = KEPT_STEPS, octets: int = KEPT_OCTETS) -> None:
        self._flow = flow
        self._most_steps = steps
        self._most_octets = octets
        self._seen: Callable[[Facts], Any] = itemgetter(*sorted({"language", *flow.facts}))
        self._kept: dict[object, Kept] = {}
        """Steps by where the subscriber stood and what they typed; those by an answer are with the one that asked."""
        self._steps = 0
        self._carried: dict[bytes, Carried] = {}
        self._addresses: set[tuple[int, int]] = set()
        self._first_came_to: dict[int, object] = {}
        self.octets = 0
        """What the sessions of the kept steps carry together, in its stored form."""
        self.forget()

    def __len__(self) -> int:
        return self._steps

    def forget(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._steps = 0
        self._carried.clear()
        self._addresses.clear()
        self.octets = 0
        self._share((_NOWHERE, _NOTHING))

    def step(
        self, work_out: WorkOut[F], session: Session | None, event: Event, now: int, facts: Facts, channel: Channel
    ) -> Step:
        """Return the step that `work_out` would return; a kept one that asks has `waits` alone, and no session."""
        try:
            seen = self._seen(facts)
        except KeyError:  # then nothing is asked at a kept step either
            return work_out(self._flow, session, event, now, facts, channel)
        key: tuple[object, ...]
        # Not `isinstance`: of a Struct it asks the metaclass, which takes five times as long where it says no.
        if type(event) is Reply and session is not None and not session.asked:
            id_, serial = session.id, session.serial
            values = session.values or _NOTHING
            key = (id(values), id(session.trail), _STANDS(session), event.text, seen, channel)
        elif type(event) is Begin and self._begins_afresh(session, event, now, facts):
            id_, serial = event.id, 0
            key = (event.node, seen, channel)
        else:
            return work_out(self._flow, session, event, now, facts, channel)
        kept = self._kept.get(key)
        if kept is None:
            return self._first(self._kept, key, work_out, session, event, now, facts, channel)
        return kept.again(id_, serial, now)

    def answered(
        self, work_out: WorkOut[F], done: Step, outcome: str, value: Value, now: int, facts: Facts, channel: Channel
    ) -> Step:
        """Return the step that follows `done` by the answer to what it asks: what `work_out` would, as `step` does."""
        waits = done.waits
        if waits is None:
            session = done.session
            assert session is not None, "whoever asks goes on"
            return work_out(self._flow, session, Answered(session.asked, outcome, value), now, facts, channel)
        asked, packed = waits.kept, None
        if type(value) is Items:
            packed = value.packed
        elif value is not None:  # one subscriber's own, of which nothing is kept but where it leads
            ending = asked.endings.get(outcome)
            shown = ending.show(self._flow, value, facts, channel) if ending is not None else None
            if shown is not None:
                return Step(None, (shown,))
            return work_out(self._flow, waits.session, Answered(waits.id, outcome, value), now, facts, channel)
        key = (outcome, packed, self._seen(facts))
        kept = asked.answers.get(key)
        if kept is None:
            event = Answered(waits.id, outcome, value)
            return self._first(asked.answers, key, work_out, waits.session, event, now, facts, channel)
        return kept.again(waits.session_id, waits.serial, now)

    def _first(
        self,
        among: dict[object, Kept],
        key: tuple[object, ...],
        work_out: WorkOut[F],
        session: Session | None,
        event: Event,
        now: int,
        facts: Facts,
        channel: Channel,
    ) -> Step:
        """Return a step that was not found, and keep it where others may come to it."""
        begins: Carried = _NOWHERE, _NOTHING
        keeps = True
        if isinstance(event, Reply) and session is not None:
            known = self._carries(session) if self._may_keep(session, event.text) else None
            if known is not None and known is not session:
                return self.step(work_out, known, event, now, facts, channel)
            keeps = known is not None
            begins = session.trail, session.values or _NOTHING
        elif isinstance(event, Answered):
            keeps = self._came_to_others(event, facts)
        done = work_out(self._flow, session, event, now, facts, channel)
        return self._keep(among, key, begins, done, now) if keeps else done

    def _begins_afresh(self, session: Session | None, event: Begin, now: int, facts: Facts) -> bool:
        """Whether a session begins at an entry, whatever there was before."""
        available = self._flow.availability
        return not (
            event.tail
            or event.values
            or (session is not None and session.dropped)
            or (available is not None and not available.covers(str(facts.get("msisdn", "")), now))
        )

    def _may_keep(self, session: Session, text: str) -> bool:
        """Whether nothing that somebody typed freely goes into this step, as far as the session carries none."""
        if session.tail or session.revision != self._flow.revision:
            return False
        node = self._flow.nodes.get(session.node)
        return text in _KEYS and node is not None and not isinstance(node, Input)

    def _carries(self, session: Session) -> Session | None:
        """Return the session with the one copy of what it carries, None where it carries what no kept step led to."""
        if (id(session.trail), id(session.values or _NOTHING)) in self._addresses:
            return session
        shared = self._carried.get(encode((session.trail, session.values)))
        return None if shared is None else replace(session, trail=shared[0], values=shared[1])

    def _came_to_others(self, answer: Answered, facts: Facts) -> bool:
        """Whether this answer came to another subscriber before; one subscriber's own list is not worth keeping."""
        if answer.value is None:
            return True
        if len(self._first_came_to) >= self._most_steps:
            self._first_came_to.clear()
        known, subscriber = hash((answer.outcome, answer.value.packed)), facts.get("msisdn")
        return self._first_came_to.setdefault(known, subscriber) != subscriber

    def _keep(self, among: dict[object, Kept], key: object, begins: Carried, done: Step, now: int) -> Step:
        """Keep a step that was worked out, and return it with what its session carries shared."""
        if len(done.effects) != 1 or not isinstance(effect := done.effects[0], Ask | Show):
            return done
        if self._steps >= self._most_steps or self.octets >= self._most_octets:
            self.forget()
        self._steps += 1
        session = done.session
        if session is None:
            among[key] = Kept(None, done.effects, "", _NOTHING, {}, begins)
            return done
        trail, values = self._share((session.trail, session.values))
        goes_on = replace(session, id="", at=0, asked="", serial=0, trail=trail, values=values)
        if isinstance(effect, Ask):
            ends = endings(self._flow, goes_on)
            kept = among[key] = Kept(goes_on, (), effect.operation, effect.arguments, {}, begins, ends)
            waits = Waiting(effect.id, effect.operation, effect.arguments, kept, session.id, session.serial, now)
            return Step(None, (), waits)
        among[key] = Kept(goes_on, done.effects, "", _NOTHING, {}, begins)
        return Step(replace(session, trail=trail, values=values), done.effects)

    def _share(self, carried: Carried) -> Carried:
        """Return the one copy of what sessions carry."""
        form = encode(carried)
        shared = self._carried.get(form)
        if shared is None:
            trail, values = carried
            shared = self._carried[form] = trail, values or _NOTHING
            self._addresses.add((id(trail), id(shared[1])))
            self.octets += len(form)
        return shared
