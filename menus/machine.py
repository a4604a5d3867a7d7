"""A flow's moves as one state machine: the only module that knows `transitions`.

States are the flow's nodes; every move that a conversation makes is one of the machine's transitions, taken or refused
by it. The machine is built when a flow is loaded and has no model: each step makes a throwaway `Cursor`, and nothing is
ever added to the machine in a step. Triggers come from a closed set, never from what a subscriber typed.

| trigger | from | to | if | on the way |
|---|---|---|---|---|
| `begin NODE` | the start | an entry's node | | |
| `choose N` | menu, message, confirm | the option's node | its condition | remember the way back, bind its values |
| `pick` | list | its node | there is such an item | remember the way back, bind the item |
| `enter` | input | its node | | remember the way back, bind the value |
| `got OUTCOME` | query, do, list | the outcome's node | | bind its value; after `do`: forget the way back |
| `got OUTCOME` | list | stays | the first outcome, with items | keep the items; without them: its `empty` |
| `decide` | check | yes or no | the condition | |
| `placed` | command | its node | | forget the way back |
| `more`, `back` | screens | stays | there is such a page | turn the page |
| `back` | screens | the last screen | there is one | undo what was bound since |
| `home` | screens | home | | forget the way back and all values |
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from transitions import Event, Machine, Transition

from menus.conditions import Facts
from menus.limits import MAX_TRAIL
from menus.session import Place, Value, Values

START: Final = ":start"
"""The state before an entry; no node can have this name."""


class Cursor(msgspec.Struct, gc=False):
    """One step's moving part: where a conversation is, and what goes with it from node to node."""

    state: str
    page: int
    trail: tuple[Place, ...]
    values: Values
    facts: Facts
    pages: int = 1
    """How many pages the screen has."""
    packed: bytes = b""
    """The items that were answered, as a session keeps them."""
    value: Value = None
    """What was entered, picked or answered."""
    settled: bool = False
    """Whether the node was entered before, so that a list shows the items that it has."""

    def bind(self, name: str, value: Value) -> None:
        """Give a value a name, and remember for the way back what had it."""
        values, trail = self.values, self.trail
        if trail:
            last = trail[-1]
            if name not in last.before:
                before = last.before | {name: values.get(name)}
                self.trail = (*trail[:-1], Place(last.node, last.page, before))
        self.values = values | {name: value}

    def drop(self, name: str) -> None:
        """Forget a value for good."""
        self.values = {other: value for other, value in self.values.items() if other != name}

    def leave(self) -> None:
        """Go on to another node, with a way back to this one."""
        self.trail = (*self.trail, Place(self.state, self.page))[-MAX_TRAIL:]
        self.page = 0
        self.settled = False

    def retrace(self) -> None:
        """Go back to the last screen, as it was."""
        *trail, last = self.trail
        self.trail = tuple(trail)
        self.state, self.page = last.node, last.page
        if last.before:
            values = {name: value for name, value in self.values.items() if name not in last.before}
            values.update((name, value) for name, value in last.before.items() if value is not None)
            self.values = values
        self.settled = True

    def forget_way(self) -> None:
        """Leave for good: what was done cannot be gone back on."""
        self.trail = ()
        self.page = 0
        self.settled = False

    def forget(self) -> None:
        """Forget where the conversation came from and all that it knew."""
        self.forget_way()
        self.values = {}

    def go_on(self) -> None:
        """Go on from a node that showed nothing, or nothing new: the next screen begins with its first page."""
        self.page = 0
        self.settled = False

    def turn_page(self, by: int) -> None:
        """Show another page of the same screen."""
        self.page += by
        self.settled = True


Guard: TypeAlias = Callable[[Cursor], bool]
Act: TypeAlias = Callable[[Cursor], None]


class Move(NamedTuple):
    """A transition. `target` None stays at the node; `act` happens before the node changes."""

    trigger: str
    source: str
    target: str | None
    guard: Guard | None = None
    act: Act | None = None


class _Hop(Transition):
    """A transition with what a flow's has: one guard and one act at most, a state to go to or to stay in.

    The library calls ten lists of hooks around each one and writes as many debug lines; here all of them are empty, and
    they would be most of what a step costs (`docs/decisions/0005-transitions-without-hooks.md`).
    """

    def __init__(self, source: str, dest: Any, guard: Any, _unless: None, act: Any, *_more: None) -> None:
        super().__init__(source, dest, guard, None, act)
        self.guard: Guard | None = guard
        self.act: Act | None = act


class _Trigger(Event):
    """A trigger whose transitions are tried in their order, at once: a throwaway cursor needs no queue of events."""

    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        """Make the first transition that is possible from the cursor's state; tell whether one was.

        The guard and the act are given the cursor itself, as there is nothing else in an event that they could need.
        """
        hop: Any
        for hop in self.transitions.get(model.state, ()):
            if hop.guard is None or hop.guard(model):
                if hop.act is not None:
                    hop.act(model)
                if hop.dest is not None:
                    model.state = hop.dest
                return True
        return False


class _FlowMachine(Machine):
    transition_cls = _Hop
    event_cls = _Trigger


class Moves:
    """All moves of a flow, as a machine."""

    def __init__(self, nodes: Iterable[str], moves: Iterable[Move]) -> None:
        machine = _FlowMachine(
            model=None,
            states=[START, *nodes],
            initial=None,
            auto_transitions=False,
        )
        for move in moves:
            machine.add_transition(move.trigger, move.source, move.target, conditions=move.guard, before=move.act)
        self._events: Mapping[str, Any] = machine.events
        self._triggers: Mapping[str, Guard] = {name: event.trigger for name, event in machine.events.items()}

    def take(self, trigger: str, cursor: Cursor) -> bool:
        """Make the move that this trigger stands for here; False where there is none, or its guard is against it."""
        return self._triggers.get(trigger, _unknown)(cursor)

    def triggers(self, node: str) -> frozenset[str]:
        """Return the triggers that lead somewhere from a node."""
        return frozenset(name for name, event in self._events.items() if node in event.transitions)


def _unknown(cursor: Cursor) -> bool:
    """Refuse what is no trigger of the flow."""
    return False
