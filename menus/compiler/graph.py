"""What is wrong with a flow as a graph: where nothing leads, what cannot be left, what never comes to a screen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from menus import schema
from menus.compiler.report import Report
from menus.entries import Push
from menus.graph import Way, longest, loop, reached, stuck
from menus.limits import MAX_STEPS
from menus.machine import START


def check_graph(document: schema.Document, home: str, ways: Sequence[Way], report: Report) -> None:
    """Judge the whole graph; every node must have been read, and every target be there."""
    begins = {home, *(way.target for way in ways if way.source == START)}
    there = reached(ways, begins)
    for name in document.nodes:
        if name not in there:
            report.at_key(("nodes", name), f"nothing leads to {name!r}", "an option, an outcome or an entry must")
    _check_pushes(document, ways, report)
    _check_steps(ways, report)
    exits = [name for name, node in document.nodes.items() if _can_be_left(node)]
    for name in sorted(stuck(ways, document.nodes, exits)):
        if name in there:
            report.at_key(("nodes", name), f"there is no way out of {name!r}", "an 'end', or navigation, must follow")


def _check_steps(ways: Sequence[Way], report: Report) -> None:
    """Find nodes that follow each other without a screen for ever, or for too long."""
    circle = loop(ways)
    if circle:
        message = f"{' -> '.join(circle)} can go round without ever showing a screen"
        report.at_key(("nodes", circle[0]), message, "a screen must come between")
        return
    name, steps = longest(ways)
    if steps > MAX_STEPS:
        message = f"{steps} nodes may follow each other without a screen"
        report.at_key(("nodes", name), message, f"at most {MAX_STEPS}")


def _check_pushes(document: schema.Document, ways: Sequence[Way], report: Report) -> None:
    """Find pushes that would do or order something before anybody has read and answered a screen."""
    for index, entry in document.entries.items():
        if not isinstance(entry, schema.PushEntry):
            continue
        for name in _before_a_screen(entry.to, ways):
            if isinstance(document.nodes.get(name), schema.Do | schema.Command):
                message = f"the push {entry.push!r} comes to {name!r} before anybody has answered a screen"
                report.at_value(("entries", index, "to"), message, "lead it to a 'confirm' or a 'menu' first")


def judged(push: Push, nodes: Mapping[str, schema.Node], ways: Sequence[Way]) -> Push:
    """Return a push that knows what its first screen may be."""
    first = [nodes[name] for name in _before_a_screen(push.node, ways) if name in nodes]
    return replace(push, asks=any(map(_waits, first)), tells=any(map(_closes, first)))


def _waits(node: schema.Node) -> bool:
    return isinstance(node, schema.Menu | schema.Message | schema.List | schema.Input | schema.Confirm)


def _closes(node: schema.Node) -> bool:
    return isinstance(node, schema.End) or (isinstance(node, schema.Message) and not node.options)


def _before_a_screen(begin: str, ways: Sequence[Way]) -> set[str]:
    """Return a node and all that may follow it without a screen in between."""
    return reached([way for way in ways if way.immediate], {begin})


def _can_be_left(node: schema.Node) -> bool:
    """Whether a conversation can end here, or leave by navigation."""
    match node:
        case schema.End():
            return True
        case schema.Command(say=say):
            return say is not None
        case schema.Message(options=[]):
            return True
        case schema.Menu() | schema.Message() | schema.List() | schema.Input() | schema.Confirm():
            return node.navigation is None
        case _:
            return False
