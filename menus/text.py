"""What is said and how it is written: languages, templates, plurals, money, dates and times.

A template is compiled once, when a flow is loaded; rendering it is joining strings. Every mistake in a template is a
`Problem` with its place in the text, so the compiler can show all of them at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from menus.registry import Shape
from menus.session import Values


@dataclass(frozen=True)
class Problem:
    """A mistake in a text: in which language's text, at which column (0 is its first character), what and what instead.

    `language` is "" where the mistake is not in one language's text (a language is missing).
    """

    language: str
    column: int
    message: str
    hint: str = ""


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
        raise NotImplementedError

    def pick(self, language: str) -> str:
        """Return the language itself where it is declared, else the default."""
        raise NotImplementedError

    def problems(self) -> list[Problem]:
        """Return what is wrong with the declaration: an unknown or repeated language, none at all, `ru-Latn` without `ru`."""
        raise NotImplementedError


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
        raise NotImplementedError


@dataclass(frozen=True)
class Template:
    """A text in every declared language, ready to be rendered."""

    def render(self, language: str, values: Values) -> str:
        """Return the text for this reader; an undeclared language reads the default's."""
        raise NotImplementedError


@dataclass(frozen=True)
class Compiled:
    """A compiled template (also where there are problems; then it must not be rendered), with what it names.

    `names` are the root names of the values that it needs, such as `{"tariff"}` for `{tariff.name}`.
    """

    template: Template
    names: frozenset[str]
    problems: tuple[Problem, ...]


def compile_text(texts: Mapping[str, str], names: Mapping[str, Shape], style: Style) -> Compiled:
    """Compile one text, given by language, against the shapes of the values that will be there when it is rendered."""
    raise NotImplementedError
