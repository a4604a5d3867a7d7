"""The machine decides every move: it takes those of its table and refuses all others, and a step adds nothing to it."""

from hypothesis import given
from hypothesis import strategies as st

from menus.limits import MAX_TRAIL
from menus.machine import START, Cursor
from menus.session import Place
from tests.menus.small import FACTS, shop

FLOW = shop()


def at(node: str, **values: object) -> Cursor:
    return Cursor(node, 0, (Place("main"),), dict(values), FACTS)


def test_the_triggers_of_a_node_are_those_of_its_kind():
    navigation = {"back", "more", "home"}
    assert FLOW.moves.triggers(START) == {
        "begin main", "begin catalogue", "begin ask_pin", "begin help", "begin find", "begin buy_quoted"
    }  # fmt: skip
    assert FLOW.moves.triggers("main") == {f"choose {slot}" for slot in range(6)} | navigation
    assert FLOW.moves.triggers("catalogue") == {"pick", "got ok", "got down"} | navigation
    assert FLOW.moves.triggers("ask_number") == {"enter"} | navigation
    assert FLOW.moves.triggers("find") == {"got ok", "got unknown"}
    assert FLOW.moves.triggers("grown") == {"decide"}
    assert FLOW.moves.triggers("adult") == {"back", "more"}


def test_a_guard_decides():
    cursor = at("main")
    cursor.facts = {**FACTS, "active": False}
    assert not FLOW.moves.take("choose 3", cursor)
    assert cursor.state == "main"
    cursor.facts = FACTS
    assert FLOW.moves.take("choose 3", cursor)
    assert (cursor.state, cursor.values) == ("discount", {"colour": "red"})


def test_an_action_leaves_no_way_back():
    cursor = at("activate")
    assert FLOW.moves.take("got done", cursor)
    assert (cursor.state, cursor.trail) == ("activated", ())
    assert not FLOW.moves.take("back", cursor)
    assert FLOW.moves.take("home", cursor)


def test_back_gives_values_back_what_they_were():
    cursor = at("ask_number", number="11", other=1)
    cursor.value = "22"
    assert FLOW.moves.take("enter", cursor)
    cursor.state = "nothing"
    assert cursor.values == {"number": "22", "other": 1}
    assert FLOW.moves.take("back", cursor)
    assert (cursor.state, cursor.values, cursor.trail) == ("ask_number", {"number": "11", "other": 1}, (Place("main"),))


def test_what_follows_a_list_that_was_come_back_to_begins_with_its_first_page():
    for outcome, value, target in (("got ok", [], "nothing"), ("got down", None, "not_now")):
        cursor = at("catalogue")
        cursor.page, cursor.value = 3, value
        assert FLOW.moves.take(outcome, cursor)
        assert (cursor.state, cursor.page) == (target, 0)


def test_the_way_back_is_bounded():
    cursor = at("main")
    for _ in range(100):
        cursor.leave()
    assert len(cursor.trail) == MAX_TRAIL


@given(st.sampled_from([START, *FLOW.nodes]), st.text(max_size=12))
def test_what_is_no_trigger_moves_nothing(node: str, trigger: str):
    cursor = at(node)
    known = FLOW.moves.triggers(node)
    assert FLOW.moves.take(trigger, cursor) is False or trigger in known
    assert FLOW.moves.triggers(node) == known
