"""A USSD step: acknowledged, answered where it came from, told from its repetition, and counted where it is lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from smpp import ussd
from smpp.alphabets import choose
from smpp.constants import CommandId, Status, Tag, UssdOp
from smpp.events import Delivered, Responded
from smpp.replies import Replies
from tests.ussd_server.channels.line import Line, dialled, play, send, texts, ussd_message
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.dialects.files import load


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
        at.smsc.events.clear()
        await at.hear(dialled(), 1)
        assert at.smsc.events == [Responded, Delivered]

    play(tmp_path, story)


def test_a_dialogue_that_cannot_begin_is_told_so_and_ends(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.bench.admission.limit = 0
        await at.hear(dialled(), 1)
        assert at.smsc.responses == {"input": Status.ROK}
        assert at.bench.metrics.turns["ussd", "overload"] == 1

    play(tmp_path, story)


def test_a_screen_is_encoded_as_the_account_says(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.hear(dialled("*111*2163#"), 1)
        assert at.smsc.submitted[0].data_coding == 0x0F

    play(tmp_path, story, ussd_gsm=0x0F)


@pytest.mark.parametrize(("options", "coding"), [({}, 0x0F), ({"ussd_gsm": 0xF1}, 0xF1)])
def test_screens_have_the_data_coding_of_the_dialect_but_for_what_the_url_says(
    tmp_path: Path, options: dict[str, int], coding: int
) -> None:
    async def story(at: Line) -> None:
        await at.hear(ussd.dial(MSISDN, "111", choose("*111#"), session=0, dialect=load("no-id")), 1)
        assert at.smsc.submitted[0].data_coding == coding

    play(tmp_path, story, dialect="no-id", **options)


def test_a_transmitter_carries_the_answers_that_a_receiver_cannot(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        assert (await at.hear(dialled("*111*2163#"), 1)) == ["Activated."]
        assert (await send(at.account.outgoing, "111", MSISDN, "Hello", 7)).result == "sent"

    play(tmp_path, story, bind="txrx")


def test_an_answer_leaves_by_the_connection_that_the_input_came_by(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        for session, connection in enumerate([*at.smsc.bound, *at.smsc.bound]):
            at.smsc.connection = connection
            await at.hear(dialled(session=session), session + 1)
            assert at.smsc.by[-1] is connection

    play(tmp_path, story, binds=3)


# What came before, and what comes again ------------------------------------------------------------------------------


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


# What is not shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statuses", [[Status.RTHROTTLED], [Status.RMSGQFUL]])
def test_a_throttled_answer_is_sent_once_more(tmp_path: Path, statuses: list[int]) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = list(statuses)
        texts = await at.hear(dialled(), 2)
        assert texts[0] == texts[1]

    play(tmp_path, story)


def test_a_screen_that_is_throttled_twice_is_dropped(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [Status.RTHROTTLED, Status.RTHROTTLED]
        await at.hear(dialled(), 2)
        await at.until(lambda: at.bench.metrics.pdu_errors["out", "ussd answer lost"] == 1)
        assert at.bench.metrics.throttled[at.account.name] == 2
        assert at.bench.metrics.sms_limit[at.account.name]() > 0, "SMS make room"
        assert (await at.hear(dialled(session=2), 3))[2] == texts(at)[0]

    play(tmp_path, story)


def test_an_answer_that_was_lost_is_counted(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        await at.hear(dialled(), 1)
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        await at.until(lambda: at.bench.metrics.pdu_errors["out", "ussd answer lost"] == 1)

    play(tmp_path, story)


def test_an_answer_whose_link_has_gone_meanwhile_is_counted(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        load, held = at.bench.store.load, asyncio.Event()

        async def slow(msisdn: str, latest: bool = False) -> Any:
            await held.wait()
            return await load(msisdn, latest)

        at.bench.store.load = slow  # type: ignore[method-assign]
        at.smsc.deliver(dialled())
        await at.until(lambda: at.bench.conversations.under_way == 1)
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        await at.until(lambda: len(at.smsc.binds) == 2)
        with capture_logs() as logged:
            held.set()
            await at.until(lambda: at.bench.metrics.pdu_errors["out", "ussd answer lost"] == 1)
        assert [line["cause"] for line in logged if line["event"] == "USSD answer lost"] == ["no bound link takes it"]

    play(tmp_path, story)


def test_an_input_whose_screen_cannot_be_written_is_acknowledged_for_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(at: Line) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Replies, "write", lambda *_: 1 / 0)
            await at.hear(dialled("*111*2163#", session=1), 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert at.smsc.submitted == []
        assert await at.bench.journal() == ["activated"]
        assert len(await at.hear(dialled(session=2), 1)) == 1

    play(tmp_path, story)


def test_a_gateways_own_status_is_logged_with_what_it_means(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [0x407]
        with capture_logs() as logged:
            await at.hear(ussd_message(0x01, {Tag.USER_MESSAGE_REFERENCE: b"\0\7"}), 1)
            await at.until(lambda: bool(at.bench.metrics.pdu_errors["out", "ussd answer lost"]))
        (lost,) = [line for line in logged if line["event"] == "USSD answer lost"]
        assert lost["cause"] == "0x00000407, dialogue not found"

    play(tmp_path, story, dialect="sibinco")


def test_nothing_is_shown_after_an_answer_that_closed_the_dialogue(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        session = {0x1501: b"\0\0\0\7"}
        await at.hear(ussd_message(0x01, session), 1)
        with capture_logs() as logged:
            await at.hear(ussd_message(0x92, session, "1"), 1)
        assert "not shown, the gateway had closed the dialogue" in [line["event"] for line in logged]
        assert at.bench.metrics.turns["ussd", "answered"] == 2
        # The next code begins anew.
        await at.hear(ussd_message(0x01, {0x1501: b"\0\0\0\10"}), 2)
        assert len(at.smsc.submitted) == 2

    play(tmp_path, story, dialect="comverse")
