"""What every input is handled with on its way to its answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from menus.compiler import Flow
from menus.own_texts import say
from menus.render import Channel
from ussd_server.metrics import Metrics
from ussd_server.outage import Outage
from ussd_server.stores.base import Change, Store, Told
from ussd_server.turns.admission import Admission
from ussd_server.turns.letters import Letters
from ussd_server.turns.patience import Patience
from ussd_server.turns.turn import Tools


@dataclass(frozen=True)
class Limits:
    """What a turn may take, `deadline_ms` for queries while a USSD dialogue waits, and what a sender may."""

    deadline_ms: int
    patience: Patience


@dataclass(slots=True, eq=False)
class Resources:
    """What all inputs share. `flow` is the one in force, and may be exchanged at any time, between two turns.

    `digest` makes what is kept of a text of it. `commit_work` commits a change that leaves work in the outbox, and sees
    to that; `work_waits` says that there may be more of it. `stopwatch` returns seconds.
    """

    flow: Flow
    store: Store
    tools: Tools
    limits: Limits
    admission: Admission
    metrics: Metrics
    digest: Callable[[str], bytes]
    letters: Letters
    commit_work: Callable[[Change, Told], None]
    work_waits: Callable[[], None]
    stopwatch: Callable[[], float] = monotonic
    outage: Outage = field(default_factory=lambda: Outage("store unavailable, input refused"))

    def text(self, name: str, channel: Channel, language: str = "") -> str:
        """Return one of the flow's `texts:` as the channel shows it, in the flow's own language where none is given."""
        return say(self.flow, name, {}, language or self.flow.default_language, channel)
