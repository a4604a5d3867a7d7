"""What part of a claim brings after the rest is begun at once, and never where another may have it or it was done."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import Bench, bench
from ussd_server.outbox.lanes import UNDER_WAY
from ussd_server.outbox.leases import LEASE_MS, RENEWALS
from ussd_server.outbox.outcomes import Done, Finished, Performed
from ussd_server.stores.base import EVERY_LANE, MESSAGES, PUSHES, Claimed, Late

OTHER = "79100000002"


class Slow:
    """Part of a store: what it is asked for is claimed at once, and brought when the test says so."""

    def __init__(self, at: Bench) -> None:
        self.at = at
        self.parts: list[asyncio.Future[list[Claimed]]] = []
        self.claimed: list[list[Claimed]] = []
        self._claim = at.store.claim
        at.store.claim = self.claim  # type: ignore[method-assign, assignment]

    async def claim(self, now: int, limit: int, lease_ms: int, lanes: object, late: Late) -> list[Claimed]:
        claimed = await self._claim(now, limit, lease_ms, lanes)  # type: ignore[arg-type]
        slow = [each for each in claimed if each.msisdn == OTHER]
        if slow:
            part: asyncio.Future[list[Claimed]] = asyncio.get_running_loop().create_future()
            late(len(slow), part)
            self.parts.append(part)
            self.claimed.append(slow)
        return [each for each in claimed if each.msisdn != OTHER]

    async def asked(self, times: int = 1) -> None:
        await self.at.until(lambda: len(self.parts) == times)

    def answer(self) -> None:
        self.parts.pop(0).set_result(self.claimed.pop(0))


def late(tmp_path: Path, story: Callable[[Bench, Slow], Awaitable[None]]) -> None:
    async def with_slow(at: Bench) -> None:
        await story(at, Slow(at))

    bench(tmp_path, with_slow)


def test_what_comes_late_is_begun_at_once_and_its_room_was_kept_and_is_given_back(tmp_path: Path) -> None:
    async def story(at: Bench, slow: Slow) -> None:
        await at.put("push", kind="push", msisdn=OTHER)
        await slow.asked()
        lane = at.lanes[PUSHES]
        assert (lane.room(False), at.performed) == (UNDER_WAY - 1, [])
        at.pressed = True  # what was claimed before is done all the same
        slow.answer()
        await at.until(lambda: at.performed == [("push", 1)])
        await at.settled()
        at.pressed = False
        assert (lane.room(False), at.late) == (UNDER_WAY, {})

    late(tmp_path, story)


def test_after_what_came_late_the_next_is_looked_for_at_once(tmp_path: Path) -> None:
    """Only then the store knows what is next there."""

    async def story(at: Bench, slow: Slow) -> None:
        await at.put("a", msisdn=OTHER)
        await slow.asked()
        await at.until(lambda: not at.lanes[MESSAGES].news.is_set())
        slow.answer()
        await asyncio.sleep(0)
        assert at.lanes[MESSAGES].news.is_set()

    late(tmp_path, story)


@pytest.mark.parametrize("left", [LEASE_MS // RENEWALS, 1, 0, -1])
def test_what_another_could_claim_before_it_is_renewed_is_not_begun(tmp_path: Path, left: int) -> None:
    async def story(at: Bench, slow: Slow) -> None:
        await at.put("a", msisdn=OTHER)
        await slow.asked()
        at.now += LEASE_MS - left
        slow.answer()
        await asyncio.sleep(0)
        assert (at.performed, at.outbox.under_way) == ([], 0)
        await at.pass_time(max(left, 0))
        await slow.asked()
        slow.answer()
        await at.until(lambda: at.performed == [("a", 2)])

    late(tmp_path, story)


@pytest.mark.parametrize("came", [Finished(), Done()])
@pytest.mark.parametrize("claims", [0, 1, 3])
def test_what_was_removed_while_part_of_a_claim_went_on_is_not_begun(
    tmp_path: Path, claims: int, came: Performed
) -> None:
    """However many other claims were made in the meantime."""

    async def story(at: Bench, slow: Slow) -> None:
        at.hold.clear()
        at.answers["a"] = [came]
        assert await at.commit("a", msisdn=OTHER)
        await at.pass_time(LEASE_MS + 1)
        await slow.asked()  # for what is under way already, and has lost its lease
        at.hold.set()
        await at.settled()
        for number in range(claims):
            await at.put(f"b{number}")
            await at.until(lambda: len(at.performed) == number + 2)  # noqa: B023
            await at.settled()
        slow.answer()
        await at.put("c")
        await at.until(lambda: ("c", 1) in at.performed)
        await at.settled()
        await at.outbox.drain(5)
        assert [id for id, _ in at.performed].count("a") == 1
        assert not any(at.lanes[lane].claims for lane in EVERY_LANE)

    late(tmp_path, story)


def test_a_stop_waits_for_what_comes_late_and_does_it(tmp_path: Path) -> None:
    async def story(at: Bench, slow: Slow) -> None:
        await at.put("a", msisdn=OTHER)
        await slow.asked()
        stopping = asyncio.ensure_future(at.outbox.stop(20))
        await at.until(lambda: all(worker.done() for worker in at.workers))
        slow.answer()
        await stopping
        assert (at.performed, await at.store.next_due()) == ([("a", 1)], None)

    late(tmp_path, story)


def test_what_comes_after_a_stop_has_waited_is_released(tmp_path: Path) -> None:
    async def story(at: Bench, slow: Slow) -> None:
        await at.put("a", msisdn=OTHER)
        await slow.asked()
        stopping = asyncio.ensure_future(at.outbox.stop(0, 20))
        await at.until(lambda: not at.late)
        slow.answer()
        with capture_logs() as logs:
            await stopping
        assert (at.performed, await at.store.next_due(), logs) == ([], at.now, [])

    late(tmp_path, story)


def test_what_does_not_come_before_a_stop_ends_is_told(tmp_path: Path) -> None:
    async def story(at: Bench, slow: Slow) -> None:
        await at.put("a", msisdn=OTHER)
        await slow.asked()
        with capture_logs() as logs:
            await at.outbox.stop(0, 0)
        told = "perhaps not released, then done when its lease ends"
        assert [(line["event"], line["entries"]) for line in logs] == [(told, 1)]
        assert slow.parts[0].cancelled()
        assert (at.performed, await at.store.next_due()) == ([], at.now + LEASE_MS)

    late(tmp_path, story)
