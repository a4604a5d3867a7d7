"""A commit through the outbox is begun at once where there is room, and who waits is told once what came of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import MSISDN, Bench, Network, bench
from ussd_server.outbox import claiming, lanes
from ussd_server.outbox.lanes import UNDER_WAY
from ussd_server.outbox.outcomes import Finished
from ussd_server.stores.base import (
    EVERY_LANE,
    MESSAGES,
    Change,
    Claimed,
    Late,
    OutboxEntry,
    OutboxKind,
    StoreUnavailable,
    ToldHeld,
    Unsure,
)
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


def test_what_a_turn_commits_is_begun_at_once_and_the_rest_in_its_time(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold.clear()
        claims = 0
        claim = at.store.claim

        async def counted(*arguments: Any) -> list[Claimed]:
            nonlocal claims
            claims += 1
            return await claim(*arguments)

        at.store.claim = counted  # type: ignore[method-assign]
        assert await at.commit("a")
        assert at.outbox.under_way == 1
        await at.until(lambda: bool(at.performed))
        assert await at.commit("b", "c")
        assert await at.commit("x", msisdn="79100000002", wait=5)
        at.answers = {id: [Finished()] for id in "abcx"}
        at.hold.set()
        await at.until(lambda: len(at.performed) == 3)
        await at.pass_time(5)
        await at.until(lambda: len(at.performed) == 4)
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1), ("c", 1), ("x", 1)]
        assert await at.store.next_due() is None
        before, at.store.claim = claims, claim  # type: ignore[method-assign]
        assert before >= 3  # b, c and x were looked for

    bench(tmp_path, story)


def test_what_has_no_room_waits_until_there_is(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.hold.clear()
        every = range(UNDER_WAY + 3)
        at.answers = {f"a{number}": [Finished()] for number in every}
        for number in every:
            assert await at.commit(f"a{number}", msisdn=str(79100001000 + number))
        assert at.outbox.under_way == UNDER_WAY
        at.hold.set()
        await at.until(lambda: len(at.performed) == len(every))
        await at.settled()
        assert await at.store.next_due() is None

    bench(tmp_path, story)


@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_what_is_committed_during_a_claim_and_what_it_brings_have_room_together(
    tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody counts twice on the same room, and all of it comes in the end."""
    monkeypatch.setattr(lanes, "UNDER_WAY", most)

    async def story(at: Bench) -> None:
        claim, asked, answered, came = at.store.claim, asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(now: int, room: int, lease_ms: int, lanes: Sequence[int], late: Late) -> list[Claimed]:
            if MESSAGES not in lanes:
                return []
            asked.set()
            await answered.wait()
            claimed = await claim(now, room, lease_ms, lanes)
            came.set()
            return claimed

        at.store.claim = slow  # type: ignore[method-assign, assignment]
        network = Network(at)
        for number in range(2 * most):
            await at.put(f"waiting{number}", msisdn=f"7910000{number:04}")
        await asked.wait()
        for number in range(2 * most):
            assert await at.commit(f"fresh{number}", msisdn=f"7910001{number:04}")
        answered.set()
        await came.wait()
        for _ in range(4 * most):
            await at.until(lambda: bool(network.waiting))
            await asyncio.sleep(0)
            assert at.lanes[MESSAGES].taken <= most
            network.waiting.popitem()[1](Finished())
        await at.settled()
        kinds = ("waiting", "fresh")
        assert sorted(at.performed) == sorted((f"{kind}{n}", 1) for kind in kinds for n in range(2 * most))

    bench(tmp_path, story)


