"""What a YAML parser complains of, in the words of somebody who writes a flow and need not know the parser."""

import re
from typing import Final, NamedTuple

from ruamel.yaml.error import MarkedYAMLError, StreamMark

STAR_FIRST: Final = "a text cannot begin with *"
_QUOTE: Final = "put the text in quotes"
_STARRED: Final = re.compile(r"\*[^\s,{}\[\]\"']*")


class Explained(NamedTuple):
    """A place (both count from 1), what is wrong there, and what would be right ("" where that is not known)."""

    line: int
    column: int
    message: str
    suggestion: str = ""


def explain(error: MarkedYAMLError, lines: list[str]) -> Explained:
    """Say what is wrong with a text that is not YAML; `lines` are the text's."""
    here = error.problem_mark or error.context_mark
    if here is None:
        return Explained(1, 1, f"this is not YAML: {error.problem or error}")
    begin = error.context_mark or here
    problem, context = error.problem or "", error.context or ""
    line = _line(lines, here)
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent[: here.column + 1] or "'\\t'" in problem:
        return _at(here, "a tab", "indent with blanks")
    if "alias" in context:
        return _at(begin, STAR_FIRST, in_quotes(_line(lines, begin)[begin.column :]))
    if ("':'" in problem and "got" in problem) or "mapping values are not allowed" in problem:
        return _colon(here, begin, line, in_brackets="got" in problem)
    if "found '<block " in problem or "found '-'" in problem:
        return _indented(here, line)
    return (
        _unclosed(begin, problem, context, lines) or _unstartable(here, problem, line) or _other(here, problem, error)
    )


def in_quotes(text: str) -> str:
    """Return the advice to put a text that begins with `*` in quotes, with the code that stands there."""
    found = _STARRED.match(text)
    code = found[0].removesuffix(":") if found else ""
    return f'{_QUOTE}: "{code}"' if len(code) > 1 else _QUOTE


def _colon(here: StreamMark, begin: StreamMark, line: str, *, in_brackets: bool) -> Explained:
    """A colon where none may stand: within a text, or after a key that stands in the wrong place."""
    before = line[: here.column]
    if ": " not in before:
        if not in_brackets:
            return _indented(here, line)
        if here.line > begin.line:
            return _at(begin, f"a bracket that is not closed before line {here.line + 1}", "close it, or put a comma")
    start = before.rfind(": ") + 2 if ": " in before else 0
    rest = line[start:]
    text = (re.split(r",(?:\s|$)|[}\]]", rest, maxsplit=1)[0] if in_brackets else rest.partition(" #")[0]).strip()
    quoted = f': "{text}"' if text and '"' not in text and "\\" not in text else ""
    return Explained(here.line + 1, start + 1, "a text with a colon in it", f"{_QUOTE}{quoted}")


def _indented(here: StreamMark, line: str) -> Explained:
    column = len(line) - len(line.lstrip()) + 1
    return Explained(
        here.line + 1,
        column,
        "this line is indented otherwise than the lines beside it",
        "give them the same indentation",
    )


def _unclosed(begin: StreamMark, problem: str, context: str, lines: list[str]) -> Explained | None:
    """A quote or a bracket that is never closed, or a key without its colon: the mistake is where it began."""
    if "quoted scalar" in context and "unexpected" in problem:
        return _at(begin, "a quote that is not closed")
    if context.startswith("while parsing a flow") and "stream end" in problem:
        return _at(begin, f"{_line(lines, begin)[begin.column : begin.column + 1]} is not closed")
    if "could not find expected ':'" in problem:
        return _at(begin, "a key without a colon", "write key: value")
    return None


def _unstartable(here: StreamMark, problem: str, line: str) -> Explained | None:
    character = line[here.column : here.column + 1]
    if "cannot start any token" in problem or ("node content" in problem and character in ("?", "%", "@", "`", "|")):
        return _at(here, f"a text cannot begin with {character}", _QUOTE)
    return None


def _other(here: StreamMark, problem: str, error: MarkedYAMLError) -> Explained:
    if "found '<scalar>'" in problem:
        return _at(here, "something after a text's closing quote", "a ' within '...' is written ''")
    if "expected ',' or" in problem:
        return _at(here, "a comma is missing before this", "or put the text in quotes")
    if "sequence entries are not allowed" in problem:
        return _at(here, "a list begins in a line of its own", "or put the text in quotes")
    return _at(here, f"this is not YAML: {problem or error}")


def _at(place: StreamMark, message: str, suggestion: str = "") -> Explained:
    return Explained(place.line + 1, place.column + 1, message, suggestion)


def _line(lines: list[str], place: StreamMark) -> str:
    return lines[place.line] if place.line < len(lines) else ""
