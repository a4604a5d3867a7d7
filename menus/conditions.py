"""Conditions: `not active`, `language is en`, `tariff.monthly is 0 and not (locked or channel is sms)`.

Compiled once to closures over the session's values and the subscriber's facts.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from menus.near_names import meant
from menus.registry import Date, Flag, Instant, Money, Number, Record, Shape, Text, Word
from menus.session import Values

Facts: TypeAlias = Mapping[str, str | bool | int]
Condition: TypeAlias = Callable[[Values, Facts], bool]

_TOKEN: Final = re.compile(r'\s*(?:([()])|("[^"]*")|([\w.+-]+)|(\S))')
_JOINING: Final = ("and", "or", "not", "is")
MAX_NESTING: Final = 20


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a condition, at which column from 0; `missing` is a value that is not there, if that is it."""

    column: int
    message: str
    hint: str = ""
    missing: str = ""


class _Wrong(Exception):
    def __init__(self, column: int, message: str, hint: str = "", missing: str = "") -> None:
        super().__init__(message)
        self.mistake = Mistake(column, message, hint, missing)


def compile_condition(
    text: str,
    names: Mapping[str, Shape | Word],
    facts: Mapping[str, Shape],
    words: Mapping[str, frozenset[str]],
) -> Condition | Mistake:
    """Compile a condition against the values that are bound and the facts there are; `Mistake` where it is wrong.

    `words` are, for a fact, all that it can be (`language`: the declared ones), so that a comparison with anything
    else is a mistake and never silently false.
    """
    try:
        return _Parser(text, names, facts, words).condition()
    except _Wrong as wrong:
        return wrong.mistake


def facts_named(text: str, facts: Iterable[str]) -> frozenset[str]:
    """Return which of these facts a condition may ask for: those whose name is a word of its text."""
    return frozenset(name for _, _, name, _ in _TOKEN.findall(text)) & frozenset(facts)


class _Parser:
    """Recursive descent: `or` binds weaker than `and`, `and` weaker than `not`."""

    def __init__(
        self,
        text: str,
        names: Mapping[str, Shape | Word],
        facts: Mapping[str, Shape],
        words: Mapping[str, frozenset[str]],
    ) -> None:
        self.tokens = [(m[0].strip(), m.end() - len(m[0].strip())) for m in _TOKEN.finditer(text) if m[0].strip()]
        self.end = len(text)
        self.names, self.facts, self.words = names, facts, words
        self.position = 0
        self.nesting = 0

    @property
    def token(self) -> str:
        return self.tokens[self.position][0] if self.position < len(self.tokens) else ""

    @property
    def column(self) -> int:
        return self.tokens[self.position][1] if self.position < len(self.tokens) else self.end

    def take(self, *words: str) -> bool:
        if self.token and self.token in words:
            self.position += 1
            return True
        return False

    def condition(self) -> Condition:
        found = self.any_of()
        if self.token:
            raise _Wrong(self.column, f"{self.token!r} is not expected here", "'and' or 'or' joins two conditions")
        return found

    def any_of(self) -> Condition:
        left = self.all_of()
        while self.take("or"):
            left = _either(left, self.all_of())
        return left

    def all_of(self) -> Condition:
        left = self.one()
        while self.take("and"):
            left = _both(left, self.one())
        return left

    def one(self) -> Condition:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise _Wrong(self.column, f"nested deeper than {MAX_NESTING}")
        try:
            if self.take("not"):
                return _negated(self.one())
            if self.take("("):
                inside = self.any_of()
                if not self.take(")"):
                    raise _Wrong(self.column, "a bracket is not closed")
                return inside
            return self.comparison()
        finally:
            self.nesting -= 1

    def comparison(self) -> Condition:
        column, name = self.column, self.token
        if not name or name in _JOINING or not re.fullmatch(r"[a-z][\w.]*", name):
            raise _Wrong(column, f"{name!r} is not expected here" if name else "something is missing here", "a fact")
        self.position += 1
        shape = self.shape(name, column)
        get = _getter(name, fact=name in self.facts)
        if self.take("is"):
            unequal = self.take("not")
            equal = _equal(get, self.literal(name, shape))
            return _negated(equal) if unequal else equal
        if shape != Flag():
            raise _Wrong(column, f"{name!r} is not yes or no by itself", f"{name} is ...")
        return get

    def shape(self, name: str, column: int) -> Shape | Word:
        if name in self.facts:
            return self.facts[name]
        root, *steps = name.split(".")
        if root not in self.names:
            hint = meant(root, [*self.facts, *self.names])
            raise _Wrong(column, f"there is no fact or value {root!r} here", hint, root)
        shape: Shape | Word = self.names[root]
        for step in steps:
            if not isinstance(shape, Record) or step not in shape.fields:
                fields = shape.fields if isinstance(shape, Record) else {}
                raise _Wrong(column, f"{name!r}: there is no {step!r} in it", meant(step, fields))
            shape = shape.fields[step]
        return shape

    def literal(self, name: str, shape: Shape | Word) -> str | int | bool:
        column, token = self.column, self.token
        if not token or token in "()":
            raise _Wrong(column, "something is missing after 'is'", f"{name} is ...")
        self.position += 1
        if isinstance(shape, Number | Money | Instant):
            if not re.fullmatch(r"-?\d{1,18}", token):
                raise _Wrong(column, f"{name!r} is a number and cannot be {token!r}", f"{name} is 0")
            return int(token)
        if isinstance(shape, Flag):
            if token not in ("true", "false"):
                raise _Wrong(column, f"{name!r} is yes or no and cannot be {token!r}", f"{name}, or not {name}")
            return token == "true"
        if not isinstance(shape, Text | Date | Word) or shape == Text(localized=True):
            raise _Wrong(column, f"{name!r} cannot be compared")
        word = token.strip('"')
        known = shape.words if isinstance(shape, Word) else self.words.get(name)
        if known is not None and word not in known:
            raise _Wrong(column, f"{name!r} is never {word!r}", meant(word, sorted(known)))
        return word


def _getter(name: str, *, fact: bool) -> Callable[[Values, Facts], Any]:
    if fact:
        return lambda values, facts: facts.get(name, False)
    if "." not in name:
        return lambda values, facts: values[name]
    path = name.split(".")

    def walk(values: Values, facts: Facts) -> Any:
        value: Any = values
        for step in path:
            value = value[step]
        return value

    return walk


def _equal(get: Callable[[Values, Facts], Any], literal: str | int | bool) -> Condition:
    return lambda values, facts: bool(get(values, facts) == literal)


def _either(left: Condition, right: Condition) -> Condition:
    return lambda values, facts: left(values, facts) or right(values, facts)


def _both(left: Condition, right: Condition) -> Condition:
    return lambda values, facts: left(values, facts) and right(values, facts)


def _negated(inner: Condition) -> Condition:
    return lambda values, facts: not inner(values, facts)
