"""An account brings what its links deliver to the conversations, and what the server says back to its SMSC."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from smpp import ussd
from smpp.alphabets import choose
from smpp.constants import Status
from smpp.inputs import Texted
from smpp.pdu import Message
from smpp.transport import Connection
from tests.ussd_server.channels.line import Line, dialled, play, receipt, send, sms
from tests.ussd_server.turns.bench import MSISDN, POOR
from ussd_server.channels.sms_inputs import SmsInputs
from ussd_server.channels.ussd import PushOutcome


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


def test_a_message_that_breaks_something_takes_none_with_it_that_was_read_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, broken = SmsInputs.put, Exception("broken")

    def breaks_once(
        inputs: SmsInputs, connection: Connection, received: Message | Texted, msisdn: str, *written: Any
    ) -> None:
        if msisdn == POOR:
            raise broken
        put(inputs, connection, received, msisdn, *written)

    monkeypatch.setattr(SmsInputs, "put", breaks_once)

    async def story(at: Line) -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        at.smsc.deliver(sms("balance", source=POOR), "broken")
        await at.hear(sms("balance"), 0)
        assert reported == [broken]
        assert at.smsc.responses == {"input": Status.ROK}

    play(tmp_path, story)


def test_what_the_smsc_does_not_answer_in_time_is_lost_and_whoever_waits_is_told(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        push = asyncio.ensure_future(at.account.push("111", MSISDN, "Hello", True))
        outcome = await send(at.account.outgoing, "111", MSISDN, "Hello", 7)
        assert (outcome.result, outcome.reason) == ("later", "the SMSC did not answer in time")
        assert await push == PushOutcome("unknown", "the SMSC did not answer in time")
        with capture_logs() as logged:
            await at.hear(dialled(), 3)
            await at.until(lambda: at.bench.metrics.pdu_errors["out", "ussd answer lost"] == 1)
        assert "the SMSC did not answer in time" in [line.get("cause") for line in logged]

    play(tmp_path, story, response_s=0.05)
