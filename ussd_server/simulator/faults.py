"""A network's bad days: faults as values, when they begin and how long they last. Pure: the time is an argument.

What a fault does to octets is in `transit.py`, to messages and their responses in `smsc.py`.
"""

from collections import deque
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from smpp.constants import Status

Kind: TypeAlias = Literal[
    "drop", "delay", "duplicate", "reorder", "throttle", "refuse", "garbage", "half", "slow", "silent"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Only: TypeAlias = Literal["all", "ussd", "sms"]

MOST_MS: Final = 3_600_000
MOST_DELAY_MS: Final = 60_000
MOST_MESSAGES: Final = 10_000
MOST_HELD: Final = 50
"""PDUs that `reorder` holds at once."""
MOST_RATE: Final = 1_000
MOST_OCTETS: Final = 4_096
GARBAGE: Final = "ff" * 16
"""As a length it is more than any PDU has."""

SECOND_MS: Final = 1_000


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault. `FORMS` says which of the fields a kind has; 0, "" and "all" stand for none.

    `by_ms` is how late things are, `rate` what passes in a second, `octets` are in hex.
    """

    kind: Kind
    for_ms: int = 0
    messages: int = 0
    by_ms: int = 0
    rate: int = 0
    status: int = 0
    only: Only = "all"
    octets: str = ""


NAMES: Final = {
    "for_ms": "for",
    "by_ms": "by",
    "messages": "messages",
    "rate": "rate",
    "status": "status",
    "only": "only",
    "octets": "octets",
}
"""What people call the fields."""


class Form(NamedTuple):
    """What a kind of fault does, the fields that it must have, and those that it may have.

    A field of `spans` says when it is over: it has exactly one of them.
    """

    does: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()


FORMS: Final[dict[Kind, Form]] = {
    "drop": Form("cuts the connection, without an unbind"),
    "delay": Form("holds every message and response for so long, in order", ("for_ms", "by_ms")),
    "duplicate": Form(
        "delivers each message to the service twice, under two sequence numbers", spans=("for_ms", "messages")
    ),
    "reorder": Form(
        "holds so many PDUs to the service, for 2 s at most, and lets the last one go first", (), ("messages",)
    ),
    "throttle": Form("refuses each submit_sm beyond the rate", ("for_ms",), ("rate", "status", "only")),
    "refuse": Form("answers submit_sm with the status", ("status",), ("only",), ("for_ms", "messages")),
    "garbage": Form("writes octets that are no PDU", (), ("octets",)),
    "half": Form(
        "writes half of the next message or response, and the rest after a while; without `for` it cuts the connection",
        (),
        ("for_ms",),
    ),
    "slow": Form("reads nothing", ("for_ms",)),
    "silent": Form(
        "reads everything and writes nothing: no response, to a bind or an enquire_link neither", ("for_ms",)
    ),
}

USUAL: Final[dict[Kind, dict[str, object]]] = {
    "reorder": {"messages": 2},
    "throttle": {"status": int(Status.RTHROTTLED)},
    "garbage": {"octets": GARBAGE},
}
"""What a fault has where its writer did not say."""

_FIELDS: Final = tuple(name for name in Fault.__struct_fields__ if name != "kind")
_NONE: Final = {field.name: field.default for field in msgspec.structs.fields(Fault)}
_MOST: Final = {"for_ms": MOST_MS, "by_ms": MOST_DELAY_MS, "messages": MOST_MESSAGES, "rate": MOST_RATE}


def usual(fault: Fault) -> Fault:
    """Return the fault with what its kind has by default."""
    missing = {name: value for name, value in USUAL.get(fault.kind, {}).items() if getattr(fault, name) == _NONE[name]}
    return msgspec.structs.replace(fault, **missing) if missing else fault


def wrong_with(fault: Fault) -> tuple[str, str] | None:
    """Return the field that is wrong and what is wrong with it; None where the fault can be."""
    form = FORMS[fault.kind]
    given = {name for name in _FIELDS if getattr(fault, name) != _NONE[name]}
    known = {*form.needs, *form.takes, *form.spans}
    for name in _FIELDS:
        if name in given and name not in known:
            return name, f"{fault.kind} has no such thing"
        if name in form.needs and name not in given:
            return name, f"{fault.kind} needs it"
        most = MOST_HELD if (fault.kind, name) == ("reorder", "messages") else _MOST.get(name)
        if most is not None and not 0 <= getattr(fault, name) <= most:
            return name, f"it is from 1 to {most}"
    if form.spans and len(given.intersection(form.spans)) != 1:
        return form.spans[0], f"{fault.kind} lasts for a time or for so many messages: give one of the two"
    if not 0 <= fault.status <= 0xFFFFFFFF:
        return "status", "it is a command_status, as 0x58"
    try:
        octets = bytes.fromhex(fault.octets)
    except ValueError:
        return "octets", "these are no octets in hex, as ff00"
    if len(octets) > MOST_OCTETS:
        return "octets", f"they are at most {MOST_OCTETS}"
    return None


class Step(msgspec.Struct, frozen=True):
    """A fault of a script and when it begins: so long, or so many messages, after the one before began."""

    fault: Fault
    after_ms: int = 0
    after_messages: int = 0


class Script(msgspec.Struct, frozen=True):
    """Faults in their order, and how often the whole is played: 0 for without end."""

    steps: tuple[Step, ...] = ()
    rounds: int = 1


class Going(msgspec.Struct, frozen=True):
    """A fault that lasts. `until` is ms since 1970 UTC; it or `left`, a count of messages, says when it is over."""

    kind: Kind
    until: int = 0
    left: int = 0


class _Lasting:
    """A fault under way."""

    def __init__(self, fault: Fault, now: int) -> None:
        self.fault = fault
        self.until = now + fault.for_ms if fault.for_ms else 0
        self.left = 0 if fault.for_ms else fault.messages
        self.passed: deque[int] = deque()  # when those within the rate were let through

    def over(self, now: int) -> bool:
        return now >= self.until if self.until else self.left <= 0


_LASTING: Final[frozenset[Kind]] = frozenset({"delay", "duplicate", "throttle", "refuse", "silent"})
"""The kinds that are a state of the network; the others happen to one connection at one moment."""


class Faults:
    """What is wrong with the network now, and what of a script is still to come."""

    def __init__(self, script: Script | None = None) -> None:
        self._script = script or Script()
        self._going: list[_Lasting] = []
        self._at = 0
        self._round = 0
        self._since = 0
        self._count = 0

    # When they begin ----------------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Begin to play the script."""
        self._since = now

    def begin(self, fault: Fault, now: int) -> bool:
        """Let a fault begin; False where it is one that happens to a connection, which is the caller's to do."""
        if fault.kind not in _LASTING:
            return False
        # The same kind anew takes the place of the old one: two throttles at once would be neither.
        self._going = [lasting for lasting in self._going if lasting.fault.kind != fault.kind]
        self._going.append(_Lasting(fault, now))
        return True

    def message(self, now: int) -> list[Fault]:
        """Take note that a message has passed, either way; return what begins with that."""
        self._count += 1
        return self._due(now)

    def tick(self, now: int) -> list[Fault]:
        """Return what begins by now; what is over by now ends."""
        self._going = [lasting for lasting in self._going if not lasting.over(now)]
        return self._due(now)

    def timer(self) -> int | None:
        """Return when `tick` is due, None for not before something else happens."""
        dues = [lasting.until for lasting in self._going if lasting.until]
        step = self._next()
        if step is not None and not step.after_messages:
            dues.append(self._since + step.after_ms)
        return min(dues, default=None)

    def calm(self) -> None:
        """End whatever is under way; a script does not go on."""
        self._going.clear()
        self._script = Script()

    def _next(self) -> Step | None:
        script = self._script
        if not script.steps or (script.rounds and self._round >= script.rounds):
            return None
        return script.steps[self._at]

    def _due(self, now: int) -> list[Fault]:
        begun: list[Fault] = []
        # At most the whole script at once: one that waits for nothing must not turn for ever.
        while len(begun) < len(self._script.steps) and (step := self._next()) is not None:
            waited = self._count >= step.after_messages if step.after_messages else now >= self._since + step.after_ms
            if not waited:
                break
            begun.append(step.fault)
            self._since, self._count = now, 0
            self._at += 1
            if self._at == len(self._script.steps):
                self._at, self._round = 0, self._round + 1
        return begun

    # What they do -------------------------------------------------------------------------------------------------

    def silent(self, now: int) -> bool:
        """Whether nothing is written."""
        return self._find("silent", now) is not None

    def delay_ms(self, now: int) -> int:
        """Return how long everything is held."""
        lasting = self._find("delay", now)
        return 0 if lasting is None else lasting.fault.by_ms

    def doubles(self, now: int) -> bool:
        """Whether this message to the service is delivered twice."""
        lasting = self._find("duplicate", now)
        if lasting is None:
            return False
        lasting.left -= 1
        return True

    def refusal(self, ussd: bool, now: int) -> int:
        """Return the status that this submit_sm is refused with, 0 where it is taken."""
        refuse = self._find("refuse", now)
        if refuse is not None and _concerns(refuse.fault, ussd):
            refuse.left -= 1
            return refuse.fault.status
        throttle = self._find("throttle", now)
        if throttle is None or not _concerns(throttle.fault, ussd):
            return 0
        passed = throttle.passed
        while passed and passed[0] <= now - SECOND_MS:
            passed.popleft()
        if len(passed) >= throttle.fault.rate:
            return throttle.fault.status
        passed.append(now)
        return 0

    def going(self, now: int) -> tuple[Going, ...]:
        """Return what is under way."""
        return tuple(
            Going(lasting.fault.kind, lasting.until, max(0, lasting.left))
            for lasting in self._going
            if not lasting.over(now)
        )

    def _find(self, kind: Kind, now: int) -> _Lasting | None:
        for lasting in self._going:
            if lasting.fault.kind == kind and not lasting.over(now):
                return lasting
        return None


def _concerns(fault: Fault, ussd: bool) -> bool:
    return fault.only == "all" or (fault.only == "ussd") == ussd
