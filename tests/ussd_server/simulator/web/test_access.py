"""In real Chromium the page is whole by the keyboard alone, by ear and in both languages, and says what went wrong."""

import re

import pytest
from playwright.sync_api import expect

from tests.ussd_server.simulator.esme import MENU
from tests.ussd_server.simulator.web.stage import ONE, TWO, Opener, button, field, phone, screen

pytestmark = pytest.mark.browser


def test_the_keyboard_alone_is_enough(opened: Opener) -> None:
    page = opened(locale="en-US")
    one, two = phone(page, ONE), phone(page, TWO)
    expect(field(one)).to_be_focused()
    page.keyboard.type("*111#")
    page.keyboard.press("Enter")
    expect(screen(one)).to_have_text(MENU)
    expect(field(one)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(field(two)).to_be_focused()
    page.keyboard.type("*100#")
    page.keyboard.press("ArrowLeft")
    expect(field(two)).to_be_focused()
    page.keyboard.press("Enter")
    expect(screen(two)).to_contain_text("149.50")
    expect(button(two, "OK")).to_be_focused()
    page.keyboard.press("Enter")
    expect(field(two)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(field(one)).to_be_focused()
    page.keyboard.press("Escape")
    expect(screen(one)).to_have_text("Request cancelled.")
    page.keyboard.press("Escape")
    expect(screen(one)).to_have_text("Dial a code")
    for name in ("Clear", "Call", "Dial", "SMS"):
        page.keyboard.press("Tab")
        expect(button(one, name)).to_be_focused()
        assert one.locator(":focus-visible").count() == 1
    page.keyboard.press("Enter")
    expect(one.get_by_label("To", exact=True)).to_be_focused()
    page.keyboard.type("2163")
    page.keyboard.press("Tab")
    page.keyboard.type("111")
    page.keyboard.press("Enter")
    expect(one.locator(".bubble-in")).to_contain_text("Услуга подключена.")


def test_screens_are_announced_and_fields_have_names(opened: Opener) -> None:
    page = opened(locale="en-US")
    handset = phone(page, ONE)
    expect(screen(handset)).to_have_attribute("aria-live", "polite")
    expect(handset.get_by_label("Number or code")).to_be_visible()
    button(handset, "*111#").click()
    expect(handset.get_by_label("Your answer")).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea")].filter((element) =>
            element.checkVisibility() && !element.closest("[aria-hidden]") && element.type !== "hidden"
            && !(element.labels?.length || element.getAttribute("aria-label") || element.textContent.trim())
        ).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_the_language_is_chosen_remembered_and_whole(opened: Opener) -> None:
    page = opened(locale="ru-RU")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    page.get_by_role("button", name="EN").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page).to_have_title("USSD and SMS phones")
    cyrillic = re.compile("[а-яё]", re.IGNORECASE)
    assert not cyrillic.search(page.locator("body").inner_text())
    page.reload()
    expect(button(phone(page, ONE), "Call")).to_be_visible()
    page.get_by_role("button", name="RU").click()
    expect(button(phone(page, ONE), "Вызов")).to_be_visible()
    words = page.evaluate(
        """async () => {
            const words = await import(new URL("web/words.js", location.href));
            return words.languages().map((language) => words.names(language).join());
        }"""
    )
    assert len(words) == 2
    assert words[0] == words[1]


def test_another_problem_is_said_over_the_page_and_goes_away(opened: Opener) -> None:
    page = opened(locale="en-US")
    page.clock.install()
    handset = phone(page, ONE)
    before = handset.bounding_box()
    field(handset).fill("я" * 81)
    field(handset).press("Enter")
    expect(page.locator("#notice")).to_have_text("This text does not fit or cannot be sent.")
    expect(page.locator("#notice")).to_be_in_viewport()
    assert handset.bounding_box() == before
    page.clock.fast_forward(6_000)
    expect(page.locator("#notice")).to_be_hidden()
