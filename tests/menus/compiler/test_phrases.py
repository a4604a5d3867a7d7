"""The texts that the engine says itself."""

# ruff: noqa: E501 - a mistake is one line, and reads best as one

import json
import re

import pytest

from menus.compiler import compile_flow
from menus.own_texts import say
from menus.phrases import ADDED, PHRASES
from tests.menus.compiler.mistakes import TWO_NODES, problems
from tests.menus.small import REGISTRY


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


def german(*without: str) -> str:
    """Return a service in a language that nothing is built in for, which lacks these of the engine's own texts."""
    given = PHRASES.keys() - set(without)
    texts = {name: {"de": " ".join([name, *re.findall("{.*?}", PHRASES[name]["en"])])} for name in given}
    return f"""\
service: shop
languages: [de]
timezone: Europe/Berlin
currency: {{code: EUR, de: "{{amount}} €", free: {{de: kostenlos}}}}
resume: {{after_drop: ask, within: 10 min}}
home: main
texts: {json.dumps(texts)}
entries: [{{ussd: "*1#", to: main}}]
nodes: {{main: {{end: A}}}}
"""


def test_texts_must_be_there_in_a_language_that_nothing_is_built_in_for():
    assert problems(german("late")) == ["f:7:8: 'texts' has no 'late', and there is none in 'de' built in"]


def test_a_flow_that_is_older_than_a_text_goes_on_and_says_it_in_english():
    flow = compile_flow(german(*ADDED), "f", REGISTRY)
    assert {say(flow, name, {}, "de") for name in ADDED} == {PHRASES[name]["en"] for name in ADDED}
    assert say(flow, "late", {}, "de") == "late"
