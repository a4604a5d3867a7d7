"""What must hold for any octets that a peer sends: a function a layer, which raises where it does not.

Each takes octets as a fuzzer makes them and reads from them what it is to do. The first octets choose (a dialect, a
state, how the stream is cut); what is left is what the peer sends. So every input means something, and a fuzzer learns
which one leads where.
"""

import struct
from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

from smpp import alphabets, reassembly, receipts
from smpp.alphabets import Encoded
from smpp.constants import CommandId, DataCoding, Status
from smpp.dialect import Dialect
from smpp.events import BindRequested, Closed, Delivered, Event, Expired, Lost, Responded
from smpp.framing import Framer
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, Malformed, Message, acknowledge, decode, encode
from smpp.reassembly import Letter, Limits
from smpp.states import Role, State
from smpp.ussd import Answer, Begin, classify, is_ussd, read_reply, release, reply
from ussd_server.dialects import files as dialects

Target: TypeAlias = Callable[[bytes], None]

COMMANDS: Final = tuple(int(command) for command in CommandId)
MESSAGES: Final = (int(CommandId.DELIVER_SM), int(CommandId.DATA_SM), int(CommandId.SUBMIT_SM))
MAX_PDU: Final = 4_096
MENU: Final = Encoded("1 Да\n0 Нет".encode("utf-16-be"), DataCoding.UCS2, "ucs2")


