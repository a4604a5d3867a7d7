"""What is said: templates compiled once, when a flow is loaded, so that rendering is joining strings.

Every mistake in a template is a `Problem` with its place in the text, so the compiler can show all of them at once.
The syntax is Python's format syntax, parsed by the standard library; what may stand in it is in
`docs/flow-language.md`, and is far less: a value's name and one of our kinds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from string import Formatter
from typing import Final, TypeAlias

from menus import formats
from menus.formats import spell
from menus.registry import Date, Flag, Instant, List, Money, Number, Record, Shape, Text
from menus.session import Value, Values
from menus.style import AMOUNT, Languages, Problem, Style

Writer: TypeAlias = Callable[[Value], str]
"""Writes one value in one language."""
Part: TypeAlias = str | Callable[[Values], str]

KINDS: Final[Mapping[type, tuple[str, ...]]] = {
    Text: ("text", "phone"),
    Number: ("number", "plural"),
    Money: ("money", "price"),
    Date: ("date",),
    Instant: ("time", "date"),
    Flag: ("either",),
}
"""The kinds that each shape can be shown as; the first is used where a template names none, but for a flag."""
FORMS: Final = ("plural", "either")
"""The kinds after which forms are written, `form|form`."""


class Template:
    """A text in every declared language, ready to be rendered."""

    __slots__ = ("_default", "_texts")

    def __init__(self, texts: Mapping[str, tuple[Part, ...]], default: str):
        self._texts = {language: _joined(parts) for language, parts in texts.items()}
        self._default = self._texts.get(default, "")

    @property
    def constant(self) -> bool:
        """Whether it holds no value in any language."""
        return all(isinstance(text, str) for text in self._texts.values())

    def render(self, language: str, values: Values) -> str:
        """Return the text for this reader; an undeclared language reads the default's."""
        text = self._texts.get(language, self._default)
        return text if isinstance(text, str) else text(values)


@dataclass(frozen=True)
class Compiled:
    """A compiled template (also where there are problems; then it must not be rendered), with what it names.

    `names` are the root names of the values that it needs, such as `{"tariff"}` for `{tariff.name}`.
    """

    template: Template
    names: frozenset[str]
    problems: tuple[Problem, ...]


def compile_text(texts: Mapping[str, str], names: Mapping[str, Shape], style: Style) -> Compiled:
    """Compile one text, given by language, against the shapes of the values that will be there when it is rendered.

    Records and lists cannot be shown; everything else can, in one of its `KINDS`, a flag in words of the text's own.
    """
    problems: list[Problem] = []
    used: set[str] = set()
    parts: dict[str, tuple[Part, ...]] = {}
    languages = style.languages
    for language in texts:
        if language not in languages.declared:
            hint = f"declared are {', '.join(languages.declared)}"
            problems.append(Problem(language, 0, f"the language {language!r} is not declared", hint))
    for language in languages.declared:
        source = languages.source(language, texts)
        if source is None:
            if language in languages.written:
                problems.append(Problem(language, 0, f"no text in {language!r}", f"{language}: ..."))
            continue
        compiler = _Compiler(language, names, style)
        parts[language] = tuple(compiler.parts(source))
        used |= compiler.used
        # A derived text repeats its source's mistakes; saying them once is enough.
        if language in texts:
            problems += compiler.problems
    return Compiled(Template(parts, languages.default), frozenset(used), tuple(problems))


