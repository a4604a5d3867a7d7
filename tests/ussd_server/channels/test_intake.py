"""Inputs are handed in a few at a time in a flood, all of them before a stop, and none when the links are gone."""

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from smpp import ussd
from smpp.alphabets import choose
from tests.ussd_server.channels.line import Line, dialled
from tests.ussd_server.channels.line import play as playing
from tests.ussd_server.turns.bench import MSISDN, POOR, Bench, play
from ussd_server.channels.base import Answer, Answering, Input
from ussd_server.channels.intake import TOGETHER, Intake
from ussd_server.turns.admission import Backlog, Kind

FLOOD = 3 * TOGETHER


def read_at_once(at: Bench, answers: list[Answer]) -> Intake:
    intake = Intake("a", at.conversations, Backlog())
    for number in range(FLOOD):
        intake.read.append((at.input("dial", "*111#", msisdn=str(79_100_100_000 + number)), answers.append))
    intake.hand_in()
    return intake


def test_who_waits_until_all_is_handed_in_is_told_after_the_last(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []
        intake = read_at_once(at, answers)
        assert at.conversations.under_way == TOGETHER
        await intake.handed_in()
        await at.conversations.finished()
        assert len(answers) == FLOOD
        await intake.handed_in()

    play(tmp_path, story)


def test_what_waits_when_it_closes_is_not_handed_in(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []
        intake = read_at_once(at, answers)
        waits = asyncio.ensure_future(intake.handed_in())
        intake.close()
        await waits
        await at.conversations.finished()
        assert len(answers) == TOGETHER

    play(tmp_path, story)


# By the links of an account ------------------------------------------------------------------------------------------


def test_an_input_that_breaks_something_takes_none_with_it_that_was_read_with_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        take, broken = at.bench.conversations.take, Exception("broken")

        def breaks_once(input: Input, answer: Answering) -> None:
            if input.msisdn == POOR:
                raise broken
            take(input, answer)

        at.bench.conversations.take = breaks_once  # type: ignore[method-assign]
        with capture_logs() as logs:
            at.smsc.deliver(ussd.dial(POOR, "111", choose("*111#"), session=1))
            await at.hear(dialled(session=2), 1)
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["input not taken"]

    playing(tmp_path, story)


def test_of_a_flood_some_are_handed_in_at_a_time_in_their_order(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        take, loop = at.bench.conversations.take, asyncio.get_running_loop()
        turns: list[list[str]] = [[]]

        def noted(input: Input, answer: Answering) -> None:
            if not turns[-1]:
                loop.call_soon(turns.append, [])
                loop.call_soon(at.account.intake.hand_in)  # more is read while others wait to be handed in
            turns[-1].append(input.msisdn)
            take(input, answer)

        at.bench.conversations.take = noted  # type: ignore[method-assign]
        callers = [f"7916{number:07}" for number in range(3 * TOGETHER)]
        for session, caller in enumerate(callers):
            at.smsc.deliver(ussd.dial(caller, "111", choose("*111#"), session=session))
        await at.hear(dialled(session=len(callers)), len(callers))
        assert [caller for turn in turns for caller in turn if caller != MSISDN] == callers
        assert max(len(turn) for turn in turns) == TOGETHER

    playing(tmp_path, story, smsc_window=5 * TOGETHER)


def test_of_a_flood_what_is_too_much_is_refused_before_what_came_earlier_is_handled(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await at.hear(dialled(session=1), 1)
        limit = at.bench.admission.limit = 2 * TOGETHER
        order: list[tuple[str, str]] = []
        turned_away, take = at.bench.conversations.turned_away, at.bench.conversations.take

        def judged(input: Input, answer: Answering, before: int) -> bool:
            refused = turned_away(input, answer, before)
            order.append(("refused" if refused else "waits", input.msisdn))
            return refused

        def taken(input: Input, answer: Answering) -> None:
            order.append(("taken", input.msisdn))
            take(input, answer)

        at.bench.conversations.turned_away = judged  # type: ignore[method-assign]
        at.bench.conversations.take = taken  # type: ignore[method-assign]
        connection = next(iter(at.account.binds.links))
        connection.on_read = lambda: None  # all of it comes with one read
        callers = [f"7916{number:07}" for number in range(3 * TOGETHER)]
        for session, caller in enumerate(callers):
            at.smsc.deliver(ussd.dial(caller, "111", choose("*111#"), session=session))
        at.smsc.deliver(ussd.answer(MSISDN, "111", choose("1"), session=1, sequence=1))
        await at.until(lambda: len(at.account.intake.read) > len(callers))
        connection.on_read = at.account.intake.hand_in
        at.account.intake.hand_in()
        await at.until(lambda: len(at.smsc.submitted) == len(callers) + 2)
        judgements = [*(("waits", each) for each in callers[:limit]), *(("refused", each) for each in callers[limit:])]
        assert order[: len(callers) + 1] == [*judgements, ("waits", MSISDN)]
        assert [whose for what, whose in order if what == "taken"] == [*callers[:limit], MSISDN]
        assert at.bench.admission.shed == {Kind.DIALOGUE: TOGETHER}

    playing(tmp_path, story, smsc_window=4 * TOGETHER)
