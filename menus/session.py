"""What the engine remembers between two inputs of a subscriber; small, immutable, and ready to be stored.

Values are what YAML and JSON can hold. Money is an `int` of minor units in the flow's currency, a date is the text
`YYYY-MM-DD`, an instant an `int` of milliseconds since 1970 UTC, a text that differs by language a dict of language
to text. The shapes declared in the `Registry` say which is which.
"""

from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import msgspec

# str | int | bool | None, and lists and dicts of them: msgspec has no recursive aliases.
Value: TypeAlias = Any
Values: TypeAlias = dict[str, Value]


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


class Items(list[Value]):
    """A list that answers many questions, and is not changed any more: all of them share what was packed of it.

    The very same bytes also know their hash already wherever they are looked up, which for some kilobytes is most of
    what a look-up costs.
    """

    @cached_property
    def packed(self) -> bytes:
        """The list, encoded."""
        return encode(self)


def pack(value: Value) -> bytes:
    """Return a value encoded; a list of items is kept so in a session, and carried from input to input as it is."""
    return value.packed if isinstance(value, Items) else encode(value)


@lru_cache(256)
def unpack(packed: bytes) -> list[Value]:
    """Return packed items. The list is shared by all that ask for it, so it must not be changed."""
    items: list[Value] = decode(packed)
    return items


class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node and the page of it that was on the screen: one step of the way back.

    `before` holds what the values bound since then were before (None: there was none), so that going back undoes them.
    """

    node: str
    page: int = 0
    before: Values = {}


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One subscriber's conversation on one channel; it may outlive the dialogue it began in.

    `asked` is the id of the query that the session waits for ("" when it waits for the subscriber); `serial` counts
    queries and orders, so that `f"{id}-{serial}"` names each of them once and for ever. `at` is when the last turn
    was, in milliseconds; `dropped` says that the dialogue ended under it, so the next one resumes. `slots` are the
    options that were on the screen, by their place in the file, where conditions hide some. `instead` is the node to
    start at, while the subscriber is asked whether to go on with a dropped session instead. `entry` is
    the node that it began at.
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
    slots: tuple[int, ...] = ()
    instead: str = ""
    entry: str = ""


class Pending(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An order that was placed and has no outcome yet, with what its closing texts will need.

    `operation` tells a good outcome from a bad one also where the flow has no such node any more.
    """

    id: str
    revision: str
    node: str
    values: Values = {}
    operation: str = ""
