"""What the engine remembers between two inputs of a subscriber; small, immutable, and ready to be stored.

Values are what YAML and JSON can hold. Money is an `int` of minor units in the flow's currency, a date is the text
`YYYY-MM-DD`, an instant an `int` of milliseconds since 1970 UTC, a text that differs by language a dict of language
to text. The shapes declared in the `Registry` say which is which.
"""

from typing import Any, TypeAlias

import msgspec

# str | int | bool | None, and lists and dicts of them: msgspec has no recursive aliases.
Value: TypeAlias = Any
Values: TypeAlias = dict[str, Value]


class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node and the page of it that was on the screen: one step of the way back."""

    node: str
    page: int = 0


class Session(msgspec.Struct, frozen=True, array_like=True):
    """One subscriber's conversation on one channel; it may outlive the dialogue it began in.

    `asked` is the id of the query that the session waits for ("" when it waits for the subscriber); `serial` counts
    queries and orders, so that `f"{id}-{serial}"` names each of them once and for ever. `at` is when the last turn
    was, in milliseconds; `dropped` says that the dialogue ended under it, so the next one resumes.
    """

    id: str
    revision: str
    channel: str
    node: str
    at: int
    page: int = 0
    trail: tuple[Place, ...] = ()
    values: Values = {}
    tries: int = 0
    asked: str = ""
    serial: int = 0
    tail: tuple[str, ...] = ()
    dropped: bool = False


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """An order that was placed and has no outcome yet, with what its closing texts will need."""

    id: str
    revision: str
    node: str
    values: Values = {}
