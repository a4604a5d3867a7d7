"""Inputs are handed in a few at a time in a flood, all of them before a stop, and none when the links are gone."""

import asyncio
from pathlib import Path

from tests.ussd_server.turns.bench import Bench, play
from ussd_server.channels.base import Answer
from ussd_server.channels.intake import TOGETHER, Intake
from ussd_server.turns.admission import Backlog

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
