"""A conversation goes on to the next screen by itself: through what was dialled in advance, and by answers."""

import msgspec
import pytest

from menus.compiler import compile_flow
from menus.engine import conclude, step
from menus.events import Answered, Ask, Begin, Defer, Late, Note, Order, Reply, Send, Show
from menus.limits import MAX_ITEMS, MAX_VALUES_BYTES
from menus.session import Items, Value, unpack
from menus.steps import Step
from tests.menus.small import FACTS, NOW, REGISTRY, SHOP, TERMINAL, USSD, item
from tests.menus.talk import ANSWERS, FLOW, ITEMS, MAIN, THING, Talk

# Dialling in advance --------------------------------------------------------------------------------------------------


def test_inputs_given_in_advance_are_taken_on_the_way():
    talk = Talk()
    assert talk.dial("*1*1*3#") == THING
    assert talk.session is not None
    assert [place.node for place in talk.session.trail] == ["main", "catalogue"]
    assert talk.types("0").startswith("Goods")


def test_an_input_in_advance_that_fits_nothing_stops_there():
    talk = Talk()
    assert talk.dial("*1*8*1#") == f"Invalid input.\n{MAIN}"
    assert talk.types("1").startswith("Goods")


def test_an_order_cannot_be_confirmed_before_it_was_read():
    talk = Talk()
    assert talk.dial("*1*1*3*1*1#").startswith("For 50 RUB")
    assert talk.found(Order) is None


def test_a_secret_cannot_be_dialled():
    talk = Talk()
    shown = talk.does(Begin("s1", "ask_pin", ("1234",)))
    assert shown is not None
    assert shown.text.startswith("A secret code cannot be dialled in advance.\nPIN")
    assert shown.screen.secret
    assert "1234" not in repr(talk.session)


# Secrets --------------------------------------------------------------------------------------------------------------


def test_a_secret_reaches_the_operation_and_nothing_that_is_kept():
    talk = Talk()
    talk.dial("*2#")
    done = step(FLOW, talk.session, Reply("4711"), NOW, talk.facts, USSD)
    (asked,) = done.effects
    assert isinstance(asked, Ask)
    assert asked.arguments == {"pin": "4711"}
    assert "4711" not in repr(done.session)
    assert talk.types("4711") == "Right. Adult."


def test_a_query_with_a_secret_is_never_put_off():
    talk = Talk(answers={**ANSWERS, "verify": ("late", None)})
    talk.dial("*2#")
    assert talk.types("4711").startswith("The service is not available")
    assert talk.found(Defer) is None
    assert talk.session is None


# The outside ----------------------------------------------------------------------------------------------------------


def test_each_outcome_leads_on_and_its_value_has_the_name_it_was_given():
    talk = Talk(answers={**ANSWERS, "quote": ("poor", {"missing": 700})})
    assert talk.dial("*1*1*3*1#") == "Missing 7 RUB\n0. Back\n00. Home"


def test_an_order_is_placed_with_what_was_agreed_to_and_concluded_by_sms():
    talk = Talk()
    assert talk.dial("*1*1*3*1#") == "For 50 RUB, 1 December\n1. Buy\n2. No\n0. Back\n00. Home"
    assert talk.types("1") == "Ordered"
    order, note = talk.found(Order), talk.found(Note)
    assert order.operation == "buy"
    assert order.arguments == {"quote": {"price": 5000, "starts": "2009-12-01"}}
    assert (note.kind, note.data["order"], note.data["read"]) == ("consent", order.id, "For 50 RUB, 1 December")
    assert talk.session is None
    assert order.pending.values == {"item": ITEMS[2]}
    assert conclude(FLOW, order.pending, "done", {"left": 100}, NOW, FACTS) == (Send("Thing 3 is yours. 1 RUB left"),)
    assert conclude(FLOW, order.pending, "failed", None, NOW, FACTS) == (Send("It failed"),)


def test_what_was_agreed_to_is_told_as_it_was_read():
    talk = Talk(channel=TERMINAL)
    talk.facts["language"] = "ru-Latn"
    talk.dial("*1*1*3*1#")
    talk.types("1")
    assert talk.found(Order).shown == talk.found(Note).data["read"] == "Tsena 50 rub., 1 dekabrya"


def test_what_came_after_the_agreement_is_not_in_what_was_agreed_to():
    again = "  again:\n    query: quote(item)\n    as: quote\n    ok: buy\n    poor: {to: poor, as: gap}\n"
    talk = Talk(compile_flow(SHOP.replace("to: buy}\n    no:", "to: again}\n    no:") + again, "f", REGISTRY))
    talk.dial("*1*1*3*1#")
    talk.answers["quote"] = ("ok", {"price": 9900, "starts": "2010-01-01"})
    talk.types("1")
    order = talk.found(Order)
    assert order.arguments["quote"]["price"] == 9900
    assert order.shown == "For 50 RUB, 1 December"


