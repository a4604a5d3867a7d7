"""Conversations go where the flow says, whatever is typed, answered, dropped, late or changed under them."""

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menus.compiler import Flow, compile_flow
from menus.engine import Step, accepts, conclude, say, step
from menus.events import (
    Answered,
    Ask,
    Begin,
    Defer,
    Dropped,
    Effect,
    Event,
    Late,
    Note,
    Order,
    Reply,
    Send,
    Show,
)
from menus.limits import MAX_ITEMS, MAX_TRAIL, MAX_VALUES_BYTES, SMS_WAITS_MS
from menus.render import Channel
from menus.session import Items, Session, Value, unpack
from tests.menus.small import FACTS, NOW, REGISTRY, SHOP, SMS, TERMINAL, USSD, item, shop

FLOW = shop()
ITEMS = [item(number) for number in range(1, 13)]
ANSWERS: dict[str, tuple[str, Value]] = {
    "items": ("ok", ITEMS),
    "find": ("ok", ITEMS[4]),
    "quote": ("ok", {"price": 5000, "starts": "2009-12-01"}),
    "verify": ("ok", None),
    "activate": ("done", None),
}
MINUTE = 60_000


@dataclass
class Talk:
    """A subscriber's conversation, with the answers of the outside."""

    flow: Flow = FLOW
    channel: Channel = USSD
    facts: dict[str, str | bool | int] = field(default_factory=lambda: dict(FACTS))
    answers: dict[str, tuple[str, Value]] = field(default_factory=lambda: dict(ANSWERS))
    session: Session | None = None
    effects: list[Effect] = field(default_factory=list)
    now: int = NOW

    def does(self, event: Event, channel: Channel | None = None) -> Show | None:
        """Step to the end of the turn; return what is shown."""
        self.effects = []
        while True:
            facts = self.facts | {"channel": (channel or self.channel).name}
            done = step(self.flow, self.session, event, self.now, facts, channel or self.channel)
            self.session = done.session
            self.effects += done.effects
            asked = [effect for effect in done.effects if isinstance(effect, Ask)]
            if not asked:
                return next((effect for effect in done.effects if isinstance(effect, Show)), None)
            answer = self.answers[asked[0].operation]
            event = Late(asked[0].id) if answer[0] == "late" else Answered(asked[0].id, *answer)

    def read(self, event: Event) -> str:
        shown = self.does(event)
        assert shown is not None
        return shown.text

    def dial(self, code: str) -> str:
        match = self.flow.match_ussd(code)
        assert match is not None
        return self.read(Begin("s1", match.node, match.tail))

    def types(self, *texts: str) -> str:
        return [self.read(Reply(text)) for text in texts][-1]

    def found(self, kind: type[Any]) -> Any:
        return next((effect for effect in self.effects if isinstance(effect, kind)), None)


MAIN = "Shop\n1. Goods\n2. Number\n3. Discount\n4. PIN\n5. Help"
GOODS = "Goods\n1. Thing 1, 10 RUB\n2. Thing 2, 20 RUB\n3. Thing 3, 30 RUB\n0. Back\n00. Home\n99. More"
THING = "Thing 3 costs 30 RUB\n1. Buy\n0. Back\n00. Home"


# Screens --------------------------------------------------------------------------------------------------------------


def test_a_walk_through_the_menu_and_back():
    talk = Talk()
    assert talk.dial("*1#") == MAIN
    before = talk.session
    assert talk.types("1").startswith("Goods\n1. Thing 1")
    listed = talk.session
    assert talk.types("3") == THING
    assert talk.types("0").startswith("Goods")
    assert talk.session == msgspec.structs.replace(listed, serial=2)
    assert talk.types("0") == MAIN
    assert talk.session == msgspec.structs.replace(before, serial=2)


def test_conditions_hide_options_and_the_numbers_stay_what_was_seen():
    talk = Talk()
    talk.dial("*1#")
    talk.facts["active"] = False
    assert talk.types("1").startswith("Goods")
    assert talk.dial("*1#").startswith("Shop\n1. Activate\n2. Goods")
    talk.facts["active"] = True
    assert talk.types("1") == f"Invalid input.\n{MAIN}"
    talk.facts["active"] = False
    assert talk.dial("*1*1#") == "Activated\n00. Home"


def test_an_option_whose_condition_no_longer_holds_is_refused():
    talk = Talk()
    talk.dial("*1#")
    talk.facts["active"] = False
    assert talk.types("3").startswith("Invalid input.\n")


