"""A call names an operation of the right kind, and gives it what it takes."""

# ruff: noqa: ISC004 - a mistake is one line, and reads best as one

import dataclasses

import pytest

from menus.compiler import compile_flow
from menus.entries import Push
from menus.registry import Operation, PushName
from tests.menus.compiler.mistakes import NODES, problems
from tests.menus.small import HEAD, REGISTRY


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {query: activate, done: x, already: x}\n  x: {end: y}\n", [
            "f:10:17: 'activate' is an action and no 'query'; use 'do'",
        ]),
        ("  main: {do: actvate, done: x}\n  x: {end: y}\n", [
            "f:10:14: there is no operation 'actvate'; did you mean 'activate'?",
        ]),
        ("  main: {list: items(green), title: T, each: one, item: '{one.nme}', to: x, empty: x, down: x}\n"
         "  x: {end: y}\n", [
            "f:10:16: there is no value 'green' here; 'kind' is one of blue, red",
            "f:10:58: 'one' has no field 'nme'; did you mean 'name'?",
        ]),
        ("  main: {list: items(), title: T, each: one, item: '{one.name}', to: x, empty: x}\n  x: {end: y}\n", [
            "f:10:9: 'main' does not say what follows the outcome 'down'",
            "f:10:16: 'items' takes 1 arguments, not 0; items(kind)",
        ]),
        ("  main: {list: find(red), title: T, each: one, item: x, to: x, empty: x, unknown: x}\n  x: {end: y}\n", [
            "f:10:16: 'find' does not return a list; use 'query'",
            "f:10:16: there is no value 'red' here",
        ]),
        ("  main: {list: items(red), title: T, each: one, item: x, to: a, empty: b, down: b}\n"
         "  a: {query: quote(one.nme), ok: b, poor: b}\n  b: {end: y}\n", [
            "f:11:14: 'one.nme': there is no 'nme' in it; did you mean 'name'?",
        ]),
        ("  main: {list: items(red), title: T, each: one, item: x, to: a, empty: b, down: b}\n"
         "  a: {query: quote(one.price), ok: b, poor: b}\n  b: {end: y}\n", [
            "f:11:14: 'item' takes item, and 'one.price' is a money",
        ]),
        ("  main: {do: 'do it', done: x}\n  x: {end: y}\n", ["f:10:14: 'do it' is no call; operation(argument, ...)"]),
    ],
)  # fmt: skip
def test_mistakes_in_calls(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("call(helo)", "f:13:15: there is no push 'helo' among the entries; did you mean 'hello'?"),
        ("call()", "f:13:15: 'call' takes 1 arguments, not 0; call(push)"),
    ],
)
def test_only_a_declared_push_can_be_queued(call: str, expected: str):
    registry = dataclasses.replace(
        REGISTRY,
        operations={**REGISTRY.operations, "call": Operation("call", "action", {"done": None}, {"push": PushName()})},
    )
    source = HEAD + '  - {push: hello, to: main}\n  - {ussd: "*2#", to: later}\nnodes:\n  main: {end: x}\n'
    source += f"  later: {{do: {call}, done: main}}\n"
    assert problems(source, registry) == [expected]
    made = compile_flow(source.replace(call, "call(hello)"), "f", registry)
    assert made.pushes["hello"] == Push("hello", "main", "offer", 0, 600_000, False, asks=False)
