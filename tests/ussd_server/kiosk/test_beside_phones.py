"""The demo's page: phones, the kiosk and the wire beside each other, as many of them as a window is wide enough for."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.ussd_server.kiosk.conftest import Opener
from tests.ussd_server.kiosk.contrast import FAINT
from tests.ussd_server.kiosk.house import DemoHouse
from ussd_server.simulator import protocol

pytestmark = pytest.mark.browser

ONE, TWO, THREE = "79100000001", "79100000002", "79100000003"
WIDTHS = (390, 485, 800, 880, 1024, 1080, 1100, 1200, 1240, 1366, 1920)
BELOW = (390, 485, 800, 1100, 1200)
"""Widths at which the wire stands below the phones: there is room for one column, or for the kiosk beside them."""

HIT = """
    const hit = (element, x, y) => {
        const top = document.elementFromPoint(x, y);
        return top !== null && (element.contains(top) || top.contains(element));
    };
"""

COVERED = f"""() => {{ {HIT}
    const controls = [...document.querySelectorAll("button, a, input, select, textarea, summary, iframe")];
    return controls.filter((element) => element.checkVisibility()).filter((element) => {{
        element.scrollIntoView({{block: "nearest"}});
        const {{left, right, top, bottom}} = element.getBoundingClientRect();
        const height = (top + Math.min(bottom, innerHeight)) / 2;
        return [left + 6, (left + right) / 2, right - 6].some((x) => !hit(element, x, height));
    }}).map((element) => element.outerHTML.slice(0, 120));
}}"""
"""Visible controls that lie under something else, each scrolled to as a keyboard's focus would."""

WIRE_SHOWS = f"""() => {{ {HIT}
    const wire = document.getElementById("wire");
    const {{left, right, top, bottom}} = wire.getBoundingClientRect();
    const across = [0.02, 0.25, 0.5, 0.75, 0.98].map((share) => left + share * (right - left));
    const down = [0.02, 0.25, 0.5, 0.75, 0.98].map((share) => top + share * (Math.min(bottom, innerHeight) - top));
    return top >= 0 && top < innerHeight / 2 && across.every((x) => down.every((y) => hit(wire, x, y)));
}}"""
"""Whether the wire view begins in the upper half of the window, and nothing lies over it."""

COUNTED = """() => {
    const [bar, view] = ["#to-wire [data-wire-count]", "#wire-count"].map((one) => document.querySelector(one));
    return bar.textContent !== "" && bar.textContent === view.textContent;
}"""
"""Whether the bar and the wire view say the same number: both are read at once, since messages still come."""

SIDE_BY_SIDE = """() => {
    const box = (id) => document.getElementById(id).getBoundingClientRect();
    const [phones, kiosk, wire] = ["phones", "kiosk", "wire"].map(box);
    const apart = phones.right <= kiosk.left && kiosk.right <= wire.left;
    const seen = Math.min(wire.bottom, innerHeight) - wire.top;
    const high = [phones, kiosk, wire].every(({top}) => top >= 0 && top < 80);
    return apart && high && seen >= Math.min(590, 0.65 * innerHeight);
}"""
"""Whether phones, kiosk and wire begin at the top, none over another, the wire high in the window.

An empty wire is 600 px high at least, a long one as high as the window."""


def at_width(house: DemoHouse, opened: Opener, width: int) -> Page:
    page = opened(house.url, width=width, height=900)
    phone = page.locator(f'article[data-phone="{ONE}"]')
    phone.get_by_role("button", name="*111#", exact=True).click()
    expect(phone.locator('[data-act="drop"]')).to_be_enabled()
    return page


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_covered_by_something_else(house: DemoHouse, opened: Opener, width: int) -> None:
    page = at_width(house, opened, width)
    expect(page.frame_locator("iframe").locator(".choice.primary")).to_be_attached()
    for pane in page.locator("#panes button").all():
        if pane.is_visible():
            pane.click()
        assert page.evaluate(COVERED) == []
    if width in BELOW:
        page.locator("#to-wire").click()
        expect(page.locator("#wire > summary")).to_be_focused()
    else:
        expect(page.locator("#to-wire")).to_be_hidden()
        page.evaluate("scrollTo(0, 0)")
    assert page.evaluate(WIRE_SHOWS)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert page.evaluate(COVERED) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [width for width in WIDTHS if width >= 880])
