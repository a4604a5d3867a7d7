"""What is known by its likeness is read as if it were read in full."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from smpp import ussd
from smpp.alphabets import alphabet_of, choose
from smpp.constants import CommandId, EsmClass, Tag, UssdOp
from smpp.dialect import STANDARD, Dialect
from smpp.inputs import LIKENESSES_KEPT, SESSIONS_KEPT, Heard, Inputs, Texted, heads_of
from smpp.pdu import DECODERS, Malformed, Message, Pdu, decode, encode
from smpp.reassembly import part_of, read_one
from smpp.receipts import is_receipt
from tests.smpp.strategies import cstrings, long_messages
from tests.smpp.test_ussd import BY_REFERENCE, BY_WORDS, END_BIT_ALONE

NUMBERLESS = Dialect("no id travels", session_tag=None)
FROM_ADDRESS = Dialect("dialled is the address", session_octets=4, session_tag=0x1501, dialled="destination_addr")
DIALECTS = [STANDARD, BY_REFERENCE, BY_WORDS, END_BIT_ALONE, NUMBERLESS, FROM_ADDRESS]
SUBSCRIBER, SERVICE = "79100000001", "111"


def reading(dialect: Dialect) -> Any:
    """Return what reads a PDU as an account's link does, and remembers."""
    decoders = DECODERS | {int(CommandId.DELIVER_SM): Inputs(dialect).read}
    return lambda frame: decode(frame, decoders)


def agrees(read: Heard | Texted | Pdu | Malformed, frame: bytes, dialect: Dialect) -> bool:
    """Return whether it says what the codec and `classify` say. Raises AssertionError where not; False: in full."""
    full = decode(frame)
    if isinstance(read, Texted):
        assert isinstance(full, Message)
        assert ussd.classify(full, dialect) is None
        assert not is_receipt(full)
        assert part_of(full, full.source_addr) is None
        assert (read.command, read.sequence, read.source_addr) == (full.command, full.sequence, full.source_addr)
        assert full.user_data == full.short_message
        assert read.likeness.alphabet == alphabet_of(full.data_coding)
        assert read.text == read_one(full.user_data, read.likeness.alphabet)
        same = ("source_addr_ton", "source_addr_npi", "destination_addr")
        assert [getattr(read.likeness, name) for name in same] == [getattr(full, name) for name in same]
        return True
    if not isinstance(read, Heard):
        assert read == full
        return False
    assert isinstance(full, Message)
    assert read.in_full() == full
    said, likeness = ussd.classify(full, dialect), read.likeness
    assert read.session == ussd.session_of(full, dialect)
    assert likeness.heads == heads_of(full, dialect)
    assert (read.command, read.sequence, read.source_addr) == (full.command, full.sequence, full.source_addr)
    assert (likeness.source_addr_ton, likeness.source_addr_npi) == (full.source_addr_ton, full.source_addr_npi)
    heard: ussd.Input
    if likeness.begins:
        heard = ussd.Begin(read.session.dialogue, read.text, read.session.sequence)
    else:
        assert isinstance(said, ussd.Answer)
        heard = ussd.Answer(read.session.dialogue, read.text, read.session.sequence, said.op_known, likeness.last)
        assert likeness.unnamed == ("" if said.op_known else ussd.unnamed(full, dialect))
    assert said == heard
    return True


near = st.sampled_from([b"", b"1", b"2", b"*111#", "да".encode("utf-16-be"), b"\r"]) | st.binary(max_size=3)
"""Texts of which some have the same length."""


