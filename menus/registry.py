"""What a flow may name in the outside world: a closed list that the server declares and the compiler checks against.

A flow can reach nothing that is not declared here, and every template's field is checked against these shapes, so a
misspelt name is an error at load and never a blank on a screen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["query", "action", "command"]


@dataclass(frozen=True)
class Text:
    """Plain text, or (`localized`) a dict of language to text."""

    localized: bool = False


@dataclass(frozen=True)
class Number:
    """A whole number."""


@dataclass(frozen=True)
class Money:
    """An `int` of minor units in the flow's currency."""


@dataclass(frozen=True)
class Date:
    """The text `YYYY-MM-DD`."""


@dataclass(frozen=True)
class Instant:
    """Milliseconds since 1970 UTC, shown in the flow's time zone."""


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class Record:
    """A dict with these fields. `name` lets two operations say that they speak of the same thing."""

    name: str
    fields: Mapping[str, "Shape"]


@dataclass(frozen=True)
class List:
    """A list of like items."""

    of: "Shape"


Shape: TypeAlias = Text | Number | Money | Date | Instant | Flag | Record | List


@dataclass(frozen=True)
class Word:
    """A parameter that takes one of these words, written as it is in the flow."""

    words: frozenset[str]


@dataclass(frozen=True)
class PushName:
    """A parameter that takes the name of one of the flow's own `push` entries."""


@dataclass(frozen=True)
class Operation:
    """Something a flow may ask of the outside.

    A *query* reads and is answered in the same turn, an *action* changes the subscriber's own record in the same
    commit, a *command* is durable and its outcome comes later. `outcomes` maps each possible outcome to the shape of
    its value (None: no value). The first outcome is the good one.
    """

    name: str
    kind: Kind
    outcomes: Mapping[str, Shape | None]
    parameters: Mapping[str, Word | PushName | Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """All that a flow may name.

    `facts` about the subscriber are what conditions may ask for. `terminal` are the words by which a terminal enters,
    each with the values that it brings.
    """

    operations: Mapping[str, Operation]
    facts: Mapping[str, Text | Flag | Number]
    terminal: Mapping[str, Mapping[str, Shape]] = field(default_factory=dict)
