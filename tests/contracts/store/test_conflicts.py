"""Of those who change one record at once, in one server or in several, one after the other has its way."""

import asyncio

import msgspec

from tests.contracts.store.steps import ANNA, BORIS, VERA, Open, closing, entry, on, put
from ussd_server.stores.base import Change, Store
from ussd_server.subscribers.record import Subscriber


async def add_one(store: Store, msisdn: str) -> None:
    """Count in the record as a turn does: load, change, commit, and all over again on a conflict."""
    while True:
        record, version = await store.load(msisdn)
        if await store.commit(Change(version, msgspec.structs.replace(record, activated_at=record.activated_at + 1))):
            return


def test_of_two_servers_that_commit_on_one_version_exactly_one_wins(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for round in range(20):
                (record, version), (_, same) = await one.load(ANNA), await two.load(ANNA)
                if version != same:  # a server may remember an older version until it is refused
                    await two.commit(Change(same, record))
                    assert (await two.load(ANNA))[1] == version
                won = await asyncio.gather(
                    one.commit(Change(version, Subscriber(ANNA, "ru", round), outbox=[entry(f"one-{round}")])),
                    two.commit(Change(version, Subscriber(ANNA, "en", round), outbox=[entry(f"two-{round}")])),
                )
                assert sorted(won) == [False, True]
                winner = two if won[1] else one
                assert (await winner.load(ANNA))[0] == Subscriber(ANNA, "en" if won[1] else "ru", round)

    asyncio.run(body())


def test_two_changes_of_one_number_under_way_at_once_are_judged_one_after_the_other(open_store: Open) -> None:
    async def test(store: Store) -> None:
        others = [store.commit(Change(0, Subscriber(f"7910000{n:04}", "ru"))) for n in range(1000, 1060)]
        both = [store.commit(Change(0, Subscriber(ANNA, language))) for language in ("ru", "en")]
        outcomes = await asyncio.gather(*others[:30], both[0], *others[30:], both[1])
        assert outcomes == [True] * 61 + [False]
        assert (await store.load(ANNA))[0].language == "ru"
        assert (await store.load("79100001059"))[0].language == "ru"

    on(open_store, test)


def test_fifty_increments_at_once_through_two_servers_make_fifty(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            await asyncio.gather(*(add_one(store, ANNA) for store in (one, two) for _ in range(25)))
        again = open_store()
        async with closing(again):
            assert (await again.load(ANNA))[0].activated_at == 50

    asyncio.run(body())


def test_who_stops_waiting_for_a_commit_does_not_disturb_the_others(open_store: Open) -> None:
    async def test(store: Store) -> None:
        tasks = [asyncio.ensure_future(put(store, msisdn)) for msisdn in (ANNA, BORIS)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        assert await tasks[1]
        assert await put(store, VERA)

    on(open_store, test)
