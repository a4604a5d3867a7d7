"""The phone page in real Chromium: by mouse and keyboard, wide and narrow, in both languages, from this host alone."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from aiohttp import web
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, WebSocket, expect

from smpp import alphabets, ussd
from tests.chromium import PATIENCE_MS, chromium
from tests.ussd_server.simulator.esme import CODE, LONG_TEXT, MENU, TARIFFS, Esme
from ussd_server.dialects.files import load
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator import smsc
from ussd_server.simulator.faults import KINDS
from ussd_server.simulator.page import make_app
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.smsc import Smsc

pytestmark = pytest.mark.browser

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


@pytest.fixture(scope="module")
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


Opener = Callable[..., Page]


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
        page.on(
            "websocket",
            lambda line: (
                complaints.append(line.url) if not line.url.startswith(stage.url.replace("http", "ws")) else None
            ),
        )
        page.goto(stage.url)
        expect(phone(page, ONE)).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


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


def test_the_keyboard_alone_is_enough(opened: Opener) -> None:
    page = opened(locale="en-US")
    one, two = phone(page, ONE), phone(page, TWO)
    expect(field(one)).to_be_focused()
    page.keyboard.type("*111#")
    page.keyboard.press("Enter")
    expect(screen(one)).to_have_text(MENU)
    expect(field(one)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(field(two)).to_be_focused()
    page.keyboard.type("*100#")
    page.keyboard.press("ArrowLeft")
    expect(field(two)).to_be_focused()
    page.keyboard.press("Enter")
    expect(screen(two)).to_contain_text("149.50")
    expect(button(two, "OK")).to_be_focused()
    page.keyboard.press("Enter")
    expect(field(two)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(field(one)).to_be_focused()
    page.keyboard.press("Escape")
    expect(screen(one)).to_have_text("Request cancelled.")
    page.keyboard.press("Escape")
    expect(screen(one)).to_have_text("Dial a code")
    for name in ("Clear", "Call", "Dial", "SMS"):
        page.keyboard.press("Tab")
        expect(button(one, name)).to_be_focused()
        assert one.locator(":focus-visible").count() == 1
    page.keyboard.press("Enter")
    expect(one.get_by_label("To", exact=True)).to_be_focused()
    page.keyboard.type("2163")
    page.keyboard.press("Tab")
    page.keyboard.type("111")
    page.keyboard.press("Enter")
    expect(one.locator(".bubble-in")).to_contain_text("Услуга подключена.")


def test_screens_are_announced_and_fields_have_names(opened: Opener) -> None:
    page = opened(locale="en-US")
    handset = phone(page, ONE)
    expect(screen(handset)).to_have_attribute("aria-live", "polite")
    expect(handset.get_by_label("Number or code")).to_be_visible()
    button(handset, "*111#").click()
    expect(handset.get_by_label("Your answer")).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea")].filter((element) =>
            element.checkVisibility() && !element.closest("[aria-hidden]") && element.type !== "hidden"
            && !(element.labels?.length || element.getAttribute("aria-label") || element.textContent.trim())
        ).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_the_language_is_chosen_remembered_and_whole(opened: Opener) -> None:
    page = opened(locale="ru-RU")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    page.get_by_role("button", name="EN").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page).to_have_title("USSD and SMS phones")
    cyrillic = re.compile("[а-яё]", re.IGNORECASE)
    assert not cyrillic.search(page.locator("body").inner_text())
    page.reload()
    expect(button(phone(page, ONE), "Call")).to_be_visible()
    page.get_by_role("button", name="RU").click()
    expect(button(phone(page, ONE), "Вызов")).to_be_visible()
    words = page.evaluate(
        """async () => {
            const words = await import(new URL("web/words.js", location.href));
            return words.languages().map((language) => words.names(language).join());
        }"""
    )
    assert len(words) == 2
    assert words[0] == words[1]


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


def test_tabs_share_the_phones(opened: Opener) -> None:
    here, there = opened(), opened(locale="en-US")
    button(phone(here, ONE), "*111#").click()
    expect(screen(phone(there, ONE))).to_have_text(MENU)
    there.get_by_label("Number, digits only").fill("+7 910 000-00-03")
    there.get_by_role("button", name="Add").click()
    expect(phone(here, "79100000003")).to_be_visible()
    phone(here, "79100000003").get_by_role("button", name="Убрать телефон").click()
    expect(phone(there, "79100000003")).to_have_count(0)


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


def test_what_is_wrong_with_a_new_phone_is_said_beside_its_number(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smsc, "MOST_PHONES", 3)
    here, there = opened(locale="en-US"), opened(locale="en-US")
    number, add = here.get_by_label("Number, digits only"), here.get_by_role("button", name="Add")

    def refused(typed: str, why: str) -> None:
        number.fill(typed)
        add.click()
        expect(said_of(number)).to_have_text(why)
        below, field_box = said_of(number).bounding_box(), number.bounding_box()
        assert below is not None
        assert field_box is not None
        assert 0 <= below["y"] - (field_box["y"] + field_box["height"]) < 20
        expect(here.locator("#notice")).to_be_hidden()

    refused("12", "A phone number has 5 to 15 digits.")
    refused(ONE, "This phone is here already.")
    number.fill("79100000003")
    expect(said_of(number)).to_be_hidden()
    add.click()
    expect(phone(here, "79100000003")).to_be_visible()
    expect(number).to_have_value("")
    refused("79100000004", "No more phones can be added.")
    expect(number).to_have_value("79100000004")
    expect(said_of(there.get_by_label("Number, digits only"))).to_be_hidden()
    button(phone(there, TWO), "Remove the phone +7 910 000-00-02").click()
    expect(phone(here, TWO)).to_have_count(0)
    add.click()
    expect(phone(here, "79100000004")).to_be_visible()
    expect(said_of(number)).to_be_hidden()
    number.press_sequentially("79x")
    expect(number).to_have_value("79")
    expect(said_of(number)).to_have_text("Digits only.")


def test_another_problem_is_said_over_the_page_and_goes_away(opened: Opener) -> None:
    page = opened(locale="en-US")
    page.clock.install()
    handset = phone(page, ONE)
    before = handset.bounding_box()
    field(handset).fill("я" * 81)
    field(handset).press("Enter")
    expect(page.locator("#notice")).to_have_text("This text does not fit or cannot be sent.")
    expect(page.locator("#notice")).to_be_in_viewport()
    assert handset.bounding_box() == before
    page.clock.fast_forward(6_000)
    expect(page.locator("#notice")).to_be_hidden()


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
