"""Outbox entries are performed at least once, whatever the store raises."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.ussd_server.outbox.worker_bench import SHORT_LEASE_MS, Bench, bench
from ussd_server.outbox import claiming
from ussd_server.outbox.outcomes import LONGEST_WAIT_MS, Finished, Hopeless, Later
from ussd_server.stores.base import MESSAGES


@pytest.mark.parametrize("method", ["claim", "next_due", "renew", "postpone", "bury"])
def test_a_store_that_raises_anything_once_costs_only_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A row that does not fit has a store raise other things than that it is away."""
    monkeypatch.setattr(claiming, "STORE_WAIT_S", 0.001)
    monkeypatch.setattr(claiming, "LOOK_S", 0.001)

    async def story(at: Bench) -> None:
        works, calls = getattr(at.store, method), 0

        async def raises_once(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ValueError("such a row cannot be read")
            return await works(*arguments)

        setattr(at.store, method, raises_once)
        at.answers = {
            "later": [Later("no link"), Later("no link"), Finished()],
            "hopeless": [Hopeless("no such number"), Hopeless("no such number")],
        }
        await at.put("later")
        await at.put("hopeless", msisdn="79100000002")
        await at.put("order", kind="command", msisdn="79100000003")
        await at.until(lambda: len(at.performed) >= 3)
        await at.until(lambda: calls > 1 or method in ("postpone", "bury"))
        async with asyncio.timeout(20):
            while calls < 2 or await at.store.next_due([MESSAGES]) is not None:
                await at.pass_time(LONGEST_WAIT_MS)
                await at.store.ping()
        at.operator.set()
        await at.settled()
        assert [id for id, _ in at.performed].count("later") == 3

    bench(tmp_path, story, SHORT_LEASE_MS)
