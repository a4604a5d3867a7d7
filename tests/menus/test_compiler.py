"""Every mistake of a flow file is told at once: where it is, what is wrong, and what would be right."""

# ruff: noqa: E501, ISC004 - a mistake is one line, and reads best as one

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menus.compiler import FlowErrors, compile_flow
from menus.entries import Match, Push
from menus.registry import Operation, PushName, Text
from menus.schema import json_schema
from tests.menus.small import HEAD, REGISTRY, SHOP, shop

NODES = HEAD + "nodes:\n"
"""Ends in line 10; the first node's name stands in line 11."""
MAIN = NODES + "  main:\n    menu: {ru: А, en: A}\n    options:\n      - {ru: Б, en: B, to: next}\n"
"""Ends in line 14."""


def problems(source: str) -> list[str]:
    with pytest.raises(FlowErrors) as caught:
        compile_flow(source, "f", REGISTRY)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main:\n    menu: {ru: А, en: A}\n    optoins: []\n", [
            "f:11:5: menu 'main' has no 'options'",
            "f:12:5: unknown key 'optoins' in menu 'main'; did you mean 'options'?",
        ]),
        ("  main: {meun: x}\n", ["f:10:10: node 'main' begins with 'meun', which is no kind; did you mean 'menu'?"]),
        ("  main: {to: x, end: y}\n", ["f:10:10: node 'main' begins with 'to', which is no kind; put 'end' first"]),
        ("  main: 3\n", ["f:10:9: node 'main' is not a mapping; its first key is one of menu, message, list, input, "
                         "confirm, query, do, command, check, end"]),
        ("  main: {end: x}\n  Big: {end: x}\n", [
            "f:11:3: 'Big' is no name for a node; a name is small letters, digits and _, and begins with a letter",
        ]),
        ("  main: {end: {ru: А}}\n", ["f:10:15: no text in 'en'; en: ..."]),
        ("  main: {end: {ru: А, en: 3}}\n", ["f:10:27: 'en' must be a text; in quotes: \"3\""]),
        ("  main: {end: {ru: А, en: A, fr: B}}\n", [
            "f:10:34: the language 'fr' is not declared; declared are ru, en",
        ]),
        ("  main: {end: {item.name}}\n", ["f:10:15: this is not a text; one that begins with { stands in quotes"]),
        ("  main: {end: {ussd: A}}\n", [
            "f:10:15: no text for the channel 'sms'; other: is for all that are not named",
        ]),
        ("  main: {end: 'Hello {nmae}'}\n", ["f:10:22: there is no value 'nmae' here; no value is known here"]),
        ("  main: {end: 'x'}\n  left: {end: 'x'}\n", [
            "f:11:3: nothing leads to 'left'; an option, an outcome or an entry must",
        ]),
        ("  main: {query: activate, done: x, already: x}\n  x: {end: y}\n", [
            "f:10:17: 'activate' is an action and no 'query'; use 'do'",
        ]),
        ("  main: {do: actvate, done: x}\n  x: {end: y}\n", [
            "f:10:14: there is no operation 'actvate'; did you mean 'activate'?",
        ]),
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
        ("  main: {do: activate, done: y, already: main}\n  x: {end: y}\n", [
            "f:10:30: there is no node 'y'; there are main, x",
        ]),
        ("  main: {do: activate, done: x, already: a}\n  x: {end: y}\n"
         "  a: {check: active, yes: main, no: x}\n", [
            "f:10:3: main -> a -> main can go round without ever showing a screen; a screen must come between",
        ]),
        ("  main: {check: actve, yes: x, no: x}\n  x: {end: y}\n", [
            "f:10:17: there is no fact or value 'actve' here; did you mean 'active'?",
        ]),
        ("  main: {check: language is fr, yes: x, no: x}\n  x: {end: y}\n", [
            "f:10:29: 'language' is never 'fr'; there are en, ru",
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
        ("  main: {input: A, as: n, accept: digits(4..2), to: x}\n  x: {end: y}\n", [
            "f:10:35: 'digits(4..2)' accepts nothing: the first bound is above the second; accepted are digits(4..8), "
            "text(1..100), number(1..9999), phone",
        ]),
        ("  main: {input: A, as: active, accept: phone, to: x}\n  x: {end: y}\n", [
            "f:10:51: 'active' is a fact, and cannot be the name of a value; use another name",
        ]),
        ("  main: {input: A, as: pin, accept: digits(4), secret: true, to: x}\n  x: {end: 'Yours: {pin}'}\n", [
            "f:11:20: 'pin' is secret: it is in no text or condition, and gone after the next operation",
        ]),
        ("  main: {input: A, as: pin, accept: digits(4), secret: true, to: x}\n"
         "  x: {command: remember(pin), say: A, done: {sms: A}}\n", [
            "f:11:16: a secret cannot be given to a command, which is stored",
        ]),
        ("  main: {input: A, as: pin, accept: digits(4), secret: true, to: x}\n"
         "  x: {input: A, as: pin, accept: digits(4), to: y}\n  y: {end: A}\n", [
            "f:11:49: 'pin' is secret elsewhere, and must be everywhere; use another name",
        ]),
        ("  main: {command: remember(x), say: A, to: x, done: {sms: A}}\n  x: {end: y}\n", [
            "f:10:9: command 'main' must have either 'say' or 'to'; say: a text, or to: a node",
            "f:10:19: there is no value 'x' here",
        ]),
        ("  main: {menu: A, options: [{ru: Б, en: B, to: man, when: activ}, {ru: В, en: C, to: X, when: agee is 1}]}\n"
         "  x: {menu: '{nme}', options: [{ru: Б, en: B, to: main, when: nme is 1}]}\n", [
            "f:10:48: there is no node 'man'; did you mean 'main'?",
            "f:10:59: there is no fact or value 'activ' here; did you mean 'active'?",
            "f:10:86: 'to' in menu 'main' cannot be 'X'; a name is small letters, digits and _, and begins with a letter",
            "f:10:95: there is no fact or value 'agee' here; did you mean 'age'?",
            "f:11:14: there is no value 'nme' here; no value is known here",
            "f:11:63: there is no fact or value 'nme' here; there are active, age, language, channel",
        ]),
        ("  main: {menu: A, options: [{ru: Б, en: B, to: buy, when: one.price is 0}]}\n"
         "  x: {list: itms(red), title: '{one.name}', each: one, item: x, to: main, empty: main}\n", [
            "f:10:48: there is no node 'buy'; there are main, x",
            "f:11:13: there is no operation 'itms'; did you mean 'items'?",
        ]),
        ("  main: {message: A, navigation: none, options: [{ru: Б, en: B, to: main}]}\n", [
            "f:10:3: there is no way out of 'main'; an 'end', or navigation, must follow",
        ]),
        ("  main: {message: A, options: [{ru: Б, fr: B, to: main}]}\n", [
            "f:10:32: no text in 'en'; en: ...",
            "f:10:40: unknown key 'fr'; there are to, when, set, text, ru, en",
        ]),
        ("  main: {confirm: A, yes: {ru: Б, en: B}, no: x}\n  x: {end: y}\n", [
            "f:10:27: where this leads is missing; a node, or {ru: ..., en: ..., to: node}",
        ]),
        ("  main: {end: '" + "x" * 1001 + "'}\n", ["f:10:15: a text of 1001 characters; at most 1000"]),
    ],
)  # fmt: skip
def test_mistakes_in_nodes(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == sorted(expected, key=lambda line: [int(part) for part in line.split(":")[1:3]])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("home: main", "hme: main", ["f:1:1: the file has no 'home'", "f:6:1: unknown key 'hme' in the file; did you mean 'home'?"]),
        ("home: main", "home: mian", ["f:6:7: there is no node 'mian'; did you mean 'main'?"]),
        ("[ru, en]", "[ru, xx]", ["f:2:12: the language 'xx' is unknown; a CLDR code, as ru or en"]),
        ("Europe/Moscow", "Mars/Base", ["f:3:11: the time zone 'Mars/Base' is unknown; as Europe/Moscow"]),
        ("after_drop: ask", "after_drop: maybe", ["f:5:22: 'after_drop' in the file cannot be 'maybe'; it is 'restart', 'ask' or 'continue'"]),
        ("10 min", "10 years", ["f:5:35: 'within' in the file cannot be '10 years'; as 30 s, 10 min, 2 h"]),
        ("home: main", "home: main\ntries: 0", ["f:7:8: 'tries' in the file: input should be greater than or equal to 1"]),
        ("home: main", "home: main\ntexts: {late: {ru: А}}", ["f:7:15: no text in 'en'; en: ..."]),
        ("home: main", "home: main\ntexts: {ltae: А}", ["f:7:9: unknown key 'ltae'; did you mean 'late'?"]),
        ("home: main", "home: main\ntexts: {late: 'Dear {name}'}", ["f:7:21: there is no value 'name' here; no value is known here"]),
        ("home: main", "home: main\navailability: {from: 2010-02-30, outside: A}", ["f:7:22: '2010-02-30' is no day; as 2009-11-16"]),
        ("home: main", "home: main\navailability: {from: 2010-02-03, until: 2009-01-01, outside: A}",
         ["f:7:41: the service ends before it begins"]),
        ('ussd: "*1#"', 'ussd: "1#"', ["f:8:12: '1#' cannot be dialled; as \"*111#\" or \"*111*2#\""]),
        ('ussd: "*1#"', "ussd: *1#", ['f:8:12: a text cannot begin with *; put the text in quotes: "*1#"']),
        ('{ussd: "*1#", to: main}', "{to: main}", ["f:8:5: an entry needs 'ussd', 'sms', 'terminal' or 'push'; {ussd: \"*111#\", to: main}"]),
        ('{ussd: "*1#", to: main}', '{ussd: "*1#", to: main}\n  - {ussd: "*1#", to: x}', ["f:9:12: *1# leads to 'main' already"]),
        ('{ussd: "*1#", to: main}', '{sms: 11, text: 5, to: main}',
         ["f:8:11: 'sms' in the entry must be a text; in quotes: \"11\"", "f:8:21: 'text' in the entry must be a text; in quotes: \"5\""]),
        ('{ussd: "*1#", to: main}', '{sms: "11", text: [a, " A "], to: main}', ["f:8:27: ' A ' to 11 leads to 'main' already"]),
        ('{ussd: "*1#", to: main}', '{sms: "11", text: ["{a:digits(4)}", "{b:digits(4)}"], to: main}',
         ["f:8:41: '{b:digits(4)}' to 11: an entry before it takes the same texts"]),
        ('{ussd: "*1#", to: main}', "{terminal: menue, to: main}", ["f:8:16: terminals do not enter by 'menue'; did you mean 'menu'?"]),
        ('{ussd: "*1#", to: main}', "{terminal: 5, to: main}", ["f:8:16: 'terminal' in the entry must be a text; in quotes: \"5\""]),
        ('{ussd: "*1#", to: main}', "{terminal: menu, to: mian}", ["f:8:26: there is no node 'mian'; did you mean 'main'?"]),
        ('{ussd: "*1#", to: main}', "{terminal: menu, to: main}\n  - {terminal: menu, to: x}",
         ["f:9:16: terminals enter 'main' by 'menu' already"]),
        ('{ussd: "*1#", to: main}', "{terminal: menu, text: A, to: main}", ["f:8:22: unknown key 'text' in the entry; there are terminal, to"]),
        ('{ussd: "*1#", to: main}', '{sms: "11", text: "{a}", to: main}',
         ["f:8:23: {a} is no capture: it must be a name and what is accepted, as {number:digits(2..4)}; "
          "accepted are digits(4..8), text(1..100), number(1..9999), phone"]),
    ],
)  # fmt: skip
def test_mistakes_in_the_head_and_the_entries(old: str, new: str, expected: list[str]):
    source = NODES + "  main: {menu: A, options: [{ru: Б, en: B, to: x}]}\n  x: {end: A}\n"
    assert problems(source.replace(old, new, 1)) == expected


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


