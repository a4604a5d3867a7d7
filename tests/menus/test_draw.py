"""A drawing has every entry, every node and every way of the flow, and nothing that is not there."""

import re
from pathlib import Path

import pytest

from menus.compiler import compile_flow
from menus.draw import mermaid
from menus.flow import Flow
from ussd_server.turns.service import REGISTRY

SHIPPED = Path(__file__).parents[2] / "flows.yaml"


@pytest.fixture(scope="module")
def flow() -> Flow:
    return compile_flow(SHIPPED.read_bytes(), SHIPPED.name, REGISTRY)


def drawn(text: str) -> tuple[dict[str, str], set[tuple[str, str, str]]]:
    """Read a drawing back: names by id, and ways as (from, label, to) by id."""
    head, *lines = text.splitlines()
    assert head == "flowchart LR"
    names: dict[str, str] = {}
    ways: set[tuple[str, str, str]] = set()
    for line in lines:
        node = re.fullmatch(r'    (n\d+)\W+"([^"]*)"\W+', line)
        entry = re.fullmatch(r'    (e\d+)\(\("([^"]*)"\)\) --> (n\d+)', line)
        way = re.fullmatch(r'    (n\d+) -- "([^"]*)" --> (n\d+)', line)
        if node is not None:
            names[node[1]] = node[2]
        elif entry is not None:
            ways.add((entry[1], entry[2], entry[3]))
        else:
            assert way is not None, line
            ways.add((way[1], way[2], way[3]))
    return names, ways


def test_every_node_is_drawn_once_and_every_way_ends_at_one(flow: Flow) -> None:
    names, ways = drawn(mermaid(flow, "ru"))
    assert sorted(names.values()) == sorted(flow.nodes)
    assert {target for _, _, target in ways} <= names.keys()


def test_every_node_is_reached(flow: Flow) -> None:
    names, ways = drawn(mermaid(flow, "ru"))
    assert {names[target] for _, _, target in ways} == set(flow.nodes)


def test_entries_and_options_are_labels_in_the_language(flow: Flow) -> None:
    names, ways = drawn(mermaid(flow, "en"))
    said = {(names.get(source, "entry"), label, names[target]) for source, label, target in ways}
    assert ("entry", "*111#35;", "main") in said
    assert ("entry", "SMS 6262: (empty), пароль, parol, password", "order_code") in said
    assert ("entry", "terminal: change_tariff", "change_tariff") in said
    assert ("main", "Tariffs", "tariffs_if_active") in said
    assert ("tariffs_if_active", "yes", "tariffs") in said
    assert ("tariffs", "an item", "tariff") in said
