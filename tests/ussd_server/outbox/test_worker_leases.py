"""What was begun stays ours until the store has removed it, however long that takes, and is not begun again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.ussd_server.outbox.worker_bench import MSISDN, SHORT_LEASE_MS, Bench, Network, bench
from ussd_server.outbox import worker
from ussd_server.outbox.worker import FIRST_WAIT_MS, LEASE_MS, UNDER_WAY, Done, Finished, Later, Performed
from ussd_server.stores.base import Claimed, StoreUnavailable
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
            await at.until(lambda: at.outbox._held["a"].lease > at.now)
        assert len(at.performed) == 1
        at.answers["a"] = [Later("no link")]
        at.hold.set()
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS

    bench(tmp_path, story)


def test_what_is_finished_is_removed_as_soon_as_the_store_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        settle, failures = at.store.settle, iter([StoreUnavailable("the disk is full")])

        async def failing(claimed: Sequence[Claimed]) -> None:
            for failure in failures:
                raise failure
            await settle(claimed)

        at.store.settle = failing  # type: ignore[method-assign]
        at.answers = {"a": [Finished()], "b": [Finished()]}
        assert await at.commit("a", "b")
        await at.until(lambda: len(at.performed) == 2)
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1)]
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_what_is_finished_is_not_begun_again_after_an_outage_longer_than_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        settle, away = at.store.settle, True

        async def failing(claimed: Sequence[Claimed]) -> None:
            if away:
                raise StoreUnavailable("the disk is full")
            await settle(claimed)

        at.store.settle = failing  # type: ignore[method-assign]
        network = Network(at)
        at.answers["b"] = [Finished()]
        assert await at.commit("a")
        network.waiting["a"](Finished())
        at.outbox._performers = {"sms": at._perform}  # one kind ends at once, the other in a task
        assert await at.commit("b", msisdn="79100000002")
        await at.until(lambda: at.performed == [("a", 1), ("b", 1)])
        for _ in range(2):
            await at.pass_time(LEASE_MS + 1)
            await at.until(lambda: all(at.outbox._held[id].lease > at.now for id in "ab"))
        away = False
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1)]
        assert await at.store.next_due() is None
        assert not at.outbox._held

    bench(tmp_path, story)


def test_what_waits_to_be_removed_stays_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        settle, away = at.store.settle, True

        async def failing(claimed: Sequence[Claimed]) -> None:
            if away:
                raise StoreUnavailable("the disk is full")
            await settle(claimed)

        at.store.settle = failing  # type: ignore[method-assign]
        at.answers["a"] = [Finished()]
        assert await at.commit("a")
        other = SqliteStore(tmp_path / "store.db")
        for _ in range(3):
            at.now += SHORT_LEASE_MS - 1
            while await other.next_due() != at.now + SHORT_LEASE_MS:
                await asyncio.sleep(0)
            assert await other.claim(at.now, 1, 1) == []
        await other.close()
        away = False
        await at.settled()
        assert await at.store.next_due() is None

    bench(tmp_path, story, SHORT_LEASE_MS)


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


def test_what_cannot_be_removed_keeps_nothing_else_and_is_not_done_again(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        settle, misfits, refused = at.store.settle, {"bad"}, 0

        async def particular(claimed: Sequence[Claimed]) -> None:
            nonlocal refused
            if misfits & {each.entry.id for each in claimed}:
                refused += 1
                raise ValueError("no such row can be written")
            await settle(claimed)

        at.store.settle = particular  # type: ignore[method-assign]
        network = Network(at)
        for id, msisdn in zip(("a", "bad", "b"), (MSISDN, "79100000002", "79100000003"), strict=True):
            assert await at.commit(id, msisdn=msisdn)
        assert await at.commit("next")
        for id in ("a", "bad", "b"):
            network.waiting[id](Finished())
        await at.until(lambda: "next" in network.waiting)
        network.waiting["next"](Finished())
        await at.until(lambda: at.outbox.under_way == 1)
        await at.until(lambda: refused > 4)
        await at.pass_time(SHORT_LEASE_MS + 1)
        await at.until(lambda: at.outbox._held["bad"].lease > at.now)
        misfits.clear()
        await at.settled()
        assert sorted(at.performed) == [("a", 1), ("b", 1), ("bad", 1), ("next", 1)]
        assert await at.store.next_due() is None

    bench(tmp_path, story, SHORT_LEASE_MS)
