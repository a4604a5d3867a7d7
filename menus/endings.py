"""Where an answer that is one subscriber's own leads straight to the end: the screen is all that it changes.

A balance asked for by SMS is such an answer. Nothing of it may be kept (`menus.memory`), but where it leads is the
flow's: from a query to an `end`, on which neither its value nor anything else decides. So the way is looked at once,
and then only the text is filled in. What the step is, `menus.engine.work_out` says; this must say the same.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from menus.conditions import Facts
from menus.events import Show
from menus.limits import MAX_VALUES_BYTES
from menus.nodes import Asking, End, Node
from menus.render import Channel
from menus.screens import Screens
from menus.session import Session, Value, Values, encode


class Ends(Protocol):
    """What must be known of a flow to say how it ends."""

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by name."""

    @property
    def screens(self) -> Screens:
        """What its nodes show."""

    @property
    def fits(self) -> Callable[[str, str, bytes], bool]:
        """Whether an answer, encoded, is what the operation declares for this outcome."""

    def language(self, facts: Facts) -> str:
        """Return the language in which a subscriber of whom this is known is spoken to."""


class Ending(msgspec.Struct, frozen=True, gc=False):
    """An outcome of the operation that a session waits for, and the `end` that it leads to.

    The answer's value gets the `name` ("" none) among the `values` of the session, if it takes no more than `room`
    octets. `first`: no screen was shown before.
    """

    operation: str
    outcome: str
    end: End
    name: str
    values: Values
    first: bool
    room: int

    def show(self, flow: Ends, value: Value, facts: Facts, channel: Channel) -> Show | None:
        """Return the screen that closes the dialogue; None where this value leads to anything else."""
        packed = encode(value)
        if len(packed) > self.room or isinstance(value, list) or not flow.fits(self.operation, self.outcome, packed):
            return None
        names, name, values = self.end.names, self.name, self.values
        shown = encode([value] if names == (name,) else [value if one == name else values.get(one) for one in names])
        language = flow.language(facts)
        show = flow.screens.node(self.end.name, language, channel, self.first, None, shown).shows[0]
        return show if show.ends else None  # where it takes several pages, the session goes on to the next


def endings(flow: Ends, session: Session) -> Mapping[str, Ending]:
    """Return the outcomes with a value that lead to an `end` from where this session waits for an answer."""
    node = flow.nodes.get(session.node)
    if not isinstance(node, Asking):
        return {}
    operation, found = node.call.operation, {}
    for outcome, leads in node.outcomes.items():
        end = flow.nodes.get(leads.target)
        if isinstance(end, End) and operation.outcomes.get(outcome) is not None:
            room = MAX_VALUES_BYTES - len(encode((session.values, session.trail)))
            found[outcome] = Ending(operation.name, outcome, end, leads.name, session.values, not session.trail, room)
    return found
