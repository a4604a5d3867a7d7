"""What a step leads to, a step as it is kept for the next subscriber, and who waits for an answer at a kept one."""

from collections.abc import Mapping
from typing import TypeAlias, final

import msgspec
from msgspec.structs import replace

from menus.endings import Ending
from menus.events import Ask, Effect
from menus.session import Place, Session, Values

Carried: TypeAlias = tuple[tuple[Place, ...], Values]
"""What a session carries: its way back and its values."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A step: `session` is what it leads to but for id, time and count, None where there is none to keep.

    `effects` show a screen, or `asks` is the operation that is asked with `arguments`; `answers` are the steps that
    were taken then, by the answer and the facts, and `endings` where one subscriber's own answers lead, by outcome.
    `begins` is what the step's key knows by identity: while the step is kept, nothing else can have its address.
    """

    session: Session | None
    effects: tuple[Effect, ...]
    asks: str
    arguments: Values
    answers: dict[object, "Kept"]
    begins: Carried
    endings: Mapping[str, Ending] = {}

    def again(self, id: str, serial: int, now: int) -> "Step":
        """Return the step for another subscriber, whose session has this id and count."""
        if self.asks:
            serial += 1
            return Step(None, (), Waiting(f"{id}-{serial}", self.asks, self.arguments, self, id, serial, now))
        goes_on = self.session
        if goes_on is None:
            return Step(None, self.effects)
        return Step(replace(goes_on, id=id, at=now, serial=serial), self.effects)


@final
class Waiting(Ask, frozen=True, gc=False):
    """A question asked at a kept step, and who waits for its answer: of their session only what is their own.

    The session itself is made where somebody needs it. Nobody does where the answer comes within the turn.
    """

    kept: Kept
    session_id: str
    serial: int
    at: int

    @property
    def session(self) -> Session:
        """The session that waits."""
        goes_on = self.kept.session
        assert goes_on is not None, "whoever asks goes on"
        return replace(goes_on, id=self.session_id, at=self.at, asked=self.id, serial=self.serial)


class Step(msgspec.Struct, frozen=True, gc=False):
    """What a step leads to: the session to keep (None: nothing to keep) and what the shell must do, in order.

    `waits` is what the engine asks, and stands for the session that it has not made yet (`Memory.step`).
    """

    session: Session | None
    effects: tuple[Effect, ...] = ()
    waits: Waiting | None = None

    @property
    def whole_session(self) -> Session | None:
        """The session to keep, made where it was not."""
        return self.session if self.waits is None else self.waits.session
