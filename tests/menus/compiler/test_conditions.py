"""A condition names what is there, and compares it with what it can be."""

import pytest

from tests.menus.compiler.mistakes import NODES, problems


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {check: actve, yes: x, no: x}\n  x: {end: y}\n", [
            "f:10:17: there is no fact or value 'actve' here; did you mean 'active'?",
        ]),
        ("  main: {check: language is fr, yes: x, no: x}\n  x: {end: y}\n", [
            "f:10:29: 'language' is never 'fr'; there are en, ru",
        ]),
    ],
)  # fmt: skip
def test_mistakes_in_conditions(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected
