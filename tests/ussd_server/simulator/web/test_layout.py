"""In real Chromium the page fits the window, wide and narrow, without sideways scrolling."""

from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.ussd_server.simulator.esme import MENU
from tests.ussd_server.simulator.web.stage import ONE, TWO, Opener, button, pdus, phone, screen

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_small_screen_shows_it_all_without_sideways_scrolling(opened: Opener, scheme: str) -> None:
    page = opened(width=360, height=740, has_touch=True, is_mobile=True, color_scheme=scheme)
    one, two = phone(page, ONE), phone(page, TWO)
    button(one, "*111#").tap()
    expect(screen(one)).to_have_text(MENU)
    first, second = one.bounding_box(), two.bounding_box()
    assert first is not None
    assert second is not None
    assert second["y"] >= first["y"] + first["height"]
    expect(page.locator("#wire-list")).to_be_hidden()
    page.locator("#wire > summary").tap()
    expect(pdus(page, "submit_sm")).to_be_visible()
    pdus(page, "submit_sm").locator("summary").tap()
    expect(pdus(page, "submit_sm").locator(".octets")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("locale", ["ru-RU", "en-US"])
def test_a_small_screen_names_the_delay_and_leads_to_the_wire(opened: Opener, locale: str) -> None:
    page = opened(width=360, height=740, locale=locale, has_touch=True, is_mobile=True)
    delay, way = {"ru-RU": ("Задержка сети", "Обмен ↓"), "en-US": ("Network delay", "Wire ↓")}[locale]
    expect(page.get_by_text(delay, exact=True)).to_be_in_viewport()
    expect(page.locator("#wire > summary")).not_to_be_in_viewport()
    page.get_by_role("link", name=way).tap()
    expect(page.locator("#wire > summary")).to_be_focused()
    expect(page.locator("#wire > summary")).to_be_in_viewport()
    expect(page.locator("#wire-list")).to_be_in_viewport()
    page.locator(".bar").scroll_into_view_if_needed()
    page.locator("#wire > summary").tap()
    expect(page.locator("#wire-list")).to_be_hidden()
    page.get_by_role("link", name=way).press("Enter")
    expect(page.locator("#wire-list")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1440, 900), (1366, 700)])
@pytest.mark.parametrize("locale", ["ru-RU", "en-US"])
def test_two_phones_the_next_and_the_wire_stand_side_by_side(
    opened: Opener, width: int, height: int, locale: str
) -> None:
    page = opened(width=width, height=height, locale=locale)
    for number in (ONE, TWO):
        for act in ("drop", "redeliver"):
            expect(phone(page, number).locator(f'[data-act="{act}"]')).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("link")).to_have_count(0)
    row = [phone(page, ONE), phone(page, TWO), page.locator(".add-phone"), page.locator("#wire")]
    boxes = [part.bounding_box() for part in row]
    for left, right in pairwise(boxes):
        assert left is not None
        assert right is not None
        assert left["x"] + left["width"] <= right["x"] <= left["x"] + left["width"] + 60
        assert right["y"] < height / 2


@pytest.mark.parametrize("width", [880, 1024, 1200])
def test_in_a_narrower_window_the_next_phone_is_below_and_the_wire_still_beside(opened: Opener, width: int) -> None:
    page = opened(width=width, height=800)
    expect(page.get_by_role("link")).to_have_count(0)
    boxes = [part.bounding_box() for part in (phone(page, ONE), phone(page, TWO), page.locator("#wire"))]
    for left, right in pairwise(boxes):
        assert left is not None
        assert right is not None
        assert left["x"] + left["width"] <= right["x"] <= left["x"] + left["width"] + 240
        assert right["y"] == pytest.approx(left["y"], abs=20)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
