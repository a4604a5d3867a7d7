"""An account brings what its links deliver to the conversations, and what the server says back to its SMSC."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from smpp import ussd
from smpp.alphabets import choose, decode
from smpp.constants import CommandId, Status, Tag, Ton, UssdOp
from smpp.events import BindRequested, Bound, Closed, Delivered, Event, Responded
from smpp.link import Link, Role
from smpp.pdu import Message
from smpp.segments import STYLES, Style, split
from smpp.transport import Connection, listen
from tests.ussd_server.turns.bench import MSISDN, SCREEN, Bench
from ussd_server.channels.gateway import Account, Gateway
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import SmscUrl


class Smsc:
    """The other side: takes every bind, notes what comes, and answers submits with the statuses that the test sets."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.submitted: list[Message] = []
        self.responses: dict[object, int] = {}
        self.statuses: list[int] = []
        self.silent = False

    def on_event(self, connection: Connection, event: Event) -> None:
        """Play the SMSC."""
        match event:
            case BindRequested(pdu=pdu):
                connection.accept(pdu, "SMSC")
            case Bound(pdu=pdu):
                if pdu.command != CommandId.BIND_TRANSMITTER_RESP:  # it takes submits alone
                    self.connection = connection
            case Delivered(pdu=pdu):
                self.submitted.append(pdu)
                if self.silent:
                    return
                connection.respond(pdu, self.statuses.pop(0) if self.statuses else Status.ROK, f"{len(self.submitted)}")
            case Responded(tag=tag, status=status):
                self.responses[tag] = status
            case Closed():
                self.connection = None

    def deliver(self, message: Message, tag: object = "input") -> None:
        """Send a message to the server."""
        assert self.connection is not None
        assert self.connection.send(message, tag)


class Line:
    """A bench with one account bound to a real SMSC over loopback."""

    def __init__(self, bench: Bench, smsc: Smsc, account: Account) -> None:
        self.bench, self.smsc, self.account = bench, smsc, account

    async def until(self, reached: Callable[[], bool]) -> None:
        """Let everything go on until something is so."""
        await self.bench.until(reached)

    async def hear(self, message: Message, submits: int) -> list[str]:
        """Deliver a message and return the texts of all submits, once there are so many."""
        self.smsc.responses.pop("input", None)
        self.smsc.deliver(message)
        await self.until(lambda: "input" in self.smsc.responses and len(self.smsc.submitted) >= submits)
        return [reply.text for sent in self.smsc.submitted if (reply := ussd.read_reply(sent))]


def play(
    directory: Path,
    story: Callable[[Line], Awaitable[None]],
    *,
    bind: Literal["trx", "txrx"] = "trx",
    window: int = 10,
    long: Style = "udh8",
) -> None:
    async def main() -> None:
        bench, smsc = Bench(directory), Smsc()
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), smsc.on_event)
        account = Account(
            SmscUrl("user", Secret("password"), "127.0.0.1", listener.port, bind=bind, window=window, long=long),
            bench.conversations,
            SCREEN,
            bench.metrics,
            country="7",
            now=lambda: bench.now,
            random=lambda: 0.0,
            boot="boot",
            on_bound=lambda: None,
        )
        account.start()
        try:
            await bench.until(lambda: account.bound and smsc.connection is not None)
            await story(Line(bench, smsc, account))
        finally:
            await account.stop(drain_ms=100)
            await listener.close()
            await bench.hasher.close()
            await bench.store.close()
            await bench.operator.close()

    asyncio.run(main())


def dialled(code: str = "*111#", session: int = 1) -> Message:
    return ussd.dial(MSISDN, "111", choose(code), session=session)


def sms(text: str, number: str = "111", source: str = MSISDN, ton: int = Ton.INTERNATIONAL) -> Message:
    encoded = choose(text)
    return Message(
        CommandId.DELIVER_SM,
        source_addr_ton=ton,
        source_addr_npi=1,
        source_addr=source,
        destination_addr=number,
        data_coding=encoded.data_coding,
        short_message=encoded.data,
    )


