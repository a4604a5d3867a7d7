"""In real Chromium SMS are written and read, with what is wrong with a number said beside it."""

import re

import pytest
from playwright.sync_api import expect

from tests.ussd_server.simulator.esme import CODE, LONG_TEXT
from tests.ussd_server.simulator.web.stage import ONE, Opener, Stage, button, phone, said_of

pytestmark = pytest.mark.browser


def test_an_empty_sms_is_sent_and_its_answer_read(opened: Opener) -> None:
    handset = phone(opened(), ONE)
    button(handset, "SMS").click()
    handset.get_by_label("Кому").fill("6262")
    button(handset, "Отправить").click()
    expect(handset.locator(".bubble-out")).to_contain_text("(пустое SMS)")
    expect(handset.locator(".bubble-out")).to_contain_text("доставлено")
    expect(handset.locator(".bubble-in")).to_contain_text(CODE)


def test_messages_that_come_are_counted_until_they_are_read(opened: Opener, stage: Stage) -> None:
    handset = phone(opened(), ONE)
    stage.text("111", ONE, "first")
    stage.text("111", ONE, LONG_TEXT)
    expect(handset.locator(".lcd-envelope")).to_have_text("✉ 2")
    button(handset, "SMS · 2").click()
    expect(handset.locator(".bubble-in").first).to_contain_text("GSM-7 5/160")
    expect(handset.locator(".bubble-in").last).to_contain_text(LONG_TEXT)
    expect(handset.locator(".bubble-in").last).to_contain_text("частей: 3")
    expect(handset.locator(".lcd-envelope")).to_have_text("")
    expect(button(handset, "SMS")).to_be_visible()


def test_enter_in_the_number_of_an_sms_goes_to_its_text(opened: Opener) -> None:
    page = opened(locale="en-US")
    handset = phone(page, ONE)
    to, text = handset.get_by_label("To", exact=True), handset.get_by_label("Text")
    button(handset, "SMS").click()
    expect(to).to_be_focused()
    page.keyboard.press("Enter")
    expect(to).to_be_focused()
    expect(said_of(to)).to_have_text("Enter the recipient's number.")
    page.keyboard.type("62")
    expect(said_of(to)).to_be_hidden()
    page.keyboard.type("62")
    page.keyboard.down("Enter")
    expect(text).to_be_focused()
    page.keyboard.down("Enter")  # held down, and so repeated
    page.keyboard.up("Enter")
    page.keyboard.type("111")
    page.keyboard.press("Enter")
    expect(handset.locator(".bubble-out .bubble-text")).to_have_text("111")
    expect(text).to_be_focused()
    expect(text).to_have_value("")
    page.keyboard.press("Enter")
    expect(handset.locator(".bubble-out .bubble-text")).to_have_text(["111", "(empty SMS)"])
    text.fill("once more")
    button(handset, "Send").click()
    expect(handset.locator(".bubble-out .bubble-text")).to_have_text(["111", "(empty SMS)", "once more"])
    expect(text).to_be_focused()
    expect(text).to_have_value("")


def test_the_number_of_an_sms_takes_what_can_be_dialled(opened: Opener) -> None:
    page = opened()
    handset = phone(page, ONE)
    to = handset.get_by_label("Кому", exact=True)
    button(handset, "SMS").click()
    page.keyboard.type("21a")
    expect(to).to_have_value("21")
    expect(said_of(to)).to_have_text("Только цифры, * и #.")
    expect(to).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("б")
    page.keyboard.type("6")
    expect(to).to_have_value("261")
    expect(said_of(to)).to_be_hidden()
    to.fill("+7 (910) 000-00-02*#")
    expect(to).to_have_value("79100000002*#")
    expect(said_of(to)).to_be_hidden()
    to.fill("")
    for key in "62":
        handset.locator(".key").filter(has_text=re.compile(rf"^{key}")).click()
    expect(to).to_have_value("62")
    handset.get_by_label("Текст").click()
    handset.locator(".key").filter(has_text=re.compile("^7")).click()
    expect(handset.get_by_label("Текст")).to_have_value("7")
