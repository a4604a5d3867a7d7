"""A value is there on every way to where it is named, or it is said why not."""

# ruff: noqa: E501 - a mistake is one line, and reads best as one

import dataclasses

import pytest

from menus.compiler import compile_flow
from menus.registry import Text
from tests.menus.compiler.mistakes import MAIN, NODES, problems
from tests.menus.small import HEAD, REGISTRY, SHOP


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {end: 'Hello {nmae}'}\n", ["f:10:22: there is no value 'nmae' here; no value is known here"]),
        ("  main: {input: A, as: pin, accept: digits(4), secret: true, to: x}\n  x: {end: 'Yours: {pin}'}\n", [
            "f:11:20: 'pin' is secret: it is in no text or condition, and gone after the next operation",
        ]),
    ],
)  # fmt: skip
def test_values_that_may_not_be_named(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected


def test_a_value_must_be_there_on_every_way():
    source = (
        MAIN
        + "      - {ru: В, en: C, to: asking}\n"
        + "  asking: {input: A, as: number, accept: phone, to: next}\n"
        + "  next: {end: '{number}'}\n"
    )
    assert problems(source) == [
        "f:16:16: 'number' has no value on some way to 'next'; it is missing when coming from 'main'"
    ]


def test_what_only_one_terminal_entry_brings_is_not_there_where_another_leads_as_well():
    entries = "  - {terminal: buy, to: offer}\n  - {terminal: menu, to: offer}\n"
    assert problems(HEAD + entries + "nodes:\n  main: {end: x}\n  offer: {end: '{quote.price}'}\n") == [
        "f:13:17: 'quote' has no value on some way to 'offer'; the entry in line 10 leads here without it"
    ]


def test_home_is_entered_without_values():
    source = (
        NODES
        + "  main: {message: '{n}', options: [{ru: Б, en: B, to: a}]}\n  a: {input: A, as: n, accept: phone, to: main}\n"
    )
    assert problems(source) == [
        "f:10:20: 'n' has no value on some way to 'main'; the entry in line 8 leads here without it"
    ]


def test_what_follows_from_a_broken_node_is_not_told():
    source = SHOP.replace("    as: item\n    ok: item\n", "    as: item\n    oops\n")
    assert all("no value" not in problem for problem in problems(source))
    broken = SHOP.replace("accept: digits(2..4)", "acept: digits(2..4)")
    assert problems(broken) == [
        "f:52:5: input 'ask_number' has no 'accept'",
        "f:54:5: unknown key 'acept' in input 'ask_number'; did you mean 'accept'?",
    ]


def test_what_a_terminal_brings_is_there_with_its_shape():
    entry = HEAD + "  - {terminal: buy, to: offer}\nnodes:\n  main: {end: x}\n"
    assert problems(entry + "  offer: {end: '{quote.cost}'}\n") == [
        "f:12:17: 'quote' has no field 'cost'; there are price, starts"
    ]
    assert problems(entry + "  offer: {command: remember(quote), say: A, done: {sms: A}}\n") == [
        "f:12:20: 'pin' takes a text, and 'quote' is quote"
    ]
    flow = compile_flow(entry + "  offer: {end: '{quote.price:money}'}\n", "f", REGISTRY)
    assert (flow.match_terminal("buy"), flow.match_terminal("menu")) == ("offer", None)


@pytest.mark.parametrize("fact", ["msisdn", *sorted(REGISTRY.facts)])
@pytest.mark.parametrize("kind", ["menu", "end"])
def test_a_text_names_no_fact(fact: str, kind: str):
    """Remembered steps depend on it (docs/decisions/0024): they are found by the facts that conditions name alone."""
    known = dataclasses.replace(REGISTRY, facts={**REGISTRY.facts, "msisdn": Text()})
    text = f"{{ru: 'А {{{fact}}}', en: 'A {{{fact}}}'}}"
    options = "\n    options:\n      - {ru: Б, en: B, to: main}" if kind == "menu" else ""
    told = problems(f"{NODES}  main:\n    {kind}: {text}{options}\n", known)
    assert len(told) == 2  # in each language
    assert all(f"there is no value {fact!r} here" in problem for problem in told)


def test_a_value_that_is_one_thing_here_and_another_there_is_not_there():
    source = (
        MAIN
        + "      - {ru: В, en: C, to: other}\n"
        + "  next: {input: A, as: n, accept: phone, to: both}\n"
        + "  other: {input: A, as: n, accept: number(1..9), to: both}\n"
        + "  both: {end: '{n}'}\n"
    )
    assert problems(source) == ["f:17:16: 'n' has no value on some way to 'both'; it is not always the same thing"]
