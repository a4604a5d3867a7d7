"""What a received SMS says, whatever its SMSC put around it; and how one is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.constants import CommandId, DataCoding
from smpp.pdu import Message, encode, submit
from smpp.segments import STYLES
from ussd_server.channels.sms import HEADS_KEPT, Spelling, Writer, parts, reference_of, text_of

octets = st.integers(0, 255)
spellings = st.builds(
    Spelling,
    octets,
    octets,
    octets,
    octets,
    st.sampled_from([DataCoding.DEFAULT, DataCoding.LATIN_1, DataCoding.GSM7]),
    st.sampled_from([DataCoding.UCS2, DataCoding.USSD_UCS2]),
    st.sampled_from(["gsm", "latin-1", "ucs2"]),
    st.sampled_from(STYLES),
    st.booleans(),
)
texts = st.text("ab1 €[é@ñ", max_size=200) | st.text("слово ж€", max_size=150) | st.text(max_size=10)


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [
        (b" 111\r", 0, "111"),
        (b"\0", 0, "@"),
        (b"\0", 1, ""),
        (b"", 8, ""),
        (b"\0", 8, ""),
        (b"\0 ", 8, ""),
        ("111".encode("utf-16-be") + b"\0", 8, "111"),
        ("тарифы".encode("utf-16-be"), 8, "тарифы"),
    ],
)
def test_what_was_written_is_read_without_what_was_not(octets: bytes, coding: int, text: str) -> None:
    assert text_of(Message(CommandId.DELIVER_SM, data_coding=coding, short_message=octets), "gsm") == text
    payload = Message(CommandId.DELIVER_SM, data_coding=coding, tlvs={0x0424: octets})
    assert text_of(payload, "gsm") == text


def test_the_accounts_alphabet_is_that_of_data_coding_0() -> None:
    assert text_of(Message(CommandId.DELIVER_SM, short_message=b"$"), "latin-1") == "$"


@given(spellings, st.lists(st.tuples(st.sampled_from(["111", "Bank", ""]), texts, st.text("01ab")), max_size=4))
def test_an_sms_is_written_as_it_is_field_by_field(spelling: Spelling, sms: list[tuple[str, str, str]]) -> None:
    writer = Writer(spelling)
    for source, text, id in sms:
        written = writer.write(source, "79100000001", text, id)
        expected = parts(source, "79100000001", text, reference_of(id), spelling)
        assert [submit(body, 7) for body in written] == [encode(message, 7) for message in expected]


def test_a_new_sender_each_time_fills_no_memory() -> None:
    writer = Writer(Spelling())
    for number in range(3 * HEADS_KEPT):
        (body,) = writer.write(f"{number}", "79100000001", "Hello", "1")
        assert body.startswith(f"\0\0\1{number}\0".encode())
        assert len(writer._heads) <= HEADS_KEPT
