"""One way in which a gateway spells USSD in SMPP, as data, and the lookups that are made from it once.

`ussd.py` reads and writes messages by it. Where the data comes from (a file, code) is not known here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from smpp.alphabets import Alphabet
from smpp.constants import CommandId, DataCoding, Tag, UssdOp

Sign: TypeAlias = int | str
"""What tells the step of a message: a number is its `ussd_service_op`, a text its service_type.

In a text that is received `?` stands for any capital letter.
"""

Place: TypeAlias = Literal["short_message", "destination_addr"]
Ending: TypeAlias = Literal["cancel", "timeout", "drop"]
"""Why a gateway ends a dialogue: the subscriber hung up, its timer ran out, the network lost the phone."""

# What a received message is. From CONFIRM on there is no text to be read in it.
BEGIN, ANSWER, LAST_ANSWER, UNDECIDED, CONFIRM, CLOSED, ABORT = range(7)

NOT_FOUND: Final = "dialogue not found"
TOO_LONG: Final = "text too long"
MISMATCH: Final = "reference mismatch or wrong turn"
BUSY: Final = "busy"
"""Meanings of a gateway's own statuses that have a part in the simulator; a dialect may name any others."""


class Mark(NamedTuple):
    """How a step is marked in what is sent: the service_type, and the TLV's value where it has an op."""

    service_type: str
    op: bytes | None


