"""What goes into a step and what comes out of it: events, effects, and the screen in between."""

from typing import Literal, TypeAlias, final

import msgspec

from menus.session import Pending, Value, Values

# Events ---------------------------------------------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, gc=False):
    """A subscriber dialled, wrote or stepped up to a terminal, or we call on them: start at an entry's node.

    `tail` are inputs given in advance (`*111*2*1#` has the tail `("2", "1")`); `values` were captured by the entry's
    pattern. `id` names the new session and must be unique.
    """

    id: str
    node: str
    tail: tuple[str, ...] = ()
    values: Values = {}


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What the subscriber answered to the screen."""

    text: str


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The outside's answer to the query `ask`: one of the operation's declared outcomes, with its value."""

    ask: str
    outcome: str
    value: Value = None


class Late(msgspec.Struct, frozen=True, gc=False):
    """The answer to the query `ask` did not come within the dialogue's deadline."""

    ask: str


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """The network ended the dialogue under the session."""

    reason: Literal["timeout", "abort", "network"]


Event: TypeAlias = Begin | Reply | Answered | Late | Dropped

# Effects --------------------------------------------------------------------------------------------------------


class Option(msgspec.Struct, frozen=True, gc=False):
    """A choice on a screen: what is typed, and what is read beside it."""

    key: str
    label: str


class Screen(msgspec.Struct, frozen=True, gc=False):
    """What is to be shown, before any channel has laid it out. `options` are all options, of every page.

    `kind` is the node's; what only closes a dialogue is an `end`. `about` are the values that a `confirm` names, for a
    channel that shows prices in its own way; every reader of a kept screen shares them, so they must not be changed.
    """

    text: str
    options: tuple[Option, ...] = ()
    navigation: tuple[Option, ...] = ()
    input: Literal["none", "choice", "text", "digits"] = "none"
    secret: bool = False
    kind: Literal["menu", "list", "message", "confirm", "input", "end"] = "end"
    about: Values = {}


@final
class Show(msgspec.Struct, frozen=True, gc=False):
    """Show this page. `text` is the page as the channel sends it; `ends` closes the dialogue with it."""

    screen: Screen
    text: str
    ends: bool
    page: int = 0
    pages: int = 1


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Perform a query or an action now and feed `Answered` (or `Late`) back with the same id."""

    id: str
    operation: str
    arguments: Values


class Order(msgspec.Struct, frozen=True, gc=False):
    """Perform a command durably, at least once, by this id; its outcome goes to `conclude` with `pending`.

    `shown` is the text that the subscriber agreed to, as it stood on their screen; "" where no confirm led here.
    """

    id: str
    operation: str
    arguments: Values
    pending: Pending
    shown: str = ""


class Defer(msgspec.Struct, frozen=True, gc=False):
    """The dialogue could not wait for this query: perform it durably, then feed `Answered` to the session by SMS."""

    id: str
    operation: str
    arguments: Values


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send this text to the subscriber as an SMS."""

    text: str


class Note(msgspec.Struct, frozen=True, gc=False):
    """Write this to the subscriber's journal."""

    kind: str
    data: Values


Effect: TypeAlias = Show | Ask | Order | Defer | Send | Note
