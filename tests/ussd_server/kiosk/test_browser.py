"""The kiosk in real Chromium over the whole product: code, menu, price, receipt; the lock; what goes wrong."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ussd_server.kiosk.conftest import Opener
from tests.ussd_server.kiosk.house import CODE, ApartHouse, DemoHouse
from ussd_server.kiosk import kiosk
from ussd_server.subscribers.codes import LOCK_MS
from ussd_server.terminals.record import Standing

pytestmark = pytest.mark.browser

CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)

KEYS_AT_ONCE = """(keys) => {
    for (const key of keys) document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
}"""
"""Presses keys without a moment between them: how soon the second one comes decides what the first one means."""


def heading(page: Page, text: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("heading", name=text)


def button(page: Page, name: str) -> Locator:
    return page.locator("main").get_by_role("button", name=name, exact=True)


def option(page: Page, label: str) -> Locator:
    return page.locator(".option", has_text=re.compile(rf"^\d+{re.escape(label)}$"))


def touch(page: Page, digits: str) -> None:
    """Touch digits on the pad."""
    for digit in digits:
        page.locator(f'.pad [data-key="{digit}"]').click()


def begin(page: Page, number: str) -> None:
    """From the start to the entry of the code."""
    page.locator(".choice.primary").click()
    touch(page, number[1:])
    page.locator(".go").click()
    expect(page.locator(".field.code")).to_be_visible()


def enter_code(page: Page, code: str) -> None:
    touch(page, code)
    page.locator(".go").click()


def let_in(page: Page, number: str, code: str) -> None:
    """From the start to the menu."""
    begin(page, number)
    enter_code(page, code)
    expect(heading(page, re.compile("^(Помощник|Electronic Assistant)$"))).to_be_visible()


def test_from_the_order_of_a_code_to_the_receipt_at_the_demos_one_address(house: DemoHouse, opened: Opener) -> None:
    page = opened(house.url, width=1600, height=1000)
    phone = page.locator('article[data-phone="79100000001"]')
    kiosk = page.frame_locator("iframe")
    phone.get_by_role("button", name="*111*2163#", exact=True).click()
    expect(phone.locator(".lcd-text")).to_contain_text("Помощник подключён")
    kiosk.get_by_role("button", name="Заказать пароль").click()
    expect(kiosk.get_by_text("Телефон для пробы: +7 910 000-00-01")).to_be_visible()
    for digit in "9100000001":
        kiosk.locator(f'.pad [data-key="{digit}"]').click()
    expect(kiosk.locator(".field.number")).to_have_text("+7 910 000-00-01")
    kiosk.get_by_role("button", name="Заказать", exact=True).click()
    expect(kiosk.get_by_role("heading", name="Пароль придёт по SMS")).to_be_visible()
    expect(kiosk.get_by_text("если на нём подключён")).to_be_visible()
    phone.get_by_role("button", name=re.compile(r"^SMS · ")).click()
    sms = phone.locator(".bubble-in", has_text="Ваш пароль")
    expect(sms).to_be_visible()
    code = CODE.search(sms.inner_text())
    assert code
    kiosk.get_by_role("button", name="Ввести пароль").click()
    for digit in code[1]:
        kiosk.locator(f'.pad [data-key="{digit}"]').click()
    expect(kiosk.locator(".dot")).to_have_count(8)
    assert code[1] not in kiosk.locator("body").inner_text()
    kiosk.get_by_role("button", name="Войти").click()
    kiosk.get_by_role("button", name="Тарифы").click()
    expect(kiosk.get_by_role("button", name="Супер Ноль (ваш)")).to_be_visible()
    kiosk.get_by_role("button", name="RED Energy").click()
    kiosk.get_by_role("button", name="Сменить").click()
    expect(kiosk.get_by_role("heading", name="RED Energy")).to_be_visible()
    prices = kiosk.locator(".quote dd")
    expect(prices.nth(0)).to_have_text(re.compile(r"^90\s₽$"))
    expect(prices.nth(1)).to_have_text(re.compile(r"^0\s₽$"))
    expect(prices.nth(3)).to_have_text(re.compile(r"^260\s₽$"))
    kiosk.get_by_role("button", name="Да", exact=True).click()
    expect(kiosk.get_by_role("heading", name="Заявка принята")).to_be_visible()
    expect(phone.locator(".bubble-in", has_text="Тариф изменён: RED Energy")).to_contain_text("Списано: 90 руб.")
    kiosk.locator("#finish").click()
    expect(kiosk.get_by_role("heading", name="Спасибо, всё закрыто")).to_be_visible()
    assert house.no_visit("79100000001")


def test_three_wrong_codes_close_access_and_the_screen_says_until_when(house: DemoHouse, opened: Opener) -> None:
    number, code = house.subscriber()
    wrong = str((int(code) + 1) % 10**8).zfill(8)
    page = opened(house.kiosk_url)
    begin(page, number)
    enter_code(page, wrong)
    expect(page.get_by_role("alert").filter(has_text="Остались 2 попытки")).to_be_visible()
    enter_code(page, wrong)
    expect(page.get_by_role("alert").filter(has_text="Осталась 1 попытка")).to_be_visible()
    enter_code(page, wrong)
    expect(heading(page, "Доступ закрыт")).to_be_visible()
    until = house.run(house.service.server.store.load(number))[0].access.locked_until
    shown = page.evaluate(
        "at => new Intl.DateTimeFormat('ru-RU', {hour: '2-digit', minute: '2-digit'})"
        ".format(new Date(Math.ceil(at / 60000) * 60000))",
        until,
    )
    expect(page.locator(".opens strong")).to_have_text(shown)
    expect(page.locator(".opens")).to_contain_text(re.compile("завтра|послезавтра"))
    for language, says in ("English", "Access is closed"), ("Русский", "Доступ закрыт"):
        page.get_by_role("button", name=language).click()
        expect(heading(page, says)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollHeight") <= 1024, "the way out is below the screen's edge"
    house.sms(number, "три неверных пароля")
    # The right code changes nothing now, and the time stays.
    button(page, "На главную").click()
    expect(heading(page, "Спасибо, всё закрыто")).to_be_visible()
    button(page, "На главную").click()
    begin(page, number)
    enter_code(page, code)
    expect(page.locator(".opens strong")).to_have_text(shown)
    assert house.run(house.service.server.store.load(number))[0].access.locked_until == until
    assert LOCK_MS == 86_400_000


def test_every_screen_can_be_had_in_english(house: DemoHouse, opened: Opener) -> None:
    number, code = house.subscriber()
    page = opened(house.kiosk_url)
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")

    def english() -> None:
        words = page.locator("body").inner_text().replace("Русский", "")
        assert not CYRILLIC.search(words), words

    english()
    page.locator(".choice").nth(1).click()
    touch(page, "910")
    english()
    page.get_by_role("button", name="Русский").click()
    expect(heading(page, "Введите номер телефона")).to_be_visible()
    expect(page.locator(".field.number")).to_contain_text("+7 910")  # what was typed stays
    page.get_by_role("button", name="English").click()
    touch(page, number[4:])
    button(page, "Order").click()
    expect(heading(page, "The password comes by SMS")).to_be_visible()
    english()
    button(page, "Enter the password").click()
    english()
    enter_code(page, "00000000" if code != "00000000" else "11111111")
    expect(page.get_by_role("alert").filter(has_text="2 tries are left")).to_be_visible()
    house.sms(number, "Ваш пароль")
    expect(heading(page, "Enter the password")).to_be_visible()
    english()
    page.locator("#finish").click()
    expect(heading(page, "Thank you, all is closed")).to_be_visible()
    english()


def test_the_language_changes_within_a_visit_and_goes_back_to_russian_for_the_next_person(
    house: DemoHouse, opened: Opener
) -> None:
    number, code = house.subscriber()
    page = opened(house.kiosk_url)
    let_in(page, number, code)
    page.get_by_role("button", name="English").click()
    expect(option(page, "Balance")).to_be_visible()
    option(page, "Balance").click()
    expect(heading(page, "Balance: 150 RUB")).to_be_visible()
    button(page, "Finish").click()
    button(page, "To the start").click()
    expect(heading(page, re.compile("вашего номера"))).to_be_visible()
    assert house.no_visit(number)


def test_the_texts_of_both_languages_are_whole(house: DemoHouse, opened: Opener) -> None:
    words = opened(house.kiosk_url).evaluate(
        """async () => {
            const words = await import(new URL("web/words.js", location.href));
            return ["ru", "en"].map((language) => words.names(language).join());
        }"""
    )
    assert words[0] == words[1]


@pytest.mark.parametrize("apart", [{"kiosk_idle_s": 30}], indirect=True)
def test_an_untouched_screen_warns_and_goes_back_to_the_start(apart: ApartHouse, opened: Opener) -> None:
    number, code = apart.subscriber()
    page = opened(apart.kiosk_url)
    let_in(page, number, code)
    assert apart.visit(number) is not None
    expect(page.locator("#warning")).to_be_hidden()
    apart.untouched(warn_s=30.0)
    expect(page.locator("#warning")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="Вы ещё здесь?")).to_be_visible()
    expect(page.locator("#seconds")).to_have_text(re.compile(r"^Экран закроется через [12]?\d с$"))
    apart.waits(warn_s=15.0)
    page.get_by_role("button", name="Я здесь").click()
    expect(page.locator("#warning")).to_be_hidden()
    expect(heading(page, "Помощник")).to_be_visible()
    apart.untouched(idle_s=0.5)
    expect(heading(page, re.compile("вашего номера"))).to_be_visible()  # nobody touched it any more
    assert apart.no_visit(number)


SECOND_TAP = """(after) => {
    const main = document.getElementById("main");
    new MutationObserver((_, observer) => {
        observer.disconnect();
        const tap = new MouseEvent("click", {detail: 2, bubbles: true});
        Object.defineProperty(tap, "timeStamp", {value: performance.now() + after});
        main.querySelector(".option").dispatchEvent(tap);
        main.dataset.begun = main.getAttribute("aria-busy");
    }).observe(main, {childList: true});
}"""
"""Lets the second tap of a double one meet the next screen, ms after it came, and says whether that began anything."""


@pytest.mark.parametrize(("after", "begun"), [(150, "false"), (-20, "false"), (1_000, "true")])
def test_a_double_tap_does_not_go_through_to_the_next_screen(
    house: DemoHouse, opened: Opener, after: int, begun: str
) -> None:
    number, code = house.subscriber()
    page = opened(house.kiosk_url)
    let_in(page, number, code)
    page.evaluate(SECOND_TAP, after)
    option(page, "Тарифы").click()
    expect(page.locator("#main")).to_have_attribute("data-begun", begun)


def test_a_double_tap_acts_once(house: DemoHouse, opened: Opener) -> None:
    number, code = house.subscriber()
    page = opened(house.kiosk_url)
    let_in(page, number, code)
    option(page, "Тарифы").dblclick()
    expect(heading(page, "Тарифы")).to_be_visible()
    option(page, "Супер Ноль").dblclick()
    button(page, "1 Сменить").or_(option(page, "Сменить тариф")).first.dblclick()
    expect(page.locator(".quote")).to_be_visible()
    # The page is not what keeps it from acting twice: the same command by another line does nothing either.
    page.evaluate(
        """() => new Promise((resolve) => {
            const socket = new WebSocket(new URL("socket", location.href.replace("http", "ws")));
            socket.onmessage = ({data}) => {
                const {step} = JSON.parse(data);
                for (let i = 0; i < 3; i++) socket.send(JSON.stringify({do: "enter", step, text: "1"}));
                socket.onmessage = () => resolve();
            };
        })"""
    )
    expect(heading(page, "Заявка принята")).to_be_visible()
    house.sms(number, "Тариф изменён")
    orders = [entry for entry in house.run(house.service.server.store.journal(number)) if "order" in entry.kind]
    assert len([entry for entry in orders if entry.kind == orders[0].kind]) == 1


def test_a_server_that_goes_away_is_said_and_the_request_goes_on_when_it_is_back(
    apart: ApartHouse, opened: Opener
) -> None:
    number, code = apart.subscriber()
    page = opened(apart.kiosk_url)
    let_in(page, number, code)
    apart.server_down()
    option(page, "Баланс").click()
    expect(heading(page, "Пока не получилось")).to_be_visible()
    expect(page.get_by_text("Нет связи с оператором. Терминал пробует снова")).to_be_visible()
    apart.server_up()
    expect(heading(page, "Баланс: 150 руб.")).to_be_visible()
    button(page, "Меню").click()
    expect(option(page, "Тарифы")).to_be_visible()


def test_without_a_server_the_start_says_so_and_recovers_by_itself(apart: ApartHouse, opened: Opener) -> None:
    page = opened(apart.kiosk_url)
    expect(page.locator(".choice.primary")).to_be_enabled()
    apart.server_down()
    page.locator(".choice").nth(1).click()
    touch(page, "9100000001")
    page.locator(".go").click()
    expect(heading(page, "Пока не получилось")).to_be_visible()
    page.locator("#finish").click()
    button(page, "На главную").click()
    expect(page.locator("#offline")).to_have_text("Нет связи с оператором. Терминал попробует снова сам.")
    expect(page.locator(".choice.primary")).to_be_disabled()
    apart.server_up()
    expect(page.locator(".choice.primary")).to_be_enabled()
    expect(page.locator("#offline")).to_be_hidden()


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a kiosk see soon that it may no longer serve, or may again. Must come before the kiosk."""
    monkeypatch.setattr(kiosk, "LOOK_S", 0.1)
    monkeypatch.setattr(kiosk, "LOOK_CLOSED_S", 0.1)


