"""The texts that the engine says itself."""

# ruff: noqa: E501 - a mistake is one line, and reads best as one

import pytest

from tests.menus.compiler.mistakes import TWO_NODES, problems


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("home: main", "home: main\ntexts: {late: {ru: А}}", ["f:7:15: no text in 'en'; en: ..."]),
        ("home: main", "home: main\ntexts: {ltae: А}", ["f:7:9: unknown key 'ltae'; did you mean 'late'?"]),
        ("home: main", "home: main\ntexts: {late: 'Dear {name}'}", ["f:7:21: there is no value 'name' here; no value is known here"]),
    ],
)  # fmt: skip
def test_mistakes_in_its_own_texts(old: str, new: str, expected: list[str]):
    assert problems(TWO_NODES.replace(old, new, 1)) == expected
