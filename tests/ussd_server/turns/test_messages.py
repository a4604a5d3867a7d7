"""An SMS is answered by SMS, and a machine not for ever."""

from pathlib import Path

from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.base import Answer


def test_an_sms_is_answered_by_sms_from_the_number_it_was_sent_to(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert await at.text("2163", "111") == Answer(None)
        await at.sms_until(1)
        assert at.network.sms == [("2163", MSISDN, "Activated.")]

    play(tmp_path, story)


def test_a_question_by_sms_is_answered_by_sms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.text("111", "212")
        assert (await at.sms_until(1))[0].startswith("RED Energy for free?")
        await at.text("111", "1")
        assert sorted((await at.sms_until(3))[1:]) == ["Accepted.", "Done. Balance 500 RUB"]

    play(tmp_path, story)


def test_a_machine_is_answered_three_times_and_then_no_more(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for number in range(10):
            await at.text("111", f"Your balance is low ({number})")
        await at.sms_until(3)
        await at.until(lambda: at.metrics.outbox["sms", "done"] == 3)
        assert len(at.network.sms) == 3

    play(tmp_path, story)


def test_what_is_asked_for_too_often_is_done_but_not_answered(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for _ in range(20):
            await at.text("111", "balance")
        await at.until(lambda: at.metrics.outbox["sms", "done"] == 20)
        await at.text("2163", "111")
        assert (await at.store.load(MSISDN))[0].active
        assert at.metrics.suppressed["patience"] == 1
        assert await at.sms_until(20) == ["Balance 500 RUB"] * 20

    play(tmp_path, story)


def test_sms_that_come_again_after_a_reconnect_act_once_in_whatever_order(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for link in ("one", "two"):
            await at.text("2163", "111", link=link)
            await at.text("6262", "", link=link)
        texts = await at.sms_until(3)
        await at.until(lambda: at.metrics.outbox["sms", "done"] == len(texts))
        assert sorted(await at.journal()) == ["activated", "code issued", "code ordered"]

    play(tmp_path, story)
