"""What no gateway should send: each gets a defined answer, and the subscribers behind it notice nothing."""

from collections.abc import Callable
from struct import pack

import pytest

from smpp.constants import CommandId, Status
from smpp.pdu import encode
from tests.acceptance.conftest import Service
from tests.acceptance.gateway import make_message
from tests.acceptance.harness import BEGIN
from tests.fuzz import corpus

SENDER = "79109990000"


def header(command: int, sequence: int, body: bytes = b"", length: int | None = None) -> bytes:
    return pack(">IIII", 16 + len(body) if length is None else length, command, 0, sequence) + body


def deliver(sequence: int, cut: int = 0, extra: bytes = b"") -> bytes:
    """An SMS deliver_sm, correct but for what is cut from its end or added to it."""
    message = make_message({"source_addr": SENDER, "destination_addr": "2163", "short_message": b"hello"})
    body = encode(message)[16:]
    return header(CommandId.DELIVER_SM, sequence, body[: len(body) - cut] + extra)


REFUSED: dict[str, tuple[Callable[[int], bytes], int]] = {
    "unknown command": (lambda n: header(0x00000077, n), Status.RINVCMDID),
    "unknown command with a body": (lambda n: header(0x00010200, n, b"\x01" * 300), Status.RINVCMDID),
    "body of nothing": (lambda n: header(CommandId.DELIVER_SM, n), Status.RINVCMDLEN),
    "address without its NUL": (lambda n: header(CommandId.DELIVER_SM, n, b"\0\1\1" + b"7" * 40), Status.RINVCMDLEN),
    "short_message cut off": (lambda n: deliver(n, cut=2), Status.RINVMSGLEN),
    "TLV cut off": (lambda n: deliver(n, extra=b"\x05\x01\x00\x09\x01"), Status.RINVOPTPARSTREAM),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_body_is_refused_and_the_link_lives(service: Service, name: str) -> None:
    """A PDU that cannot be read is refused under its sequence number with the status that says why."""
    make, status = REFUSED[name]
    sequence = service.gateway.next_sequence()
    service.gateway.write(make(sequence))
    assert service.gateway.response(sequence) == status
    service.alive()


@pytest.mark.parametrize(
    "command", [CommandId.SUBMIT_SM_RESP, CommandId.BIND_TRANSCEIVER_RESP, CommandId.GENERIC_NACK, 0x80000077]
)
def test_a_response_to_nothing_is_ignored(service: Service, command: int) -> None:
    """A response that answers none of our requests changes nothing."""
    service.gateway.write(header(command, 0x7ABCDEF0, b"\0" if command != CommandId.GENERIC_NACK else b""))
    service.alive()


@pytest.mark.parametrize("command", [CommandId.BIND_TRANSCEIVER, CommandId.SUBMIT_SM])
def test_a_request_out_of_place_is_refused(service: Service, command: int) -> None:
    """A request that only an ESME makes is refused, and the link lives."""
    bind = b"smsc\0secret\0\0\x34\0\0\0"
    message = encode(make_message({"source_addr": SENDER, "destination_addr": "111"}))[16:]
    sequence = service.gateway.next_sequence()
    service.gateway.write(header(command, sequence, bind if command == CommandId.BIND_TRANSCEIVER else message))
    assert service.gateway.response(sequence) != 0
    service.alive()


def test_pdus_cut_anywhere_and_glued_together_are_read_alike(service: Service) -> None:
    """How TCP cuts the octets does not matter: ten dials sent octet by octet in one go get ten screens."""
    phones = [service.phone() for _ in range(10)]
    octets = b""
    for phone in phones:
        phone.session = 9
        message = make_message(phone.ussd_fields("*111#", BEGIN))
        message.sequence = service.gateway.next_sequence()
        octets += encode(message)
    for at in range(0, len(octets), 7):
        service.gateway.write(octets[at : at + 7])
    assert len({phone.screen().text for phone in phones}) == 1


@pytest.mark.parametrize("length", [0, 4, 15, 0x7FFFFFFF])
def test_an_impossible_length_closes_the_link(service: Service, length: int) -> None:
    """A length that no PDU has is nacked with sequence 0, the link is closed, and the server binds anew."""
    service.gateway.write(header(CommandId.DELIVER_SM, 77, length=length))
    nack = service.gateway.take("a generic_nack", lambda pdu: pdu.command == CommandId.GENERIC_NACK)
    assert (nack.sequence, getattr(nack, "status", None)) == (0, Status.RINVCMDLEN)
    service.gateway.wait_closed()
    service.gateway.accept()
    service.alive()


def test_unknown_tlvs_are_passed_over(service: Service) -> None:
    """TLVs that nobody knows, vendors' and empty ones too, do not keep a subscriber from the menu."""
    phone = service.phone()
    phone.session = 3
    fields = phone.ussd_fields("*111#", BEGIN)
    fields["tlvs"] = {0x1400: b"", 0x1501: b"\0\0\0\1", 0x3FFF: b"\xff" * 200, 0x4001: b"vendor"}
    assert service.gateway.deliver(fields) == 0
    assert phone.screen().text


@pytest.mark.parametrize("value", [b"", b"\x01\x01", b"\xee"])
def test_a_strange_service_op_is_no_disaster(service: Service, value: bytes) -> None:
    """A ussd_service_op of another length or an unknown value is answered with some screen, and the link lives."""
    phone = service.phone()
    phone.session = 4
    assert service.gateway.deliver({**phone.ussd_fields("*111#", BEGIN), "ussd_service_op": value}) == 0
    assert phone.screen().text
    service.alive()


@pytest.mark.parametrize("value", [b"", b"\x05", b"\x05\x00\x00\x00"])
def test_a_strange_session_info_is_no_disaster(service: Service, value: bytes) -> None:
    """An its_session_info of another length is answered, and the link lives."""
    phone = service.phone()
    assert service.gateway.deliver({**phone.ussd_fields("*111#", BEGIN), "its_session_info": value}) == 0
    shown = service.gateway.expect("a screen", lambda m: m.destination == phone.msisdn and m.op is not None)
    assert shown.text
    service.alive()


ODD_TEXTS = {
    "UCS-2 of odd length": (8, b"\x04\x1f\x04"),
    "UCS-2 with a lone surrogate": (8, b"\xd8\x00\x00\x41"),
    "GSM above 7 bits": (0, b"\xff\xfe\x80"),
    "GSM that ends in an escape": (0, b"abc\x1b"),
    "UTF-8 called GSM": (0, "Привет".encode()),
    "binary": (4, bytes(range(140))),
    "a reserved coding": (0x33, b"abc"),
    "an unknown message class": (0xF5, b"\0\1\2"),
    "a header longer than the text": (0, b"\x7fab"),
}


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_a_text_in_a_wrong_encoding_is_an_unknown_text(service: Service, name: str) -> None:
    """An SMS that cannot be read is acknowledged and answered like any unknown text."""
    coding, octets = ODD_TEXTS[name]
    phone = service.phone()
    esm_class = 0x40 if "header" in name else 0
    fields = phone.sms_fields("2163", short_message=octets, data_coding=coding, esm_class=esm_class)
    assert service.gateway.deliver(fields) == 0
    assert phone.inbox()
    service.alive()


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_an_answer_in_a_wrong_encoding_is_an_invalid_answer(service: Service, name: str) -> None:
    """A USSD answer that cannot be read shows a screen, and the dialogue can go on or has ended politely."""
    coding, octets = ODD_TEXTS[name]
    phone = service.phone()
    phone.dial("*111#")
    fields = {**phone.ussd_fields("", 0x12), "short_message": octets, "data_coding": coding}
    assert service.gateway.deliver(fields) == 0
    assert phone.screen().text


def test_a_very_long_sms_is_an_unknown_text(service: Service) -> None:
    """A message_payload of 60,000 octets is acknowledged and answered like any unknown text."""
    phone = service.phone()
    assert service.gateway.deliver(phone.sms_fields("2163", message_payload=b"x" * 60_000)) == 0
    assert phone.inbox()
    service.alive()


def test_text_in_both_places_is_read_once(service: Service) -> None:
    """A deliver_sm with short_message and message_payload, which the standard forbids, gets one answer."""
    phone = service.phone()
    good = encode(make_message(phone.sms_fields("2163", short_message=b"111")))[16:]
    sequence = service.gateway.next_sequence()
    service.gateway.write(header(CommandId.DELIVER_SM, sequence, good + b"\x04\x24\x00\x03111"))
    assert service.gateway.response(sequence) == 0
    assert phone.inbox()
    service.alive()
    assert not service.gateway.seen(lambda message: message.destination == phone.msisdn)


def test_nuls_after_the_text_are_passed_over(service: Service) -> None:
    """One to three octets too many at a PDU's end, which some gateways send, change nothing."""
    phone = service.phone()
    good = encode(make_message(phone.sms_fields("2163", short_message=b"111")))[16:]
    for octets in (1, 2, 3):
        sequence = service.gateway.next_sequence()
        service.gateway.write(header(CommandId.DELIVER_SM, sequence, good + bytes(octets)))
        assert service.gateway.response(sequence) == 0
    assert phone.inbox()


def test_a_bad_dialogue_never_costs_another_one(service: Service) -> None:
    """Between the steps of one subscriber come hundreds of messages that a fuzzer found: every screen is as without."""
    alone, among = service.phone().activated(), service.phone().activated()
    bad = [one[2:] for one in corpus.read("messages")] + [one[3:] for one in corpus.read("pdus")]
    assert len(bad) > 50
    for said in ("*111#", "2", "1", "0", "00", "4"):
        for body in bad:
            command = (CommandId.DELIVER_SM, CommandId.DATA_SM, CommandId.DELIVER_SM_RESP)[len(body) % 3]
            service.gateway.write(header(command, service.gateway.next_sequence(), body))
        first = said.startswith("*")
        assert (among.dial(said) if first else among.answer(said)).text == (
            alone.dial(said) if first else alone.answer(said)
        ).text
    service.alive()
    assert service.server.log.count("Traceback") == 0