def test_a_dialogue_is_answered_in_its_session_and_closed_with_the_end_bit(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        assert (await at.hear(dialled("*111*2163#", session=9), 1)) == ["Activated."]
        sent = at.smsc.submitted[0]
        assert sent.tlvs[Tag.USSD_SERVICE_OP] == bytes((UssdOp.PSSR_RESPONSE,))
        assert sent.tlvs[Tag.ITS_SESSION_INFO] == bytes((9, 1))
        assert (sent.source_addr, sent.destination_addr) == ("111", MSISDN)

    play(tmp_path, story)


def test_the_input_is_acknowledged_before_it_is_answered(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        order: list[str] = []
        on_event = at.smsc.on_event

        def watch(connection: Connection, event: Event) -> None:
            order.append(type(event).__name__)
            on_event(connection, event)

        assert at.smsc.connection is not None
        at.smsc.connection._on_event = watch
        await at.hear(dialled(), 1)
        assert order[:2] == ["Responded", "Delivered"]

    play(tmp_path, story)


def test_an_answer_to_a_screen_is_told_from_its_redelivery(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.hear(dialled(), 1)
        answer = ussd.answer(MSISDN, "111", choose("1"), session=1, sequence=1)
        _, first = await at.hear(answer, 2)
        _, _, again = await at.hear(answer, 3)
        assert first == again
        further = ussd.answer(MSISDN, "111", choose("1"), session=1, sequence=2)
        assert (await at.hear(further, 4))[3] != first

    play(tmp_path, story)


@pytest.mark.parametrize("statuses", [[Status.RTHROTTLED], [Status.RMSGQFUL]])
def test_a_throttled_answer_is_sent_once_more(tmp_path: Path, statuses: list[int]) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = list(statuses)
        texts = await at.hear(dialled(), 2)
        assert texts[0] == texts[1]

    play(tmp_path, story)


@pytest.mark.parametrize(
    "message",
    [
        sms("*111#", source="MTS-Info", ton=Ton.ALPHANUMERIC),
        sms("?", source="900"),
        sms("?", source=""),
    ],
)
def test_who_is_no_subscriber_is_acknowledged_and_not_answered(tmp_path: Path, message: Message) -> None:
    async def story(at: Line) -> None:
        await at.hear(message, 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert sum(at.bench.metrics.suppressed.values()) == 1
        assert await at.bench.store.next_due() is None

    play(tmp_path, story)


def test_a_receipt_is_acknowledged_and_not_answered(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        receipt = sms("id:7 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:")
        receipt.esm_class = 0x04
        await at.hear(receipt, 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert await at.bench.store.next_due() is None

    play(tmp_path, story)


def test_an_input_that_cannot_be_kept_is_refused_so_that_the_smsc_repeats_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.bench.conversations.close()
        await at.hear(sms("111", number="2163"), 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (Status.ROK, "sent"),
        (Status.RTHROTTLED, "later"),
        (Status.RSYSERR, "later"),
        (Status.RINVDSTADR, "refused"),
    ],
)
def test_an_sms_ends_as_its_status_says(tmp_path: Path, status: Status, result: str) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [status]
        outcome = await at.account.send_sms("111", MSISDN, "Привет", 7)
        assert outcome.result == result

    play(tmp_path, story)


def test_what_no_account_brought_goes_by_one_that_is_bound(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        away = Account(
            SmscUrl("away", Secret("password"), "127.0.0.1", 1),
            at.bench.conversations,
            SCREEN,
            at.bench.metrics,
            country="7",
            now=lambda: at.bench.now,
            random=lambda: 0.0,
            boot="boot",
            on_bound=lambda: None,
        )
        gateway = Gateway([away, at.account])
        for account in ("", "of another time"):
            assert (await gateway.send_sms(account, "111", MSISDN, "Привет", 7)).result == "sent"
        assert (await gateway.send_sms(away.name, "111", MSISDN, "Привет", 7)).result == "later"
        assert (await Gateway([away]).send_sms("", "111", MSISDN, "Привет", 7)).result == "later"
        assert (await Gateway([]).send_sms("", "111", MSISDN, "Привет", 7)).result == "later"

    play(tmp_path, story)


def test_a_long_sms_goes_in_parts_that_the_phone_joins(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        outcome = await at.account.send_sms("111", MSISDN, "слово " * 40, 7)
        assert outcome.result == "sent"
        assert len(at.smsc.submitted) > 1
        assert [part.short_message[:6] for part in at.smsc.submitted] == [
            bytes((5, 0, 3, 7, len(at.smsc.submitted), number)) for number in range(1, len(at.smsc.submitted) + 1)
        ]

    play(tmp_path, story)


@pytest.mark.parametrize("style", STYLES)
def test_the_account_says_how_a_long_sms_goes(tmp_path: Path, style: Style) -> None:
    text = "слово " * 40

    async def story(at: Line) -> None:
        assert (await at.account.send_sms("111", MSISDN, text, 0x1234)).result == "sent"
        sent = at.smsc.submitted
        assert "".join(decode(message.user_data, message.data_coding) for message in sent) == text
        expected = [part.into(Message(CommandId.SUBMIT_SM)) for part in split(text, 0x1234, style=style)]
        assert [(message.esm_class, message.payload, message.tlvs) for message in sent] == [
            (message.esm_class, message.payload, message.tlvs) for message in expected
        ]

    play(tmp_path, story, long=style)


def test_a_transmitter_carries_the_answers_that_a_receiver_cannot(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        assert (await at.hear(dialled("*111*2163#"), 1)) == ["Activated."]
        assert (await at.account.send_sms("111", MSISDN, "Hello", 7)).result == "sent"

    play(tmp_path, story, bind="txrx")


def test_a_screen_is_not_kept_waiting_by_sms_that_the_smsc_is_slow_to_take(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        sending = [asyncio.ensure_future(at.account.send_sms("111", MSISDN, f"Hello {n}", n)) for n in range(20)]
        await at.until(lambda: len(at.smsc.submitted) == 5)
        assert (await at.hear(dialled("*111*2163#"), 6)) == ["Activated."]
        for waiting in sending:
            waiting.cancel()

    play(tmp_path, story, window=10)


def test_an_answer_that_was_lost_is_counted(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        await at.hear(dialled(), 1)
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        await at.until(lambda: at.bench.metrics.pdu_errors["out", "ussd answer lost"] == 1)

    play(tmp_path, story)


def test_a_command_that_spans_two_parts_is_one_input(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        for number, piece in ((2, "11"), (1, "1")):
            part = sms(piece, number="2163")
            part.esm_class, part.short_message = 0x40, bytes((5, 0, 3, 9, 2, number)) + part.short_message
            assert await at.bench.journal() == []
            await at.hear(part, 0)
            assert at.smsc.responses == {"input": Status.ROK}
        assert await at.bench.journal() == ["activated"]
        assert at.bench.metrics.letters == {"whole": 1}

    play(tmp_path, story)


def test_a_part_that_cannot_be_kept_is_refused_so_that_the_smsc_repeats_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.bench.conversations.close()
        part = sms("1", number="2163")
        part.esm_class, part.short_message = 0x40, bytes((5, 0, 3, 9, 2, 1)) + part.short_message
        await at.hear(part, 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}

    play(tmp_path, story)


def test_without_a_link_an_sms_waits(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.account.stop(drain_ms=0)
        outcome = await at.account.send_sms("111", MSISDN, "Hello", 7)
        assert outcome.result == "later"

    play(tmp_path, story)
