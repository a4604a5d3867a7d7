"""Nodes whose shape is wrong: what can be judged of them all the same, so that all mistakes are told at once."""

import re
from typing import Any

from menus import schema
from menus.compiler.conditions import Conditions
from menus.compiler.ways import Ways
from menus.source import Path


def check_unread(document: schema.Document, ways: Ways, conditions: Conditions) -> None:
    """Judge where the options of such nodes lead, and under which conditions."""
    for name, node in document.source.data["nodes"].items():
        if name not in document.nodes:
            _check_options(name, node, ways, conditions)


def _check_options(name: str, node: Any, ways: Ways, conditions: Conditions) -> None:
    options = node.get("options") if isinstance(node, dict) else None
    for index, option in enumerate(options if isinstance(options, list) else ()):
        if not isinstance(option, dict):
            continue
        path: Path = ("nodes", name, "options", index)
        target, when = option.get("to"), option.get("when")
        if isinstance(target, str) and re.fullmatch(schema.NAME, target):
            ways.target(target, (*path, "to"))
        if isinstance(when, str):
            conditions.condition(name, (*path, "when"), when)
