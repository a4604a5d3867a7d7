"""In real Chromium faults begin from the page and end by it."""

import re

import pytest
from playwright.sync_api import expect

from tests.ussd_server.simulator.web.stage import ONE, Opener, Stage, button, pdus, phone
from ussd_server.simulator.faults import KINDS

pytestmark = pytest.mark.browser


def test_faults_begin_from_the_page_and_end_by_it(opened: Opener, stage: Stage) -> None:
    page = opened(locale="en-US")
    expect(page.locator("#network")).to_have_text("Service is bound: ussd")
    page.get_by_text("Faults", exact=True).click()
    panel = page.locator("#faults")
    kind = panel.get_by_label("Faults", exact=True)
    names = kind.locator("option").all_inner_texts()
    assert len(names) == len(set(names)) == len(KINDS)
    for name in names:
        kind.select_option(label=name)
        expect(panel.locator("[data-hint]")).not_to_have_text("")

    kind.select_option(label="Refusals")
    panel.get_by_label("Status").fill("0x65")
    panel.get_by_label("Messages").fill("1")
    panel.get_by_label("What").select_option(label="SMS")
    panel.get_by_role("button", name="Begin").click()
    expect(panel.get_by_role("listitem")).to_have_text("Refusals1 messages")
    button(phone(page, ONE), "SMS").click()  # before there is one: then the button counts them
    stage.text("111", ONE, "refused")
    stage.text("111", ONE, "taken")
    expect(phone(page, ONE).locator(".bubble-in")).to_have_count(1)
    expect(phone(page, ONE).locator(".bubble-in")).to_contain_text("taken")
    expect(pdus(page, "submit_sm_resp").last).to_contain_text("ESME_RX_P_APPN")

    kind.select_option(label="Network is silent")
    panel.get_by_label("How long, s").fill("3600")
    panel.get_by_role("button", name="Begin").click()
    expect(panel.get_by_role("listitem").last).to_contain_text(re.compile(r"Network is silent3[56]\d\d s"))
    panel.get_by_role("button", name="End all").click()
    expect(panel.get_by_role("listitem")).to_have_count(0)
    expect(panel.get_by_role("button", name="End all")).to_be_disabled()

    kind.select_option(label="Connection cut")
    panel.get_by_role("button", name="Begin").click()
    expect(page.locator("#network")).to_contain_text("No service is bound")
    panel.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing for the fault to happen to")
    page.keyboard.press("Escape")
    expect(panel.get_by_role("button", name="Begin")).to_be_hidden()
