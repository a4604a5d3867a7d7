"""In real Chromium a phone dials, is called on, shows how the dialogue stands, and is the same in each tab."""

import re

import pytest
from playwright.sync_api import expect

from tests.ussd_server.simulator.esme import MENU, TARIFFS
from tests.ussd_server.simulator.web.stage import ONE, TWO, Opener, Stage, button, field, pdus, phone, screen
from ussd_server.simulator.phone import Timers

pytestmark = pytest.mark.browser


def test_a_code_is_dialled_answered_and_measured(opened: Opener) -> None:
    page = opened()
    handset = phone(page, ONE)
    field(handset).fill("*111#")
    button(handset, "Вызов").click()
    expect(screen(handset)).to_have_text(MENU)
    expect(handset.locator(".gauge-usage")).to_have_text(f"UCS-2 {len(MENU)}/80")
    expect(handset.locator(".ring-seconds")).to_have_text(re.compile(r"^1[12]\d$"))
    field(handset).fill("1")
    button(handset, "Ответить").click()
    expect(screen(handset)).to_have_text(TARIFFS)
    field(handset).fill("2")
    button(handset, "Ответить").click()
    expect(screen(handset)).to_have_text("До свидания")
    button(handset, "ОК").click()
    expect(screen(handset)).to_have_text("Наберите код")
    expect(screen(phone(page, TWO))).to_have_text("Наберите код")


def test_the_keypad_types_into_the_field(opened: Opener) -> None:
    handset = phone(opened(), ONE)
    for key in "*111#":
        handset.locator(".key").filter(has_text=re.compile(rf"^{re.escape(key)}")).click()
    expect(field(handset)).to_have_value("*111#")


def test_a_pushed_question_is_read_and_answered_whatever_the_phone_showed(opened: Opener, stage: Stage) -> None:
    page = opened()
    handset = phone(page, ONE)
    button(handset, "SMS").click()
    stage.push(ONE, MENU, ends=False)
    expect(screen(handset)).to_be_visible()
    expect(screen(handset)).to_have_text(MENU)
    expect(handset.locator(".gauge-turn")).to_have_text("вопрос от 111, ждёт ответа")
    field(handset).fill("1")
    button(handset, "Ответить").click()
    expect(screen(handset)).to_have_text(TARIFFS)
    expect(handset.locator(".gauge-turn")).to_have_text("вопрос от 111, ждёт ответа")


def test_a_pushed_notification_is_read_and_put_away(opened: Opener, stage: Stage) -> None:
    page = opened(locale="en-GB")
    handset = phone(page, TWO)
    stage.push(TWO, "Ваш тариф изменён.", ends=True)
    expect(screen(handset)).to_have_text("Ваш тариф изменён.")
    expect(handset.locator(".gauge-turn")).to_have_text("notification from 111")
    expect(field(handset)).to_be_hidden()
    button(handset, "OK").click()
    expect(screen(handset)).to_have_text("Dial a code")
    expect(screen(phone(page, ONE))).to_have_text("Dial a code")


@pytest.mark.parametrize(
    ("stage", "menu", "abort", "dialogue"),
    [("comverse", "USSR request", "0x81 abort", True), ("two-letter", "CR menu", "AF abort", False)],
    indirect=["stage"],
)
def test_a_dialogue_in_another_dialect_looks_the_same_on_the_phone(
    opened: Opener, menu: str, abort: str, dialogue: bool
) -> None:
    page = opened()
    handset = phone(page, ONE)
    button(handset, "*111#").click()
    expect(screen(handset)).to_have_text(MENU)
    shown = pdus(page, "submit_sm").first.locator("summary")
    expect(shown).to_contain_text(menu)
    expect(shown).to_contain_text(f"UCS-2 {len(MENU)}/80")
    expect(shown.locator(".badge", has_text=re.compile(r"^диалог \d+$"))).to_have_count(int(dialogue))
    button(handset, "Отмена").click()
    expect(pdus(page, "deliver_sm").first).to_contain_text(abort)


def test_the_network_drops_redelivers_and_delays(opened: Opener) -> None:
    page = opened()
    handset = phone(page, ONE)
    expect(button(handset, "Прервать")).to_be_disabled()
    expect(button(handset, "Повторить")).to_be_disabled()
    button(handset, "*111#").click()
    expect(screen(handset)).to_have_text(MENU)
    expect(field(handset)).to_be_focused()
    button(handset, "Повторить").click()
    expect(pdus(page, "deliver_sm")).to_have_count(2)
    expect(pdus(page, "submit_sm_resp")).to_have_count(2)
    expect(screen(handset)).to_have_text(MENU)
    button(handset, "Прервать").click()
    expect(screen(handset)).to_have_text("Соединение прервано сетью.")
    expect(pdus(page, "deliver_sm").first).to_contain_text("конец")
    page.locator("#delay").select_option("1")
    button(handset, "*100#").click()
    expect(screen(handset)).to_contain_text("Запрос выполняется")
    expect(handset.locator(".gauge-turn")).to_have_text("шлюз ждёт сервис")
    expect(screen(handset)).to_contain_text("149.50")


URGENT_SEEN = """(gauges) => {
    const look = () => gauges.classList.contains("urgent") && document.documentElement.setAttribute("data-urgent", "");
    new MutationObserver(look).observe(gauges, {attributes: true});
}"""
"""Writes down that time was shown to be running out, which it is for a moment only."""


@pytest.mark.parametrize("stage", [Timers(1_500, 60_000)], indirect=True)
def test_the_timer_runs_out_on_the_phone(opened: Opener) -> None:
    page = opened(locale="en-US")
    handset = phone(page, ONE)
    handset.locator(".gauges").evaluate(URGENT_SEEN)
    field(handset).fill("*999#")
    field(handset).press("Enter")
    expect(screen(handset)).to_have_text("The waiting time is over. Try again later.")
    expect(page.locator("html")).to_have_attribute("data-urgent", "")
    expect(handset.locator(".ring-seconds")).to_have_text("–")


def test_without_a_service_the_page_says_so(opened: Opener, stage: Stage) -> None:
    page = opened(locale="en-US")
    expect(page.locator("#network")).to_have_text("Service is bound: ussd")
    stage.leave()
    expect(page.locator("#network")).to_contain_text("No service is bound to 127.0.0.1:")
    button(phone(page, ONE), "*111#").click()
    expect(screen(phone(page, ONE))).to_have_text("Network error: the service cannot be reached.")


def test_tabs_share_the_phones(opened: Opener) -> None:
    here, there = opened(), opened(locale="en-US")
    button(phone(here, ONE), "*111#").click()
    expect(screen(phone(there, ONE))).to_have_text(MENU)
    there.get_by_label("Number, digits only").fill("+7 910 000-00-03")
    there.get_by_role("button", name="Add").click()
    expect(phone(here, "79100000003")).to_be_visible()
    phone(here, "79100000003").get_by_role("button", name="Убрать телефон").click()
    expect(phone(there, "79100000003")).to_have_count(0)
