"""A throttling holds SMS in their order and lets USSD pass; the pace counts all that is sent."""

from pathlib import Path

import pytest

from smpp.constants import Status
from tests.ussd_server.channels.line import Line, dialled, play, send, texts
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.channels.pace import Pace


@pytest.mark.parametrize("status", [Status.RTHROTTLED, Status.RMSGQFUL])
def test_a_throttling_holds_all_sms_in_their_order_and_lets_ussd_pass(tmp_path: Path, status: Status) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [status, status, Status.ROK]
        sending = [send(at.account.outgoing, "111", MSISDN, f"{n}", n) for n in range(5)]
        await at.until(lambda: at.bench.metrics.throttled[at.account.name] == 2)
        await at.hear(dialled("*111*2163#"), 4)
        assert texts(at) == ["0", "1", "2", "Activated."]
        assert {(await one).result for one in sending} == {"sent"}
        assert texts(at)[4:] == ["0", "1", "3", "4"]
        assert at.bench.metrics.sms_limit[at.account.name]() > 0

    play(tmp_path, story, window=6)


def test_a_slower_rate_is_kept_over_a_reconnect(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [Status.RTHROTTLED]
        sending = send(at.account.outgoing, "111", MSISDN, "Hello", 7)
        await at.until(lambda: at.bench.metrics.throttled[at.account.name] == 1)
        limit = at.bench.metrics.sms_limit[at.account.name]()
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        await at.until(lambda: len(at.smsc.binds) == 2 and at.account.bound)
        assert at.bench.metrics.sms_limit[at.account.name]() == limit
        assert (await sending).result == "sent"

    play(tmp_path, story)


def test_the_rate_counts_parts_and_screens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, waited = Pace.wait, [0.0]

    def noted(pace: Pace, now: float) -> float:
        waited.append(wait(pace, now))
        return waited[-1]

    monkeypatch.setattr(Pace, "wait", noted)

    async def story(at: Line) -> None:
        await at.hear(dialled("*111*2163#"), 1)
        assert (await send(at.account.outgoing, "111", MSISDN, "слово " * 40, 7)).result == "sent"
        assert len(at.smsc.submitted) == 5
        assert 0 < max(waited) <= 0.2

    play(tmp_path, story, rate=10)