@given(
    st.sampled_from(DIALECTS),
    long_messages,
    st.lists(
        st.tuples(cstrings, near, st.binary(min_size=4, max_size=4), st.binary(max_size=4)), min_size=2, max_size=6
    ),
    st.sampled_from(["session last", "session first", "no session", "as it is"]),
    st.sampled_from(UssdOp),
    st.booleans(),
)
def test_whatever_is_known_by_its_likeness_is_what_it_is_in_full(
    dialect: Dialect,
    base: Message,
    inputs: list[tuple[str, bytes, bytes, bytes]],
    shape: str,
    op: int,
    plain: bool,
) -> None:
    read = reading(dialect)
    if plain:
        base = replace(base, esm_class=0, schedule_delivery_time="", validity_period="")
    tag = dialect.session_tag or int(Tag.ITS_SESSION_INFO)
    for sequence, (source, text, session, rest) in enumerate(inputs):
        session = session[: dialect.session_octets]
        named = {int(Tag.USSD_SERVICE_OP): bytes((op,))}
        tlvs = {
            "session last": named | {tag: session},
            "session first": {tag: session} | named,
            "no session": named,
            "as it is": base.tlvs,
        }[shape]
        assume(not (text and Tag.MESSAGE_PAYLOAD in tlvs))
        message = replace(
            base, command=int(CommandId.DELIVER_SM), source_addr=source, short_message=text, tlvs=dict(tlvs)
        )
        frame = encode(message, sequence + 1)
        agrees(read(frame), frame, dialect)
        agrees(read(frame), frame, dialect)  # from what the first has left
        longer = (len(frame) + len(rest)).to_bytes(4, "big") + frame[4:] + rest
        agrees(read(longer), longer, dialect)
        cut = frame[: len(frame) - len(rest) - 1]
        cut = len(cut).to_bytes(4, "big") + cut[4:]
        agrees(read(cut), cut, dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_second_of_a_kind_is_known(dialect: Dialect) -> None:
    read, known = reading(dialect), []
    for session in (1, 2, 3):
        dialled = ussd.dial(SUBSCRIBER, SERVICE, choose("*111#"), session=session, dialect=dialect)
        answered = ussd.answer(SUBSCRIBER, SERVICE, choose(f"{session}"), session=session, sequence=1, dialect=dialect)
        for message in (dialled, answered):
            frame = encode(message, session)
            known.append(agrees(read(frame), frame, dialect))
    assert known == [False, False, not dialect.takes_from_address, True, not dialect.takes_from_address, True]


@pytest.mark.parametrize(
    "changes",
    [
        {"esm_class": int(EsmClass.UDHI)},
        {"esm_class": 4},
        {"tlvs": {int(Tag.USSD_SERVICE_OP): b"\x12", int(Tag.ITS_SESSION_INFO): b"\1\3"}},
        {"tlvs": {int(Tag.ITS_SESSION_INFO): b"\1\2", int(Tag.USSD_SERVICE_OP): b"\x12"}},
        {"validity_period": "000000000100000R"},
    ],
    ids=["header", "receipt", "end of the session", "session elsewhere", "dates"],
)
def test_what_is_not_sure_is_read_in_full(changes: dict[str, Any]) -> None:
    read = reading(STANDARD)
    answer = ussd.answer(SUBSCRIBER, SERVICE, choose("11"), session=1, sequence=1)
    for sequence in range(3):
        frame = encode(answer, sequence)
        agrees(read(frame), frame, STANDARD)
    assert isinstance(read(frame), Heard)
    for _ in range(3):
        frame = encode(replace(answer, **changes), 7)
        assert not agrees(read(frame), frame, STANDARD)


@pytest.mark.parametrize(("dialect", "place"), [(STANDARD, SERVICE), (STANDARD, "*111*4711#"), (FROM_ADDRESS, "4711")])
def test_nothing_that_was_typed_is_kept(dialect: Dialect, place: str) -> None:
    inputs = Inputs(dialect)
    for text in ("*111*4711#", "*111*4712#"):
        dialled = ussd.dial(SUBSCRIBER, SERVICE, choose(text), session=1, dialect=dialect)
        frame = encode(replace(dialled, destination_addr=place), 1)
        read = inputs.read(frame, int(CommandId.DELIVER_SM), 0, 1)
    assert isinstance(read, Heard) == (place == SERVICE)
    assert "471" not in repr(inputs._likenesses)


@given(
    st.sampled_from(DIALECTS),
    long_messages,
    st.lists(st.tuples(cstrings, st.binary(max_size=12), st.binary(max_size=4)), min_size=2, max_size=6),
    st.sampled_from(["", "CMT", "USSD"]),
)
def test_an_sms_is_known_for_what_it_is_in_full(
    dialect: Dialect, base: Message, inputs: list[tuple[str, bytes, bytes]], service_type: str
) -> None:
    read = reading(dialect)
    base = replace(base, command=int(CommandId.DELIVER_SM), service_type=service_type, tlvs={})
    plain = replace(base, esm_class=0, schedule_delivery_time="", validity_period="")
    for sequence, (source, text, rest) in enumerate(inputs):
        for message in (plain, base):
            frame = encode(replace(message, source_addr=source, short_message=text), sequence + 1)
            agrees(read(frame), frame, dialect)
            longer = (len(frame) + len(rest)).to_bytes(4, "big") + frame[4:] + rest
            agrees(read(longer), longer, dialect)


def test_the_second_sms_to_a_number_is_known_whatever_it_says() -> None:
    read = reading(STANDARD)
    known = []
    for number, text in enumerate(["1", "balance", "", "*111#", "да"]):
        sms = Message(
            CommandId.DELIVER_SM, source_addr=f"7910000000{number}", destination_addr="111", short_message=text.encode()
        )
        frame = encode(sms, number + 1)
        known.append(agrees(read(frame), frame, STANDARD))
    assert known == [False, True, False, True, True]


def test_nothing_that_an_sms_says_is_kept() -> None:
    inputs = Inputs(STANDARD)
    for number, place in enumerate(["111", "*111*4711#", "111"]):
        sms = Message(CommandId.DELIVER_SM, source_addr="7", destination_addr=place, short_message=b"4711")
        inputs.read(encode(sms, number), int(CommandId.DELIVER_SM), 0, number)
    assert inputs._text_likenesses
    assert "471" not in repr(inputs._text_likenesses)


def test_a_new_number_in_every_sms_fills_no_memory() -> None:
    inputs = Inputs(STANDARD)
    for number in range(3 * LIKENESSES_KEPT):
        sms = Message(CommandId.DELIVER_SM, source_addr="7", destination_addr=f"{number}", short_message=b"1")
        inputs.read(encode(sms, 1), int(CommandId.DELIVER_SM), 0, 1)
        assert 0 < len(inputs._text_likenesses) <= LIKENESSES_KEPT


def test_a_new_short_code_in_every_message_fills_no_memory() -> None:
    inputs = Inputs(STANDARD)
    for number in range(3 * LIKENESSES_KEPT):
        frame = encode(ussd.dial(SUBSCRIBER, f"{number}", choose("*111#"), session=1), 1)
        inputs.read(frame, int(CommandId.DELIVER_SM), 0, 1)
        assert 0 < len(inputs._likenesses) <= LIKENESSES_KEPT


def test_more_sessions_than_are_remembered_are_read_all_the_same() -> None:
    dialect = Dialect("by reference", session_octets=4, id_mask=0xFFFFFF00, sequence_mask=0xFE)
    inputs = Inputs(dialect)
    for session in [0, *range(2 * SESSIONS_KEPT), 1]:
        frame = encode(ussd.answer(SUBSCRIBER, SERVICE, choose("1"), session=session, sequence=2, dialect=dialect), 1)
        read = inputs.read(frame, int(CommandId.DELIVER_SM), 0, 1)
        assert len(inputs._sessions) <= SESSIONS_KEPT
        assert isinstance(read, Message) or read.session.dialogue == f"{session << 8:08x}"
    assert isinstance(read, Heard)
