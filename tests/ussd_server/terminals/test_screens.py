"""What a flow shows becomes data that any terminal can lay out, in the visit's language."""

import pytest

from menus.events import Option, Screen, Show
from tests.ussd_server.turns.bench import small_flow
from ussd_server.terminals import messages
from ussd_server.terminals.screens import offering, quote, screen

FLOW = small_flow()
OFFERING = {
    "id": "red",
    "kind": "tariff",
    "number": "212",
    "name": {"ru": "Красный", "en": "Red"},
    "summary": {"ru": "Дёшево"},
    "price": 9000,
    "monthly": 15050,
}
QUOTE = {
    "id": "q-1",
    "change": "change_tariff",
    "offering": OFFERING,
    "price": 9000,
    "monthly": 15050,
    "starts": "2026-12-01",
    "balance_after": 26000,
    "currency": "RUB",
}


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("menu", "Menu", ("Menu", "")),
        ("list", "Tariffs", ("Tariffs", "")),
        ("menu", "No such option.\nMenu", ("Menu", "No such option.")),
        ("message", "Red.\nCheap.", ("", "Red.\nCheap.")),
        ("confirm", "For 90?", ("", "For 90?")),
        ("input", "Your number?", ("", "Your number?")),
        ("end", "Done.", ("", "Done.")),
    ],
)
def test_a_heading_stands_apart_and_a_text_is_whole(kind: str, text: str, shown: tuple[str, str]) -> None:
    what = screen(Show(Screen(text, kind=kind), text, False), 3, FLOW, "en")  # type: ignore[arg-type]
    assert (what.id, what.kind, (what.title, what.text), what.quote) == (3, kind, shown, None)


def test_a_screen_says_what_can_be_entered() -> None:
    what = Screen("Menu", (Option("1", "Red"),), (Option("0", "Back"),), "choice", kind="menu")
    told = screen(Show(what, "", False), 1, FLOW, "en")
    assert (told.options, told.navigation) == ([messages.Option("1", "Red")], [messages.Option("0", "Back")])
    assert (told.input, told.secret, told.ends) == ("choice", False, False)
    secret = screen(Show(Screen("Password?", (), (), "digits", True, "input"), "", True), 1, FLOW, "en")
    assert (secret.input, secret.secret, secret.ends) == ("digits", True, True)


def test_a_confirm_brings_the_price_that_is_agreed_to() -> None:
    about = {"tariff": OFFERING, "quote": QUOTE}
    told = screen(Show(Screen("For 90?", kind="confirm", about=about), "", False), 1, FLOW, "ru")
    assert told.quote == quote(QUOTE, FLOW, "ru")
    assert told.quote is not None
    assert (told.quote.price, told.quote.starts) == (messages.Money(9000, "RUB"), "2026-12-01")


@pytest.mark.parametrize(
    ("language", "name", "summary"),
    [("ru", "Красный", "Дёшево"), ("en", "Red", "Дёшево"), ("ru-Latn", "Krasny", "Deshevo")],
)
def test_an_offering_is_told_in_the_language_or_the_nearest_there_is(language: str, name: str, summary: str) -> None:
    told = offering(OFFERING, "RUB", FLOW, language)
    assert (told.name, told.summary) == (name, summary)
