"""A dialogue reads the same on both sides of a gateway, in the standard dialect and in one that is spelt otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp import ussd
from smpp.alphabets import choose
from smpp.constants import CommandId, Tag, UssdOp
from smpp.pdu import Message, decode, encode
from smpp.ussd import STANDARD, Abort, Answer, Begin, Confirm, Dialect, Reply, classify, read_reply

BY_REFERENCE = Dialect(
    "by reference",
    session_tag=Tag.USER_MESSAGE_REFERENCE,
    id_mask=0xFFFF,
    sequence_mask=0,
    end_mask=0,
    abort_ops=frozenset({0x81}),
    end_op=0x17,
)
WITHOUT_ID = Dialect("without id", session_tag=None, abort_ops=frozenset({0x81}))
dialects = st.sampled_from([STANDARD, BY_REFERENCE, WITHOUT_ID])
sessions = st.integers(0, 255)


def deliver(op: int | None, session: bytes | None = b"\x11\x04", text: bytes = b"*111#", **fields: object) -> Message:
    tlvs = {} if op is None else {int(Tag.USSD_SERVICE_OP): bytes((op,))}
    if session is not None:
        tlvs[Tag.ITS_SESSION_INFO] = session
    given = {"service_type": "USSD", "source_addr": "79101234567", "destination_addr": "111", "short_message": text}
    return Message(CommandId.DELIVER_SM, tlvs=tlvs, **(given | fields))


@pytest.mark.parametrize(
    ("message", "reading"),
    [
        (deliver(0x01), Begin("1100", "*111#", 2)),
        (deliver(0x00), Begin("1100", "*111#", 2)),
        (deliver(0x01, text=b"", destination_addr="*111#"), Begin("1100", "*111#", 2)),
        (deliver(0x01, session=None), Begin("", "*111#", None)),
        (deliver(0x01, session=b""), Begin("", "*111#", None)),
        (deliver(0x01, session=b"\0\0\x11\x04"), Begin("", "*111#", None)),
        (deliver(0x01, service_type="CMT"), Begin("1100", "*111#", 2)),
        (deliver(0x12, text=b"1\r"), Answer("1100", "1", 2)),
        (deliver(0x12, text=b"1\r\r"), Answer("1100", "1\r", 2)),
        (deliver(0x12, text=b""), Answer("1100", "", 2)),
        (deliver(0x13), Confirm("1100")),
        (deliver(0x12, session=b"\x11\x05"), Abort("1100")),
        (deliver(0x01, session=b"\x11\x01"), Abort("1100")),
        (deliver(0x77), Answer("1100", "*111#", 2, op_known=False)),
        (deliver(None), Answer("1100", "*111#", 2, op_known=False)),
        (deliver(None, service_type=""), None),
        (deliver(None, service_type="CMT", session=None), None),
    ],
)
def test_what_came_in_is_read_by_its_op_session_and_service_type(message: Message, reading: object) -> None:
    assert classify(message) == reading


def test_a_text_may_travel_in_message_payload() -> None:
    message = deliver(0x01, text=b"")
    message.command = CommandId.DATA_SM
    message.tlvs[Tag.MESSAGE_PAYLOAD] = b"*111*2#"
    assert classify(message) == Begin("1100", "*111*2#", 2)


def test_data_coding_0_is_in_the_accounts_alphabet() -> None:
    assert classify(deliver(0x12, text=b"\xb6"), default="iso-8859-5") == Answer("1100", "Ж", 2)


@given(dialects, sessions, st.integers(0, 127), st.text("0123456789*#", min_size=1, max_size=20))
def test_both_sides_name_the_same_dialogue(dialect: Dialect, session: int, sequence: int, text: str) -> None:
    ends = {"session": session, "dialect": dialect}
    begin = ussd.dial("79101234567", "111", choose(text), **ends)
    answer = ussd.answer("79101234567", "111", choose(text), sequence=sequence, **ends)
    abort = ussd.abort("79101234567", "111", sequence=sequence, **ends)
    counted = bool(dialect.session_tag and dialect.sequence_mask)

    begun = classify(begin, dialect)
    assert isinstance(begun, Begin)
    assert begun == Begin(begun.dialogue, text, 0 if counted else None)
    assert (begun.dialogue == "") == (dialect.session_tag is None)
    assert classify(answer, dialect) == Answer(begun.dialogue, text, sequence if counted else None)
    assert classify(abort, dialect) == Abort(begun.dialogue)

    for received in (begin, answer):
        for last in (False, True):
            submit = ussd.reply(received, choose("Меню"), ends=last, dialect=dialect)
            assert read_reply(submit, dialect) == Reply(
                begun.dialogue, "Меню", last, submit.integer(dialect.session_tag) if dialect.session_tag else None
            )


@given(sessions, sessions, st.integers(0, 127))
def test_two_sessions_have_two_names(one: int, other: int, sequence: int) -> None:
    names = {
        reading.dialogue
        for session in (one, other)
        if isinstance(
            reading := classify(ussd.answer("7", "1", choose("1"), session=session, sequence=sequence)), Answer
        )
    }
    assert len(names) == len({one, other})


@pytest.mark.parametrize(("ends", "op", "session"), [(False, b"\x02", b"\x11\x04"), (True, b"\x11", b"\x11\x05")])
def test_a_reply_turns_the_addresses_and_echoes_the_session(ends: bool, op: bytes, session: bytes) -> None:
    received = deliver(0x01, source_addr_ton=1, source_addr_npi=1, dest_addr_ton=3, dest_addr_npi=9)
    reply = ussd.reply(received, choose("menu", gsm_coding=0x0F), ends=ends)
    assert decode(encode(reply)) == Message(
        CommandId.SUBMIT_SM,
        service_type="USSD",
        source_addr_ton=3,
        source_addr_npi=9,
        source_addr="111",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr="79101234567",
        data_coding=0x0F,
        short_message=b"menu",
        tlvs={Tag.USSD_SERVICE_OP: op, Tag.ITS_SESSION_INFO: session},
    )


@pytest.mark.parametrize(("ends", "session"), [(False, b"\x11\x04"), (True, b"\x11\x05")])
def test_an_end_bit_that_came_is_not_echoed_in_a_menu(ends: bool, session: bytes) -> None:
    reply = ussd.reply(deliver(0x01, session=b"\x11\x05"), choose("menu"), ends=ends)
    assert reply.tlvs[Tag.ITS_SESSION_INFO] == session


@pytest.mark.parametrize("session", [None, b"", b"\x11", b"\0\0\x11\x04"])
def test_a_session_that_is_none_is_not_echoed(session: bytes | None) -> None:
    reply = ussd.reply(deliver(0x01, session=session), choose("menu"), ends=False)
    assert reply.tlvs == {Tag.USSD_SERVICE_OP: b"\x02"}


def test_a_dialect_may_end_by_its_op_alone() -> None:
    received = deliver(0x01)
    reply = ussd.reply(received, choose("bye"), ends=True, dialect=Dialect("op alone", sets_end_bit=False))
    assert reply.tlvs == {Tag.USSD_SERVICE_OP: b"\x11", Tag.ITS_SESSION_INFO: b"\x11\x04"}
    assert read_reply(reply) == Reply("1100", "bye", True, 0x1104)


@pytest.mark.parametrize(("ends", "op"), [(False, UssdOp.USSR_REQUEST), (True, UssdOp.USSN_REQUEST)])
def test_a_push_asks_or_notifies(ends: bool, op: int) -> None:
    push = ussd.push("111", "79101234567", choose("hello"), ends=ends)
    assert push.tlvs == {Tag.USSD_SERVICE_OP: bytes((op,))}
    assert read_reply(push) == Reply("", "hello", ends)
    assert push.destination_addr == "79101234567"


def test_an_sms_is_not_a_reply() -> None:
    assert read_reply(Message(CommandId.SUBMIT_SM, short_message=b"hello")) is None
