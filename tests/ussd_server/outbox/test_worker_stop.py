"""A stop waits for what is under way, and begins nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.ussd_server.outbox.worker_bench import MSISDN, Bench, Network, bench
from ussd_server.outbox.leases import LEASE_MS
from ussd_server.outbox.outcomes import Done, Finished, Later, Performed
from ussd_server.stores.base import Claimed
from ussd_server.stores.sqlite.store import SqliteStore


def test_a_stop_waits_for_what_is_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        at = Bench(store)
        at.outbox.start()
        await at.put("a")
        await at.until(lambda: bool(at.performed))
        await at.outbox.stop(5)
        assert await store.next_due() is None
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("came", [Finished(), Done()])
def test_a_stop_waits_for_what_is_handed_over(tmp_path: Path, came: Performed) -> None:
    async def story(at: Bench) -> None:
        network = Network(at)
        for id, msisdn in (("a", MSISDN), ("b", "79100000002")):
            assert await at.commit(id, msisdn=msisdn)
        stopping = asyncio.ensure_future(at.outbox.stop(20))
        for id in "ab":
            await at.until(lambda: all(task.done() for task in at.workers))
            assert not stopping.done()
            network.waiting[id](came)
        await stopping
        assert (at.given_up, at.outbox.under_way, await at.store.next_due()) == (1, 0, None)

    bench(tmp_path, story)


def test_draining_takes_nothing_new_and_lets_go_of_nothing(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a", "b")
        await at.until(lambda: bool(at.performed))
        await at.outbox.drain(0)
        assert at.outbox.under_way == 1
        at.hold.set()
        await at.outbox.drain(5)
        assert at.performed == [("a", 1)]
        assert await at.store.next_due() == at.now  # b, for whoever starts next

    bench(tmp_path, story)


def test_what_failed_because_the_links_went_down_at_a_stop_does_not_wait_for_the_next_start(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a")
        await at.until(lambda: bool(at.performed))
        await at.outbox.drain(0)
        at.answers["a"] = [Later("the link was lost")]
        at.hold.set()
        await at.outbox.stop(5)
        assert await at.store.next_due() == at.now

    bench(tmp_path, story)


def test_a_stopped_outbox_holds_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        at = Bench(store)
        assert await at.commit("early")  # not begun: nobody would perform it
        at.outbox.start()
        at.answers = {"early": [Finished()]}
        await at.until(lambda: bool(at.performed))
        await at.outbox.stop(5)
        assert await at.commit("late")
        assert [each.entry.id for each in await store.claim(at.now, 10, LEASE_MS)] == ["late"]
        await store.close()

    asyncio.run(main())


def test_a_stop_does_not_wait_for_a_store_that_does_not_answer(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        asked = asyncio.Event()

        async def hangs(*arguments: Any) -> list[Claimed]:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        at.store.claim = hangs  # type: ignore[method-assign]
        at.outbox.wake()
        await asked.wait()
        async with asyncio.timeout(20):
            await at.outbox.stop(0)
        assert all(task.done() for task in at.workers)

    bench(tmp_path, story)
