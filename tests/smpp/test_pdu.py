"""Every PDU survives the wire, and nothing that a peer writes makes the codec raise."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smpp import pdu as codec
from smpp.constants import RESPONSE_BIT, CommandId, EsmClass, Status, Tag
from smpp.pdu import Bare, Bind, BindResp, Malformed, Message, MessageResp, Password, Pdu, Unknown, decode, encode
from tests.smpp.strategies import data_messages, long_messages, pdus, words

SHORT = Message(CommandId.DELIVER_SM, 7, service_type="USSD", source_addr="79101234567", short_message=b"*111#")


def frame(command: int, body: bytes = b"", status: int = 0, sequence: int = 9) -> bytes:
    return struct.pack(">IIII", 16 + len(body), command, status, sequence) + body


@given(pdus)
def test_a_pdu_survives_the_wire(pdu: Pdu) -> None:
    assert decode(encode(pdu)) == pdu


@given(long_messages)
def test_the_unrolled_codec_does_what_the_table_says(message: Message) -> None:
    wire = encode(message)
    assert codec._decode_by_table(wire, message.command, message.status, message.sequence) == message
    assert codec._encode_by_table(message) == wire[16:]


def by_table(wire: bytes) -> Pdu | Status:
    """Decode by the table alone: the PDU, or what `Malformed.error` is to be."""
    _, command, status, sequence = struct.unpack_from(">IIII", wire)
    try:
        return codec._decode_by_table(wire, command, status, sequence)
    except codec._Broken as broken:
        return broken.error
    except (IndexError, ValueError):
        return Status.RINVCMDLEN


@given(long_messages, st.integers(0), st.binary(max_size=8))
def test_the_unrolled_decoder_does_what_the_table_says_of_broken_messages(
    message: Message, place: int, patch: bytes
) -> None:
    body = encode(message)[16:]
    place %= len(body)
    for broken in (body[:place], body[:place] + patch, body[:place] + patch + body[place + len(patch) :]):
        wire = frame(message.command, broken)
        read = decode(wire)
        assert (read.error if isinstance(read, Malformed) else read) == by_table(wire)


@given(pdus, words)
def test_a_sequence_number_may_be_given_when_encoding(pdu: Pdu, sequence: int) -> None:
    wire = encode(pdu)
    assert encode(pdu, sequence) == wire[:12] + struct.pack(">I", sequence) + wire[16:]


@given(long_messages | data_messages)
def test_an_acknowledgement_is_the_response_that_says_nothing_else(message: Message) -> None:
    assert codec.acknowledge(message) == encode(MessageResp(message.command | RESPONSE_BIT, message.sequence))


@pytest.mark.parametrize("message", [Message(CommandId.DELIVER_SM, 1 << 32), Message(CommandId.UNBIND)])
def test_what_cannot_be_acknowledged_is_the_callers_mistake(message: Message) -> None:
    with pytest.raises(ValueError):
        codec.acknowledge(message)


@given(st.binary(max_size=80))
def test_any_octets_decode_to_a_value(data: bytes) -> None:
    decode(data)


@given(st.sampled_from(CommandId), st.binary(max_size=80))
@example(CommandId.DELIVER_SM, b"")
def test_any_body_decodes_to_a_value_that_keeps_command_and_sequence(command: CommandId, body: bytes) -> None:
    pdu = decode(frame(command, body))
    assert (pdu.command, pdu.sequence) == (command, 9)


@given(long_messages, st.data())
def test_a_request_cut_off_is_malformed_or_lost_only_what_followed(message: Message, data: st.DataObject) -> None:
    body = encode(message)[16:]
    cut = data.draw(st.integers(0, len(body)))
    pdu = decode(frame(message.command, body[:cut], message.status))
    if isinstance(pdu, Message):
        assert pdu.short_message == message.short_message
        assert pdu.tlvs.items() <= message.tlvs.items()
    else:
        assert isinstance(pdu, Malformed)
        assert pdu.error in {Status.RINVCMDLEN, Status.RINVMSGLEN, Status.RINVOPTPARSTREAM}


@pytest.mark.parametrize("extra", [b"\0", b"\0\0", b"\0\0\0"])
def test_up_to_three_octets_after_the_message_are_passed_over(extra: bytes) -> None:
    assert decode(frame(CommandId.DELIVER_SM, encode(SHORT)[16:] + extra, sequence=7)) == SHORT


@pytest.mark.parametrize(
    ("tail", "tlvs"),
    [
        ("0501 0001 02 1383 0002 1104", {0x0501: b"\x02", 0x1383: b"\x11\x04"}),
        ("0501 0001 02 0501 0002 1104", {0x0501: b"\x11\x04"}),
        ("0501 0002 0213 1383 0001 04", {0x0501: b"\x02\x13", 0x1383: b"\x04"}),
        ("0501 0001 02 1383 0001 1104", {0x0501: b"\x02", 0x1383: b"\x11"}),
        ("0501 0007 0213830002 1104", {0x0501: b"\x02\x13\x83\x00\x02\x11\x04"}),
        ("0501 0001 02 1383 0003 1104", None),
    ],
)
def test_eleven_octets_of_tlvs_are_read_by_their_lengths(tail: str, tlvs: dict[int, bytes] | None) -> None:
    pdu = decode(frame(CommandId.DELIVER_SM, encode(SHORT)[16:] + bytes.fromhex(tail)))
    if tlvs is None:
        assert isinstance(pdu, Malformed)
        assert pdu.error == Status.RINVOPTPARSTREAM
    else:
        assert isinstance(pdu, Message)
        assert pdu.tlvs == tlvs


def test_a_tlv_that_is_cut_off_is_named() -> None:
    pdu = decode(frame(CommandId.DELIVER_SM, encode(SHORT)[16:] + b"\x05\x01\x00\x09\x01"))
    assert isinstance(pdu, Malformed)
    assert pdu.error == Status.RINVOPTPARSTREAM
    assert "0x0501" in pdu.reason


def test_a_short_message_longer_than_the_rest_is_a_message_length_error() -> None:
    body = bytearray(encode(SHORT)[16:])
    body[-6] = 200
    pdu = decode(frame(CommandId.DELIVER_SM, bytes(body)))
    assert isinstance(pdu, Malformed)
    assert pdu.error == Status.RINVMSGLEN


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0", b"abc", b"abc\0\x04"])
@pytest.mark.parametrize("command", [CommandId.SUBMIT_SM_RESP, CommandId.BIND_TRANSCEIVER_RESP])
def test_an_error_response_may_have_any_body_or_none(command: int, body: bytes) -> None:
    pdu = decode(frame(command, body, status=Status.RTHROTTLED))
    assert isinstance(pdu, MessageResp | BindResp)
    assert (pdu.status, pdu.sequence) == (Status.RTHROTTLED, 9)


def test_what_a_response_says_before_it_breaks_is_kept() -> None:
    assert decode(frame(CommandId.SUBMIT_SM_RESP, b"00aF")) == MessageResp(CommandId.SUBMIT_SM_RESP, 9, 0, "00aF")


def test_bodies_of_responses_follow_the_specification() -> None:
    assert encode(MessageResp(CommandId.DELIVER_SM_RESP, 1, Status.RX_T_APPN))[16:] == b"\0"
    assert encode(MessageResp(CommandId.SUBMIT_SM_RESP, 1, Status.RTHROTTLED))[16:] == b""
    assert encode(MessageResp(CommandId.SUBMIT_SM_RESP, 1, 0, "7"))[16:] == b"7\0"
    assert encode(BindResp(CommandId.BIND_TRANSCEIVER_RESP, 1, Status.RINVPASWD))[16:] == b""


def test_an_unknown_command_is_kept_whole() -> None:
    assert decode(frame(0x00010200, b"xyz")) == Unknown(0x00010200, 9, 0, b"xyz")


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x10", struct.pack(">IIII", 17, 4, 0, 1)])
def test_a_frame_of_the_wrong_length_is_malformed(data: bytes) -> None:
    pdu = decode(data)
    assert isinstance(pdu, Malformed)
    assert pdu.error == Status.RINVCMDLEN


@pytest.mark.parametrize(
    "wrong",
    [
        Message(CommandId.SUBMIT_SM, source_addr="1\0"),
        Message(CommandId.SUBMIT_SM, source_addr="Теле"),
        Message(CommandId.SUBMIT_SM, data_coding=256),
        Message(CommandId.SUBMIT_SM, esm_class=-1),
        Message(CommandId.SUBMIT_SM, short_message=bytes(256)),
        Message(CommandId.SUBMIT_SM, source_addr_ton=256),
        Message(CommandId.SUBMIT_SM, dest_addr_npi=-1),
        Message(CommandId.SUBMIT_SM, validity_period="\0"),
        Message(CommandId.SUBMIT_SM, short_message=b"a", tlvs={Tag.MESSAGE_PAYLOAD: b"b"}),
        Message(CommandId.SUBMIT_SM, validity_period="1", short_message=b"a", tlvs={Tag.MESSAGE_PAYLOAD: b"b"}),
        Message(CommandId.SUBMIT_SM, tlvs={0x10000: b""}),
        Message(CommandId.SUBMIT_SM, tlvs={0x0501: bytes(0x10000)}),
        Message(CommandId.SUBMIT_SM, sequence=1 << 32),
        Message(CommandId.DATA_SM, short_message=b"a"),
        Message(CommandId.UNBIND),
        Bind(password=Password("a\0b")),
        Bind(CommandId.SUBMIT_SM),
        Bare(CommandId.SUBMIT_SM),
        MessageResp(CommandId.SUBMIT_SM_RESP, message_id="a\0"),
        MessageResp(CommandId.BIND_TRANSCEIVER_RESP),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_the_callers_mistake(wrong: Pdu) -> None:
    with pytest.raises(ValueError):
        encode(wrong)


def test_a_password_shows_in_no_text() -> None:
    bind = Bind(system_id="us", password=Password("s3cret"))
    assert "s3cret" not in f"{bind!r} {bind} {bind.password} {[bind.password]}"
    assert bind.password.reveal() == "s3cret"


def test_the_payload_is_in_either_place_and_the_header_comes_off() -> None:
    udh = b"\x05\x00\x03\x01\x02\x01"
    message = Message(CommandId.DELIVER_SM, esm_class=EsmClass.UDHI, tlvs={Tag.MESSAGE_PAYLOAD: udh + b"hi"})
    assert (message.payload, message.user_data) == (udh + b"hi", b"hi")
    assert Message(CommandId.DELIVER_SM, esm_class=EsmClass.UDHI).user_data == b""
    assert SHORT.user_data == b"*111#"


def test_tlvs_read_as_numbers_and_texts() -> None:
    message = Message(CommandId.DELIVER_SM, tlvs={1: b"\x11\x02", 2: b"", 3: b"id\0x", 4: b"id"})
    assert [message.integer(tag) for tag in (1, 2, 9)] == [0x1102, None, None]
    assert [message.text(tag) for tag in (2, 3, 4, 9)] == ["", "id", "id", None]
