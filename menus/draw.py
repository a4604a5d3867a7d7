"""A flow as a picture: Mermaid text, which many viewers draw, from the same nodes that the engine runs."""

from collections.abc import Iterator

from menus.flow import Flow
from menus.nodes import Asking, Check, Choice, End, Input, Listing, Menu, Node, Ordering

_SHAPES = {Menu: ("[", "]"), Listing: ("[[", "]]"), Input: ("[/", "/]"), Asking: ("{{", "}}"), Check: ("{", "}")}
"""By kind: screens are boxes, lists double boxes, inputs slanted, the outside a hexagon, checks a diamond."""


def mermaid(flow: Flow, language: str) -> str:
    """Return the flow as a Mermaid flowchart: entries, nodes, and what leads where, with labels in this language."""
    lines = ["flowchart LR"]
    numbers = {name: f"n{index}" for index, name in enumerate(flow.nodes)}
    for name, node in flow.nodes.items():
        opening, closing = _SHAPES.get(type(node), ("([", "])"))
        lines.append(f'    {numbers[name]}{opening}"{_quoted(name)}"{closing}')
    for index, (entry, target) in enumerate(_entries(flow)):
        lines.append(f'    e{index}(("{_quoted(entry)}")) --> {numbers[target]}')
    for name, node in flow.nodes.items():
        for label, target in _ways(node, language):
            lines.append(f'    {numbers[name]} -- "{_quoted(label)}" --> {numbers[target]}')
    return "\n".join(lines) + "\n"


def _entries(flow: Flow) -> Iterator[tuple[str, str]]:
    """Return the codes, by number and node the texts, a terminal's words and the pushes, that begin something."""
    for code, node in zip(flow.codes, flow.entries.codes.values(), strict=True):
        yield code, node
    for number, texts in flow.entries.texts.items():
        by_node: dict[str, list[str]] = {}
        for text, node in texts.exact.items():
            by_node.setdefault(node, []).append(text or "(empty)")
        for pattern, node in texts.patterns:
            by_node.setdefault(node, []).append(pattern.skeleton)
        yield from ((f"SMS {number}: {', '.join(written)}", node) for node, written in by_node.items())
    for word, node in flow.entries.terminal.items():
        yield f"terminal: {word}", node
    for push in flow.entries.pushes.values():
        yield f"push: {push.name}", push.node


def _ways(node: Node, language: str) -> Iterator[tuple[str, str]]:
    """Return where a node leads, each way with what is written on it."""
    match node:
        case Menu():
            yield from ((_label(choice, language), choice.target) for choice in node.choices)
        case Listing():
            yield "an item", node.target
            yield "empty", node.empty
            yield from ((outcome, leads.target) for outcome, leads in node.outcomes.items())
        case Input():
            yield "entered", node.target
        case Asking():
            yield from ((outcome, leads.target) for outcome, leads in node.outcomes.items())
        case Ordering():
            if node.target:
                yield "placed", node.target
        case Check():
            yield "yes", node.yes
            yield "no", node.no
        case End():
            pass


def _label(choice: Choice, language: str) -> str:
    """Return what an option says, or the names of the values that only a conversation has."""
    missing = choice.label.names - choice.values.keys()
    if missing:
        return " ".join(f"{{{name}}}" for name in sorted(missing))
    return choice.label.render("ussd", language, choice.values)


def _quoted(text: str) -> str:
    """Return text as Mermaid takes it between quotes."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
