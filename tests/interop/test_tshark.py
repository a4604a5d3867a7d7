"""All that we send, on either side of a link, is decoded by Wireshark as we meant it, and none of it puzzles it."""

from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Final

import pytest

from smpp import alphabets, ussd
from smpp.constants import CommandId, EsmClass, Status, Tag
from smpp.dialect import Dialect
from smpp.events import BindRequested, Delivered, Event
from smpp.framing import Framer
from smpp.link import Link
from smpp.pdu import Alert, Bind, BindResp, Message, MessageResp, Outbind, Password, Pdu, decode, encode
from smpp.segments import STYLES
from smpp.states import Role
from tests.interop.capture import Read, Segment, available, read, write
from ussd_server.channels.sms import Spelling, parts
from ussd_server.dialects.files import load, shipped
from ussd_server.simulator.messages import ENDS, receipt_of, sms_messages

pytestmark = pytest.mark.interop

MSISDN, SERVICE = "79100000001", "111"
BINDS = (CommandId.BIND_TRANSCEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER)
TEXTS = ("Balance: 149.50 {rub} [€]", "Баланс: 149,50 руб.")
LONG_TEXTS = tuple(text * 12 for text in TEXTS)
LATER = 31_000
"""After so many ms of silence a link asks whether anybody is there."""

# What Wireshark has no name for, though we meant it: it knows the specification's USSD operations, no vendor's; and in
# data_coding only what SMS have, not the codings of USSD (3GPP TS 23.038 §5).
OPERATION = "USSD service operation: Unknown"
NAMELESS: Final[dict[str, set[str]]] = {
    "comverse": {
        *(f"{OPERATION} ({op})" for op in (0x80, 0x81, 0x83)),
        *(f"Optional parameter: 0x1501 (0x1501): {session}" for session in ("00000011", "00001106")),
    },
    "data-sm": {f"{OPERATION} ({0x41})"},
    "huawei": {f"{OPERATION} ({op})" for op in (0x20, 0x21)},
    "mica": {f"{OPERATION} ({0x81})"},
    "no-id": {
        "Data coding: Reserved (0x0f)",
        "Data coding: Reserved (0x48)",
        "0100 .... = DCS Coding Group for SMS: Unknown (0x4)",
    },
    "sibinco": {f"{OPERATION} ({0x81})"},
    "sixdee": {f"{OPERATION} ({0x81})"},
}


class Wire:
    """Both our sides on a connection without a network; what they write is captured."""

    def __init__(self) -> None:
        self.esme, self.smsc = Link(Role.ESME), Link(Role.SMSC)
        self.captured: list[Segment] = []
        self.respond: Callable[[Message], tuple[int, str]] = lambda message: (Status.ROK, "")
        self.grants = Status.ROK
        self._now = 0
        for link in (self.esme, self.smsc):
            link.connected(0)

    def bind(self, pdu: Bind) -> None:
        self.esme.bind(pdu, self._now)
        self.run()

    def send(self, link: Link, *messages: Message) -> None:
        for message in messages:
            assert link.send(message, None, self._now)
            self.run()

    def wait(self, ms: int) -> None:
        """Let time pass without a word."""
        self._now += ms
        for link in (self.esme, self.smsc):
            link.tick(self._now)
        self.run()

    def raw(self, to: Link, octets: bytes) -> None:
        """Have a link read octets that no side of ours would write."""
        to.receive(octets, self._now)
        self.run()

    def unbind(self, link: Link) -> None:
        link.unbind(self._now)
        self.run()

    def run(self) -> None:
        """Carry octets until nobody has any more."""
        sides = ((True, self.esme, self.smsc), (False, self.smsc, self.esme))
        quiet = False
        while not quiet:
            quiet = True
            for from_esme, sender, reader in sides:
                octets = sender.take()
                if octets:
                    quiet = False
                    self.captured.append(Segment(from_esme, octets))
                    for event in reader.receive(octets, self._now):
                        self._heard(reader, event)

    def _heard(self, link: Link, event: Event) -> None:
        match event:
            case BindRequested(pdu=bind) if self.grants:
                link.refuse(bind, self.grants, self._now)
            case BindRequested(pdu=bind):
                link.accept(bind, "simulator", self._now)
            case Delivered(pdu=message):
                link.respond(message, *self.respond(message))


