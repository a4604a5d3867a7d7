"""A dialect as the file that would say all of it."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from smpp.dialect import Dialect, Ending
from ussd_server.dialects.schema import DELIVER, OTHERS, PUSHED, SECTIONS, SINGLE, SUBMIT, TAGS

_WORDS: Final[dict[str, Mapping[str, Any]]] = {
    "session_tag": TAGS,
    "push_session": PUSHED,
    "others_abort": OTHERS,
    "deliver": DELIVER,
    "submit": SUBMIT,
}
_DECIMAL: Final = frozenset({"session_octets", "septets", "ucs2_units"})
_ONE_OF: Final = frozenset({"dialled", "alphabet"})
_MASKS: Final = frozenset({"id_mask", "sequence_mask", "end_mask"})


def written(dialect: Dialect) -> str:
    """Return a file without a base that describes this dialect."""
    lines = [f"{name}: {_value(dialect, key.field)}" for name, key in SINGLE.items() if getattr(dialect, key.field)]
    for section, keys in SECTIONS.items():
        if section == "session" and dialect.session_tag is None:
            lines += ["", "session: none"]
            continue
        lines += ["", f"{section}:", *(f"  {name}: {_value(dialect, key.field)}" for name, key in keys.items())]
    if dialect.statuses:
        lines += ["", "statuses:", *(f"  0x{code:X}: {_quoted(text)}" for code, text in dialect.statuses.items())]
    return "\n".join(lines) + "\n"


def _value(dialect: Dialect, field: str) -> str:
    value = getattr(dialect, field)
    for word, meant in _WORDS.get(field, {}).items():
        if value == meant:
            return word
    match value:
        case bool():
            return str(value).lower()
        case None | ():
            return "none"
        case 0 if field in _MASKS:
            return "none"
        case int():
            return str(value) if field in _DECIMAL else f"0x{value:02X}"
        case tuple():
            return f"[{', '.join(_sign(sign) for sign in value)}]"
        case frozenset():
            return f"[{', '.join(word for word in get_args(Ending) if word in value)}]" if value else "none"
    return str(value) if field in _ONE_OF else _quoted(value)


def _sign(sign: int | str) -> str:
    return _quoted(sign) if isinstance(sign, str) else f"0x{sign:02X}"


def _quoted(text: str) -> str:
    """Return a text in quotes, so that no character in it has a meaning in YAML."""
    return "'" + text.replace("'", "''") + "'"
