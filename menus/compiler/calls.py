"""Calls of operations: `operation(argument, ...)`, each of the right kind, with arguments of the right shapes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from menus.compiler.report import Report
from menus.compiler.scope import Scope
from menus.entries import Push
from menus.near_names import meant
from menus.nodes import Argument, Call
from menus.registry import Operation, PushName, Record, Shape, Word
from menus.shapes import described, same
from menus.source import Path

_CALL: Final = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:\(([^()]*)\))?\s*")
_KIND_OF_CALL: Final = {"query": "query", "list": "query", "do": "action", "command": "command"}
_NODE_FOR: Final = {"query": "'query' or 'list'", "action": "'do'", "command": "'command'"}
_NOTHING: Final = Call(Operation("", "query", {}))
"""Stands for a call that could not be read."""


@dataclass(frozen=True)
class WrittenCall:
    """A call as it is written: the operation is known, the arguments are not judged yet."""

    operation: Operation
    arguments: Sequence[str] = ()


def read_call(
    node: str, kind: str, written: str, operations: Mapping[str, Operation], report: Report
) -> WrittenCall | None:
    """Read the call of a node of this kind (`query`, `list`, `do`, `command`); None where it is none."""
    path: Path = ("nodes", node, kind)
    found = _CALL.fullmatch(written)
    if found is None:
        report.at_value(path, f"{written!r} is no call", "operation(argument, ...)")
        return None
    operation = operations.get(found[1])
    if operation is None:
        report.at_value(path, f"there is no operation {found[1]!r}", meant(found[1], operations))
        return None
    if operation.kind != _KIND_OF_CALL[kind]:
        said = "an action" if operation.kind == "action" else f"a {operation.kind}"
        hint = f"use {_NODE_FOR[operation.kind]}"
        report.at_value(path, f"{operation.name!r} is {said} and no {kind!r}", hint)
        return None
    arguments = [part.strip() for part in found[2].split(",")] if (found[2] or "").strip() else []
    return WrittenCall(operation, arguments)


class Calls:
    """Judges arguments against the values that are there."""

    def __init__(self, scope: Scope, pushes: Mapping[str, Push], report: Report) -> None:
        self._scope = scope
        self._pushes = pushes
        self._report = report

    def call(self, node: str, kind: str, written: WrittenCall | None) -> Call:
        """Make the call of a node of this kind."""
        if written is None:
            return _NOTHING
        operation, given = written.operation, written.arguments
        path: Path = ("nodes", node, kind)
        if len(given) != len(operation.parameters):
            wanted = f"{operation.name}({', '.join(operation.parameters)})"
            message = f"{operation.name!r} takes {len(operation.parameters)} arguments, not {len(given)}"
            self._report.at_value(path, message, wanted)
            return Call(operation)
        arguments = tuple(
            self._argument(node, path, parameter, shape, argument)
            for (parameter, shape), argument in zip(operation.parameters.items(), given, strict=True)
        )
        secret = any(argument.path and argument.path[0] in self._scope.secrets for argument in arguments)
        return Call(operation, arguments, secret)

    def _argument(
        self, node: str, path: Path, parameter: str, wanted: Shape | Word | PushName, written: str
    ) -> Argument:
        """Read one argument: a word that the operation declares, a push, or the name of a value of the right shape."""
        if isinstance(wanted, PushName):
            self._check_push(path, parameter, written)
            return Argument(parameter, word=written)
        if isinstance(wanted, Word) and written in wanted.words:
            return Argument(parameter, word=written)
        root, *steps = written.split(".")
        values = self._scope.at(node)
        if root not in values:
            hint = f"{parameter!r} is {described(wanted)}" if isinstance(wanted, Word) else meant(root, sorted(values))
            self._scope.missing(node, path, root, f"there is no value {root!r} here", hint)
            return Argument(parameter, path=(root,))
        shape: Shape | Word = values[root]
        for step in steps:
            if not isinstance(shape, Record) or step not in shape.fields:
                fields = sorted(shape.fields) if isinstance(shape, Record) else []
                self._report.at_value(path, f"{written!r}: there is no {step!r} in it", meant(step, fields))
                return Argument(parameter, path=(root,))
            shape = shape.fields[step]
        if not same(shape, wanted):
            message = f"{parameter!r} takes {described(wanted)}, and {written!r} is {described(shape)}"
            self._report.at_value(path, message)
        return Argument(parameter, path=(root, *steps))

    def _check_push(self, path: Path, parameter: str, written: str) -> None:
        if written not in self._pushes:
            declare = f"an entry declares one: {{push: {parameter}, to: node}}"
            hint = meant(written, sorted(self._pushes)) or declare
            self._report.at_value(path, f"there is no push {written!r} among the entries", hint)
