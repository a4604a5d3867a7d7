"""What a stop leaves can be done at once by whoever starts next, as far as the store hears of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import MSISDN, Bench, Network, bench
from ussd_server.outbox.leases import LEASE_MS
from ussd_server.outbox.outcomes import Finished, Later
from ussd_server.stores.base import Claimed, StoreUnavailable


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
