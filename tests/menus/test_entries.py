"""Dialled codes and SMS texts lead to the longest entry, or to the pattern, that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.accept import Accept, parse_accept
from menus.entries import WRITTEN_KEPT, Entries, Match, Texts, exact_text, parse_code, parse_pattern
from menus.limits import MAX_TAIL


def entries() -> Entries:
    codes = {}
    for code, node in (("*111#", "main"), ("*111*2163#", "activate"), ("*100#", "balance")):
        parsed = parse_code(code)
        assert parsed is not None
        codes[parsed] = node
    texts = Texts({exact_text("?"): "help", exact_text("Моя  Помощь"): "help", "": "empty", "12": "dozen"}, [])
    for written, node in (("{n:digits(2..4)}", "number"), ("to {who:phone} {what:text(1..20)}", "send")):
        pattern = parse_pattern(written)
        assert not isinstance(pattern, str)
        texts.patterns.append((pattern, node))
    return Entries(codes, {"111": texts})


def test_keywords_are_the_texts_without_a_capture():
    assert entries().keywords == {"?", "моя помощь", "", "12"}


@pytest.mark.parametrize(
    ("dialled", "match"),
    [
        ("*111#", Match("main")),
        ("*111*2*1#", Match("main", ("2", "1"))),
        ("*111*2163#", Match("activate")),
        ("*111*2163*4#", Match("activate", ("4",))),
        ("*111*2", Match("main", ("2",))),
        (" *100# ", Match("balance")),
        ("*111**1#", Match("main", ("", "1"))),
        ("*1111#", None),
        ("#111#", None),
        ("111#", None),
        ("*#", None),
        ("", None),
        ("*111" + "*1" * 50 + "#", Match("main", ("1",) * MAX_TAIL)),
        ("*111" + "*1" * 5000 + "#", None),
    ],
)
def test_the_longest_code_wins_and_the_rest_is_the_tail(dialled: str, match: Match | None):
    assert entries().match_ussd(dialled) == match


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("?", Match("help")),
        ("  МОЯ помощь\n", Match("help")),
        ("", Match("empty")),
        ("  ", Match("empty")),
        ("12", Match("dozen")),
        ("123", Match("number", values={"n": "123"})),
        ("١٢٣", Match("number", values={"n": "123"})),
        ("12345", None),
        ("TO +7 (910) 123-45-67 Hello There", Match("send", values={"who": "79101234567", "what": "Hello There"})),
        ("to nobody x", None),
        ("x" * 5000, None),
    ],
)
def test_a_text_is_matched_whatever_its_case_and_blanks(text: str, match: Match | None):
    assert entries().match_sms("111", text) == match
    assert entries().match_sms("112", text) is None


def test_a_spelling_is_known_again_and_nothing_that_a_pattern_captured():
    known = entries()
    for _ in range(2):
        assert known.match_sms("111", "МОЯ помощь ") == Match("help")
        assert known.match_sms("111", "123") == Match("number", values={"n": "123"})
    assert list(known.texts["111"].written) == ["МОЯ помощь "]
    for blanks in range(WRITTEN_KEPT):
        assert known.match_sms("111", " " * blanks) == Match("empty")
    assert len(known.texts["111"].written) <= WRITTEN_KEPT


@pytest.mark.parametrize("code", ["111", "*#", "*111", "*111**2#", "*11a#", "", "*111*2##"])
def test_what_cannot_be_dialled_is_no_entry(code: str):
    assert parse_code(code) is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{n}", "{n} is no capture: it must be a name and what is accepted, as {number:digits(2..4)}"),
        ("{N:phone}", "{N:phone} is no capture: it must be a name and what is accepted, as {number:digits(2..4)}"),
        ("{n:words(2)}", "cannot accept 'words(2)'"),
        ("{n:phone} {n:phone}", "'n' is captured twice"),
        ("{n:phone", "a '{' without its '}'"),
        ("{a:phone} {b:phone} {c:phone} {d:phone}", "more than 3 captures"),
    ],
)
def test_a_pattern_that_is_none_is_told(written: str, problem: str):
    assert parse_pattern(written) == problem


@pytest.mark.parametrize(
    ("written", "text", "value"),
    [
        ("digits(4..8)", "0123", "0123"), ("digits(4..8)", "123", None), ("digits(4)", " 1234 ", "1234"),
        ("digits(4..8)", "12a4", None), ("number(1..9999)", "007", 7), ("number(1..9999)", "0", None),
        ("number(1..9999)", "9" * 5000, None), ("number(0..5)", "-1", None), ("text(1..3)", "да", "да"),
        ("text(1..3)", "", None), ("text(1..3)", "абвг", None), ("phone", "+7 910 123-45-67", "79101234567"),
        ("phone", "12", None), ("phone", "7" * 16, None), ("phone", "call me", None),
    ],
)  # fmt: skip
def test_what_an_input_accepts(written: str, text: str, value: object):
    accept = parse_accept(written)
    assert isinstance(accept, Accept)
    assert accept.value(text) == value


@pytest.mark.parametrize(
    "written", ["", "digit(4)", "digits", "digits(8..4)", "digits(1..999)", "text(1..)", "phone(7)"]
)
def test_what_cannot_be_accepted_is_told(written: str):
    assert isinstance(parse_accept(written), str)


@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_makes_matching_fail(code: str, text: str):
    entries().match_ussd(code)
    entries().match_sms("111", text)