def test_a_menu_whose_options_are_all_hidden_offers_none():
    options = "      - {ru: а, en: a, to: help, when: not active}\n      - {ru: б, en: b, to: help, when: age is 3}\n"
    hidden = f"nodes:\n  hidden:\n    menu: {{ru: Пусто, en: Empty}}\n    options:\n{options}"
    text = SHOP.replace("nodes:\n", hidden, 1).replace("entries:\n", 'entries:\n  - {ussd: "*3#", to: hidden}\n', 1)
    talk = Talk(flow=compile_flow(text, "shop.yaml", REGISTRY))
    assert talk.dial("*3#") == "Empty\n00. Home"
    assert talk.types("1") == "Invalid input.\nEmpty\n00. Home"
    talk.facts["active"] = False
    assert talk.dial("*3#") == "Empty\n1. a\n00. Home"


def test_a_list_pages_with_its_numbering_going_on():
    talk = Talk()
    first = talk.dial("*1*7#")
    keys = [line.split(".")[0] for line in first.split("\n")[1:]]
    assert keys[-1] == "99"
    second = talk.types("99")
    assert second.split("\n")[0].startswith(f"{len(keys)}. ")
    assert talk.types("0") == first
    assert talk.types("12") == "Thing 12 costs 120 RUB\n1. Buy\n0. Back\n00. Home"
    assert talk.types("0") == first


def test_back_from_an_item_leads_to_the_page_it_was_chosen_from():
    talk = Talk()
    talk.dial("*1*7#")
    second = talk.types("99")
    talk.types("6")
    assert talk.types("0") == second


def test_an_empty_list_and_one_that_cannot_be_had():
    talk = Talk(answers={**ANSWERS, "items": ("ok", [])})
    assert talk.dial("*1*7#") == "Nothing\n00. Home"
    talk = Talk(answers={**ANSWERS, "items": ("down", None)})
    assert talk.dial("*1*7#") == "Not now"
    assert talk.session is None


def test_home_forgets_the_way_and_the_values():
    talk = Talk()
    talk.dial("*1#")
    talk.types("1", "3")
    assert talk.types("00") == MAIN
    assert talk.session is not None
    assert (talk.session.trail, talk.session.values) == ((), {})


def test_a_text_differs_by_channel_and_language():
    assert Talk(channel=SMS).read(Begin("s", "help")) == "Text here"
    assert Talk().read(Begin("s", "help")) == "Call us"
    talk = Talk(facts={**FACTS, "language": "ru-Latn"})
    assert talk.read(Begin("s", "help")) == "Pozvonite nam"


# Wrong input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "0", "000", "9", "99", "-1", "1.5", "01", "one", "١٢", "9" * 5000, "\x00", "*1#"])
def test_what_is_no_choice_shows_the_screen_again_with_the_reason(text: str):
    talk = Talk()
    talk.dial("*1#")
    before = talk.session
    assert talk.types(text) == f"Invalid input.\n{MAIN}"
    assert talk.session == msgspec.structs.replace(before, tries=1)


def test_the_dialogue_ends_politely_after_three_wrong_inputs():
    talk = Talk()
    talk.dial("*1#")
    talk.types("x", "1", "0")
    talk.types("x", "x")
    shown = talk.does(Reply("x"))
    assert shown is not None
    assert shown.ends
    assert shown.text.startswith("Too many invalid inputs")
    assert talk.session is None


def test_an_input_says_what_it_accepts():
    talk = Talk()
    talk.dial("*1*2#")
    assert talk.types("12345") == "Two to four digits.\nThe number\n0. Back\n00. Home"
    assert talk.types("0") == MAIN
    talk.types("2")
    assert talk.types("12") == "Thing 5 costs 50 RUB\n1. Buy\n0. Back\n00. Home"


def test_a_reason_that_does_not_fit_takes_the_place_of_the_text_and_moves_no_option():
    talk = Talk()
    first = talk.dial("*1*7#")
    shown = talk.does(Reply("77"))
    assert shown is not None
    assert len(shown.text) <= 80
    assert shown.text == "Invalid input.\n" + first.replace("99. More", "99")
    talk.flow = compile_flow(SHOP.replace("en: Goods}\n    each", f"en: {'Goods ' * 8}}}\n    each"), "f", REGISTRY)
    first = talk.dial("*1*7#")
    assert talk.types("77") == first.replace(("Goods " * 8).strip(), "Invalid input.")


LONG = "We charge {quote.price:money} for it on {quote.starts:date}, and no more than that, ever."


