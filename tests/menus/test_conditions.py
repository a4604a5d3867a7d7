"""Conditions mean what they say, and what they cannot mean is told with its column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.conditions import Mistake, compile_condition
from menus.registry import Flag, Money, Number, Record, Shape, Text, Word

NAMES: dict[str, Shape | Word] = {
    "offer": Record("offer", {"monthly": Money(), "name": Text(localized=True), "kind": Text()}),
    "colour": Word(frozenset({"red", "blue"})),
    "count": Number(),
}
FACTS: dict[str, Shape] = {"active": Flag(), "locked": Flag(), "language": Text(), "channel": Text()}
WORDS = {"language": frozenset({"ru", "en", "ru-Latn"}), "channel": frozenset({"ussd", "sms", "terminal"})}
VALUES = {"offer": {"monthly": 0, "name": {"en": "x"}, "kind": "tariff"}, "colour": "red", "count": 3}


@pytest.mark.parametrize(
    ("written", "met"),
    [
        ("active", True), ("not active", False), ("locked", False), ("active and not locked", True),
        ("locked or active", True), ("locked and active or active", True), ("locked and (active or active)", False),
        ("not (locked or active)", False), ("not not active", True), ("language is ru-Latn", True),
        ("language is not en", True), ("channel is sms", False), ("offer.monthly is 0", True),
        ("count is not 3", False), ("colour is red and count is 3", True), ("active is true", True),
        ("active is false", False),        ('offer.kind is "tariff"', True),
    ],
)  # fmt: skip
def test_a_condition_means_what_it_says(written: str, met: bool):
    condition = compile_condition(written, NAMES, FACTS, WORDS)
    assert not isinstance(condition, Mistake)
    assert condition(VALUES, {"active": True, "language": "ru-Latn", "channel": "ussd"}) is met


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        ("", Mistake(0, "something is missing here", "a fact")),
        ("actve", Mistake(0, "there is no fact or value 'actve' here", "did you mean 'active'?", "actve")),
        ("active and", Mistake(10, "something is missing here", "a fact")),
        ("active locked", Mistake(7, "'locked' is not expected here", "'and' or 'or' joins two conditions")),
        ("(active", Mistake(7, "a bracket is not closed")),
        ("language is", Mistake(11, "something is missing after 'is'", "language is ...")),
        ("language is fr", Mistake(12, "'language' is never 'fr'", "there are en, ru, ru-Latn")),
        ("colour is rde", Mistake(10, "'colour' is never 'rde'", "did you mean 'red'?")),
        ("count", Mistake(0, "'count' is not yes or no by itself", "count is ...")),
        ("count is many", Mistake(9, "'count' is a number and cannot be 'many'", "count is 0")),
        ("offer.price is 0", Mistake(0, "'offer.price': there is no 'price' in it", "there are monthly, name, kind")),
        ("offer.name is x", Mistake(14, "'offer.name' cannot be compared")),
        ("active is 1", Mistake(10, "'active' is yes or no and cannot be '1'", "active, or not active")),
        ("active & locked", Mistake(7, "'&' is not expected here", "'and' or 'or' joins two conditions")),
        ("not " * 30 + "active", Mistake(80, "nested deeper than 20")),
    ],
)
def test_a_mistake_is_told_with_its_column(written: str, mistake: Mistake):
    assert compile_condition(written, NAMES, FACTS, WORDS) == mistake


@given(
    st.lists(
        st.sampled_from(["active", "not", "and", "or", "(", ")", "is", "red", "colour", "0", "&", '"']), max_size=30
    )
)
def test_nothing_makes_compiling_fail(tokens: list[str]):
    written = " ".join(tokens)
    found = compile_condition(written, NAMES, FACTS, WORDS)
    if isinstance(found, Mistake):
        assert 0 <= found.column <= len(written)
    else:
        found(VALUES, {})
