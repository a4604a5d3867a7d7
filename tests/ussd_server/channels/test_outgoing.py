"""SMS and pushes go out as the account says, in their turns, and whoever sent them is told how they ended."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from smpp.alphabets import decode
from smpp.constants import CommandId, Status, Tag, UssdOp
from smpp.pdu import Message
from smpp.segments import STYLES, Style, split
from tests.ussd_server.channels.line import Line, dialled, play, send, texts
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.channels.gateway import Gateway
from ussd_server.channels.sms import SendOutcome, reference_of


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
        outcome = await send(at.account.outgoing, "111", MSISDN, "Привет", 7)
        assert outcome.result == result

    play(tmp_path, story)


def test_who_takes_an_outcome_badly_takes_no_link_down(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        told, reports = at.account.outgoing._told, list[dict[str, Any]]()

        def broken(sms: Sequence[Any], outcome: SendOutcome) -> None:
            at.account.outgoing._told = told
            raise KeyError("a defect")

        at.account.outgoing._told = broken
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        send(at.account.outgoing, "111", MSISDN, "a", 7)
        await at.until(lambda: bool(reports))
        assert (await send(at.account.outgoing, "111", MSISDN, "b", 7)).result == "sent"
        assert [report["message"] for report in reports] == ["handler of Sms failed"]
        assert len(at.smsc.binds) == 1

    play(tmp_path, story, receipts=False)


def test_a_status_that_the_account_names_is_tried_again(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [0x45, 0x46]
        assert (await send(at.account.outgoing, "111", MSISDN, "Hello", 7)).result == "later"
        assert (await send(at.account.outgoing, "111", MSISDN, "Hello", 7)).result == "refused"

    play(tmp_path, story, retry=frozenset({0x45}))


def test_an_sms_is_addressed_and_encoded_as_the_account_says(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        for source, text in (("111", "Hello"), ("Info", "Привет")):
            await send(at.account.outgoing, source, MSISDN, text, 7)
        first, second = at.smsc.submitted
        assert (first.source_addr_ton, first.source_addr_npi, first.source_addr) == (6, 9, "111")
        assert (second.source_addr_ton, second.source_addr_npi, second.source_addr) == (5, 0, "Info")
        assert {(one.dest_addr_ton, one.dest_addr_npi) for one in (first, second)} == {(2, 8)}
        assert (first.data_coding, second.data_coding) == (0xF1, 0x18)

    play(tmp_path, story, source_ton=6, source_npi=9, dest_ton=2, dest_npi=8, sms_gsm=0xF1, sms_ucs2=0x18)


# Long SMS ------------------------------------------------------------------------------------------------------------


def test_a_long_sms_goes_in_parts_that_the_phone_joins(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        outcome = await send(at.account.outgoing, "111", MSISDN, "слово " * 40, 7)
        assert outcome.result == "sent"
        assert len(at.smsc.submitted) > 1
        assert [part.short_message[:6] for part in at.smsc.submitted] == [
            bytes((5, 0, 3, reference_of("7") & 0xFF, len(at.smsc.submitted), number))
            for number in range(1, len(at.smsc.submitted) + 1)
        ]

    play(tmp_path, story)


def test_a_text_of_more_parts_than_there_may_be_is_refused(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        outcome = await send(at.account.outgoing, "111", MSISDN, "a" * 153 * 256, 7)
        assert outcome.result == "refused"
        assert "255" in outcome.reason
        assert at.smsc.submitted == []

    play(tmp_path, story)


@pytest.mark.parametrize("style", STYLES)
def test_the_account_says_how_a_long_sms_goes(tmp_path: Path, style: Style) -> None:
    text = "слово " * 40

    async def story(at: Line) -> None:
        assert (await send(at.account.outgoing, "111", MSISDN, text, "abc")).result == "sent"
        sent = at.smsc.submitted
        assert "".join(decode(message.user_data, message.data_coding) for message in sent) == text
        expected = [part.into(Message(CommandId.SUBMIT_SM)) for part in split(text, reference_of("abc"), style=style)]
        assert [(message.esm_class, message.payload, message.tlvs) for message in sent] == [
            (message.esm_class, message.payload, message.tlvs) for message in expected
        ]

    play(tmp_path, story, long=style)


# Their turns ---------------------------------------------------------------------------------------------------------


def test_a_screen_is_not_kept_waiting_by_sms_that_the_smsc_is_slow_to_take(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        sending = [send(at.account.outgoing, "111", MSISDN, f"Hello {n}", n) for n in range(20)]
        await at.until(lambda: len(at.smsc.submitted) == 5)
        assert (await at.hear(dialled("*111*2163#"), 6)) == ["Activated."]
        assert not any(one.done() for one in sending)

    play(tmp_path, story, window=10)


def test_a_screen_is_not_kept_waiting_by_pushes_that_the_smsc_is_slow_to_take(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        pushing = [asyncio.ensure_future(at.account.push("111", MSISDN, f"Hello {n}", True)) for n in range(20)]
        await at.until(lambda: len(at.smsc.submitted) == 5)
        assert (await at.hear(dialled("*111*2163#"), 6))[-1] == "Activated."
        for waiting in pushing:
            waiting.cancel()

    play(tmp_path, story, window=10)


def test_what_was_given_up_before_its_turn_is_not_sent(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        gateway = Gateway([at.account], 64)
        sending = [send(gateway, "", "111", MSISDN, text, 7) for text in "abcdefgh"]
        await at.until(lambda: len(at.smsc.submitted) >= 1)
        gateway.give_up()
        assert (await send(gateway, "", "111", MSISDN, "z", 7)).result == "sent"
        outcomes = [(await one).result for one in sending]
        sent = outcomes.count("sent")  # one, or some more where the machine did not look at once
        assert texts(at) == [*"abcdefgh"[:sent], "z"]
        assert outcomes == ["sent"] * sent + ["later"] * (8 - sent)
        assert 0 < sent < 8

    play(tmp_path, story, rate=50)


def test_a_push_that_nobody_waits_for_any_more_is_not_sent(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        pushing = [asyncio.ensure_future(at.account.push("111", MSISDN, f"{n}", True)) for n in range(3)]
        await asyncio.sleep(0)
        pushing[1].cancel()
        assert [(await pushing[n]).result for n in (0, 2)] == ["accepted", "accepted"]
        assert len(at.smsc.submitted) == 2

    play(tmp_path, story, rate=50)


def test_the_rest_of_a_long_sms_that_was_given_up_is_not_sent(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        sending = send(at.account.outgoing, "111", MSISDN, "слово " * 110, 7)
        await at.until(lambda: len(at.smsc.submitted) >= 1)
        at.account.outgoing.clear()
        assert (await send(at.account.outgoing, "111", MSISDN, "z", 8)).result == "sent"
        assert (await sending).result == "later"
        assert texts(at)[-1] == "z"
        assert len(at.smsc.submitted) < 6, "of ten parts"
        assert at.account.outgoing.sending == 0

    play(tmp_path, story, rate=10)


def test_what_waits_when_the_last_link_goes_is_told_at_once(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        sending = [send(at.account.outgoing, "111", MSISDN, text, 7) for text in "abc"]
        await at.until(lambda: len(at.smsc.submitted) == 1)
        assert at.bench.metrics.sms_waiting[at.account.name]() == 3
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        outcomes = [await one for one in sending]
        assert [outcome.result for outcome in outcomes] == ["later"] * 3
        assert [outcome.reason for outcome in outcomes] == ["the link was lost", *["no bound link takes it"] * 2]
        assert at.bench.metrics.sms_waiting[at.account.name]() == 0

    play(tmp_path, story, window=2)


def test_without_a_link_an_sms_waits(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.account.stop(drain_ms=0)
        outcome = await send(at.account.outgoing, "111", MSISDN, "Hello", 7)
        assert outcome.result == "later"

    play(tmp_path, story)


# Pushes --------------------------------------------------------------------------------------------------------------


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


def test_a_push_whose_fields_do_not_fit_is_refused_here_and_holds_up_no_other(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        assert (await at.account.push("1\0", MSISDN, "Hello", True)).result == "refused"
        assert (await at.account.push("111", MSISDN, "Hello", True)).result == "accepted"
        assert len(at.smsc.submitted) == 1

    play(tmp_path, story)


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