def test_a_wrong_input_on_a_page_before_the_options_says_to_read_on():
    flow = compile_flow(
        SHOP.replace('en: "For {quote.price:money}, {quote.starts:date}"', f'en: "{LONG}"'), "f", REGISTRY
    )
    talk = Talk(flow=flow)
    first = talk.dial("*1*1*3*1#")
    assert first == "We charge 50 RUB for it on 1 December, and no more than that,\n0. Back\n9. More"
    assert talk.types("1") == "Read to the end first: 9.\n0. Back\n9. More"
    assert talk.types("9") == "ever.\n1. Buy\n2. No\n0. Back"
    assert talk.types("7").startswith("Invalid input.\never.\n1. Buy")
    assert talk.types("1") == "Ordered"


def test_home_shows_the_menu_at_home_too_and_on_pages_that_do_not_offer_it():
    talk = Talk()
    talk.dial("*1#")
    talk.types("x")
    assert talk.types("00") == MAIN
    assert talk.session is not None
    assert (talk.session.tries, talk.session.trail) == (0, ())
    assert "00" not in talk.types("1").split("\n")
    assert talk.types("00") == MAIN


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


def test_an_order_that_the_flow_no_longer_knows_is_concluded_in_general():
    talk = Talk()
    talk.dial("*1*1*3*1#")
    talk.types("1")
    pending = talk.found(Order).pending
    newer = compile_flow(SHOP.replace("en: Help", "en: Aid"), "f", REGISTRY)
    assert conclude(newer, pending, "done", {"left": 1}, NOW, FACTS) == (Send("Your order is done."),)
    assert conclude(newer, pending, "failed", None, NOW, FACTS)[0] == Send(say(newer, "order_failed", {}, "en"))
    assert conclude(FLOW, pending, "done", None, NOW, FACTS) == (Send("Your order is done."),)


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


# Late, dropped, changed -----------------------------------------------------------------------------------------------


def test_a_late_query_is_answered_by_sms_and_goes_on_there():
    talk = Talk(answers={**ANSWERS, "find": ("late", None)})
    talk.dial("*1*2#")
    shown = talk.does(Reply("12"))
    assert shown is not None
    assert shown.ends
    assert shown.text == "In progress. The answer will come by SMS."
    deferred = talk.found(Defer)
    assert (deferred.operation, deferred.arguments) == ("find", {"number": "12"})
    assert talk.session is not None
    assert (talk.session.channel, talk.session.asked) == ("sms", deferred.id)
    assert not accepts(FLOW, talk.session, "1", FACTS)
    shown = talk.does(Answered(deferred.id, "ok", ITEMS[4]), SMS)
    assert shown is not None
    assert shown.text == "Thing 5 costs 50 RUB\n1. Buy"
    assert accepts(FLOW, talk.session, "1", FACTS)
    assert accepts(FLOW, talk.session, "buy", FACTS)
    assert not accepts(FLOW, talk.session, "7", FACTS)
    assert accepts(FLOW, talk.session, "1", FACTS, NOW + SMS_WAITS_MS)
    assert not accepts(FLOW, talk.session, "1", FACTS, NOW + SMS_WAITS_MS + 1)


def test_a_confirmation_by_sms_may_be_given_in_words_of_any_language():
    talk = Talk(channel=SMS)
    talk.read(Begin("s1", "find", values={"number": "12"}))
    assert talk.types("1").startswith("For 50 RUB")
    assert talk.session is not None
    for words in ("Buy", "купить", "NO", "нет", "1", "2"):
        assert accepts(FLOW, talk.session, words, FACTS)
    assert talk.types("КУПИТЬ") == "Ordered"


def test_by_sms_a_screen_without_options_ends_the_conversation():
    talk = Talk(channel=SMS, answers={**ANSWERS, "find": ("unknown", None)})
    shown = talk.does(Begin("s1", "find", values={"number": "12"}))
    assert shown is not None
    assert shown.text == "Nothing"
    assert shown.ends
    assert talk.session is None


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


def test_a_session_of_another_revision_starts_again_with_the_reason():
    talk = Talk(channel=Channel("ussd", lambda text: len(text) <= 160))
    talk.dial("*1*1*3#")
    talk.flow = compile_flow(SHOP.replace("en: Help", "en: Aid"), "f", REGISTRY)
    changed = MAIN.replace("Help", "Aid")
    assert talk.types("1") == f"This session is over. Please start again.\n{changed}"
    assert talk.session is not None
    assert (talk.session.revision, talk.session.serial) == (talk.flow.revision, 1)
    assert talk.types("1").startswith("Goods")


def test_a_reply_to_nothing_and_an_unknown_node():
    shown = Talk().does(Reply("1"))
    assert shown is not None
    assert shown.ends
    shown = Talk().does(Begin("s", "nowhere"))
    assert shown is not None
    assert shown.text == "Unknown code."


