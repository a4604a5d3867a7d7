"""Languages, time zone and days are real ones."""

# ruff: noqa: E501 - a mistake is one line, and reads best as one

import pytest

from tests.menus.compiler.mistakes import TWO_NODES, problems


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[ru, en]", "[ru, xx]", ["f:2:12: the language 'xx' is unknown; a CLDR code, as ru or en"]),
        ("Europe/Moscow", "Mars/Base", ["f:3:11: the time zone 'Mars/Base' is unknown; as Europe/Moscow"]),
        ("home: main", "home: main\navailability: {from: 2010-02-30, outside: A}", ["f:7:22: '2010-02-30' is no day; as 2009-11-16"]),
        ("home: main", "home: main\navailability: {from: 2010-02-03, until: 2009-01-01, outside: A}",
         ["f:7:41: the service ends before it begins"]),
    ],
)  # fmt: skip
def test_mistakes_in_the_head(old: str, new: str, expected: list[str]):
    assert problems(TWO_NODES.replace(old, new, 1)) == expected