@pytest.mark.parametrize("standing", ["quarantined", "revoked"])
def test_a_terminal_that_may_not_serve_says_so_in_both_languages_until_it_may(
    looks_often: None, apart: ApartHouse, opened: Opener, standing: Standing
) -> None:
    """Whoever stands there need not touch anything to learn it, and who is in the middle is not led on."""
    page = opened(apart.kiosk_url)
    number, code = apart.subscriber()
    let_in(page, number, code)
    apart.terminal_is(standing)
    expect(heading(page, "Терминал не работает")).to_be_visible()
    expect(heading(page, "This terminal is out of service")).to_be_visible()
    expect(page.locator("main button")).to_have_count(0)
    expect(page.locator("#finish")).to_be_hidden()
    page.reload()
    expect(heading(page, "Терминал не работает")).to_be_visible()
    another = opened(apart.kiosk_url, width=390, height=700)
    another.get_by_role("button", name="English").click()
    expect(another.locator("h1").first).to_have_text("This terminal is out of service")
    expect(heading(another, "Терминал не работает")).to_be_visible()
    assert another.evaluate("document.documentElement.scrollWidth") <= 390
    apart.terminal_is("active")
    expect(page.locator(".choice.primary")).to_be_enabled()
    let_in(page, number, code)


def test_the_keyboard_alone_is_enough(house: DemoHouse, opened: Opener) -> None:
    number, code = house.subscriber()
    page = opened(house.kiosk_url)
    expect(heading(page, re.compile("вашего номера"))).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".choice.primary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(heading(page, "Введите номер телефона")).to_be_focused()
    page.keyboard.type(number[1:] + "77")  # no more than ten fit
    page.keyboard.press("Backspace")
    page.keyboard.type(number[-1])
    page.keyboard.press("Enter")
    expect(heading(page, "Введите пароль")).to_be_focused()
    page.keyboard.press("Escape")
    expect(heading(page, "Введите номер телефона")).to_be_visible()
    page.keyboard.type(number[1:])
    page.keyboard.press("Enter")
    expect(heading(page, "Введите пароль")).to_be_visible()
    page.keyboard.type("123")
    page.keyboard.press("Delete")
    expect(page.locator(".dot")).to_have_count(0)
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    expect(heading(page, "Помощник")).to_be_visible()
    page.keyboard.press("2")
    expect(heading(page, "Тарифы")).to_be_visible()
    page.evaluate(KEYS_AT_ONCE, "12")  # not the first, which 1 alone would be
    expect(page.get_by_text(re.compile("Деловой"))).to_be_visible()
    page.keyboard.press("Tab")
    assert page.locator(":focus-visible").count() == 1


