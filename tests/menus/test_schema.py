"""A key that is unknown, missing or of the wrong kind is said with its place, and what would be right."""

# ruff: noqa: E501, ISC004 - a mistake is one line, and reads best as one

import json

import pytest

from menus.schema import json_schema
from tests.menus.compiler.mistakes import NODES, TWO_NODES, problems
from tests.menus.small import HEAD, SHOP


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
    ],
)  # fmt: skip
def test_the_shape_of_nodes(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("home: main", "hme: main", ["f:1:1: the file has no 'home'", "f:6:1: unknown key 'hme' in the file; did you mean 'home'?"]),
        ("after_drop: ask", "after_drop: maybe", ["f:5:22: 'after_drop' in the file cannot be 'maybe'; it is 'restart', 'ask' or 'continue'"]),
        ("10 min", "10 years", ["f:5:35: 'within' in the file cannot be '10 years'; as 30 s, 10 min, 2 h"]),
        ("home: main", "home: mian\ntrys: 3", ["f:6:7: there is no node 'mian'; did you mean 'main'?", "f:7:1: unknown key 'trys' in the file; did you mean 'tries'?"]),
        ("home: main", "home: main\ntries: 0", ["f:7:8: 'tries' in the file: input should be greater than or equal to 1"]),
        ('{ussd: "*1#", to: main}', "{to: main}", ["f:8:5: an entry needs 'ussd', 'sms', 'terminal' or 'push'; {ussd: \"*111#\", to: main}"]),
        ('{ussd: "*1#", to: main}', '{sms: 11, text: 5, to: main}',
         ["f:8:11: 'sms' in the entry must be a text; in quotes: \"11\"", "f:8:21: 'text' in the entry must be a text; in quotes: \"5\""]),
        ('{ussd: "*1#", to: main}', "{terminal: 5, to: main}", ["f:8:16: 'terminal' in the entry must be a text; in quotes: \"5\""]),
        ('{ussd: "*1#", to: main}', "{terminal: menu, text: A, to: main}", ["f:8:22: unknown key 'text' in the entry; there are terminal, to"]),
    ],
)  # fmt: skip
def test_the_shape_of_the_head_and_the_entries(old: str, new: str, expected: list[str]):
    assert problems(TWO_NODES.replace(old, new, 1)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("home: main\n", "", ["f:1:1: the file has no 'home'"]),
        ("home: main", "home: [main]", ["f:6:7: 'home' in the file must be a text"]),
        ("service: shop", "service: A B", ["f:1:10: 'service' in the file cannot be 'A B'; small letters, digits, - and _"]),
        ("home: main", "home: main\ntries: 0", ["f:7:8: 'tries' in the file: input should be greater than or equal to 1"]),
        ("10 min", "10 years", ["f:5:35: 'within' in the file cannot be '10 years'; as 30 s, 10 min, 2 h"]),
        ("entries:\n", "no_entries:\n", ["f:1:1: the file has no 'entries'", "f:7:1: unknown key 'no_entries' in the file; did you mean 'entries'?"]),
    ],
)  # fmt: skip
def test_a_mistake_in_the_head_hides_none_in_the_nodes(old: str, new: str, expected: list[str]):
    wrong = TWO_NODES.replace("to: x", "to: y").replace("x: {end: A}", "x: {end: {ru: А}}")
    assert old in wrong
    *first, node, text = problems(wrong.replace(old, new, 1))
    assert first == expected
    assert node.endswith(": there is no node 'y'; there are main, x")
    assert "'en'" in text


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


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    as: number\n", "    name: number\n", ["f:52:5: input 'ask_number' has no 'as'", "f:53:5: unknown key 'name' in input 'ask_number'; did you mean 'as'?"]),
        ("    as: quote\n", "    name: quote\n", ["f:64:5: unknown key 'name'; did you mean 'as'?"]),
        ("    as: sum\n", "    name: sum\n", ["f:76:5: unknown key 'name'; did you mean 'as'?"]),
        ("{to: poor, as: gap}", "{to: poor, name: gap}", ["f:66:22: unknown key 'name'; did you mean 'as'?"]),
        ("    down: not_now\n", "    down: not_now\n    name: reason\n", ["f:47:5: unknown key 'name'; did you mean 'as'?"]),
        ("  from: 2009", "  first: 2009", ["f:8:3: unknown key 'first' in availability of the file; did you mean 'from'?"]),
    ],
)  # fmt: skip
def test_a_key_has_one_spelling_and_what_it_is_called_elsewhere_is_met_with_it(old: str, new: str, expected: list[str]):
    assert old in SHOP
    assert problems(SHOP.replace(old, new, 1)) == expected


@pytest.mark.parametrize("source", ["", "- 1", "text", "3", "null"])
def test_what_is_no_mapping(source: str):
    assert problems(source) == ["f:1:1: a flow file is a mapping; it begins with service: and a name"]


def test_editors_get_a_json_schema():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert {"service", "languages", "home", "entries", "nodes"} <= set(schema["required"])
