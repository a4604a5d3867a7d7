"""Each dialect octet by octet: recordings made from the table of dialects alone, played against the real link.

Their octets were put together field by field, without this project's encoder; `tests/interop` has another
implementation read them.
"""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from smpp import ussd
from smpp.alphabets import Encoded, choose
from smpp.constants import RESPONSE_BIT, CommandId
from smpp.dialect import Ending
from smpp.events import Bound, Delivered, Responded
from smpp.link import Link
from smpp.pdu import Bind, BindResp, Message, decode, encode
from smpp.states import Role
from smpp.ussd import classify
from tests.ussd_server.dialects.recording import RECORDINGS, Block, Recording, difference, read, shown
from ussd_server.dialects.files import load, shipped

FILES = sorted(RECORDINGS.glob("*.txt"))
every = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
GATEWAYS = re.compile(r"(dial|answer|confirm|abort)(?: (\S+))?(?: session (\d+))?(?: count (\d+))?")
OURS = re.compile(r'(respond|release|menu|end pushed|end|ask|notify)(?: (".*"))?')


def test_every_dialect_is_recorded() -> None:
    assert {read(path).head["dialect"] for path in FILES} == set(shipped())


@every
def test_a_recording_says_of_itself_what_its_octets_are(path: Path) -> None:
    for block in read(path).blocks:
        assert len(block.octets) == int.from_bytes(block.octets[:4], "big"), block
        assert [line.split()[0] for line in shown(block.octets)] == [name for name, _ in block.fields], block


@every
def test_the_whole_dialogue_is_in_it(path: Path) -> None:
    recording = read(path)
    dialect = load(recording.head["dialect"])
    done = {block.act.split()[0] for block in recording.blocks}
    assert done >= {"dial", "answer", "menu", "end", "respond", "taken"}
    aborts = {block.act.split()[1] for block in recording.blocks if block.act.startswith("abort")}
    assert aborts == dialect.tells - {"drop"}
    assert ("ask" in done, "notify" in done) == (dialect.ask is not None, dialect.notify is not None)
    assert ("release" in done) == (dialect.release is not None)


@every
def test_we_hear_and_say_what_was_recorded(path: Path) -> None:
    service = Service(read(path))
    for block in service.recording.blocks:
        if block.way == "<":
            service.hear(block)
        else:
            told = difference(block, service.say(block), path.name)
            assert not told, f"\n{told}"


@every
def test_the_simulator_says_what_was_recorded(path: Path) -> None:
    recording = read(path)
    sequence = 0
    for block in recording.blocks:
        if block.way == "<" and block.act not in ("taken", "refused"):
            sequence += 1
            if block.act != "as it is":
                made = as_a_gateway(recording, block)
                assert made is not None, block
                told = difference(block, encode(made, sequence), path.name)
                assert not told, f"\n{told}"


@every
def test_the_simulator_reads_what_we_say(path: Path) -> None:
    recording = read(path)
    dialect = load(recording.head["dialect"])
    for block in recording.blocks:
        said = OURS.fullmatch(block.act)
        if block.way == ">" and said is not None and said[1] != "respond":
            message = decode(block.octets)
            assert isinstance(message, Message)
            reply = ussd.read_reply(message, dialect)
            assert reply is not None
            assert reply.text == (json.loads(said[2]) if said[2] else "")
            assert reply.ends == (said[1] not in ("menu", "ask"))
            assert reply.releases == (said[1] == "release")
            assert reply.opens or said[1] not in ("ask", "notify")


def as_a_gateway(recording: Recording, block: Block) -> Message | None:
    """Make what the simulator would send."""
    found = GATEWAYS.fullmatch(block.act)
    assert found is not None, block
    kind, text = found[1], found[2] or ""
    dialect = load(recording.head["dialect"])
    who = (recording.head["msisdn"], recording.head["service"])
    at = {"session": int(found[3] or 0), "sequence": int(found[4] or 0), "dialect": dialect}
    if kind == "confirm":
        return ussd.confirm(*who, **at)
    if kind == "abort":
        why: Ending = next(each for each in get_args(Ending) if each == text)
        return ussd.abort(*who, why=why, **at)
    make = ussd.dial if kind == "dial" else ussd.answer
    return make(*who, choose(text, dialect.gsm_coding, dialect.ucs2_coding), **at)


class Service:
    """Our side of the link, bound; says what a recording tells it to say."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.dialect = load(recording.head["dialect"])
        self.link = Link(Role.ESME)
        self.link.connected(0)
        self.link.bind(Bind(), 0)
        self.link.take()
        response = BindResp(CommandId.BIND_TRANSCEIVER | RESPONSE_BIT, 1, 0, "gateway")
        assert isinstance(self.link.receive(encode(response), 0)[0], Bound)
        self.last: Message | None = None
        self.waiting = 0

    def hear(self, block: Block) -> None:
        """Receive a PDU: a message is heard as it says, a response belongs to what was sent."""
        (event,) = self.link.receive(block.octets, 0)
        if block.act in ("taken", "refused"):
            assert isinstance(event, Responded)
            assert (event.status == 0) == (block.act == "taken")
            assert event.status == 0 or event.status in self.dialect.statuses
            assert event.tag == self.waiting
            return
        assert isinstance(event, Delivered)
        self.last = event.pdu
        assert repr(classify(event.pdu, self.dialect)) == block.heard, f"{self.recording.name}.txt:{block.line}"

    def say(self, block: Block) -> bytes:
        """Do what a block says and return the octets that go out."""
        said = OURS.fullmatch(block.act)
        assert said is not None, block
        kind, text = said[1], json.loads(said[2]) if said[2] else ""
        if kind == "respond":
            assert self.last is not None
            self.link.respond(self.last, 0)
        else:
            self.waiting += 1
            message = self._message(kind, choose(text, self.dialect.gsm_coding, self.dialect.ucs2_coding))
            assert self.link.send(message, self.waiting, 0)
        return self.link.take()

    def _message(self, kind: str, text: Encoded) -> Message:
        dialect = self.dialect
        if kind in ("ask", "notify"):
            who = (self.recording.head["service"], self.recording.head["msisdn"])
            return ussd.push(*who, text, ends=kind == "notify", dialect=dialect)
        assert self.last is not None
        if kind == "release":
            released = ussd.release(self.last, dialect)
            assert released is not None
            return released
        return ussd.reply(self.last, text, ends=kind != "menu", dialect=dialect, pushed=kind == "end pushed")


def test_a_difference_is_shown_field_by_field() -> None:
    block = next(block for block in read(RECORDINGS / "standard.txt").blocks if block.act.startswith("menu"))
    other = block.octets.replace(b"\x05\x01\x00\x01\x02", b"\x05\x01\x00\x01\x11")
    lines = difference(block, other, "standard.txt").splitlines()
    assert lines[0] == f"--- standard.txt:{block.line} (> {block.act}) recorded"
    assert [line for line in lines[2:] if line[0] in "+-"] == [
        "-ussd_service_op        05 01 00 01 02",
        "+ussd_service_op        05 01 00 01 11",
    ]
    assert difference(block, block.octets, "standard.txt") == ""
    assert "+nothing" in difference(block, b"", "standard.txt")


def test_whatever_the_octets_are_they_are_shown() -> None:
    whole = read(RECORDINGS / "standard.txt").blocks[0].octets
    for size in range(len(whole)):
        cut = b"".join(bytes.fromhex(line.split(None, 1)[1]) for line in shown(whole[:size]) if len(line.split()) > 1)
        assert cut == whole[:size]
