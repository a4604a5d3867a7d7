"""What every channel gives to the conversation and gets back from it, whatever its network looks like."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from menus.render import Channel
from smpp.reassembly import Part


class Input(msgspec.Struct, frozen=True, gc=False):
    """One thing that a subscriber did, as any channel reports it.

    `kind` is `dial` (`text` is the dialled string), `message` (an SMS to the service number `number`), `reply` (to the
    screen), `drop` (`text` is why) or `confirm` (the phone has shown a notification; `text` is "closes" where the
    dialogue ended with it). `account` is the operator connection it came by ("": none), by which SMS that follow are
    sent, from `number` where it is given. `dialogue`, `link`, `sequence` and `step` tell a repeated delivery from a
    repeated answer (`turns/redelivery.py`), `accepted` that the gateway took the last answer on this link, `others` are
    the further links of the account on which it did. `at` is in ms. `part` is what came of a long SMS, whose text is
    known when all of it has come. `read` is when its octets were read, seconds of `time.monotonic`, 0 unknown.
    """

    msisdn: str
    channel: Channel
    kind: Literal["dial", "message", "reply", "drop", "confirm"]
    text: str
    account: str
    dialogue: str
    link: str
    sequence: int
    at: int
    read: float = 0.0
    step: int = -1
    accepted: bool = True
    others: tuple[str, ...] = ()
    number: str = ""
    part: Part | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What the channel answers: `text` (None: nothing) and whether the dialogue ends with it.

    `pushed`: it is a dialogue that we began. `durable` is False where the input could not be kept, so that a network
    that can repeat it should; `busy` says that this is for too much to do, so that it should be slower.
    """

    text: str | None
    ends: bool = True
    durable: bool = True
    pushed: bool = False
    busy: bool = False


Answering: TypeAlias = Callable[[Answer], None]
