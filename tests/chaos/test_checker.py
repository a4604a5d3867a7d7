"""The checker finds what is broken: a ledger in which all is well, and each violation planted into it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.chaos import checker, ledger, shop
from tests.chaos.books import Account, Books, Purchase
from tests.chaos.ledger import (
    Acknowledged,
    Agreed,
    Balance,
    Dropped,
    Entry,
    Event,
    Forgetting,
    Forgotten,
    Happened,
    Linked,
    Moved,
    Screen,
    Sent,
    Sms,
    Told,
    Unlinked,
)
from tests.chaos.round import codes_of, leaks

ONE, TWO = shop.msisdn(0), shop.msisdn(7)
AT = 1_800_000_000_000
LOCKED = AT + 60_000 + checker.DAY_MS
CODE_SMS = "Ваш пароль для терминалов: {}. Никому его не сообщайте."


def roubles(minor: int) -> str:
    return f"{minor // 100}" + (f",{minor % 100:02}" if minor % 100 else "")


def receipt(left: int) -> str:
    return f"Тариф изменён: MAXI с 29 ноября, до этого дня - прежний. Списано: 5 руб., на счёте {roubles(left)} руб."


LEFT = shop.opening(ONE) - shop.price("maxi")
ACTIVATED = "Помощник подключён, бесплатно. Пароль - пустое SMS на 6262. Меню *111#"
PRICE = f"MAXI с 29 ноября: 5 руб., 550 руб./мес. Останется {roubles(LEFT)} руб.\n1. Да\n2. Нет"
BROKEN = "Что-то сломалось у нас. Деньги не списаны. Попробуйте позже."
UNSURE = "Не знаем, выполнено ли это. Заявку подтвердит SMS. До повтора наберите *100#."
PLACED = "Заявка принята. Ответ придёт по SMS."

WELL: list[Event] = [
    Linked(AT, "1"),
    Sent(AT, 1, ONE, "sms", "activate", "111"),
    Acknowledged(AT, 1, 1),
    Sms(AT, ONE, ACTIVATED),
    Sent(AT, 2, ONE, "sms", "code"),
    Acknowledged(AT, 2, 2),
    Sms(AT, ONE, CODE_SMS.format("40417263")),
    Sent(AT, 3, ONE, "sms", "probe", "услуга 4711", detail="4711"),
    Acknowledged(AT, 3, 1),
    Sms(AT, ONE, "Номера 4711 нет. Список: SMS ТАРИФЫ или УСЛУГИ на 111"),
    Sent(AT, 4, ONE, "ussd", "step", "*111*2*5#", 9, ("offer:maxi", "resume")),
    Acknowledged(AT, 4, 1, "1"),
    Screen(AT, ONE, 9, "MAXI: 550 руб./мес. 400 мин. и 400 SMS в месяц", False, "1"),
    Sent(AT, 5, ONE, "ussd", "step", "1", 9, ("price:maxi",)),
    Acknowledged(AT, 5, 1, "1"),
    Screen(AT, ONE, 9, PRICE, False, "1"),
    Sent(AT, 6, ONE, "ussd", "yes", "1", 9, ("placed",)),
    Agreed(AT, 1, ONE, "change_tariff", "maxi", 6),
    Acknowledged(AT, 6, 1, "1"),
    Screen(AT, ONE, 9, PLACED, True, "1"),
    Told(AT, 1, True),
    Sms(AT, ONE, receipt(LEFT)),
    Balance(AT, ONE, LEFT),
    Sent(AT, 7, TWO, "ussd", "balance", "*100#", 3, ("balance", "resume")),
    Dropped(AT + 15_000, 7),
    Sent(AT, 8, TWO, "ussd", "activate", "*111*2163#", 4, ("activated", "resume")),
    Acknowledged(AT, 8, 1, "1"),
    Screen(AT, TWO, 4, ACTIVATED, True, "1"),
    Happened(AT, "kill", "server 1", 1),
    Entry(AT + 1_000, ONE, False, "rejected", 2),
    Entry(AT + 2_000, ONE, True, "visit"),
    Entry(AT + 3_000, ONE, False, "rejected", 2),
    Entry(AT + 4_000, ONE, False, "unknown"),
    Entry(AT + 60_000, ONE, False, "locked", LOCKED),
    Entry(AT + 61_000, ONE, True, "locked", LOCKED),
    Sms(AT, ONE, "Доступ с терминалов закрыт до 12:00: три неверных пароля на терминале hall-1."),
]
ENTERED = next(number for number, event in enumerate(WELL) if isinstance(event, Entry))
"""Where the first entry of a code stands."""
BOOKS = Books(
    {
        ONE: Account(True, 3, LOCKED, 1, 0, {"activated": 1}),
        TWO: Account(True, 0, 0, 0, 0, {"activated": 1}),
    },
    (Purchase("a-1", ONE, "change_tariff", "maxi", shop.price("maxi"), "completed", LEFT, (-shop.price("maxi"),)),),
    {ONE: (LEFT, LEFT)},
)


def broken(events: list[Event], books: Books) -> set[str]:
    """Return the rules that are broken."""
    return {violation.rule for violation in checker.check(events, books)}


def without(wanted: Callable[[Any], bool]) -> list[Event]:
    """Return the ledger in which all is well, less what is wanted."""
    rest = [event for event in WELL if not wanted(event)]
    assert len(rest) < len(WELL)
    return rest


def instead(*entries: Event) -> list[Event]:
    """Return the ledger in which all is well, with these in the place of the first entry of a code."""
    return [*WELL[:ENTERED], *entries, *WELL[ENTERED + 1 :]]


def account(number: str = ONE, **changes: Any) -> Books:
    """Return the books with another account of a number."""
    changed = msgspec.structs.replace(BOOKS.accounts[number], **changes)
    return msgspec.structs.replace(BOOKS, accounts={**BOOKS.accounts, number: changed})


def purchases(*bought: Purchase) -> Books:
    """Return the books with other orders."""
    return msgspec.structs.replace(BOOKS, purchases=bought)


def test_what_is_well_is_not_complained_about() -> None:
    """A ledger with answers, orders and a lock as they should be has no violation, and its figures are counted."""
    assert checker.check(WELL, BOOKS) == []
    figures = checker.figures(WELL, BOOKS)
    assert figures["SMS to the service, acknowledged"] == 3
    assert figures["inputs sent more than once"] == 1
    assert figures["orders placed and charged"] == 1
    assert figures["processes killed"] == 1
    assert figures["locks"] == 1
    assert figures["USSD inputs given up by a phone"] == figures["of them without a fault that tells why"] == 1


def test_an_sms_that_comes_twice_is_counted_and_no_violation() -> None:
    """Every SMS goes out at least once; a second copy is a figure."""
    twice = [*WELL, Sms(AT, ONE, receipt(LEFT))]
    assert checker.check(twice, BOOKS) == []
    assert checker.figures(twice, BOOKS)["of them come twice or more"] == 1


@pytest.mark.parametrize(
    ("rule", "events"),
    [
        ("never acknowledged", without(lambda e: isinstance(e, Acknowledged) and e.input == 3)),
        ("never acknowledged", without(lambda e: isinstance(e, Dropped))),
        ("acknowledged without effect", without(lambda e: isinstance(e, Screen) and e.text == PRICE)),
        ("acknowledged without effect", without(lambda e: isinstance(e, Screen) and e.text == ACTIVATED)),
        ("acknowledged without effect", without(lambda e: isinstance(e, Sms) and "4711" in e.text)),
        ("acknowledged without effect", without(lambda e: isinstance(e, Sms) and "пароль для" in e.text)),
        ("SMS lost", without(lambda e: isinstance(e, Sms) and "подключён" in e.text)),
        ("SMS lost", without(lambda e: isinstance(e, Sms) and "изменён" in e.text)),
        ("SMS lost", without(lambda e: isinstance(e, Sms) and "закрыт" in e.text)),
        ("done unasked", without(lambda e: isinstance(e, Sent) and e.input == 8)),
        ("ordered twice", without(lambda e: isinstance(e, Agreed))),
        ("ordered twice", [*without(lambda e: isinstance(e, Told)), Told(AT, 1, False)]),
        ("order lost", [*WELL, Agreed(AT, 2, ONE, "add_service", "beep"), Told(AT, 2, True)]),
        ("wrong code accepted", [*WELL[:ENTERED], Entry(AT, ONE, False, "visit"), *WELL[ENTERED:]]),
        ("lock forgotten", [*WELL, Entry(AT + 70_000, ONE, True, "visit")]),
        ("lock forgotten", [*WELL, Entry(AT + 70_000, ONE, False, "rejected", 2)]),
        ("lock forgotten", [*WELL, Entry(AT + 70_000, ONE, True, "locked", LOCKED + 1)]),
        ("lock forgotten", instead(*(Entry(AT, ONE, False, "rejected", n) for n in (2, 1, 0)))),
        ("attempt forgotten", instead(*(Entry(AT, ONE, False, "rejected", 2) for _ in range(2)))),
        ("counted too much", instead(Entry(AT, ONE, False, "rejected", 1))),
        ("counted too much", [Entry(AT + 60_000, ONE, False, "locked", LOCKED), *WELL]),
        ("code lost", instead(Entry(AT + 1, ONE, True, "rejected", 2))),
        ("answer mixed up", [*WELL, Screen(AT, ONE, 8, "Помощник\n1. Мой тариф", False)]),
        ("answer mixed up", [*WELL, Screen(AT, ONE, 9, "Помощник\n1. Мой тариф", False)]),
        ("answer mixed up", [*WELL, Balance(AT, ONE, shop.opening(TWO))]),
        ("answer mixed up", [*WELL, Screen(AT, TWO, 3, f"Баланс: {roubles(LEFT)} руб.", True, "1")]),
        ("answer mixed up", [*WELL, Sms(AT, TWO, receipt(LEFT))]),
    ],
)
def test_a_planted_violation_in_the_ledger_is_found(rule: str, events: list[Event]) -> None:
    """What the world outside saw is enough to find it."""
    assert rule in broken(events, BOOKS)


@pytest.mark.parametrize(
    ("rule", "books"),
    [
        ("acknowledged without effect", account(active=False)),
        ("acknowledged without effect", account(TWO, active=False)),
        ("done twice", account(journal={"activated": 2})),
        ("done twice", account(TWO, journal={"activated": 3})),
        ("not written down", account(TWO, journal={})),
        ("SMS lost", account(generation=2)),
        ("lock forgotten", account(locked_until=0)),
        ("not settled", account(pending=1)),
        ("not settled", msgspec.structs.replace(BOOKS, left=("an SMS",))),
        ("given up", msgspec.structs.replace(BOOKS, dead=("an SMS",))),
        ("order lost", purchases()),
        ("ordered twice", purchases(BOOKS.purchases[0], msgspec.structs.replace(BOOKS.purchases[0], id="a-2"))),
        ("order lost", purchases(msgspec.structs.replace(BOOKS.purchases[0], status="failed", charges=()))),
        ("charged wrongly", purchases(msgspec.structs.replace(BOOKS.purchases[0], charges=()))),
        ("charged wrongly", purchases(msgspec.structs.replace(BOOKS.purchases[0], charges=(-500, -500)))),
        ("charged wrongly", msgspec.structs.replace(BOOKS, balances={ONE: (LEFT, LEFT - 1)})),
    ],
)
def test_a_planted_violation_in_the_books_is_found(rule: str, books: Books) -> None:
    """What was told outside is held against what is written down inside."""
    assert rule in broken(WELL, books)


LATER = AT + 100_000
GONE = (Forgetting(LATER, ONE, True), Forgotten(LATER + 1_000, ONE))
"""`ONE` is forgotten when all that it did has come to its end."""
NOTHING = Account(False, 0, 0, 0, 0, {}, False)
FORGOT = msgspec.structs.replace(BOOKS, accounts={**BOOKS.accounts, ONE: NOTHING})
AGAIN: list[Event] = [
    Sent(LATER + 2_000, 11, ONE, "sms", "activate", "111"),
    Acknowledged(LATER + 2_100, 11, 1),
    Sms(LATER + 2_200, ONE, ACTIVATED),
    Sent(LATER + 3_000, 12, ONE, "sms", "code"),
    Acknowledged(LATER + 3_100, 12, 1),
    Sms(LATER + 3_200, ONE, CODE_SMS.format("90817264")),
    Entry(LATER + 4_000, ONE, False, "rejected", 2),
    Entry(LATER + 5_000, ONE, True, "visit"),
]
"""They begin anew, and the code of before is refused."""
NEW = account(wrong=0, locked_until=0, generation=1)


def test_who_is_forgotten_is_not_missed_and_may_begin_anew() -> None:
    """Their record, journal and lock are gone, what they paid for is not; others stay as they were."""
    assert checker.check([*WELL, *GONE], FORGOT) == []
    assert checker.check([*WELL, *GONE, *AGAIN], NEW) == []
    figures = checker.figures([*WELL, *GONE], FORGOT)
    assert (figures["subscribers forgotten"], figures["of them in the middle of something"]) == (1, 0)


@pytest.mark.parametrize(
    ("rule", "events", "books"),
    [
        ("not forgotten", [*WELL, *GONE], BOOKS),
        ("not forgotten", [*WELL, GONE[0]], FORGOT),
        ("not forgotten", [*WELL, GONE[0], msgspec.structs.replace(GONE[1], left=("a.db",))], FORGOT),
        (
            "not forgotten",
            [*WELL, *GONE, *AGAIN[:2], Sms(LATER + 2_200, ONE, "Помощник уже подключён."), *AGAIN[3:]],
            NEW,
        ),
        ("wrong code accepted", [*WELL, *GONE, *AGAIN, Entry(LATER + 6_000, ONE, False, "visit")], NEW),
        ("lock forgotten", [*WELL, *GONE, *AGAIN, Entry(LATER + 6_000, ONE, True, "locked", LOCKED)], NEW),
        ("acknowledged without effect", [*WELL, *GONE, *AGAIN], FORGOT),
        ("SMS lost", [*WELL, *GONE, *AGAIN], account(locked_until=0, generation=2)),
        ("done twice", [*WELL, *GONE, *AGAIN], account(locked_until=0, journal={"activated": 2})),
        (
            "answer mixed up",
            [*WELL, *GONE, *AGAIN, Screen(LATER + 6_000, TWO, 4, "Помощник не подключён.", True, "1")],
            NEW,
        ),
        (
            "ordered twice",
            [*WELL, *GONE],
            msgspec.structs.replace(FORGOT, purchases=(*BOOKS.purchases, *BOOKS.purchases)),
        ),
        (
            "charged wrongly",
            [*WELL, *GONE],
            msgspec.structs.replace(
                FORGOT, purchases=(msgspec.structs.replace(BOOKS.purchases[0], charges=(-500, -500)),)
            ),
        ),
        ("acknowledged without effect", [*WELL, *GONE], account(TWO, active=False)),
        ("not copied", [*WELL, Moved(AT, "a", "b", "1 differs.")], BOOKS),
    ],
)
def test_a_planted_violation_after_somebody_was_forgotten_or_moved_is_found(
    rule: str, events: list[Event], books: Books
) -> None:
    assert rule in broken(events, books)


def test_what_was_under_way_when_they_were_forgotten_may_have_come_before_or_after() -> None:
    """An activation, an order and an entry whose answers came meanwhile are certain of neither life."""
    meanwhile: list[Event] = [
        Forgetting(LATER, ONE),
        Sent(LATER + 100, 9, ONE, "sms", "activate", "111"),
        Sent(LATER + 200, 10, ONE, "ussd", "step", "*111*2*5#", 10, ("offer:maxi",)),
        Agreed(LATER + 300, 2, ONE, "add_service", "beep"),
        Told(LATER + 400, 2, True),
        Entry(LATER + 500, ONE, False, "rejected", 2, 400),
        Forgotten(LATER + 1_000, ONE),
        Acknowledged(LATER + 1_100, 9, 1),
        Acknowledged(LATER + 1_200, 10, 1, "1"),
        Screen(LATER + 1_300, ONE, 10, "Сначала подключите Помощника, это бесплатно.", False, "1"),
    ]
    assert broken([*WELL, *meanwhile], FORGOT) == set()
    known = account(active=False, locked_until=0, wrong=1, generation=0, journal={})
    assert broken([*WELL, *meanwhile], known) == set()
    assert broken([*WELL, *meanwhile], account(locked_until=0, wrong=0, generation=0)) == set()
    third = Entry(LATER + 4_500, ONE, False, "rejected", 0)
    assert broken([*WELL, *meanwhile, *AGAIN[:-1], third], account(locked_until=0, wrong=3, generation=1)) == set()


def test_a_wrong_entry_that_the_record_forgot_is_found() -> None:
    """A rejected entry must be counted in the record, where no right one followed."""
    events: list[Event] = [Entry(AT, TWO, False, "rejected", 2)]
    assert broken([*WELL, *events], BOOKS) == {"attempt forgotten"}


def test_an_order_whose_screen_came_too_late_is_an_order() -> None:
    """What a screen says was done is done, also where its subscriber had ceased to wait."""
    late = without(lambda e: isinstance(e, Told))
    assert broken(late, BOOKS) == set()
    assert "order lost" in broken(late, purchases())


@pytest.mark.parametrize(
    ("said", "tries", "found"),
    [
        (BROKEN, 1, {"charged all the same"}),
        (BROKEN, 2, set()),
        (UNSURE, 1, set()),
        (UNSURE, 2, set()),
    ],
)
def test_an_order_of_which_a_screen_said_that_nothing_was_charged_is_none(
    said: str, tries: int, found: set[str]
) -> None:
    """But where another server may have had the same input before: what that did is not known to who says so."""
    instead: dict[Event, Event] = {
        Screen(AT, ONE, 9, PLACED, True, "1"): Screen(AT, ONE, 9, said, True, "1"),
        Acknowledged(AT, 6, 1, "1"): Acknowledged(AT, 6, tries, "1"),
    }
    events = [instead.get(event, event) for event in without(lambda e: isinstance(e, Told))]
    assert broken(events, BOOKS) == found
    assert broken(events, purchases()) == set()


@pytest.mark.parametrize(
    ("ended", "found"),
    [
        ([], {"acknowledged without effect"}),
        ([Unlinked(AT + 200, "2")], {"acknowledged without effect"}),
        ([Unlinked(AT + checker.LOST_MS + 1, "1")], {"acknowledged without effect"}),
        ([Unlinked(AT + 200, "1")], set()),
    ],
)
def test_only_the_end_of_its_own_link_excuses_a_screen(ended: list[Event], found: set[str]) -> None:
    """An acknowledged input has its screen by the link that acknowledged it, or that link ended soon after."""
    shown_elsewhere: list[Event] = [
        Sent(AT, 9, TWO, "ussd", "balance", "*100#", 5, ("balance", "resume")),
        Acknowledged(AT, 9, 1, "1"),
        Screen(AT, TWO, 5, f"Баланс: {roubles(shop.opening(TWO))} руб.", True, "2"),
    ]
    assert broken([*WELL, Linked(AT, "2"), *shown_elsewhere, *ended], BOOKS) == found


def given_up(inputs: int) -> list[Event]:
    """Return so many inputs that nobody acknowledged while their phones waited."""
    number = range(100, 100 + inputs)
    asked = [Sent(AT + 1, one, TWO, "ussd", "balance", "*100#", one, ("balance", "resume")) for one in number]
    return [*asked, *(Dropped(AT + 15_001, one) for one in number)]


@pytest.mark.parametrize(
    ("faults", "found"),
    [
        ([], {"left without an answer"}),
        ([Happened(AT, "kill", "server 1", 1, 700)], {"left without an answer"}),
        ([Happened(AT, "slow link", "server 1", 0, 9_000)], {"left without an answer"}),
        ([Happened(AT, "kill", "store", 1, 700)], {"left without an answer"}),
        ([Happened(AT, "pause", "server 1", 0, 6_000)], set()),
        ([Happened(AT + at, "kill", "store", 1, 700) for at in (0, 3_000, 9_000)], set()),
        ([Unlinked(AT, "1"), Linked(AT + 5_000, "2")], {"left without an answer"}),
        ([Unlinked(AT, "1"), Linked(AT + 9_000, "2")], set()),
        ([Unlinked(AT, "1")], set()),
        ([Happened(AT, "kill", "smsc", 1, 700), Unlinked(AT + 9_000, "1"), Linked(AT + 9_000, "2")], set()),
        ([Happened(AT, "kill", "smsc", 1, 700), Linked(AT + 2_000, "2")], {"left without an answer"}),
        ([Linked(AT, "2"), Unlinked(AT, "1")], {"left without an answer"}),
    ],
)
def test_inputs_that_nobody_took_are_found_but_where_a_fault_tells_why(faults: list[Event], found: set[str]) -> None:
    """A phone that waits has an answer where, for long enough, there is a link and nothing that holds up answers."""
    assert broken([*WELL, *faults, *given_up(49)], BOOKS) == found


def test_a_few_inputs_in_a_hundred_may_be_left() -> None:
    """One in fifty of those of which no fault tells why is no violation: a busy machine's time is nobody's fault."""
    taken: list[Event] = []
    for one in range(1_000, 1_150):
        taken.append(Sent(AT, one, TWO, "ussd", "balance", "*100#", one, ("balance", "resume")))
        taken.append(Acknowledged(AT, one, 1, "1"))
        taken.append(Screen(AT, TWO, one, f"Баланс: {roubles(shop.opening(TWO))} руб.", True, "1"))
    assert broken([*WELL, *taken, *given_up(2)], BOOKS) == set()
    assert broken([*WELL, *taken, *given_up(3)], BOOKS) == {"left without an answer"}
    assert broken([*WELL, *given_up(1)], BOOKS) == set()
    assert broken([*WELL, *given_up(2)], BOOKS) == {"left without an answer"}


def test_a_code_in_a_file_is_found_and_not_repeated(tmp_path: Any) -> None:
    """A file in which an access code stands is named, and the code is not; a longer number is none."""
    (tmp_path / "clean.log").write_bytes(b"id 404172631 and 4041726 \xff")
    (tmp_path / "bad.db").write_bytes(b"\x00\xff40417263\x00")
    found = leaks(codes_of(WELL), sorted(tmp_path.iterdir()))
    assert [str(violation) for violation in found] == ["code shown:  in bad.db"]


def test_a_ledger_is_read_back_as_it_was_written(tmp_path: Any) -> None:
    """Each kind of event survives the file."""
    book = ledger.Ledger(tmp_path / "ledger.jsonl")
    events = [*WELL, *GONE, Moved(AT, "a", "b")]
    for event in events:
        book.note(event)
    book.close()
    assert ledger.read(tmp_path / "ledger.jsonl") == events
