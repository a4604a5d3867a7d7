"""How an operator's gateway spells a USSD dialogue in SMPP: dialects as data, and two functions that read and write them.

Our side: `classify` what came in, answer it with `reply`, or `push` a dialogue of our own. The gateway's side, which a
simulator needs: `dial`, `answer`, `abort` make the deliver_sm, and `read_reply` reads the submit_sm.
"""

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from smpp.alphabets import Alphabet, Encoded
from smpp.constants import Tag, UssdOp
from smpp.pdu import Message


@dataclass(frozen=True)
class Dialect:
    """One way to spell USSD.

    The session TLV is read as one big-endian integer of `session_octets`: `id_mask` picks the bits that name the dialogue,
    `sequence_mask` those that count inputs in it, `end_mask` those that end it. `session_tag` None: no id travels, and
    account and MSISDN name the dialogue.
    """

    name: str
    service_type: str = "USSD"
    session_tag: int | None = Tag.ITS_SESSION_INFO
    session_octets: int = 2
    id_mask: int = 0xFF00
    sequence_mask: int = 0x00FE
    end_mask: int = 0x0001
    begin_ops: frozenset[int] = frozenset({UssdOp.PSSD_INDICATION, UssdOp.PSSR_INDICATION})
    answer_ops: frozenset[int] = frozenset({UssdOp.USSR_CONFIRM})
    confirm_ops: frozenset[int] = frozenset({UssdOp.USSN_CONFIRM})
    abort_ops: frozenset[int] = frozenset()
    menu_op: int = UssdOp.USSR_REQUEST
    end_op: int = UssdOp.PSSR_RESPONSE
    push_menu_op: int = UssdOp.USSR_REQUEST
    push_end_op: int = UssdOp.USSN_REQUEST
    sets_end_bit: bool = True


STANDARD = Dialect("standard")


class Begin(msgspec.Struct, frozen=True, gc=False):
    """A subscriber dialled `text`, such as `*111#`.

    `dialogue` is the network's id of the exchange, "" where none travels; with account and MSISDN it is unique while the
    exchange lasts. `sequence` counts inputs of the dialogue, so that a redelivery can be told from an answer; None where
    the dialect has no such count.
    """

    dialogue: str
    text: str
    sequence: int | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A subscriber answered `text`. Where not `op_known`, it is an answer only if the dialogue lives, else it begins one."""

    dialogue: str
    text: str
    sequence: int | None = None
    op_known: bool = True


class Confirm(msgspec.Struct, frozen=True, gc=False):
    """A subscriber's phone has shown a notification that we pushed."""

    dialogue: str


class Abort(msgspec.Struct, frozen=True, gc=False):
    """The network or the subscriber ended the dialogue."""

    dialogue: str


Input: TypeAlias = Begin | Answer | Confirm | Abort


def classify(message: Message, dialect: Dialect = STANDARD, default: Alphabet = "gsm") -> Input | None:
    """Say what a received message is in this dialect; None: it is not USSD. `default` is as in `alphabets.decode`."""
    raise NotImplementedError


def reply(received: Message, encoded: Encoded, *, ends: bool, dialect: Dialect = STANDARD) -> Message:
    """Make the submit_sm that answers a received begin or answer: a menu, or where it `ends` the last text."""
    raise NotImplementedError


def push(
    source: str, msisdn: str, encoded: Encoded, *, ends: bool, session: int = 0, dialect: Dialect = STANDARD
) -> Message:
    """Make the submit_sm that begins a dialogue from our side: a notification where it `ends`, else a menu."""
    raise NotImplementedError


def dial(msisdn: str, code: str, text: str, *, session: int, sequence: int = 0, dialect: Dialect = STANDARD) -> Message:
    """Make the gateway's deliver_sm of a subscriber who dialled `text`; `code` is the address of the service."""
    raise NotImplementedError


def answer(
    msisdn: str, code: str, encoded: Encoded, *, session: int, sequence: int, dialect: Dialect = STANDARD
) -> Message:
    """Make the gateway's deliver_sm of a subscriber's answer to a menu."""
    raise NotImplementedError


def abort(msisdn: str, code: str, *, session: int, sequence: int = 0, dialect: Dialect = STANDARD) -> Message:
    """Make the gateway's deliver_sm that says that the dialogue is over."""
    raise NotImplementedError


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a gateway is asked to show. `session` is the session TLV as it came, 0 where there is none."""

    dialogue: str
    text: str
    ends: bool
    session: int


def read_reply(message: Message, dialect: Dialect = STANDARD) -> Reply | None:
    """Read a submit_sm as a gateway does; None: it is not USSD."""
    raise NotImplementedError
