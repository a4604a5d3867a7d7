"""What was begun stays ours until the store has removed it, however long that takes, and is not begun again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.ussd_server.outbox.worker_bench import SHORT_LEASE_MS, Bench, bench
from ussd_server.outbox.lanes import UNDER_WAY
from ussd_server.outbox.leases import LEASE_MS
from ussd_server.outbox.outcomes import FIRST_WAIT_MS, Done, Finished, Later, Performed
from ussd_server.stores.base import Claimed
from ussd_server.stores.sqlite.store import SqliteStore


def test_what_takes_longer_than_its_lease_stays_ours_and_is_one_attempt(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for number in range(UNDER_WAY):  # there is no room for anything else
            await at.put(f"order {number}", msisdn=str(79100001000 + number), kind="command")
        await at.until(lambda: len(at.performed) == UNDER_WAY)
        other = SqliteStore(tmp_path / "store.db")
        for _ in range(3):
            at.now += SHORT_LEASE_MS - 1
            while await other.next_due() != at.now + SHORT_LEASE_MS:
                await asyncio.sleep(0)
            assert await other.claim(at.now, 1, 1) == []
        await other.close()
        at.operator.set()
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 2 * UNDER_WAY)
        assert {attempt for _, attempt in at.performed[UNDER_WAY:]} == {2}

    bench(tmp_path, story, SHORT_LEASE_MS)


def test_what_was_claimed_again_after_the_process_was_suspended_is_not_begun_twice(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a")
        await at.until(lambda: len(at.performed) == 1)
        for _ in range(3):
            await at.pass_time(LEASE_MS + 1)
            await at.until(lambda: at.held["a"].lease > at.now)
        assert len(at.performed) == 1
        at.answers["a"] = [Later("no link")]
        at.hold.set()
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS

    bench(tmp_path, story)


@pytest.mark.parametrize("came", [Finished(), Done()])
def test_what_is_removed_while_a_claim_brings_it_again_is_not_begun(tmp_path: Path, came: Performed) -> None:
    """Part of a store may answer a claim at once, and another part much later."""

    async def story(at: Bench) -> None:
        claim, brought, slow = at.store.claim, asyncio.Event(), asyncio.Event()

        async def slowly(*arguments: Any) -> list[Claimed]:
            claimed = await claim(*arguments)
            if claimed:
                brought.set()
                await slow.wait()
            return claimed

        at.hold.clear()
        at.answers["a"] = [came]
        assert await at.commit("a")
        at.store.claim = slowly  # type: ignore[method-assign]
        await at.pass_time(LEASE_MS + 1)
        await brought.wait()
        at.hold.set()
        await at.settled()
        assert await at.store.next_due() is None
        slow.set()
        assert await at.commit("b", msisdn="79100000002")
        await at.until(lambda: ("b", 1) in at.performed)
        await at.settled()
        await at.outbox.drain(5)
        assert at.performed == [("a", 1), ("b", 1)]

    bench(tmp_path, story)
