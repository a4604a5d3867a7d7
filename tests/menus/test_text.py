"""Templates are checked against the shapes of their values and read as people write in each language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus import formats
from menus.registry import Date, Flag, Instant, List, Money, Number, Record, Shape, Text
from menus.style import Currency, Languages, Problem, Style
from menus.text import Compiled, compile_text
from smpp.alphabets import septets

RUBLES = Currency("RUB", 2, {"ru": "{amount} руб.", "en": "{amount} RUB"}, {"ru": "бесплатно", "en": "free"})
STYLE = Style(Languages(("ru", "en", "ru-Latn")), RUBLES, "Europe/Moscow")
NAMES: dict[str, Shape] = {
    "tariff": Record("offering", {"name": Text(localized=True), "monthly": Money(), "new": Flag()}),
    "until": Instant(),
    "starts": Date(),
    "hours": Number(),
    "number": Text(),
    "services": List(Text()),
}
VALUES = {
    "tariff": {"name": {"ru": "Супер Ноль", "en": "Super Zero"}, "monthly": 45000, "new": True},
    "until": 1_259_163_000_000,
    "starts": "2009-11-25",
    "hours": 21,
    "number": "2163",
    "services": [],
}


def compiled(ru: str, en: str = "-", **others: str) -> Compiled:
    return compile_text({"ru": ru, "en": en, **others}, NAMES, STYLE)


def said(text: str, language: str = "ru", **values: object) -> str:
    """Render one text, written the same in both languages."""
    result = compile_text({"ru": text, "en": text}, NAMES, STYLE)
    assert result.problems == ()
    return result.template.render(language, {**VALUES, **values})


def said_in(language: str, ru: str, en: str = "-", **values: object) -> str:
    result = compiled(ru, en)
    assert result.problems == ()
    return result.template.render(language, {**VALUES, **values})


def test_a_text_without_values_is_constant_and_braces_are_written_twice():
    result = compiled("Тарифы {{1}}", "Tariffs }}{{")
    assert result.template.constant
    assert result.names == frozenset()
    assert result.template.render("ru", {}) == "Тарифы {1}"
    assert result.template.render("en", {}) == "Tariffs }{"


def test_names_tell_what_a_text_needs():
    assert compiled("{tariff.name} {hours}", "{until}").names == {"tariff", "hours", "until"}


@pytest.mark.parametrize(
    ("language", "expected"),
    [("ru", "Супер Ноль"), ("en", "Super Zero"), ("ru-Latn", "Super Nol"), ("de", "Супер Ноль")],
)
def test_a_localized_value_is_read_in_the_readers_language(language: str, expected: str):
    assert said("{tariff.name}", language) == expected


def test_a_name_that_the_operator_has_not_translated_is_read_in_the_default_language():
    assert said("{tariff.name}", "en", tariff={"name": {"ru": "Гостевой"}}) == "Гостевой"
    assert said("{tariff.name}", "en", tariff={"name": {"kk": "Қонақ"}}) == "Қонақ"


@pytest.mark.parametrize(
    ("language", "minor", "expected"),
    [
        ("ru", 45000, "450 руб."),
        ("ru", 150050, "1 500,50 руб."),
        ("ru", -5, "-0,05 руб."),
        ("en", 150050, "1,500.50 RUB"),
        ("ru-Latn", 150050, "1 500,50 rub."),
        ("ru", 0, "0 руб."),
    ],
)
def test_money(language: str, minor: int, expected: str):
    assert said("{tariff.monthly}", language, tariff={"monthly": minor}) == expected


def test_a_full_stop_is_not_doubled_after_an_abbreviation():
    assert said("Плата {tariff.monthly}. Всё.") == "Плата 450 руб. Всё."
    assert said("Плата {tariff.monthly}.", "en") == "Плата 450 RUB."
    assert said("{tariff.monthly}{tariff.name}. {tariff.name}...") == "450 руб.Супер Ноль. Супер Ноль..."


@pytest.mark.parametrize(("language", "free"), [("ru", "бесплатно"), ("en", "free"), ("ru-Latn", "besplatno")])
def test_a_price_of_nothing_is_the_word_for_free(language: str, free: str):
    assert said("{tariff.monthly:price}", language, tariff={"monthly": 0}) == free
    assert said("{tariff.monthly:price}", language) != free


@pytest.mark.parametrize(
    ("language", "date", "time"),
    [
        ("ru", "25 ноября", "18:30 25 ноября"),
        ("en", "25 November", "18:30 25 November"),
        ("ru-Latn", "25 noyabrya", "18:30 25 noyabrya"),
    ],
)
def test_dates_and_times_are_in_the_flows_time_zone(language: str, date: str, time: str):
    assert said("{starts}", language) == date
    assert said("{until:date}", language) == date
    assert said("{until}", language) == time


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(0, "0 часов"), (1, "1 час"), (2, "2 часа"), (11, "11 часов"), (22, "22 часа"), (101, "101 час")],
)
def test_a_russian_plural(hours: int, expected: str):
    assert said_in("ru", "{hours} {hours:plural час|часа|часов}", hours=hours) == expected


def test_plurals_in_other_languages():
    assert said_in("en", "-", "{hours} {hours:plural hour|hours}", hours=1) == "1 hour"
    assert said_in("en", "-", "{hours} {hours:plural hour|hours}", hours=2) == "2 hours"
    assert said_in("ru-Latn", "{hours:plural час|часа|часов}", hours=5) == "chasov"
    assert said_in("ru", "{hours:plural час|часа|часов|часа}", hours=5) == "часов"


@pytest.mark.parametrize(
    ("text", "so", "otherwise"),
    [
        ("{tariff.name} {tariff.new:either (ваш)|}: да", "Супер Ноль (ваш): да", "Супер Ноль: да"),
        ("{tariff.name} {tariff.new:either |нет}", "Супер Ноль", "Супер Ноль нет"),
        ("Он {tariff.new:either нов|стар}.", "Он нов.", "Он стар."),
        ("{tariff.new:either  да | нет }{number}", "да2163", "нет2163"),
        ("Цена {tariff.new:either 5 руб.|}.", "Цена 5 руб.", "Цена."),
        ("а {tariff.new:either |}{tariff.name}", "аСупер Ноль", "аСупер Ноль"),
        ("а {tariff.name} {number}", "а Супер Ноль 2163", "а Супер Ноль 2163"),
    ],
)
def test_what_is_either_so_or_not_is_said_in_words_and_an_empty_one_leaves_no_blank(text: str, so: str, otherwise: str):
    for new, expected in ((True, so), (False, otherwise)):
        tariff = {**VALUES["tariff"], "new": new}
        assert said(text, tariff=tariff, number="2163") == expected
    assert said_in("ru-Latn", "{tariff.new:either ваш|чужой}") == "vash"


def test_numbers_and_phones():
    assert said("{hours:number}", hours=12500) == "12 500"
    assert said("{number:phone}", number="79104567890") == "+7 910 456-78-90"
    assert said("{number:phone}", number="2163") != ""
    assert said("{number:phone}", number="x") == "x"


def test_latin_letters_are_made_from_russian_unless_they_are_written():
    assert said_in("ru-Latn", "Ещё «{tariff.name}» — №1…") == 'Esche "Super Nol" - No.1...'
    result = compiled("Назад", "Back", **{"ru-Latn": "Back!"})
    assert result.template.render("ru-Latn", {}) == "Back!"


def test_english_loses_only_typography():
    assert said_in("en", "-", "“{tariff.name}” — café…") == '"Super Zero" - café...'


@pytest.mark.parametrize(
    ("text", "column", "message", "hint"),
    [
        ("{tarif.name}", 0, "there is no value 'tarif' here", "did you mean 'tariff'?"),
        ("Тариф {tariff.nam}", 6, "'tariff' has no field 'nam'", "did you mean 'name'?"),
        ("{{x}} {hours.x}", 6, "'hours' is a number and has no fields", "{hours}"),
        ("{tariff}", 0, "'tariff' is a record and cannot be shown in a text", "one of its fields: {tariff.name}"),
        (
            "{services}",
            0,
            "'services' is a list and cannot be shown in a text",
            "show it with a node of the kind `list`",
        ),
        (
            "{tariff.new}",
            0,
            "'tariff.new' is a yes or no and cannot be shown in a text",
            "use it in a condition, or say {tariff.new:either yes|no}",
        ),
        (
            "{tariff.new:either}",
            0,
            "'either' takes two forms: where it is so, and where not; one of them may be empty",
            "{tariff.new:either yes|no}",
        ),
        (
            "Это {tariff.new:either а|б|в}",
            4,
            "'either' takes two forms: where it is so, and where not; one of them may be empty",
            "{tariff.new:either yes|no}",
        ),
        (
            "{number:either а|б}",
            0,
            "{number} is a text and cannot be shown as 'either'",
            "it can be shown as text or phone",
        ),
        ("{hours:money}", 0, "{hours} is a number and cannot be shown as 'money'", "number or plural"),
        ("{hours:plural час|часа}", 0, "2 plural forms where 'ru' has 3", "{hours:plural one|few|many}"),
        ("{hours:plural}", 0, "0 plural forms where 'ru' has 3", "{hours:plural one|few|many}"),
        ("{hours:number 5}", 0, "'number' takes nothing after it", "{hours:number}"),
        ("{hours!r}", 0, "{hours!...} is not part of a template", "{name}"),
        ("{}", 0, "there is no value '' here", "there are"),
        ("ab {", 3, "a single '{'", "{{ is a brace"),
        ("{hours} }", 8, "a single '}'", "{{ is a brace"),
        ("{hours:} {x}", 9, "there is no value 'x' here", "there are"),
    ],
)
def test_a_mistake_is_told_with_its_column_and_what_would_be_right(text: str, column: int, message: str, hint: str):
    (problem,) = compiled(text).problems
    assert (problem.language, problem.column, problem.message) == ("ru", column, message)
    assert hint in problem.hint


def test_all_mistakes_are_told_at_once():
    result = compile_text({"ru": "{a} {b}", "de": "x"}, NAMES, STYLE)
    assert [(problem.language, problem.column) for problem in result.problems] == [
        ("de", 0),
        ("ru", 0),
        ("ru", 4),
        ("en", 0),
    ]


@given(st.text(max_size=60), st.text(max_size=30), st.integers(-(10**9), 10**9))
def test_what_is_made_in_latin_letters_is_in_the_gsm_alphabet(literal: str, name: str, minor: int):
    source = literal.replace("{", "{{").replace("}", "}}") + "{tariff.name} {tariff.monthly} {starts} {number}"
    result = compile_text({"ru": source, "en": "-"}, NAMES, STYLE)
    assert result.problems == ()
    values = {**VALUES, "tariff": {"name": {"ru": name}, "monthly": minor}, "number": name}
    assert septets(result.template.render("ru-Latn", values)) is not None


@given(st.text(alphabet="{}ab.:! |плюрал", max_size=40))
def test_no_template_breaks_the_compiler_and_a_problem_lies_inside_the_text(source: str):
    for problem in compiled(source).problems:
        assert isinstance(problem, Problem)
        assert 0 <= problem.column <= len(source)


@given(st.text(max_size=60))
def test_a_literal_is_said_as_it_is_written(literal: str):
    source = literal.replace("{", "{{").replace("}", "}}")
    spoken = compiled(source).template.render("ru", {})
    assert spoken.split() == literal.split()


def test_what_was_formatted_once_is_not_formatted_again():
    said("{tariff.monthly} {until}")
    before = formats.amount.cache_info().misses
    said("{tariff.monthly} {until}")
    assert formats.amount.cache_info().misses == before
