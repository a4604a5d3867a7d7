"""A flow file's shape: what keys there are and what kind of value each takes, as closed models.

`load` reads a file into a `Document` and finds everything that is wrong with its shape. What needs more than one place
to judge (names, targets, texts) is the compiler's. The texts themselves, calls and conditions stay as they are written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from menus.limits import MAX_ENTRIES, MAX_NODES, MAX_OPTIONS
from menus.near_names import meant_key, some
from menus.source import Mark, Path, Problem, Source, read

__all__ = ["Document", "FlowErrors", "Problem", "json_schema", "load"]

NAME: Final = r"^[a-z][a-z0-9_]{0,39}$"
SERVICE: Final = r"^[a-z][a-z0-9_-]{0,39}$"
DURATION: Final = r"^[1-9][0-9]{0,4} (s|min|h|d)$"
_UNITS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
DAY: Final = r"^\d{4}-\d\d-\d\d$"
NUMBERS: Final = r"^[0-9]{1,15}\*?$"
CHANNELS: Final = ("ussd", "sms", "terminal")
"""The channels that a text or a condition may name."""
PATTERN_HINTS: Final = {
    NAME: "a name is small letters, digits and _, and begins with a letter",
    SERVICE: "small letters, digits, - and _",
    DURATION: "as 30 s, 10 min, 2 h",
    DAY: "as 2009-11-16",
    NUMBERS: 'digits, and * for the rest: "7910*"',
}

Name: TypeAlias = Annotated[str, StringConstraints(pattern=NAME)]
Duration: TypeAlias = Annotated[str, StringConstraints(pattern=DURATION)]
Day: TypeAlias = Annotated[str, StringConstraints(pattern=DAY)]
Policy: TypeAlias = Literal["restart", "ask", "continue"]

_TEXT_SCHEMA: Final = {
    "description": "A text, {ru: ..., en: ...}, or by channel {ussd: ..., other: ...}",
    "anyOf": [{"type": "string"}, {"type": "object"}],
}
_TARGET_SCHEMA: Final = {
    "description": "A node, or {to: node, as: name} to name the outcome's value",
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"to": {"type": "string"}, "as": {"type": "string"}}, "required": ["to"]},
    ],
}
Wording: TypeAlias = Annotated[Any, WithJsonSchema(_TEXT_SCHEMA)]
"""A text as it is written; the compiler takes it apart, for it needs the place of each language."""
Target: TypeAlias = Annotated[Any, WithJsonSchema(_TARGET_SCHEMA)]


class FlowErrors(ValueError):
    """A flow file with mistakes: all of them, in the order in which they stand in the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Open(BaseModel):
    """Takes further keys (languages, outcomes), which the compiler judges."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    @property
    def others(self) -> dict[str, Any]:
        """The keys beside the declared ones."""
        return self.model_extra or {}


# The head -------------------------------------------------------------------------------------------------------------


class Currency(_Open):
    """`{code: RUB, digits: 2, ru: "{amount} руб.", free: {ru: бесплатно}}`."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    digits: Annotated[int, Field(ge=0, le=4)] = 2
    free: dict[str, str] = Field(default_factory=dict)


class Resume(_Closed):
    """What becomes of a session that was dropped."""

    after_drop: Policy = "restart"
    within: Duration = "10 min"


class Availability(_Closed):
    """Trial operation: the days and the numbers that the service is for, and what others read."""

    first: Day | None = Field(default=None, alias="from")
    until: Day | None = None
    numbers: list[Annotated[str, StringConstraints(pattern=NUMBERS)]] | None = None
    outside: Wording


class UssdEntry(_Closed):
    """A dialled code that leads to a node."""

    ussd: str
    to: Name


class SmsEntry(_Closed):
    """A text to a number that leads to a node."""

    sms: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}$")]
    text: str | list[str]
    to: Name


class TerminalEntry(_Closed):
    """A word by which terminals enter, of those that the server knows, that leads to a node."""

    terminal: str
    to: Name


