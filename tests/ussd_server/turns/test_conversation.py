"""Inputs of one subscriber are handled in their order, and what there is no room for is refused politely."""

import dataclasses
from pathlib import Path

from structlog.testing import capture_logs

from menus.compiler import compile_flow
from tests.ussd_server.turns.bench import SMALL, Bench, play
from ussd_server.channels.base import Answer
from ussd_server.stores.base import Change, StoreUnavailable
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns.admission import MAX_WAITING, Kind
from ussd_server.turns.service import REGISTRY


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
        at.resources.flow = compile_flow(source.encode(), "small.yaml", REGISTRY)
        assert (await at.dial("*111#")).text != first

    play(tmp_path, story)


def test_who_is_refused_is_answered_also_where_the_flow_cannot_say_so(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.admission.limit = 0
        whole = at.resources.flow
        at.resources.flow = dataclasses.replace(whole, phrases={})
        with capture_logs() as logs:
            assert [await at.dial("*111#") for _ in range(2)] == [Answer(None, durable=False, busy=True)] * 2
        assert [line["event"] for line in logs] == ["refused without a word"]  # not for each: there are many of them
        at.resources.flow = whole
        assert (await at.dial("*111#")).text

    play(tmp_path, story)


def test_the_end_of_a_dialogue_is_not_answered_where_there_is_no_room_to_note_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.hold()
        answers: list[Answer] = []
        for _ in range(1 + MAX_WAITING):
            at.conversations.take(at.input("dial", "*100#"), answers.append)
        assert at.admission.crowded == 0
        assert await at.take(at.input("drop", "abort")) == Answer(None, durable=False, busy=True)
        assert (at.admission.crowded, at.admission.shed.total()) == (1, 0)
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