@pytest.mark.parametrize("fact", ["msisdn", *sorted(REGISTRY.facts)])
@pytest.mark.parametrize("kind", ["menu", "end"])
def test_a_text_names_no_fact(fact: str, kind: str):
    """Remembered steps depend on it (docs/decisions/0024): they are found by the facts that conditions name alone."""
    known = dataclasses.replace(REGISTRY, facts={**REGISTRY.facts, "msisdn": Text()})
    text = f"{{ru: 'А {{{fact}}}', en: 'A {{{fact}}}'}}"
    options = "\n    options:\n      - {ru: Б, en: B, to: main}" if kind == "menu" else ""
    with pytest.raises(FlowErrors) as caught:
        compile_flow(f"{NODES}  main:\n    {kind}: {text}{options}\n", "f", known)
    assert len(caught.value.problems) == 2  # in each language
    assert all(f"there is no value {fact!r} here" in str(problem) for problem in caught.value.problems)


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


def test_what_only_one_terminal_entry_brings_is_not_there_where_another_leads_as_well():
    entries = "  - {terminal: buy, to: offer}\n  - {terminal: menu, to: offer}\n"
    assert problems(HEAD + entries + "nodes:\n  main: {end: x}\n  offer: {end: '{quote.price}'}\n") == [
        "f:13:17: 'quote' has no value on some way to 'offer'; the entry in line 10 leads here without it"
    ]


