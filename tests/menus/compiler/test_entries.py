"""Every way into a flow is there once, and can be taken."""

# ruff: noqa: E501, ISC004 - a mistake is one line, and reads best as one

import dataclasses

import pytest

from tests.menus.compiler.mistakes import TWO_NODES, problems
from tests.menus.small import HEAD, REGISTRY, SHOP


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('ussd: "*1#"', 'ussd: "1#"', ["f:8:12: '1#' cannot be dialled; as \"*111#\" or \"*111*2#\""]),
        ('ussd: "*1#"', "ussd: *1#", ['f:8:12: a text cannot begin with *; put the text in quotes: "*1#"']),
        ('{ussd: "*1#", to: main}', '{ussd: "*1#", to: main}\n  - {ussd: "*1#", to: x}', ["f:9:12: *1# leads to 'main' already"]),
        ('{ussd: "*1#", to: main}', '{sms: "11", text: [a, " A "], to: main}', ["f:8:27: ' A ' to 11 leads to 'main' already"]),
        ('{ussd: "*1#", to: main}', '{sms: "11", text: ["{a:digits(4)}", "{b:digits(4)}"], to: main}',
         ["f:8:41: '{b:digits(4)}' to 11: an entry before it takes the same texts"]),
        ('{ussd: "*1#", to: main}', "{terminal: menue, to: main}", ["f:8:16: terminals do not enter by 'menue'; did you mean 'menu'?"]),
        ('{ussd: "*1#", to: main}', "{terminal: menu, to: main}\n  - {terminal: menu, to: x}",
         ["f:9:16: terminals enter 'main' by 'menu' already"]),
        ('{ussd: "*1#", to: main}', '{sms: "11", text: "{a}", to: main}',
         ["f:8:23: {a} is no capture: it must be a name and what is accepted, as {number:digits(2..4)}; "
          "accepted are digits(4..8), text(1..100), number(1..9999), phone"]),
    ],
)  # fmt: skip
def test_mistakes_in_entries(old: str, new: str, expected: list[str]):
    assert problems(TWO_NODES.replace(old, new, 1)) == expected


def test_a_server_without_terminals_says_so():
    told = problems(SHOP, dataclasses.replace(REGISTRY, terminal={}))
    assert "f:19:16: terminals do not enter by 'menu'; this server has no terminals" in told


PUSHED = HEAD + "  - {push: hello, to: main%s}\nnodes:\n  main: {end: x}\n"


def test_a_push_is_there_once():
    twice = PUSHED.replace("nodes:", "  - {push: hello, to: main}\nnodes:") % ""
    assert problems(twice) == ["f:10:12: there is a push 'hello' already, which leads to 'main'"]
