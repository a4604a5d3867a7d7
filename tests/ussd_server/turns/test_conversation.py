"""A turn is durable before it is answered, handled once however often it comes, and polite where it cannot be."""

import asyncio
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from menus.compiler import compile_flow
from smpp.reassembly import Mark, Part
from tests.ussd_server.turns.bench import MSISDN, SMALL, Bench, play
from ussd_server.channels.base import Answer
from ussd_server.outage import AGAIN_MS
from ussd_server.stores.base import Change, JournalEntry, StoreUnavailable, Told, Unsure, tell_soon
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns.admission import MAX_WAITING, Kind
from ussd_server.turns.service import REGISTRY
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


def test_inputs_of_one_subscriber_are_handled_one_after_the_other(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[str | None] = []
        for kind, text in (("dial", "*111#"), ("reply", "7"), ("reply", "1")):
            at.conversations.take(at.input(kind, text), lambda answer: answers.append(answer.text))
        await at.until(lambda: len(answers) == 3)
        assert answers[0].startswith("Menu")  # type: ignore[union-attr]
        assert "Menu" in answers[1]  # type: ignore[operator]
        assert answers[1] != answers[0]
        assert answers[2].startswith("Tariffs")  # type: ignore[union-attr]

    play(tmp_path, story)


def test_a_loop_of_inputs_is_cut_with_a_polite_text(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []
        for _ in range(30):
            at.conversations.take(at.input("dial", "*111#"), answers.append)
        await at.until(lambda: len(answers) == 30)
        refused = [answer for answer in answers if not answer.durable]
        assert refused
        assert all(answer.text and answer.ends for answer in refused)

    play(tmp_path, story)


def test_more_turns_than_allowed_are_refused_and_change_nothing(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []
        at.conversations.take(at.input("dial", "*111#"), answers.append)
        refused = await at.take(at.input("dial", "*111*2163#", msisdn="79100000009"))
        assert (refused.durable, refused.ends) == (False, True)
        await at.until(lambda: bool(answers))
        record, version = await at.store.load("79100000009")
        assert (record.active, version) == (False, 0)

    play(tmp_path, story, turns=1)


def test_beyond_the_limit_what_is_new_gets_a_polite_text_and_dialogues_go_on(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        at.admission.limit = 0
        refused = [
            await at.take(at.input("dial", "*111#", msisdn="79100000009")),
            await at.take(at.input("reply", "*111#", msisdn="79100000009")),  # as some gateways begin
            await at.text("2163", "111", msisdn="79100000009"),
        ]
        assert all(answer.text and answer.ends and answer.busy and not answer.durable for answer in refused)
        assert await at.store.load("79100000009") == (Subscriber("79100000009"), 0)
        assert (await at.reply("1")).text.startswith("Tariffs")  # type: ignore[union-attr]
        assert (await at.take(at.input("drop", "abort"))).durable
        assert at.admission.shed == {Kind.DIALOGUE: 2, Kind.SMS: 1}

    play(tmp_path, story)


def test_who_would_wait_too_long_in_line_is_turned_away_and_dialogues_are_not(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []
        at.admission.limit = 10
        dial, reply = at.input("dial", "*111#"), at.input("reply", "1")
        assert not at.conversations.turned_away(dial, answers.append, 9)
        assert not at.conversations.turned_away(reply, answers.append, 99)
        assert answers == []
        assert at.conversations.turned_away(dial, answers.append, 10)
        assert at.conversations.turned_away(reply, answers.append, 100)  # as many turns as there is memory for
        assert [answer.busy for answer in answers] == [True, True]
        assert at.admission.shed == {Kind.DIALOGUE: 1, Kind.UNDER_WAY: 1}

    play(tmp_path, story, turns=100)


def test_a_slow_operator_leaves_room_for_dialogues_under_way(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        at.operator.hold()
        answers: list[Answer] = []
        for number in range(6):
            at.conversations.take(at.input("dial", "*100#", msisdn=f"7910000001{number}"), answers.append)
        assert (await at.take(at.input("dial", "*111#", msisdn="79100000019"))).busy
        assert (await at.reply("7")).durable
        at.operator.release()
        await at.until(lambda: len(answers) == 6)
        assert all(answer.durable for answer in answers)
        assert (await at.take(at.input("dial", "*111#", msisdn="79100000019"))).durable

    play(tmp_path, story, turns=8)


def test_what_was_refused_is_served_when_it_comes_again(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        limit, at.admission.limit = at.admission.limit, 0
        again = at.input("dial", "*111*2163#", sequence=7)
        assert (await at.take(again)).busy
        at.admission.limit = limit
        assert await at.take(again) == Answer("Activated.", ends=True)

    play(tmp_path, story)


def test_the_polite_text_is_that_of_the_flow_in_force(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.admission.limit = 0
        first = (await at.dial("*111#")).text
        source = SMALL.read_text(encoding="utf-8") + "texts:\n  overload: {ru: Позже., en: Later.}\n"
        at.conversations.flow = compile_flow(source.encode(), "small.yaml", REGISTRY)
        assert (await at.dial("*111#")).text != first

    play(tmp_path, story)


def test_who_is_refused_is_answered_also_where_the_flow_cannot_say_so(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.admission.limit = 0
        whole = at.conversations.flow
        at.conversations.flow = dataclasses.replace(whole, phrases={})
        with capture_logs() as logs:
            assert [await at.dial("*111#") for _ in range(2)] == [Answer(None, durable=False, busy=True)] * 2
        assert [line["event"] for line in logs] == ["refused without a word"]  # not for each: there are many of them
        at.conversations.flow = whole
        assert (await at.dial("*111#")).text

    play(tmp_path, story)


def test_the_end_of_a_dialogue_is_not_answered_where_there_is_no_room_to_note_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.hold()
        answers: list[Answer] = []
        for _ in range(1 + MAX_WAITING):
            at.conversations.take(at.input("dial", "*100#"), answers.append)
        assert await at.take(at.input("drop", "abort")) == Answer(None, durable=False, busy=True)
        at.operator.release()
        await at.until(lambda: len(answers) == 1 + MAX_WAITING)

    play(tmp_path, story)


def test_turns_that_wait_for_their_commit_are_counted(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []
        at.conversations.take(at.input("dial", "*111#"), answers.append)
        assert at.admission.waiting == 1
        await at.until(lambda: bool(answers))
        assert at.admission.waiting == 0

        async def away(change: Change) -> bool:
            raise StoreUnavailable("away")

        at.store.commit = away  # type: ignore[method-assign]
        await at.dial("*111#")
        assert at.admission.waiting == 0

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


def test_an_answer_that_cannot_be_given_does_not_hold_up_the_next_input(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []

        def broken(answer: Answer) -> None:
            raise ValueError("a defect")

        at.conversations.take(at.input("dial", "*111#"), broken)
        at.conversations.take(at.input("dial", "*100#"), answers.append)
        await at.until(lambda: bool(answers))
        assert answers[0].text == "Balance 500 RUB"
        assert at.conversations.under_way == 0

    play(tmp_path, story)


def test_an_unknown_code_is_told_so(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answer = await at.dial("*999#")
        assert answer.text
        assert answer.ends

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


@pytest.mark.parametrize("failure", [StoreUnavailable("disk full"), ValueError("a defect")])
def test_what_cannot_be_kept_is_refused_politely_and_works_again_later(tmp_path: Path, failure: Exception) -> None:
    async def story(at: Bench) -> None:
        commit = at.store.commit

        async def failing(change: Change) -> bool:
            at.store.commit = commit  # type: ignore[method-assign]
            raise failure

        at.store.commit = failing  # type: ignore[method-assign]
        refused = await at.dial("*111*2163#")
        assert (refused.durable, refused.ends) == (False, True)
        assert refused.text
        assert not (await at.store.load(MSISDN))[0].active
        assert (await at.dial("*111*2163#")).text == "Activated."

    play(tmp_path, story)


@pytest.mark.parametrize("written", [True, False])
def test_of_what_broke_in_its_commit_is_not_said_that_it_changed_nothing(tmp_path: Path, written: bool) -> None:
    async def story(at: Bench) -> None:
        def breaking(commit: Callable[[Change, Told], None], change: Change, told: Told) -> None:
            if written:
                commit(change, lambda _: told(ValueError("a defect")))
            else:
                tell_soon(told, ValueError("a defect"))

        at.store.commit_then = partial(breaking, at.store.commit_then)  # type: ignore[method-assign]
        at.outbox.commit_then = partial(breaking, at.outbox.commit_then)  # type: ignore[method-assign]
        with capture_logs() as logs:
            await at.dial("*111#")
            await at.text("2163", "111")
            await at.text("2163", "", part=Part(MSISDN, "2163", Mark("udh8", 1, 2, 1), b"111", "gsm"))
        assert [line["event"] for line in logs] == ["turn failed, perhaps committed"] * 3
        assert {str(line["exc_info"].__cause__) for line in logs} == {"a defect"}
        assert (at.metrics.turns["ussd", "failed"], at.metrics.turns["sms", "failed"]) == (1, 2)

    play(tmp_path, story)


def test_of_what_may_have_been_kept_is_not_said_that_it_was_not_where_looking_for_it_breaks(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        async def unsure(change: Change) -> bool:
            at.store.load = breaking  # type: ignore[method-assign]
            raise Unsure("the connection broke")

        async def breaking(msisdn: str, latest: bool = False) -> Any:
            raise ValueError("a defect")

        at.store.commit = unsure  # type: ignore[method-assign]
        with capture_logs() as logs:
            assert not (await at.dial("*111#")).durable
        assert [line["event"] for line in logs] == ["turn failed, perhaps committed"]

    play(tmp_path, story)


def test_an_outage_of_the_store_is_said_once_however_long_its_inputs_had_waited(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        async def away(change: Change) -> bool:
            raise StoreUnavailable("away")

        at.store.commit = away  # type: ignore[method-assign]
        with capture_logs() as logs:
            for waited in (0, 2 * AGAIN_MS, 0, 2 * AGAIN_MS):
                await at.dial("*111#", at=at.now - waited)
        assert [line["event"] for line in logs] == ["store unavailable, input refused"]

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


# SMS ------------------------------------------------------------------------------------------------------------------


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


# Slow operators -------------------------------------------------------------------------------------------------------


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
