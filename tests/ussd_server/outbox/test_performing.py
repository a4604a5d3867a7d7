"""Entries are performed in order for each subscriber, later where they must, and buried where that is worth nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.ussd_server.outbox.worker_bench import MSISDN, Bench, Network, bench
from ussd_server.outbox import performing
from ussd_server.outbox.outcomes import FIRST_WAIT_MS, Done, Finished, Hopeless, Later, Performed
from ussd_server.stores.base import MESSAGES, Change, Claimed, OutboxEntry, StoreUnavailable
from ussd_server.subscribers.record import Subscriber


def test_entries_of_a_subscriber_are_performed_once_and_in_order(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.put("a", "b", "c")
        await at.until(lambda: len(at.performed) == 3)
        await at.settled()
        assert at.performed == [("a", 1), ("b", 1), ("c", 1)]
        assert await at.store.next_due() is None

    bench(tmp_path, story)


@pytest.mark.parametrize(
    ("what", "then"),
    [
        (Finished(), None),
        (Done(), None),
        (Hopeless("no such number"), None),
        (Later("no link"), FIRST_WAIT_MS),
        (ValueError("defect"), FIRST_WAIT_MS),
    ],
)
def test_what_is_handed_over_ends_as_it_is_told_and_the_next_begins(
    tmp_path: Path, what: Performed | Exception, then: int | None
) -> None:
    async def story(at: Bench) -> None:
        network = Network(at)
        assert await at.commit("a", "b")
        assert await at.commit("late", msisdn="79100000002")
        await at.until(lambda: set(network.waiting) == {"a", "late"})
        network.waiting["a"](what)
        if then is None:
            await at.until(lambda: "b" in network.waiting)
            network.waiting["b"](Finished())
        network.waiting["late"](Finished())
        await at.settled()
        assert await at.store.next_due() == (None if then is None else at.now + then)

    bench(tmp_path, story)


@pytest.mark.parametrize("first", [Finished(), Done(), Later("busy")])
@pytest.mark.parametrize("again", [Finished(), Later("busy"), Hopeless("refused")])
def test_what_is_told_of_an_entry_that_has_ended_changes_nothing(
    tmp_path: Path, first: Performed, again: Performed
) -> None:
    async def story(at: Bench) -> None:
        network = Network(at)
        lane = at.lanes[MESSAGES]
        await at.commit("a")
        await at.until(lambda: "a" in network.waiting)
        tell = network.waiting.pop("a")
        with capture_logs() as logs:
            tell(first)
            tell(again)
            await at.until(lambda: not at.outbox.under_way and not lane.claims)
            tell(again)
        assert [line["event"] for line in logs] == 2 * ["told again of what had ended"]
        assert lane.taken == 0
        assert at.outbox.under_way == 0
        if isinstance(first, Later):
            await at.pass_time(FIRST_WAIT_MS)
            await at.until(lambda: "a" in network.waiting)
            tell(again)  # of the attempt before
            assert at.outbox.under_way == 1
            network.waiting.pop("a")(Finished())
            await at.settled()
        assert await at.store.claim(at.now, 10, 1) == []
        assert await at.store.dead_letters(MSISDN) == []

    bench(tmp_path, story)


def test_what_is_not_possible_now_waits_and_holds_back_what_follows_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [Later("no link"), Done()]
        await at.put("a", "b")
        await at.put("x", msisdn="79100000002")
        await at.until(lambda: len(at.performed) == 2)
        assert sorted(at.performed) == [("a", 1), ("x", 1)]
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 4)
        assert at.performed[2:] == [("a", 2), ("b", 1)]

    bench(tmp_path, story)


def test_what_is_never_possible_is_buried_with_a_journal_entry(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [Hopeless("no such number")]
        await at.put("a", "b")
        await at.until(lambda: ("b", 1) in at.performed)
        await at.settled()
        assert len(await at.kinds()) == 2  # that it was given up, and how the SMS ended
        assert await at.store.next_due() is None

    bench(tmp_path, story)


def test_what_is_damaged_is_buried_unperformed_and_what_is_behind_it_goes_on(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.pressed = True  # so that nothing is held from its commit on
        record, version = await at.store.load(MSISDN)
        entries = [OutboxEntry(id, "sms", at.now, {"text": "…"}) for id in ("a", "b")]
        assert await at.store.commit(Change(version, record, outbox=entries))
        at.store._db.execute("UPDATE outbox SET data = '{\"te' WHERE id = 'a'")
        with capture_logs() as logs:
            at.outbox.wake()
            await at.until(lambda: ("b", 1) in at.performed)
            await at.settled()
        assert at.performed == [("b", 1)]
        (dead,) = await at.store.dead_letters(MSISDN)
        assert (dead.id, dead.reason) == ("a", performing.UNREADABLE)
        assert [line["event"] for line in logs] == ["given up"]

    bench(tmp_path, story)


def test_what_has_expired_is_buried_unperformed(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.put("a", expires=at.now)
        await at.put("b")
        await at.until(lambda: ("b", 1) in at.performed)
        assert at.performed == [("b", 1)]

    bench(tmp_path, story)


def test_what_expires_while_the_process_stands_still_is_buried_unperformed(tmp_path: Path) -> None:
    """Its lease is over by then as well: whatever was worth doing when it was claimed is not any more."""

    async def story(at: Bench) -> None:
        claim, before = at.store.claim, at.now

        async def stood_still(*asked: Any, **more: Any) -> list[Claimed]:
            claimed = await claim(*asked, **more)
            if claimed and at.now == before:
                at.now += 3_600_000
            return claimed

        at.store.claim = stood_still  # type: ignore[method-assign]
        await at.put("a", expires=at.now + 1_800_000)
        await at.put("b")
        await at.until(lambda: ("b", 1) in at.performed)
        assert at.performed == [("b", 1)]

    bench(tmp_path, story)


def test_a_defect_in_a_performer_costs_only_a_wait(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [ValueError("defect"), Done()]
        await at.put("a")
        await at.until(lambda: len(at.performed) == 1)
        await at.settled()
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 2)

    bench(tmp_path, story)


def test_what_is_broken_off_by_another_than_a_stop_is_tried_again(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        async def broken_off(claimed: Claimed) -> Performed:
            raise asyncio.CancelledError

        at.performers["sms"] = broken_off
        assert await at.commit("a")
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS
        assert not at.held

    bench(tmp_path, story)


def test_what_was_taken_back_is_tried_as_new_work_is(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [Later("busy"), Done()]
        again = OutboxEntry("a", "sms", at.now, {"text": "…"}, tried=9)
        assert await at.store.commit(Change(0, Subscriber(MSISDN), outbox=[again]))
        at.outbox.wake()
        await at.until(lambda: at.performed == [("a", 10)])
        await at.settled()
        assert await at.store.next_due() == at.now + FIRST_WAIT_MS
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: at.performed == [("a", 10), ("a", 11)])

    bench(tmp_path, story)


def test_a_store_that_fails_under_a_performer_costs_only_a_wait(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.answers["a"] = [StoreUnavailable("the disk is full"), Done()]
        await at.put("a")
        await at.until(lambda: len(at.performed) == 1)
        await at.settled()
        await at.pass_time(FIRST_WAIT_MS)
        await at.until(lambda: len(at.performed) == 2)

    bench(tmp_path, story)
