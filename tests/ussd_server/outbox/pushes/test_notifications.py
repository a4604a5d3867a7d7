"""A notification is shown once, and ends as confirmed, unconfirmed or aborted."""

from pathlib import Path

from tests.ussd_server.outbox.pushes.calling import TIMER_MS, confirm, ended, pass_time, queue, shown
from tests.ussd_server.turns.bench import MSISDN, Bench, play


def test_a_notification_that_the_phone_confirms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert await queue(at, "Hello.")
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Hello.", True)]
        assert at.metrics.pushes == {}
        await confirm(at, dialogue="a/77")
        await ended(at, "notify", "confirmed")
        await confirm(at, dialogue="a/77")  # delivered again: nothing more comes of it
        assert await at.journal() == ["single push queued", "push ended"]

    play(tmp_path, story)


def test_a_confirmation_may_come_before_the_response(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.on_push = lambda: confirm(at)
        await queue(at, "Hello.")
        await ended(at, "notify", "confirmed")

    play(tmp_path, story)


def test_a_notification_that_nobody_confirms_is_left_at_the_timer(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "Hello.")
        await shown(at)
        await pass_time(at, TIMER_MS)
        await ended(at, "notify", "unconfirmed")
        assert len(at.network.pushed) == 1
        await confirm(at)
        await ended(at, "notify", "unconfirmed")

    play(tmp_path, story)


def test_a_notification_whose_dialogue_the_network_ends(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "Hello.")
        await shown(at)
        await at.take(at.input("drop", "abort", dialogue="a/77"))
        await ended(at, "notify", "aborted")

    play(tmp_path, story)


def test_a_confirmation_by_another_account_is_not_of_this_push(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "Hello.")
        await shown(at)
        await confirm(at, account="b", dialogue="b/1")
        assert at.metrics.pushes == {}
        await confirm(at)
        await ended(at, "notify", "confirmed")

    play(tmp_path, story)


def test_a_screen_that_closes_is_a_notification(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="money", kind="notify")
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Balance 500 RUB", True)]
        assert "ussd" not in (await at.store.load(MSISDN))[0].sessions

    play(tmp_path, story)
