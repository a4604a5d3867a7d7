"""A lane claims what it has room for; a store that is away costs it a wait, and is told once, and so is its return."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import MSISDN, Bench, bench
from ussd_server.outbox import claiming
from ussd_server.outbox.lanes import UNDER_WAY, YIELDING
from ussd_server.stores.base import (
    EVERY_LANE,
    MESSAGES,
    PUSHES,
    Change,
    Claimed,
    Late,
    OutboxEntry,
    StoreUnavailable,
)
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


def test_an_operator_that_hangs_holds_up_no_sms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for number in range(UNDER_WAY + 1):
            await at.put(f"order {number}", msisdn=str(79100001000 + number), kind="command")
        await at.until(lambda: len(at.performed) == UNDER_WAY)
        await at.put("a")
        await at.until(lambda: ("a", 1) in at.performed)
        await at.until(lambda: at.outbox.under_way == UNDER_WAY)
        assert await at.store.next_due([MESSAGES]) is None

    bench(tmp_path, story)


def test_under_pressure_few_are_performed_at_once_and_pushes_wait(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.pressed = True
        at.hold.clear()
        await at.put("p", kind="push", msisdn="79100000099")
        for number in range(YIELDING + 5):
            await at.put(f"s{number}", msisdn=f"791000001{number:02}")
        await at.until(lambda: len(at.performed) == YIELDING)
        at.pressed = False
        at.outbox.wake()
        await at.until(lambda: len(at.performed) == YIELDING + 6)
        assert {id for id, _ in at.performed[:YIELDING]} == {f"s{number}" for number in range(YIELDING)}

    bench(tmp_path, story)


def test_after_the_pressure_work_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "YIELD_S", 0.001)

    async def story(at: Bench) -> None:
        at.pressed = True
        await at.put("p", kind="push")
        for _ in range(100):
            await asyncio.sleep(0)
        assert not at.performed
        at.pressed = False
        await at.until(lambda: len(at.performed) == 1)

    bench(tmp_path, story)


def test_what_another_process_commits_or_takes_back_is_found_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "LOOK_S", 0.01)

    async def story(at: Bench) -> None:
        other = SqliteStore(tmp_path / "store.db")
        entry = OutboxEntry("a", "sms", at.now, {"text": "…"})
        assert await other.commit(Change(0, Subscriber(MSISDN), outbox=[entry]))
        await at.until(lambda: at.performed == [("a", 1)])
        await other.close()

    bench(tmp_path, story)


def test_a_store_that_is_away_is_told_once_and_so_is_its_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "STORE_WAIT_S", 0.001)

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
    monkeypatch.setattr(claiming, "STORE_WAIT_S", 0.001)
    monkeypatch.setattr(claiming, "YIELD_S", 0.001)

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