def test_a_server_without_terminals_says_so():
    with pytest.raises(FlowErrors) as caught:
        compile_flow(SHOP, "f", dataclasses.replace(REGISTRY, terminal={}))
    assert "terminals do not enter by 'menu'; this server has no terminals" in str(caught.value)


PUSHED = HEAD + "  - {push: hello, to: main%s}\nnodes:\n  main: {end: x}\n"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (", categry: offer", "f:9:29: unknown key 'categry' in the entry; did you mean 'category'?"),
        (", category: advert", "f:9:39: 'category' in the entry cannot be 'advert'; it is 'service' or 'offer'"),
        (", within: 5", "f:9:37: 'within' in the entry must be a text; in quotes: \"5\""),
        (", urgent: true", "f:9:37: an offer is never urgent: quiet hours hold for it; category: service"),
    ],
)
def test_mistakes_in_a_push(more: str, expected: str):
    assert problems(PUSHED % more) == [expected]


def test_a_push_is_there_once():
    twice = PUSHED.replace("nodes:", "  - {push: hello, to: main}\nnodes:") % ""
    assert problems(twice) == ["f:10:12: there is a push 'hello' already, which leads to 'main'"]


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
    ("call", "expected"),
    [
        ("call(helo)", "f:13:9: there is no push 'helo' among the entries; did you mean 'hello'?"),
        ("call()", "f:13:9: 'call' takes 1 arguments, not 0; call(push)"),
    ],
)
def test_only_a_declared_push_can_be_queued(call: str, expected: str):
    registry = dataclasses.replace(
        REGISTRY,
        operations={**REGISTRY.operations, "call": Operation("call", "action", {"done": None}, {"push": PushName()})},
    )
    source = HEAD + '  - {push: hello, to: main}\n  - {ussd: "*2#", to: later}\nnodes:\n  main: {end: x}\n'
    source += f"  later: {{do: {call}, done: main}}\n"
    with pytest.raises(FlowErrors) as caught:
        compile_flow(source, "f", registry)
    assert [str(problem) for problem in caught.value.problems] == [expected.replace("13:9", "13:15")]
    made = compile_flow(source.replace(call, "call(hello)"), "f", registry)
    assert made.pushes["hello"] == Push("hello", "main", "offer", 0, 600_000, False)


