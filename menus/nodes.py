"""The nodes of a checked flow: what each says, asks, and leads to. Immutable; made by the compiler alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from menus.accept import Accept
from menus.conditions import Condition
from menus.machine import START, Act, Cursor, Guard, Move, Moves
from menus.registry import Operation
from menus.session import Value, Values, unpack
from menus.text import Template


@dataclass(frozen=True, slots=True)
class Wording:
    """A text in every language, and where it differs, by channel. `names` are the values it needs."""

    other: Template
    channels: Mapping[str, Template] = field(default_factory=dict)
    names: frozenset[str] = frozenset()

    def render(self, channel: str, language: str, values: Values) -> str:
        """Return what this reader reads on this channel."""
        return self.channels.get(channel, self.other).render(language, values)


@dataclass(frozen=True, slots=True)
class Choice:
    """An option: its label, where it leads, its condition, and the values it gives on the way."""

    label: Wording
    target: str
    when: Condition | None = None
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter's value: a word, or the path to a value."""

    parameter: str
    word: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """An operation with its arguments. `secret`: one of them must never be stored."""

    operation: Operation
    arguments: tuple[Argument, ...] = ()
    secret: bool = False

    def values(self, values: Values) -> Values:
        """Return the arguments by parameter."""
        found: Values = {}
        for argument in self.arguments:
            value: Value = argument.word
            if argument.path:
                value = values
                for step in argument.path:
                    value = value[step]
            found[argument.parameter] = value
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an outcome leads, and the name that its value gets ("" none)."""

    target: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """What is sent when a command's outcome comes, and the name that its value gets ("" none)."""

    sms: Wording
    name: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a screen that waits behaves: navigation offered, what a resumed session does, wrong inputs it takes."""

    navigation: bool
    resume: str
    tries: int


@dataclass(frozen=True, slots=True)
class Menu:
    """A text with options: a menu, a message or a confirm.

    `words` are the labels by which an option may be chosen instead of by its number. `names` are the values needed.
    `conditions` are those of the options that have one, by their place.
    """

    name: str
    kind: Literal["menu", "message", "confirm"]
    text: Wording
    choices: tuple[Choice, ...]
    manner: Manner
    names: tuple[str, ...]
    words: Mapping[str, int] = field(default_factory=dict)
    conditions: tuple[tuple[int, Condition], ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """An operation's items as options. They are packed in the session under `key` while it stands here.

    No value of the flow can have this key. `names` are the values needed beside the items.
    """

    name: str
    key: str
    title: Wording
    item: Wording
    each: str
    call: Call
    target: str
    empty: str
    outcomes: Mapping[str, Outcome]
    manner: Manner
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """Asks for a value."""

    name: str
    text: Wording
    value: str
    accept: Accept
    target: str
    secret: bool
    invalid: Wording | None
    manner: Manner
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """A query or an action: asks, and goes on with the answer in the same turn."""

    name: str
    call: Call
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Ordering:
    """A command; `say` closes the dialogue, otherwise it goes on to `target`. `needs` are the closing texts' values."""

    name: str
    call: Call
    say: Wording | None
    target: str
    closings: Mapping[str, Closing]
    manner: Manner
    names: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """Goes one way or the other."""

    name: str
    condition: Condition
    yes: str
    no: str


@dataclass(frozen=True, slots=True)
class End:
    """Shows a text and closes."""

    name: str
    text: Wording
    manner: Manner
    names: tuple[str, ...]


Shown: TypeAlias = Menu | Listing | Input | Ordering | End
Node: TypeAlias = Shown | Asking | Check

# Tuples, because a union given to `isinstance` is made and walked anew each time.
ASKING: Final = (Asking, Listing)
"""Nodes at which a session may wait for an answer from outside."""
SILENT: Final = (Asking, Check)
"""Nodes that never show anything."""


# Moves ----------------------------------------------------------------------------------------------------------------


