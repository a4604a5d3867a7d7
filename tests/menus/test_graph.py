"""What is said of a flow as a graph holds for every graph."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from menus.graph import Way, bound, longest, loop, reached, stuck
from menus.machine import START
from menus.registry import Number, Text, Word

NODES = list("abcdef")
NAMES = ("x", "y")


def ways() -> st.SearchStrategy[list[Way]]:
    binds = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([Number(), Text()]), max_size=2)
    way = st.builds(
        Way, st.sampled_from([START, *NODES]), st.sampled_from(NODES), st.just(()), binds, immediate=st.booleans()
    )
    return st.lists(way, max_size=12)


def walk(ways: list[Way], steps: list[int]) -> tuple[str, dict[str, object]]:
    """Walk at random from the start and return where that leads with which values."""
    node, values = START, dict[str, object]()
    for step in steps:
        onward = [way for way in ways if way.source == node]
        if not onward:
            break
        way = onward[step % len(onward)]
        node, values = way.target, {**values, **way.binds}
    return node, values


@given(ways(), st.lists(st.integers(0, 11), max_size=12))
def test_a_value_that_is_always_there_is_there_on_every_walk(found: list[Way], steps: list[int]):
    node, values = walk(found, steps)
    if node == START:
        return
    here = bound(found, NODES, "a", (), ())[node]
    if node != "a":
        assert here.always.items() <= values.items()
    assert set(values) <= here.sometimes
    assert node in reached(found, {START})


@given(ways())
def test_a_loop_is_one_and_without_it_the_longest_chain_ends(found: list[Way]):
    circle = loop(found)
    immediate = {(way.source, way.target) for way in found if way.immediate}
    if circle:
        assert circle[0] == circle[-1]
        assert all(pair in immediate for pair in pairwise(circle))
    else:
        _, steps = longest(found)
        assert steps <= len(NODES) + 1
        assert (steps > 0) is bool(immediate)


def test_where_values_part():
    branches = [
        Way(START, "a", ()),
        Way("a", "b", (), {"x": Word(frozenset({"red"})), "y": Number()}),
        Way("a", "b", (), {"x": Word(frozenset({"blue"})), "y": Text()}),
    ]
    here = bound(branches, NODES, "a", (), ())["b"]
    assert here.always == {"x": Word(frozenset({"red", "blue"}))}
    assert here.sometimes == {"x", "y"}


def test_a_secret_passes_a_check_and_nothing_else():
    found = [
        Way(START, "a", ()),
        Way("a", "b", (), {"x": Text()}),
        Way("b", "c", ()),
        Way("c", "d", ()),
    ]
    here = bound(found, NODES, "a", {"x"}, {"b"})
    assert "x" in here["b"].always
    assert "x" in here["c"].always
    assert "x" not in here["d"].always


def test_what_cannot_be_left_is_found():
    found = [Way("a", "b", ()), Way("b", "c", ()), Way("c", "b", ()), Way("a", "d", ())]
    assert stuck(found, {"a", "b", "c", "d"}, {"d"}) == {"b", "c"}
