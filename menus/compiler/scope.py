"""The values at each node: which may be named there, and why one may not."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from menus.compiler.report import Report
from menus.conditions import Mistake
from menus.graph import Bound, Shapes, Way
from menus.machine import START
from menus.registry import Text, Word
from menus.source import Path
from menus.style import Problem

_NOWHERE: Final = Bound({}, frozenset())


class Scope:
    """What is bound at each node, with the ways that bind it.

    `unsure` are names that might be bound where a way could not be read: that they are missing is not told.
    """

    def __init__(
        self,
        bound: Mapping[str, Bound],
        ways: Sequence[Way],
        home: str,
        secrets: frozenset[str],
        unsure: Collection[str],
        report: Report,
    ) -> None:
        self.secrets = secrets
        self._bound = bound
        self._ways = ways
        self._home = home
        self._unsure = unsure
        self._report = report

    def at(self, node: str) -> Shapes:
        """Return the values that are there on every way to a node, secrets too."""
        return self._bound.get(node, _NOWHERE).always

    def words(self, node: str) -> dict[str, Any]:
        """Return what a condition may name at a node: everything that is there, but no secret."""
        return {name: shape for name, shape in self.at(node).items() if name not in self.secrets}

    def values(self, node: str) -> dict[str, Any]:
        """Return what a text may name at a node: the same, where a word is a text as any other."""
        return {name: Text() if isinstance(shape, Word) else shape for name, shape in self.words(node).items()}

    def tell(self, node: str, path: Path, mistake: Problem | Mistake) -> None:
        """Note a mistake in a text or a condition; where a value is missing, with the reason."""
        if mistake.missing:
            self.missing(node, path, mistake.missing, mistake.message, mistake.hint, mistake.column)
        else:
            self._report.at_value(path, mistake.message, mistake.hint, mistake.column)

    def missing(self, node: str, path: Path, name: str, message: str, hint: str, column: int | None = None) -> None:
        """Say why a value is not there, as exactly as is known."""
        if name in self._unsure:
            return
        if name in self.secrets:
            message, hint = f"{name!r} is secret: it is in no text or condition, and gone after the next operation", ""
        elif name in self._bound.get(node, _NOWHERE).sometimes:
            message, hint = f"{name!r} has no value on some way to {node!r}", self._culprit(node, name)
        self._report.at_value(path, message, hint, column)

    def _culprit(self, node: str, name: str) -> str:
        """Return from where a node is come to without a value."""
        for way in self._ways:
            if way.target == node and name not in way.binds:
                if way.source == START:
                    return f"the entry in line {self._report.line(way.path)} leads here without it"
                if name not in self.at(way.source):
                    return f"it is missing when coming from {way.source!r}"
        return "home is entered without values" if node == self._home else "it is not always the same thing"
