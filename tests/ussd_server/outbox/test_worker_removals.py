"""What is done on a part of the store that is there is removed at once, whatever becomes of the part that is away."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import MSISDN, SHORT_LEASE_MS, Bench, Network, bench
from ussd_server.outbox import worker
from ussd_server.outbox.worker import Finished
from ussd_server.stores.base import Claimed, StoreUnavailable, Unsettled

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
    return lambda: sorted(at.outbox._held) == sorted(left)


def test_what_cannot_be_removed_for_now_is_tried_again_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

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
        assert not at.outbox._held
        assert await at.store.next_due() is None
        assert at.performed == [(id, 1) for id in ("lost", *OTHERS)]

    bench(tmp_path, story)


def test_a_part_that_is_silent_holds_up_no_removal_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLOW_S", 0.001)
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

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
    monkeypatch.setattr(worker, "SLOW_S", 0.001)

    async def story(at: Bench) -> None:
        network, part = Network(at), Part(at, asyncio.Event())
        for id in ("lost", "lost, too"):
            assert await at.commit(id, msisdn=AWAY if id == "lost" else MSISDN)
        network.waiting["lost"](Finished())
        await at.until(lambda: bool(at.outbox._overtaken))
        part.away = False
        network.waiting["lost, too"](Finished())
        await at.outbox.stop(0, 20)
        assert not at.outbox._under_way()
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_no_call_removes_or_renews_more_than_a_store_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind are renewed also where it is not known whether those before them are."""
    monkeypatch.setattr(worker, "TOGETHER", 4)
    monkeypatch.setattr(worker, "SLOW_S", 0.001)
    monkeypatch.setattr(worker, "STORE_WAIT_S", 0.001)

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
