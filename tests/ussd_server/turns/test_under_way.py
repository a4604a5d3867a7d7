"""A turn is durable before it is answered, and handled once however often it comes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.base import Answer
from ussd_server.stores.base import Change, JournalEntry, Unsure
from ussd_server.turns.turn import MAX_LATE


def test_a_dialogue_goes_from_screen_to_screen(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert (await at.dial("*111#")).text.startswith("Menu\n1. Tariffs")  # type: ignore[union-attr]
        answer = await at.reply("1")
        assert not answer.ends
        assert "Супер" not in (answer.text or "")
        assert "1. Super Zero" in (answer.text or "")

    play(tmp_path, story)


def test_an_answer_waits_for_the_commit(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        commit, written = at.store.commit, asyncio.Event()

        async def held(change: Change) -> bool:
            await written.wait()
            return await commit(change)

        at.store.commit = held  # type: ignore[method-assign]
        answers: list[Answer] = []
        at.conversations.take(at.input("dial", "*111*2163#"), answers.append)
        for _ in range(20):
            await asyncio.sleep(0)
        assert answers == []
        written.set()
        await at.until(lambda: bool(answers))
        assert answers == [Answer("Activated.", ends=True)]
        assert await at.journal() == ["activated"]

    play(tmp_path, story)


def test_a_redelivered_input_gets_its_answer_again_and_changes_nothing(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        first = await at.reply("1", sequence=900)
        _, version = await at.store.load(MSISDN)
        assert await at.reply("1", sequence=900) == first
        assert await at.reply("1", link="the next link", sequence=1) == first
        assert (await at.store.load(MSISDN))[1] == version

    play(tmp_path, story)


def test_what_another_server_did_since_is_looked_at_before_an_input_is_taken_for_a_repetition(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1", sequence=900)
        load, remembered = at.store.load, await at.store.load(MSISDN)
        await at.reply("0", sequence=901)  # by the other server

        async def load_or_remember(msisdn: str, latest: bool = False) -> Any:
            return await load(msisdn) if latest else remembered

        at.store.load = load_or_remember  # type: ignore[method-assign]
        _, version = await load(MSISDN)
        assert (await at.reply("1", link="the next link")).text.startswith("Tariffs")  # type: ignore[union-attr]
        assert (await load(MSISDN))[1] > version

    play(tmp_path, story)


def test_a_redelivered_confirmation_orders_once(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1")
        await at.reply("1")
        first = await at.reply("1", sequence=901)
        assert first == Answer("Accepted.", ends=True)
        assert await at.reply("1", link="the next link") == first
        await at.sms_until(1)
        await at.until(lambda: at.metrics.outbox["sms", "done"] == 1)
        assert await at.journal() == ["consent", "order placed", "order ended"]

    play(tmp_path, story)


def test_an_answer_to_a_dialogue_that_is_over_leaves_the_newer_one_alone(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        stale = at.dialogue
        await at.dial("*111#")
        answer = await at.reply("1", dialogue=f"a/{stale}")
        assert answer.ends
        assert (await at.reply("1")).text.startswith("Tariffs")  # type: ignore[union-attr]

    play(tmp_path, story)


def test_an_answer_without_any_dialogue_is_told_so(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answer = await at.reply("1")
        assert answer.text
        assert answer.ends

    play(tmp_path, story)


def test_a_code_in_an_operation_that_goes_on_begins_where_nothing_waits(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert (await at.reply("*111#")).text.startswith("Menu")  # type: ignore[union-attr]

    play(tmp_path, story)


def test_a_dropped_dialogue_resumes_as_its_flow_says(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        tariffs = await at.reply("1")
        assert await at.take(at.input("drop", "abort")) == Answer(None)
        assert (await at.dial("*111#")).text == tariffs.text

    play(tmp_path, story)


def test_a_dialogue_whose_end_nobody_reported_resumes_as_well(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        tariffs = await at.reply("1")
        assert (await at.dial("*111#")).text == tariffs.text

    play(tmp_path, story)


def test_an_unknown_code_is_told_so(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answer = await at.dial("*999#")
        assert answer.text
        assert answer.ends
        assert at.metrics.turns == {("ussd", "unknown"): 1}

    play(tmp_path, story)


def test_a_commit_that_loses_the_race_is_made_again_from_the_newer_record(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        commit = at.store.commit

        async def beaten(change: Change) -> bool:
            at.store.commit = commit  # type: ignore[method-assign]
            record, version = await at.store.load(MSISDN)
            assert await commit(Change(version, replace(record, language="ru")))
            return await commit(change)

        at.store.commit = beaten  # type: ignore[method-assign]
        assert (await at.dial("*111*2163#")).text == "Подключено."
        record, _ = await at.store.load(MSISDN)
        assert (record.language, record.active) == ("ru", True)
        assert await at.journal() == ["activated"]

    play(tmp_path, story)


def test_an_answer_that_leaves_no_session_is_kept_for_who_missed_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        dialled = at.input("dial", "*100#")
        assert await at.take(dialled) == Answer("Balance 500 RUB")
        at.operator.outage = "refuses"
        assert await at.take(dialled) == Answer("Balance 500 RUB")
        assert (await at.dial("*100#")).text == "Not now."

    play(tmp_path, story)


@pytest.mark.parametrize("written", [True, False])
def test_what_may_have_been_kept_is_looked_for_and_answered_where_it_was(tmp_path: Path, written: bool) -> None:
    """The store wrote it, its answer was lost, and another server went on: sent again it was refused."""

    async def story(at: Bench) -> None:
        await at.dial("*111*2163#")
        commit = at.store.commit

        async def unsure(change: Change) -> bool:
            at.store.commit = commit  # type: ignore[method-assign]
            if written:
                assert await commit(change)
            record, version = await at.store.load(MSISDN)
            assert await commit(Change(version, replace(record, language="en"), [JournalEntry(at.now, "elsewhere")]))
            raise Unsure("the connection broke")

        at.store.commit = unsure  # type: ignore[method-assign]
        answer = await at.dial("*111#")
        assert answer.durable is written
        assert (answer.text or "").startswith("Menu") is written
        assert at.metrics.turns["ussd", "answered"] == (2 if written else 1)
        assert at.metrics.turns["ussd", "repeated"] == 0
        assert await at.journal() == ["activated", "elsewhere"]
        again = await at.take(at.input("dial", "*111#"))  # the SMSC has it delivered anew
        assert (again.text or "").startswith("Menu")

    play(tmp_path, story)


def test_a_slow_operator_ends_the_dialogue_with_a_promise_and_the_sms_comes(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.hold()
        answer = await at.dial("*100#")
        assert answer.ends
        assert "SMS" in (answer.text or "")
        at.operator.release()
        assert await at.sms_until(1) == ["Balance 500 RUB"]

    play(tmp_path, story, deadline_ms=1)


def test_a_quote_that_came_late_is_confirmed_by_sms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1")
        at.operator.hold()
        await at.reply("2")
        at.operator.release()
        assert (await at.sms_until(1))[0].startswith("RED Energy for free?")
        await at.text("111", "1")
        assert sorted((await at.sms_until(3))[1:]) == ["Accepted.", "Done. Balance 500 RUB"]

    play(tmp_path, story, deadline_ms=1)


def test_what_is_done_meanwhile_does_not_cost_the_promised_sms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.hold()
        await at.dial("*100#")
        await at.text("2163", "111")
        await at.text("111", "balance")
        assert await at.sms_until(1) == ["Activated."]
        at.operator.release()
        assert sorted(await at.sms_until(3)) == ["Activated.", "Balance 500 RUB", "Balance 500 RUB"]
        assert (await at.store.load(MSISDN))[0].sessions == {}

    play(tmp_path, story, deadline_ms=1)


def test_dialling_on_while_the_operator_is_away_keeps_the_record_small(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.hold()
        for _ in range(10):
            await at.dial("*100#")
        assert len((await at.store.load(MSISDN))[0].sessions) == MAX_LATE
        at.operator.release()
        assert await at.sms_until(MAX_LATE) == ["Balance 500 RUB"] * MAX_LATE

    play(tmp_path, story, deadline_ms=1)


def test_an_operator_that_stays_away_ends_in_a_plain_no_by_sms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.hold()
        await at.dial("*100#")
        at.operator.outage = "loses_answers"
        at.operator.release()
        while not at.network.sms:
            at.now += 60_000
            at.outbox.wake()
            await asyncio.sleep(0.001)
            await at.outbox_rests()  # a lease that ended meanwhile would have it done twice
        assert await at.sms_until(1) == ["Not now."]

    day_ms = 86_400_000  # a lease longer than this clock, which runs faster than anything is done, needs for it all
    play(tmp_path, story, deadline_ms=1, lease_ms=day_ms)
