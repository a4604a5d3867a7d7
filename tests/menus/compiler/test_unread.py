"""Of a node whose shape is wrong, the rest is judged all the same."""

# ruff: noqa: E501, ISC004 - a mistake is one line, and reads best as one

import pytest

from tests.menus.compiler.mistakes import NODES, problems


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
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
    ],
)  # fmt: skip
def test_options_are_judged_wherever_they_can_be_read(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected
