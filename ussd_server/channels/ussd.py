"""USSD: how much fits on its screens, and what was done in a dialogue."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from menus.render import Channel
from smpp import ussd
from smpp.alphabets import septets, ucs2_units
from ussd_server.dialects.files import load as load_dialect

SEPTETS = 182
UCS2_UNITS = 80
"""What fits into the 160 octets of a USSD string (3GPP TS 23.038 §6.1.2.3, TS 22.090); an account may set less."""


def screen(septet_limit: int, ucs2_limit: int) -> Channel:
    """Return a USSD channel: a page is measured as it will be encoded, in septets or UCS-2 units."""
    return Channel("ussd", _fits(septet_limit, ucs2_limit))


def smallest(septet_limit: int, ucs2_limit: int, dialects: Iterable[str]) -> Channel:
    """Return the USSD channel that suits every one of these dialects, and holds no more than the given limits."""
    return screen(*room(septet_limit, ucs2_limit, dialects))


def room(septet_limit: int, ucs2_limit: int, dialects: Iterable[str]) -> tuple[int, int]:
    """Return what every one of these dialects holds, septets and UCS-2 units, but no more than the given limits."""
    spoken = [load_dialect(name) for name in dialects]
    return (
        min([septet_limit, *(dialect.septets for dialect in spoken)]),
        min([ucs2_limit, *(dialect.ucs2_units for dialect in spoken)]),
    )


def _fits(septet_limit: int, ucs2_limit: int) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        used = septets(text)
        return ucs2_units(text) <= ucs2_limit if used is None else used <= septet_limit

    return fits


Deed: TypeAlias = Literal["dial", "reply", "drop", "confirm"]
"""What a subscriber, or their phone, did in a dialogue."""


def done_by(heard: ussd.Input) -> tuple[Deed, str, int | None]:
    """Return what was done where a message was heard: an `Input`'s kind and text, its step where one is counted."""
    if isinstance(heard, ussd.Answer):
        return "reply", heard.text, heard.sequence
    if isinstance(heard, ussd.Begin):
        return "dial", heard.text, heard.sequence
    if isinstance(heard, ussd.Confirm):
        return "confirm", "closes" if heard.closes else "", None
    return "drop", "abort", None


# Pushes --------------------------------------------------------------------------------------------------------------

PushResult: TypeAlias = Literal["accepted", "later", "refused", "unknown"]


@dataclass(frozen=True)
class PushOutcome:
    """What the gateway said to a push: `accepted`, not now, never, or `unknown` where no response came."""

    result: PushResult
    reason: str = ""


class Line(Protocol):
    """An account with a bound link, to push by."""

    @property
    def name(self) -> str:
        """The account's name."""

    @property
    def screen(self) -> Channel:
        """The USSD channel of its gateway."""

    async def push(self, source: str, msisdn: str, text: str, ends: bool) -> PushOutcome:
        """Send a notification (`ends`) or a question, and return what the gateway said to it."""


class Lines(Protocol):
    """Whatever takes pushes to the network."""

    def line(self, account: str) -> Line | None:
        """Return this account, if it has a bound link here; "" is any that has."""
