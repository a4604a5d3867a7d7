"""How numbers, money, dates and times are written in a language, and how Russian is written in Latin letters.

CLDR's data come from Babel, the transliteration from iuliia. Both are slow beside a USSD step, so every result is kept
in a bounded memo: what was shown once costs a dictionary's look-up the next time.
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import iuliia
import phonenumbers
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_skeleton
from babel.numbers import format_decimal

DERIVED: Final = {"ru-Latn": "ru"}
"""Languages that are made from another one by transliteration, and from which."""

CATEGORIES: Final = ("zero", "one", "two", "few", "many", "other")
"""CLDR's plural categories, in the order in which a template lists its forms."""

MEMO: Final = 4096
"""Results kept of each kind of formatting: amounts and dates on everybody's screens are far fewer."""

# International English: the day before the month and a clock of 24 hours, as everything else on a Russian phone.
_LOCALES: Final = {"en": "en_001"}

# Typography that the GSM 7-bit alphabet does not have: one such character would halve what a Latin page can hold.
_TYPOGRAPHY: Final = str.maketrans(
    {
        "«": '"',
        "»": '"',
        "“": '"',
        "”": '"',
        "„": '"',
        "‘": "'",
        "’": "'",
        "‚": "'",
        "`": "'",
        "—": "-",
        "–": "-",
        "‑": "-",
        "−": "-",
        "…": "...",
        "№": "No.",
        "•": "*",
        "×": "x",
        "₽": "RUB",
        "\t": " ",
        "\u00ad": None,
        "\u200b": None,
        "\ufeff": None,
    }
)
# Babel groups digits with these; a phone shows them as a box, or as a space that cannot be broken.
_SPACES: Final = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2007": " "})

_CAPITALS: Final = re.compile(r"\b[А-ЯЁ]{2,}\b")
# What no language needs to change: ASCII without control characters and the grave accent, which GSM does not have.
_EVERYWHERE: Final = re.compile("[\n -_a-~]*").fullmatch


def source_of(language: str) -> str:
    """Return the language that this one is made from, itself where it is written by people."""
    return DERIVED.get(language, language)


@lru_cache(64)
def locale_of(language: str) -> Locale | None:
    """Return the CLDR locale by whose rules a language formats, None where CLDR does not know it."""
    source = source_of(language)
    try:
        return Locale.parse(_LOCALES.get(source, source), sep="-" if "-" in source else "_")
    except (UnknownLocaleError, ValueError):
        return None


@lru_cache(64)
def is_latin(language: str) -> bool:
    """Tell whether a language is written in Latin letters, so that its texts can be kept in the GSM alphabet."""
    if language in DERIVED:
        return True
    locale = locale_of(language)
    if locale is None:
        return False
    likely = locale.script or get_global("likely_subtags").get(locale.language, "")
    return "Latn" in likely


@lru_cache(64)
def plural_categories(language: str) -> tuple[str, ...]:
    """Return the categories that whole numbers fall into, in the order of a template's forms (ru: one, few, many)."""
    rule = _known(language).plural_form
    # The rules look at the last two digits and at zero, and at millions in Romance languages.
    found = {rule(n) for n in (*range(201), 1_000_000)}
    return tuple(category for category in CATEGORIES if category in found)


@lru_cache(MEMO)
def plural(language: str, n: int) -> str:
    """Return the plural category of a whole number."""
    return str(_known(language).plural_form(abs(n)))


@lru_cache(MEMO)
def number(language: str, n: int) -> str:
    """Return a whole number with its digits grouped: `1 500`."""
    return _plain_spaces(format_decimal(n, format="#,##0", locale=_known(language)))


@lru_cache(MEMO)
def amount(language: str, minor: int, digits: int) -> str:
    """Return minor units as an amount, the fraction left out where it is zero: `1 500`, `1 500,50`."""
    whole = minor % 10**digits == 0
    pattern = "#,##0" if whole else "#,##0." + "0" * digits
    return _plain_spaces(format_decimal(Decimal(minor).scaleb(-digits), format=pattern, locale=_known(language)))


@lru_cache(MEMO)
def day(language: str, iso: str) -> str:
    """Return the day and month of a date `YYYY-MM-DD`: `25 ноября`."""
    return _plain_spaces(format_skeleton("MMMMd", date.fromisoformat(iso), locale=_known(language)))


def local_day(language: str, at: int, timezone: str) -> str:
    """Return the day and month of an instant (ms since 1970 UTC) in a time zone: `25 ноября`."""
    return day(language, _local(at // 60_000, timezone).date().isoformat())


def clock(language: str, at: int, timezone: str) -> str:
    """Return the time and day of an instant (ms since 1970 UTC) in a time zone: `18:30 25 ноября`."""
    return _clock(language, at // 60_000, timezone)


@lru_cache(MEMO)
def _clock(language: str, minute: int, timezone: str) -> str:
    local = _local(minute, timezone)
    time = _plain_spaces(format_skeleton("Hm", local, locale=_known(language)))
    return f"{time} {day(language, local.date().isoformat())}"


@lru_cache(MEMO)
def phone(msisdn: str) -> str:
    """Return a MSISDN as people write it: `+7 910 123-45-67`; what is no number stays as it is."""
    try:
        parsed = phonenumbers.parse("+" + msisdn)
    except phonenumbers.NumberParseException:
        return msisdn
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def spell(language: str, text: str) -> str:
    """Return a text in the letters of the reader's language.

    A derived language is transliterated down to ASCII, all of which the GSM alphabet has except the grave accent; a
    Latin one loses only typography that the GSM alphabet has not; others stay as they are.
    """
    if _EVERYWHERE(text):
        return text
    if language in DERIVED:
        return _romanized(text)
    return _typeset(text) if is_latin(language) else _plain_spaces(text)


@lru_cache(MEMO)
def _typeset(text: str) -> str:
    return _plain_spaces(text).translate(_TYPOGRAPHY)


@lru_cache(MEMO)
def _romanized(text: str) -> str:
    # The metro's scheme is ASCII throughout and spells the soft sign as nothing: short, and read without effort.
    latin = unicodedata.normalize("NFC", text).translate(_SPACES).translate(_TYPOGRAPHY)
    # The scheme writes a capital as one capital and the rest small, which turns ЯЗЫК into YaZYK.
    latin = _CAPITALS.sub(lambda word: iuliia.MOSMETRO.translate(word[0]).upper(), latin)
    latin = unicodedata.normalize("NFKD", iuliia.MOSMETRO.translate(latin)).translate(_TYPOGRAPHY)
    kept = (c if c.isascii() else "?" for c in latin if unicodedata.category(c) not in ("Mn", "Cf"))
    return "".join(c if c.isprintable() or c == "\n" else " " for c in kept)


def _plain_spaces(text: str) -> str:
    return text.translate(_SPACES)


def _local(minute: int, timezone: str) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC).astimezone(ZoneInfo(timezone))


def _known(language: str) -> Locale:
    locale = locale_of(language)
    if locale is None:
        raise LookupError(f"CLDR does not know the language {language!r}")
    return locale
