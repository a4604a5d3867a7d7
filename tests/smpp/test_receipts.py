"""A receipt is known by its esm_class and read from its TLVs, then from its text, whatever is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.constants import CommandId, MessageState, Tag
from smpp.pdu import Message
from smpp.receipts import Base, Receipt, is_receipt, outcome_of, parse, same_id
from tests.smpp.strategies import long_messages

TEXT = (
    b"id:00aF sub:001 dlvrd:001 submit date:2301011200 done date:2301011201 stat:DELIVRD err:011 Text:id:9 stat:EXPIRED"
)
FULL = Receipt("00aF", MessageState.DELIVERED, "011", "2301011200", "2301011201")


def receipt(text: bytes = b"", coding: int = 0, **tlvs: bytes) -> Message:
    return Message(
        CommandId.DELIVER_SM,
        esm_class=4,
        data_coding=coding,
        short_message=text,
        tlvs={int(Tag[name.upper()]): value for name, value in tlvs.items()},
    )


@pytest.mark.parametrize(
    ("esm_class", "expected"), [(0, False), (1, False), (4, True), (8, True), (0x20, True), (0x40, False), (0x44, True)]
)
def test_esm_class_tells_a_receipt(esm_class: int, expected: bool) -> None:
    assert is_receipt(Message(CommandId.DELIVER_SM, esm_class=esm_class)) is expected


def test_the_id_of_a_message_of_ours_tells_a_receipt_where_esm_class_forgot_it() -> None:
    forgetful = Message(CommandId.DELIVER_SM, tlvs={0x1E: b"42\0", 0x427: b"\2"})
    assert is_receipt(forgetful)
    assert not is_receipt(Message(CommandId.DELIVER_SM, tlvs={0x1E: b"42\0", 0x501: b"\1"}))
    assert not is_receipt(Message(CommandId.DELIVER_SM, short_message=TEXT))


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (None, None),
        (MessageState.ENROUTE, None),
        (MessageState.ACCEPTED, None),
        (MessageState.DELIVERED, "delivered"),
        (MessageState.EXPIRED, "expired"),
        (MessageState.DELETED, "failed"),
        (MessageState.UNDELIVERABLE, "failed"),
        (MessageState.UNKNOWN, "failed"),
        (MessageState.REJECTED, "failed"),
    ],
)
def test_a_state_is_an_end_or_not(state: MessageState | None, outcome: str | None) -> None:
    assert outcome_of(state) == outcome


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (receipt(TEXT), FULL),
        (receipt(TEXT, coding=8), FULL),
        (receipt(TEXT.decode().encode("utf-16-be"), coding=8), FULL),
        (receipt(TEXT.replace(b"id:00aF ", b"")), Receipt("", FULL.state, FULL.error, FULL.submitted, FULL.done)),
        (receipt(b"stat:expired"), Receipt(state=MessageState.EXPIRED)),
        (receipt(b"id: stat:UNDELIVERABLE"), Receipt(state=MessageState.UNDELIVERABLE)),
        (receipt(b"stat:WEIRD err:"), Receipt()),
        (receipt(b"id:1 stat:DELIVERED err:0"), Receipt("1", MessageState.DELIVERED, "0")),
        (receipt(b"id:1 stat:Accepted"), Receipt("1", MessageState.ACCEPTED)),
        (receipt(b"id:1 stat:rejected"), Receipt("1", MessageState.REJECTED)),
        (receipt(TEXT.replace(b":", b": ")), FULL),
        (receipt(b"id: submit date: done date: 2301 stat: err: text: err:3"), Receipt(done="2301")),
        (receipt(b"id:1,stat:DELIVRD,err:0"), Receipt("1", MessageState.DELIVERED, "0")),
        (receipt(b"ID:1;STAT:UNDELIV;ERR:12"), Receipt("1", MessageState.UNDELIVERABLE, "12")),
        (receipt(b"id:1 stat:FAILED"), Receipt("1", MessageState.UNDELIVERABLE)),
        (receipt(TEXT.decode().encode("utf-16-be"), coding=0x18), FULL),
        (receipt(TEXT + b"\0"), FULL),
        (receipt(message_payload=TEXT), FULL),
        (receipt(), Receipt()),
        (
            receipt(receipted_message_id=b"42\0", message_state=b"\x05", network_error_code=b"\x03\x01\x00"),
            Receipt("42", MessageState.UNDELIVERABLE, "256"),
        ),
        (
            receipt(TEXT, receipted_message_id=b"42\0", message_state=b"\x05"),
            Receipt("42", MessageState.UNDELIVERABLE, "011", "2301011200", "2301011201"),
        ),
        (receipt(message_state=b"\x63"), Receipt()),
        (receipt(network_error_code=b"\x03"), Receipt()),
    ],
)
def test_tlvs_come_first_then_the_text(message: Message, expected: Receipt) -> None:
    assert parse(message) == expected


@given(long_messages, st.dictionaries(st.sampled_from([0x1E, 0x427, 0x423]), st.binary(max_size=5)))
def test_nothing_makes_the_reader_raise(message: Message, tlvs: dict[int, bytes]) -> None:
    message.tlvs.update(tlvs)
    parse(message)


@pytest.mark.parametrize(
    ("message_id", "base", "same"),
    [
        ("00A1", "opaque", "00A1"),
        ("00A1", "hex", "161"),
        ("00a1", "hex", "161"),
        ("0161", "dec", "161"),
        ("00A1", "dec", "00A1"),
        ("", "hex", ""),
        ("1_0", "dec", "1_0"),
        ("-1", "dec", "-1"),
        ("a1-b2", "hex", "a1-b2"),
    ],
)
def test_ids_are_matched_whatever_base_they_are_written_in(message_id: str, base: Base, same: str) -> None:
    assert same_id(message_id, base) == same