def _joined(parts: tuple[Part, ...]) -> Part:
    if all(isinstance(part, str) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    calls = tuple((lambda _values, part=part: part) if isinstance(part, str) else part for part in parts)
    if len(calls) == 1:
        return calls[0]
    return lambda values: "".join([call(values) for call in calls])


@dataclass(frozen=True)
class _Field:
    """A placeholder as it is written: `{name:kind argument}` at a column."""

    column: int
    name: str
    kind: str
    argument: str
    conversion: bool


def _parse(source: str) -> Iterator[str | _Field | Problem]:
    """Split a template into literals and fields; a `Problem` (without its language) ends it."""
    column = 0
    parsed = iter(Formatter().parse(source))
    while True:
        try:
            literal, name, spec, conversion = next(parsed)
        except StopIteration:
            return
        except ValueError:
            brace = next((at for at in range(column, len(source)) if source[at] in "{}"), column)
            yield Problem("", brace, f"a single {source[brace : brace + 1]!r}", "{name} puts a value; {{ is a brace")
            return
        if literal:
            yield literal
        column += len(literal)
        if name is None:
            # "{{" and "}}" end a literal that holds one brace of the two.
            column += literal.endswith(("{", "}"))
            continue
        kind, _, argument = (spec or "").partition(" ")
        yield _Field(column, name, kind, argument.strip(), conversion is not None)
        column += len("{" + name)
        column += 2 if conversion else 0
        column += 1 + len(spec or "") if source[column : column + 1] == ":" else 0
        column += len("}")


class _Compiler:
    """Compiles one language's text of one template, and collects what is wrong with it."""

    def __init__(self, language: str, names: Mapping[str, Shape], style: Style):
        self.language = language
        self.names = names
        self.style = style
        self.used: set[str] = set()
        self.problems: list[Problem] = []

    def parts(self, source: str) -> Iterator[Part]:
        """Yield the text's literals, in the reader's letters, and a closure for each field."""
        stopped = spaced = False
        for piece, following in pairwise([*_parse(source), ""]):
            match piece:
                case str():
                    literal = piece[1:] if stopped else piece
                    spaced = _either(following) and literal.endswith(" ")
                    yield spell(self.language, literal[:-1] if spaced else literal)
                    stopped = False
                case Problem():
                    self.problem(piece.column, piece.message, piece.hint)
                case _Field():
                    part = self.field(piece)
                    stopped = (
                        isinstance(following, str) and following.startswith(".") and not following.startswith("..")
                    )
                    if part is not None:
                        part = _spaced(part) if spaced else part
                        yield _stopped(part) if stopped else part
                    spaced = False

    def problem(self, column: int, message: str, hint: str = "", missing: str = "") -> None:
        self.problems.append(Problem(self.language, column, message, hint, missing))

    def field(self, placed: _Field) -> Callable[[Values], str] | None:
        if placed.conversion:
            self.problem(placed.column, f"{{{placed.name}!...}} is not part of a template", "{name} or {name:kind}")
            return None
        shape = self.shape(placed)
        if shape is None:
            return None
        kinds = KINDS.get(type(shape), ())
        if not kinds or (shape == Flag() and not placed.kind):
            self.unshowable(placed, shape)
            return None
        kind = placed.kind or kinds[0]
        if kind not in kinds:
            hint = "it can be shown as " + " or ".join(kinds)
            message = f"{{{placed.name}}} is {_described(shape)} and cannot be shown as {kind!r}"
            self.problem(placed.column, message, hint)
            return None
        if placed.argument and kind not in FORMS:
            self.problem(placed.column, f"{kind!r} takes nothing after it", f"{{{placed.name}:{kind}}}")
            return None
        if kind == "plural" and not self.forms_fit(placed):
            return None
        if kind == "either" and placed.argument.count("|") != 1:
            message = "'either' takes two forms: where it is so, and where not; one of them may be empty"
            self.problem(placed.column, message, f"{{{placed.name}:either yes|no}}")
            return None
        return _picking(placed.name.split("."), self.writer(kind, shape, placed.argument))

    def shape(self, placed: _Field) -> Shape | None:
        """Follow a dotted name through the shapes."""
        root, *steps = placed.name.split(".")
        if root not in self.names:
            self.problem(placed.column, f"there is no value {root!r} here", _meant(root, self.names), root)
            return None
        self.used.add(root)
        shape = self.names[root]
        for place, step in enumerate(steps):
            before = ".".join([root, *steps[:place]])
            if not isinstance(shape, Record):
                self.problem(placed.column, f"{before!r} is {_described(shape)} and has no fields", f"{{{before}}}")
                return None
            if step not in shape.fields:
                self.problem(placed.column, f"{before!r} has no field {step!r}", _meant(step, shape.fields))
                return None
            shape = shape.fields[step]
        return shape

    def unshowable(self, placed: _Field, shape: Shape) -> None:
        hint = f"use it in a condition, or say {{{placed.name}:either yes|no}}" if isinstance(shape, Flag) else ""
        if isinstance(shape, Record):
            hint = "one of its fields: " + ", ".join(f"{{{placed.name}.{name}}}" for name in shape.fields)
        if isinstance(shape, List):
            hint = "show it with a node of the kind `list`"
        self.problem(placed.column, f"{placed.name!r} is {_described(shape)} and cannot be shown in a text", hint)

    def forms_fit(self, placed: _Field) -> bool:
        wanted = formats.plural_categories(self.language)
        forms = [form.strip() for form in placed.argument.split("|")]
        # Russian has a fourth form, for fractions; people who know CLDR write it, and whole numbers never need it.
        if all(forms) and len(forms) in (len(wanted), len({*wanted, "other"})):
            return True
        message = f"{len([form for form in forms if form])} plural forms where {self.language!r} has {len(wanted)}"
        self.problem(placed.column, message, f"{{{placed.name}:plural {'|'.join(wanted)}}}")
        return False

    def writer(self, kind: str, shape: Shape, argument: str) -> Writer:
        language, style = self.language, self.style
        match kind:
            case "text":
                return _localized(language, style.languages) if shape == Text(localized=True) else _spelling(language)
            case "phone":
                return formats.phone
            case "number":
                return _spelled(language, lambda n: formats.number(language, n))
            case "plural":
                categories = formats.plural_categories(language)
                forms = dict(zip(categories, [form.strip() for form in argument.split("|")], strict=False))
                forms = {category: spell(language, form) for category, form in forms.items()}
                return lambda n: forms[formats.plural(language, n)]
            case "either":
                so, otherwise = [spell(language, form.strip()) for form in argument.split("|")]
                return lambda flag: so if flag else otherwise
            case "money":
                return _money(language, style)
            case "price":
                money, free = _money(language, style), spell(language, _word(style, language, style.currency.free))
                return lambda minor: money(minor) if minor else free
            case "date" if isinstance(shape, Date):
                return _spelled(language, lambda iso: formats.day(language, iso))
            case "date":
                return _spelled(language, lambda at: formats.local_day(language, at, style.timezone))
            case "time":
                return _spelled(language, lambda at: formats.clock(language, at, style.timezone))
            case _:
                raise AssertionError(f"no writer for the kind {kind!r}")


def _either(piece: str | _Field | Problem) -> bool:
    return isinstance(piece, _Field) and piece.kind == "either"


def _spaced(part: Callable[[Values], str]) -> Callable[[Values], str]:
    """Put the blank before a form, and none where the form is empty."""

    def write(values: Values) -> str:
        text = part(values)
        return f" {text}" if text else text

    return write


def _stopped(part: Callable[[Values], str]) -> Callable[[Values], str]:
    """End a value with a full stop, but "450 руб." not with two."""

    def write(values: Values) -> str:
        text = part(values)
        return text if text.endswith(".") else text + "."

    return write


def _spelling(language: str) -> Writer:
    return lambda text: spell(language, text)


def _spelled(language: str, write: Writer) -> Writer:
    return lambda value: spell(language, write(value))


def _localized(language: str, languages: Languages) -> Writer:
    def write(texts: Mapping[str, str]) -> str:
        text = texts.get(language)
        if text is None:
            text = languages.source(language, texts)
        if text is None:
            # What the operator has not translated is better read in another language than not at all.
            text = texts.get(languages.default) or next(iter(texts.values()), "")
        return spell(language, text)

    return write


def _money(language: str, style: Style) -> Writer:
    before, _, after = _word(style, language, style.currency.words).partition(AMOUNT)
    before, after, digits = spell(language, before), spell(language, after), style.currency.digits
    return lambda minor: before + spell(language, formats.amount(language, minor, digits)) + after


def _word(style: Style, language: str, words: Mapping[str, str]) -> str:
    return style.languages.source(language, words) or ""


def _picking(path: list[str], write: Writer) -> Callable[[Values], str]:
    if len(path) == 1:
        (name,) = path
        return lambda values: write(values[name])
    if len(path) == 2:
        first, second = path
        return lambda values: write(values[first][second])

    def walk(values: Values) -> str:
        value: Value = values
        for name in path:
            value = value[name]
        return write(value)

    return walk


def _described(shape: Shape) -> str:
    return {Text: "a text", Money: "an amount", Date: "a date", Instant: "a time", Flag: "a yes or no"}.get(
        type(shape), f"a {type(shape).__name__.lower()}"
    )


def _meant(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "there are " + ", ".join(sorted(known)) if known else "no value is known here"
