"""What a flow leads to is there."""

# ruff: noqa: E501 - a mistake is one line, and reads best as one

import pytest

from menus.compiler.ways import HINTED
from tests.menus.compiler.mistakes import NODES, TWO_NODES, problems


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {do: activate, done: y, already: main}\n  x: {end: y}\n", [
            "f:10:30: there is no node 'y'; there are main, x",
        ]),
    ],
)  # fmt: skip
def test_a_target_that_does_not_exist(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("home: main", "home: mian", ["f:6:7: there is no node 'mian'; did you mean 'main'?"]),
        ('{ussd: "*1#", to: main}', "{terminal: menu, to: mian}", ["f:8:26: there is no node 'mian'; did you mean 'main'?"]),
    ],
)  # fmt: skip
def test_targets_of_the_head_and_the_entries(old: str, new: str, expected: list[str]):
    assert problems(TWO_NODES.replace(old, new, 1)) == expected


def test_near_names_are_looked_for_in_the_first_mistakes_alone():
    checks = "".join(f"  n{n}: {{check: active, yes: main, no: nn{n}}}\n" for n in range(HINTED + 1))
    told = problems(NODES + "  main: {end: A}\n" + checks)
    targets = [problem for problem in told if "there is no node 'nn" in problem]
    assert [problem.endswith(f"did you mean 'n{n}'?") for n, problem in enumerate(targets)] == [True] * HINTED + [False]
