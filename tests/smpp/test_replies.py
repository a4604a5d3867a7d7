"""Replies from templates are what the reply, written field by field, is."""

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from smpp import ussd
from smpp.alphabets import Encoded
from smpp.constants import CommandId, Tag
from smpp.dialect import STANDARD, Dialect
from smpp.inputs import Heard, Inputs
from smpp.pdu import Message, encode
from smpp.replies import Replies
from tests.smpp.strategies import long_messages, octets
from tests.smpp.test_ussd import BY_REFERENCE, BY_WORDS, IN_DATA_SM

NUMBERLESS = Dialect("no id travels", session_tag=None)
PUSHES_OTHERWISE = Dialect("ends its own otherwise", end="EX", end_pushed=0x03, session_octets=4, session_tag=0x1501)
dialects = st.sampled_from([STANDARD, BY_REFERENCE, BY_WORDS, IN_DATA_SM, NUMBERLESS, PUSHES_OTHERWISE])
texts = st.builds(Encoded, st.binary(max_size=255), octets, st.just("gsm"))
sessions = st.none() | st.binary(max_size=4)


@given(dialects, st.lists(st.tuples(long_messages, sessions, texts, st.booleans(), st.booleans()), max_size=4))
def test_a_reply_from_templates_has_the_octets_of_the_one_that_is_made_field_by_field(
    dialect: Dialect, steps: list[tuple[Message, bytes | None, Encoded, bool, bool]]
) -> None:
    replies = Replies(dialect)
    for received, session, text, ends, pushed in steps:
        if session is not None:
            received.tlvs[dialect.session_tag or int(Tag.ITS_SESSION_INFO)] = session
        made = ussd.reply(received, text, ends=ends, dialect=dialect, pushed=pushed)
        for _ in range(2):  # the second time from what the first has left
            written = replies.write(received, ussd.session_of(received, dialect), replies.shown(text), ends, pushed)
            assert encode(written, 7) == encode(made, 7)


def test_a_text_that_is_too_long_says_so() -> None:
    with pytest.raises(ValueError, match="255 octets, not 256"):
        Replies(STANDARD).shown(Encoded(b"x" * 256, 0, "gsm"))


@given(dialects, long_messages, st.binary(min_size=2, max_size=4), texts, st.booleans(), st.booleans())
def test_what_is_known_by_its_likeness_is_answered_as_what_was_read_in_full(
    dialect: Dialect, base: Message, session: bytes, text: Encoded, ends: bool, pushed: bool
) -> None:
    tlvs = {int(Tag.USSD_SERVICE_OP): b"\x12"}
    if dialect.session_tag is not None:
        tlvs[dialect.session_tag] = (session * 2)[: dialect.session_octets]
    received = msgspec.structs.replace(
        base, command=int(CommandId.DELIVER_SM), esm_class=0, short_message=b"1", tlvs=tlvs
    )
    inputs, replies, frame = Inputs(dialect), Replies(dialect), encode(received)
    known = [inputs.read(frame, received.command, 0, 5) for _ in range(2)][1]
    written = replies.write(known, ussd.session_of(received, dialect), replies.shown(text), ends, pushed)
    made = ussd.reply(received, text, ends=ends, dialect=dialect, pushed=pushed)
    event("known by its likeness" if isinstance(known, Heard) else "read in full")
    assert encode(written, 7) == encode(made, 7)
