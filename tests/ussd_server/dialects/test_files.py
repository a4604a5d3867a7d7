"""A dialect file is read, built on another, or refused with every mistake's place and mend."""

import json
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpp.alphabets import Encoded, choose
from smpp.constants import CommandId, Tag
from smpp.dialect import STANDARD, Dialect, Ending
from smpp.pdu import Message, decode
from smpp.ussd import (
    Abort,
    Answer,
    Begin,
    Confirm,
    Input,
    abort,
    answer,
    classify,
    confirm,
    dial,
    push,
    read_reply,
    reply,
)
from tests.smpp.strategies import data_messages, long_messages
from ussd_server.dialects.files import DialectErrors, UnknownDialect, load, parse, shipped, shipped_text, values_of
from ussd_server.dialects.schema import PATHS

few = settings(max_examples=25)  # of each dialect
every = pytest.mark.parametrize("name", shipped())
MSISDNS = st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True)
CODES = st.text("0123456789*#", min_size=1, max_size=20)
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r"), min_size=1, max_size=60)
IDS = st.integers(0, 0xFFFFFFFF)


def mistakes(content: str | bytes) -> list[str]:
    with pytest.raises(DialectErrors) as caught:
        parse(content, "own.yaml")
    return str(caught.value).split("\n")


# The shipped ones ---------------------------------------------------------------------------------------------------


def test_the_standard_file_is_the_standard_of_the_library() -> None:
    assert values_of(load("standard")) == values_of(STANDARD)


def test_the_standard_file_has_every_key_that_there_is() -> None:
    settable = {field.name for field in fields(Dialect) if field.init} - {"name", "statuses"}
    assert set(PATHS) == settable
    text = shipped_text("standard")
    for path in PATHS.values():
        assert f"{path[-1]}:" in text


@every
def test_every_shipped_dialect_says_what_it_is_and_builds_on_the_standard(name: str) -> None:
    dialect = load(name)
    assert dialect.about
    assert dialect.name == name
    assert name == "standard" or "base: standard" in shipped_text(name)


@every
@few
@given(MSISDNS, CODES, TEXTS, TEXTS, IDS, st.integers(0, 127))
def test_a_dialogue_reads_the_same_on_both_sides(
    name: str, msisdn: str, code: str, said: str, shown: str, session: int, sequence: int
) -> None:
    """What the gateway's side writes ours reads, and the other way round, and all name one dialogue."""
    dialect = load(name)

    def spelt(text: str) -> Encoded:
        return choose(text, dialect.gsm_coding, dialect.ucs2_coding)

    begin = dial(msisdn, "111", spelt(code), session=session, dialect=dialect)
    begun = classify(begin, dialect)
    assert isinstance(begun, Begin)
    assert begun.text == code
    assert begin.source_addr == msisdn

    said_to = answer(msisdn, "111", spelt(said), session=session, sequence=sequence, dialect=dialect)
    heard = classify(said_to, dialect)
    count = sequence if begun.sequence is not None else None
    assert heard == Answer(begun.dialogue, said, count)

    for last in (False, True):
        back = read_reply(reply(said_to, spelt(shown), ends=last, dialect=dialect), dialect)
        assert back is not None
        assert (back.dialogue, back.text, back.ends) == (begun.dialogue, shown, last)
        assert back.session in (None, session % dialect.ids)

    for why in get_args(Ending):
        ended = abort(msisdn, "111", session=session, sequence=sequence, why=why, dialect=dialect)
        assert (ended is None) == (why not in dialect.tells)
        assert ended is None or classify(ended, dialect) == Abort(begun.dialogue)


@pytest.mark.parametrize("name", [name for name in shipped() if load(name).session_tag is not None])
@few
@given(IDS, IDS, st.integers(0, 127))
def test_two_dialogues_have_two_names_whatever_is_counted(name: str, one: int, other: int, count: int) -> None:
    dialect = load(name)
    said = [
        answer("79101234567", "111", choose("1"), session=session, sequence=sequence, dialect=dialect)
        for session, sequence in ((one, count), (one, 0), (other, count))
    ]
    names = [heard.dialogue for message in said if (heard := classify(message, dialect)) is not None]
    assert names[0] == names[1]
    assert (names[0] == names[2]) == (one % dialect.ids == other % dialect.ids)