class Reader:
    """Takes choices from an input; where it has ended, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether all is read."""
        return self._at >= len(self._data)

    def octet(self) -> int:
        """Return the next octet."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def octets(self, amount: int) -> bytes:
        """Return so many octets, or what is left."""
        self._at += amount
        return self._data[self._at - amount : self._at]

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.octets(len(self._data))


def _frame(command: int, status: int, sequence: int, body: bytes) -> bytes:
    return struct.pack(">IIII", 16 + len(body), command, status, sequence) + body


def framing(data: bytes) -> None:
    """However a stream is cut, the same PDUs come out, every octet is in one of them or waits, and few wait."""
    reader = Reader(data)
    step, stream = 1 + reader.octet() % 24, reader.rest()
    whole, cut = Framer(MAX_PDU), Framer(MAX_PDU)
    frames, pieces = whole.feed(stream), []
    for at in range(0, len(stream), step):
        pieces += cut.feed(stream[at : at + step])
        assert len(cut._buffer) < MAX_PDU + step
    assert (pieces, cut.fault) == (frames, whole.fault)
    joined = b"".join(frames)
    assert stream.startswith(joined)
    assert whole.fault is not None or joined + bytes(whole._buffer) == stream


def pdus(data: bytes) -> None:
    """Any body of any command is a value; what was read is written again as it was read."""
    reader = Reader(data)
    choice, status, sequence = reader.octet(), reader.octet(), reader.octet()
    command = COMMANDS[choice % len(COMMANDS)] if choice < 250 else choice << 24
    read = decode(_frame(command, status, sequence, reader.rest()))
    if isinstance(read, Malformed):
        assert read.error in (Status.RINVCMDLEN, Status.RINVMSGLEN, Status.RINVOPTPARSTREAM)
        assert (read.command, read.sequence) == (command, sequence)
        return
    if isinstance(read, Message):
        acknowledge(read)
        read.payload, read.user_data  # noqa: B018 - both are read, whatever there is
        try:
            wire = encode(read)
        except ValueError:
            assert read.short_message
            assert 0x0424 in read.tlvs  # we read a message with a text in both places, and write none
            return
    else:
        wire = encode(read)
    assert decode(wire) == read


@cache
def _dialects() -> tuple[Dialect, ...]:
    return tuple(dialects.load(name) for name in dialects.shipped())


def messages(data: bytes) -> None:
    """Whatever message comes, every dialect has a value for it, an answer to it can be written, and a gateway reads."""
    reader = Reader(data)
    dialect = _dialects()[reader.octet() % len(_dialects())]
    command = MESSAGES[reader.octet() % len(MESSAGES)]
    message = decode(_frame(command, 0, 1, reader.rest()))
    if not isinstance(message, Message):
        return
    came = classify(message, dialect)
    if isinstance(came, Begin | Answer):
        for ends in (False, True):
            answer = decode(encode(reply(message, MENU, ends=ends, dialect=dialect)))
            assert isinstance(answer, Message)
            shown = read_reply(answer, dialect)
            assert shown is not None
            assert shown.text == "1 Да\n0 Нет"
            # Where only the end bit tells the last text from a menu, it needs the session TLV that should have come.
            assert shown.ends == ends or (dialect.end_as == dialect.menu_as and shown.session is None)
        released = release(message, dialect)
        assert released is None or encode(released)
    assert is_ussd(message, dialect) or read_reply(message, dialect) is None
    receipts.parse(message)
    receipts.is_receipt(message)
    alphabets.decode(message.user_data, message.data_coding)
    part = reassembly.part_of(message, message.source_addr)
    assert part is None or 0 < part.mark.number <= part.mark.total


LINK: Final = LinkSettings(window=3, queue=5, enquire_ms=2_000, response_ms=3_000, bind_ms=2_000, max_pdu=MAX_PDU)
SENDS: Final = Message(int(CommandId.SUBMIT_SM), destination_addr="79100000001", short_message=b"1")
DELIVERS: Final = Message(int(CommandId.DELIVER_SM), source_addr="79100000001", short_message=b"*111#")


def links(data: bytes) -> None:
    """Whatever a peer does when, a link raises nothing, keeps its limits, and each message sent has one outcome."""
    reader = Reader(data)
    first = reader.octet()
    role = Role.ESME if first & 1 else Role.SMSC
    link = Link(role, LINK)
    link.connected(0)
    story = _Story(link, reader)
    if first & 2:
        story.bind()
    while not reader.ended:
        story.go_on()
    story.end()


class _Story:
    """Plays an input at a link, and keeps its books."""

    def __init__(self, link: Link, reader: Reader) -> None:
        self.link = link
        self.reader = reader
        self.now = 0
        self.open: set[int] = set()
        self.sent = 0
        self.closed = 0

    def bind(self) -> None:
        """Bind the link, as most are when something goes wrong."""
        if self.link.role is Role.ESME:
            self.link.bind(Bind(system_id="esme"), self.now)
            self.hear(self.link.receive(_frame(CommandId.BIND_TRANSCEIVER_RESP, 0, 1, b"smsc\0"), self.now))
        else:
            self.hear(self.link.receive(encode(Bind(sequence=1, system_id="esme")), self.now))
        assert self.link.state is State.BOUND_TRX

    def go_on(self) -> None:
        """Do what the next octet says."""
        match self.reader.octet() % 8:
            case 0 | 1 | 2:
                self.peer_sends()
            case 3:
                self.hear(self.link.receive(self.reader.octets(1 + self.reader.octet() % 32), self.now))
            case 4:
                self.now += self.reader.octet() * 20
                self.hear(self.link.tick(self.now))
            case 5 | 6:
                self.send()
            case 7:
                choice = self.reader.octet()
                if choice & 1:
                    self.link.hold(self.now + choice * 10, self.now)
                elif choice > 240:
                    self.hear(self.link.unbind(self.now, choice))

    def peer_sends(self) -> None:
        """Let the peer send a whole PDU, whose sequence number may be one of ours."""
        choice = self.reader.octet()
        command = COMMANDS[choice % len(COMMANDS)]
        status, sequence = self.reader.octet() >> 6, self.reader.octet()
        body = self.reader.octets(self.reader.octet())
        self.hear(self.link.receive(_frame(command, status, sequence, body), self.now))

    def send(self) -> None:
        """Send a message."""
        self.sent += 1
        message = SENDS if self.link.role is Role.ESME else DELIVERS
        if self.link.send(message, self.sent, self.now, urgent=bool(self.reader.octet() & 1)):
            self.open.add(self.sent)

    def hear(self, events: list[Event]) -> None:
        """Do as an owner does, and check the books."""
        for event in events:
            assert not self.closed, "an event after the last one"
            match event:
                case Responded(tag=tag) | Expired(tag=tag) | Lost(tag=tag):
                    self.open.remove(tag)
                case BindRequested(pdu=pdu):
                    self.hear(self.link.accept(pdu, "smsc", self.now))
                case Delivered(pdu=pdu):
                    self.link.respond(pdu, self.now & 1)
                case Closed():
                    self.closed += 1
        assert self.link.in_flight <= LINK.window
        assert self.link.queued <= LINK.queue
        _read_own(self.link.take())

    def end(self) -> None:
        """Hang up: nothing may be left open."""
        self.hear(self.link.lost(self.now))
        assert not self.open
        assert self.closed == 1
        assert self.link.state is State.CLOSED
        assert not self.link.take()


def _read_own(octets: bytes) -> None:
    """Whatever a link writes is whole and well-formed."""
    framer = Framer(MAX_PDU)
    for frame in framer.feed(octets):
        assert not isinstance(decode(frame), Malformed)
    assert framer.fault is None
    assert not framer._buffer


LIMITS: Final = Limits(letters=4, per_source=2, octets=600, age_ms=5_000)
PART_OCTETS: Final = 255


def parts(data: bytes) -> None:
    """However parts come, the letters keep their limits, and a text has all its parts."""
    reader = Reader(data)
    letters: tuple[Letter, ...] = ()
    now = 0
    while not reader.ended:
        now += reader.octet() * 10
        esm_class, coding, source = reader.octet(), reader.octet(), str(reader.octet() % 3)
        message = Message(MESSAGES[0], 1, esm_class=esm_class, data_coding=coding, source_addr=source)
        message.short_message = reader.octets(reader.octet() % 40)
        if esm_class & 1:
            message.tlvs = {0x020C: bytes((0, reader.octet() % 4)), 0x020E: reader.octets(1), 0x020F: reader.octets(1)}
        part = reassembly.part_of(message, source)
        if part is None:
            continue
        taken = reassembly.take(letters, part, now, LIMITS)
        letters = taken.letters
        assert len(letters) <= LIMITS.letters
        assert sum(letter.source == source for letter in letters) <= LIMITS.per_source
        assert sum(letter.octets for letter in letters) <= LIMITS.octets
        assert all(now - letter.since < LIMITS.age_ms for letter in letters)
        assert all(len(letter.pieces) < letter.total for letter in letters)


TARGETS: Final[dict[str, Target]] = {target.__name__: target for target in (framing, pdus, messages, links, parts)}
