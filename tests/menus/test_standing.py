"""At a node its screen is shown, and what is typed means what was seen there."""

import msgspec
import pytest

from menus.compiler import compile_flow
from menus.events import Begin, Reply
from tests.menus.small import FACTS, REGISTRY, SHOP, SMS
from tests.menus.talk import ANSWERS, MAIN, THING, Talk

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