def decoded(tmp_path: Path, captured: list[Segment], nameless: Set[str] = frozenset()) -> list[tuple[Pdu, Read]]:
    """Return each PDU as we read it and as tshark does; nothing but what is `nameless` has puzzled it."""
    missing = available()
    if missing:
        pytest.fail(missing)
    file = tmp_path / "wire.pcap"
    write(file, captured)
    framers = {True: Framer(70_000), False: Framer(70_000)}
    ours = [decode(frame) for segment in captured for frame in framers[segment.from_esme].feed(segment.octets)]
    pairs = list(zip(ours, read(file), strict=True))
    for pdu, seen in pairs:
        same(pdu, seen)
    assert set().union(*(seen.puzzles for _, seen in pairs)) == nameless
    return pairs


def same(pdu: Pdu, seen: Read) -> None:
    """Assert that a PDU's every field that has a meaning is what tshark has read."""
    assert seen.integer("command_id") == pdu.command
    assert seen.integer("sequence_number") == pdu.sequence
    if pdu.command & 0x80000000:
        assert seen.integer("command_status") == pdu.status
    if isinstance(pdu, Message):
        same_message(pdu, seen)
    elif isinstance(pdu, Bind):
        assert seen.values["system_id"] == pdu.system_id
        assert seen.values["password"] == pdu.password.reveal()
        assert seen.integer("interface_version") == pdu.interface_version
    elif isinstance(pdu, BindResp):
        assert seen.values.get("system_id", "") == pdu.system_id
    elif isinstance(pdu, MessageResp):
        assert seen.values.get("message_id", "") == pdu.message_id
    if tlvs := getattr(pdu, "tlvs", {}):
        same_tlvs(tlvs, seen)


def same_message(message: Message, seen: Read) -> None:
    assert seen.values["service_type"] == (message.service_type or "(Default)")
    for name in ("source_addr", "destination_addr"):
        assert seen.values[name] == getattr(message, name)
    for name in ("source_addr_ton", "source_addr_npi", "dest_addr_ton", "dest_addr_npi", "data_coding"):
        assert seen.integer(name) == getattr(message, name), name
    esm_class = message.esm_class
    assert seen.integer("esm.submit.msg_type") == esm_class >> 2 & 0x0F
    assert seen.integer("esm.submit.features") == esm_class >> 6
    assert seen.integer("regdel.receipt") == message.registered_delivery & 0x03
    if message.command != CommandId.DATA_SM:
        assert seen.integer("sm_length") == len(message.short_message)
        assert (seen.octets("message") if message.short_message else b"") == message.short_message


def same_tlvs(tlvs: dict[int, bytes], seen: Read) -> None:
    values = {
        Tag.USSD_SERVICE_OP: ("ussd_service_op",),
        Tag.USER_MESSAGE_REFERENCE: ("user_message_reference",),
        Tag.SAR_MSG_REF_NUM: ("sar_msg_ref_num",),
        Tag.SAR_TOTAL_SEGMENTS: ("sar_total_segments",),
        Tag.SAR_SEGMENT_SEQNUM: ("sar_segment_seqnum",),
        Tag.MESSAGE_STATE: ("message_state",),
        Tag.SC_INTERFACE_VERSION: ("SC_interface_version",),
    }
    assert [int(tag, 16) for tag in seen.every("opt_param_tag")] == list(tlvs)
    for tag, value in tlvs.items():
        if tag == Tag.ITS_SESSION_INFO:
            number, low = value
            read = tuple(seen.integer(f"its_session.{name}") for name in ("number", "sequence", "ind"))
            assert read == (number, low >> 1, low & 1)
        elif tag == Tag.RECEIPTED_MESSAGE_ID:
            assert seen.values["receipted_message_id"].encode() + b"\0" == value
        elif tag == Tag.MESSAGE_PAYLOAD:
            assert (seen.octets("message_payload") if value else b"") == value
        elif tag in values:
            assert seen.integer(*values[Tag(tag)]) == int.from_bytes(value, "big")
        else:
            assert seen.octets("vendor_op") == value


# USSD -------------------------------------------------------------------------------------------------------------


