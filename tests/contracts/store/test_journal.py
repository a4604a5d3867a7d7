"""The journal is read newest first; and a number that is forgotten leaves nothing, there or elsewhere."""

import asyncio

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, Open, answer_to, entry, ids, on, put, put_answer
from ussd_server.stores.base import Change, JournalEntry, Store
from ussd_server.subscribers.record import Subscriber


def test_the_journal_is_newest_first_by_kind_and_limited(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for number in range(5):
            record, version = await store.load(ANNA)
            notes = [JournalEntry(T0 + number, kind, {"n": number}) for kind in ("odd", "even")]
            assert await store.commit(Change(version, record, notes))
        newest = await store.journal(ANNA, limit=3)
        assert [(each.kind, each.data["n"]) for each in newest] == [("even", 4), ("odd", 4), ("even", 3)]
        assert [each.data["n"] for each in await store.journal(ANNA, "odd")] == [4, 3, 2, 1, 0]
        assert await store.journal(BORIS) == []
        assert await store.journal(ANNA, "none") == []

    on(open_store, test)


def test_forgetting_leaves_nothing_and_no_old_version_can_be_committed_to_the_next_life(open_store: Open) -> None:
    async def test(store: Store) -> None:
        notes = [JournalEntry(T0, "x", {})]
        assert await store.commit(Change(0, Subscriber(ANNA, "ru"), notes, [entry("a"), entry("b")]))
        assert await put(store, BORIS, entry("c"))
        _, old = await store.load(ANNA)
        held = {each.entry.id: each for each in await store.claim(T0, 10, LEASE)}
        await store.bury(held["a"], T0, "x")
        assert await store.forget(ANNA)
        assert not await store.forget(ANNA)
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)
        assert await store.journal(ANNA) == []
        assert not await store.commit(Change(old, Subscriber(ANNA, "xx")))
        assert await store.commit(Change(0, Subscriber(ANNA, "en")))
        assert not await store.commit(Change(old, Subscriber(ANNA, "xx")))
        assert (await store.load(ANNA))[0].language == "en"
        assert ids(await store.claim(T0 + LEASE, 10, LEASE)) == ["c"]

    on(open_store, test)


def test_a_number_forgotten_right_after_a_commit_is_gone(open_store: Open) -> None:
    async def test(store: Store) -> None:
        outcomes = await asyncio.gather(store.commit(Change(0, Subscriber(ANNA, "ru"))), store.forget(ANNA))
        assert outcomes == [True, True]
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)

    on(open_store, test)


def test_forgetting_a_number_forgets_the_answers_it_was_given(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put_answer(store, ANNA, answer_to("a"))
        assert await put_answer(store, ANNA, answer_to("b"))
        assert await put_answer(store, BORIS, answer_to("c"))
        assert await store.forget(ANNA)
        assert [await store.answer("kiosk-1", key) for key in "abc"] == [None, None, answer_to("c")]

    on(open_store, test)
