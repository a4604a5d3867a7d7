"""YAML text to plain values, and where each of them stands.

Only the part of YAML that a flow needs is taken: one document of mappings, lists and scalars, resolved by the core
schema of YAML 1.2 (so `no` is a text). Anchors, aliases and tags are refused, and with them every way in which a small
file can become large.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from menus.limits import MAX_DEPTH, MAX_FILE_BYTES
from menus.yaml_mistakes import STAR_FIRST, explain, in_quotes

Path: TypeAlias = tuple[str | int, ...]

_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_TRUE: Final = ("true", "True", "TRUE")
_FALSE: Final = ("false", "False", "FALSE")


@dataclass(frozen=True, order=True)
class Problem:
    """A mistake in a flow file. `line` and `column` count from 1; `suggestion` says what would be right."""

    file: str
    line: int
    column: int
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        end = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{end}"


@dataclass(frozen=True)
class Mark:
    """A place in the file; both count from 1."""

    line: int
    column: int


@dataclass
class Source:
    """A file's values with their places. `data` is None where nothing could be read; the problems then say why."""

    file: str
    data: Any = None
    lines: list[str] = field(default_factory=list)
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def value_mark(self, path: Path) -> Mark:
        """Return where a value stands, or where it would: the nearest thing around it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Mark(1, 1))

    def key_mark(self, path: Path) -> Mark:
        """Return where a mapping's key stands."""
        return self.keys.get(path) or self.value_mark(path)

    def text_mark(self, path: Path, column: int) -> Mark:
        """Return where the character `column` (from 0) of a text stands; the text's begin where that is not plain."""
        mark = self.value_mark(path)
        line = self.lines[mark.line - 1] if mark.line <= len(self.lines) else ""
        begin = mark.column - 1 + (line[mark.column - 1 : mark.column] in ("'", '"'))
        text = self.raw.get(path, "")
        return Mark(mark.line, begin + column + 1) if text and line.startswith(text, begin) else mark

    def add(self, mark: Mark, message: str, suggestion: str = "") -> None:
        """Note a mistake."""
        self.problems.append(Problem(self.file, mark.line, mark.column, message, suggestion))


def read(content: str | bytes, file: str) -> Source:
    """Read a file's content; whatever is wrong with it as YAML is in the result's problems."""
    source = Source(file)
    text = _decoded(content, source)
    if text is None:
        return source
    source.lines = text.splitlines()
    try:
        _Reader(source, YAML(typ="safe", pure=True).parse(text)).document()
    except MarkedYAMLError as error:
        _malformed(error, source)
    except ReaderError as error:
        before = text[: error.position]
        mark = Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        source.add(mark, f"the character U+{ord(text[error.position]):04X} cannot stand in YAML")
    except _Refused:
        pass
    return source


class _Refused(Exception):
    """The file cannot be read on; why is among the problems."""


def _decoded(content: str | bytes, source: Source) -> str | None:
    if len(content) > MAX_FILE_BYTES:
        source.add(Mark(1, 1), f"the file is larger than {MAX_FILE_BYTES // 1000} kB", "split the service")
        return None
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        source.add(Mark(line, column), "the file is not UTF-8", "save it as UTF-8")
        return None


def _malformed(error: MarkedYAMLError, source: Source) -> None:
    line, column, message, suggestion = explain(error, source.lines)
    # What the parser stumbles over after a mistake in the same line follows from that one.
    if all(problem.line != line for problem in source.problems):
        source.add(Mark(line, column), message, suggestion)


def _mark(place: StreamMark) -> Mark:
    return Mark(place.line + 1, place.column + 1)


class _Reader:
    """Builds values from the parser's events, which cost no more than the file is long."""

    def __init__(self, source: Source, events: Iterator[Event]) -> None:
        self.source = source
        self.events = events

    def document(self) -> None:
        for event in self.events:
            if isinstance(event, NodeEvent):
                self.source.data = self.value(event, ())
                break
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                self.source.add(_mark(event.start_mark), "a second document", "a flow file is one document")
                break

    def value(self, event: Any, path: Path) -> Any:
        mark = _mark(event.start_mark)
        self.source.values[path] = mark
        if isinstance(event, AliasEvent):
            self.source.add(mark, STAR_FIRST, in_quotes(f"*{event.anchor}"))
            return None
        if event.anchor is not None:
            self.source.add(mark, f"&{event.anchor} is an anchor", "write the value out, or in quotes")
        if getattr(event, "ctag", None) is not None and not isinstance(event, ScalarEvent):
            self.source.add(mark, f"{event.tag} is a tag", "leave it out")
        if len(path) > MAX_DEPTH:
            self.source.add(mark, f"nested deeper than {MAX_DEPTH}")
            raise _Refused
        if isinstance(event, MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(path)
        return self.scalar(event, path)

    def mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), CollectionEndEvent):
            mark = _mark(event.start_mark)
            if not isinstance(event, ScalarEvent):
                self.source.add(mark, "a key must be a word", "a text that begins with { or [ stands in quotes")
                raise _Refused
            key = event.value
            if key in found:
                line = self.source.keys[*path, key].line
                self.source.add(mark, f"the key {key!r} stands twice", f"first in line {line}")
                self.value(next(self.events), (*path, key, "(again)"))
                continue
            self.source.keys[*path, key] = mark
            found[key] = self.value(next(self.events), (*path, key))
        return found

    def sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), CollectionEndEvent):
            found.append(self.value(event, (*path, len(found))))
        return found

    def scalar(self, event: Any, path: Path) -> Any:
        text: str = event.value
        self.source.raw[path] = text
        if event.tag is not None:
            self.source.add(_mark(event.start_mark), f"{event.tag} is a tag", "leave it out")
            return text
        plain = event.implicit[0]
        return _resolved(text) if plain else text


def _resolved(text: str) -> str | int | float | bool | None:
    """Return a plain scalar by the core schema of YAML 1.2 (10.3.2)."""
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        # A number with hundreds of digits is nobody's number, and costs the square of its length.
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text) if len(text) < 20 else text
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan")) if _FLOAT.fullmatch(text) else text
