"""What follows each outcome of an operation: all that it declares must be there, and no other."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from menus import schema
from menus.compiler.report import Report
from menus.compiler.ways import Ways
from menus.nodes import Outcome
from menus.registry import Shape
from menus.source import Path


class Outcomes:
    """Reads where outcomes lead, and which names their values get."""

    def __init__(self, ways: Ways, report: Report) -> None:
        self._ways = ways
        self._report = report

    def read(
        self,
        node: str,
        written: Mapping[str, Any],
        declared: Mapping[str, Shape | None],
        keys: Sequence[str],
        name: str | None,
    ) -> dict[str, Outcome]:
        """Read where each declared outcome leads; `name` is that of the values that are given none of their own.

        `keys` are the others that may stand in such a node.
        """
        self.check(node, written, declared, keys)
        found: dict[str, Outcome] = {}
        for outcome, shape in declared.items():
            if outcome not in written:
                continue
            path: Path = ("nodes", node, outcome)
            leads = found[outcome] = self.target(written[outcome], path, name, shape)
            binds = {leads.name: shape} if leads.name and shape is not None else {}
            place = (*path, "to") if isinstance(written[outcome], dict) else path
            self._ways.add(node, leads.target, place, binds, immediate=True)
        return found

    def check(
        self, node: str, written: Mapping[str, Any], declared: Mapping[str, Shape | None], keys: Sequence[str]
    ) -> None:
        """Find outcomes of which nothing is said, and what is none."""
        path: Path = ("nodes", node)
        missing = [outcome for outcome in declared if outcome not in written]
        if missing:
            what = "outcomes" if len(missing) > 1 else "outcome"
            message = f"{node!r} does not say what follows the {what} {', '.join(map(repr, missing))}"
            self._report.at_value(path, message)
        for key in written:
            if key not in declared:
                self._report.unknown_key((*path, key), [*(missing or declared), *keys])

    def target(self, written: Any, path: Path, name: str | None = None, shape: Shape | None = None) -> Outcome:
        """Read a target: a node, or `{to: node, as: name}`. `shape` is that of the outcome's value, None without."""
        if isinstance(written, str):
            return Outcome(written, (name or "") if shape is not None else "")
        if not isinstance(written, dict) or not isinstance(written.get("to"), str):
            self._report.at_value(path, f"{path[-1]!r} must be a node", "its name, or {to: node, as: name}")
            return Outcome("")
        for key in written:
            if key not in ("to", "as"):
                self._report.unknown_key((*path, key), ["to", "as"])
        own = written.get("as")
        if own is not None and (not isinstance(own, str) or not re.fullmatch(schema.NAME, own)):
            self._report.at_value((*path, "as"), f"{own!r} is no name", schema.PATTERN_HINTS[schema.NAME])
            own = None
        if own is not None and shape is None:
            self._report.at_value((*path, "as"), f"{path[-1]!r} has no value that could be named")
        return Outcome(written["to"], (own or name or "") if shape is not None else "")
