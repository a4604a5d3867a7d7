"""A dialect file's shape: what keys there are, what each takes, and what must agree between them.

`read_values` turns a file into fields of `smpp.dialect.Dialect`; every mistake is noted with its place and its mend.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from menus.near_names import meant
from menus.source import Mark, Path, Source
from smpp.alphabets import Alphabet, alphabet_of
from smpp.constants import CommandId, Tag
from smpp.dialect import Ending, Place, Sign

Values: TypeAlias = dict[str, Any]
"""Fields of a `Dialect` by name."""

TAGS: Final = {
    "its_session_info": int(Tag.ITS_SESSION_INFO),
    "user_message_reference": int(Tag.USER_MESSAGE_REFERENCE),
}
TAKEN: Final = {int(Tag.USSD_SERVICE_OP): "ussd_service_op", int(Tag.MESSAGE_PAYLOAD): "message_payload"}
DELIVER: Final = {"deliver_sm": int(CommandId.DELIVER_SM), "data_sm": int(CommandId.DATA_SM)}
SUBMIT: Final = {"submit_sm": int(CommandId.SUBMIT_SM), "data_sm": int(CommandId.DATA_SM)}
OTHERS: Final = {"continue": False, "abort": True}
PUSHED: Final = {"ours": True, "gateway": False}

MAX_SERVICE_TYPE: Final = 5
"""SMPP 3.4, 5.2.11: 6 octets with the closing NUL."""
MAX_OCTETS: Final = 8
MAX_SIGNS: Final = 32
MAX_WILD: Final = 2
"""Letters of a received service_type that may be any."""
MAX_WORDS: Final = 200
MAX_STATUSES: Final = 200


class _Wrong(Exception):
    """A value cannot be taken; stays inside this module."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


# Kinds of values ------------------------------------------------------------------------------------------------------


def _number(least: int, most: int, what: str = "a whole number") -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            top = f"0x{most:X}" if most > 0xFF else str(most)
            wrong = "is out of bounds" if type(value) is int else f"is not {what}"
            raise _Wrong(f"{_shown(value)} {wrong}", f"it is from {least} to {top}")
        return value

    return read


