"""What was cut off goes on as the flow and the subscriber want, or begins anew."""

import pytest

from menus.compiler import compile_flow
from menus.events import Begin, Dropped
from tests.menus.small import NOW, REGISTRY, SHOP
from tests.menus.talk import MAIN, MINUTE, THING, Talk


def test_the_question_whether_to_go_on_is_a_menu():
    talk = Talk()
    talk.dial("*1*1#")
    talk.does(Dropped("timeout"))
    asked = talk.does(Begin("s2", "main"))
    assert asked is not None
    assert (asked.screen.kind, [option.label for option in asked.screen.options]) == (
        "menu",
        ["Continue", "Start again"],
    )


def test_a_dropped_session_is_resumed_if_the_subscriber_wants():
    talk = Talk()
    talk.dial("*1*1*3#")
    talk.does(Dropped("timeout"))
    assert talk.session is not None
    assert talk.session.dropped
    talk.now += 5 * MINUTE
    asked = "Continue where you were?\n1. Continue\n2. Start again"
    assert talk.dial("*1#") == asked
    waiting = talk.session
    assert talk.types("1") == THING
    assert talk.types("0").startswith("Goods")
    talk.session = waiting
    assert talk.types("start again") == MAIN
    talk.session = waiting
    assert talk.types("x").startswith("Invalid input.")
    assert talk.types("x") != ""
    assert talk.types("x").startswith("Too many invalid inputs")


def test_a_dropped_session_is_not_resumed_when_it_is_old_or_another_screen_is_dialled():
    talk = Talk()
    talk.dial("*1*1*3#")
    talk.does(Dropped("abort"))
    dropped = talk.session
    talk.now += 10 * MINUTE + 1
    assert talk.dial("*1#") == MAIN
    talk.session, talk.now = dropped, NOW
    assert talk.dial("*1*2#") == "The number\n0. Back\n00. Home"


@pytest.mark.parametrize(("policy", "text"), [("restart", MAIN), ("continue", THING)])
def test_what_becomes_of_a_dropped_session_is_the_flows_choice(policy: str, text: str):
    talk = Talk(flow=compile_flow(SHOP.replace("after_drop: ask", f"after_drop: {policy}"), "f", REGISTRY))
    talk.dial("*1*1*3#")
    talk.does(Dropped("network"))
    assert talk.dial("*1#") == text


@pytest.mark.parametrize("policy", ["ask", "continue"])
def test_a_dialogue_that_was_left_at_a_last_screen_of_several_pages_is_not_resumed(policy: str):
    written = SHOP.replace("Call us", "Call us, or come and see us. " * 4).replace(
        "after_drop: ask", f"after_drop: {policy}"
    )
    talk = Talk(flow=compile_flow(written, "f", REGISTRY))
    assert talk.dial("*1*5#").endswith("9. More")
    talk.does(Dropped("abort"))
    assert talk.dial("*1#") == MAIN
