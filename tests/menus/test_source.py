"""YAML is read with the place of every value, and whatever is wrong with it is said with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.limits import MAX_FILE_BYTES
from menus.source import Mark, read


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: 1\n\tb: 2\n", "f:2:1: a tab; indent with blanks"),
        ("a:\n  b: x\n\t  c: d\n", "f:3:1: a tab; indent with blanks"),
        ("a: *100#", 'f:1:4: a text cannot begin with *; put the text in quotes: "*100#"'),
        ("- {ussd: *111*2#, to: x}", 'f:1:10: a text cannot begin with *; put the text in quotes: "*111*2#"'),
        ("*100#: x", 'f:1:1: a text cannot begin with *; put the text in quotes: "*100#"'),
        ("a: *\n", "f:1:4: a text cannot begin with *; put the text in quotes"),
        ("a: &b c", "f:1:4: &b is an anchor; write the value out, or in quotes"),
        ("a: &b [c]", "f:1:4: &b is an anchor; write the value out, or in quotes"),
        ("a: !!int 3", "f:1:4: tag:yaml.org,2002:int is a tag; leave it out"),
        ("a: !x {b: 1}", "f:1:4: !x is a tag; leave it out"),
        ("a: 1\nb: 2\na: 3", "f:3:1: the key 'a' stands twice; first in line 1"),
        (b"a: b\nc: \xff", "f:2:4: the file is not UTF-8; save it as UTF-8"),
        ("m: {ru: A: b}", 'f:1:9: a text with a colon in it; put the text in quotes: "A: b"'),
        ("m: {ru: A: b,\n  en: C}", 'f:1:9: a text with a colon in it; put the text in quotes: "A: b"'),
        ("ru: A: b # why", 'f:1:5: a text with a colon in it; put the text in quotes: "A: b"'),
        ("ru: A: \\n", "f:1:5: a text with a colon in it; put the text in quotes"),
        ("a: [1", "f:1:4: [ is not closed"),
        ("a: {b: c\nd: e", "f:1:4: a bracket that is not closed before line 2; close it, or put a comma"),
        ("a: {b: c\td: e}", "f:1:10: a comma is missing before this; or put the text in quotes"),
        ("a: 'b\nc: d", "f:1:4: a quote that is not closed"),
        ("a: 'it's'", "f:1:8: something after a text's closing quote; a ' within '...' is written ''"),
        ("a:\n  b: 1\n  c\n  d: 2", "f:3:3: a key without a colon; write key: value"),
        ("a: {b: ?c}", "f:1:8: a text cannot begin with ?; put the text in quotes"),
        ("a: @b", "f:1:4: a text cannot begin with @; put the text in quotes"),
        ("a: - b", "f:1:4: a list begins in a line of its own; or put the text in quotes"),
        ("a\x01: 1", "f:1:2: the character U+0001 cannot stand in YAML"),
        ("- " * 100 + "x", "f:1:27: nested deeper than 12"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document; a flow file is one document"),
        ("{[a]: 1}", "f:1:2: a key must be a word; a text that begins with { or [ stands in quotes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(content: str | bytes, problem: str):
    assert [str(found) for found in read(content, "f").problems] == [problem]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("a:\n  b: 1\n c: 2", "3:2"),
        ("a:\n  b: 1\n   c: 2", "3:4"),
        ("a:\n  b: {ru: A}\n   c: 2", "3:4"),
        ("a:\n  - x: 1\n - y: 2", "3:2"),
    ],
)
def test_a_line_that_is_indented_wrongly_is_named(content: str, place: str):
    said = "this line is indented otherwise than the lines beside it; give them the same indentation"
    assert [str(found) for found in read(content, "f").problems] == [f"f:{place}: {said}"]


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