@dataclass(frozen=True, eq=False)  # each is itself: comparing or hashing the fields would cost on every step
class Dialect:
    """One way to spell USSD. Numbers as signs are values of `ussd_service_op`, SMPP 3.4 §5.3.2.44.

    The session TLV is read as one big-endian integer of `session_octets`. `id_mask` picks the bits that name the
    dialogue, `sequence_mask` those that count the inputs in it, `end_mask` the bit that ends it; a mask of 0 picks
    none, and the bits of each stand together. Where `session_tag` is None no id travels: account and MSISDN name the
    dialogue. A dialogue that we push has an id from us only where `push_session`; else the gateway's first message
    brings it.

    Received: the first sign of each is what a gateway sends, the others are understood as well. An op in `begin` and in
    `answer` does not tell which it is. `last_answer` is an answer after which nothing can be shown, `closed` a
    confirmation that the dialogue is over, and `others_abort` says that an op which is not named ends it; else it
    goes on. `tells` is what the gateway reports when it ends a dialogue.

    Sent: `end` closes a dialogue of the subscriber's, `end_pushed` one of ours; `ask` and `notify` begin one, None
    where the gateway takes none; `release` closes one without a text. `sets_end_bit`: an end has the end bit as well.
    """

    name: str
    about: str = ""
    service_type: str = "USSD"
    session_tag: int | None = int(Tag.ITS_SESSION_INFO)
    session_octets: int = 2
    id_mask: int = 0xFF00
    sequence_mask: int = 0x00FE
    end_mask: int = 0x0001
    push_session: bool = True

    begin: tuple[Sign, ...] = (UssdOp.PSSR_INDICATION, UssdOp.PSSD_INDICATION)
    answer: tuple[Sign, ...] = (UssdOp.USSR_CONFIRM,)
    last_answer: tuple[Sign, ...] = ()
    confirm: tuple[Sign, ...] = (UssdOp.USSN_CONFIRM,)
    closed: tuple[Sign, ...] = ()
    abort: tuple[Sign, ...] = ()
    others_abort: bool = False
    tells: frozenset[Ending] = frozenset({"cancel", "timeout", "drop"})
    dialled: Place = "short_message"
    deliver: int = int(CommandId.DELIVER_SM)

    menu: Sign = UssdOp.USSR_REQUEST
    end: Sign = UssdOp.PSSR_RESPONSE
    end_pushed: Sign = UssdOp.USSN_REQUEST
    ask: Sign | None = UssdOp.USSR_REQUEST
    notify: Sign | None = UssdOp.USSN_REQUEST
    release: Sign | None = None
    sets_end_bit: bool = True
    submit: int = int(CommandId.SUBMIT_SM)

    alphabet: Alphabet = "gsm"
    gsm_coding: int = DataCoding.DEFAULT
    ucs2_coding: int = DataCoding.UCS2
    septets: int = 182
    ucs2_units: int = 80
    statuses: Mapping[int, str] = field(default_factory=dict)

    # Made of the above.
    by_op: tuple[int | None, ...] = field(init=False, repr=False)
    """What a received op says, None where the service_type is to be asked."""
    by_service_type: Mapping[str, int] = field(init=False, repr=False)
    menu_as: Mark = field(init=False, repr=False)
    end_as: Mark = field(init=False, repr=False)
    end_pushed_as: Mark = field(init=False, repr=False)
    asking: frozenset[Mark] = field(init=False, repr=False)
    """How what waits for an answer is marked."""
    opening: frozenset[Mark] = field(init=False, repr=False)
    words: frozenset[str] = field(init=False, repr=False)
    """The service types that alone say that a message, either way, is USSD, and which step of it."""
    takes_from_address: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        received = (
            (BEGIN, self.begin),
            (ANSWER, self.answer),
            (LAST_ANSWER, self.last_answer),
            (CONFIRM, self.confirm),
            (CLOSED, self.closed),
            (ABORT, self.abort),
        )
        others = ABORT if self.others_abort else UNDECIDED
        sent = (self.menu, self.end, self.end_pushed, self.ask, self.notify, self.release)
        spelt = any(isinstance(sign, str) for _, signs in received for sign in signs)
        by_op: list[int | None] = [None if spelt else others] * 256
        by_service_type = {self.service_type: UNDECIDED}
        # A sign with ? gives way to one without, whichever is named first.
        every = [(sign, step) for step, signs in received for sign in signs]
        for sign, step in sorted(every, key=lambda each: str(each[0]).count("?"), reverse=True):
            if isinstance(sign, str):
                by_service_type |= dict.fromkeys(_spellings(sign), step)
            else:
                by_op[sign] = UNDECIDED if sign in self.begin and sign in self.answer else step
        words = (word for word, step in by_service_type.items() if step != UNDECIDED)
        asking = (self.menu, self.ask)
        made: dict[str, Any] = {
            "by_op": tuple(by_op),
            "by_service_type": by_service_type,
            "menu_as": self.mark(self.menu),
            "end_as": self.mark(self.end),
            "end_pushed_as": self.mark(self.end_pushed),
            "asking": frozenset(self.mark(sign) for sign in asking if sign is not None),
            "opening": frozenset(self.mark(sign) for sign in (self.ask, self.notify) if sign is not None),
            "words": frozenset((*words, *(sign for sign in sent if isinstance(sign, str)))),
            "takes_from_address": self.dialled == "destination_addr",
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def mark(self, sign: Sign) -> Mark:
        """Return how a step with this sign is marked in a message."""
        return Mark(sign, None) if isinstance(sign, str) else Mark(self.service_type, bytes((sign,)))

    @property
    def ids(self) -> int:
        """How many dialogues have different ids; where none travels, as many as two octets could name."""
        return self.id_mask // (self.id_mask & -self.id_mask) + 1 if self.id_mask and self.session_tag else 0x10000

    def status(self, meaning: str, otherwise: int) -> int:
        """Return the gateway's own status that means this, else the one that is given."""
        return next((status for status, text in self.statuses.items() if text == meaning), otherwise)


def _spellings(sign: str) -> Iterable[str]:
    """Yield every service_type that a sign stands for."""
    before, wild, after = sign.partition("?")
    if not wild:
        return (sign,)
    return [before + letter + rest for letter in ascii_uppercase for rest in _spellings(after)]


STANDARD = Dialect("standard")
"""SMPP 3.4 as it is written."""
