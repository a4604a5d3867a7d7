"""An account brings what its links deliver to the conversations, and what the server says back to its SMSC."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from menus.session import Session
from smpp import ussd
from smpp.alphabets import choose, decode
from smpp.constants import CommandId, Status, Tag, Ton, UssdOp
from smpp.events import BindRequested, Bound, Closed, Delivered, Event, Responded
from smpp.link import Link, LinkSettings, Role
from smpp.pdu import Bind, Message
from smpp.segments import STYLES, Style, split
from smpp.transport import Connection, listen
from tests.ussd_server.turns.bench import MSISDN, POOR, SCREEN, Bench, perform
from ussd_server.channels.account import Account
from ussd_server.channels.base import Answering, Input
from ussd_server.channels.gateway import Gateway
from ussd_server.channels.intake import TOGETHER
from ussd_server.dialects.files import load
from ussd_server.outbox.worker import Done, Finished, Performed
from ussd_server.secrecy.secrets import Secret
from ussd_server.smsc_url import SmscUrl
from ussd_server.stores.base import Change, OutboxEntry, StoreUnavailable
from ussd_server.subscribers.record import Pushed, PushKind
from ussd_server.turns import pushes
from ussd_server.turns.admission import Kind
from ussd_server.turns.pushes import PushOrder


class Smsc:
    """The other side: takes every bind, notes what comes, and answers submits with the statuses that the test sets."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        """The one that was bound last, as something that receives."""
        self.binds: list[Bind] = []
        self.bound: list[Connection] = []
        self.by: list[Connection] = []
        """Which connection each submit came by."""
        self.submitted: list[Message] = []
        self.responses: dict[object, int] = {}
        self.statuses: list[int] = []
        self.ids: list[str] = []
        """Message ids for the next submits; then their numbers."""
        self.silent = False
        self.refusal = 0

    def on_event(self, connection: Connection, event: Event) -> None:
        """Play the SMSC."""
        match event:
            case BindRequested(pdu=pdu):
                if self.refusal:
                    connection.refuse(pdu, self.refusal)
                    return
                self.binds.append(pdu)
                self.bound.append(connection)
                connection.accept(pdu, "SMSC")
            case Bound(pdu=pdu):
                if pdu.command != CommandId.BIND_TRANSMITTER_RESP:  # it takes submits alone
                    self.connection = connection
            case Delivered(pdu=pdu):
                self.submitted.append(pdu)
                self.by.append(connection)
                if self.silent:
                    return
                message_id = self.ids.pop(0) if self.ids else f"{len(self.submitted)}"
                connection.respond(pdu, self.statuses.pop(0) if self.statuses else Status.ROK, message_id)
            case Responded(tag=tag, status=status):
                self.responses[tag] = status
            case Closed():
                self.bound = [one for one in self.bound if one is not connection]
                if self.connection is connection:
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


def make_account(url: SmscUrl, bench: Bench) -> Account:
    return Account(
        url,
        bench.conversations,
        SCREEN,
        bench.metrics,
        country="7",
        now=lambda: bench.now,
        random=lambda: 0.0,
        boot="boot",
        on_bound=lambda: None,
        deliveries=bench.deliveries,
    )


def play(directory: Path, story: Callable[[Line], Awaitable[None]], smsc_window: int = 10, **options: Any) -> None:
    """Run a story on an account with these options of its URL, on an SMSC with this window."""

    async def main() -> None:
        bench, smsc = Bench(directory), Smsc()
        settings = LinkSettings(window=smsc_window)
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC, settings), smsc.on_event)
        account = make_account(SmscUrl("user", Secret("password"), "127.0.0.1", listener.port, **options), bench)
        account.start()
        try:
            binds = options.get("binds", 1) * (2 if options.get("bind") == "txrx" else 1)
            await bench.until(lambda: bench.metrics.binds[account.name] == binds and smsc.connection is not None)
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


def test_an_input_that_breaks_something_takes_none_with_it_that_was_read_with_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        take, broken = at.bench.conversations.take, Exception("broken")

        def breaks_once(input: Input, answer: Answering) -> None:
            if input.msisdn == POOR:
                raise broken
            take(input, answer)

        at.bench.conversations.take = breaks_once  # type: ignore[method-assign]
        with capture_logs() as logs:
            at.smsc.deliver(ussd.dial(POOR, "111", choose("*111#"), session=1))
            await at.hear(dialled(session=2), 1)
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["input not taken"]

    play(tmp_path, story)


def test_of_a_flood_some_are_handed_in_at_a_time_in_their_order(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        take, loop = at.bench.conversations.take, asyncio.get_running_loop()
        turns: list[list[str]] = [[]]

        def noted(input: Input, answer: Answering) -> None:
            if not turns[-1]:
                loop.call_soon(turns.append, [])
                loop.call_soon(at.account.intake.hand_in)  # more is read while others wait to be handed in
            turns[-1].append(input.msisdn)
            take(input, answer)

        at.bench.conversations.take = noted  # type: ignore[method-assign]
        callers = [f"7916{number:07}" for number in range(3 * TOGETHER)]
        for session, caller in enumerate(callers):
            at.smsc.deliver(ussd.dial(caller, "111", choose("*111#"), session=session))
        await at.hear(dialled(session=len(callers)), len(callers))
        assert [caller for turn in turns for caller in turn if caller != MSISDN] == callers
        assert max(len(turn) for turn in turns) == TOGETHER

    play(tmp_path, story, smsc_window=5 * TOGETHER)


def test_of_a_flood_what_is_too_much_is_refused_before_what_came_earlier_is_handled(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.hear(dialled(session=1), 1)
        limit = at.bench.admission.limit = 2 * TOGETHER
        order: list[tuple[str, str]] = []
        turned_away, take = at.bench.conversations.turned_away, at.bench.conversations.take

        def judged(input: Input, answer: Answering, before: int) -> bool:
            refused = turned_away(input, answer, before)
            order.append(("refused" if refused else "waits", input.msisdn))
            return refused

        def taken(input: Input, answer: Answering) -> None:
            order.append(("taken", input.msisdn))
            take(input, answer)

        at.bench.conversations.turned_away = judged  # type: ignore[method-assign]
        at.bench.conversations.take = taken  # type: ignore[method-assign]
        connection = next(iter(at.account.binds.links))
        connection.on_read = lambda: None  # all of it comes with one read
        callers = [f"7916{number:07}" for number in range(3 * TOGETHER)]
        for session, caller in enumerate(callers):
            at.smsc.deliver(ussd.dial(caller, "111", choose("*111#"), session=session))
        at.smsc.deliver(ussd.answer(MSISDN, "111", choose("1"), session=1, sequence=1))
        await at.until(lambda: len(at.account.intake.read) > len(callers))
        connection.on_read = at.account.intake.hand_in
        at.account.intake.hand_in()
        await at.until(lambda: len(at.smsc.submitted) == len(callers) + 2)
        judgements = [*(("waits", each) for each in callers[:limit]), *(("refused", each) for each in callers[limit:])]
        assert order[: len(callers) + 1] == [*judgements, ("waits", MSISDN)]
        assert [whose for what, whose in order if what == "taken"] == [*callers[:limit], MSISDN]
        assert at.bench.admission.shed == {Kind.DIALOGUE: TOGETHER}

    play(tmp_path, story, smsc_window=4 * TOGETHER)


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


def receipt(message_id: str, *, source: str = MSISDN, destination: str = "111", state: str = "DELIVRD") -> Message:
    """Return the receipt of an SMS as SMSCs write it, in ASCII that says UCS-2."""
    text = f"id:{message_id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:{state} err:000 text:"
    return Message(
        CommandId.DELIVER_SM,
        source_addr=source,
        destination_addr=destination,
        esm_class=0x04,
        data_coding=8,
        short_message=text.encode(),
    )


async def sent(at: Line, text: str = "Hello", came: Performed | None = None) -> None:
    """Send an SMS as the outbox does; `came` is what the outbox is told, None: that it is done."""
    bench = at.bench
    record, version = await bench.store.load(MSISDN)
    entry = OutboxEntry(bench.tools.new_id(), "sms", bench.now, {"from": "111", "text": text})
    assert await bench.store.commit(Change(version, record, outbox=[entry]))
    (claimed,) = await bench.store.claim(bench.now, 1, 30_000)
    bench.network.send_sms = Gateway([at.account], 1).send_sms  # type: ignore[method-assign]
    assert await perform(bench.performers["sms"], claimed) == (came or Done())


async def told(at: Line) -> list[str]:
    """Return how SMS ended, oldest first."""
    return [entry.data["outcome"] for entry in reversed(await at.bench.store.journal(MSISDN, "sms ended"))]


@pytest.mark.parametrize(
    ("options", "response", "came"),
    [
        ({}, "00aF", "00aF"),
        ({"response_id": "hex", "receipt_id": "dec"}, "2A", "0000000042"),
        ({"response_id": "dec", "receipt_id": "hex"}, "42", "0000002a"),
    ],
)
def test_a_receipt_ends_its_sms_in_the_journal(
    tmp_path: Path, options: dict[str, Any], response: str, came: str
) -> None:
    async def story(at: Line) -> None:
        at.smsc.ids = [response]
        await sent(at)
        assert at.smsc.submitted[0].registered_delivery == 1
        await at.hear(receipt("7"), 0)
        assert await told(at) == []
        for _ in range(2):
            await at.hear(receipt(came), 0)
            assert at.smsc.responses == {"input": Status.ROK}
        assert await told(at) == ["delivered"]
        assert at.bench.metrics.receipts == {"delivered": 3}

    play(tmp_path, story, **options)


def test_a_long_sms_is_delivered_with_its_last_part(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await sent(at, "слово " * 40)
        parts = len(at.smsc.submitted)
        assert parts > 2
        for number in range(parts, 0, -1):
            assert await told(at) == []
            # Some SMSCs leave the addresses as they were.
            await at.hear(receipt(f"{number}", source="111", destination=MSISDN), 0)
        assert await told(at) == ["delivered"]

    play(tmp_path, story)


def test_no_receipt_is_asked_for_where_the_account_says_so(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await sent(at, came=Finished())
        assert at.smsc.submitted[0].registered_delivery == 0
        assert (await at.bench.store.load(MSISDN))[0].awaited == {}

    play(tmp_path, story, receipts=False)


@pytest.mark.parametrize("ids", [[""], ["1", ""]])
def test_an_sms_that_the_smsc_gives_no_id_is_not_awaited(tmp_path: Path, ids: list[str]) -> None:
    async def story(at: Line) -> None:
        at.smsc.ids = list(ids)
        await sent(at, "a " * 100 if len(ids) > 1 else "a", came=Finished())
        assert (await at.bench.store.load(MSISDN))[0].awaited == {}

    play(tmp_path, story)


def test_a_receipt_that_cannot_be_kept_is_refused_so_that_the_smsc_repeats_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await sent(at)

        async def broken(change: Change) -> bool:
            raise StoreUnavailable("the disk is full")

        at.bench.store.commit = broken  # type: ignore[method-assign]
        await at.hear(receipt("1"), 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}
        del at.bench.store.commit
        await at.hear(receipt("1"), 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert await told(at) == ["delivered"]

    play(tmp_path, story)


def fill_the_disk(bench: Bench) -> None:
    async def full(*arguments: Any) -> Any:
        raise StoreUnavailable("the disk is full")

    bench.store.commit = bench.store.commit_and_hold = full  # type: ignore[method-assign]


def test_an_input_that_cannot_be_kept_is_refused_so_that_the_smsc_repeats_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        fill_the_disk(at.bench)
        await at.hear(sms("111", number="2163"), 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (Status.ROK, "sent"),
        (Status.RSYSERR, "later"),
        (Status.RINVDSTADR, "refused"),
    ],
)
def test_an_sms_ends_as_its_status_says(tmp_path: Path, status: Status, result: str) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [status]
        outcome = await at.account.outgoing.send_sms("111", MSISDN, "Привет", 7)
        assert outcome.result == result

    play(tmp_path, story)


def test_what_no_account_brought_goes_by_one_that_is_bound(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        away = make_account(SmscUrl("away", Secret("password"), "127.0.0.1", 1), at.bench)
        gateway = Gateway([away, at.account], 64)
        for account in ("", "of another time"):
            assert (await gateway.send_sms(account, "111", MSISDN, "Привет", 7)).result == "sent"
        assert (await gateway.send_sms(away.name, "111", MSISDN, "Привет", 7)).result == "later"
        assert (await Gateway([away], 64).send_sms("", "111", MSISDN, "Привет", 7)).result == "later"
        assert (await Gateway([], 64).send_sms("", "111", MSISDN, "Привет", 7)).result == "later"

    play(tmp_path, story)


def test_a_long_sms_goes_in_parts_that_the_phone_joins(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        outcome = await at.account.outgoing.send_sms("111", MSISDN, "слово " * 40, 7)
        assert outcome.result == "sent"
        assert len(at.smsc.submitted) > 1
        assert [part.short_message[:6] for part in at.smsc.submitted] == [
            bytes((5, 0, 3, 7, len(at.smsc.submitted), number)) for number in range(1, len(at.smsc.submitted) + 1)
        ]

    play(tmp_path, story)


def test_a_text_of_more_parts_than_there_may_be_is_refused(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        outcome = await at.account.outgoing.send_sms("111", MSISDN, "a" * 153 * 256, 7)
        assert outcome.result == "refused"
        assert "255" in outcome.reason
        assert at.smsc.submitted == []

    play(tmp_path, story)


@pytest.mark.parametrize("style", STYLES)
def test_the_account_says_how_a_long_sms_goes(tmp_path: Path, style: Style) -> None:
    text = "слово " * 40

    async def story(at: Line) -> None:
        assert (await at.account.outgoing.send_sms("111", MSISDN, text, 0x1234)).result == "sent"
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
        assert (await at.account.outgoing.send_sms("111", MSISDN, "Hello", 7)).result == "sent"

    play(tmp_path, story, bind="txrx")


def test_a_screen_is_not_kept_waiting_by_sms_that_the_smsc_is_slow_to_take(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        sending = [
            asyncio.ensure_future(at.account.outgoing.send_sms("111", MSISDN, f"Hello {n}", n)) for n in range(20)
        ]
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


def test_an_sms_that_comes_again_by_another_bind_is_done_once(tmp_path: Path) -> None:
    """The SMSC may have missed our response, though its connection still seems to live."""

    async def story(at: Line) -> None:
        for connection in at.smsc.bound[:2]:
            at.smsc.connection = connection
            await at.hear(sms("balance"), 0)
        turns = at.bench.metrics.turns
        assert (turns["sms", "answered"], turns["sms", "repeated"]) == (1, 1)

    play(tmp_path, story, binds=2)


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
        fill_the_disk(at.bench)
        part = sms("1", number="2163")
        part.esm_class, part.short_message = 0x40, bytes((5, 0, 3, 9, 2, 1)) + part.short_message
        await at.hear(part, 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}

    play(tmp_path, story)


def test_an_sms_that_comes_when_there_is_too_much_to_do_is_to_come_again_later(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        limit, at.bench.admission.limit = at.bench.admission.limit, 0
        await at.hear(sms("111", number="2163"), 0)
        assert at.smsc.responses == {"input": Status.RTHROTTLED}
        at.bench.admission.limit = limit
        await at.hear(sms("111", number="2163"), 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert await at.bench.journal() == ["activated"]

    play(tmp_path, story)


def test_what_comes_when_it_is_left_has_no_response_and_what_is_under_way_goes_on(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        load, held = at.bench.store.load, asyncio.Event()

        async def slow(msisdn: str, latest: bool = False) -> Any:
            await held.wait()
            return await load(msisdn, latest)

        at.bench.store.load = slow  # type: ignore[method-assign]
        at.smsc.deliver(dialled(), "under way")
        await at.until(lambda: at.bench.conversations.under_way == 1)
        at.account.leave()
        for message in (
            ussd.dial("79100000002", "111", choose("*111#"), session=1),
            sms("111", number="2163"),
            receipt("1"),
        ):
            at.smsc.deliver(message, "left")
        await at.until(lambda: at.bench.metrics.suppressed["leaving"] == 3)
        held.set()
        await at.until(lambda: len(at.smsc.submitted) == 1)
        await at.account.stop(drain_ms=100)
        assert at.smsc.responses == {"under way": Status.ROK}

    play(tmp_path, story)


def test_a_dialogue_that_cannot_begin_is_told_so_and_ends(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.bench.admission.limit = 0
        await at.hear(dialled(), 1)
        assert at.smsc.responses == {"input": Status.ROK}
        assert at.bench.metrics.turns["ussd", "overload"] == 1

    play(tmp_path, story)


def test_while_screens_stand_in_line_for_the_window_new_dialogues_are_refused(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.hear(dialled(), 1)
        at.smsc.silent = True
        for session in range(2, 7):
            await at.hear(dialled(session=session), 0)  # a window of 2 is full, and three screens wait
        waiting = at.bench.metrics.screens_waiting[at.account.name]
        await at.until(lambda: waiting() == 3)
        for quarter in range(5):
            at.account.tick(quarter / 4)
        await at.hear(dialled(session=20), 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert waiting() == 4  # one more, with the polite text
        assert at.bench.admission.shed == {Kind.DIALOGUE: 1}
        await at.hear(ussd.answer(MSISDN, "111", choose("1"), session=6, sequence=1), 0)
        assert at.bench.metrics.turns["ussd", "answered"] == 7
        for second in range(4, 8):
            at.account.tick(float(second))
        await at.hear(dialled(session=21), 0)
        assert at.smsc.responses == {"input": Status.RTHROTTLED}
        assert waiting() == 5
        assert at.bench.metrics.turned_away[at.account.name] == 1

    play(tmp_path, story, window=2)


def test_without_a_link_an_sms_waits(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.account.stop(drain_ms=0)
        outcome = await at.account.outgoing.send_sms("111", MSISDN, "Hello", 7)
        assert outcome.result == "later"

    play(tmp_path, story)


# Several binds ----------------------------------------------------------------------------------------------------


def test_an_answer_leaves_by_the_connection_that_the_input_came_by(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        for session, connection in enumerate([*at.smsc.bound, *at.smsc.bound]):
            at.smsc.connection = connection
            await at.hear(dialled(session=session), session + 1)
            assert at.smsc.by[-1] is connection

    play(tmp_path, story, binds=3)


@pytest.mark.parametrize("options", [{"binds": 2}, {"bind": "txrx", "binds": 2}])
def test_the_same_answer_twice_in_a_dialogue_that_the_gateway_spreads_over_its_binds(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """Nothing counts the messages here; what was answered on a bind that still lives is not repeated on another."""
    mica = load("mica")

    async def story(at: Line) -> None:
        receivers = [
            one
            for one, bind in zip(at.smsc.bound, at.smsc.binds, strict=True)
            if bind.command != CommandId.BIND_TRANSMITTER
        ]
        at.smsc.connection = receivers[0]
        await at.hear(ussd.dial(MSISDN, "111", choose("*111#"), session=1, dialect=mica), 1)
        answer = ussd.answer(MSISDN, "111", choose("1"), session=1, sequence=1, dialect=mica)
        _, first = await at.hear(answer, 2)
        at.smsc.connection = receivers[1]
        assert (await at.hear(answer, 3))[2] != first, "it answers the second screen"

    play(tmp_path, story, dialect="mica", **options)


@pytest.mark.parametrize("binds", [1, 2])
def test_an_answer_that_comes_again_before_it_was_answered_is_taken_once(tmp_path: Path, binds: int) -> None:
    """Nothing counts the messages here, and the turn takes longer than the gateway waits."""
    mica = load("mica")

    async def story(at: Line) -> None:
        await at.hear(ussd.dial(MSISDN, "111", choose("*111#"), session=1, dialect=mica), 1)
        answer = ussd.answer(MSISDN, "111", choose("1"), session=1, sequence=1, dialect=mica)
        for number, connection in enumerate((at.smsc.bound[0], at.smsc.bound[-1])):
            at.smsc.connection = connection
            at.smsc.deliver(answer, number)
        await at.until(lambda: len(at.smsc.submitted) == 3)
        assert at.smsc.submitted[1].short_message == at.smsc.submitted[2].short_message
        texts = await at.hear(answer, 4)
        assert texts[3] != texts[2], "the next one is new"

    play(tmp_path, story, dialect="mica", binds=binds)


@pytest.mark.parametrize("options", [{"binds": 2}, {"bind": "txrx", "binds": 2}])
def test_a_bind_that_is_lost_leaves_the_work_to_the_others_and_comes_back(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """SMS go on by what is left; what the lost one had under way is told to be tried later."""

    async def story(at: Line) -> None:
        every = at.bench.metrics.binds[at.account.name]
        at.smsc.silent = True
        sending = [
            asyncio.ensure_future(at.account.outgoing.send_sms("111", MSISDN, f"Hello {n}", n)) for n in range(2)
        ]
        await at.until(lambda: len(at.smsc.submitted) == 2)
        first, second = at.smsc.by
        assert first is not second
        at.smsc.silent = False
        first.close()
        outcome = await sending[0]
        assert (outcome.result, outcome.reason) == ("later", "the link was lost")
        sent = [await at.account.outgoing.send_sms("111", MSISDN, f"Hello {n}", n) for n in range(4)]
        assert [outcome.result for outcome in sent] == ["sent"] * 4
        assert first not in at.smsc.by[2:]
        assert at.account.bound
        await at.until(lambda: at.bench.metrics.binds[at.account.name] == every)
        assert len(at.smsc.binds) == every + 1
        sending[1].cancel()

    play(tmp_path, story, **options)


def test_an_account_is_not_bound_where_nothing_sends(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        assert at.bench.metrics.links[at.account.name] is True
        transmitter = at.smsc.bound[[bind.command for bind in at.smsc.binds].index(CommandId.BIND_TRANSMITTER)]
        at.smsc.refusal = Status.RBINDFAIL
        transmitter.close()
        await at.until(lambda: at.account.unbound_because == "transmitter: bind refused: ESME_RBINDFAIL")
        assert not at.account.bound
        assert at.bench.metrics.links[at.account.name] is False

    play(tmp_path, story, bind="txrx")


def test_two_accounts_keep_their_dialogues_and_sms_apart(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        other = Smsc()
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), other.on_event)
        second = make_account(SmscUrl("other", Secret("password"), "127.0.0.1", listener.port, binds=2), at.bench)
        gateway = Gateway([at.account, second], 64)
        second.start()
        await at.until(lambda: at.bench.metrics.binds[second.name] == 2)
        other.deliver(dialled("*111*2163#"))
        await at.until(lambda: len(other.submitted) == 1)
        for account, smsc in ((at.account, at.smsc), (second, other)):
            before = len(smsc.submitted)
            assert (await gateway.send_sms(account.name, "111", MSISDN, "Hello", 7)).result == "sent"
            assert len(smsc.submitted) == before + 1
        assert len(at.smsc.submitted) == 1
        await second.stop(drain_ms=100)
        await listener.close()

    play(tmp_path, story)


# What is special about an operator --------------------------------------------------------------------------------


def test_a_bind_says_what_the_account_says(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        (bind,) = at.smsc.binds
        assert (bind.system_id, bind.password.reveal(), bind.system_type) == ("user", "password", "USSD")
        assert (bind.addr_ton, bind.addr_npi, bind.address_range) == (2, 8, "^111")

    play(tmp_path, story, system_type="USSD", address_ton=2, address_npi=8, address_range="^111")


def test_an_sms_is_addressed_and_encoded_as_the_account_says(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        for source, text in (("111", "Hello"), ("Info", "Привет")):
            await at.account.outgoing.send_sms(source, MSISDN, text, 7)
        first, second = at.smsc.submitted
        assert (first.source_addr_ton, first.source_addr_npi, first.source_addr) == (6, 9, "111")
        assert (second.source_addr_ton, second.source_addr_npi, second.source_addr) == (5, 0, "Info")
        assert {(one.dest_addr_ton, one.dest_addr_npi) for one in (first, second)} == {(2, 8)}
        assert (first.data_coding, second.data_coding) == (0xF1, 0x18)

    play(tmp_path, story, source_ton=6, source_npi=9, dest_ton=2, dest_npi=8, sms_gsm=0xF1, sms_ucs2=0x18)


def test_a_screen_is_encoded_as_the_account_says(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.hear(dialled("*111*2163#"), 1)
        assert at.smsc.submitted[0].data_coding == 0x0F

    play(tmp_path, story, ussd_gsm=0x0F)


def test_the_default_alphabet_counts_both_ways(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        dialled_in_it = dialled()
        dialled_in_it.short_message = "@é".encode("latin-1")
        await at.hear(dialled_in_it, 1)
        await at.account.outgoing.send_sms("111", MSISDN, "@é", 7)
        assert (at.smsc.submitted[1].short_message, at.smsc.submitted[1].data_coding) == (b"@\xe9", 0)

    play(tmp_path, story, default_alphabet="latin-1")


def test_a_status_that_the_account_names_is_tried_again(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [0x45, 0x46]
        assert (await at.account.outgoing.send_sms("111", MSISDN, "Hello", 7)).result == "later"
        assert (await at.account.outgoing.send_sms("111", MSISDN, "Hello", 7)).result == "refused"

    play(tmp_path, story, retry=frozenset({0x45}))


def test_ussd_and_sms_may_come_in_a_data_sm(tmp_path: Path) -> None:
    """A text in message_payload is read, and the response is that of a data_sm."""

    def as_data_sm(message: Message) -> Message:
        tlvs = {**message.tlvs, Tag.MESSAGE_PAYLOAD: message.short_message}
        return replace(message, command=CommandId.DATA_SM, short_message=b"", tlvs=tlvs)

    async def story(at: Line) -> None:
        assert (await at.hear(as_data_sm(dialled("*111*2163#")), 1)) == ["Activated."]
        await at.hear(as_data_sm(sms("111", number="2163")), 1)
        assert at.smsc.responses == {"input": Status.ROK}
        assert at.bench.metrics.pdus["in", "data_sm"] == 2

    play(tmp_path, story)


# Pushes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "op"), [(True, UssdOp.USSN_REQUEST), (False, UssdOp.USSR_REQUEST)], ids=["notify", "ask"]
)
def test_a_push_begins_a_dialogue_of_its_own(tmp_path: Path, ends: bool, op: UssdOp) -> None:
    async def story(at: Line) -> None:
        for _ in range(2):
            assert (await at.account.push("111", MSISDN, "Привет", ends)).result == "accepted"
        first, sent = at.smsc.submitted
        assert sent.tlvs[Tag.USSD_SERVICE_OP] == bytes((op,))
        numbers = [int.from_bytes(each.tlvs[Tag.ITS_SESSION_INFO]) for each in (first, sent)]
        assert (numbers[0] >> 8) + 1 == numbers[1] >> 8
        assert {number & 0xFF for number in numbers} == {1 if ends else 0}
        assert (sent.source_addr, sent.destination_addr) == ("111", MSISDN)
        assert sent.short_message.decode("utf-16-be") == "Привет"

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (Status.ROK, "accepted"),
        (Status.RTHROTTLED, "later"),
        (Status.RX_T_APPN, "later"),
        (Status.RINVDSTADR, "refused"),
    ],
)
def test_a_push_ends_as_its_status_says(tmp_path: Path, status: int, result: str) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [status]
        assert (await at.account.push("111", MSISDN, "Hello", True)).result == result

    play(tmp_path, story)


@pytest.mark.parametrize(("dialect", "result"), [("sibinco", "later"), ("standard", "refused")])
def test_a_gateway_may_have_a_status_of_its_own_for_who_is_busy(tmp_path: Path, dialect: str, result: str) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [0x4C8]
        assert (await at.account.push("111", MSISDN, "Hello", True)).result == result
        assert (Tag.USER_MESSAGE_REFERENCE in at.smsc.submitted[0].tlvs) is False

    play(tmp_path, story, dialect=dialect)


def test_a_gateway_that_takes_no_questions_refuses_them_here(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        outcome = await at.account.push("111", MSISDN, "Hello", False)
        assert (outcome.result, at.smsc.submitted) == ("refused", [])

    play(tmp_path, story, dialect="tata")


def test_of_a_push_that_got_no_response_nobody_knows(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        pushing = asyncio.ensure_future(at.account.push("111", MSISDN, "Hello", True))
        await at.until(lambda: len(at.smsc.submitted) == 1)
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        assert (await pushing).result == "unknown"
        assert (await at.account.push("111", MSISDN, "Hello", True)).result == "later"

    play(tmp_path, story)


def test_a_screen_is_not_kept_waiting_by_pushes_that_the_smsc_is_slow_to_take(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        pushing = [asyncio.ensure_future(at.account.push("111", MSISDN, f"Hello {n}", True)) for n in range(20)]
        await at.until(lambda: len(at.smsc.submitted) == 5)
        assert (await at.hear(dialled("*111*2163#"), 6))[-1] == "Activated."
        for waiting in pushing:
            waiting.cancel()

    play(tmp_path, story, window=10)


def test_pushes_go_by_an_account_that_is_bound(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        gateway = Gateway([at.account], 64)
        assert gateway.line("") is gateway.line(at.account.name) is at.account
        assert gateway.line("another operator's") is None
        assert Gateway([], 64).line("") is None

    play(tmp_path, story)


def test_pushes_that_name_no_account_go_by_none_whose_gateway_takes_no_pushes(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        gateway = Gateway([at.account], 64)
        assert gateway.line("") is None
        assert gateway.line(at.account.name) is at.account  # which refuses with the reason

    play(tmp_path, story, dialect="tata")


@pytest.mark.parametrize(("dialect", "told"), [("mica", 1), ("standard", 0)])
def test_at_the_start_it_is_told_where_no_gateway_takes_pushes(tmp_path: Path, dialect: str, told: int) -> None:
    async def story(at: Line) -> None:
        there = SmscUrl("user", Secret("password"), "127.0.0.1", 1, dialect=dialect)
        gateway = Gateway([make_account(there, at.bench)], 64)
        with capture_logs() as logs:
            gateway.start()
        await gateway.stop(0)
        assert sum("takes pushes" in line["event"] for line in logs) == told

    play(tmp_path, story)


def test_a_confirmation_and_an_answer_reach_the_push_that_they_belong_to(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        bench = at.bench
        for number, (text, screen, heard) in enumerate(
            [
                ("Hello", "", ussd.answer(MSISDN, "111", choose(""), session=77, sequence=0)),
                ("", "offers", ussd.answer(MSISDN, "111", choose("4"), session=78, sequence=0)),
            ]
        ):
            order = PushOrder(until=bench.now + 60_000, text=text, screen=screen, category="service")
            record, version = await bench.store.load(MSISDN)
            kind: PushKind = "ask" if screen else "notify"
            push = Pushed(f"p{number}", kind, at.account.name, bench.now + 60_000, sent=True)
            session = Session("s", "r", "ussd", "n", bench.now) if screen else None
            begun = msgspec.structs.replace(pushes.begun(record, push, session, "screen", bench.now), sessions={})
            work = pushes.entry(order, push.id, bench.now + 60_000)
            assert await bench.store.commit(Change(version, begun, outbox=[work]))
            if not screen:
                heard.tlvs[Tag.USSD_SERVICE_OP] = bytes((UssdOp.USSN_CONFIRM,))
            at.smsc.responses.pop("input", None)
            at.smsc.deliver(heard)
            await at.until(lambda: "input" in at.smsc.responses)
        assert bench.metrics.pushes == {("notify", "confirmed"): 1, ("ask", "answered"): 1}
        # Nothing waits where the push said that something does, so the subscriber reads that it is over.
        await at.until(lambda: len(at.smsc.submitted) == 1)
        assert at.smsc.submitted[0].tlvs[Tag.ITS_SESSION_INFO][0] == 78

    play(tmp_path, story)
