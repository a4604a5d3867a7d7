"""A question is answered once as if the subscriber had dialled, or left, and either is counted once."""

from pathlib import Path

import pytest

from tests.ussd_server.outbox.pushes.calling import TIMER_MS, confirm, ended, pass_time, queue, shown
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.stores.base import Change, Unsure
from ussd_server.turns.pushes import READING_MS
from ussd_server.turns.quiet import MINUTE_MS


def test_the_answer_to_a_question_goes_on_as_if_the_subscriber_had_dialled(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers", kind="ask")
        await shown(at)
        ((_, text, ends),) = at.network.pushed
        assert (text.splitlines()[:2], ends) == (["Menu", "1. Tariffs"], False)
        at.dialogue = 200  # the gateway's number for it, which its first message brings
        assert "Quiet" not in (await at.reply("4")).text  # type: ignore[operator]
        await ended(at, "ask", "answered")
        assert at.metrics.turns["ussd", "answered"] == 1

    play(tmp_path, story)


def test_an_answered_question_is_walked_on_to_an_order(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        at.dialogue = 200
        await at.reply("1")
        await at.reply("2")
        assert (await at.reply("1")).text == "Accepted."
        assert await at.sms_until(1) == ["Done. Balance 500 RUB"]
        assert "order ended" in await at.journal()

    play(tmp_path, story)


def test_an_answer_that_comes_twice_is_taken_once(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        again = at.input("reply", "1", dialogue="a/200", sequence=5)
        first = await at.take(again)
        assert await at.take(again) == first
        assert at.metrics.turns["ussd", "repeated"] == 1
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_an_answer_is_counted_where_its_commit_was_found_only_afterwards(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        commit = at.store.commit

        async def unsure(change: Change) -> bool:
            at.store.commit = commit  # type: ignore[method-assign]
            assert await commit(change)
            raise Unsure("the connection broke")

        at.store.commit = unsure  # type: ignore[method-assign]
        assert (await at.reply("1", dialogue="a/200")).durable
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_a_repetition_of_what_was_said_before_the_question_is_no_answer_to_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        last = at.input("reply", "4", sequence=500)
        balance = await at.take(last)
        at.now += READING_MS
        await queue(at, screen="offers")
        await shown(at)
        assert await at.take(last) == balance
        assert at.metrics.pushes == {}
        await at.take(at.input("reply", "1", dialogue="a/200"))
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_a_question_that_nobody_answers_is_left_at_the_timer_and_what_comes_later_is_late(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await pass_time(at, TIMER_MS)
        await ended(at, "ask", "unanswered")
        at.dialogue = 200
        said = await at.reply("1", sequence=9)
        assert said.text == "This session is over. Please start again."
        assert at.metrics.pushes["ask", "late"] == 1
        assert await at.reply("1", sequence=9, dialogue="a/200") == said
        assert await at.journal() == ["single push queued", "push ended", "push answered late"]
        assert at.metrics.pushes["ask", "late"] == 1
        assert "Tariffs" in (await at.dial("*111#")).text  # type: ignore[operator]

    play(tmp_path, story)


def test_a_question_that_is_cancelled(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await at.take(at.input("drop", "abort", dialogue="a/200"))
        await ended(at, "ask", "aborted")

    play(tmp_path, story)


def test_a_gateway_that_closes_a_question_with_a_confirmation(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await confirm(at, dialogue="a/200")
        await ended(at, "ask", "aborted")

    play(tmp_path, story)


def test_who_dials_instead_of_answering_has_left_the_question(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        assert (await at.dial("*100#")).text == "Balance 500 RUB"
        await ended(at, "ask", "left")

    play(tmp_path, story)


@pytest.mark.parametrize("days", [0, 3])
def test_who_dials_after_the_entry_of_a_question_was_given_up_as_damaged_is_served(tmp_path: Path, days: int) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await at.lose("p1", "push")
        assert (await at.store.load(MSISDN))[0].push is not None
        at.now += days * 24 * 60 * MINUTE_MS
        assert (await at.dial("*100#")).text == "Balance 500 RUB"
        assert at.metrics.turns["ussd", "conflict"] == 0
        await ended(at, "ask", "left")

    play(tmp_path, story)


@pytest.mark.parametrize(("screen", "kind"), [("offers", "ask"), ("money", "notify")])
def test_who_is_heard_of_after_the_entry_of_a_push_was_given_up_ends_it_all_the_same(
    tmp_path: Path, screen: str, kind: str
) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen=screen)
        await shown(at)
        await at.lose("p1", "push")
        await at.take(at.input("drop", "abort", dialogue="a/200"))
        await ended(at, kind, "aborted")
        await queue(at, "Hello.", id="p2")
        await shown(at, 2)

    play(tmp_path, story)
