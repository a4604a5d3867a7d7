"""Dialects by name or by file: the shipped ones, and those that an operator wrote.

A file builds on a shipped dialect (`base: standard`) and says what is different, or says all.
"""

from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from menus.near_names import meant
from menus.source import Mark, Problem, Source, read
from smpp.dialect import Dialect
from ussd_server.dialects.schema import PATHS, Values, check_values, read_values

SUFFIXES: Final = (".yaml", ".yml")
PLAIN: Final = "standard"
"""The dialect that has no base."""


class DialectErrors(ValueError):
    """A dialect file with mistakes: all of them, in the order in which they stand in the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class UnknownDialect(ValueError):
    """There is no such dialect, or its file cannot be read. The text is one line with the mend."""


@cache
def shipped() -> tuple[str, ...]:
    """Return the names of the shipped dialects, the standard one first."""
    names = {file.name.removesuffix(".yaml") for file in files(__package__).iterdir() if file.name.endswith(".yaml")}
    return (PLAIN, *sorted(names - {PLAIN}))


def load(name: str) -> Dialect:
    """Return a shipped dialect by its name, or that of a file: whatever has a slash or ends in .yaml.

    Raises `UnknownDialect`, and `DialectErrors` with every mistake of a file.
    """
    return _shipped(name) if name in shipped() else _from_file(name)


def usable(name: str) -> str:
    """Return a dialect's name or file as it is, once it has been read; ValueError says in one line what is wrong."""
    try:
        load(name)
    except DialectErrors as mistakes:
        more = len(mistakes.problems) - 1
        others = f" ({more} more, see: ussd-server dialects check {name})" if more else ""
        raise ValueError(f"{mistakes.problems[0]}{others}") from None
    return name


def _from_file(name: str) -> Dialect:
    if "/" not in name and not name.endswith(SUFFIXES):
        close = get_close_matches(name, shipped(), 1)
        near = f"did you mean {close[0]}?" if close else f"shipped are {', '.join(shipped())}."
        raise UnknownDialect(f"there is no dialect {name!r}; {near} One of your own is the path of a .yaml file")
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise UnknownDialect(f"the dialect file {name} cannot be read: {error.strerror or error}") from None
    return parse(content, name)


@cache
def _shipped(name: str) -> Dialect:
    return parse(shipped_text(name), f"{name}.yaml")


def shipped_text(name: str) -> str:
    """Return a shipped dialect's file."""
    return files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def parse(content: str | bytes, file: str) -> Dialect:
    """Return the dialect that a file describes; `file` names it in mistakes. Raises `DialectErrors`."""
    source = read(content, file)
    values = read_values(source)
    base = _base(source)
    if not source.problems and base is None:
        _all_there(source, values)
    if not source.problems:
        values = {**(base or {}), **values}
        check_values(source, values)
    if source.problems:
        raise DialectErrors(tuple(sorted(source.problems)))
    return Dialect(Path(file).stem, **values)


def _base(source: Source) -> Values | None:
    """Return the fields of the dialect that a file builds on, None where it names none."""
    name = source.data.get("base") if isinstance(source.data, dict) else None
    if name is None:
        return None
    if name not in shipped():
        source.add(
            source.value_mark(("base",)), f"base: there is no shipped dialect {name!r}", meant(str(name), shipped())
        )
        return None
    return values_of(_shipped(name))


def values_of(dialect: Dialect) -> Values:
    """Return the fields of a dialect that a file can set, but for the words about it."""
    own = {field.name for field in fields(dialect) if field.init} - {"name", "about"}
    return {name: getattr(dialect, name) for name in own}


def _all_there(source: Source, values: Values) -> None:
    optional = {"about", "statuses"} | ({*_SESSION} if values.get("session_tag", 0) is None else set())
    missing = [".".join(map(str, path)) for field, path in PATHS.items() if field not in {*values, *optional}]
    if missing:
        source.add(Mark(1, 1), f"{missing[0]} is missing", f"give it, or build on a dialect: base: {PLAIN}")


_SESSION: Final = ("session_octets", "id_mask", "sequence_mask", "end_mask", "push_session")