def test_a_change_that_is_refused_leaves_nothing_to_do_and_no_room_taken(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert await at.commit()
        for number in range(2):
            stale = Change(0, Subscriber(MSISDN), outbox=[OutboxEntry(f"s{number}", "sms", at.now, {})])
            assert not await at.committed(stale)
        assert all(lane.room(False) == UNDER_WAY for lane in at.lanes)
        assert at.outbox.under_way == 0
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_what_can_never_be_committed_is_told_after_the_call(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        with pytest.raises(ValueError, match="no number"):
            await at.committed(Change(0, Subscriber("no number"), outbox=[OutboxEntry("a", "sms", at.now, {})]))

    bench(tmp_path, story)


def test_what_was_perhaps_committed_is_looked_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "LOOK_S", 3600)

    async def story(at: Bench) -> None:
        def unsure(change: Change, now: int, lease: int, told: ToldHeld) -> None:
            at.store.commit_then(change, lambda _: told(Unsure("the connection broke")))

        at.store.commit_and_hold_then = unsure  # type: ignore[method-assign]
        with pytest.raises(Unsure):
            await at.commit("a")
        await at.until(lambda: at.performed == [("a", 1)])

    bench(tmp_path, story)


KINDS: Sequence[OutboxKind] = ("sms", "command")


@pytest.mark.parametrize("defect", ["is told twice", "raises", "raises when it has told"])
def test_room_is_given_back_once_whatever_raises(tmp_path: Path, defect: str) -> None:
    async def story(at: Bench) -> None:
        def broken(change: Change, now: int, lease: int, told: ToldHeld) -> None:
            if defect != "raises":
                with pytest.raises(KeyError):
                    told(StoreUnavailable("away"))
            if defect == "is told twice":
                told(ValueError("what was told raised"))
            else:
                raise ValueError("a defect")

        def hear(done: bool | BaseException) -> None:
            if isinstance(done, StoreUnavailable):
                raise KeyError("a defect")

        at.store.commit_and_hold_then = broken  # type: ignore[method-assign]
        entries = [OutboxEntry(f"{kind} {number}", kind, at.now, {}) for kind in KINDS for number in range(2)]
        change = Change(0, Subscriber(MSISDN), outbox=entries)
        if defect == "is told twice":
            at.outbox.commit_then(change, hear)
        else:
            with pytest.raises(ValueError, match="a defect"):
                at.outbox.commit_then(change, hear)
        assert [lane.taken for lane in at.lanes] == [0 for _ in EVERY_LANE]

    bench(tmp_path, story)


def test_what_another_process_leaves_is_found_where_all_room_was_reserved_and_nothing_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "LOOK_S", 0.01)

    async def story(at: Bench) -> None:
        commit_and_hold_then, asked = at.store.commit_and_hold_then, list[ToldHeld]()
        at.store.commit_and_hold_then = lambda change, now, lease, told: asked.append(told)  # type: ignore[method-assign]
        committing = [
            asyncio.ensure_future(at.commit(f"a{number}", msisdn=str(79100001000 + number)))
            for number in range(UNDER_WAY)
        ]
        await at.until(lambda: len(asked) == UNDER_WAY)
        at.outbox.wake()
        for _ in range(100):
            await asyncio.sleep(0)  # the lane's worker sees that there is no room
        for told in asked:
            told(StoreUnavailable("away"))
        assert all(
            isinstance(came, StoreUnavailable) for came in await asyncio.gather(*committing, return_exceptions=True)
        )
        at.store.commit_and_hold_then = commit_and_hold_then  # type: ignore[method-assign]
        other = SqliteStore(tmp_path / "store.db")
        assert await other.commit(
            Change(0, Subscriber(MSISDN), outbox=[OutboxEntry("a", "sms", at.now, {"text": "…"})])
        )
        await other.close()
        await at.until(lambda: at.performed == [("a", 1)])

    bench(tmp_path, story)


def test_whose_commit_meets_a_stop_is_told_once_also_where_that_is_taken_badly(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        heard: list[bool | BaseException] = []

        def told(outcome: bool | BaseException) -> None:
            heard.append(outcome)
            raise RuntimeError("a defect")

        record, version = await at.store.load(MSISDN)
        at.outbox.commit_then(Change(version, record, outbox=[OutboxEntry("a", "sms", at.now, {})]), told)
        await at.outbox.drain(0)
        await at.until(lambda: bool(heard))
        assert heard == [True]
        assert at.performed == []

    bench(tmp_path, story)


def test_who_is_told_of_what_a_stop_leaves_is_told_once_also_where_that_raises(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        heard: list[bool | BaseException] = []

        def hear(done: bool | BaseException) -> None:
            heard.append(done)
            raise KeyError("a defect")

        at.outbox.commit_then(
            Change(0, Subscriber(MSISDN), outbox=[OutboxEntry("a", "sms", at.now, {"text": "…"})]), hear
        )
        with capture_logs() as logs:
            await at.outbox.drain(0)
            await at.until(lambda: bool(heard))
            await at.store.ping()
        assert heard == [True]
        assert [line["event"] for line in logs] == ["store_outcome_not_taken"]

    bench(tmp_path, story)
