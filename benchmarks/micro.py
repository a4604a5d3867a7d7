"""Single operations of the hot path, timed in this process, beside another library's where there is one."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from timeit import repeat
from types import SimpleNamespace

from smpplib import smpp as smpplib

import ussd_server
from benchmarks.account import measure_account
from benchmarks.paths import PATHS
from benchmarks.turn import measure_turn
from benchmarks.wire import DELIVER_SM, deliver_template, pdu, tlv
from menus.compiler import compile_flow
from menus.engine import work_out
from menus.events import Ask, Begin, Event, Reply, Show
from menus.session import Session, Value
from smpp import ussd
from smpp.alphabets import Encoded, choose
from smpp.dialect import Dialect
from smpp.pdu import Malformed, Message, decode, encode
from ussd_server.channels.ussd import screen
from ussd_server.dialects.files import load as load_dialect
from ussd_server.operators.embedded import EmbeddedOperator, read_catalogue
from ussd_server.subscribers.record import Subscriber, facts
from ussd_server.turns.operations import Queries
from ussd_server.turns.service import REGISTRY

PARSE, ENCODE = "parse an SMS deliver_sm with four TLVs", "encode a USSD submit_sm with four TLVs"
PARSE_SMPPLIB, ENCODE_SMPPLIB = f"{PARSE}, smpplib", f"{ENCODE}, smpplib"

ROUNDS, SLOW_ROUNDS = 5_000, 500
REPEATS = 7  # the best one counts: everything else on the machine can only make a round slower
MSISDN = "79100000000"
SPOKEN = ("standard", "comverse", "two-letter")  # an id of two octets, of four, and none
NOW = 1_258_362_000_000  # 16 November 2009, ms
FLOWS = Path(ussd_server.__file__).with_name("flows.yaml")
MAX_QUERIES = 20
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
    yield from _dialects()
    yield Micro(
        "the wire of a step, no socket, no turn", measure_account(), "octets to input, answer to octets, response"
    )
    yield from _turn()
    yield from _engine()


def _parsing() -> Iterable[Micro]:
    dialled = bytes(deliver_template(1, "*111#", "111")[0])
    yield Micro("parse a USSD deliver_sm", _us(lambda: decode(dialled)), "smpplib raises KeyError on it")
    sms = _plain_deliver()
    if isinstance(decode(sms), Malformed):
        raise AssertionError("the PDU to parse is malformed")
    yield Micro(PARSE, _us(lambda: decode(sms)))
    client = SimpleNamespace(next_sequence=lambda: 1, sequence=1)
    yield Micro(
        PARSE_SMPPLIB, _us(lambda: smpplib.parse_pdu(sms, client=client), SLOW_ROUNDS), "to compare; the same octets"
    )


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
        tlvs={0x0501: b"\x02", 0x0204: b"\x00\x07", 0x020A: b"\x12\x34", 0x020B: b"\x12\x35"},
    )
    yield Micro(ENCODE, _us(lambda: encode(answer)))
    client = SimpleNamespace(next_sequence=lambda: 1, sequence=1)

    def other() -> bytes:
        made: bytes = smpplib.make_pdu(
            "submit_sm",
            client=client,
            sequence=1,
            service_type="USSD",
            source_addr="111",
            destination_addr=MSISDN,
            data_coding=8,
            short_message=text,
            ussd_service_op=2,
            user_message_reference=7,
            source_port=0x1234,
            destination_port=0x1235,
        ).generate()
        return made

    yield Micro(ENCODE_SMPPLIB, _us(other, SLOW_ROUNDS), "to compare; the same fields")


def _dialects() -> Iterable[Micro]:
    """Time what a dialect costs beside the codec: reading an input and making its answer."""
    for name in SPOKEN:
        dialect = load_dialect(name)
        screen_text = choose(SCREEN, dialect.gsm_coding, dialect.ucs2_coding)
        dialled = ussd.dial(MSISDN, "111", choose("*111#"), session=17, dialect=dialect)

        def answer(dialled: Message = dialled, text: Encoded = screen_text, dialect: Dialect = dialect) -> None:
            ussd.classify(dialled, dialect)
            ussd.reply(dialled, text, ends=False, dialect=dialect)

        yield Micro(f"read a USSD input and make its answer, dialect {name}", _us(answer))


class Conversation:
    """The path of the rate runs, played through the engine alone: queries have their answers beforehand."""

    def __init__(self) -> None:
        self._flow = compile_flow(FLOWS.read_bytes(), str(FLOWS), REGISTRY)
        self._screen = screen(182, 80)
        self._facts = facts(Subscriber(MSISDN, activated_at=1), NOW, "ru", "ussd")
        self._answers: dict[tuple[str, ...], tuple[str, Value]] = {}
        operator = EmbeddedOperator(":memory:", read_catalogue(), lambda: NOW)
        self._queries = Queries(operator)
        asyncio.run(self._rehearse(operator))

    async def _rehearse(self, operator: EmbeddedOperator) -> None:
        """Play as several subscribers, and keep every answer of the operator."""
        own = self._facts
        for number in range(MAX_QUERIES):
            self._facts = {**own, "msisdn": str(int(MSISDN) + number)}
            try:
                self.play()
            except _Unanswered as unanswered:
                ask = unanswered.ask
                self._answers[_key(ask)] = await self._queries.ask(ask.operation, MSISDN, ask.arguments)
            else:
                self._facts = own
                await operator.close()
                return
        raise AssertionError("the path asks without end")

    def play(self) -> None:
        """Take the whole path; raises where a screen is not the expected one."""
        session: Session | None = None
        for at, expected in enumerate(PATHS["tariffs"]):
            event: Event
            if at == 0:
                match = self._flow.match_ussd(expected.said)
                assert match is not None
                event = Begin("s", match.node, match.tail)
            else:
                event = Reply(expected.said)
            done = self._flow.memory.step(work_out, session, event, NOW, self._facts, self._screen)
            while isinstance(effect := done.waits or done.effects[-1], Ask):
                known = self._answers.get(_key(effect))
                if known is None:
                    raise _Unanswered(effect)
                done = self._flow.memory.answered(work_out, done, *known, NOW, self._facts, self._screen)
            session = done.session
            if not isinstance(effect, Show) or expected.shows not in effect.text:
                raise AssertionError(f"{expected.said!r} led to {effect}")


class _Unanswered(Exception):
    """The path came to a query that has no answer yet."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask.operation)
        self.ask = ask


