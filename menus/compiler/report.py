"""The mistakes of a flow file, each at its place. Nothing stops at the first."""

from collections.abc import Sequence

from menus.near_names import meant_key
from menus.schema import FlowErrors
from menus.source import Path, Source


class Report:
    """Collects mistakes by the path of what is wrong; the source knows where each path stands."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def count(self) -> int:
        """How many mistakes were found until now."""
        return len(self._source.problems)

    def errors(self) -> FlowErrors:
        """Return all mistakes, each once, in the order in which they stand in the file."""
        return FlowErrors(tuple(sorted(set(self._source.problems))))

    def at_value(self, path: Path, message: str, hint: str = "", column: int | None = None) -> None:
        """Note a mistake where a value stands, or at a character of its text (`column`, from 0)."""
        mark = self._source.value_mark(path) if column is None else self._source.text_mark(path, column)
        self._source.add(mark, message, hint)

    def at_key(self, path: Path, message: str, hint: str = "") -> None:
        """Note a mistake where a mapping's key stands."""
        self._source.add(self._source.key_mark(path), message, hint)

    def unknown_key(self, path: Path, known: Sequence[str]) -> None:
        """Note a key that cannot stand there, with the one that may be meant."""
        self.at_key(path, f"unknown key {path[-1]!r}", meant_key(str(path[-1]), known))

    def no_text(self, path: Path, otherwise: str = "") -> None:
        """Note that something else stands where a text must, with how it would be one, or what else would."""
        raw = self._source.raw.get(path)
        self.at_value(path, f"{path[-1]!r} must be a text", f'in quotes: "{raw}"' if raw else otherwise)

    def line(self, path: Path) -> int:
        """Return in which line a value stands, counted from 1."""
        return self._source.value_mark(path).line
