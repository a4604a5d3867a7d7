"""A flow is judged as a graph."""

# ruff: noqa: ISC004 - a mistake is one line, and reads best as one

import pytest

from menus.compiler import compile_flow
from tests.menus.compiler.mistakes import MAIN, NODES, problems
from tests.menus.small import HEAD, REGISTRY


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {end: 'x'}\n  left: {end: 'x'}\n", [
            "f:11:3: nothing leads to 'left'; an option, an outcome or an entry must",
        ]),
        ("  main: {do: activate, done: x, already: a}\n  x: {end: y}\n"
         "  a: {check: active, yes: main, no: x}\n", [
            "f:10:3: main -> a -> main can go round without ever showing a screen; a screen must come between",
        ]),
        ("  main: {message: A, navigation: none, options: [{ru: Б, en: B, to: main}]}\n", [
            "f:10:3: there is no way out of 'main'; an 'end', or navigation, must follow",
        ]),
    ],
)  # fmt: skip
def test_what_is_not_reached_not_left_or_goes_round(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected


def test_a_push_does_nothing_before_somebody_has_answered():
    doing = (
        HEAD
        + "  - {push: hello, to: way}\nnodes:\n  main: {end: x}\n"
        + "  way: {check: active, yes: do_it, no: main}\n  do_it: {do: activate, done: main, already: main}\n"
    )
    assert problems(doing) == [
        "f:9:23: the push 'hello' comes to 'do_it' before anybody has answered a screen; "
        "lead it to a 'confirm' or a 'menu' first"
    ]


@pytest.mark.parametrize(
    ("way", "asks", "tells"),
    [
        ("{end: x}", False, True),
        ("{menu: A, options: [{ru: Б, en: B, to: main}]}", True, False),
        ("{check: active, yes: way2, no: main}", True, True),
    ],
)
def test_a_push_knows_whether_its_first_screen_asks_or_tells(way: str, asks: bool, tells: bool):
    nodes = f"nodes:\n  main: {{end: x}}\n  way: {way}\n  way2: {{menu: A, options: [{{ru: Б, en: B, to: main}}]}}\n"
    entries = "  - {push: hello, to: way}\n  - {push: other, to: way2}\n"
    push = compile_flow(HEAD + entries + nodes, "f", REGISTRY).pushes["hello"]
    assert (push.asks, push.tells) == (asks, tells)


def test_more_steps_without_a_screen_than_a_turn_may_take():
    checks = "".join(f"  c{n}: {{check: active, yes: c{n + 1}, no: c{n + 1}}}\n" for n in range(17))
    source = MAIN.replace("to: next", "to: c0") + checks + "  c17: {end: A}\n"
    assert problems(source) == ["f:14:3: 18 nodes may follow each other without a screen; at most 16"]
