"""What comes in is told apart: a USSD step, an SMS, what is to be left alone, and what is turned away."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from menus.session import Session
from smpp import ussd
from smpp.alphabets import choose
from smpp.constants import CommandId, Status, Tag, Ton, UssdOp
from smpp.pdu import Message
from tests.ussd_server.channels.line import Line, dialled, play, send, sms, ussd_message
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.stores.base import Change
from ussd_server.subscribers.record import Pushed, PushKind
from ussd_server.turns import pushes
from ussd_server.turns.admission import Kind
from ussd_server.turns.pushes import PushOrder


@pytest.mark.parametrize(
    "message",
    [
        sms("*111#", source="MTS-Info", ton=Ton.ALPHANUMERIC),
        sms("?", source="900"),
        sms("?", source=""),
        ussd.dial("900", "111", choose("*111#"), session=1),
    ],
)
def test_who_is_no_subscriber_is_acknowledged_and_not_answered(tmp_path: Path, message: Message) -> None:
    async def story(at: Line) -> None:
        for times in (1, 2):  # the second one is known by its likeness
            await at.hear(message, 0)
            assert at.smsc.responses == {"input": Status.ROK}
            assert sum(at.bench.metrics.suppressed.values()) == times
        assert await at.bench.store.next_due() is None

    play(tmp_path, story)


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


def test_the_default_alphabet_counts_both_ways(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        dialled_in_it = dialled()
        dialled_in_it.short_message = "@é".encode("latin-1")
        await at.hear(dialled_in_it, 1)
        await send(at.account.outgoing, "111", MSISDN, "@é", 7)
        assert (at.smsc.submitted[1].short_message, at.smsc.submitted[1].data_coding) == (b"@\xe9", 0)

    play(tmp_path, story, default_alphabet="latin-1")


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
        for code, times in (("*111#", 1), ("*111*2#", 2)):  # the like of the second one was not read before
            await at.hear(dialled(code, session=20 + times), 0)
            assert at.smsc.responses == {"input": Status.RTHROTTLED}
            assert waiting() == 5
            assert at.bench.metrics.turned_away[at.account.name] == times

    play(tmp_path, story, window=2)


@pytest.mark.parametrize(("name", "op", "logs"), [("standard", 0x77, 1), ("standard", 0x01, 0)])
def test_an_operation_that_the_dialect_lacks_is_logged_and_served(
    tmp_path: Path, name: str, op: int, logs: int
) -> None:
    async def story(at: Line) -> None:
        with capture_logs() as logged:
            assert len(await at.hear(ussd_message(op, {Tag.ITS_SESSION_INFO: b"\7\0"}), 1)) == 1
        told = [line for line in logged if line["event"] == "operation that the dialect does not name"]
        assert [(line["dialect"], line["sign"]) for line in told] == [(name, f"op 0x{op:02X}")] * logs

    play(tmp_path, story, dialect=name)


def test_an_unknown_operation_goes_on_with_a_dialogue_that_lives(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        session = {Tag.ITS_SESSION_INFO: b"\7\0"}
        (menu,) = await at.hear(ussd_message(0x77, session), 1)
        _, tariffs = await at.hear(ussd_message(0x77, {Tag.ITS_SESSION_INFO: b"\7\2"}, "1"), 2)
        assert tariffs != menu

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
