"""A store that is away or raises costs the outbox a wait; it is told once, and so is the store's return."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import SHORT_LEASE_MS, Bench, bench
from ussd_server.outbox import worker
from ussd_server.outbox.worker import FIRST_WAIT_MS, LONGEST_WAIT_MS, Done, Finished, Hopeless, Later
from ussd_server.stores.base import EVERY_LANE, MESSAGES, PUSHES, Claimed, Late, StoreUnavailable


def test_a_store_that_fails_under_a_performer_costs_only_a_wait(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [StoreUnavailable("the disk is full"), Done()]
        await at.put("a")
        await at.until(lambda: len(at.performed) == 1)
        await at.settled()
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 2)

    bench(tmp_path, story)


def test_a_store_that_is_away_is_told_once_and_so_is_its_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        claim, tries = at.store.claim, 0

        async def away(*arguments: Any) -> list[Claimed]:
            nonlocal tries
            tries += 1
            raise StoreUnavailable("the disk is full")

        with capture_logs() as logs:
            monkeypatch.setattr(at.store, "claim", away)
            at.outbox.wake()
            await at.until(lambda: tries > 50)
            monkeypatch.setattr(at.store, "claim", claim)
            await at.put("a")
            await at.until(lambda: len(at.performed) == 1)
        events = [line["event"] for line in logs]
        assert events == ["store unavailable, the outbox waits", "the store is back, the outbox goes on"]

    bench(tmp_path, story)


@pytest.mark.parametrize("lane", [MESSAGES, PUSHES])
def test_a_store_is_back_only_when_the_lane_that_missed_it_has_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: int
) -> None:
    """With a part of the store away, other lanes go on; and a lane that has no room now asks nothing."""
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)
    monkeypatch.setattr(worker, "YIELD_S", 0.001)

    async def story(at: Bench) -> None:
        claim, tries = at.store.claim, [0 for _ in EVERY_LANE]

        async def partly_away(now: int, room: int, lease_ms: int, lanes: Sequence[int], late: Late) -> list[Claimed]:
            tries[lanes[0]] += 1
            if away and list(lanes) == [lane]:
                raise StoreUnavailable("a master is away")
            return await claim(now, room, lease_ms, lanes)

        async def asked(*of: int) -> None:
            for _ in range(5):
                before = list(tries)
                at.outbox.wake()
                await at.until(lambda: all(tries[each] > before[each] for each in of))  # noqa: B023

        away = True
        with capture_logs() as logs:
            monkeypatch.setattr(at.store, "claim", partly_away)
            await asked(*EVERY_LANE)
            at.pressed = True  # pushes have no room then
            await asked(*(each for each in EVERY_LANE if each != PUSHES))
            assert [line["event"] for line in logs] == ["store unavailable, the outbox waits"]
            at.pressed = away = False
            await asked(*EVERY_LANE)
        events = [line["event"] for line in logs]
        assert events == ["store unavailable, the outbox waits", "the store is back, the outbox goes on"]

    bench(tmp_path, story)


@pytest.mark.parametrize("method", ["claim", "next_due", "renew", "postpone", "bury"])
def test_a_store_that_raises_anything_once_costs_only_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A row that does not fit has a store raise other things than that it is away."""
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)
    monkeypatch.setattr(worker, "LOOK_S", 0.001)

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