def build_moves(nodes: Mapping[str, Node], begins: Sequence[str], home: str) -> Moves:
    """Return a flow's machine; the table of its moves is in `menus.machine`."""
    moves = [Move(f"begin {node}", START, node) for node in sorted(set(begins) | {home})]
    for node in nodes.values():
        moves += _ways(node)
        if not isinstance(node, Asking | Check):
            moves += _navigation(node, home)
    return Moves(nodes, moves)


def _ways(node: Node) -> list[Move]:
    match node:
        case Menu():
            return [
                Move(f"choose {slot}", node.name, choice.target, _allowed(choice.when), _chosen(choice.values))
                for slot, choice in enumerate(node.choices)
            ]
        case Listing():
            return [
                Move("pick", node.name, node.target, _has_item, _picked(node.key, node.each)),
                *_listed(node),
            ]
        case Input():
            return [Move("enter", node.name, node.target, None, _entered(node.value))]
        case Asking():
            done = node.call.operation.kind == "action"
            return [
                Move(f"got {outcome}", node.name, leads.target, None, _got(leads.name, done=done))
                for outcome, leads in node.outcomes.items()
            ]
        case Ordering():
            return [Move("placed", node.name, node.target, None, Cursor.forget_way)] if node.target else []
        case Check():
            decides = _allowed(node.condition)
            return [Move("decide", node.name, node.yes, decides), Move("decide", node.name, node.no)]
        case End():
            return []


def _listed(node: Listing) -> list[Move]:
    good = next(iter(node.call.operation.outcomes))

    def keep(cursor: Cursor) -> None:
        cursor.bind(node.key, cursor.packed)
        cursor.settled = True

    moves = [
        Move(f"got {good}", node.name, None, lambda cursor: bool(cursor.value), keep),
        Move(f"got {good}", node.name, node.empty, None, Cursor.go_on),
    ]
    for outcome, leads in node.outcomes.items():
        moves.append(Move(f"got {outcome}", node.name, leads.target, None, _got(leads.name, done=False)))
    return moves


def _navigation(node: Shown, home: str) -> list[Move]:
    moves = [
        Move(
            "more", node.name, None, lambda cursor: cursor.page + 1 < cursor.pages, lambda cursor: cursor.turn_page(1)
        ),
        Move("back", node.name, None, lambda cursor: cursor.page > 0, lambda cursor: cursor.turn_page(-1)),
    ]
    if node.manner.navigation:
        moves.append(Move("back", node.name, None, lambda cursor: bool(cursor.trail), Cursor.retrace))
        # At home too, where it is not offered: who types it by heart sees the menu.
        moves.append(Move("home", node.name, home, None, Cursor.forget))
    return moves


def _allowed(condition: Condition | None) -> Guard | None:
    return None if condition is None else lambda cursor: condition(cursor.values, cursor.facts)


def _chosen(values: Values) -> Act:
    def act(cursor: Cursor) -> None:
        cursor.leave()
        for name, value in values.items():
            cursor.bind(name, value)

    return act if values else Cursor.leave


def items_of(key: str, values: Values) -> list[Value]:
    """Return the items of the list that keeps them under this key."""
    packed = values.get(key)
    return unpack(packed) if packed else []


def _has_item(cursor: Cursor) -> bool:
    return cursor.value is not None


def _picked(key: str, each: str) -> Act:
    def act(cursor: Cursor) -> None:
        cursor.leave()
        cursor.bind(each, cursor.value)
        cursor.drop(key)  # the way back asks for the items again: the record of every later step is a fifth so

    return act


def _entered(name: str) -> Act:
    def act(cursor: Cursor) -> None:
        cursor.leave()
        cursor.bind(name, cursor.value)

    return act


def _got(name: str, *, done: bool) -> Act:
    def act(cursor: Cursor) -> None:
        cursor.go_on()
        if name:
            cursor.bind(name, cursor.value)
        if done:
            cursor.forget_way()

    return act