def _key(ask: Ask) -> tuple[str, ...]:
    return (ask.operation, str(ask.arguments))


def _turn() -> Iterable[Micro]:
    """Time the turn, with a real store and no network, by kind of screen."""
    took = measure_turn()
    whole = sum(us for _, us in took) / len(took)
    yield Micro("the turn of a step, no link", whole, "input to answer, durable; mean of the measured path")
    for said, us in took:
        yield Micro(f"the turn of {said}", us)


def _engine() -> Iterable[Micro]:
    conversation = Conversation()
    steps = len(PATHS["tariffs"])
    whole = _us(conversation.play, ROUNDS // 10)
    yield Micro("engine, a step", whole / steps, f"mean of the {steps} steps of the measured path, all taken before")


def _plain_deliver() -> bytes:
    body = b"\0\x01\x01" + MSISDN.encode() + b"\0\x00\x01" + b"2163\0" + b"\0\0\0\0\0\0\0\0\0" + b"\x03111"
    four = tlv(0x0204, b"\x00\x07"), tlv(0x020A, b"\x12\x34"), tlv(0x020B, b"\x12\x35"), tlv(0x020D, b"\x01")
    return pdu(DELIVER_SM, 1, body + b"".join(four))


def _us(operation: Callable[[], object], rounds: int = ROUNDS) -> float:
    operation()
    return min(repeat(operation, timer=process_time, number=rounds, repeat=REPEATS)) / rounds * 1e6