@pytest.mark.parametrize("name", [name for name in shipped() if load(name).notify is not None])
@few
@given(MSISDNS, TEXTS, IDS, st.booleans())
def test_a_push_is_read_by_the_gateway_and_its_confirmation_by_us(
    name: str, msisdn: str, text: str, session: int, ends: bool
) -> None:
    dialect = load(name)
    spelt = choose(text, dialect.gsm_coding, dialect.ucs2_coding)
    pushed = read_reply(push("111", msisdn, spelt, ends=ends, dialect=dialect), dialect)
    assert pushed is not None
    assert (pushed.text, pushed.ends, pushed.opens, pushed.session) == (text, ends, True, None)
    shown = confirm(msisdn, "111", session=session, dialect=dialect)
    assert shown is not None
    assert isinstance(classify(shown, dialect), Confirm)


@every
@few
@given(message=long_messages | data_messages)
def test_whatever_comes_is_read(name: str, message: Message) -> None:
    heard = classify(message, load(name))
    assert heard is None or isinstance(heard, Input)


@every
@given(body=st.binary(max_size=120), command=st.sampled_from([CommandId.DELIVER_SM, CommandId.DATA_SM]))
def test_whatever_octets_come_are_read(name: str, body: bytes, command: CommandId) -> None:
    pdu = decode((16 + len(body)).to_bytes(4, "big") + command.to_bytes(4, "big") + bytes(8) + body)
    if isinstance(pdu, Message):
        heard = classify(pdu, load(name))
        assert heard is None or isinstance(heard, Input)


def test_tata_ends_a_dialogue_by_every_op_but_those_that_begin_and_answer() -> None:
    goes_on = set()
    for op in range(256):
        tlvs = {int(Tag.USSD_SERVICE_OP): bytes((op,)), int(Tag.ITS_SESSION_INFO): b"\x11\0"}
        message = Message(CommandId.DELIVER_SM, source_addr="79101234567", short_message=b"1", tlvs=tlvs)
        if not isinstance(classify(message, load("tata")), Abort):
            goes_on.add(op)
    assert goes_on == {0x01, 0x02, 0x12}


@every
def test_an_sms_is_no_ussd_whatever_reference_it_has(name: str) -> None:
    """One SMSC puts user_message_reference on every SMS."""
    tlvs = {int(Tag.USER_MESSAGE_REFERENCE): b"\x12\x34", int(Tag.ITS_SESSION_INFO): b"\x11\0", 0x1501: b"\0\0\0\1"}
    for service_type in ("", "CMT"):
        message = Message(
            CommandId.DELIVER_SM,
            service_type=service_type,
            source_addr="79101234567",
            destination_addr="111",
            esm_class=1,
            short_message=b"1",
            tlvs=tlvs,
        )
        assert classify(message, load(name)) is None


# An operator's own ----------------------------------------------------------------------------------------------------


def test_a_file_says_what_is_different(tmp_path: Path) -> None:
    path = tmp_path / "theirs.yaml"
    path.write_text("base: sixdee\nsent: {end: 0x17}\nreceived: {dialled: destination_addr}\n", encoding="utf-8")
    theirs, base = load(str(path)), load("sixdee")
    assert theirs.name == "theirs"
    changed = {key for key, value in values_of(theirs).items() if value != values_of(base)[key]}
    assert changed == {"end", "dialled"}
    assert theirs.end == 0x17
    assert theirs.takes_from_address


def test_a_file_without_a_base_says_all() -> None:
    assert values_of(parse(shipped_text("standard"), "own.yaml")) == values_of(STANDARD)
    without = shipped_text("standard").replace("  menu: 0x02\n", "")
    assert mistakes(without) == ["own.yaml:1:1: sent.menu is missing; give it, or build on a dialect: base: standard"]


def test_where_no_id_travels_nothing_of_the_session_is_asked_for() -> None:
    head, _, tail = shipped_text("standard").partition("session:")
    text = f"{head}session: none\nreceived:{tail.partition('received:')[2]}"
    own = parse(text.replace("abort: none", "abort: 0x81"), "own.yaml")
    assert own.session_tag is None
    assert own.abort == (0x81,)