# Availability ---------------------------------------------------------------------------------------------------------

DAY = 86_400_000
FIRST = 1_258_318_800_000
"""Midnight before 16 November 2009 in Moscow, which is three hours ahead of UTC."""
LAST = 1_289_854_800_000
"""Midnight after 15 November 2010 in Moscow."""


@pytest.mark.parametrize(
    ("msisdn", "now", "served"),
    [
        ("79101234567", NOW, True), ("79850000001", NOW, True), ("79850000002", NOW, False), ("", NOW, False),
        ("79101234567", FIRST - 1, False), ("79101234567", FIRST, True),
        ("79101234567", LAST - 1, True), ("79101234567", LAST, False),
    ],
)  # fmt: skip
def test_the_service_is_there_for_some_numbers_in_some_time(msisdn: str, now: int, served: bool):
    talk = Talk(facts={**FACTS, "msisdn": msisdn}, now=now)
    assert talk.dial("*1#") == (MAIN if served else "Not for you yet")
    assert (talk.session is not None) is served


# Properties -----------------------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.sampled_from(["0", "00", "1", "2", "3", "4", "5", "9", "99", "12", "1234", "да", "x", ""]).map(Reply),
    st.text(max_size=20).map(Reply),
    st.sampled_from(["timeout", "abort", "network"]).map(Dropped),
    st.builds(
        Begin,
        st.just("s2"),
        st.sampled_from(["main", "catalogue", "ask_pin", "help", "nowhere"]),
        st.lists(st.sampled_from(["1", "2", "3", "0", "x", "1234", "99"]), max_size=4).map(tuple),
    ),
)
OUTCOMES: dict[str, list[tuple[str, Value]]] = {
    "items": [("ok", ITEMS), ("ok", []), ("down", None), ("late", None), ("oops", 3), ("ok", [{"id": "x"}])],
    "find": [("ok", ITEMS[0]), ("unknown", None), ("late", None)],
    "quote": [("ok", {"price": 0, "starts": "2010-02-28"}), ("poor", {"missing": 12345}), ("late", None)],
    "verify": [("ok", None), ("wrong", None), ("late", None)],
    "activate": [("done", None), ("already", None)],
}


@settings(max_examples=150)
@given(
    data=st.data(), channel=st.sampled_from([USSD, SMS]), language=st.sampled_from(["ru", "en", "ru-Latn", "", "fr"])
)
def test_whatever_happens_there_is_an_answer_that_fits_and_a_session_that_can_be_stored(
    data: st.DataObject, channel: Channel, language: str
):
    facts = {**FACTS, "language": language, "channel": channel.name}
    session: Session | None = None
    for event in [Begin("s1", "main"), *data.draw(st.lists(EVENTS, max_size=15))]:
        facts["active"] = data.draw(st.booleans())
        waiting: Event | None = event
        while waiting is not None:
            done = step(FLOW, session, waiting, NOW, facts, channel)
            assert done == step(FLOW, session, waiting, NOW, dict(facts), channel)
            session, waiting = done.session, None
            for effect in done.effects:
                if isinstance(effect, Show):
                    assert channel.fits is None or channel.fits(effect.text)
                    assert effect.ends or session is not None
                if isinstance(effect, Ask):
                    outcome, value = data.draw(st.sampled_from(OUTCOMES[effect.operation]))
                    waiting = Late(effect.id) if outcome == "late" else Answered(effect.id, outcome, value)
        if session is not None:
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(session), type=Session) == session
            assert len(session.trail) <= MAX_TRAIL
            assert "pin" not in session.values
            assert session.tail == ()


@settings(max_examples=100)
@given(choices=st.lists(st.sampled_from(["1", "2", "3", "4", "12", "34"]), max_size=6))
def test_back_undoes_every_step(choices: list[str]):
    talk = Talk()
    talk.dial("*1#")
    trail = []
    for choice in choices:
        before, text = talk.session, talk.types("x")
        talk.session = before
        shown = talk.does(Reply(choice))
        if shown is None or shown.ends or talk.session is None or talk.session.node == before.node:  # type: ignore[union-attr]
            talk.session = before
            continue
        if len(talk.session.trail) != len(before.trail) + 1:  # type: ignore[union-attr]
            return
        trail.append((before, text))
    for before, text in reversed(trail):
        talk.does(Reply("0"))
        assert talk.session is not None
        assert talk.session == msgspec.structs.replace(before, serial=talk.session.serial, slots=talk.session.slots)
        again = replace(talk, effects=[])
        assert again.types("x") == text
