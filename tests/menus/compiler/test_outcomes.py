"""Every outcome that an operation declares leads somewhere, and no other does."""

import pytest

from tests.menus.compiler.mistakes import NODES, problems


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {do: activate, done: x}\n  x: {end: y}\n", [
            "f:10:9: 'main' does not say what follows the outcome 'already'",
        ]),
        ("  main: {do: activate, done: x, alredy: x}\n  x: {end: y}\n", [
            "f:10:9: 'main' does not say what follows the outcome 'already'",
            "f:10:33: unknown key 'alredy'; did you mean 'already'?",
        ]),
        ("  main: {do: activate, done: x, already: {too: x}}\n  x: {end: y}\n", [
            "f:10:42: 'already' must be a node; its name, or {to: node, as: name}",
        ]),
        ("  main: {do: activate, done: {to: x, as: y}, already: x}\n  x: {end: y}\n", [
            "f:10:42: 'done' has no value that could be named",
        ]),
        ("  main: {do: activate, done: x, already: x, zz: x}\n  x: {end: y}\n", [
            "f:10:45: unknown key 'zz'; there are done, already, do, as",
        ]),
    ],
)  # fmt: skip
def test_mistakes_in_outcomes(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected
