"""A dialect's inputs, known by their likeness: what `ussd.classify` finds in a deliver_sm, at a fraction of its cost.

Every USSD step and every SMS passes here. Sequence number, subscriber, session and text are an input's own. All the
rest comes again and again and is known by its octets, once a message with the same was read in full. Nothing that was
typed is kept.
"""

import re
from typing import ClassVar, Final, final

import msgspec

from smpp.alphabets import Alphabet, alphabet_of, read
from smpp.constants import HEADER_OCTETS, CommandId
from smpp.dialect import Dialect, Mark
from smpp.pdu import Message, decode, decode_long
from smpp.reassembly import read_one
from smpp.receipts import is_receipt
from smpp.ussd import NO_SESSION, Answer, Begin, Session, classify, session_in, unnamed

LIKENESSES_KEPT: Final = 256
"""A gateway has a few, times the lengths of text; who writes another one each time fills no memory."""

SESSIONS_KEPT: Final = 4096
"""A gateway has few ids and counts from 0. Emptied when full: to know which was used last would cost in every look."""

_FIXED_OCTETS: Final = 11
"""From the NUL of the destination's address to the first octet of the text, where no dates are given."""


_DIALLED: Final = re.compile("[*#]")


class Heads(msgspec.Struct, frozen=True, gc=False):
    """What a reply as a submit_sm has before the subscriber's number, by what it is."""

    menu: bytes
    end: bytes
    end_pushed: bytes


class Likeness(msgspec.Struct, frozen=True, gc=False):
    """What inputs have in common: whether they begin a dialogue, whether it is over with them, how they are answered.

    `unnamed` is as `ussd.unnamed` says.
    """

    begins: bool
    last: bool
    unnamed: str
    alphabet: Alphabet
    source_addr_ton: int
    source_addr_npi: int
    heads: Heads


@final
class Heard(msgspec.Struct, frozen=True, gc=False):
    """A begin or an answer that was known by its likeness; it waits for `Link.respond`, as what `Delivered` tells of.

    `frame` is the PDU as it came.
    """

    sequence: int
    source_addr: str
    session: Session
    text: str
    likeness: Likeness
    frame: bytes

    command: ClassVar[int] = int(CommandId.DELIVER_SM)

    def in_full(self) -> Message:
        """Return the message."""
        message = decode(self.frame)
        assert type(message) is Message
        return message


class TextLikeness(msgspec.Struct, frozen=True, gc=False):
    """What SMS have in common that are whole by themselves: from what kind of number, to which, in which alphabet."""

    source_addr_ton: int
    source_addr_npi: int
    destination_addr: str
    alphabet: Alphabet


@final
class Texted(msgspec.Struct, frozen=True, gc=False):
    """An SMS that was known by its likeness; it waits for `Link.respond`, as `Heard` does."""

    command: int
    sequence: int
    source_addr: str
    text: str
    likeness: TextLikeness


class Inputs:
    """Reads what is delivered to an account of one dialect; `alphabet` is what data_coding 0 means in an SMS there."""

    def __init__(self, dialect: Dialect, alphabet: Alphabet = "gsm") -> None:
        self._dialect = dialect
        self._alphabet = alphabet
        self._session_octets = 0 if dialect.session_tag is None else dialect.session_octets
        self._likenesses: dict[bytes, Likeness] = {}
        self._text_likenesses: dict[bytes, TextLikeness] = {}
        self._sessions = {} if self._session_octets else {b"": NO_SESSION}

    def read(self, frame: bytes, command: int, status: int, sequence: int) -> Heard | Texted | Message:
        """Read a deliver_sm, as a decoder does; it comes as a `Message` where its like was not read before."""
        find = frame.index
        source_at = find(0, HEADER_OCTETS) + 3
        source_end = find(0, source_at)
        text_at = find(0, source_end + 3) + _FIXED_OCTETS
        text_end = text_at + frame[text_at - 1]
        head = b""
        if text_end == len(frame) and text_at < text_end:  # no TLVs, as nearly every SMS
            head = frame[HEADER_OCTETS:source_at] + frame[source_end : text_at - 1]
            known = self._text_likenesses.get(head)
            if known is not None:
                source = frame[source_at:source_end].decode("latin-1")
                return Texted(command, sequence, source, read_one(frame[text_at:], known.alphabet), known)
        session_at = len(frame) - self._session_octets
        key = frame[HEADER_OCTETS:source_at] + frame[source_end:text_at] + frame[text_end:session_at]
        likeness = self._likenesses.get(key)
        if likeness is None or text_end > session_at:
            message = decode_long(frame, command, status, sequence)
            if head:
                self._learn_text(head, message, frame[text_at:])
            self._learn(key, message, frame[text_at:text_end], len(frame) - text_end)
            return message
        octets = frame[session_at:]
        session = self._sessions.get(octets) or self._read_session(octets)
        text = read(frame[text_at:text_end], likeness.alphabet).removesuffix("\r")
        if session.ended or not text:
            return decode_long(frame, command, status, sequence)
        source = frame[source_at:source_end].decode("latin-1")
        return Heard(sequence, source, session, text, likeness, frame)

    def _learn(self, key: bytes, message: Message, text: bytes, tlv_octets: int) -> None:
        """Keep what a message is like, if another one with the same `key` is sure to be so."""
        dialect, heard = self._dialect, classify(message, self._dialect)
        if not isinstance(heard, Begin | Answer) or message.esm_class or is_receipt(message):
            return
        if not text or message.short_message != text or message.schedule_delivery_time or message.validity_period:
            return
        if (isinstance(heard, Begin) and dialect.takes_from_address) or _DIALLED.search(message.destination_addr):
            return  # it may be what was typed
        if not self._ends_with_session(message, tlv_octets):
            return
        if len(self._likenesses) >= LIKENESSES_KEPT:
            self._likenesses.clear()
        self._likenesses[key] = Likeness(
            isinstance(heard, Begin),
            isinstance(heard, Answer) and heard.last,
            unnamed(message, dialect) if isinstance(heard, Answer) and not heard.op_known else "",
            alphabet_of(message.data_coding, dialect.alphabet),
            message.source_addr_ton,
            message.source_addr_npi,
            heads_of(message, dialect),
        )

    def _learn_text(self, head: bytes, message: Message, text: bytes) -> None:
        """Keep what an SMS without TLVs is like, if another one with the same `head` is sure to be so."""
        if message.esm_class or message.schedule_delivery_time or message.validity_period or message.tlvs:
            return  # a receipt or a part, say
        if message.short_message != text or classify(message, self._dialect) is not None:
            return
        if _DIALLED.search(message.destination_addr):
            return  # it may be what was typed
        if len(self._text_likenesses) >= LIKENESSES_KEPT:
            self._text_likenesses.clear()
        self._text_likenesses[head] = TextLikeness(
            message.source_addr_ton,
            message.source_addr_npi,
            message.destination_addr,
            alphabet_of(message.data_coding, self._alphabet),
        )

    def _read_session(self, octets: bytes) -> Session:
        if len(self._sessions) >= SESSIONS_KEPT:
            self._sessions.clear()
        session = self._sessions[octets] = session_in(octets, self._dialect)
        return session

    def _ends_with_session(self, message: Message, tlv_octets: int) -> bool:
        """Return whether the last octets are the session, and no TLV is there twice or followed by something else."""
        tag, tlvs = self._dialect.session_tag, message.tlvs
        if tag is None:
            return True
        whole = sum(4 + len(value) for value in tlvs.values()) == tlv_octets
        return whole and next(reversed(tlvs), None) == tag and len(tlvs[tag]) == self._session_octets


def heads_of(message: Message, dialect: Dialect) -> Heads:
    """Return what replies to a message begin with."""
    return Heads(*(_head(mark, message) for mark in (dialect.menu_as, dialect.end_as, dialect.end_pushed_as)))


def _head(mark: Mark, message: Message) -> bytes:
    text = (
        f"{mark.service_type}\0{chr(message.dest_addr_ton)}{chr(message.dest_addr_npi)}{message.destination_addr}\0"
        f"{chr(message.source_addr_ton)}{chr(message.source_addr_npi)}"
    )
    return text.encode("latin-1")
