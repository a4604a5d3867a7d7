"""A stage for the phone page: a simulator, its page and a service; and where on the page things are."""

import asyncio
import threading
from collections.abc import Callable

from aiohttp import web
from playwright.sync_api import Locator, Page

from smpp import alphabets, ussd
from tests.ussd_server.simulator.esme import Esme
from ussd_server.dialects.files import load
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator.page import make_app
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.smsc import Smsc

ONE, TWO = "79100000001", "79100000002"


class Stage:
    """A simulator with its page and a service, in a loop and a thread of their own."""

    def __init__(self, timers: Timers | None = None, dialect: str = "standard") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._timers = timers
        self._dialect = load(dialect)
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        self.run(self._start)

    def stop(self) -> None:
        self.run(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, act: Callable[[], object]) -> None:
        asyncio.run_coroutine_threadsafe(act(), self._loop).result(20)  # type: ignore[arg-type]

    def leave(self) -> None:
        """Let the service go away."""
        self.run(self._esme.stop)

    def text(self, source: str, msisdn: str, text: str) -> None:
        """Let the service send an SMS."""
        self._loop.call_soon_threadsafe(self._esme.text, source, msisdn, text)

    def push(self, msisdn: str, text: str, *, ends: bool) -> None:
        """Let the service call on a phone."""
        message = ussd.push("111", msisdn, alphabets.choose(text), ends=ends)
        self._loop.call_soon_threadsafe(self._esme.submit, message)

    async def _start(self) -> None:
        self.smsc = Smsc("127.0.0.1", 0, {"ussd": Secret("demo")}, [ONE, TWO], self._timers, dialect=self._dialect)
        await self.smsc.start()
        self._esme = await Esme(dialect=self._dialect).start(self.smsc.port)
        self._runner = web.AppRunner(make_app(self.smsc), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._esme.stop()
        await self.smsc.stop()


Opener = Callable[..., Page]


def phone(page: Page, number: str) -> Locator:
    return page.locator(f'article[data-phone="{number}"]')


def screen(handset: Locator) -> Locator:
    return handset.locator(".lcd-text")


def field(handset: Locator) -> Locator:
    return handset.locator("input[id$=field]")


def button(handset: Locator, name: str) -> Locator:
    return handset.get_by_role("button", name=name, exact=True)


def said_of(field: Locator) -> Locator:
    """What is said beside the field, found as a screen reader finds it."""
    described = field.get_attribute("aria-describedby")
    return field.page.locator(f"#{described}")


def pdus(page: Page, command: str) -> Locator:
    return page.locator(f'#wire-list > li[data-command="{command}"]')
