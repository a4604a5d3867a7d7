"""What a received SMS says, whatever its SMSC put around it."""

import pytest

from smpp.constants import CommandId
from smpp.pdu import Message
from ussd_server.channels.sms import text_of


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
