"""A script of faults from its file: every mistake with its place and its mend.

```yaml
repeat: for ever
faults:
  - {after: 3 messages, fault: throttle, for: 5 s, rate: 2}
  - {after: 10 s, fault: drop}
```
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

from menus.near_names import meant
from menus.source import Mark, Problem, Source, read
from smpp.constants import Status
from ussd_server.simulator.faults import (
    FORMS,
    KINDS,
    MOST_MESSAGES,
    MOST_MS,
    NAMES,
    Fault,
    Only,
    Script,
    Step,
    usual,
    wrong_with,
)

MOST_STEPS: Final = 200
MOST_ROUNDS: Final = 10_000
WITHOUT_END: Final = "for ever"

_UNITS: Final = {"ms": 1, "s": 1_000, "min": 60_000}
_TIME: Final = re.compile(r"([0-9]{1,7}) ?(ms|s|min)")
_COUNT: Final = re.compile(r"([0-9]{1,7}) ?messages?")


class FaultErrors(ValueError):
    """A script of faults with mistakes: all of them, in the order in which they stand in the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class _Wrong(Exception):
    """A value cannot be taken; stays inside this module."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


def load(file: Path) -> Script:
    """Read a script. Raises OSError, and `FaultErrors` with every mistake."""
    return parse(file.read_bytes(), str(file))


def parse(content: str | bytes, file: str) -> Script:
    """Return the script that a file's content describes. Raises `FaultErrors`."""
    source = read(content, file)
    script = _script(source) if not source.problems else Script()
    if source.problems:
        raise FaultErrors(tuple(sorted(source.problems)))
    return script


def _script(source: Source) -> Script:
    data = source.data
    if not isinstance(data, dict) or not isinstance(data.get("faults"), list) or not data["faults"]:
        mark = source.value_mark(("faults",)) if isinstance(data, dict) else Mark(1, 1)
        source.add(mark, "faults is a list of what happens", "as faults: [{after: 3 messages, fault: drop}]")
        return Script()
    for name in data:
        if name not in ("faults", "repeat"):
            source.add(source.key_mark((name,)), f"unknown key {name!r}", meant(name, ("faults", "repeat")))
    steps = data["faults"]
    if len(steps) > MOST_STEPS:
        source.add(source.value_mark(("faults",)), f"there are {len(steps)} faults", f"at most {MOST_STEPS}")
    rounds = _taken(source, ("repeat",), _rounds, data["repeat"]) if "repeat" in data else 1
    found = [_step(source, at, value) for at, value in enumerate(steps)]
    if rounds == 0 and all(step and not step.after_ms and not step.after_messages for step in found):
        mark = source.value_mark(("repeat",))
        source.add(mark, "repeat: all would happen at once, for ever", "give one of them: after: 3 messages")
    return Script(tuple(step for step in found if step is not None), rounds or 0)


def _step(source: Source, at: int, value: Any) -> Step | None:
    """Read one fault; None where it has mistakes."""
    here = ("faults", at)
    if not isinstance(value, dict) or "fault" not in value:
        source.add(source.value_mark(here), "a fault is missing", f"as {{fault: drop}}; there are {', '.join(KINDS)}")
        return None
    kind = value["fault"]
    if kind not in KINDS:
        source.add(source.value_mark((*here, "fault")), f"fault: {kind!r} is not known", meant(str(kind), KINDS))
        return None
    before = len(source.problems)
    fields = {}
    for name, inner in value.items():
        if name in _KEYS:
            field, reads = _KEYS[name]
            fields[field] = _taken(source, (*here, name), reads, inner)
        elif name not in ("fault", "after"):
            known = ["after", "fault", *(NAMES[field] for field in _fields(kind))]
            source.add(source.key_mark((*here, name)), f"unknown key {name!r}", meant(name, known))
    after_ms, after_messages = 0, 0
    if "after" in value:
        after_ms, after_messages = _taken(source, (*here, "after"), _moment, value["after"]) or (0, 0)
    if len(source.problems) > before:
        return None
    fault = usual(Fault(kind, **fields))
    wrong = wrong_with(fault)
    if wrong is not None:
        name = NAMES[wrong[0]]
        source.add(source.value_mark((*here, name)), f"{name}: {wrong[1]}", f"{kind} {FORMS[kind].does}")
        return None
    return Step(fault, after_ms, after_messages)


def _fields(kind: Any) -> tuple[str, ...]:
    form = FORMS[kind]
    return (*form.needs, *form.takes, *form.spans)


def _taken(source: Source, path: tuple[str | int, ...], reads: Callable[[Any], Any], value: Any) -> Any:
    try:
        return reads(value)
    except _Wrong as wrong:
        mark = source.key_mark(path) if value is None else source.value_mark(path)
        source.add(mark, f"{path[-1]}: {wrong}", wrong.mend)
    return None


# Values -----------------------------------------------------------------------------------------------------------


def _time(value: Any) -> int:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    ms = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < ms <= MOST_MS:
        raise _Wrong(f"{value!r} is not a time", "as 500 ms, 5 s or 2 min, up to 60 min")
    return ms


def _moment(value: Any) -> tuple[int, int]:
    """Read when a fault begins: after so many ms, or after so many messages."""
    counted = _COUNT.fullmatch(value) if isinstance(value, str) else None
    if counted is None:
        try:
            return _time(value), 0
        except _Wrong:
            raise _Wrong(f"{value!r} is not a moment", "as 10 s, or 3 messages") from None
    count = int(counted[1])
    if not 0 < count <= MOST_MESSAGES:
        raise _Wrong(f"{value!r} is not a moment", f"1 to {MOST_MESSAGES} messages")
    return 0, count


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def reads(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise _Wrong(f"{value!r} is not a number that it can be", f"from {least} to {most}")
        return value

    return reads


def _status(value: Any) -> int:
    """Read a command_status: its number, or its name with or without ESME_."""
    if isinstance(value, str):
        known = {status.name: int(status) for status in Status if status}
        name = value.upper().removeprefix("ESME_")
        if name not in known:
            raise _Wrong(f"{value!r} is not a command_status", meant(name, sorted(known)))
        return known[name]
    if type(value) is not int or not 0 < value <= 0xFFFFFFFF:
        raise _Wrong(f"{value!r} is not a command_status", "as 0x58 or ESME_RTHROTTLED")
    return value


def _only(value: Any) -> Only:
    found: Only | None = next((word for word in get_args(Only) if word == value), None)
    if found is None:
        raise _Wrong(f"{value!r} is not known", meant(str(value), get_args(Only)))
    return found


def _octets(value: Any) -> str:
    """Read octets in hex; spaces between them may be."""
    try:
        octets = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        octets = b""
    if not octets:
        raise _Wrong(f"{value!r} is not octets in hex", 'in quotes, as "ff 00 12"')
    return octets.hex()


def _rounds(value: Any) -> int:
    if value == WITHOUT_END:
        return 0
    if type(value) is not int or not 0 < value <= MOST_ROUNDS:
        raise _Wrong(f"{value!r} is not how often", f"a number up to {MOST_ROUNDS}, or {WITHOUT_END}")
    return value


_KEYS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "for": ("for_ms", _time),
    "by": ("by_ms", _time),
    "messages": ("messages", _whole(1, MOST_MESSAGES)),
    "rate": ("rate", _whole(1, 1_000)),
    "status": ("status", _status),
    "only": ("only", _only),
    "octets": ("octets", _octets),
}
