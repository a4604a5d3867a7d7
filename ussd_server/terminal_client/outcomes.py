"""What may become of a request, as values: whatever the person at the terminal is to be told."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from ussd_server.terminals.messages import Money, Screen

Reason: TypeAlias = Literal["insufficient-funds", "already-owned", "not-possible", "offering-unknown", "quote-unknown"]


class ProblemDetails(msgspec.Struct, frozen=True):
    """A refusal as it was received (RFC 9457); members that are not known here are left out."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    attempts_left: int | None = None
    locked_until: int | None = None
    price: int | None = None
    balance: int | None = None
    currency: str | None = None

    @property
    def name(self) -> str:
        """The last part of the type, by which docs/terminals.md lists it: `code-rejected`."""
        return self.type.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The number or the code is wrong; after `attempts_left` more wrong entries access closes."""

    attempts_left: int


@dataclass(frozen=True, slots=True)
class Locked:
    """Access is closed until then (ms since 1970 UTC); the code was not looked at."""

    until: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The code is the right one but too old; a new one is to be ordered."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Other entries for this number are being checked, longer than we waited; it may be entered again."""


@dataclass(frozen=True, slots=True)
class VisitOver:
    """The visit has ended: idle for too long, closed, or opened anew elsewhere. The code is to be entered again."""


@dataclass(frozen=True, slots=True)
class ScreenChanged:
    """The input was for a screen that is no longer on show and did nothing; `screen` is the latest that came here."""

    screen: Screen


@dataclass(frozen=True, slots=True)
class Declined:
    """The operator does not do this, for `reason`; nothing was charged. `detail` is for whoever runs the terminal.

    `price` and `balance` come with `insufficient-funds`: what it costs, and what there is.
    """

    reason: Reason
    detail: str = ""
    price: Money | None = None
    balance: Money | None = None
