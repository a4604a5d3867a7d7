"""Who claimed an entry of the outbox holds it until the lease ends, and nobody else does; then it is another's."""

import asyncio

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, VERA, Open, closing, entry, ids, on, put
from ussd_server.stores.base import Claimed, JournalEntry, Store


def test_two_servers_never_hold_one_entry_at_the_same_time(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for number in range(40):
                assert await put(one, f"791000000{number:02}", entry(f"e{number}"))
            claimed = await asyncio.gather(*(store.claim(T0, 7, LEASE) for _ in range(4) for store in (one, two)))
            held = [id for each in claimed for id in ids(each)]
            assert len(held) == 40
            assert len(set(held)) == 40

    asyncio.run(body())


def test_what_a_claim_returns_and_brings_late_is_held_each_once(open_store: Open) -> None:
    """Nothing is late where all of the store answers at once; where some is slow it may be."""

    async def test(store: Store) -> None:
        parts: list[tuple[int, asyncio.Future[list[Claimed]]]] = []
        numbers = [f"791000000{number:02}" for number in range(40)]
        for number in numbers:
            assert await put(store, number, entry(f"e{number}"))
        claimed = await store.claim(T0, 100, LEASE, late=lambda most, part: parts.append((most, part)))
        for most, part in parts:
            brought = await part
            assert len(brought) <= most
            claimed += brought
        assert sorted(each.msisdn for each in claimed) == numbers
        assert {(each.attempt, each.lease) for each in claimed} == {(1, T0 + LEASE)}
        assert await store.claim(T0, 100, LEASE) == []

    on(open_store, test)


def test_a_lease_that_ended_lets_another_claim_and_the_first_holder_can_do_nothing_more(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        (first,) = await store.claim(T0, 1, LEASE)
        assert await store.next_due() == T0 + LEASE
        assert await store.claim(T0 + LEASE - 1, 1, LEASE) == []
        (second,) = await store.claim(T0 + LEASE, 1, LEASE)
        assert (first.attempt, second.attempt) == (1, 2)
        assert second.lease == T0 + 2 * LEASE
        await store.postpone(first, T0, "too late")
        await store.bury(first, T0, "too late")
        assert await store.claim(T0 + LEASE, 1, LEASE) == []
        assert await store.journal(ANNA) == []
        assert await put(store, ANNA, settled=("a",))

    on(open_store, test)


def test_a_renewed_lease_lasts_longer_and_is_the_same_attempt(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", text="x"))
        assert await put(store, BORIS, entry("b"))
        claimed = await store.claim(T0, 10, LEASE)
        await store.renew(claimed, T0 + 3 * LEASE)
        assert await store.next_due() == T0 + 3 * LEASE
        assert await store.claim(T0 + 2 * LEASE, 10, LEASE) == []
        again = await store.claim(T0 + 3 * LEASE, 10, LEASE)
        assert sorted((each.entry.id, each.attempt) for each in again) == [("a", 2), ("b", 2)]

    on(open_store, test)


def test_only_who_holds_an_entry_can_renew_it(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("claimed by another"))
        assert await put(store, BORIS, entry("postponed"))
        assert await put(store, VERA, entry("settled"))
        mine = await store.claim(T0, 10, LEASE)
        (postponed,) = (each for each in mine if each.entry.id == "postponed")
        await store.postpone(postponed, T0 + LEASE + 1, "busy")
        assert await put(store, VERA, settled=("settled",))
        (other,) = await store.claim(T0 + LEASE, 10, LEASE)
        assert other.entry.id == "claimed by another"
        await store.renew(mine, T0 + 9 * LEASE)
        assert await store.next_due() == T0 + LEASE + 1
        assert ids(await store.claim(T0 + 2 * LEASE, 10, LEASE)) == ["postponed", "claimed by another"]

    on(open_store, test)


def test_an_entry_postponed_until_now_can_be_claimed_at_once(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.postpone(claimed, T0 + 1, "the server stopped")
        (again,) = await store.claim(T0 + 1, 10, LEASE)
        assert again.attempt == 2

    on(open_store, test)


def test_a_postponed_entry_comes_again_later_and_holds_back_those_after_it(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", text="x"), entry("b"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.postpone(claimed, T0 + 500, "busy")
        assert await store.next_due() == T0 + 500
        assert await store.claim(T0 + 499, 10, LEASE) == []
        (again,) = await store.claim(T0 + 500, 10, LEASE)
        assert again == Claimed(ANNA, entry("a", due=T0 + 500, text="x"), 2, T0 + 500 + LEASE)

    on(open_store, test)


def test_a_buried_entry_is_in_the_journal_and_lets_the_next_one_go(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", text="secret"), entry("b"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        ended = JournalEntry(T0 + 1, "sms ended", {"outcome": "expired", "sms": "a"})
        await store.bury(claimed, T0 + 1, "expired", [ended])
        await store.bury(claimed, T0 + 2, "twice", [ended])
        buried = JournalEntry(T0 + 1, "given_up", {"id": "a", "kind": "sms", "reason": "expired"})
        assert await store.journal(ANNA) == [ended, buried]
        assert ids(await store.claim(T0, 10, LEASE)) == ["b"]
        assert not await put(store, ANNA, settled=("a",))

    on(open_store, test)