class PushEntry(_Closed):
    """A screen that may be pushed to a subscriber, by its name, and how."""

    push: Name
    to: Name
    category: Literal["service", "offer"] = "offer"
    after: Duration | None = None
    within: Duration = "10 min"
    urgent: bool = False


Entry: TypeAlias = UssdEntry | SmsEntry | TerminalEntry | PushEntry
_ENTRIES: Final[Mapping[str, type[UssdEntry] | type[SmsEntry] | type[TerminalEntry] | type[PushEntry]]] = {
    "ussd": UssdEntry,
    "sms": SmsEntry,
    "terminal": TerminalEntry,
    "push": PushEntry,
}

# Nodes ----------------------------------------------------------------------------------------------------------------


class Option(_Open):
    """A choice: `{ru: Тарифы, en: Tariffs, to: tariffs}`, or its label in `text`."""

    to: Name
    text: Wording = None
    when: str | None = None
    set: dict[Name, str | int | bool] = Field(default_factory=dict)


class _Screen(_Closed):
    navigation: Literal["none"] | None = None
    resume: Policy | None = None
    tries: Annotated[int, Field(ge=1, le=20)] | None = None


class _Call(_Open):
    name: Name | None = Field(default=None, alias="as")


class Menu(_Screen):
    """Shows numbered options."""

    kind: ClassVar[Literal["menu"]] = "menu"
    menu: Wording
    options: Annotated[list[Option], Field(min_length=1, max_length=MAX_OPTIONS)]


class Message(_Screen):
    """Shows a text, with options where there are some."""

    kind: ClassVar[Literal["message"]] = "message"
    message: Wording
    options: Annotated[list[Option], Field(max_length=MAX_OPTIONS)] = Field(default_factory=list)


class List(_Call):
    """Shows what an operation returns as numbered options."""

    kind: ClassVar[str] = "list"
    list: str
    title: Wording
    each: Name
    item: Wording
    to: Name
    empty: Target
    navigation: Literal["none"] | None = None
    resume: Policy | None = None
    tries: Annotated[int, Field(ge=1, le=20)] | None = None


class Input(_Screen):
    """Asks for a value."""

    kind: ClassVar[str] = "input"
    input: Wording
    name: Name = Field(alias="as")
    accept: str
    secret: bool = False
    invalid: Wording = None
    to: Name


class Confirm(_Screen):
    """Asks yes or no."""

    kind: ClassVar[Literal["confirm"]] = "confirm"
    confirm: Wording
    yes: Target
    no: Target


class Query(_Call):
    """Asks the outside."""

    kind: ClassVar[str] = "query"
    query: str


class Do(_Call):
    """Changes the subscriber's own record."""

    kind: ClassVar[str] = "do"
    do: str


class Command(_Call):
    """Orders something whose outcome comes later."""

    kind: ClassVar[str] = "command"
    command: str
    say: Wording = None
    to: Name | None = None


class Check(_Closed):
    """Goes one way or the other."""

    kind: ClassVar[str] = "check"
    check: str
    yes: Name
    no: Name


class End(_Closed):
    """Shows a text and closes."""

    kind: ClassVar[str] = "end"
    end: Wording


Node: TypeAlias = Menu | Message | List | Input | Confirm | Query | Do | Command | Check | End
KINDS: Final[Mapping[str, type[Node]]] = {
    model.kind: model for model in (Menu, Message, List, Input, Confirm, Query, Do, Command, Check, End)
}


class Head(_Closed):
    """All of a flow file; nodes and entries are validated one by one, each by its own model."""

    service: Annotated[str, StringConstraints(pattern=SERVICE)]
    languages: Annotated[list[str], Field(min_length=1, max_length=16)]
    timezone: str = "UTC"
    currency: Currency | None = None
    resume: Resume = Resume()
    tries: Annotated[int, Field(ge=1, le=20)] = 3
    home: Name
    availability: Availability | None = None
    texts: dict[str, Wording] = Field(default_factory=dict)
    entries: Annotated[list[Any], Field(min_length=1, max_length=MAX_ENTRIES)]
    nodes: Annotated[dict[str, Any], Field(min_length=1, max_length=MAX_NODES)]


