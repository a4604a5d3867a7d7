"""Chromium, the product in one process, and pages on it that fail the test when they complain."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.chromium import PATIENCE_MS, chromium
from tests.ussd_server.kiosk.house import ApartHouse, DemoHouse

Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoHouse]:
    """What `demo` starts, shared; each test has subscribers and a browser context of its own."""
    house = DemoHouse(tmp_path_factory.mktemp("demo"))
    house.start()
    yield house
    house.stop()


@pytest.fixture
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ApartHouse]:
    """A kiosk's own process; options of the settings by indirect parameters."""
    house = ApartHouse(tmp_path, **getattr(request, "param", {}))
    house.start()
    yield house
    house.stop()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opener]:
    """Open a page; what it logs, or asks of another place, fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(url: str, width: int = 1280, height: int = 1024, **options: object) -> Page:
        place = "/".join(url.split("/")[:3])
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale="ru-RU", timezone_id="Europe/Moscow", **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: None if request.url.startswith(place) else complaints.append(f"request: {request.url}"),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
