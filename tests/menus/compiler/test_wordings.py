"""Texts are there in every language and for every channel, and are texts."""

import pytest

from tests.menus.compiler.mistakes import NODES, problems


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("  main: {end: {ru: А}}\n", ["f:10:15: no text in 'en'; en: ..."]),
        ("  main: {end: {ru: А, en: 3}}\n", ["f:10:27: 'en' must be a text; in quotes: \"3\""]),
        ("  main: {end: {ru: А, en: A, fr: B}}\n", [
            "f:10:34: the language 'fr' is not declared; declared are ru, en",
        ]),
        ("  main: {end: {item.name}}\n", ["f:10:15: this is not a text; one that begins with { stands in quotes"]),
        ("  main: {end: {ussd: A}}\n", [
            "f:10:15: no text for the channel 'sms'; other: is for all that are not named",
        ]),
        ("  main: {message: A, options: [{ru: Б, fr: B, to: main}]}\n", [
            "f:10:32: no text in 'en'; en: ...",
            "f:10:40: unknown key 'fr'; there are to, when, set, text, ru, en",
        ]),
        ("  main: {end: '" + "x" * 1001 + "'}\n", ["f:10:15: a text of 1001 characters; at most 1000"]),
    ],
)  # fmt: skip
def test_mistakes_in_texts(nodes: str, expected: list[str]):
    assert problems(NODES + nodes) == expected
