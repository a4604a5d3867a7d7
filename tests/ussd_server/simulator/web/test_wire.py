"""In real Chromium the wire shows everything but the code, and can be filtered, paused, cleared and read to its end."""

import re

import pytest
from playwright.sync_api import expect

from tests.ussd_server.simulator.esme import CODE, MENU
from tests.ussd_server.simulator.web.stage import ONE, TWO, Opener, button, pdus, phone, screen

pytestmark = pytest.mark.browser


def test_the_wire_shows_everything_but_the_code(opened: Opener) -> None:
    page = opened()
    handset = phone(page, ONE)
    button(handset, "пустое SMS → 6262").click()
    expect(handset.locator(".bubble-in")).to_contain_text(CODE)
    code = pdus(page, "submit_sm").first
    expect(code).to_contain_text("********")
    code.locator("summary").click()
    expect(code).to_contain_text("data_coding")
    expect(code.locator(".octet").first).to_have_text("00")
    assert CODE not in page.locator("#wire").inner_text()
    button(handset, "*111#").click()
    expect(screen(handset)).to_have_text(MENU)
    menu = pdus(page, "submit_sm").first
    expect(menu).to_contain_text("USSR request")
    expect(menu).to_contain_text(re.compile(r"диалог \d+, шаг 0"))
    expect(menu).to_contain_text(f"UCS-2 {len(MENU)}/80")
    menu.locator("summary").click()
    expect(menu).to_contain_text("its_session_info 0x1383")
    menu.locator("tr", has_text="short_message").hover()
    expect(menu.locator(".octet-lit")).to_have_count(2 * len(MENU) + 1)


def test_the_wire_is_filtered_paused_and_cleared(opened: Opener) -> None:
    page = opened()
    button(phone(page, ONE), "*100#").click()
    button(phone(page, TWO), "*111#").click()
    expect(screen(phone(page, TWO))).to_have_text(MENU)
    expect(pdus(page, "deliver_sm")).to_have_count(2)
    page.locator("#wire-filter").select_option(TWO)
    expect(pdus(page, "deliver_sm")).to_have_count(1)
    expect(pdus(page, "submit_sm_resp")).to_have_count(1)
    expect(pdus(page, "bind_transceiver")).to_have_count(0)
    page.locator("#wire-pause").click()
    button(phone(page, TWO), "Отмена").click()
    expect(page.locator("#wire-count")).to_have_text("ещё 2")
    expect(pdus(page, "deliver_sm")).to_have_count(1)
    page.locator("#wire-pause").click()
    expect(pdus(page, "deliver_sm")).to_have_count(2)
    page.locator("#wire-clear").click()
    expect(page.locator("#wire-empty")).to_be_visible()


@pytest.mark.parametrize("locale", ["ru-RU", "en-US"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 800), (1440, 900)])
def test_the_last_line_of_a_long_wire_can_be_read(opened: Opener, width: int, height: int, locale: str) -> None:
    page = opened(width=width, height=height, locale=locale)
    for _ in range(6):
        button(phone(page, ONE), "*111#").click()
        expect(screen(phone(page, ONE))).to_have_text(MENU)
    if width == 360:
        page.locator("#wire > summary").click()
    page.get_by_label("enquire_link", exact=True).check()
    last = pdus(page, "bind_transceiver")
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport(ratio=0.95)
    box, wire = last.bounding_box(), page.locator("#wire").bounding_box()
    assert box is not None
    assert wire is not None
    assert box["y"] + box["height"] <= wire["y"] + wire["height"] + 1