def dialogue(dialect: Dialect) -> Iterator[tuple[bool, Message]]:
    """Yield every message that either side can say in a dialect, and whether it is the service's."""
    session, step = 17, 3
    first, second = [
        alphabets.choose(text, dialect.gsm_coding, dialect.ucs2_coding, dialect.alphabet) for text in TEXTS
    ]
    begin = ussd.dial(MSISDN, SERVICE, alphabets.choose("*111*2#"), session=session, dialect=dialect)
    answer = ussd.answer(MSISDN, SERVICE, first, session=session, sequence=step, dialect=dialect)
    gateways = [begin, answer, ussd.confirm(MSISDN, SERVICE, session=session, sequence=step, dialect=dialect)]
    gateways += [
        ussd.abort(MSISDN, SERVICE, session=session, sequence=step, why=why, dialect=dialect)
        for why in ("cancel", "timeout", "drop")
    ]
    yield from ((False, message) for message in gateways if message is not None)
    for text in (first, second):
        yield True, ussd.reply(begin, text, ends=False, dialect=dialect)
        for pushed in (False, True):
            yield True, ussd.reply(answer, text, ends=True, dialect=dialect, pushed=pushed)
        for ends, sign in ((False, dialect.ask), (True, dialect.notify)):
            if sign is not None:
                yield True, ussd.push(SERVICE, MSISDN, text, ends=ends, session=0x1106, dialect=dialect)
    released = ussd.release(answer, dialect)
    if released is not None:
        yield True, released


@pytest.mark.parametrize("name", shipped())
def test_every_message_of_every_dialect(tmp_path: Path, name: str) -> None:
    """Each step of a dialogue, both ways, in both alphabets, with the operation and the session that we meant."""
    wire = Wire()
    wire.bind(Bind(system_id="ussd", password=Password("demo")))
    messages = list(dialogue(load(name)))
    for ours, message in messages:
        wire.send(wire.esme if ours else wire.smsc, message)
    pairs = decoded(tmp_path, wire.captured, NAMELESS.get(name, set()))
    assert len(pairs) == 2 + 2 * len(messages)


def test_the_operation_and_the_session_stand_where_the_specification_has_them(tmp_path: Path) -> None:
    """One dialogue in numbers written here, without a word from our own decoder."""
    begin = ussd.dial(MSISDN, SERVICE, alphabets.choose("*111#"), session=17, sequence=0)
    menu = ussd.reply(begin, alphabets.choose("Меню"), ends=False)
    answer = ussd.answer(MSISDN, SERVICE, alphabets.choose("2"), session=17, sequence=1)
    end = ussd.reply(answer, alphabets.choose("Пока"), ends=True)
    written = [Segment(False, encode(begin, 5)), Segment(True, encode(menu, 7))]
    written += [Segment(False, encode(answer, 6)), Segment(True, encode(end, 8))]
    names = ("ussd_service_op", "its_session.number", "its_session.sequence", "its_session.ind", "data_coding")
    seen = [
        (pdu.values["message_text"] if at % 2 else "", *map(pdu.integer, names))
        for at, (_, pdu) in enumerate(decoded(tmp_path, written))
    ]
    assert seen == [
        ("", 0x01, 17, 0, 0, 0),
        ("Меню", 0x02, 17, 0, 0, 8),
        ("", 0x12, 17, 1, 0, 0),
        ("Пока", 0x11, 17, 1, 1, 8),
    ]


# SMS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_sms_of_every_style_and_their_receipts(tmp_path: Path, style: str) -> None:
    """Short and long, in both alphabets, from a number and from a name, each way; whose receipts are read, too."""
    wire = Wire()
    wire.bind(Bind(system_id="sms", password=Password("demo")))
    wire.respond = lambda message: (Status.ROK, "00aF17")
    for reference, text in enumerate((*TEXTS, *LONG_TEXTS), 0x1F0):
        for source in (SERVICE, "Operator"):
            submitted = parts(source, MSISDN, text, reference, Spelling(style=style, receipts=True))
            wire.send(wire.esme, *submitted)
            wire.send(wire.smsc, *(receipt_of(submitted[0], "00aF17", 1_700_000_000_000, end) for end in ENDS))
        wire.send(wire.smsc, *sms_messages(MSISDN, SERVICE, text, reference, style))
    wire.send(wire.smsc, *sms_messages(MSISDN, SERVICE, "", 0))
    pairs = decoded(tmp_path, wire.captured)
    messages = [pdu for pdu, _ in pairs if isinstance(pdu, Message)]
    headers = [message for message in messages if message.esm_class & EsmClass.UDHI]
    assert bool(headers) == style.startswith("udh")
    receipts = [seen for pdu, seen in pairs if isinstance(pdu, Message) and pdu.esm_class & EsmClass.DELIVERY_RECEIPT]
    assert {seen.values["receipted_message_id"] for seen in receipts} == {"00aF17"}
    assert [seen.integer("message_state") for seen in receipts] == [2, 5, 3] * 8


# Sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", BINDS, ids=lambda command: command.name)
def test_sessions_from_bind_to_unbind(tmp_path: Path, command: CommandId) -> None:
    """Binds with all of their fields, keep-alive both ways, and an unbind from either side."""
    captured = []
    for asks in ("esme", "smsc"):
        wire = Wire()
        wire.bind(Bind(command, 0, 0, "ussd", Password("demo"), "VMA", 0x34, 1, 1, "^79"))
        wire.wait(LATER)
        wire.unbind(getattr(wire, asks))
        captured += wire.captured
    pairs = decoded(tmp_path, captured)
    assert [seen.values["address_range"] for pdu, seen in pairs if isinstance(pdu, Bind)] == ["^79"] * 2
    commands = {pdu.command for pdu, _ in pairs}
    assert commands >= {CommandId.ENQUIRE_LINK, CommandId.ENQUIRE_LINK_RESP, CommandId.UNBIND, CommandId.UNBIND_RESP}


def test_every_refusal(tmp_path: Path) -> None:
    """Every status that we know by name, in the response to a message and to a bind, and each kind of generic_nack."""
    wire = Wire()
    wire.bind(Bind(system_id="ussd", password=Password("demo")))
    own = {status for name in shipped() for status in load(name).statuses}
    statuses = [status for status in sorted({*map(int, Status), *own}) if status]
    message = Message(CommandId.SUBMIT_SM, source_addr=SERVICE, destination_addr=MSISDN, short_message=b"hi")
    captured = []
    for status in statuses:
        wire.respond = lambda message, status=status: (status, "")
        wire.send(wire.esme, message)
        wire.send(wire.smsc, Message(CommandId.DELIVER_SM, source_addr=MSISDN, short_message=b"hi"))
        refused = Wire()
        refused.grants = Status(status) if status in set(Status) else Status.RBINDFAIL
        refused.bind(Bind(system_id="ussd", password=Password("demo")))
        captured += refused.captured
    for octets in (
        b"\0\0\0\x10\0\x01\x02\0\0\0\0\0\0\0\0\x07",  # no such command
        b"\0\0\0\x11\0\0\0\5\0\0\0\0\0\0\0\x08\0",  # a deliver_sm cut short
        encode(Bind(sequence=9)),  # nobody binds to us
        b"\0\0\0\x08\0\0\0\0",  # shorter than a header: the end of the link
    ):
        wire.raw(wire.esme, octets)
    pairs = decoded(tmp_path, captured + wire.captured, {"Result: Unknown error (0x000000ff)"})  # RUNKNOWNERR: its name
    refusals = {pdu.status for pdu, _ in pairs if isinstance(pdu, MessageResp)}
    assert refusals >= set(statuses)
    nacks = {pdu.status for pdu, _ in pairs if pdu.command == CommandId.GENERIC_NACK}
    assert nacks == {Status.RINVCMDID, Status.RINVCMDLEN}


def test_what_only_an_smsc_says(tmp_path: Path) -> None:
    """Our codec writes an outbind and an alert_notification as well."""
    outbind = Outbind(sequence=1, system_id="gateway", password=Password("demo"))
    alert = Alert(CommandId.ALERT_NOTIFICATION, 2, 0, 1, 1, MSISDN, 0, 1, SERVICE)
    (_, first), (_, second) = decoded(tmp_path, [Segment(False, encode(outbind)), Segment(False, encode(alert))])
    assert (first.values["system_id"], first.values["password"]) == ("gateway", "demo")
    assert (second.values["source_addr"], second.values["esme_addr"]) == (MSISDN, SERVICE)


@pytest.mark.parametrize(
    "octets",
    [b"\0\0\0\x11\0\0\0\4\0\0\0\0\0\0\0\x01\0", encode(Message(CommandId.SUBMIT_SM, tlvs={0x0501: b"\x99"}))],
    ids=["cut short", "no such operation"],
)
def test_the_witness_complains_of_what_is_wrong(tmp_path: Path, octets: bytes) -> None:
    """So its silence about all of the above means something."""
    with pytest.raises(AssertionError):
        decoded(tmp_path, [Segment(True, octets)])
