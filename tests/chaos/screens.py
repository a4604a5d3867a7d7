"""What screens and SMS say, told apart by their texts in the shipped flow. Pure."""

import re
from typing import Final

from tests.chaos.shop import names
from tests.leaks import CODE_IN_SMS

_PLAIN: Final = {
    "activated": r"Помощник (уже )?подключён",
    "activated anew": r"Помощник подключён",
    "stranger": r"Сначала подключите Помощника|Помощник не подключён",
    "menu": r"Помощник\n1\. ",
    "balance": r"Баланс: ",
    "placed": r"Заявка принята\. Ответ придёт по SMS\.$",
    "resume": r"Продолжить с того же места\?",
    "broken": r"Что-то сломалось у нас\. Деньги не списаны\.",
    "unsure": r"Не знаем, выполнено ли это\.",
    "overload": r"Сейчас много запросов",
    "expired": r"Сеанс устарел",
    "late": r"Запрос принят\. Ответ придёт по SMS",
    "not now": r"Сейчас это недоступно",
    "nothing to confirm": r"Неверно\.|Такой команды нет|Команда не понята",
}
_PATTERNS: Final = {name: re.compile(pattern) for name, pattern in _PLAIN.items()}

EXCUSES: Final = frozenset({"broken", "unsure", "overload", "expired", "not now"})
"""What may answer anything while things are killed; none of them says that something was done."""

_MONEY: Final = r"(-?\d[\d\s]*(?:,\d\d)?) руб"
_BALANCE: Final = re.compile(rf"(?:Баланс: |на счёте |Останется ){_MONEY}")
_UNKNOWN: Final = re.compile(r"Номера (\d+) нет\.")
_RECEIPT: Final = re.compile(r"Тариф изменён: |Услуга (?:подключена|отключена): ")


def fits(text: str, kind: str) -> bool:
    """Tell whether a text is of this kind: one of those above, or `offer:ID`, `price:ID` of an offering."""
    what, _, offering = kind.partition(":")
    if not offering:
        return bool(_PATTERNS[what].match(text))
    name = re.escape(names()[offering])
    after = r"( \(ваш\))?: " if what == "offer" else r" с .*Останется "
    return bool(re.match(name + after, text, re.DOTALL))


def balance(text: str) -> int | None:
    """Return the balance that a text tells, in minor units."""
    found = _BALANCE.search(text)
    if found is None:
        return None
    roubles, _, kopecks = re.sub(r"\s", "", found[1]).partition(",")
    return int(roubles) * 100 + int(kopecks or 0)


def unknown_number(text: str) -> str:
    """Return the number of which a text says that there is none, "" for no such text."""
    found = _UNKNOWN.match(text)
    return found[1] if found else ""


def code(text: str) -> str:
    """Return the access code that an SMS tells, "" for none."""
    found = CODE_IN_SMS.search(text)
    return found[1] if found else ""


def is_receipt(text: str) -> bool:
    """Tell whether an SMS says that an order was carried out."""
    return bool(_RECEIPT.match(text))


def is_lock_notice(text: str) -> bool:
    """Tell whether an SMS tells its owner that terminals are locked."""
    return text.startswith("Доступ с терминалов закрыт")
