"""The conversation: events in, effects out. Pure: the same inputs give the same step."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from menus.compiler import Flow
from menus.events import Effect, Event
from menus.render import Channel
from menus.session import Pending, Session, Value, Values

Facts: TypeAlias = Mapping[str, str | bool | int]


class Step(msgspec.Struct, frozen=True, gc=False):
    """What a step leads to: the session to keep (None: nothing to keep) and what the shell must do, in order."""

    session: Session | None
    effects: tuple[Effect, ...] = ()


def step(flow: Flow, session: Session | None, event: Event, now: int, facts: Facts, channel: Channel) -> Step:
    """Take one event. `facts` are the registry's, and `msisdn` and `language` of the subscriber.

    The effects hold at most one of `Show` and `Ask`. After an `Ask`, step again with its `Answered` or `Late` and the
    session of this step.
    """
    raise NotImplementedError


def conclude(flow: Flow, pending: Pending, outcome: str, value: Value, now: int, facts: Facts) -> tuple[Effect, ...]:
    """Return what the later outcome of a command leads to: its SMS, in the subscriber's language."""
    raise NotImplementedError


def accepts(flow: Flow, session: Session, text: str, facts: Facts, now: int | None = None) -> bool:
    """Whether a session that waits would take this text as a valid input; with `now`, also whether it still waits."""
    raise NotImplementedError


def say(flow: Flow, name: str, values: Values, language: str) -> str:
    """Return one of the flow's `texts:`."""
    raise NotImplementedError
