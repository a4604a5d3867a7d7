"""A flow queues a push for later, and a menu gives consent to offers and takes it back."""

from pathlib import Path

from tests.ussd_server.outbox.pushes.calling import confirm, pass_time, shown
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.turns.quiet import MINUTE_MS


def test_a_flow_queues_a_push_for_later(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert (await at.dial("*111*9#")).text == "We will call."
        assert await at.store.next_due() == at.now + 2 * MINUTE_MS
        await pass_time(at, 2 * MINUTE_MS)
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Welcome.", True)]
        await confirm(at)
        assert await at.journal() == ["single push queued", "push ended"]
        (note,) = await at.store.journal(MSISDN, "single push queued")
        assert (note.data["screen"], note.data["category"]) == ("welcome", "service")

    play(tmp_path, story)


def test_consent_is_given_and_taken_back_in_a_menu(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert (await at.dial("*111*8#")).text == "Offers will come."
        assert (await at.store.load(MSISDN))[0].offers_at == at.now
        assert (await at.dial("*111*8#")).text == "No offers."
        assert (await at.store.load(MSISDN))[0].offers_at == 0
        assert await at.journal() == ["offers accepted", "offers refused"]

    play(tmp_path, story)
