"""What the gateway refuses ends, and what it may not have taken is sent again unless it is answered."""

from pathlib import Path

import pytest

from tests.ussd_server.outbox.pushes.calling import TEN_MIN, confirm, ended, pass_time, queue, shown
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.ussd import PushOutcome
from ussd_server.turns.quiet import MINUTE_MS


def test_a_push_that_the_gateway_refuses_for_good(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome("refused", "ESME_RINVDSTADR")
        await queue(at, screen="offers")
        await ended(at, "ask", "refused")
        (note,) = await at.store.journal(MSISDN, "push ended")
        assert note.data["reason"] == "ESME_RINVDSTADR"
        record, _ = await at.store.load(MSISDN)
        assert (record.sessions, record.exchanges) == ({}, {})

    play(tmp_path, story)


def test_a_dialogue_that_was_cut_off_can_be_resumed_after_a_notification_and_a_refused_question(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        tariffs = await at.reply("1")
        await at.take(at.input("drop", "abort"))
        await queue(at, screen="money")
        await shown(at)
        await confirm(at)
        at.network.push_outcome = PushOutcome("refused", "ESME_RINVDSTADR")
        await queue(at, screen="offers", id="p2")
        await at.until(lambda: at.metrics.pushes["ask", "refused"] == 1)
        assert await at.dial("*111#") == tariffs

    play(tmp_path, story)


@pytest.mark.parametrize("result", ["later", "unknown"])
def test_a_push_that_the_gateway_does_not_take_now_is_sent_again(tmp_path: Path, result: str) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome(result, "why")  # type: ignore[arg-type]
        await queue(at, screen="offers")
        await shown(at)
        record, _ = await at.store.load(MSISDN)
        assert (record.push is None) == (result == "later")
        at.network.push_outcome = PushOutcome("accepted")
        await pass_time(at, MINUTE_MS)
        await shown(at, 2)
        at.dialogue = 200
        await at.reply("1")
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_a_push_whose_response_was_lost_may_be_answered_all_the_same(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome("unknown", "the link was lost")
        await queue(at, screen="offers")
        await shown(at)
        at.dialogue = 200
        await at.reply("1")
        await ended(at, "ask", "answered")
        await pass_time(at, TEN_MIN)
        assert len(at.network.pushed) == 1

    play(tmp_path, story)


def test_who_dials_before_a_push_was_taken_is_called_on_later(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome("unknown", "the link was lost")
        await queue(at, screen="offers")
        await shown(at)
        at.network.push_outcome = PushOutcome("accepted")
        assert (await at.dial("*100#")).text == "Balance 500 RUB"
        assert at.metrics.pushes == {}
        await pass_time(at, MINUTE_MS)
        await shown(at, 2)
        await at.reply("1", dialogue="a/200")
        await ended(at, "ask", "answered")

    play(tmp_path, story)
