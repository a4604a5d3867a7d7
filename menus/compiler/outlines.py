"""The first reading of a node: what it calls and accepts, where it leads, and what it binds on the way.

Only when all nodes have been read is it known which values are there at each; `nodes.py` makes the nodes then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from menus import schema
from menus.accept import ACCEPTED, Accept, parse_accept
from menus.compiler.calls import WrittenCall, read_call
from menus.compiler.outcomes import Outcomes
from menus.compiler.report import Report
from menus.compiler.ways import Ways
from menus.nodes import Outcome
from menus.registry import Flag, List, Number, Operation, Shape, Word
from menus.source import Path

_UNREAD: Final = Accept("text", 1, 1)
"""Stands for an `accept` that could not be read."""


@dataclass(frozen=True)
class Outline:
    """What is known of a node before its values are. `empty` is where a list without items leads."""

    call: WrittenCall | None = None
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    empty: str = ""
    accept: Accept = _UNREAD


class Outlines:
    """Reads nodes for the first time."""

    def __init__(self, operations: Mapping[str, Operation], ways: Ways, report: Report) -> None:
        self._operations = operations
        self._outcomes = Outcomes(ways, report)
        self._ways = ways
        self._report = report

    def outline(self, name: str, node: schema.Node) -> Outline:
        """Read a node's call and what it accepts, and add the ways from it."""
        path: Path = ("nodes", name)
        match node:
            case schema.Menu(options=options) | schema.Message(options=options):
                for index, option in enumerate(options):
                    binds = {key: _literal(value) for key, value in option.set.items()}
                    self._ways.add(name, option.to, (*path, "options", index, "to"), binds)
            case schema.Confirm():
                self._answer(name, node.yes, (*path, "yes"))
                self._answer(name, node.no, (*path, "no"))
            case schema.Input():
                return self._input(name, node)
            case schema.Check():
                self._ways.add(name, node.yes, (*path, "yes"), immediate=True)
                self._ways.add(name, node.no, (*path, "no"), immediate=True)
            case schema.List():
                return self._list(name, node)
            case schema.Query(query=written) | schema.Do(do=written):
                call = self._call(name, node.kind, written)
                if call is not None:
                    declared, keys = call.operation.outcomes, (node.kind, "as")
                    return Outline(call, self._outcomes.read(name, node.others, declared, keys, node.name))
            case schema.Command():
                return self._command(name, node)
            case schema.End():
                pass
        return Outline()

    def _call(self, name: str, kind: str, written: str) -> WrittenCall | None:
        return read_call(name, kind, written, self._operations, self._report)

    def _answer(self, name: str, written: Any, path: Path) -> None:
        """Read where an answer to a confirm leads: a node, or a mapping that names it beside the label."""
        if isinstance(written, str):
            self._ways.add(name, written, path)
            return
        target = written.get("to") if isinstance(written, dict) else None
        if not isinstance(target, str):
            self._report.at_value(path, "where this leads is missing", "a node, or {ru: ..., en: ..., to: node}")
            target = ""
        self._ways.add(name, target, (*path, "to") if isinstance(written, dict) else path)

    def _input(self, name: str, node: schema.Input) -> Outline:
        path: Path = ("nodes", name)
        accept = parse_accept(node.accept)
        if isinstance(accept, str):
            self._report.at_value((*path, "accept"), accept, ACCEPTED)
            accept = _UNREAD
        self._ways.add(name, node.to, (*path, "to"), {node.name: accept.shape})
        return Outline(accept=accept)

    def _list(self, name: str, node: schema.List) -> Outline:
        path: Path = ("nodes", name)
        call = self._call(name, "list", node.list)
        item: Shape | None = None
        outcomes: dict[str, Outcome] = {}
        if call is not None:
            (_, shape), *others = call.operation.outcomes.items()
            if isinstance(shape, List):
                item = shape.of
            else:
                message = f"{call.operation.name!r} does not return a list"
                self._report.at_value((*path, "list"), message, "use 'query'")
            keys = schema.keys_of(schema.List)
            outcomes = self._outcomes.read(name, node.others, dict(others), keys, node.name)
        self._ways.add(name, node.to, (*path, "to"), {} if item is None else {node.each: item})
        empty = self._outcomes.target(node.empty, (*path, "empty")).target
        self._ways.add(name, empty, (*path, "empty"), immediate=True)
        return Outline(call, outcomes, empty)

    def _command(self, name: str, node: schema.Command) -> Outline:
        path: Path = ("nodes", name)
        call = self._call(name, "command", node.command)
        if (node.say is None) == (node.to is None):
            message = f"command {name!r} must have either 'say' or 'to'"
            self._report.at_value(path, message, "say: a text, or to: a node")
        if node.to is not None:
            self._ways.add(name, node.to, (*path, "to"), immediate=True)
        if call is not None:
            self._outcomes.check(name, node.others, call.operation.outcomes, ("command", "say", "to", "as"))
        return Outline(call)


def _literal(value: str | int | bool) -> Shape | Word:
    if isinstance(value, bool):
        return Flag()
    return Number() if isinstance(value, int) else Word(frozenset({value}))
