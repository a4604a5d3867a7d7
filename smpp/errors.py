"""Why links end, and which of the other side's statuses mean what to us.

Our own findings are `CloseReason` and `smpp.pdu.Malformed`; what the other side says is a `Status`. They never mix.
"""

from enum import StrEnum

from smpp.constants import Status


class CloseReason(StrEnum):
    """Why a link is over."""

    UNBOUND = "unbound by us"
    UNBOUND_BY_PEER = "unbound by the other side"
    BIND_REFUSED = "bind refused"
    BIND_TIMEOUT = "no bind in time"
    INACTIVE = "unbound by us: no message for the time that is set"
    NOT_ANSWERING = "enquire_link not answered"
    BAD_LENGTH = "command_length out of bounds"
    CONNECTION_LOST = "connection lost"


THROTTLED = frozenset({Status.RTHROTTLED, Status.RMSGQFUL})
"""Too fast: pause the whole queue, keep its order."""

TRANSIENT = THROTTLED | {Status.RINVBNDSTS, Status.RSYSERR, Status.RX_T_APPN}
"""The same request may succeed later. Every other error is for good: trying again would never end."""

BIND_HOPELESS = frozenset({Status.RBINDFAIL, Status.RINVPASWD, Status.RINVSYSID, Status.RINVSYSTYP})
"""A bind refused with these is refused until a person changes a setting on either side."""