def test_a_page_that_is_loaded_again_shows_what_it_showed(house: DemoHouse, opened: Opener) -> None:
    number, code = house.subscriber()
    page = opened(house.kiosk_url)
    let_in(page, number, code)
    option(page, "Тарифы").click()
    expect(heading(page, "Тарифы")).to_be_visible()
    page.reload()
    expect(heading(page, "Тарифы")).to_be_visible()
    option(page, "Супер Ноль").click()
    expect(page.get_by_text(re.compile("Супер Ноль"))).to_be_visible()
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_a_visit_elsewhere_ends_this_one_and_the_screen_says_so(house: DemoHouse, opened: Opener) -> None:
    number, code = house.subscriber()
    here, there = opened(house.kiosk_url), opened(house.kiosk_url)
    let_in(here, number, code)
    let_in(there, number, code)
    option(here, "Баланс").click()
    expect(heading(here, "Сеанс завершён")).to_be_visible()
    button(here, "Ввести пароль").click()
    enter_code(here, code)
    expect(heading(here, "Помощник")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(1280, 1024), (1080, 1920), (390, 800), (740, 640)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_targets_are_large_and_nothing_lies_sideways(
    house: DemoHouse, opened: Opener, width: int, height: int, scheme: str
) -> None:
    page = opened(house.kiosk_url, width=width, height=height, color_scheme=scheme, has_touch=True)

    def fits() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.evaluate(
            """() => [...document.querySelectorAll("main button")].filter((element) => element.checkVisibility())
                .map((element) => [element.textContent, element.getBoundingClientRect().height])
                .filter(([, height]) => height < 64)"""
        )
        assert small == []

    page.locator(".choice.primary").tap()
    expect(page.locator(".pad")).to_be_visible()
    fits()
    for digit in "9100000009":
        page.locator(f'.pad [data-key="{digit}"]').tap()
    page.locator(".go").tap()
    expect(page.locator(".field.code")).to_be_visible()
    fits()


def test_everything_to_touch_has_a_name_and_the_contrast_to_be_read(house: DemoHouse, opened: Opener) -> None:
    number, code = house.subscriber()
    page = opened(house.kiosk_url)
    let_in(page, number, code)
    for label in ("Тарифы", "Супер Ноль"):
        option(page, label).click()
        expect(page.locator("main h1")).to_be_focused()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a, input")].filter((element) => element.checkVisibility()
                && !(element.getAttribute("aria-label") || element.textContent.trim())).map((e) => e.outerHTML)"""
        )
        assert nameless == []
    assert page.locator("main [aria-live], [role=status], [role=alert]").count() >= 1