def test_a_session_may_come_back_on_a_base_without() -> None:
    own = parse("base: no-id\nsession: {tag: 0x1402, octets: 4, id: 0xFFFFFFFF, count: none, end: none}\n", "own.yaml")
    assert (own.session_tag, own.id_mask, own.sequence_mask) == (0x1402, 0xFFFFFFFF, 0)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "1:1: this is no dialect file; begin with: base: standard"),
        ("- 1\n", "1:1: this is no dialect file; begin with: base: standard"),
        ("base: standrad\n", "1:7: base: there is no shipped dialect 'standrad'; did you mean 'standard'?"),
        ("base: [1]\n", "1:7: base: there is no shipped dialect [1]; there are "),
        ("base: standard\nsend: {}\n", "2:1: unknown key 'send'; did you mean 'sent'?"),
        ("base: standard\nsent: {menue: 2}\n", "2:8: unknown key 'menue' in sent; did you mean 'menu'?"),
        ("base: standard\nsent: 2\n", "2:7: sent is a mapping; its keys are menu, end, "),
        ("base: standard\nsession: 2\n", "2:10: session is a mapping, or none; its keys are tag, "),
        (
            "base: standard\nsent: {menu: 300}\n",
            "2:14: menu: 300 marks no step; an op as 0x01, or a service_type as PSSRR",
        ),
        ('base: standard\nsent: {menu: "02"}\n', "2:14: menu: '02' marks no step; "),
        (
            "base: standard\nsent: {menu: C?}\n",
            "2:14: menu: C? is sent, so it must be one service_type; write it without ?",
        ),
        ("base: standard\nsent: {menu: none}\n", "2:14: menu: there is none; without it nothing can be said"),
        ("base: standard\nsent: {menu: true}\n", "2:14: menu: true marks no step; "),
        ("base: standard\nsent: {menu: ПСС}\n", "2:14: menu: 'ПСС' is not a service_type; "),
        ("base: standard\nsent: {end_bit: 1}\n", "2:17: end_bit: 1 is not true or false"),
        ("base: standard\nreceived: {begin: none}\n", "2:19: begin: there is none; without it nothing can be said"),
        (
            "base: standard\nreceived: {begin: PSSRRX}\n",
            "2:19: begin: 'PSSRRX' is longer than a service_type; at most 5",
        ),
        ("base: standard\nreceived: {begin: [B?]}\n", "2:19: begin: B? comes first, so it is what the gateway sends; "),
        (
            "base: standard\nreceived: {begin: [BR, B????]}\n",
            "2:19: begin: B???? may be too many things; at most 2 ",
        ),
        ("base: standard\nreceived: {begin: {a: 1}}\n", "2:19: begin: a mapping marks no step; "),
        ("base: standard\nreceived: {tells: [hangup]}\n", "2:19: tells: 'hangup' is not known; there are cancel, "),
        ("base: standard\nreceived: {in: submit_sm}\n", "2:16: in: 'submit_sm' is not known; "),
        ("base: standard\nreceived: {in: [data_sm]}\n", "2:16: in: a list is not known; "),
        ("base: standard\nreceived: {dialled: text}\n", "2:21: dialled: 'text' is not known; "),
        (
            "base: standard\nsession: {tag: umr}\n",
            "2:16: tag: 'umr' is not a TLV; its_session_info, user_message_reference, ",
        ),
        ("base: standard\nsession: {tag: 0x0424}\n", "2:16: tag: 0x0424 is message_payload; the session id travels in"),
        ("base: standard\nsession: {tag: [1]}\n", "2:16: tag: a list is not a TLV; "),
        ("base: standard\nsession: {id: 0xF0F0}\n", "2:15: id: the bits of 0xF0F0 do not stand together; as 0xFF00, "),
        ("base: standard\nsession: {id: -1}\n", "2:15: id: -1 is out of bounds; it is from 0 to 0x"),
        ("base: standard\nsession: {octets: two}\n", "2:19: octets: 'two' is not a whole number; it is from 1 to 8"),
        ("base: standard\nsession: {octets: 9}\n", "2:19: octets: 9 is out of bounds; it is from 1 to 8"),
        ("base: standard\ntext: {septets: 200}\n", "2:17: septets: 200 is out of bounds; it is from 40 to 182"),
        ("base: standard\ntext: {gsm: 256}\n", "2:13: gsm: 256 is out of bounds; it is from 0 to 255"),
        ("base: standard\ntext: {alphabet: koi8}\n", "2:18: alphabet: 'koi8' is not known; there are gsm, "),
        ("base: standard\nservice_type: 5\n", "2:15: service_type: 5 is not a service_type; it is letters and digits"),
        ("base: standard\nabout:\n", "2:1: about: nothing is not a text; one of at most 200 characters"),
        ("base: standard\nstatuses: {busy: 1}\n", "2:12: 'busy' is not a command_status; as 0x407"),
        ("base: standard\nstatuses: {0x407: 1}\n", "2:19: 0x407: 1 is not a text; one of at most 200 characters"),
        ("base: standard\nstatuses: [1]\n", "2:11: statuses is a mapping; as 0x407: dialogue not found"),
        # What must agree.
        (
            "base: standard\nsession: {id: 0xFFFE}\n",
            "2:10: count: 0xFE has bits of id, 0xFFFE; each bit means one thing",
        ),
        ("base: standard\nsession: {octets: 1}\n", "2:10: id: 0xFF00 does not fit 1 octets"),
        (
            "base: standard\nsession: {id: none}\n",
            "2:15: id: no bits name the dialogue; where no id travels, write session:",
        ),
        ("base: standard\nsession: {count: none, end: 0x03}\n", "2:29: end: 0x3 is several bits; it is one, as 0x0001"),
        ("base: standard\nreceived: {abort: 0x12}\n", "2:19: abort: 0x12 is answer already; each means one thing"),
        ("base: standard\nsession: none\n", "1:1: tells: nothing can say that a dialogue is over; give abort, or "),
        (
            "base: mica\nsent: {end: 0x02}\n",
            "2:13: end: the gateway cannot tell it from a menu; give end an op of its own,",
        ),
        (
            "base: standard\ntext: {gsm: 0x48}\n",
            "2:13: gsm: data_coding 0x48 means ucs2; 0, 0x0F, 0xF0 to",
        ),
        ("base: standard\ntext: {ucs2: 0x0F}\n", "2:14: ucs2: data_coding 0x0F means gsm; 8, 0x48, 0x18 to 0x1B mean"),
        ("base: standard\nsent: {release: 0x02}\n", "2:17: release: the gateway cannot tell it from another step; "),
    ],
)
def test_every_mistake_has_its_place_and_its_mend(content: str, text: str) -> None:
    found = mistakes(content)
    assert any(line.startswith(f"own.yaml:{text}") for line in found), found


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes("base: standard\nsent: {menu: 300, end: x x x x}\nsesion: none\n")
    assert [line.split(": ")[0] for line in found] == ["own.yaml:2:14", "own.yaml:2:24", "own.yaml:3:1"]


