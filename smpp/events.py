"""What a link tells its owner.

A message that the owner's own decoder read is an event itself (`inputs.Heard`, `inputs.Texted`), in place of
`Delivered`. So is the tag of an urgent request that the other side took, in place of `Responded`: every USSD step has
one of each.
"""

from typing import Any, TypeAlias

import msgspec

from smpp.errors import CloseReason
from smpp.inputs import Heard, Texted
from smpp.pdu import Alert, Bind, BindResp, Malformed, Message, Outbind, Pdu


class BindRequested(msgspec.Struct, frozen=True):
    """SMSC side: an ESME wants to bind. Answer with `Link.accept` or `Link.refuse`."""

    pdu: Bind


class Bound(msgspec.Struct, frozen=True):
    """The link is bound. `pdu` is the response that came, or on the SMSC's side the one that was sent."""

    pdu: BindResp


class BindRefused(msgspec.Struct, frozen=True):
    """ESME side: the SMSC refused the bind with this status; `Closed` follows."""

    status: int


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """A message came from the other side and waits for `Link.respond`: deliver_sm, data_sm, or on an SMSC submit_sm."""

    pdu: Message


class Responded(msgspec.Struct, frozen=True, gc=False):
    """The other side answered the request that was sent with `tag`. A generic_nack counts: `pdu` is what came.

    Where an urgent request was taken, or a brief one, its tag is told instead.

    `status` is its status, and ESME_RSYSERR for a generic_nack that has none.
    """

    tag: Any
    status: int
    pdu: Pdu


class Expired(msgspec.Struct, frozen=True, gc=False):
    """No response to the request of `tag` came in time; whether the other side took it is unknown."""

    tag: Any


class Lost(msgspec.Struct, frozen=True, gc=False):
    """The link closed before the request of `tag` was answered, or could not take it. Not `sent`: nobody saw it."""

    tag: Any
    sent: bool


class Alerted(msgspec.Struct, frozen=True):
    """The SMSC says that a subscriber can be reached again."""

    pdu: Alert


class Outbound(msgspec.Struct, frozen=True):
    """The SMSC asks to be bound to; answer with `Link.bind`, where that has not been asked already."""

    pdu: Outbind


class Nacked(msgspec.Struct, frozen=True):
    """The other side sent a PDU that was refused: its body made no sense, or it has no place in this state."""

    pdu: Pdu | Malformed
    status: int
    reason: str


class Ignored(msgspec.Struct, frozen=True):
    """A response came that answers nothing under way: too late, or never asked for."""

    pdu: Pdu


class Closed(msgspec.Struct, frozen=True):
    """The link is over; the last event."""

    reason: CloseReason


Event: TypeAlias = (
    BindRequested
    | Bound
    | BindRefused
    | Delivered
    | Heard
    | Texted
    | Responded
    | Expired
    | Lost
    | Alerted
    | Outbound
    | Nacked
    | Ignored
    | Closed
)
