"""The checker finds what is broken: a ledger in which all is well, and each violation planted into it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.chaos import checker, ledger, shop
from tests.chaos.books import Account, Books, Purchase
from tests.chaos.ledger import Acknowledged, Agreed, Balance, Dropped, Entry, Event, Happened, Screen, Sent, Sms, Told
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

WELL: list[Event] = [
    Sent(AT, 1, ONE, "sms", "activate", "111"),
    Acknowledged(AT, 1, 1),
    Sms(AT, ONE, "Помощник подключён, бесплатно. Пароль - пустое SMS на 6262. Меню *111#"),
    Sent(AT, 2, ONE, "sms", "code"),
    Acknowledged(AT, 2, 2),
    Sms(AT, ONE, CODE_SMS.format("40417263")),
    Sent(AT, 3, ONE, "sms", "probe", "услуга 4711", detail="4711"),
    Acknowledged(AT, 3, 1),
    Sms(AT, ONE, "Номера 4711 нет. Список: SMS ТАРИФЫ или УСЛУГИ на 111"),
    Sent(AT, 4, ONE, "ussd", "step", "*111*2*5#", 9, ("offer:maxi", "resume")),
    Acknowledged(AT, 4, 1),
    Screen(AT, ONE, 9, "MAXI: 550 руб./мес. 400 мин. и 400 SMS в месяц", False),
    Sent(AT, 5, ONE, "ussd", "step", "1", 9, ("price:maxi",)),
    Screen(AT, ONE, 9, f"MAXI с 29 ноября: 5 руб., 550 руб./мес. Останется {roubles(LEFT)} руб.\n1. Да\n2. Нет", False),
    Sent(AT, 6, ONE, "ussd", "yes", "1", 9, ("placed",)),
    Agreed(AT, 1, ONE, "change_tariff", "maxi", 6),
    Screen(AT, ONE, 9, "Заявка принята. Ответ придёт по SMS.", True),
    Told(AT, 1, True),
    Sms(AT, ONE, receipt(LEFT)),
    Balance(AT, ONE, LEFT),
    Sent(AT, 7, TWO, "ussd", "balance", "*100#", 3, ("balance", "resume")),
    Dropped(AT, 7),
    Happened(AT, "kill", "server 1", 1),
    Entry(AT + 1_000, ONE, False, "rejected", 2),
    Entry(AT + 2_000, ONE, True, "visit"),
    Entry(AT + 3_000, ONE, False, "rejected", 2),
    Entry(AT + 4_000, ONE, False, "unknown"),
    Entry(AT + 60_000, ONE, False, "locked", LOCKED),
    Entry(AT + 61_000, ONE, True, "locked", LOCKED),
    Sms(AT, ONE, "Доступ с терминалов закрыт до 12:00: три неверных пароля на терминале hall-1."),
]
BOOKS = Books(
    {
        ONE: Account(True, 3, LOCKED, 1, 0, {"activated": 1}),
        TWO: Account(False, 0, 0, 0, 0, {}),
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


def account(**changes: Any) -> Books:
    """Return the books with another account of the first number."""
    changed = msgspec.structs.replace(BOOKS.accounts[ONE], **changes)
    return msgspec.structs.replace(BOOKS, accounts={**BOOKS.accounts, ONE: changed})


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


def test_an_sms_that_comes_twice_is_counted_and_no_violation() -> None:
    """Every SMS goes out at least once; a second copy is a figure."""
    twice = [*WELL, Sms(AT, ONE, receipt(LEFT))]
    assert checker.check(twice, BOOKS) == []
    assert checker.figures(twice, BOOKS)["of them come twice or more"] == 1


@pytest.mark.parametrize(
    ("rule", "events"),
    [
        ("never acknowledged", without(lambda e: isinstance(e, Acknowledged) and e.input == 3)),
        ("acknowledged without effect", without(lambda e: isinstance(e, Sms) and "4711" in e.text)),
        ("acknowledged without effect", without(lambda e: isinstance(e, Sms) and "пароль для" in e.text)),
        ("SMS lost", without(lambda e: isinstance(e, Sms) and "подключён" in e.text)),
        ("SMS lost", without(lambda e: isinstance(e, Sms) and "изменён" in e.text)),
        ("SMS lost", without(lambda e: isinstance(e, Sms) and "закрыт" in e.text)),
        ("ordered twice", without(lambda e: isinstance(e, Agreed))),
        ("ordered twice", [*without(lambda e: isinstance(e, Told)), Told(AT, 1, False)]),
        ("order lost", [*WELL, Agreed(AT, 2, ONE, "add_service", "beep"), Told(AT, 2, True)]),
        ("wrong code accepted", [*WELL[:23], Entry(AT, ONE, False, "visit"), *WELL[23:]]),
        ("lock forgotten", [*WELL, Entry(AT + 70_000, ONE, True, "visit")]),
        ("lock forgotten", [*WELL, Entry(AT + 70_000, ONE, False, "rejected", 2)]),
        ("lock forgotten", [*WELL, Entry(AT + 70_000, ONE, True, "locked", LOCKED + 1)]),
        ("lock forgotten", [*WELL[:23], *(Entry(AT, ONE, False, "rejected", n) for n in (2, 1, 0)), *WELL[24:]]),
        ("attempt forgotten", [*WELL[:23], *(Entry(AT, ONE, False, "rejected", 2) for _ in range(2)), *WELL[24:]]),
        ("counted too much", [*WELL[:23], Entry(AT, ONE, False, "rejected", 1), *WELL[24:]]),
        ("counted too much", [Entry(AT + 60_000, ONE, False, "locked", LOCKED), *WELL]),
        ("code lost", [*WELL[:23], Entry(AT + 1, ONE, True, "rejected", 2), *WELL[24:]]),
        ("answer mixed up", [*WELL, Screen(AT, ONE, 8, "Помощник\n1. Мой тариф", False)]),
        ("answer mixed up", [*WELL, Screen(AT, ONE, 9, "Помощник\n1. Мой тариф", False)]),
        ("answer mixed up", [*WELL, Balance(AT, ONE, shop.opening(TWO))]),
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
        ("done twice", account(journal={"activated": 2})),
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


def test_a_wrong_entry_that_the_record_forgot_is_found() -> None:
    """A rejected entry must be counted in the record, where no right one followed."""
    events: list[Event] = [Entry(AT, TWO, False, "rejected", 2)]
    assert broken([*WELL, *events], BOOKS) == {"attempt forgotten"}


def test_a_code_in_a_file_is_found_and_not_repeated(tmp_path: Any) -> None:
    """A file in which an access code stands is named, and the code is not; a longer number is none."""
    (tmp_path / "clean.log").write_bytes(b"id 404172631 and 4041726 \xff")
    (tmp_path / "bad.db").write_bytes(b"\x00\xff40417263\x00")
    found = leaks(codes_of(WELL), sorted(tmp_path.iterdir()))
    assert [str(violation) for violation in found] == ["code shown:  in bad.db"]


def test_a_ledger_is_read_back_as_it_was_written(tmp_path: Any) -> None:
    """Each kind of event survives the file."""
    book = ledger.Ledger(tmp_path / "ledger.jsonl")
    for event in WELL:
        book.note(event)
    book.close()
    assert ledger.read(tmp_path / "ledger.jsonl") == WELL