def test_a_terminal_enters_with_a_quote_and_places_the_order_at_once():
    quote = {"price": 5000, "starts": "2009-12-01", "whatever": "else"}
    node = FLOW.match_terminal("buy")
    assert node is not None
    done = step(FLOW, None, Begin("s1", node, values={"quote": quote}), NOW, FACTS, TERMINAL)
    order, show = done.effects
    assert isinstance(order, Order)
    assert (order.operation, order.arguments, order.shown) == ("buy", {"quote": quote}, "")
    assert isinstance(show, Show)
    assert (show.text, show.ends, show.screen.kind) == ("Ordered", True, "end")
    assert done.session is None
    assert conclude(FLOW, order.pending, "done", {"left": 100}, NOW, FACTS) == (Send("Bought for 50 RUB"),)


def test_a_terminal_sees_what_kind_of_screen_it_is_and_all_of_it():
    talk = Talk(channel=TERMINAL)
    screens = [talk.does(Begin("s1", "main")), *(talk.does(Reply(text)) for text in ("1", "3", "1"))]
    screens += [talk.does(Reply("1")), talk.does(Begin("s2", "ask_pin"))]
    shown = [each for each in screens if each is not None]
    kinds = ["menu", "list", "message", "confirm", "end", "input"]
    assert [each.screen.kind for each in shown] == kinds
    assert [each.pages for each in shown] == [1] * len(kinds)
    assert len(shown[1].screen.options) == len(ITEMS)
    assert [option.key for option in shown[1].screen.navigation] == ["0", "00"]
    about = {"quote": {"price": 5000, "starts": "2009-12-01"}}
    assert [each.screen.about for each in shown] == [{}, {}, {}, about, {}, {}]
    assert (shown[5].screen.secret, shown[5].screen.input) == (True, "digits")


def test_a_refused_input_leaves_the_kind_of_a_screen_and_what_it_is_about():
    talk = Talk(channel=TERMINAL)
    talk.dial("*1*1*3*1#")
    again = talk.does(Reply("7"))
    assert again is not None
    assert again.text.startswith("Invalid input.\n")
    assert (again.screen.kind, list(again.screen.about)) == ("confirm", ["quote"])


def test_ids_of_queries_and_orders_are_never_used_twice():
    talk = Talk()
    ids = []
    talk.dial("*1#")
    for _ in range(3):
        talk.types("1")
        ids.append(talk.found(Ask).id)
        talk.types("0")
    assert ids == ["s1-1", "s1-2", "s1-3"]


def test_an_answer_to_another_question_changes_nothing():
    talk = Talk()
    talk.dial("*1#")
    before = talk.session
    assert step(FLOW, before, Answered("s1-9", "ok", None), NOW, FACTS, USSD) == Step(before)
    assert step(FLOW, None, Late("s1-9"), NOW, FACTS, USSD) == Step(None)


@pytest.mark.parametrize("answer", [("oops", None), ("ok", None), ("ok", [{"id": 1}]), ("ok", {"a": 1}), ("ok", "x")])
def test_an_answer_of_the_wrong_shape_is_broken_and_noted(answer: tuple[str, Value]):
    talk = Talk(answers={**ANSWERS, "items": answer})
    assert talk.dial("*1*7#").startswith("The service is not available")
    assert talk.found(Note).kind == "broken"
    assert talk.session is None


def test_a_list_that_answers_many_leads_where_any_list_does_and_is_not_copied():
    items = Items(ITEMS)
    plain, shared = Talk(), Talk(answers={**ANSWERS, "items": ("ok", items)})
    assert shared.dial("*1*7#") == plain.dial("*1*7#")
    assert shared.session == plain.session
    assert shared.session is not None
    assert shared.session.values["#catalogue"] is items.packed
    assert shared.types("3") == plain.types("3") == THING


def test_a_long_list_is_cut_and_that_is_noted():
    talk = Talk(answers={**ANSWERS, "items": ("ok", [item(number) for number in range(1, 10_000)])})
    talk.dial("*1*7#")
    assert talk.session is not None
    kept = len(unpack(talk.session.values["#catalogue"]))
    assert kept == MAX_ITEMS
    assert talk.found(Note).data == {"node": "catalogue", "items": 9_999, "kept": kept}
    long = {**item(1), "id": "x" * 3000}
    talk = Talk(answers={**ANSWERS, "items": ("ok", [long] * 50)})
    talk.dial("*1*7#")
    assert talk.session is not None
    assert len(msgspec.msgpack.encode(talk.session)) < MAX_VALUES_BYTES + 500


def test_a_value_too_large_for_a_session_is_broken():
    talk = Talk(answers={**ANSWERS, "find": ("ok", {**item(1), "id": "x" * MAX_VALUES_BYTES})})
    talk.dial("*1*2#")
    assert talk.types("12").startswith("The service is not available")
