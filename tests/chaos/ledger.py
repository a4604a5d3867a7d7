"""What the world outside of the processes under test saw, one line an event, appended and never changed.

Times are ms since 1970 UTC of this process, whose clock no fault touches. The text of an SMS with an access code is
kept as it came, as on the subscriber's phone; of what is entered at a terminal only whether it was the right code.
"""

import time
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

Means: TypeAlias = Literal["activate", "code", "probe", "step", "yes", "balance", "receipt"]


class Sent(msgspec.Struct, frozen=True, tag=True):
    """A subscriber sent something: `channel` ussd or sms, `expects` the kinds of screens that may answer it (ussd).

    `detail` of a probe is the number that its answer names.
    """

    at: int
    input: int
    msisdn: str
    channel: Literal["ussd", "sms", "receipt"]
    means: Means
    text: str = ""
    dialogue: int = 0
    expects: tuple[str, ...] = ()
    detail: str = ""


class Acknowledged(msgspec.Struct, frozen=True, tag=True):
    """The server took an input: deliver_sm_resp with status 0, by `link`.

    `tries` is how often it may have been sent.
    """

    at: int
    input: int
    tries: int
    link: str = ""


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """The phone's time was over before a screen came; the input is not sent any more."""

    at: int
    input: int


class Screen(msgspec.Struct, frozen=True, tag=True):
    """A USSD screen came for a dialogue of a phone, by `link`."""

    at: int
    msisdn: str
    dialogue: int
    text: str
    ends: bool
    link: str = ""


class Sms(msgspec.Struct, frozen=True, tag=True):
    """An SMS came, all of its parts."""

    at: int
    msisdn: str
    text: str


class Agreed(msgspec.Struct, frozen=True, tag=True):
    """A subscriber is about to agree to a price, by this input, or at a terminal (0). `order` numbers it."""

    at: int
    order: int
    msisdn: str
    change: str
    offering: str
    input: int = 0


class Told(msgspec.Struct, frozen=True, tag=True):
    """What was said to an agreement: that the order is placed, or that it is not. Without this nothing is certain."""

    at: int
    order: int
    placed: bool


class Entry(msgspec.Struct, frozen=True, tag=True):
    """A code was entered at a terminal. `verdict` is what came of it, `unknown` where no answer came.

    `number` is `attempts_left` of a rejection, the end of a lock. `took` is how long it took (ms), with all tries.
    """

    at: int
    msisdn: str
    right: bool
    verdict: Literal["visit", "rejected", "locked", "expired", "busy", "unknown"]
    number: int = 0
    took: int = 0


class Balance(msgspec.Struct, frozen=True, tag=True):
    """A balance was shown, in minor units."""

    at: int
    msisdn: str
    minor: int


class Forgetting(msgspec.Struct, frozen=True, tag=True):
    """A command is about to forget a subscriber. `resting`: nothing of theirs is under way, and they do no more."""

    at: int
    msisdn: str
    resting: bool = False


class Forgotten(msgspec.Struct, frozen=True, tag=True):
    """A command said that this subscriber is forgotten. `left` is where the number was found all the same."""

    at: int
    msisdn: str
    left: tuple[str, ...] = ()


class Moved(msgspec.Struct, frozen=True, tag=True):
    """All that a store has was copied into another. `wrong` is what was not as it must be, "" for nothing."""

    at: int
    source: str
    target: str
    wrong: str = ""


class Linked(msgspec.Struct, frozen=True, tag=True):
    """A server has bound a link to the SMSC. Each has a name of its own."""

    at: int
    link: str


class Unlinked(msgspec.Struct, frozen=True, tag=True):
    """A link ended, or the SMSC that had it did."""

    at: int
    link: str


class Happened(msgspec.Struct, frozen=True, tag=True):
    """A fault was done, or `skipped` says why not. `span` is how long it lasts in ms, or a killed process is down."""

    at: int
    kind: str
    target: str
    killed: int = 0
    span: int = 0
    skipped: str = ""


Event: TypeAlias = (
    Sent
    | Acknowledged
    | Dropped
    | Screen
    | Sms
    | Agreed
    | Told
    | Entry
    | Balance
    | Forgetting
    | Forgotten
    | Moved
    | Linked
    | Unlinked
    | Happened
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class Ledger:
    """Events in memory and in a file."""

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        self._file = path.open("ab", buffering=0)

    def note(self, event: Event) -> None:
        """Append an event."""
        self.events.append(event)
        self._file.write(_encode(event) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[Event]:
    """Return the events of a file."""
    return [_decode(line) for line in path.read_bytes().splitlines()]


def now() -> int:
    """Return the time in ms."""
    return time.time_ns() // 1_000_000
