"""A dialogue reads the same on both sides of a gateway, in the standard dialect and in one that is spelt otherwise."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp import ussd
from smpp.alphabets import Encoded, choose
from smpp.constants import CommandId, Tag, UssdOp
from smpp.dialect import STANDARD, Dialect, Ending
from smpp.pdu import Message, decode, encode
from smpp.ussd import Abort, Answer, Begin, Confirm, Input, Reply, classify, read_reply
from tests.smpp.strategies import data_messages, long_messages

BY_REFERENCE = Dialect(
    "by reference",
    session_tag=Tag.USER_MESSAGE_REFERENCE,
    id_mask=0xFFFF,
    sequence_mask=0,
    end_mask=0,
    last_answer=(0x92,),
    confirm=(),
    closed=(0x13,),
    abort=(0x81,),
    end=0x17,
    release=0x80,
    push_session=False,
)
BY_WORDS = Dialect(
    "by words",
    session_tag=None,
    begin=("BR", "B?"),
    answer=("CA",),
    confirm=("EA",),
    abort=("AF", "A?", "E?"),
    menu="CR",
    end="EF",
    end_pushed="EF",
    ask="BR",
    notify="BN",
)
END_BIT_ALONE = Dialect(
    "end bit alone",
    id_mask=0xFFFE,
    sequence_mask=0,
    answer=(0x02, 0x12),
    abort=(0x11,),
    others_abort=True,
    end=0x02,
    end_pushed=0x02,
    ask=None,
    notify=None,
)
IN_DATA_SM = Dialect(
    "in data_sm",
    deliver=CommandId.DATA_SM,
    submit=CommandId.DATA_SM,
    dialled="destination_addr",
    session_tag=0x1501,
    session_octets=4,
    id_mask=0xFFFFFFFF,
    sequence_mask=0,
    end_mask=0,
    abort=(0x41,),
)
dialects = st.sampled_from([STANDARD, BY_REFERENCE, BY_WORDS, END_BIT_ALONE, IN_DATA_SM])
sessions = st.integers(0, 0xFFFFFFFF)


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
        (deliver(0x77, text=b"", destination_addr="*111#"), Answer("1100", "*111#", 2, op_known=False)),
        (deliver(0x77, text=b""), Answer("1100", "", 2, op_known=False)),
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


DIALLED = st.text("0123456789*#", min_size=1, max_size=20)


@given(dialects, sessions, st.integers(0, 127), DIALLED)
def test_both_sides_name_the_same_dialogue(dialect: Dialect, session: int, sequence: int, text: str) -> None:
    ends = {"session": session, "dialect": dialect}
    begin = ussd.dial("79101234567", "111", choose(text), **ends)
    answer = ussd.answer("79101234567", "111", choose(text), sequence=sequence, **ends)
    abort = ussd.abort("79101234567", "111", sequence=sequence, **ends)
    counted = bool(dialect.session_tag and dialect.sequence_mask)

    begun = classify(begin, dialect)
    assert isinstance(begun, Begin)
    assert begun == Begin(begun.dialogue, text, 0 if counted else None)
    assert abort is not None
    assert (begun.dialogue == "") == (dialect.session_tag is None)
    assert classify(answer, dialect) == Answer(begun.dialogue, text, sequence if counted else None)
    assert classify(abort, dialect) == Abort(begun.dialogue)

    for received in (begin, answer):
        for last in (False, True):
            submit = ussd.reply(received, choose("Меню"), ends=last, dialect=dialect)
            shown = read_reply(submit, dialect)
            assert shown is not None
            assert (shown.dialogue, shown.text, shown.ends) == (begun.dialogue, "Меню", last)
            assert shown.session == (session % dialect.ids if dialect.session_tag else None)
            assert shown.releases is False


@given(st.sampled_from([STANDARD, BY_REFERENCE, BY_WORDS, IN_DATA_SM]), st.booleans(), sessions)
def test_what_we_push_opens_a_dialogue_and_is_confirmed(dialect: Dialect, ends: bool, session: int) -> None:
    pushed = ussd.push("111", "79101234567", choose("Привет"), ends=ends, dialect=dialect)
    assert read_reply(pushed, dialect) == Reply("", "Привет", ends, None, opens=True)
    assert ussd.is_ussd(pushed, dialect)
    shown = ussd.confirm("79101234567", "111", session=session, dialect=dialect)
    assert shown is not None
    heard = classify(shown, dialect)
    assert isinstance(heard, Confirm)
    assert heard.closes == (dialect is BY_REFERENCE)


@given(dialects, long_messages | data_messages)
def test_any_message_is_read_in_every_dialect(dialect: Dialect, message: Message) -> None:
    heard = classify(message, dialect)
    assert heard is None or isinstance(heard, Input)
    assert read_reply(message, dialect) is None or ussd.is_ussd(message, dialect)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 127))
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
    assert read_reply(reply) == Reply("1100", "bye", True, 0x11)


@pytest.mark.parametrize(("ends", "op"), [(False, UssdOp.USSR_REQUEST), (True, UssdOp.USSN_REQUEST)])
def test_a_push_asks_or_notifies(ends: bool, op: int) -> None:
    push = ussd.push("111", "79101234567", choose("hello"), ends=ends)
    assert push.tlvs == {Tag.USSD_SERVICE_OP: bytes((op,))}
    assert read_reply(push) == Reply("", "hello", ends, opens=True)
    assert push.destination_addr == "79101234567"


def test_an_sms_is_not_a_reply() -> None:
    assert read_reply(Message(CommandId.SUBMIT_SM, short_message=b"hello")) is None


@pytest.mark.parametrize(
    ("dialect", "message", "heard"),
    [
        (BY_REFERENCE, deliver(0x92, text=b"1"), Answer("", "1", last=True)),
        (BY_REFERENCE, deliver(0x13), Confirm("", closes=True)),
        (STANDARD, deliver(0x13, b"\x11\5"), Confirm("1100", closes=True)),
        (END_BIT_ALONE, deliver(0x02, text=b"1"), Answer("1104", "1")),
        (END_BIT_ALONE, deliver(0x77), Abort("1104")),
        (END_BIT_ALONE, deliver(None), Answer("1104", "*111#", op_known=False)),
        (BY_WORDS, deliver(None, service_type="BX"), Begin("", "*111#")),
        (BY_WORDS, deliver(None, service_type="EA"), Confirm("")),
        (BY_WORDS, deliver(None, service_type="EX"), Abort("")),
        (BY_WORDS, deliver(0x01, service_type="CA", text=b"2"), Answer("", "2")),
        (BY_WORDS, deliver(0x01, service_type="CMT"), Answer("", "*111#", op_known=False)),
        (BY_WORDS, deliver(None, service_type="CMT"), None),
        (BY_WORDS, deliver(None, service_type="BRX"), None),
        (IN_DATA_SM, deliver(0x01, destination_addr="*100#", text=b"x"), Begin("", "*100#")),
        (IN_DATA_SM, deliver(0x01, destination_addr="", text=b"*100#"), Begin("", "*100#")),
    ],
)
def test_each_dialect_has_its_own_reading(dialect: Dialect, message: Message, heard: object) -> None:
    assert classify(message, dialect) == heard


def test_an_op_that_begins_and_answers_leaves_it_to_the_dialogue() -> None:
    either = Dialect("either", begin=(0x01,), answer=(0x01, 0x12))
    assert classify(deliver(0x01, text=b"1"), either) == Answer("1100", "1", 2, op_known=False)
    assert classify(deliver(0x12, text=b"1"), either) == Answer("1100", "1", 2)


def test_a_dialogue_of_ours_may_end_otherwise_and_without_a_text() -> None:
    received = ussd.answer("79101234567", "111", choose("1"), session=7, sequence=0, dialect=BY_REFERENCE)
    for pushed, op in ((False, b"\x17"), (True, b"\x03")):
        last = ussd.reply(received, choose("bye"), ends=True, dialect=BY_REFERENCE, pushed=pushed)
        assert last.tlvs == {Tag.USSD_SERVICE_OP: op, Tag.USER_MESSAGE_REFERENCE: b"\0\7"}
    released = ussd.release(received, BY_REFERENCE)
    assert released is not None
    assert read_reply(released, BY_REFERENCE) == Reply("0007", "", True, 7, releases=True)
    assert ussd.release(received, STANDARD) is None


def test_what_a_gateway_does_not_say_is_no_message() -> None:
    def said(dialect: Dialect, why: Ending) -> bool:
        return ussd.abort("7", "1", session=1, why=why, dialect=dialect) is not None

    timer_alone = Dialect("timer alone", abort=(0x81,), tells=frozenset({"timeout"}))
    assert [said(timer_alone, why) for why in get_args(Ending)] == [False, True, False]
    assert not said(Dialect("silent", session_tag=None), "drop")
    assert ussd.confirm("7", "1", session=1, dialect=Dialect("none", confirm=())) is None


def test_who_cannot_be_pushed_to_is_told() -> None:
    for ends, word in ((True, "notify"), (False, "ask")):
        with pytest.raises(ValueError, match=f"end bit alone does not {word}"):
            ussd.push("111", "79101234567", choose("x"), ends=ends, dialect=END_BIT_ALONE)


def test_the_id_of_a_push_is_ours_or_the_gateways() -> None:
    for dialect, tlvs in ((STANDARD, {0x0501: b"\2", 0x1383: b"\7\0"}), (BY_REFERENCE, {0x0501: b"\2"})):
        pushed = ussd.push("1", "7", choose("x"), ends=False, session=0x700, dialect=dialect)
        assert pushed.tlvs == tlvs


def test_a_data_sm_carries_its_text_in_message_payload() -> None:
    begin = ussd.dial("79101234567", "111", choose("*100#"), session=7, dialect=IN_DATA_SM)
    assert (begin.command, begin.destination_addr) == (CommandId.DATA_SM, "*100#")
    answer = ussd.reply(begin, choose("hello"), ends=True, dialect=IN_DATA_SM)
    assert decode(encode(answer)) == Message(
        CommandId.DATA_SM,
        service_type="USSD",
        source_addr_npi=1,
        source_addr="*100#",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr="79101234567",
        tlvs={0x0501: b"\x11", 0x1501: b"\0\0\0\7", Tag.MESSAGE_PAYLOAD: b"hello"},
    )


@pytest.mark.parametrize(
    ("message", "dialect", "sign"),
    [
        (deliver(0x77), STANDARD, "op 0x77"),
        (deliver(None), STANDARD, "service_type 'USSD'"),
        (deliver(0x01), Dialect("either", begin=(1,), answer=(1,)), ""),
        (deliver(0x01, service_type="CMT"), BY_WORDS, "op 0x01"),
    ],
)
def test_what_the_dialect_has_no_step_for_is_named(message: Message, dialect: Dialect, sign: str) -> None:
    heard = classify(message, dialect)
    assert isinstance(heard, Answer)
    assert not heard.op_known
    assert ussd.unnamed(message, dialect) == sign


def test_a_dialects_own_alphabet_is_that_of_data_coding_0() -> None:
    cyrillic = Dialect("cyrillic", alphabet="iso-8859-5")
    assert classify(deliver(0x12, text=b"\xb6"), cyrillic) == Answer("1100", "Ж", 2)
    shown = read_reply(ussd.reply(deliver(0x01), Encoded(b"\xb6", 0, "iso-8859-5"), ends=False), cyrillic)
    assert shown is not None
    assert shown.text == "Ж"


def test_a_gateways_own_status_is_found_by_its_meaning() -> None:
    own = Dialect("own", statuses={0x407: "dialogue not found"})
    assert own.status("dialogue not found", 0xC4) == 0x407
    assert own.status("text too long", 0x01) == 0x01
