"""What faults do to the octets of a link, by a clock that the test holds."""

import pytest

from smpp.constants import CommandId
from smpp.errors import CloseReason
from smpp.events import Bound, Closed, Delivered, Event, Lost
from smpp.framing import Framer
from smpp.link import Link
from smpp.pdu import Bind, Message, decode, encode
from smpp.states import Role
from ussd_server.simulator.faults import Fault, usual
from ussd_server.simulator.transit import HELD_MS, RecordedLink

START = 1_000
GARBAGE = b"\xff" * 16


class Wire:
    """A simulator's link with faults and an ESME's without, and what the ESME heard."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, bytes]] = []
        self.silent = False
        self.smsc = RecordedLink(1, self._record, lambda: self.silent)
        self.esme = Link(Role.ESME)
        self.heard: list[Event] = []
        self.now = START
        for link in (self.smsc, self.esme):
            link.connected(START)
        self.esme.bind(Bind(system_id="ussd"), START)
        (event,) = self.smsc.receive(self.esme.take(), START)
        self.smsc.accept(event.pdu, "simulator", START)  # type: ignore[union-attr]
        self.carry()
        assert isinstance(self.heard.pop(), Bound)
        self.recorded.clear()

    def _record(self, link: RecordedLink, frame: bytes, direction: str) -> None:
        self.recorded.append((direction, frame))

    def deliver(self, *texts: bytes) -> None:
        for text in texts:
            assert self.smsc.send(Message(CommandId.DELIVER_SM, short_message=text), text, self.now)

    def carry(self) -> bytes:
        """Let the ESME read what the simulator writes; return it."""
        octets = self.smsc.take()
        self.heard += self.esme.receive(octets, self.now)
        return octets

    def wait(self, ms: int) -> list[Event]:
        """Let time pass; return what the simulator's link tells of it."""
        self.now += ms
        return self.smsc.tick(self.now)

    def texts(self) -> list[bytes]:
        """Return the texts that the ESME has heard, in their order."""
        return [event.pdu.short_message for event in self.heard if isinstance(event, Delivered)]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_without_faults_everything_passes_and_is_recorded(wire: Wire) -> None:
    wire.deliver(b"one", b"two")
    octets = wire.carry()
    assert wire.texts() == [b"one", b"two"]
    assert b"".join(frame for _, frame in wire.recorded) == octets
    assert wire.smsc.timer() is not None


def test_what_is_held_goes_the_last_one_first_and_responses_count_as_well(wire: Wire) -> None:
    wire.smsc.suffer(Fault("reorder", messages=3))
    wire.deliver(b"one")
    assert wire.esme.send(Message(CommandId.SUBMIT_SM), None, wire.now)
    (submitted,) = wire.smsc.receive(wire.esme.take(), wire.now)
    wire.smsc.respond(submitted.pdu, 0, "7")  # type: ignore[union-attr]
    assert wire.carry() == b""
    wire.deliver(b"two", b"three")
    sent = [decode(frame) for frame in Framer(9_999).feed(wire.carry())]
    assert [(pdu.command, getattr(pdu, "short_message", b"")) for pdu in sent] == [
        (CommandId.DELIVER_SM, b"two"),
        (CommandId.SUBMIT_SM_RESP, b""),
        (CommandId.DELIVER_SM, b"one"),
        (CommandId.DELIVER_SM, b"three"),
    ]


def test_what_is_held_is_not_held_for_ever_and_enquire_link_never(wire: Wire) -> None:
    wire.smsc.suffer(Fault("reorder", messages=9))
    wire.deliver(b"one", b"two")
    assert wire.carry() == b""
    assert wire.smsc.timers.sooner
    assert wire.smsc.timer() == START + HELD_MS
    wire.smsc.receive(bytes.fromhex("00000010000000150000000000000009"), wire.now)
    assert decode(wire.carry()).command == CommandId.ENQUIRE_LINK_RESP
    wire.wait(HELD_MS)
    wire.carry()
    assert wire.texts() == [b"two", b"one"]
    wire.deliver(b"three")
    wire.carry()
    assert wire.texts()[-1] == b"three"


def test_the_second_half_follows_and_what_comes_later_waits_behind_it(wire: Wire) -> None:
    wire.smsc.suffer(Fault("half", for_ms=500))
    wire.deliver(b"one", b"two")
    whole = encode(Message(CommandId.DELIVER_SM, 1, short_message=b"one"))
    assert wire.carry() == whole[: len(whole) // 2]
    assert wire.smsc.timer() == START + 500
    wire.wait(500)
    wire.carry()
    assert wire.texts() == [b"one", b"two"]
    assert len(wire.recorded) == 2


def test_after_a_half_that_is_all_the_link_is_over_and_its_messages_are_lost(wire: Wire) -> None:
    wire.smsc.suffer(Fault("half"))
    wire.deliver(b"one", b"two")
    assert 0 < len(wire.carry()) < 40
    assert wire.recorded == []  # none passed whole
    assert wire.smsc.timer() == START
    events = wire.wait(0)
    assert events == [Lost(b"one", True), Lost(b"two", True), Closed(CloseReason.CONNECTION_LOST)]
    assert wire.smsc.closed
    assert (wire.carry(), wire.texts(), wire.smsc.timer()) == (b"", [], None)


def test_garbage_goes_as_it_is_and_is_recorded(wire: Wire) -> None:
    wire.smsc.suffer(usual(Fault("garbage")))
    assert wire.carry() == GARBAGE
    assert wire.recorded == [("to_service", GARBAGE)]
    assert any(isinstance(event, Closed) for event in wire.heard)


def test_who_is_silent_hears_and_says_nothing(wire: Wire) -> None:
    wire.silent = True
    wire.deliver(b"one")
    assert wire.esme.send(Message(CommandId.SUBMIT_SM), None, wire.now)
    (submitted,) = wire.smsc.receive(wire.esme.take(), wire.now)
    wire.smsc.respond(submitted.pdu, 0, "7")  # type: ignore[union-attr]
    assert wire.carry() == b""
    assert [direction for direction, _ in wire.recorded] == ["from_service"]
    wire.silent = False
    wire.deliver(b"two")
    wire.carry()
    assert wire.texts() == [b"two"]
