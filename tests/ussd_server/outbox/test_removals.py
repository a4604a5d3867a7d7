"""What is done is removed as soon as the part of the store is there that has it, and is never begun again before."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import MSISDN, SHORT_LEASE_MS, Bench, Network, bench
from ussd_server.outbox import leases, removals, store_calls
from ussd_server.outbox.leases import LEASE_MS
from ussd_server.outbox.outcomes import Finished
from ussd_server.stores.base import Claimed, StoreUnavailable, Unsettled
from ussd_server.stores.sqlite.store import SqliteStore

AWAY = "79100000009"
OTHERS = [f"7910000{n:04}" for n in range(1000, 1030)]


class Part:
    """A part of the bench's store, that of one subscriber, which is away as long as the test says so.

    Given `silent`, nobody learns that it is away before that is set, as with a server that was cut off.
    """

    def __init__(self, at: Bench, silent: asyncio.Event | None = None) -> None:
        self.away = True
        self.silent = silent
        self.calls: list[list[str]] = []
        """The entries that each call was to remove."""
        self._settle = at.store.settle
        at.store.settle = self.settle  # type: ignore[method-assign]

    async def settle(self, claimed: Sequence[Claimed]) -> None:
        self.calls.append([each.entry.id for each in claimed])
        left = [each for each in claimed if each.msisdn == AWAY] if self.away else []
        await self._settle([each for each in claimed if each not in left])
        if left and self.silent is not None:
            await self.silent.wait()
        if left and self.away:
            raise Unsettled([(each, StoreUnavailable("a master is away")) for each in left])
        await self._settle(left)


async def sent(at: Bench, network: Network, id: str, msisdn: str) -> None:
    """Have an SMS sent, which so is only to be removed."""
    assert await at.commit(id, msisdn=msisdn)
    network.waiting[id](Finished())


def in_store(at: Bench, left: Sequence[str]) -> Callable[[], bool]:
    return lambda: sorted(at.held) == sorted(left)


def test_what_cannot_be_removed_for_now_is_tried_again_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        network, part = Network(at), Part(at)
        with capture_logs() as logs:
            await sent(at, network, "lost", AWAY)
            for msisdn in OTHERS:
                await sent(at, network, msisdn, msisdn)
            await at.until(in_store(at, ["lost"]))
            assert sorted(id for call in part.calls for id in call if id != "lost") == OTHERS
            with_it = [call for call in part.calls if "lost" in call]
            await at.until(lambda: len([call for call in part.calls if "lost" in call]) > len(with_it) + 3)
            assert part.calls[-3:] == [["lost"]] * 3
        assert [line["event"] for line in logs] == ["store unavailable, what is done is removed later"]
        assert at.outbox.under_way == 1
        part.away = False
        await at.settled()
        assert not at.held
        assert await at.store.next_due() is None
        assert at.performed == [(id, 1) for id in ("lost", *OTHERS)]

    bench(tmp_path, story)


def test_a_part_that_is_silent_holds_up_no_removal_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "SLOW_S", 0.001)
    monkeypatch.setattr(removals, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        network, part = Network(at), Part(at, asyncio.Event())
        assert part.silent is not None
        await sent(at, network, "lost", AWAY)
        assert await at.commit("behind", msisdn=MSISDN)
        assert await at.commit("next", msisdn=MSISDN)
        network.waiting["behind"](Finished())
        await at.until(lambda: "next" in network.waiting)
        for msisdn in OTHERS:
            await sent(at, network, msisdn, msisdn)
        await at.until(in_store(at, ["lost", "next"]))
        assert [call for call in part.calls if "lost" in call] == [["lost"]]  # nobody asks again before it is answered
        part.silent.set()
        await at.until(lambda: len([call for call in part.calls if "lost" in call]) > 3)
        network.waiting["next"](Finished())
        part.away = False
        await at.settled()
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_a_stop_does_not_wait_for_a_silent_part_and_removes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "SLOW_S", 0.001)

    async def story(at: Bench) -> None:
        network, part = Network(at), Part(at, asyncio.Event())
        for id in ("lost", "lost, too"):
            assert await at.commit(id, msisdn=AWAY if id == "lost" else MSISDN)
        network.waiting["lost"](Finished())
        await at.until(lambda: bool(at.outbox._removals._overtaken))
        part.away = False
        network.waiting["lost, too"](Finished())
        await at.outbox.stop(0, 20)
        assert not at.outbox._tasks()
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_no_call_removes_or_renews_more_than_a_store_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind are renewed also where it is not known whether those before them are."""
    monkeypatch.setattr(store_calls, "TOGETHER", 4)
    monkeypatch.setattr(removals, "SLOW_S", 0.001)
    monkeypatch.setattr(leases, "SLOW_S", 0.001)
    monkeypatch.setattr(removals, "STORE_WAIT_S", 0.001)

    async def story(at: Bench) -> None:
        network, part, renewed, silent = Network(at), Part(at), set[str](), asyncio.Event()
        renew = at.store.renew
        silent.set()

        async def partly(claimed: Sequence[Claimed], lease: int) -> None:
            assert len(claimed) <= 4
            if AWAY in {each.msisdn for each in claimed}:
                await silent.wait()
            await renew(claimed, lease)
            renewed.update(each.msisdn for each in claimed)

        at.store.renew = partly  # type: ignore[method-assign]
        assert await at.commit("lost", msisdn=AWAY)
        for msisdn in OTHERS:
            assert await at.commit(msisdn, msisdn=msisdn)
        await at.until(lambda: renewed == {AWAY, *OTHERS})
        silent.clear()
        renewed.clear()
        await at.until(lambda: renewed.issuperset(OTHERS[3:]))
        assert AWAY not in renewed
        silent.set()
        await at.until(lambda: AWAY in renewed)
        for id in list(network.waiting):
            network.waiting[id](Finished())
        await at.until(in_store(at, ["lost"]))
        part.away = False
        await at.settled()
        assert max(map(len, part.calls)) == 4
        assert await at.store.next_due() is None
        assert len(at.performed) == 1 + len(OTHERS)

    bench(tmp_path, story, SHORT_LEASE_MS)


def test_what_is_finished_is_removed_as_soon_as_the_store_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "STORE_WAIT_S", 0.001)

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
    monkeypatch.setattr(removals, "STORE_WAIT_S", 0.001)

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
        at.performers["sms"] = at.perform  # one kind ends at once, the other in a task
        assert await at.commit("b", msisdn="79100000002")
        await at.until(lambda: at.performed == [("a", 1), ("b", 1)])
        for _ in range(2):
            await at.pass_time(LEASE_MS + 1)
            await at.until(lambda: all(at.held[id].lease > at.now for id in "ab"))
        away = False
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1)]
        assert await at.store.next_due() is None
        assert not at.held

    bench(tmp_path, story)


def test_what_waits_to_be_removed_stays_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "STORE_WAIT_S", 0.001)

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
        await at.until(lambda: at.held["bad"].lease > at.now)
        misfits.clear()
        await at.settled()
        assert sorted(at.performed) == [("a", 1), ("b", 1), ("bad", 1), ("next", 1)]
        assert await at.store.next_due() is None

    bench(tmp_path, story, SHORT_LEASE_MS)
