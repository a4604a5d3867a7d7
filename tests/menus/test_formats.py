"""Numbers, money, dates and letters are written as people write them in each language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus import formats
from smpp.alphabets import septets

NINE_PM_UTC = 1_259_182_800_000
"""21:00 on 25 November 2009 UTC, which is the next day in Moscow."""


@pytest.mark.parametrize(
    ("language", "categories"),
    [
        ("ru", ("one", "few", "many")),
        ("ru-Latn", ("one", "few", "many")),
        ("en", ("one", "other")),
        ("kk", ("one", "other")),
        ("ar", ("zero", "one", "two", "few", "many", "other")),
        ("fr", ("one", "many", "other")),
    ],
)
def test_plural_categories_are_those_of_whole_numbers(language: str, categories: tuple[str, ...]):
    assert formats.plural_categories(language) == categories


def test_a_negative_number_is_counted_like_a_positive_one():
    assert formats.plural("ru", -21) == formats.plural("ru", 21) == "one"


@pytest.mark.parametrize(
    ("language", "minor", "digits", "expected"),
    [
        ("ru", 1500, 0, "1 500"),
        ("ru", 1500, 3, "1,500"),
        ("en", 100_000_000, 2, "1,000,000"),
        ("de", 123_456, 2, "1.234,56"),
    ],
)
def test_amounts_have_the_currencys_digits_and_no_empty_fraction(language: str, minor: int, digits: int, expected: str):
    assert formats.amount(language, minor, digits) == expected


def test_an_instant_is_shown_in_the_time_zone_it_is_asked_for():
    assert formats.clock("ru", NINE_PM_UTC, "UTC") == "21:00 25 ноября"
    assert formats.clock("ru", NINE_PM_UTC, "Europe/Moscow") == "00:00 26 ноября"
    assert formats.local_day("en", NINE_PM_UTC, "Europe/Moscow") == "26 November"


@pytest.mark.parametrize(
    ("language", "latin"), [("en", True), ("ru", False), ("ru-Latn", True), ("kk", False), ("xx", False)]
)
def test_the_script_of_a_language(language: str, latin: bool):
    assert formats.is_latin(language) is latin


@pytest.mark.parametrize(
    ("russian", "latin"),
    [
        ("Подключён", "Podklyuchen"),
        ("МОЙ ЯЗЫК, Яна и Ю", "MOY YAZYK, Yana i Yu"),
        ("Объявление вьюга", "Obyavlenie vyuga"),
        ("«Щука» — №5…", '"Schuka" - No.5...'),
        ("1\u00a0500 руб.\n0. Назад", "1 500 rub.\n0. Nazad"),
        ("GOOD'OK `x`", "GOOD'OK 'x'"),
        ("早 🙂", "? ?"),
    ],
)
def test_russian_in_latin_letters(russian: str, latin: str):
    assert formats.spell("ru-Latn", russian) == latin


@given(st.text(max_size=100))
def test_latin_letters_are_in_the_gsm_alphabet_whatever_they_were(text: str):
    spelt = formats.spell("ru-Latn", text)
    assert septets(spelt) is not None
    assert formats.spell("ru-Latn", spelt) == spelt


@given(st.text(alphabet="абвгдеёжзийклмнопрстуфхцчшщъыьэюяАЯ -", max_size=60))
def test_no_russian_letter_is_unreadable_in_latin(text: str):
    assert "?" not in formats.spell("ru-Latn", text)
