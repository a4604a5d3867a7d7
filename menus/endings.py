"""Where an answer that is one subscriber's own leads straight to the end: the screen is all that it changes.

A balance asked for by SMS is such an answer. Nothing of it may be kept (`menus.memory`), but where it leads is the
flow's: from a query to an `end`, on which neither its value nor anything else decides. So the way is looked at once,
and then only the text is filled in. What the step is, `menus.engine.work_out` says; this must say the same.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from menus.conditions import Facts
from menus.events import Show
from menus.limits import MAX_VALUES_BYTES
from menus.nodes import Asking, End, Node
from menus.registry import List
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

    The values of its screen, encoded, are what the answer has between `before` and `after`; where the text does not
    name it (`named`), they are `before`. `first`: no screen was shown before. An answer has no more than `room` octets.
    """

    operation: str
    outcome: str
    end: str
    before: bytes
    after: bytes
    named: bool
    first: bool
    room: int

    def show(self, flow: Ends, value: Value, facts: Facts, channel: Channel) -> Show | None:
        """Return the screen that closes the dialogue; None where this value leads to anything else."""
        packed = encode(value)
        if len(packed) > self.room or not flow.fits(self.operation, self.outcome, packed):
            return None
        shown = self.before + packed + self.after if self.named else self.before
        show = flow.screens.node(self.end, flow.language(facts), channel, self.first, None, shown).shows[0]
        return show if show.ends else None  # where it takes several pages, the session goes on to the next


def endings(flow: Ends, session: Session) -> Mapping[str, Ending]:
    """Return the outcomes with a value that lead to an `end` from where this session waits for an answer.

    A list is none of them, for one that is too long is cut.
    """
    node = flow.nodes.get(session.node)
    if not isinstance(node, Asking):
        return {}
    operation, found = node.call.operation, {}
    for outcome, leads in node.outcomes.items():
        end, shape = flow.nodes.get(leads.target), operation.outcomes.get(outcome)
        if isinstance(end, End) and shape is not None and not isinstance(shape, List):
            before, named, after = _around(leads.name, end.names, session.values)
            room = MAX_VALUES_BYTES - len(encode((session.values, session.trail)))
            first = not session.trail
            found[outcome] = Ending(operation.name, outcome, end.name, before, after, named, first, room)
    return found


def _around(name: str, names: Sequence[str], values: Values) -> tuple[bytes, bool, bytes]:
    """Return what stands before and after one of these values where all are encoded as a list, and whether it does."""
    if name not in names:
        return encode([*map(values.get, names)]), False, b""
    at = names.index(name)
    known, following = [*map(values.get, names[:at])], names[at + 1 :]
    head = encode([*known, *[None] * (len(names) - at)])[: at - len(names)]  # each None is one octet
    return head, True, b"".join([encode(values.get(one)) for one in following])
