"""The ways of a flow, collected while its entries and nodes are read; each must lead to a node that exists."""

from collections.abc import Collection
from typing import Final

from menus.compiler.report import Report
from menus.graph import Shapes, Way
from menus.machine import START
from menus.near_names import meant
from menus.source import Path

HINTED: Final = 200
"""Mistakes after which no near names are looked for."""


class Ways:
    """The ways that were found, in the order of the file. `nodes` are the names of all nodes, whatever is in them."""

    def __init__(self, nodes: Collection[str], report: Report) -> None:
        self.found: list[Way] = []
        self._nodes = nodes
        self._report = report

    def begin(self, target: str, path: Path, binds: Shapes | None = None) -> None:
        """Add a way by which a flow is entered."""
        self.found.append(Way(START, target, path, binds or {}))

    def add(
        self, source: str, target: str, path: Path, binds: Shapes | None = None, *, immediate: bool = False
    ) -> None:
        """Add a way between nodes; `immediate`: it is taken without a screen in between."""
        self.target(target, path)
        self.found.append(Way(source, target, path, binds or {}, immediate))

    def target(self, target: str, path: Path) -> None:
        """Note a target that does not exist."""
        if target and target not in self._nodes:
            # Looking for the nearest name takes long where there are many of both.
            hint = meant(target, sorted(self._nodes)) if self._report.count < HINTED else ""
            self._report.at_value(path, f"there is no node {target!r}", hint)
