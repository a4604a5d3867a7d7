"""The subscriber's record: all that must change together, as one immutable value, and how it is stored.

The stored form is MessagePack with fields by position. New fields are appended with a default; none is ever removed
or moved, so a record of an older version reads as it is.
"""

from typing import Literal, TypeAlias

import msgspec

from menus.session import Pending, Session, Values
from ussd_server.subscribers.codes import POLICY, Access, Policy, condition, locked_until
from ussd_server.subscribers.deliveries import Awaited
from ussd_server.subscribers.visits import Visit


class Exchange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last input of a channel and the answer it got, kept so that a redelivered input gets the same again.

    `dialogue` is the network's id of the exchange. `link`, `sequence` and `step` tell two inputs of one text apart: the
    link it came by, the PDU's sequence number, the network's own count within the dialogue (-1 where it has none);
    `counts` says that this network was seen to count. `at` is in milliseconds; `text` None where nothing was answered.
    `pushed` says that we began the dialogue. `input` is a keyed digest: what a subscriber types may be a secret, and is
    never stored.
    """

    dialogue: str
    link: str
    sequence: int
    step: int
    counts: bool
    at: int
    input: bytes
    text: str | None
    ends: bool
    pushed: bool = False


PushKind: TypeAlias = Literal["notify", "ask"]
"""A push only shows a text (USSN), or waits for an answer (USSR)."""


class Pushed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The push that is under way, by the id of its outbox entry; `turns/pushes.py` has the rules.

    `sent` says that the gateway took it, and `until` is when its time is over then (ms). `before` is the exchange, and
    `session` the dropped session, whose place a question took.
    """

    id: str
    kind: PushKind
    account: str
    until: int
    sent: bool = False
    before: Exchange | None = None
    session: Session | None = None


class Subscriber(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One subscriber. `activated_at` and all other times are milliseconds since 1970 UTC; 0 is never.

    `sessions` are by channel (`ussd`, `sms`, `terminal`), or by the query whose late answer they wait for; `exchanges`
    are by `redelivery.place`, `pending` by order id; `replies` are the times of the latest automatic SMS answers,
    `strays` of those to texts that lead nowhere; `turns/patience.py` limits both. `visit` is the stay at a terminal, if
    there is one. `letters` are the long SMS of which parts have come, sealed (`turns/letters.py`), b"" for none.
    `offers_at` is when they agreed to be sent offers, `push` what we are showing them unasked. `awaited` are the SMS
    that were sent and wait for their receipts, by outbox entry.
    """

    msisdn: str
    language: str = ""
    activated_at: int = 0
    access: Access = Access()
    sessions: dict[str, Session] = {}
    exchanges: dict[str, Exchange] = {}
    pending: dict[str, Pending] = {}
    replies: tuple[int, ...] = ()
    strays: tuple[int, ...] = ()
    visit: Visit | None = None
    letters: bytes = b""
    offers_at: int = 0
    push: Pushed | None = None
    awaited: dict[str, Awaited] = {}

    @property
    def active(self) -> bool:
        """Whether the service is activated for this number."""
        return self.activated_at > 0


def facts(subscriber: Subscriber, now: int, default_language: str, channel: str, policy: Policy = POLICY) -> Values:
    """Return what a flow's conditions may ask about the subscriber; no text can name it, so screens may be shared."""
    access = subscriber.access  # untouched in nearly every record, and every turn comes by here
    return {
        "msisdn": subscriber.msisdn,
        "active": subscriber.activated_at > 0,
        "offers": subscriber.offers_at > 0,
        "has_code": access.sealed is not None and condition(access, now, policy) == "valid",
        "locked": locked_until(access, now) > 0 if access.locked_until or access.reservations else False,
        "language": subscriber.language or default_language,
        "channel": channel,
    }


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Subscriber).decode
