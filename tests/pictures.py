"""`python -m tests.pictures`: take the pictures of docs/images anew, in Chromium, of the product as it is.

Look at them before they are committed. The subscribers are those of the shipped catalogue.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.chromium import chromium
from tests.ports import free_port
from tests.ussd_server.kiosk.house import DemoHouse
from ussd_server.simulator import protocol

IMAGES = Path(__file__).parents[1] / "docs" / "images"
ONE, TWO = "79100000001", "79100000002"
COMMAND = str(Path(sys.executable).with_name("ussd-server"))


def opened(browser: Browser, url: str, width: int, height: int, language: str = "ru") -> Page:
    """Return a page, its window so large."""
    size = {"width": width, "height": height}
    context = browser.new_context(viewport=size, locale=language, timezone_id="Asia/Kamchatka")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    return page


def take(page: Page, name: str, **part: object) -> None:
    """Take a picture once everything stands still."""
    page.wait_for_timeout(600)
    page.screenshot(path=IMAGES / f"{name}.png", **part)  # type: ignore[arg-type]
    print(IMAGES / f"{name}.png")


def press(page: Page, number: str, name: str | re.Pattern[str]) -> None:
    page.locator(f'article[data-phone="{number}"]').get_by_role("button", name=name, exact=True).click()


def shows(page: Page, number: str, text: str) -> None:
    expect(page.locator(f'article[data-phone="{number}"] .lcd-text')).to_contain_text(text)


def touch(kiosk: Page | FrameLocator, digits: str, then: str) -> None:
    for digit in digits:
        kiosk.locator(f'.pad [data-key="{digit}"]').click()
    kiosk.locator("main").get_by_role("button", name=then, exact=True).click()


def to_the_price(kiosk: Page | FrameLocator) -> None:
    kiosk.get_by_role("button", name="Тарифы").click()
    kiosk.get_by_role("button", name="RED Energy").click()
    kiosk.get_by_role("button", name="Сменить").click()
    expect(kiosk.get_by_role("heading", name="RED Energy")).to_be_visible()


def enter(kiosk: Page | FrameLocator, number: str, code: str) -> None:
    """Begin with the number, and enter a code."""
    kiosk.locator(".choice.primary").click()
    touch(kiosk, number[1:], "Дальше")
    touch(kiosk, code, "Войти")


def demo(browser: Browser, house: DemoHouse) -> None:
    """Phones, kiosk and wire side by side: a password came by SMS, and a price is asked to be agreed to."""
    page = opened(browser, house.url, 1280, 800)
    kiosk = page.frame_locator("iframe")
    press(page, ONE, "*111*2163#")
    shows(page, ONE, "Помощник подключён")
    kiosk.get_by_role("button", name="Заказать пароль").click()
    touch(kiosk, ONE[1:], "Заказать")
    press(page, ONE, re.compile(r"^SMS · "))
    code = house.code(ONE)
    kiosk.get_by_role("button", name="Ввести пароль").click()
    touch(kiosk, code, "Войти")
    to_the_price(kiosk)
    take(page, "demo")
    kiosk.locator("#finish").click()
    page.context.close()
    assert house.no_visit(ONE)


def kiosk(browser: Browser, house: DemoHouse) -> None:
    """The kiosk's start, a price, and access that is closed."""
    page = opened(browser, house.kiosk_url, 1024, 820)
    expect(page.get_by_role("button", name="Заказать пароль")).to_be_visible()
    take(page, "kiosk-start")
    enter(page, ONE, house.code(ONE))
    to_the_price(page)
    take(page, "kiosk-confirm")
    page.locator("#finish").click()
    expect(page.get_by_role("heading", name="Спасибо, всё закрыто")).to_be_visible()
    number, code = house.subscriber()
    wrong = str((int(code) + 1) % 10**8).zfill(8)
    page.goto(house.kiosk_url)
    enter(page, number, wrong)
    for left in ("Остались 2 попытки", "Осталась 1 попытка"):
        expect(page.get_by_role("alert").filter(has_text=left)).to_be_visible()
        touch(page, wrong, "Войти")
    expect(page.get_by_role("heading", name="Доступ закрыт")).to_be_visible()
    take(page, "kiosk-locked")
    page.context.close()
    house.run(house._did(protocol.Remove(number)))


def push(browser: Browser, house: DemoHouse, data: Path) -> None:
    """One phone is asked, another one is told."""
    page = opened(browser, house.url, 1366, 745)
    told = "Ваш заказ готов: салон на Тверской, до 21:00."
    for words in (
        ["subscriber", "offers", ONE, "yes", "--reason", "for a picture"],
        ["push", "notify", TWO, "--text", told, "--category", "service"],
        ["push", "ask", ONE, "--screen", "tariffs"],
    ):
        subprocess.run([COMMAND, *words, "--data", str(data)], check=True, stdout=subprocess.DEVNULL)
    shows(page, TWO, "Ваш заказ готов")
    shows(page, ONE, "Тарифы")
    first, last = (page.locator(f'article[data-phone="{number}"]').bounding_box() for number in (ONE, TWO))
    assert first is not None
    assert last is not None
    width = last["x"] + last["width"] - first["x"] + 16
    clip = {"x": first["x"] - 8, "y": first["y"] - 4, "width": width, "height": 590}
    take(page, "push", clip=clip)
    page.context.close()


def phones(browser: Browser, url: str) -> None:
    """The simulator alone, with a service elsewhere: two phones, and what goes over the wire."""
    page = opened(browser, url, 1360, 880, "en")
    expect(page.locator("#network")).to_contain_text("bound")
    press(page, ONE, "*111*2163#")
    shows(page, ONE, "Помощник подключён")
    press(page, TWO, "SMS 111 → 2163")
    sms = page.locator(f'article[data-phone="{TWO}"] .bubble-in')
    expect(sms.last).to_contain_text("Помощник подключён")
    press(page, TWO, "empty SMS → 6262")
    expect(sms.last).to_contain_text("Ваш пароль")
    press(page, ONE, "OK")
    press(page, ONE, "*111#")
    shows(page, ONE, "1.")
    page.locator(f'article[data-phone="{ONE}"] input[id$=field]').fill("2")
    press(page, ONE, "Send")
    shows(page, ONE, "Тарифы")
    take(page, "phones")
    page.context.close()


@contextmanager
def simulator_and_service(place: Path) -> Iterator[str]:
    """Run the simulator and a server bound to it, each a process; give the page's address."""
    page, smpp, http = (f"127.0.0.1:{free_port()}" for _ in range(3))
    commands = (
        ("smsc", "--http", page, "--smpp", smpp),
        ("run", "--smsc", f"smpp://ussd:demo@{smpp}", "--http", http, "--data", str(place)),
    )
    with ExitStack() as running:
        for words in commands:
            process = running.enter_context(
                subprocess.Popen([COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            )
            running.callback(process.terminate)
            assert process.stdout
            process.stdout.readline()  # it has started
        yield f"http://{page}/"


def main() -> None:
    os.environ["USSD_SERVER_QUIET_HOURS"] = ""  # pictures are taken at night, too
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        data = Path(place) / "demo"
        house = DemoHouse(data)
        house.start()
        try:
            demo(browser, house)
            kiosk(browser, house)
            push(browser, house, data)
        finally:
            house.stop()
        with simulator_and_service(Path(place) / "run") as url:
            phones(browser, url)


if __name__ == "__main__":
    main()
