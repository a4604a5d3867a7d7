"""A stop waits for what is under way, begins nothing, and leaves the rest to whoever starts next."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import MSISDN, Bench, Network, bench
from ussd_server.outbox.worker import LEASE_MS, Done, Finished, Later, Performed
from ussd_server.stores.base import Claimed, StoreUnavailable
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
            await at.until(lambda: all(task.done() for task in at.outbox._workers))
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


def test_what_a_stop_cancels_can_be_done_at_once_by_whoever_starts_next(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold = asyncio.Event()
        await at.put("a")
        await at.put("order", kind="command")
        await at.until(lambda: len(at.performed) == 2)
        at.now += 5
        await at.outbox.stop(0)
        assert at.outbox.under_way == 0
        again = await at.store.claim(at.now, 10, LEASE_MS)
        # The attempt counts: an order may have reached the operator.
        assert [(each.entry.id, each.attempt) for each in again] == [("a", 2), ("order", 2)]

    bench(tmp_path, story)


def test_a_stop_gives_back_what_is_handed_over_and_nobody_sends_it_then(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        network = Network(at)
        for id, msisdn in zip("abc", (MSISDN, "79100000002", "79100000003"), strict=True):
            assert await at.commit(id, msisdn=msisdn)
        network.waiting["b"](Finished())
        network.waiting["c"](Later("the link was lost"))
        await at.outbox.stop(0)
        assert at.given_up == 1
        network.waiting["a"](Finished())  # too late
        again = await at.store.claim(at.now, 10, LEASE_MS)
        assert sorted((each.entry.id, each.attempt) for each in again) == [("a", 2), ("c", 2)]

    bench(tmp_path, story)


def test_at_a_stop_one_that_cannot_be_removed_keeps_no_other(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        settle, removing = at.store.settle, asyncio.Event()

        async def particular(claimed: Sequence[Claimed]) -> None:
            if "bad" in {each.entry.id for each in claimed}:
                removing.set()
                if not at.outbox._stopping:
                    await asyncio.Event().wait()
                raise ValueError("no such row can be written")
            await settle(claimed)

        at.store.settle = particular  # type: ignore[method-assign]
        network = Network(at)
        for id, msisdn in zip(("a", "bad"), (MSISDN, "79100000002"), strict=True):
            assert await at.commit(id, msisdn=msisdn)
        for id in ("a", "bad"):
            network.waiting[id](Finished())
        await removing.wait()
        await at.outbox.stop(0)
        assert [each.entry.id for each in await at.store.claim(at.now + LEASE_MS, 10, LEASE_MS)] == ["bad"]

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


@pytest.mark.parametrize("away", [None, StoreUnavailable("away"), ValueError("such a row cannot be written")])
def test_what_is_committed_while_a_stop_begins_is_left_and_is_committed_all_the_same(
    tmp_path: Path, away: Exception | None
) -> None:
    async def story(at: Bench) -> None:
        async def fail(claimed: Claimed, due: int, reason: str) -> None:
            assert away is not None
            raise away

        if away:
            at.store.postpone = fail  # type: ignore[method-assign]
        committing = asyncio.ensure_future(at.commit("a"))
        await asyncio.sleep(0)
        await at.outbox.drain(0)
        assert await committing
        assert at.performed == []
        assert await at.store.next_due() == at.now + (LEASE_MS if away else 0)

    bench(tmp_path, story)


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
        assert all(task.done() for task in at.outbox._workers)

    bench(tmp_path, story)


@pytest.mark.parametrize("finished", [False, True])
def test_a_store_that_answers_nothing_any_more_is_not_told_of_what_is_left(tmp_path: Path, finished: bool) -> None:
    """The process ends in time; the log says how many entries wait for the end of their leases."""

    async def story(at: Bench) -> None:
        async def hangs(*arguments: Any) -> None:
            await asyncio.Event().wait()

        at.store.settle = at.store.postpone = hangs  # type: ignore[method-assign, assignment]
        network = Network(at)
        for id, msisdn in (("a", MSISDN), ("b", "79100000002")):
            assert await at.commit(id, msisdn=msisdn)
            if finished:
                network.waiting[id](Finished())
        with capture_logs() as logs:
            async with asyncio.timeout(20):
                await at.outbox.stop(0, 0)
        told = "perhaps not released, then done when its lease ends"
        assert [(line["entries"], line["cause"]) for line in logs if line["event"] == told] == [
            (2, "the store did not answer for 0 s")
        ]
        assert await at.store.next_due() == at.now + LEASE_MS

    bench(tmp_path, story)
