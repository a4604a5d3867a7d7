"""What a page (or a terminal) and the simulator say to each other: JSON objects over one WebSocket.

A command names itself in `do`, an event in `type`. After connecting, `Hello` comes first and holds all that there is;
every later event changes part of it. Times are ms since 1970 UTC by the simulator's clock, which `now` tells.
"""

from typing import Literal, TypeAlias

import msgspec

from ussd_server.simulator.faults import Fault, Going, Kind
from ussd_server.simulator.phone import PhoneView
from ussd_server.simulator.wire import Entry

Problem: TypeAlias = Literal["bad_number", "bad_text", "too_many", "nobody_bound", "bad_command"]
"""Why a command was not carried out."""


class Command(msgspec.Struct, frozen=True, tag_field="do", tag=str.lower, forbid_unknown_fields=True):
    """What a page asks for. `phone` is the MSISDN of the handset that it is about."""


class Dial(Command, frozen=True):
    """Dial a USSD code."""

    phone: str
    text: str


class Answer(Command, frozen=True):
    """Answer the screen."""

    phone: str
    text: str


class Cancel(Command, frozen=True):
    """Hang up."""

    phone: str


class Dismiss(Command, frozen=True):
    """Put away the last screen of a dialogue that is over."""

    phone: str


class Write(Command, frozen=True):
    """Send an SMS; `text` may be empty."""

    phone: str
    to: str
    text: str


class Forget(Command, frozen=True):
    """Empty the phone's memory of messages."""

    phone: str


class Drop(Command, frozen=True):
    """Let the network end the phone's dialogue."""

    phone: str


class Redeliver(Command, frozen=True):
    """Deliver the phone's last message to the service again, as a network does that missed the response."""

    phone: str


class Add(Command, frozen=True):
    """Add a phone; nothing happens where it is there already."""

    phone: str


class Remove(Command, frozen=True):
    """Take a phone away."""

    phone: str


class Delay(Command, frozen=True):
    """Hold everything to and from services for `ms`, 0 for no delay."""

    ms: int


class Inject(Command, frozen=True):
    """Let a fault happen now: to the network, or to the connection that was bound first."""

    fault: Fault


class Calm(Command, frozen=True):
    """End all faults that are under way; a script of them does not go on."""


class Clear(Command, frozen=True):
    """Empty the recording of the wire."""


AnyCommand: TypeAlias = (
    Dial | Answer | Cancel | Dismiss | Write | Forget | Drop | Redeliver | Add | Remove | Delay | Inject | Calm | Clear
)


class Bound(msgspec.Struct, frozen=True):
    """A service that is bound, on the link numbered `link`; `mode` is transceiver, transmitter or receiver."""

    link: int
    system_id: str
    mode: str
    peer: str


class Network(msgspec.Struct, frozen=True):
    """The network's state: who is bound, at which address services may bind, the delay that is set, what is wrong."""

    address: str
    binds: tuple[Bound, ...]
    delay_ms: int
    faults: tuple[Going, ...] = ()


class FaultForm(msgspec.Struct, frozen=True):
    """What a page may let go wrong: the fields of a kind of fault, and values to begin with."""

    kind: Kind
    fields: tuple[str, ...]
    usual: Fault


class Shortcut(msgspec.Struct, frozen=True, omit_defaults=True):
    """A button: a code to dial, or an SMS `text` to send `to` a number."""

    dial: str = ""
    to: str = ""
    text: str | None = None


class Event(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """What a page is told."""


class Hello(Event, frozen=True):
    """All that there is, the wire's recording from the oldest."""

    now: int
    phones: tuple[PhoneView, ...]
    network: Network
    wire: tuple[Entry, ...]
    quick: tuple[Shortcut, ...]
    forms: tuple[FaultForm, ...] = ()


class PhoneChanged(Event, frozen=True, tag="phone"):
    """A phone is new, or something about it is."""

    now: int
    phone: PhoneView


class Removed(Event, frozen=True):
    """A phone was taken away."""

    msisdn: str


class NetworkChanged(Event, frozen=True, tag="network"):
    """A service bound or went away, the delay was set, or a fault began or ended. `now` is for what faults say."""

    network: Network
    now: int


class Passed(Event, frozen=True, tag="wire"):
    """A PDU passed on the wire."""

    entry: Entry


class Cleared(Event, frozen=True):
    """The wire's recording was emptied."""


class Refused(Event, frozen=True, tag="problem"):
    """A command was not carried out. Only who sent it is told; `do` names the command, empty where none was read."""

    what: Problem
    do: str = ""


AnyEvent: TypeAlias = Hello | PhoneChanged | Removed | NetworkChanged | Passed | Cleared | Refused
