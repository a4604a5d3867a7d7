"""Entries of the outbox are claimed when they are due, in the order of each subscriber's lane."""

import asyncio

import msgspec
import pytest

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, Open, closing, entry, ids, on, put
from ussd_server.stores.base import (
    DELIVERIES,
    LETTERS,
    MESSAGES,
    OPERATOR,
    PUSHES,
    Change,
    Claimed,
    JournalEntry,
    Store,
    StoreUnavailable,
    Unsettled,
)
from ussd_server.subscribers.deliveries import Awaited
from ussd_server.subscribers.record import Subscriber


def test_entries_of_a_subscriber_are_claimed_in_order_and_one_at_a_time(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a1"), entry("a2", due=T0 - 5))
        assert await put(store, BORIS, entry("b1"))
        assert await put(store, ANNA, entry("a3"))
        assert sorted(ids(await store.claim(T0, 10, LEASE))) == ["a1", "b1"]
        assert await store.claim(T0, 10, LEASE) == []
        assert await put(store, ANNA, settled=("a1",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["a2"]
        assert await put(store, ANNA, settled=("a2",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["a3"]

    on(open_store, test)


def test_what_is_held_from_its_commit_on_is_as_claimed(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("before"))
        assert await put(store, ANNA, entry("timer"))
        change = Change((await store.load(ANNA))[1], Subscriber(ANNA, "en"), settled=("before",), dropped=("timer",))
        added = [entry("a"), entry("behind"), entry("order", "command"), entry("parts", "letters", due=T0 + 1)]
        held = await store.commit_and_hold(msgspec.structs.replace(change, outbox=added), T0, T0 + LEASE)
        assert held is not None
        held += await store.claim(T0, 10, LEASE)  # what the store did not hold by itself
        assert sorted(held, key=lambda each: each.entry.id) == [
            Claimed(ANNA, added[0], 1, T0 + LEASE),
            Claimed(ANNA, added[2], 1, T0 + LEASE),
        ]
        assert (await store.load(ANNA))[0].language == "en"
        assert await store.next_due([MESSAGES]) == T0 + LEASE
        await store.renew(held, T0 + 2 * LEASE)
        assert ids(await store.claim(T0 + LEASE, 10, LEASE)) == ["parts"]
        again = await store.claim(T0 + 2 * LEASE, 10, LEASE, [MESSAGES])
        assert [(each.entry.id, each.attempt) for each in again] == [("a", 2)]

    on(open_store, test)


def test_nothing_is_held_behind_what_waits_nor_where_the_change_is_refused(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("later", due=T0 + 5))
        version = (await store.load(ANNA))[1]
        change = Change(version, Subscriber(ANNA), outbox=[entry("a"), entry("order", "command")])
        held = await store.commit_and_hold(change, T0, T0 + LEASE)
        assert held is not None
        assert ids(held + await store.claim(T0, 10, LEASE)) == ["order"]
        assert await store.commit_and_hold(Change(version, Subscriber(ANNA)), T0, T0 + LEASE) is None
        refused = Change(version, Subscriber(ANNA), outbox=[entry("never", "push")])
        assert await store.commit_and_hold(refused, T0, T0 + LEASE) is None
        assert await store.next_due([PUSHES]) is None

    on(open_store, test)


def test_entries_that_are_done_are_removed_and_let_the_next_ones_go(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a1"), entry("a2"))
        assert await put(store, BORIS, entry("b1"))
        before = await store.load(ANNA)
        claimed = await store.claim(T0, 10, LEASE)
        await store.settle(claimed)
        await store.settle(claimed)
        assert await store.load(ANNA, latest=True) == before
        assert ids(await store.claim(T0, 10, LEASE)) == ["a2"]
        assert await store.journal(ANNA) == []

    on(open_store, test)


def test_of_what_cannot_be_removed_it_is_told_what_is_left(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for number in range(12):
            assert await put(store, f"791000000{number:02}", entry(f"e{number}"))
        claimed = await store.claim(T0, 12, LEASE)
        await store.set_mark("moved away", fenced=True)
        with pytest.raises(StoreUnavailable, match="moved away") as caught:
            await store.settle(claimed)
        left = [each for each, _ in caught.value.left] if isinstance(caught.value, Unsettled) else claimed
        there = [(await store.dump(each.msisdn), each) for each in claimed]
        assert left == [each for everything, each in there if everything and everything.outbox]
        await store.set_mark("")
        await store.settle(left)
        assert await store.next_due() is None
        await store.settle([])

    on(open_store, test)


def test_messages_and_the_operators_work_do_not_wait_for_each_other(open_store: Open) -> None:
    async def test(store: Store) -> None:
        entries = [entry("order", "command"), entry("query", "query"), entry("code", "code"), entry("sms")]
        assert await put(store, ANNA, *entries)
        assert sorted(ids(await store.claim(T0, 10, LEASE))) == ["code", "order"]
        assert await put(store, ANNA, settled=("code",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["sms"]

    on(open_store, test)


def test_a_push_that_waits_for_the_morning_holds_up_nothing(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("push", "push", due=T0), entry("later", "push"), entry("sms"))
        (push,) = await store.claim(T0, 10, LEASE, [PUSHES])
        await store.postpone(push, T0 + 9, "quiet hours")
        assert ids(await store.claim(T0 + 8, 10, LEASE)) == ["sms"]
        assert await store.next_due([PUSHES]) == T0 + 9
        (push,) = await store.claim(T0 + 9, 10, LEASE, [PUSHES])
        assert (push.entry.id, push.attempt) == ("push", 2)
        assert await put(store, ANNA, settled=("push",))
        assert ids(await store.claim(T0 + 9, 10, LEASE)) == ["later"]

    on(open_store, test)


def test_what_is_only_waited_for_holds_up_nothing_and_a_receipt_waits_for_the_sms_before_it(open_store: Open) -> None:
    async def test(store: Store) -> None:
        waiting = [entry("parts", "letters", due=T0 + 9), entry("s0.end", "delivery", due=T0 + 9)]
        assert await put(store, ANNA, *waiting, entry("s1"), entry("early", "receipt"), entry("s2"))
        assert ids(await store.claim(T0, 10, LEASE)) == ["s1"]
        assert await store.claim(T0, 10, LEASE) == []
        # An SMS is sent: its entry goes, and another one for its end comes in the same commit.
        assert await put(store, ANNA, entry("s1.end", "delivery", due=T0 + 10), settled=("s1",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["early"]
        assert await put(store, ANNA, settled=("early",), dropped=("s1.end",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["s2"]
        assert await store.next_due([LETTERS, DELIVERIES]) == T0 + 9
        assert sorted(ids(await store.claim(T0 + 9, 10, LEASE))) == ["parts", "s0.end"]

    on(open_store, test)


def test_the_end_of_an_sms_is_one_commit_and_only_one_server_makes_it(open_store: Open) -> None:
    async def body() -> None:
        first = open_store()
        second = open_store()
        async with closing(first, second):
            awaited = {"s": Awaited("a", T0, {"id": ""})}
            sent = Change(0, Subscriber(ANNA, awaited=awaited), outbox=[entry("s.end", "delivery")])
            assert await first.commit(sent)
            ends = []
            for store in (first, second):
                record, version = await store.load(ANNA)
                assert record.awaited == awaited
                ended = msgspec.structs.replace(record, awaited={})
                ends.append((store, Change(version, ended, [JournalEntry(T0, "sms ended")], dropped=["s.end"])))
            made = await asyncio.gather(*(store.commit(change) for store, change in ends))
            assert sorted(made) == [False, True]
            for store in (first, second):
                assert (await store.load(ANNA, latest=True))[0].awaited == {}
                assert len(await store.journal(ANNA)) == 1
                assert await store.next_due() is None

    asyncio.run(body())


@pytest.mark.parametrize(("lane", "id"), [(MESSAGES, "sms"), (OPERATOR, "order")])
def test_a_claim_may_leave_the_other_lane_alone(open_store: Open, lane: int, id: str) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("order", "command", due=T0 + 1), entry("sms", due=T0 + 2))
        assert await store.next_due([lane]) == T0 + (2 if lane == MESSAGES else 1)
        assert ids(await store.claim(T0 + 2, 10, LEASE, [lane])) == [id]
        assert await store.claim(T0 + 2, 10, LEASE, [lane]) == []
        assert await store.next_due([lane]) == T0 + 2 + LEASE
        assert await store.claim(T0 + 2, 10, LEASE, []) == []
        assert await store.next_due([]) is None
        assert len(await store.claim(T0 + 2, 10, LEASE)) == 1

    on(open_store, test)


def test_an_entry_is_claimed_when_it_is_due_and_not_before(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", due=T0 + 10))
        assert await put(store, BORIS, entry("b", due=T0 + 20))
        assert await store.next_due() == T0 + 10
        assert await store.claim(T0 + 9, 10, LEASE) == []
        assert ids(await store.claim(T0 + 10, 10, LEASE)) == ["a"]
        assert await store.next_due() == T0 + 20

    on(open_store, test)


def test_no_more_are_claimed_than_asked_for(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for number in range(5):
            assert await put(store, f"7910000000{number}", entry(f"e{number}"))
        first = await store.claim(T0, 3, LEASE)
        second = await store.claim(T0, 3, LEASE)
        assert (len(first), len(second)) == (3, 2)
        assert sorted(ids(first) + ids(second)) == ["e0", "e1", "e2", "e3", "e4"]
        assert await store.claim(T0 + LEASE, 0, LEASE) == []

    on(open_store, test)