def test_what_is_no_yaml_says_where() -> None:
    assert mistakes("base: standard\nsent: {menu: 0x02\n")[0].startswith("own.yaml:2:7: { is not closed")


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_file_breaks_the_reader(content: str | bytes) -> None:
    try:
        parse(content, "own.yaml")
    except DialectErrors as errors:
        told = errors.problems
    else:
        return
    assert told


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70000)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["none", "B?", "USSD"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(sorted(PATHS)), _values)
def test_no_value_breaks_the_reader(field: str, value: object) -> None:
    """Whatever stands at a key, the file is read or its mistakes are told."""
    inner: object = value
    for part in reversed(PATHS[field]):
        inner = {part: inner}
    assert isinstance(inner, dict)
    try:
        parse(json.dumps({"base": "standard", **inner}), "own.yaml")
    except DialectErrors as errors:
        told = errors.problems
    else:
        return
    assert told


def test_a_dialect_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UnknownDialect, match=r"there is no dialect 'tatta'; did you mean tata\?"):
        load("tatta")
    with pytest.raises(UnknownDialect, match="there is no dialect 'xyzzy'; shipped are standard, comverse, "):
        load("xyzzy")
    with pytest.raises(UnknownDialect, match="the dialect file no/such cannot be read: No such file or directory"):
        load("no/such")
