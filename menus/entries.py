"""Where a dialled code, an SMS, a terminal or a push leads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, TypeAlias

import msgspec

from menus.accept import Accept, parse_accept, plain
from menus.limits import MAX_INPUT, MAX_TAIL
from menus.session import Values

Code: TypeAlias = tuple[str, ...]
"""A code's parts: `*111*2163#` is `("*", "111", "2163")`."""

_ENTRY_CODE: Final = re.compile(r"[*#]{1,3}\d{1,10}(\*\d{1,20})*#")
_CAPTURE: Final = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
WRITTEN_KEPT: Final = 1_000
"""Spellings of the exact texts to one number that are known at once; phones write each in two or three ways."""
MAX_CAPTURES: Final = 3
"""Captures of one pattern; two open ones already cost the square of a text's length."""


class Match(msgspec.Struct, frozen=True):
    """Where an entry leads: the node, inputs given in advance (`tail`), and what the entry's pattern captured."""

    node: str
    tail: tuple[str, ...] = ()
    values: Values = {}


@dataclass(frozen=True)
class Pattern:
    """An SMS text with captures."""

    expression: re.Pattern[str]
    captures: Mapping[str, Accept]
    skeleton: str
    """The pattern without its names: two patterns with one skeleton take the same texts."""

    def match(self, text: str) -> Values | None:
        """Return the captured values, None where the text does not fit."""
        found = self.expression.fullmatch(text)
        if found is None:
            return None
        values = {name: accept.value(found[name]) for name, accept in self.captures.items()}
        return None if None in values.values() else values


@dataclass(frozen=True)
class Texts:
    """What may be sent to one number."""

    exact: dict[str, str] = field(default_factory=dict)
    patterns: list[tuple[Pattern, str]] = field(default_factory=list)
    written: dict[str, "Match"] = field(default_factory=dict, compare=False)
    """Exact texts as they were written by now, so none of what a pattern captured."""


Category: TypeAlias = Literal["service", "offer"]
"""What a push is: something that the subscriber asked for or must know, or an offer, which needs their consent."""


@dataclass(frozen=True)
class Push:
    """A screen that may be pushed to a subscriber: the node that it begins at, and how it is sent.

    `after_ms` is how long it waits where a flow asks for it, `within_ms` for how long it is worth showing after that.
    One that is `urgent` is not held back by quiet hours. Its first screen may wait for an answer (`asks`) or close the
    dialogue (`tells`); where both are so, it depends on what is known of the subscriber.
    """

    name: str
    node: str
    category: Category
    after_ms: int
    within_ms: int
    urgent: bool
    asks: bool = True
    tells: bool = True


@dataclass(frozen=True)
class Entries:
    """All entries of a flow: codes, by number texts, a terminal's words, and pushes by name, each with its node."""

    codes: Mapping[Code, str]
    texts: Mapping[str, Texts]
    terminal: Mapping[str, str] = field(default_factory=dict)
    pushes: Mapping[str, Push] = field(default_factory=dict)

    @cached_property
    def keywords(self) -> frozenset[str]:
        """The exact texts of all numbers, in small letters."""
        return frozenset(text for texts in self.texts.values() for text in texts.exact)

    def match_ussd(self, dialled: str) -> Match | None:
        """Return where a dialled code leads: the longest entry that fits, the rest as the tail."""
        code = split_code(dialled)
        if code is None:
            return None
        for length in range(min(len(code), 12), 1, -1):
            node = self.codes.get(code[:length])
            if node is not None:
                return Match(node, code[length : length + MAX_TAIL])
        return None

    def match_sms(self, number: str, text: str) -> Match | None:
        """Return where an SMS leads: an exact text goes before a pattern, and patterns in their order."""
        texts = self.texts.get(number)
        if texts is None or len(text) > MAX_INPUT:
            return None
        match = texts.written.get(text)
        if match is not None:
            return match
        written, text = text, _blanks(plain(text))
        node = texts.exact.get(text.casefold())
        if node is not None:
            if len(texts.written) >= WRITTEN_KEPT:
                texts.written.clear()
            match = texts.written[written] = Match(node)
            return match
        for pattern, target in texts.patterns:
            values = pattern.match(text)
            if values is not None:
                return Match(target, values=values)
        return None


def split_code(dialled: str) -> Code | None:
    """Return the parts of a dialled code, None where it is none. Some gateways leave out the closing `#`."""
    body = dialled.strip().removesuffix("#")
    rest = body.lstrip("*#")
    if not rest or rest is body or len(body) > MAX_INPUT:
        return None
    return (body[: len(body) - len(rest)], *rest.split("*"))


def parse_code(written: str) -> Code | None:
    """Return the parts of an entry's code, None where it cannot be dialled."""
    return split_code(written) if _ENTRY_CODE.fullmatch(written) else None


def exact_text(written: str) -> str:
    """Return an entry's text as it is compared: neither case nor the number of blanks counts."""
    return _blanks(plain(written)).casefold()


def parse_pattern(written: str) -> Pattern | str:
    """Read an entry's text with captures; a text says what is wrong with it."""
    captures: dict[str, Accept] = {}
    expression, skeleton, position = "", "", 0
    for found in _CAPTURE.finditer(written):
        name, kind = found.groups()
        if not _NAME.fullmatch(name) or kind is None:
            return f"{found[0]} is no capture: it must be a name and what is accepted, as {{number:digits(2..4)}}"
        accept = parse_accept(kind)
        if isinstance(accept, str):
            return accept
        if name in captures:
            return f"{name!r} is captured twice"
        captures[name] = accept
        expression += _literal(written[position : found.start()]) + f"(?P<{name}>{accept.pattern})"
        skeleton += _blanks(written[position : found.start()]).casefold() + f"{{{kind}}}"
        position = found.end()
    expression += _literal(written[position:])
    if "{" in _CAPTURE.sub("", written):
        return "a '{' without its '}'"
    if len(captures) > MAX_CAPTURES:
        return f"more than {MAX_CAPTURES} captures"
    skeleton += _blanks(written[position:]).casefold()
    return Pattern(re.compile(expression, re.IGNORECASE | re.DOTALL), captures, skeleton)


def _literal(text: str) -> str:
    return re.escape(re.sub(r"\s+", " ", text))


def _blanks(text: str) -> str:
    return " ".join(text.split())
