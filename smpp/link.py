"""The SMPP session as a state machine without I/O, for an ESME and for an SMSC.

Octets go in with `receive`, octets to be written come out of `take`; what happened comes back as events. Time is an
argument, `now` in milliseconds on a clock that does not go back: `timer` says when to call `tick`.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Any

import msgspec

from smpp.events import Event
from smpp.pdu import Bind, Message, Tlvs


class Role(Enum):
    """Which side of the link this is."""

    ESME = auto()
    SMSC = auto()


class LinkSettings(msgspec.Struct, frozen=True):
    """Limits of a link; times in milliseconds.

    `window` requests may be unanswered at once; `queue` more wait for their turn. `max_pdu` is in octets.
    """

    window: int = 10
    queue: int = 10_000
    enquire_ms: int = 30_000
    response_ms: int = 30_000
    bind_ms: int = 15_000
    max_pdu: int = 70_000


class Link:
    """One connection and its bind state."""

    def __init__(self, role: Role, settings: LinkSettings = LinkSettings()) -> None:
        raise NotImplementedError

    @property
    def bound(self) -> bool:
        """Whether messages may be sent now."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the connection is to be closed once `take()` is written."""
        raise NotImplementedError

    def connected(self, now: int) -> None:
        """Say that the connection is there."""

    def receive(self, data: bytes, now: int) -> list[Event]:
        """Take octets from the connection, cut anywhere."""
        raise NotImplementedError

    def take(self) -> bytes:
        """Return the octets to write since the last call, b"" for none."""
        raise NotImplementedError

    def timer(self) -> int | None:
        """Return when `tick` must be called at the latest, None for never."""
        raise NotImplementedError

    def tick(self, now: int) -> list[Event]:
        """Do what is due by now."""
        raise NotImplementedError

    def lost(self, now: int) -> list[Event]:
        """Say that the connection is gone."""
        raise NotImplementedError

    def bind(self, pdu: Bind, now: int) -> None:
        """ESME side: ask to be bound."""
        raise NotImplementedError

    def accept(self, pdu: Bind, system_id: str, now: int) -> Iterable[Event]:
        """SMSC side: grant a requested bind."""
        raise NotImplementedError

    def refuse(self, pdu: Bind, status: int, now: int) -> Iterable[Event]:
        """SMSC side: refuse a requested bind with a status and close."""
        raise NotImplementedError

    def send(self, message: Message, tag: Any, now: int, *, urgent: bool = False) -> bool:
        """Send a message when the window allows; `tag` comes back with its outcome.

        The link sets the sequence number. Urgent messages overtake the others that still wait. False: not taken,
        because the link is not bound for it or the queue is full; no event will follow.
        """
        raise NotImplementedError

    def respond(self, pdu: Message, status: int, message_id: str = "", tlvs: Tlvs | None = None) -> bool:
        """Answer a delivered message; False where the link has closed meanwhile."""
        raise NotImplementedError

    def unbind(self, now: int, drain_ms: int = 0) -> list[Event]:
        """Take no more messages, wait up to `drain_ms` for the responses under way, unbind and close."""
        raise NotImplementedError