def _one_of(known: Mapping[str, Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise _Wrong(f"{_shown(value)} is not known", meant(str(value), known))
        return known[value]

    return read


def _words(kind: Any) -> dict[str, str]:
    return {word: word for word in get_args(kind)}


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise _Wrong(f"{_shown(value)} is not true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_WORDS:
        raise _Wrong(f"{_shown(value)} is not a text", f"one of at most {MAX_WORDS} characters")
    return value.strip()


def _service_type(value: Any) -> str:
    """Read a service_type; an empty one stands in quotes."""
    if not isinstance(value, str) or not value.isascii() or not (value.isprintable() or not value):
        raise _Wrong(f"{_shown(value)} is not a service_type", "it is letters and digits, as USSD")
    if len(value) > MAX_SERVICE_TYPE:
        raise _Wrong(f"{_shown(value)} is longer than a service_type", f"at most {MAX_SERVICE_TYPE} characters")
    return value


def _tag(value: Any) -> int:
    if isinstance(value, str) and value in TAGS:
        return TAGS[value]
    if type(value) is not int or not 0 <= value <= 0xFFFF:
        raise _Wrong(f"{_shown(value)} is not a TLV", f"{', '.join(TAGS)}, or its number as 0x1501")
    if value in TAKEN:
        raise _Wrong(f"0x{value:04X} is {TAKEN[value]}", "the session id travels in another TLV")
    return value


def _mask(value: Any) -> int:
    """Read a mask: bits that stand together, 0 or `none` for no bits."""
    if value == "none":
        return 0
    mask = _number(0, (1 << 8 * MAX_OCTETS) - 1, "a mask as 0xFFFE, or none")(value)
    if mask and (mask // (mask & -mask) + 1) & (mask // (mask & -mask)):
        raise _Wrong(f"the bits of 0x{mask:X} do not stand together", "as 0xFF00, 0xFFFE")
    return mask


def _sign(value: Any) -> Sign:
    if value == "none":
        raise _Wrong("there is none", "without it nothing can be said")
    if isinstance(value, str) and value.count("?") > MAX_WILD:
        raise _Wrong(f"{value} may be too many things", f"at most {MAX_WILD} of ?")
    if isinstance(value, str) and value and not value.isdigit():
        return _service_type(value)
    if type(value) is not int or not 0 <= value <= 0xFF:
        raise _Wrong(f"{_shown(value)} marks no step", "an op as 0x01, or a service_type as PSSRR")
    return value


def _sign_sent(value: Any) -> Sign:
    sign = _sign(value)
    if isinstance(sign, str) and "?" in sign:
        raise _Wrong(f"{sign} is sent, so it must be one service_type", "write it without ?")
    return sign


def _sign_or_none(value: Any) -> Sign | None:
    return None if value == "none" else _sign_sent(value)


def _signs(value: Any) -> tuple[Sign, ...]:
    """Read what marks a received step: one sign, several, or `none`; the first is what the gateway itself sends."""
    if value == "none":
        return ()
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_SIGNS:
        raise _Wrong(f"there are {len(values)}", f"at most {MAX_SIGNS}")
    signs = tuple(_sign(each) for each in values)
    if signs and isinstance(signs[0], str) and "?" in signs[0]:
        raise _Wrong(f"{signs[0]} comes first, so it is what the gateway sends", "put one without ? before it")
    return signs


def _some_signs(value: Any) -> tuple[Sign, ...]:
    signs = _signs(value)
    if not signs:
        raise _Wrong("there is none", "without it nothing can be said")
    return signs


def _endings(value: Any) -> frozenset[Ending]:
    if value == "none":
        return frozenset()
    values = value if isinstance(value, list) else [value]
    read = _one_of(_words(Ending))
    return frozenset(read(each) for each in values)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
    return repr(value)


# The keys -------------------------------------------------------------------------------------------------------------


class Key(NamedTuple):
    """A key of a section: the field of `Dialect` that it sets, and what reads it."""

    field: str
    read: Callable[[Any], Any]


SECTIONS: Final[dict[str, dict[str, Key]]] = {
    "session": {
        "tag": Key("session_tag", _tag),
        "octets": Key("session_octets", _number(1, MAX_OCTETS)),
        "id": Key("id_mask", _mask),
        "count": Key("sequence_mask", _mask),
        "end": Key("end_mask", _mask),
        "pushed": Key("push_session", _one_of(PUSHED)),
    },
    "received": {
        "begin": Key("begin", _some_signs),
        "answer": Key("answer", _some_signs),
        "last_answer": Key("last_answer", _signs),
        "confirm": Key("confirm", _signs),
        "closed": Key("closed", _signs),
        "abort": Key("abort", _signs),
        "others": Key("others_abort", _one_of(OTHERS)),
        "tells": Key("tells", _endings),
        "dialled": Key("dialled", _one_of(_words(Place))),
        "in": Key("deliver", _one_of(DELIVER)),
    },
    "sent": {
        "menu": Key("menu", _sign_sent),
        "end": Key("end", _sign_sent),
        "end_pushed": Key("end_pushed", _sign_sent),
        "ask": Key("ask", _sign_or_none),
        "notify": Key("notify", _sign_or_none),
        "release": Key("release", _sign_or_none),
        "end_bit": Key("sets_end_bit", _truth),
        "in": Key("submit", _one_of(SUBMIT)),
    },
    "text": {
        "alphabet": Key("alphabet", _one_of(_words(Alphabet))),
        "gsm": Key("gsm_coding", _number(0, 0xFF)),
        "ucs2": Key("ucs2_coding", _number(0, 0xFF)),
        "septets": Key("septets", _number(40, 182)),
        "ucs2_units": Key("ucs2_units", _number(30, 80)),
    },
}
SINGLE: Final = {"about": Key("about", _text), "service_type": Key("service_type", _service_type)}
PATHS: Final[dict[str, Path]] = {
    **{key.field: (name,) for name, key in SINGLE.items()},
    **{key.field: (section, name) for section, keys in SECTIONS.items() for name, key in keys.items()},
}
"""Where each field stands in a file."""


def read_values(source: Source) -> Values:
    """Return the fields that a file sets; what cannot be taken is among the source's problems and left out."""
    values: Values = {}
    data = source.data
    if not isinstance(data, dict):
        if not source.problems:
            source.add(Mark(1, 1), "this is no dialect file", "begin with: base: standard")
        return values
    known = {"base", *SINGLE, *SECTIONS, "statuses"}
    for name, value in data.items():
        if name in SINGLE:
            _take(source, (name,), SINGLE[name], value, values)
        elif name == "session" and value == "none":
            values["session_tag"] = None
        elif name in SECTIONS:
            _section(source, name, value, values)
        elif name == "statuses":
            values["statuses"] = _statuses(source, value)
        elif name not in known:
            source.add(source.key_mark((name,)), f"unknown key {name!r}", meant(name, sorted(known)))
    return values


def _section(source: Source, section: str, value: Any, values: Values) -> None:
    keys = SECTIONS[section]
    if not isinstance(value, dict):
        words = ", or none" if section == "session" else ""
        source.add(source.value_mark((section,)), f"{section} is a mapping{words}", f"its keys are {', '.join(keys)}")
        return
    for name, inner in value.items():
        if name in keys:
            _take(source, (section, name), keys[name], inner, values)
        else:
            source.add(
                source.key_mark((section, name)), f"unknown key {name!r} in {section}", meant(name, sorted(keys))
            )


def _take(source: Source, path: Path, key: Key, value: Any, values: Values) -> None:
    try:
        values[key.field] = key.read(value)
    except _Wrong as wrong:
        mark = source.key_mark(path) if value is None else source.value_mark(path)  # nothing stands nowhere
        source.add(mark, f"{path[-1]}: {wrong}", wrong.mend)


def _statuses(source: Source, value: Any) -> dict[int, str]:
    """Read the gateway's own statuses: numbers and what they mean."""
    if not isinstance(value, dict) or len(value) > MAX_STATUSES:
        source.add(source.value_mark(("statuses",)), "statuses is a mapping", "as 0x407: dialogue not found")
        return {}
    statuses: dict[int, str] = {}
    for code, meaning in value.items():
        try:
            number = int(code, 0)
        except ValueError:
            number = 0
        if not 0 < number <= 0xFFFFFFFF:
            source.add(source.key_mark(("statuses", code)), f"{code!r} is not a command_status", "as 0x407")
            continue
        words: Values = {}
        _take(source, ("statuses", code), Key("meaning", _text), meaning, words)
        if words:
            statuses[number] = words["meaning"]
    return statuses


# What must agree ------------------------------------------------------------------------------------------------------

RECEIVED: Final = ("begin", "answer", "last_answer", "confirm", "closed", "abort")


def check_values(source: Source, values: Values) -> None:
    """Note what does not agree between a whole dialect's fields; `source` is the file that was read last."""
    _check_session(source, values)
    _check_received(source, values)
    _check_sent(source, values)
    _check_text(source, values)


def _note(source: Source, field: str, message: str, mend: str = "") -> None:
    source.add(source.value_mark(PATHS[field]), message, mend)


def _check_session(source: Source, values: Values) -> None:
    if values["session_tag"] is None:
        return
    masks = [(field, values[field]) for field in ("id_mask", "sequence_mask", "end_mask")]
    room = (1 << 8 * values["session_octets"]) - 1
    taken: dict[str, int] = {}
    for field, mask in masks:
        name = PATHS[field][1]
        if mask & ~room:
            _note(source, field, f"{name}: 0x{mask:X} does not fit {values['session_octets']} octets")
        for other, bits in taken.items():
            if mask & bits:
                _note(source, field, f"{name}: 0x{mask:X} has bits of {other}, 0x{bits:X}", "each bit means one thing")
        taken[str(name)] = mask
    if not values["id_mask"]:
        _note(source, "id_mask", "id: no bits name the dialogue", "where no id travels, write session: none")
    if values["end_mask"] & (values["end_mask"] - 1):
        _note(source, "end_mask", f"end: 0x{values['end_mask']:X} is several bits", "it is one, as 0x0001")


def _check_received(source: Source, values: Values) -> None:
    """An op may begin and answer, for then the dialogue tells which; anything else named twice is a mistake."""
    first: dict[Sign, str] = {}
    for field in RECEIVED:
        for sign in values[field]:
            other = first.setdefault(sign, field)
            if other != field and (other, field) != ("begin", "answer"):
                shown = sign if isinstance(sign, str) else f"0x{sign:02X}"
                _note(source, field, f"{field}: {shown} is {other} already", "each means one thing")
    bit = values["session_tag"] is not None and values["end_mask"]
    if values["tells"] and not values["abort"] and not bit:
        mend = "give abort, or session.end, or write tells: none"
        _note(source, "tells", "tells: nothing can say that a dialogue is over", mend)


def _check_text(source: Source, values: Values) -> None:
    """A data_coding must mean the alphabet that the text will be in, or what is shown is unreadable."""
    for field, right in (("gsm_coding", False), ("ucs2_coding", True)):
        alphabet = alphabet_of(values[field], values["alphabet"])
        if (alphabet == "ucs2") != right:
            mend = "8, 0x48, 0x18 to 0x1B mean UCS-2" if right else "0, 0x0F, 0xF0 to 0xF3 mean GSM"
            _note(source, field, f"{PATHS[field][1]}: data_coding 0x{values[field]:02X} means {alphabet}", mend)


def _check_sent(source: Source, values: Values) -> None:
    bit = values["session_tag"] is not None and values["end_mask"] and values["sets_end_bit"]
    for field in ("end", "end_pushed"):
        if values[field] in (values["menu"], values["ask"]) and not bit:
            mend = "give end an op of its own, or session.end and end_bit: true"
            _note(source, field, f"{field}: the gateway cannot tell it from a menu", mend)
    if values["release"] is not None and values["release"] in (values["menu"], values["ask"], values["end"]):
        _note(source, "release", "release: the gateway cannot tell it from another step", "give it an op of its own")
