"""Single operations of the hot path, timed in this process, beside another library's where there is one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from timeit import repeat
from types import SimpleNamespace

from smpplib import smpp as smpplib

from benchmarks.wire import DELIVER_SM, deliver_template, pdu
from smpp.pdu import Malformed, Message, decode, encode

ROUNDS = 5_000
REPEATS = 7  # the best one counts: everything else on the machine can only make a round slower
MSISDN = "79100000000"
SCREEN = "Тарифы:\n1 Супер Ноль, бесплатно\n2 RED Energy, 150 руб.\n0 Назад"


@dataclass(frozen=True)
class Micro:
    """One operation and what it takes, µs."""

    what: str
    us: float
    note: str = ""


def measure_micro() -> Iterable[Micro]:
    """Time every operation."""
    yield from _parsing()
    yield from _encoding()


def _parsing() -> Iterable[Micro]:
    ussd = bytes(deliver_template(1, "*111#", "111")[0])
    yield Micro("parse a USSD deliver_sm", _us(lambda: decode(ussd)), "smpplib raises KeyError on it")
    sms = _plain_deliver()
    if isinstance(decode(sms), Malformed):
        raise AssertionError("the PDU to parse is malformed")
    yield Micro("parse an SMS deliver_sm", _us(lambda: decode(sms)))
    client = SimpleNamespace(next_sequence=lambda: 1, sequence=1)
    yield Micro("parse an SMS deliver_sm, smpplib", _us(lambda: smpplib.parse_pdu(sms, client=client)), "to compare")


def _encoding() -> Iterable[Micro]:
    text = SCREEN.encode("utf-16-be")
    answer = Message(
        command=0x04,
        sequence=1,
        service_type="USSD",
        source_addr="111",
        destination_addr=MSISDN,
        data_coding=8,
        short_message=text,
        tlvs={0x0501: b"\x02", 0x1383: b"\x01\x00"},
    )
    yield Micro("encode a USSD submit_sm", _us(lambda: encode(answer)))
    client = SimpleNamespace(next_sequence=lambda: 1, sequence=1)

    def other() -> bytes:
        made: bytes = smpplib.make_pdu(
            "submit_sm",
            client=client,
            service_type="USSD",
            source_addr="111",
            destination_addr=MSISDN,
            data_coding=8,
            short_message=text,
            ussd_service_op=2,
        ).generate()
        return made

    yield Micro("encode a USSD submit_sm, smpplib", _us(other), "to compare; without its_session_info")


def _plain_deliver() -> bytes:
    body = b"\0\x01\x01" + MSISDN.encode() + b"\0\x00\x01" + b"2163\0" + b"\0\0\0\0\0\0\0\0\0" + b"\x03111"
    return pdu(DELIVER_SM, 1, body)


def _us(operation: Callable[[], object]) -> float:
    operation()
    return min(repeat(operation, number=ROUNDS, repeat=REPEATS)) / ROUNDS * 1e6