class _File(Head):
    """What editors are told: the same with typed entries and nodes."""

    entries: Annotated[list[Entry], Field(min_length=1, max_length=MAX_ENTRIES)]
    nodes: Annotated[dict[Name, Node], Field(min_length=1, max_length=MAX_NODES)]


@dataclass
class Document:
    """A flow file as far as its shape is right. `head` is None where not even that can be read."""

    source: Source
    head: Head | None = None
    entries: dict[int, Entry] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)


def milliseconds(duration: Duration) -> int:
    """Return how long `10 min` is."""
    number, unit = duration.split(" ")
    return int(number) * _UNITS[unit]


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys that a model declares, as they are written."""
    return [found.alias or name for name, found in model.model_fields.items()]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a flow file, for editors."""
    return TypeAdapter(_File).json_schema()


def load(content: str | bytes, file: str) -> Document:
    """Read a flow file; the mistakes in its shape are in `source.problems`."""
    source = read(content, file)
    document = Document(source)
    if not isinstance(source.data, dict):
        if not source.problems:
            source.add(Mark(1, 1), "a flow file is a mapping", "it begins with service: and a name")
        return document
    document.head = _validated(Head, source, (), "the file") or _known_part(source.data)
    for index, entry in enumerate(_sequence(source.data.get("entries"))):
        path: Path = ("entries", index)
        model = _entry_model(entry, source, path)
        if model is not None and (found := _validated(model, source, path, "the entry")) is not None:
            document.entries[index] = found
    for name, node in _mapping(source.data.get("nodes")).items():
        if (checked := _node(name, node, source)) is not None:
            document.nodes[name] = checked
    return document


def _known_part(data: dict[str, Any]) -> Head | None:
    """Return the head as far as it is right, with what is usual for the rest: the nodes can be judged by it.

    None where a key is wrong by which the nodes are judged.
    """
    known = {key: value for key, value in data.items() if key in keys_of(Head)}
    try:
        return Head.model_validate(known)
    except ValidationError as error:
        wrong = {str(details["loc"][0]) for details in error.errors(include_url=False)}
    if wrong & {"languages", "texts", "nodes"}:
        return None
    start = next((name for name in known["nodes"] if re.fullmatch(NAME, str(name))), None)
    instead = {"service": "unnamed", "home": start, "entries": [None]}
    right = {key: value for key, value in known.items() if key not in wrong}
    try:
        return Head.model_validate({key: instead[key] for key in wrong & instead.keys()} | right)
    except ValidationError:
        return None


def _sequence(value: Any) -> Sequence[Any]:
    return value[:MAX_ENTRIES] if isinstance(value, list) else ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) and len(value) <= MAX_NODES else {}


def _entry_model(
    entry: Any, source: Source, path: Path
) -> type[UssdEntry] | type[SmsEntry] | type[TerminalEntry] | type[PushEntry] | None:
    for key, model in _ENTRIES.items():
        if isinstance(entry, dict) and key in entry:
            return model
    hint = '{ussd: "*111#", to: main}'
    source.add(source.value_mark(path), "an entry needs 'ussd', 'sms', 'terminal' or 'push'", hint)
    return None


def _node(name: str, node: Any, source: Source) -> Node | None:
    path: Path = ("nodes", name)
    _check_name(name, source, path)
    if not isinstance(node, dict) or not node:
        source.add(source.value_mark(path), f"node {name!r} is not a mapping", f"its first key is one of {some(KINDS)}")
        return None
    kind = next(iter(node))
    model = KINDS.get(kind)
    if model is None:
        elsewhere = [key for key in node if key in KINDS]
        close = get_close_matches(kind, KINDS, 1)
        hint = f"put {elsewhere[0]!r} first" if elsewhere else f"did you mean {close[0]!r}?" if close else ""
        mark = source.key_mark((*path, kind))
        source.add(mark, f"node {name!r} begins with {kind!r}, which is no kind", hint or f"kinds are {some(KINDS)}")
        return None
    checked: Node | None = _validated(model, source, path, f"{kind} {name!r}")
    return checked


