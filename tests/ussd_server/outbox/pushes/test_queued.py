"""What can never be shown ends at once, and others come one after the other at their rate."""

import asyncio
from pathlib import Path

import pytest

from tests.ussd_server.outbox.pushes.calling import TEN_MIN, confirm, ended, queue, shown
from tests.ussd_server.turns.bench import Bench, play
from ussd_server.outbox.pushes import Manners
from ussd_server.stores.base import Change
from ussd_server.turns import pushes
from ussd_server.turns.pushes import PushOrder


@pytest.mark.parametrize(
    ("order", "kind", "result"),
    [
        ({"screen": "gone"}, "", "no_such_screen"),
        ({"screen": "offers", "kind": "notify"}, "notify", "wrong_kind"),
        ({"screen": "money", "kind": "ask"}, "ask", "wrong_kind"),
        ({"text": "x" * 183}, "", "too_long"),
    ],
)
def test_what_can_never_be_shown_ends_at_once(tmp_path: Path, order: dict[str, object], kind: str, result: str) -> None:
    async def story(at: Bench) -> None:
        await queue(at, **order)  # type: ignore[arg-type]
        await ended(at, kind, result)
        assert at.network.pushed == []

    play(tmp_path, story)


def test_pushes_of_one_subscriber_come_one_after_the_other(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "One.")
        await queue(at, "Two.", id="p2")
        await shown(at)
        assert [text for _, text, _ in at.network.pushed] == ["One."]
        await confirm(at)
        at.outbox.wake()
        await shown(at, 2)
        await confirm(at)
        assert at.metrics.pushes == {("notify", "confirmed"): 2}

    play(tmp_path, story)


def test_pushes_keep_their_rate(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        loop = asyncio.get_running_loop()
        when: list[float] = []

        async def note() -> None:
            when.append(loop.time())

        at.network.on_push = note
        for number in range(3):
            record, version = await at.store.load(f"7910000001{number}")
            order = PushOrder(until=at.now + TEN_MIN, text="Hello.", category="service")
            queued = pushes.queue(record, order, f"n{number}", at.now, at.now)
            assert queued is not None
            assert await at.store.commit(Change(version, record, outbox=queued.outbox))
        begun = loop.time()
        at.outbox.wake()
        await shown(at, 3)
        # Never sooner than agreed; how much later is the machine's affair.
        assert max(when) - begun >= 2 / 50 - 0.005

    play(tmp_path, story, manners=Manners(rate=50))
