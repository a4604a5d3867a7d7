"""What an input, or a capture in an SMS text, may be: `digits(4..8)`, `text(1..100)`, `number(1..9999)`, `phone`."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from menus.limits import MAX_INPUT
from menus.registry import Number, Shape, Text
from menus.session import Value

_WRITTEN: Final = re.compile(r"(digits|text|number)\(\s*(\d{1,12})\s*(?:\.\.\s*(\d{1,12})\s*)?\)|phone")
_PHONE: Final = re.compile(r"\+?\d[\d ()-]*")
_MOST: Final = {"digits": 32, "text": MAX_INPUT, "number": 10**12}
ACCEPTED: Final = "accepted are digits(4..8), text(1..100), number(1..9999), phone"
"""What is said where something else is written."""
PHONE_DIGITS: Final = (5, 15)
"""E.164 numbers have at most 15 digits; the least is our own."""


@dataclass(frozen=True)
class Accept:
    """A kind of value and its bounds: of its length, and of a number itself."""

    kind: str
    low: int = 0
    high: int = 0

    @property
    def shape(self) -> Shape:
        """The shape of an accepted value."""
        return Number() if self.kind == "number" else Text()

    @property
    def pattern(self) -> str:
        """A regular expression for it in an SMS text; `value` has the last word."""
        return {"digits": r"\d+", "number": r"\d+", "text": r".+", "phone": _PHONE.pattern}[self.kind]

    def value(self, text: str) -> Value:
        """Return the value that a text means, None where it is not accepted."""
        text = plain(text)
        match self.kind:
            case "digits":
                return text if text.isascii() and text.isdigit() and self.low <= len(text) <= self.high else None
            case "number":
                number = int(text) if text.isascii() and text.isdigit() and len(text) <= 13 else -1
                return number if self.low <= number <= self.high else None
            case "phone":
                digits = re.sub(r"\D", "", text) if _PHONE.fullmatch(text) else ""
                return digits if PHONE_DIGITS[0] <= len(digits) <= PHONE_DIGITS[1] else None
            case _:
                return text if self.low <= len(text) <= self.high else None


def plain(text: str) -> str:
    """Return a text without blanks around it, with digits of every script as ASCII digits."""
    text = text.strip()
    if text.isascii():
        return text
    return "".join(char if (digit := unicodedata.decimal(char, None)) is None else str(digit) for char in text)


def parse_accept(written: str) -> Accept | str:
    """Read how an `accept` is written; a text says what is wrong with it."""
    match = _WRITTEN.fullmatch(written.strip())
    if match is None:
        return f"cannot accept {written!r}"
    kind, low, high = match.groups()
    if kind is None:
        return Accept("phone")
    accept = Accept(kind, int(low), int(high or low))
    if accept.low > accept.high:
        return f"{written!r} accepts nothing: the first bound is above the second"
    if accept.high > _MOST[kind]:
        return f"{written!r} is above the limit of {_MOST[kind]}"
    return accept
