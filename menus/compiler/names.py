"""The names that a file gives to values: each is one thing, and they are not too many."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from menus import schema
from menus.compiler.report import Report
from menus.graph import Way
from menus.limits import MAX_NAMES
from menus.source import Path

_CAPTURED: Final = re.compile(r"\{([a-z]\w*)")


def names_given(data: Any) -> Iterator[str]:
    """Yield every name that anything in a file gives to a value, or means to, whether it could be read or not."""
    if isinstance(data, list):
        for each in data:
            yield from names_given(each)
    elif isinstance(data, dict):
        for key, value in data.items():
            if key in ("as", "each", "name") and isinstance(value, str):
                yield value
            elif key == "set" and isinstance(value, dict):
                yield from value
            elif key == "text":
                yield from _CAPTURED.findall(str(value))
            yield from names_given(value)


def secret_names(nodes: Mapping[str, schema.Node]) -> frozenset[str]:
    """Return the names of what is asked for as a secret."""
    return frozenset(node.name for node in nodes.values() if isinstance(node, schema.Input) and node.secret)


def check_names(
    nodes: Mapping[str, schema.Node],
    ways: Sequence[Way],
    secrets: frozenset[str],
    facts: Collection[str],
    report: Report,
) -> None:
    """Find names that mean two things, and too many of them."""
    plain: dict[str, Path] = {}
    for way in ways:
        node = nodes.get(way.source)
        secret = isinstance(node, schema.Input) and node.secret
        for name in way.binds:
            if name in facts:
                message = f"{name!r} is a fact, and cannot be the name of a value"
                report.at_value(way.path, message, "use another name")
            if not secret:
                plain[name] = way.path
    for name in sorted(secrets & plain.keys()):
        report.at_value(plain[name], f"{name!r} is secret elsewhere, and must be everywhere", "use another name")
    lists = sum(isinstance(node, schema.List) for node in nodes.values())
    count = len(plain.keys() | secrets) + lists
    if count > MAX_NAMES:
        report.at_value(("nodes",), f"{count} names of values and lists", f"at most {MAX_NAMES}")