def test_home_is_entered_without_values():
    source = (
        NODES
        + "  main: {message: '{n}', options: [{ru: Б, en: B, to: a}]}\n  a: {input: A, as: n, accept: phone, to: main}\n"
    )
    assert problems(source) == [
        "f:10:20: 'n' has no value on some way to 'main'; the entry in line 8 leads here without it"
    ]


def test_more_steps_without_a_screen_than_a_turn_may_take():
    checks = "".join(f"  c{n}: {{check: active, yes: c{n + 1}, no: c{n + 1}}}\n" for n in range(17))
    source = MAIN.replace("to: next", "to: c0") + checks + "  c17: {end: A}\n"
    assert problems(source) == ["f:14:3: 18 nodes may follow each other without a screen; at most 16"]


def test_more_names_than_a_session_may_have():
    inputs = "".join(f"  i{n}: {{input: A, as: v{n}, accept: phone, to: i{n + 1}}}\n" for n in range(33))
    assert problems(MAIN.replace("to: next", "to: i0") + inputs + "  i33: {end: A}\n") == [
        "f:10:3: 33 names of values and lists; at most 32"
    ]


@pytest.mark.parametrize("source", ["", "- 1", "text", "3", "null"])
def test_what_is_no_mapping(source: str):
    assert problems(source) == ["f:1:1: a flow file is a mapping; it begins with service: and a name"]


