"""A name means one thing."""

# ruff: noqa: ISC004 - a mistake is one line, and reads best as one

import pytest

from tests.menus.compiler.mistakes import MAIN, NODES, problems


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {input: A, as: active, accept: phone, to: x}\n  x: {end: y}\n", [
            "f:10:51: 'active' is a fact, and cannot be the name of a value; use another name",
        ]),
        ("  main: {input: A, as: pin, accept: digits(4), secret: true, to: x}\n"
         "  x: {input: A, as: pin, accept: digits(4), to: y}\n  y: {end: A}\n", [
            "f:11:49: 'pin' is secret elsewhere, and must be everywhere; use another name",
        ]),
    ],
)  # fmt: skip
def test_a_name_that_means_two_things(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected


def test_more_names_than_a_session_may_have():
    inputs = "".join(f"  i{n}: {{input: A, as: v{n}, accept: phone, to: i{n + 1}}}\n" for n in range(33))
    assert problems(MAIN.replace("to: next", "to: i0") + inputs + "  i33: {end: A}\n") == [
        "f:10:3: 33 names of values and lists; at most 32"
    ]