def test_the_wire_begins_above_the_fold_and_is_counted_in_the_bar(house: DemoHouse, opened: Opener, width: int) -> None:
    page = at_width(house, opened, width)
    expect(page.locator("#wire > summary")).to_be_in_viewport(ratio=1)
    expect(page.locator("#wire-list")).to_be_visible()
    page.wait_for_function(COUNTED)


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(("width", "height"), [(880, 768), (1024, 768), (1080, 1000)])
def test_where_two_have_room_the_wire_stands_beside_the_phones_or_the_kiosk(
    house: DemoHouse, opened: Opener, width: int, height: int, language: str
) -> None:
    page = opened(house.url, width=width, height=height)
    page.locator(f'[data-language="{language}"]').click()
    expect(page.locator("#to-wire")).to_be_hidden()
    for pane in ("phones", "kiosk"):
        page.locator(f'#panes [data-pane="{pane}"]').click()
        boxes = [page.locator(part).bounding_box() for part in ("#panes", f"#{pane}", "#wire")]
        tabs, shown, wire = (box for box in boxes if box is not None)
        assert tabs["x"] + tabs["width"] <= wire["x"]
        assert shown["x"] + shown["width"] <= wire["x"]
        assert wire["y"] == tabs["y"]
        assert wire["y"] + wire["height"] <= height
        assert wire["height"] >= 590
    page.locator('#panes [data-pane="phones"]').click()
    for number in (ONE, TWO):
        expect(page.locator(f'article[data-phone="{number}"] .lcd')).to_be_in_viewport(ratio=1)


@pytest.fixture
def third(house: DemoHouse) -> Iterator[str]:
    """A number for one more phone, which is gone after the test."""
    yield THREE
    house.run(house._did(protocol.Remove(THREE)))


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1366, 700), (1440, 900), (1600, 900), (1920, 1080)])
def test_one_more_phone_moves_neither_the_kiosk_nor_the_wire_out_of_view(
    house: DemoHouse, opened: Opener, third: str, width: int, height: int, language: str
) -> None:
    page = opened(house.url, width=width, height=height)
    page.locator(f'[data-language="{language}"]').click()
    first, second, added = (page.locator(f'article[data-phone="{number}"]') for number in (ONE, TWO, third))
    for phone in (first, second):
        expect(phone.locator('[data-act="redeliver"]')).to_be_in_viewport(ratio=1)
    page.wait_for_function(SIDE_BY_SIDE)
    page.locator("#add-number").fill(third)
    page.locator("#add-number").press("Enter")
    expect(added.locator('[data-act="redeliver"]')).to_be_in_viewport(ratio=1)
    page.wait_for_function(SIDE_BY_SIDE)
    second.locator("input[id$=field]").focus()
    page.keyboard.press("ArrowLeft")
    expect(first.locator("input[id$=field]")).to_be_focused()
    expect(first.locator("h2")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_to_be_read(house: DemoHouse, opened: Opener, scheme: str) -> None:
    page = opened(house.url, width=1366, height=900, color_scheme=scheme, reduced_motion="reduce")
    one, two = (page.locator(f'article[data-phone="{number}"]') for number in (ONE, TWO))
    for _ in range(2):  # the first dialogue is given up for the second
        one.get_by_role("button", name="*111#", exact=True).click()
        expect(one.locator(".lcd-text")).to_contain_text("1.")
        expect(one.locator('[data-act="drop"]')).to_be_enabled()
    expect(page.locator("#wire .badge-end").first).to_be_visible()
    one.get_by_role("button", name=re.compile("→ 6262")).click()
    expect(one.locator(".bubble-in").first).to_be_visible()
    expect(two.locator('[data-act="drop"]')).to_be_disabled()
    page.frame_locator("iframe").locator(".choice").nth(1).click()
    expect(page.frame_locator("iframe").locator(".go")).to_be_disabled()
    assert [frame.evaluate(FAINT) for frame in page.frames] == [[], []]


@pytest.mark.parametrize("width", [390, 485, 880, 1100])
def test_the_kiosk_keeps_its_title_and_clock_in_a_narrow_frame(house: DemoHouse, opened: Opener, width: int) -> None:
    page = opened(house.url, width=width, height=900)
    if width <= 1080:
        page.locator("#panes button").last.click()
    kiosk = page.frame_locator("iframe")
    expect(kiosk.get_by_text("Электронный помощник")).to_be_visible()
    expect(kiosk.locator("#clock")).to_have_text(re.compile(r"\d\d:\d\d"))
    expect(kiosk.locator("#clock")).to_be_visible()
    kiosk.locator(".choice.primary").click()
    expect(kiosk.locator("#finish")).to_be_visible()
    assert page.frames[1].evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_until_the_simulator_answers_the_page_says_that_it_connects(house: DemoHouse, opened: Opener) -> None:
    page = opened(house.url, width=1366, height=900)
    page.route_web_socket(re.compile("/socket$"), lambda line: None)  # opened, and nothing is ever said
    page.reload()
    expect(page.locator("#network")).to_have_text("Подключаюсь…")
    expect(page.locator("#phones-come")).to_be_visible()
    expect(page.locator("#delay")).to_be_disabled()
    expect(page.locator("#delay")).to_have_value("0")
    expect(page.frame_locator("iframe").get_by_role("status").filter(has_text="Подключаемся")).to_be_visible()
