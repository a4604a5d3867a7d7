"""In what a flow is written: its languages, its currency and its time zone, and what is wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from menus import formats
from menus.formats import source_of

T = TypeVar("T")

AMOUNT: Final = "{amount}"


@dataclass(frozen=True)
class Problem:
    """A mistake in a text: in which language's text, at which column (0 is its first character), what and what instead.

    `language` is "" where the mistake is not in one language's text. `missing` is the value that is not there, if that
    is the mistake.
    """

    language: str
    column: int
    message: str
    hint: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Languages:
    """The declared languages of a flow; the first is the default, into which every unknown language falls back.

    `ru-Latn` needs no texts of its own: what is not written for it is made from `ru` by transliteration.
    """

    declared: tuple[str, ...]

    @property
    def default(self) -> str:
        """The first declared language."""
        return self.declared[0]

    @property
    def written(self) -> tuple[str, ...]:
        """The languages that every text must be written in: all but the derived ones."""
        return tuple(language for language in self.declared if source_of(language) == language)

    def source(self, language: str, texts: Mapping[str, T]) -> T | None:
        """Return what is written for a language, or for the one it is derived from; None where nothing is."""
        found = texts.get(language)
        return texts.get(source_of(language)) if found is None else found

    def problems(self) -> list[Problem]:
        """Return what is wrong with the declaration: no language, one twice, an unknown one, `ru-Latn` without `ru`."""
        if not self.declared:
            return [Problem("", 0, "no language is declared", "languages: [ru, en]")]
        found = []
        for place, language in enumerate(self.declared):
            if language in self.declared[:place]:
                found.append(Problem(language, 0, f"the language {language!r} is declared twice"))
            if formats.locale_of(language) is None:
                found.append(Problem(language, 0, f"the language {language!r} is unknown", "a CLDR code, as ru or en"))
            if source_of(language) not in self.declared:
                source = source_of(language)
                found.append(Problem(language, 0, f"{language!r} is made from {source!r}, which is not declared"))
        if self.declared[0] not in self.written:
            found.append(Problem(self.declared[0], 0, "the first language, the default, cannot be a derived one"))
        return found


@dataclass(frozen=True)
class Currency:
    """The flow's currency: ISO 4217 code, digits after the point, `{amount} руб.` and the word for free by language."""

    code: str
    digits: int = 2
    words: Mapping[str, str] = field(default_factory=dict)
    free: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Style:
    """All that a template needs beside its own text: the flow's languages, currency and IANA time zone."""

    languages: Languages
    currency: Currency
    timezone: str

    def problems(self) -> list[Problem]:
        """Return what is wrong with languages, currency or time zone."""
        found = self.languages.problems()
        for language in self.languages.written:
            words = self.currency.words.get(language)
            if words is None:
                found.append(Problem(language, 0, "the currency has no words", f'{language}: "{AMOUNT} руб."'))
            elif words.count(AMOUNT) != 1:
                found.append(Problem(language, 0, f"the currency's words must hold {AMOUNT} once", f'"{AMOUNT} руб."'))
            if language not in self.currency.free:
                found.append(Problem(language, 0, "the currency has no word for free", f"free: {{{language}: ...}}"))
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            found.append(Problem("", 0, f"the time zone {self.timezone!r} is unknown", "as Europe/Moscow"))
        return found
