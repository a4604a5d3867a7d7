"""What a turn puts into the outbox on its own account."""

from pathlib import Path

from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns.turn import SMS_VALIDITY_MS, Tools, Turn


def test_an_sms_is_tried_for_as_long_as_is_set(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for tools, validity_ms in (
            (at.tools, SMS_VALIDITY_MS),
            (Tools(at.tools.queries, at.tools.policy, at.tools.clock, at.tools.new_id, 5_000), 5_000),
        ):
            turn = Turn(at.resources.flow, Subscriber(MSISDN), 0, at.now, at.now, tools, "a", "111")
            turn.send("Hello")
            (entry,) = turn.outbox
            assert (entry.due, entry.expires) == (at.now, at.now + validity_ms)

    play(tmp_path, story)
