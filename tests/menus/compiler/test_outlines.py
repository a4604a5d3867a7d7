"""What can be said of a node before its values are known."""

# ruff: noqa: ISC004 - a mistake is one line, and reads best as one

import pytest

from tests.menus.compiler.mistakes import NODES, problems


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {input: A, as: n, accept: digits(4..2), to: x}\n  x: {end: y}\n", [
            "f:10:35: 'digits(4..2)' accepts nothing: the first bound is above the second; accepted are digits(4..8), "
            "text(1..100), number(1..9999), phone",
        ]),
        ("  main: {command: remember(x), say: A, to: x, done: {sms: A}}\n  x: {end: y}\n", [
            "f:10:9: command 'main' must have either 'say' or 'to'; say: a text, or to: a node",
            "f:10:19: there is no value 'x' here",
        ]),
        ("  main: {confirm: A, yes: {ru: Б, en: B}, no: x}\n  x: {end: y}\n", [
            "f:10:27: where this leads is missing; a node, or {ru: ..., en: ..., to: node}",
        ]),
    ],
)  # fmt: skip
def test_mistakes_in_what_a_node_asks_and_leads_to(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected
