"""The recording shows each PDU decoded, measured against its budget, and holds neither passwords nor codes."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp import alphabets, ussd
from smpp.constants import CommandId, Tag
from smpp.dialect import STANDARD
from smpp.pdu import Bare, Bind, Message, MessageResp, Password, encode
from ussd_server.dialects.files import load
from ussd_server.simulator.measure import PartView, fits, usage
from ussd_server.simulator.phone import Usage
from ussd_server.simulator.wire import HISTORY, Entry, OpView, Recorder, SessionView, describe

NUMBER = "79100000001"


def sms(text: str, source: str = "6262", **fields: object) -> Message:
    encoded = alphabets.choose(text)
    return Message(
        CommandId.SUBMIT_SM,
        source_addr=source,
        destination_addr=NUMBER,
        data_coding=encoded.data_coding,
        short_message=encoded.data,
        **fields,
    )


def recorded(*frames: bytes) -> list[Entry]:
    entries: list[Entry] = []
    recorder = Recorder(entries.append)
    for frame in frames:
        recorder.record(frame, "from_service", 1, "ussd", 5)
    assert recorder.entries == tuple(entries)
    return entries


def test_a_ussd_menu_is_read_to_its_bits() -> None:
    begin = ussd.dial(NUMBER, "111", alphabets.choose("*111#"), session=9, sequence=3)
    menu = ussd.reply(begin, alphabets.choose("Тарифы\n1 RED"), ends=False)
    end = ussd.reply(begin, alphabets.choose("Bye"), ends=True)
    shown = describe(encode(begin), 1, "to_service", 1, "ussd", 5)
    assert (shown.command, shown.phone, shown.text) == ("deliver_sm", NUMBER, "*111#")
    assert (shown.op, shown.session) == (OpView(1, "PSSR indication"), SessionView(9, 3, False))
    assert shown.usage == Usage("GSM-7", 5, 182)
    shown = describe(encode(menu), 2, "from_service", 1, "ussd", 5)
    assert (shown.op, shown.usage, shown.phone) == (OpView(2, "USSR request"), Usage("UCS-2", 12, 80), NUMBER)
    shown = describe(encode(end), 3, "from_service", 1, "ussd", 5)
    assert shown.op == OpView(0x11, "PSSR response")
    assert shown.session is not None
    assert shown.session.end


@pytest.mark.parametrize(
    ("name", "begin", "menu", "abort", "session"),
    [
        ("comverse", (1, "PSSR indication"), (2, "USSR request"), (0x81, "0x81 abort"), SessionView(9, None, False)),
        ("two-letter", (None, "BR begin"), (None, "CR menu"), (None, "AF abort"), None),
        ("data-sm", (1, "PSSR indication"), (2, "USSR request"), (0x41, "0x41 abort"), SessionView(9, 0, False)),
    ],
)
def test_each_dialect_is_read_as_it_is_meant(
    name: str,
    begin: tuple[int | None, str],
    menu: tuple[int | None, str],
    abort: tuple[int | None, str],
    session: SessionView | None,
) -> None:
    dialect = replace(load(name), septets=100)
    dialled = ussd.dial(NUMBER, "111", alphabets.choose("*111*123456#"), session=9, dialect=dialect)
    screen = ussd.reply(dialled, alphabets.choose("1 Yes"), ends=False, dialect=dialect)
    over = ussd.abort(NUMBER, "111", session=9, dialect=dialect)
    assert over is not None
    entries: list[Entry] = []
    recorder = Recorder(entries.append, dialect)
    recorder.record(encode(dialled), "to_service", 1, "ussd", 5)
    recorder.record(encode(screen), "from_service", 1, "ussd", 5)
    recorder.record(encode(over), "to_service", 1, "ussd", 5)
    assert [entry.op for entry in entries] == [OpView(*begin), OpView(*menu), OpView(*abort)]
    assert entries[0].session == session
    assert (entries[0].text, entries[0].masked) == ("*111*123456#", False)
    assert entries[1].usage == Usage("GSM-7", 5, 100)


def test_what_one_message_holds_is_the_dialects_to_say() -> None:
    small = replace(STANDARD, septets=100, ucs2_units=30)
    for text, does_fit in (("x" * 100, True), ("x" * 101, False), ("ж" * 30, True), ("ж" * 31, False)):
        assert fits(ussd.dial(NUMBER, "111", alphabets.choose(text), session=1), small) == does_fit


def test_fields_and_tlvs_tile_the_pdu_without_gaps() -> None:
    frame = encode(ussd.dial(NUMBER, "111", alphabets.choose("*111#"), session=9))
    shown = describe(frame, 1, "to_service", 1, "ussd", 5)
    at = 0
    for field in (*shown.fields, *shown.tlvs):
        assert field.offset == at
        at += field.size
    assert at == len(frame)
    assert shown.hex == frame.hex()
    assert [tlv.meaning for tlv in shown.tlvs] == ["PSSR indication", "session 9, sequence 0"]


@given(st.binary(max_size=120), st.sampled_from([*CommandId, 0x99]))
def test_whatever_comes_is_described(body: bytes, command: int) -> None:
    frame = (16 + len(body)).to_bytes(4, "big") + command.to_bytes(4, "big") + bytes(8) + body
    (shown,) = recorded(frame)
    assert len(shown.hex) == 2 * len(frame)
    for field in (*shown.fields, *shown.tlvs):
        assert 0 <= field.offset < field.offset + field.size <= len(frame)


def test_a_broken_pdu_says_what_is_wrong_beside_what_can_be_read() -> None:
    frame = encode(sms("hello"))[:40]
    (shown,) = recorded(len(frame).to_bytes(4, "big") + frame[4:])
    assert shown.problem
    assert [field.name for field in shown.fields][:5] == [
        "command_length",
        "command_id",
        "command_status",
        "sequence_number",
        "service_type",
    ]


@pytest.mark.parametrize("text", ["Ваш пароль: 48215903.", "Your code is 48215903.", "48215903", "код 123456 и 654321"])
def test_codes_are_neither_in_the_text_nor_in_the_octets(text: str) -> None:
    message = sms(text)
    (shown,) = recorded(encode(message))
    assert shown.text is not None
    assert shown.masked
    assert not any(character.isdigit() for character in shown.text)
    assert len(shown.text) == len(text)
    for code in ("48215903", "123456", "654321"):
        for octets in (code.encode(), code.encode("utf-16-be")):
            assert octets.hex() not in shown.hex


def test_codes_are_hidden_in_a_payload_and_behind_a_header_too() -> None:
    text = "Код 48215903".encode("utf-16-be")
    payload = sms("")
    payload.data_coding, payload.tlvs = 8, {Tag.MESSAGE_PAYLOAD: text}
    part = sms("", esm_class=0x40)
    part.data_coding, part.short_message = 8, b"\x05\x00\x03\x07\x02\x01" + text
    for message in (payload, part):
        (shown,) = recorded(encode(message))
        assert shown.text == "Код ********"
        assert "48215903".encode("utf-16-be").hex() not in shown.hex


def test_codes_are_hidden_whatever_the_coding_says_and_in_what_cannot_be_read() -> None:
    lying, odd = sms(""), sms("")
    lying.short_message, lying.data_coding = "Код 48215903".encode("utf-16-be"), 0
    odd.short_message, odd.data_coding = b"Code 48215903", 8
    whole = encode(sms("Your code is 48215903."))
    cut = (len(whole) - 3).to_bytes(4, "big") + whole[4:-3]
    unknown = whole[:4] + b"\x00\x00\x00\x99" + whole[8:]
    for frame in (encode(lying), encode(odd), cut, unknown):
        (shown,) = recorded(frame)
        assert shown.masked
        assert b"48215".hex() not in shown.hex
        assert "48215".encode("utf-16-be").hex() not in shown.hex


@given(st.text("0123456789 aж", max_size=60))
def test_hiding_changes_nothing_but_long_groups_of_digits(text: str) -> None:
    (shown,) = recorded(encode(sms(text)))
    assert shown.text == re.sub("[0-9]{6,}", lambda group: "*" * len(group[0]), text)
    assert not shown.problem


def test_a_password_that_is_cut_off_is_hidden_too() -> None:
    frame = encode(Bind(system_id="ussd", password=Password("s3cret")))
    end = frame.index(b"s3cret") + 6
    (shown,) = recorded(end.to_bytes(4, "big") + frame[4:end])
    assert shown.problem
    assert b"s3c".hex() not in shown.hex
    assert shown.hex.endswith(b"******".hex())


def test_short_numbers_and_ussd_are_shown_as_they_are() -> None:
    begin = ussd.dial(NUMBER, "111", alphabets.choose("*111*123456#"), session=9)
    for frame in (encode(sms("Balance 12345 rub.")), encode(begin)):
        (shown,) = recorded(frame)
        assert not shown.masked
        assert shown.hex == frame.hex()


def test_a_password_is_not_in_the_recording() -> None:
    frame = encode(Bind(system_id="ussd", password=Password("s3cret")))
    (shown,) = recorded(frame)
    assert b"s3cret".hex() not in shown.hex
    assert [field.value for field in shown.fields if field.name == "password"] == ['"******"']
    assert [field.value for field in shown.fields if field.name == "system_id"] == ['"ussd"']


def test_a_response_belongs_to_the_phone_of_its_request() -> None:
    entries: list[Entry] = []
    recorder = Recorder(entries.append)
    request = sms("hello")
    request.sequence = 41
    recorder.record(encode(request), "from_service", 1, "ussd", 5)
    response = MessageResp(CommandId.SUBMIT_SM_RESP, 41, 0, "1")
    recorder.record(encode(response), "to_service", 2, "ussd", 5)
    recorder.record(encode(response), "to_service", 1, "ussd", 5)
    recorder.record(encode(response), "to_service", 1, "ussd", 5)
    assert [entry.phone for entry in entries] == [NUMBER, None, NUMBER, None]


def test_upkeep_is_marked() -> None:
    (shown,) = recorded(encode(Bare(CommandId.ENQUIRE_LINK, 3)))
    assert shown.upkeep
    assert shown.text is None


def test_the_recording_is_bounded_and_can_be_cleared() -> None:
    recorder = Recorder(lambda entry: None)
    for _ in range(HISTORY + 5):
        recorder.record(encode(sms("x")), "from_service", 1, "ussd", 5)
    assert [recorder.entries[0].id, len(recorder.entries)] == [6, HISTORY]
    recorder.clear()
    assert recorder.entries == ()


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (b"\x05\x00\x03\x07\x03\x02", PartView(7, 2, 3)),
        (b"\x06\x08\x04\x01\x02\x03\x01", PartView(0x102, 1, 3)),
        (b"\x09\x05\x02\x00\x01\x00\x03\x07\x02\x02", PartView(7, 2, 2)),
        (b"\x04\x05\x02\x00\x01", None),
        (b"\xff", None),
    ],
)
def test_parts_are_known_by_their_header(header: bytes, part: PartView | None) -> None:
    message = sms("", esm_class=0x40)
    message.short_message = header + b"text"
    assert describe(encode(message), 1, "from_service", 1, "ussd", 5).part == part


def test_parts_are_known_by_their_tlvs() -> None:
    tlvs = {Tag.SAR_MSG_REF_NUM: b"\x01\x00", Tag.SAR_TOTAL_SEGMENTS: b"\x02", Tag.SAR_SEGMENT_SEQNUM: b"\x01"}
    message = sms("text", tlvs=tlvs)
    assert describe(encode(message), 1, "from_service", 1, "ussd", 5).part == PartView(256, 1, 2)


@pytest.mark.parametrize(
    ("text", "expected", "does_fit"),
    [
        ("a" * 160, Usage("GSM-7", 160, 160), True),
        ("a" * 161, Usage("GSM-7", 161, 306, 2), False),
        ("ж" * 70, Usage("UCS-2", 70, 70), True),
        ("ж" * 71, Usage("UCS-2", 71, 134, 2), False),
        ("€" * 80, Usage("GSM-7", 160, 160), True),
    ],
)
def test_an_sms_is_measured(text: str, expected: Usage, does_fit: bool) -> None:
    assert usage(sms(text)) == expected
    assert fits(sms(text)) == does_fit


@pytest.mark.parametrize(
    ("text", "does_fit"), [("a" * 182, True), ("a" * 183, False), ("ж" * 80, True), ("ж" * 81, False)]
)
def test_a_ussd_text_is_measured(text: str, does_fit: bool) -> None:
    assert fits(ussd.dial(NUMBER, "111", alphabets.choose(text), session=1)) == does_fit


def test_a_part_is_measured_with_its_header() -> None:
    header = b"\x05\x00\x03\x07\x02\x01"
    message = sms("", esm_class=0x40)
    for size, does_fit in ((153, True), (154, False)):
        message.short_message = header + b"a" * size
        assert fits(message) == does_fit
    assert usage(message) == Usage("GSM-7", 154, 306, 2)
