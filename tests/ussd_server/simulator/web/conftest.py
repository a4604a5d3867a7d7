"""Chromium, a stage, and the page on it, which fails the test when it complains."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, WebSocket, expect

from tests.chromium import PATIENCE_MS, chromium
from tests.ussd_server.simulator.web.stage import ONE, Opener, Stage, phone


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    given = getattr(request, "param", None)
    stage = Stage(dialect=given) if isinstance(given, str) else Stage(given)
    stage.start()
    yield stage
    stage.stop()


@pytest.fixture
def opened(browser: Browser, stage: Stage) -> Iterator[Opener]:
    """Open the page; what it logs or asks of another host fails the test."""
    complaints: list[str] = []
    contexts = []

    def heard(message: ConsoleMessage) -> None:
        complaints.append(f"console: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith(stage.url):
            complaints.append(f"request: {request.url}")

    def connected(line: WebSocket) -> None:
        if not line.url.startswith(stage.url.replace("http", "ws")):
            complaints.append(f"socket: {line.url}")

    def open_page(width: int = 1440, height: int = 900, locale: str = "ru-RU", **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", asked)
        page.on("websocket", connected)
        page.goto(stage.url)
        expect(phone(page, ONE)).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