def test_what_follows_from_a_broken_node_is_not_told():
    source = SHOP.replace("    as: item\n    ok: item\n", "    as: item\n    oops\n")
    assert all("no value" not in problem for problem in problems(source))
    broken = SHOP.replace("accept: digits(2..4)", "acept: digits(2..4)")
    assert problems(broken) == [
        "f:52:5: input 'ask_number' has no 'accept'",
        "f:54:5: unknown key 'acept' in input 'ask_number'; did you mean 'accept'?",
    ]


def test_the_revision_is_of_what_is_said_and_not_of_how_it_is_written():
    flow = shop()
    relaid = compile_flow("# a comment\n" + SHOP.replace("[ru, en, ru-Latn]", '["ru",   en, ru-Latn]'), "f", REGISTRY)
    changed = compile_flow(SHOP.replace("en: Help", "en: Aid"), "f", REGISTRY)
    assert relaid.revision == flow.revision
    assert changed.revision != flow.revision


def test_what_a_flow_serves():
    flow = shop()
    assert flow.codes == ("*1#", "*1*7#", "*2#")
    assert flow.numbers == {"100"}
    assert flow.default_language == "ru"
    assert flow.match_ussd("*1*7*2#") == Match("catalogue", ("2",))
    assert flow.match_sms("100", "BUY 12") == Match("find", values={"number": "12"})
    assert flow.match_terminal("menu") == "main"
    assert flow.match_terminal("buy") == "buy_quoted"
    assert flow.match_terminal("sell") is None


def test_editors_get_a_json_schema():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert {"service", "languages", "home", "entries", "nodes"} <= set(schema["required"])


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_cut_out_of_a_file_it_is_a_flow_or_its_mistakes_are_told(data: st.DataObject):
    lines = SHOP.splitlines(keepends=True)
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, min(len(lines), start + 6)))
    source = "".join(lines[:start] + lines[end:])
    try:
        told = [] if compile_flow(source, "f", REGISTRY).nodes else [0]
    except FlowErrors as errors:
        told = [problem.line for problem in errors.problems] or [0]
    assert all(1 <= line <= len(lines) + 1 for line in told)