def _check_name(name: str, source: Source, path: Path) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        source.add(source.key_mark(path), f"{name!r} is no name for a node", PATTERN_HINTS[NAME])


# Mistakes in our own words --------------------------------------------------------------------------------------------


def _validated(model: type[Any], source: Source, path: Path, what: str) -> Any:
    data: Any = source.data
    for step in path:
        data = data[step]
    try:
        return model.model_validate(data)
    except ValidationError as error:
        keys = frozenset(str(key[-1]) for key in source.keys)
        for details in error.errors(include_url=False):
            _explain(details, model, source, path, what, keys)
        return None


def _explain(
    details: ErrorDetails, model: type[BaseModel], source: Source, base: Path, what: str, keys: frozenset[str]
) -> None:
    # A union puts the name of each tried member into the path; only what is a real key or index is a place.
    inner: list[str | int] = [step for step in details["loc"] if isinstance(step, int) or step in keys]
    path: Path = (*base, *inner)
    kind, context = details["type"], details.get("ctx", {})
    last = next((step for step in reversed(inner) if isinstance(step, str)), "")
    where = what if len(inner) < 2 else f"{'.'.join(str(step) for step in inner[:-1])} of {what}"
    subject = f"{last!r} in {what}" if last else what
    mark, hint = source.value_mark(path), ""
    match kind:
        case "extra_forbidden":
            mark, message = source.key_mark(path), f"unknown key {last!r} in {where}"
            hint = meant_key(last, _keys_at(model, inner))
        case "missing":
            key = str(details["loc"][-1])
            mark = source.value_mark((*base, *(step for step in inner if step != key)))
            message = f"{what if len(details['loc']) < 2 else where} has no {key!r}"
        case "string_type":
            message = f"{subject} must be a text"
            hint = f'in quotes: "{source.raw[path]}"' if source.raw.get(path) else ""
        case "string_pattern_mismatch":
            message = f"{subject} cannot be {details['input']!r}"
            hint = PATTERN_HINTS.get(str(context["pattern"]), f"it must look like {context['pattern']}")
        case "literal_error":
            message = f"{subject} cannot be {details['input']!r}"
            hint = f"it is {context['expected']}"
        case "bool_type":
            message, hint = f"{subject} must be true or false", ""
        case "int_type":
            message, hint = f"{subject} must be a whole number", ""
        case "list_type":
            message, hint = f"{subject} must be a list", "[..., ...]"
        case "dict_type" | "model_type" | "model_attributes_type":
            message, hint = f"{subject} must be a mapping", "{key: value}"
        case "too_long" | "too_short":
            message = f"{subject} has {context['actual_length']}"
            bound = "max_length" if kind == "too_long" else "min_length"
            hint = f"at {'most' if kind == 'too_long' else 'least'} {context[bound]}"
        case _:
            message = f"{subject}: {details['msg'][0].lower()}{details['msg'][1:]}"
    # A value that fits no member of a union is reported once for each of them; the first says enough.
    if not (kind.endswith("_type") and any((p.line, p.column) == (mark.line, mark.column) for p in source.problems)):
        source.add(mark, message, hint)


def _keys_at(model: type[BaseModel], inner: Sequence[str | int]) -> list[str]:
    """Return the keys that may stand where an unknown one does."""
    for step in inner[:-1]:
        found = model.model_fields.get(str(step))
        annotation = found.annotation if found else None
        model = next((part for part in (Availability, Resume) if annotation in (part, part | None)), model)
    return keys_of(model)
