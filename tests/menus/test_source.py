"""YAML is read with the place of every value, and whatever is wrong with it is said with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.limits import MAX_FILE_BYTES
from menus.source import Mark, read


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: 1\n\tb: 2\n", "f:2:1: a tab; YAML indents with blanks"),
        ("a: *111#", 'f:1:4: *111# is an alias; a text that begins with * stands in quotes: "*111#"'),
        ("a: &b c", "f:1:4: &b is an anchor; write the value out, or in quotes"),
        ("a: &b [c]", "f:1:4: &b is an anchor; write the value out, or in quotes"),
        ("a: !!int 3", "f:1:4: tag:yaml.org,2002:int is a tag; leave it out"),
        ("a: !x {b: 1}", "f:1:4: !x is a tag; leave it out"),
        ("a: 1\nb: 2\na: 3", "f:3:1: the key 'a' stands twice; first in line 1"),
        (b"a: b\nc: \xff", "f:2:4: the file is not UTF-8; save it as UTF-8"),
        ("a: [1", "f:1:6: this is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a\x01: 1", "f:1:2: the character U+0001 cannot stand in YAML"),
        ("- " * 100 + "x", "f:1:27: nested deeper than 12"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document; a flow file is one document"),
        ("{[a]: 1}", "f:1:2: a key must be a word; a text that begins with { or [ stands in quotes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(content: str | bytes, problem: str):
    assert [str(found) for found in read(content, "f").problems] == [problem]


def test_a_file_that_is_too_large_is_not_even_read():
    source = read("#" * (MAX_FILE_BYTES + 1), "f")
    assert source.data is None
    assert [problem.message for problem in source.problems] == ["the file is larger than 500 kB"]


def test_aliases_cannot_multiply():
    bomb = "a: &a [x,x,x]\n" + "".join(
        f"{key}: &{key} [*{before},*{before},*{before}]\n" for before, key in zip("abcdefghi", "bcdefghij", strict=True)
    )
    source = read(bomb, "f")
    assert source.data["j"] == [None, None, None]
    assert len(source.problems) == 10 + 27


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("False", False), ("null", None), ("~", None),
        ("12", 12), ("-3", -3), ("0o17", 15), ("0x1F", 31), ("1.5", 1.5), ("-.5e3", -500.0), (".Inf", float("inf")),
        ("2009-11-16", "2009-11-16"), ("12:30", "12:30"), ("'12'", "12"), ('"true"', "true"), ("9" * 400, "9" * 400),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(written: str, value: object):
    source = read(f"key: {written}", "f")
    assert source.problems == []
    assert source.data == {"key": value}
    assert type(source.data["key"]) is type(value)


def test_places_count_from_one_and_reach_into_texts():
    source = read("a:\n  - {b: 'x {y}'}\n", "f")
    path = ("a", 0, "b")
    assert source.value_mark(path) == Mark(2, 9)
    assert source.key_mark(path) == Mark(2, 6)
    assert source.text_mark(path, 2) == Mark(2, 12)
    assert source.value_mark(("a", 0, "missing")) == Mark(2, 5)


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_nothing_makes_reading_fail(content: str | bytes):
    source = read(content, "f")
    for problem in source.problems:
        assert problem.line >= 1
        assert problem.column >= 1
