"""Who may not be called on now is called on later, if the push is still worth it then."""

from datetime import datetime
from pathlib import Path

from tests.ussd_server.outbox.pushes.calling import (
    MOSCOW,
    TEN_MIN,
    confirm,
    consent,
    ended,
    pass_time,
    queue,
    shown,
    waits,
)
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.outbox.pushes import Manners
from ussd_server.turns.pushes import BUSY_MS
from ussd_server.turns.quiet import MINUTE_MS, QuietHours


def test_who_is_in_a_dialogue_is_not_disturbed(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await queue(at, "Hello.")
        await waits(at)
        assert at.network.pushed == []
        assert (await at.reply("4")).text == "Balance 500 RUB"
        await pass_time(at, BUSY_MS)  # in which they have read it, too
        await shown(at)
        await confirm(at, dialogue="a/200")
        await ended(at, "notify", "confirmed")

    play(tmp_path, story)


def test_quiet_hours_are_waited_out(tmp_path: Path) -> None:
    def quiet() -> QuietHours:
        return QuietHours.parse("21:00-09:00", MOSCOW)

    async def story(at: Bench) -> None:
        at.now = int(datetime(2027, 1, 15, 23, 0, tzinfo=MOSCOW).timestamp()) * 1000
        await queue(at, "Good morning.", until=at.now + 11 * 60 * MINUTE_MS)
        await waits(at)
        await pass_time(at, 10 * 60 * MINUTE_MS - 1)
        assert await at.store.next_due() == at.now + 1
        assert at.network.pushed == []
        await pass_time(at, 1)
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Good morning.", True)]

    play(tmp_path, story, manners=Manners(quiet))


def test_quiet_hours_outlast_a_push_that_is_worth_nothing_after_them(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.now = int(datetime(2027, 1, 15, 23, 0, tzinfo=MOSCOW).timestamp()) * 1000
        await queue(at, "Good night.")
        await waits(at)
        await pass_time(at, TEN_MIN)
        await ended(at, "", "expired")
        (note,) = await at.store.journal(MSISDN, "push ended")
        assert note.data["reason"] == "quiet hours"
        assert at.network.pushed == []

    play(tmp_path, story, manners=Manners(lambda: QuietHours.parse("21:00-09:00", MOSCOW)))


def test_what_is_urgent_does_not_wait_for_the_morning(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.now = int(datetime(2027, 1, 15, 23, 0, tzinfo=MOSCOW).timestamp()) * 1000
        await queue(at, "Your line is blocked.", urgent=True)
        await shown(at)

    play(tmp_path, story, manners=Manners(lambda: QuietHours.parse("21:00-09:00", MOSCOW)))


def test_without_a_bound_link_it_waits_and_expires(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.bound = False
        await queue(at, "Hello.")
        await waits(at)
        await pass_time(at, TEN_MIN)
        await ended(at, "", "expired")

    play(tmp_path, story)


def test_offers_need_consent_when_they_are_queued_and_when_they_are_sent(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert not await queue(at, "Buy!", category="offer")
        assert await at.journal() == []
        await consent(at, True)
        at.network.bound = False
        assert await queue(at, "Buy!", category="offer")
        await waits(at)
        await consent(at, False)
        at.network.bound = True
        await pass_time(at, 5_000)
        await ended(at, "", "no_consent")
        assert at.network.pushed == []

    play(tmp_path, story)


def test_a_question_whose_answers_the_operator_does_not_have_now_is_put_off(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.outage = "refuses"
        await queue(at, screen="money")
        await waits(at)
        assert at.network.pushed == []
        at.operator.outage = ""
        await pass_time(at, MINUTE_MS)
        await shown(at)

    play(tmp_path, story)
