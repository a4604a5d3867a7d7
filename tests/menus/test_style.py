"""Languages are known ones and each once, the currency has words in all of them, the time zone is one."""

import pytest

from menus.style import Currency, Languages, Style
from tests.menus.test_text import STYLE


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ((), "no language is declared"),
        (("ru", "ru"), "the language 'ru' is declared twice"),
        (("ru", "tlh-x"), "the language 'tlh-x' is unknown"),
        (("en", "ru-Latn"), "'ru-Latn' is made from 'ru', which is not declared"),
        (("ru-Latn", "ru"), "the first language, the default, cannot be a derived one"),
    ],
)
def test_a_wrong_declaration_of_languages(declared: tuple[str, ...], message: str):
    assert message in [problem.message for problem in Languages(declared).problems()]


def test_a_wrong_style():
    style = Style(Languages(("ru", "en")), Currency("RUB", 2, {"ru": "руб."}, {"ru": "бесплатно"}), "Europe/Moscva")
    assert [(problem.language, problem.message) for problem in style.problems()] == [
        ("ru", "the currency's words must hold {amount} once"),
        ("en", "the currency has no words"),
        ("en", "the currency has no word for free"),
        ("", "the time zone 'Europe/Moscva' is unknown"),
    ]
    assert STYLE.problems() == []
