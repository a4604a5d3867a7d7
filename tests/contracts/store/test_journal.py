"""The journal is read newest first and keeps so many entries of a kind; and a number that is forgotten leaves nothing,
there or elsewhere."""

import asyncio

from tests.contracts.store.steps import (
    ANNA,
    BORIS,
    LEASE,
    T0,
    VERA,
    Open,
    answer_to,
    closing,
    entry,
    ids,
    on,
    put,
    put_answer,
)
from ussd_server.stores.base import EVIDENCE, EVIDENCE_ENTRIES, Change, JournalEntry, Store
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


async def note(store: Store, *notes: JournalEntry, msisdn: str = ANNA) -> None:
    record, version = await store.load(msisdn)
    assert await store.commit(Change(version, record, notes))


def test_of_each_kind_the_newest_are_kept(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await note(store, JournalEntry(T0, "activated"))
        for number in range(5):
            await note(store, JournalEntry(T0 + number, "sms ended"), JournalEntry(T0 + number, "order placed"))
            await note(store, JournalEntry(T0 + number, "sms ended"), msisdn=BORIS)
        assert [(each.kind, each.at - T0) for each in await store.journal(ANNA)] == [
            ("order placed", 4),
            ("sms ended", 4),
            ("order placed", 3),
            ("sms ended", 3),
            ("order placed", 2),
            ("order placed", 1),
            ("order placed", 0),
            ("activated", 0),
        ]
        assert [each.at - T0 for each in await store.journal(BORIS)] == [4, 3]
        # Also what is alike, and more in one commit than are kept.
        await note(store, *[JournalEntry(T0 + 4, "sms ended")] * 2, *[JournalEntry(T0, "activated")] * 4)
        kinds = [each.kind for each in await store.journal(ANNA)]
        assert kinds == ["activated"] * 2 + ["sms ended"] * 2 + ["order placed"] * 5

    on(open_store, test, journal_entries=2)


def test_evidence_outlives_what_is_said_every_day_and_has_a_bound_of_its_own(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for kind in sorted(EVIDENCE):
            await note(store, *(JournalEntry(T0 + number, kind) for number in range(EVIDENCE_ENTRIES)))
            await note(store, JournalEntry(T0 + EVIDENCE_ENTRIES, kind))
        for kind in EVIDENCE:
            kept = await store.journal(ANNA, kind, 2 * EVIDENCE_ENTRIES)
            assert [each.at - T0 for each in kept] == list(range(EVIDENCE_ENTRIES, 0, -1))

    on(open_store, test, journal_entries=1)


def test_a_bury_keeps_to_the_bound_as_well(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for number in range(4):
            assert await put(store, ANNA, entry(f"e{number}"))
            (claimed,) = await store.claim(T0, 1, LEASE)
            await store.bury(claimed, T0, "x", (JournalEntry(T0, "sms ended", {"sms": f"e{number}"}),))
        whole = await store.dump(ANNA)
        assert whole
        assert [each.data.get("sms") or each.data["id"] for each in whole.journal] == ["e2", "e2", "e3", "e3"]

    on(open_store, test, journal_entries=2)


def test_a_change_that_is_refused_lets_go_of_nothing(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await note(store, JournalEntry(T0, "activated"))
        _, version = await store.load(ANNA)
        notes = [JournalEntry(T0 + 1, "activated")]
        assert not await store.commit(Change(version - 1, Subscriber(ANNA), notes))
        assert not await store.commit(Change(version, Subscriber(ANNA), notes, settled=["none"]))
        assert [each.at for each in await store.journal(ANNA)] == [T0]

    on(open_store, test, journal_entries=1)


def test_what_is_restored_stays_whole_and_a_longer_journal_is_cut_when_it_is_written_to(open_store: Open) -> None:
    async def body() -> None:
        longer, store = open_store(journal_entries=10), open_store(journal_entries=2)
        async with closing(longer, store):
            for number in range(10):
                await note(longer, JournalEntry(T0 + number, "sms ended"), JournalEntry(T0 + number, "code issued"))
            whole = await longer.dump(ANNA)
            assert whole
            await store.restore(whole)
            assert await store.dump(ANNA) == whole
            await note(store, JournalEntry(T0 + 10, "sms ended"))
            assert [each.at - T0 for each in await store.journal(ANNA, "sms ended")] == [10, 9]
            assert len(await store.journal(ANNA, "code issued")) == 10

    asyncio.run(body())


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


def test_several_are_forgotten_at_once_and_nobody_else(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for key, msisdn in zip("abc", (ANNA, BORIS, VERA), strict=True):
            assert await put_answer(store, msisdn, answer_to(key))
        unknown = "79990000000"
        await store.forget_each([ANNA, VERA, unknown])
        assert await store.subscribers("", 10) == [BORIS]
        assert [await store.answer("kiosk-1", key) for key in "abc"] == [None, answer_to("b"), None]
        assert await store.load(VERA) == (Subscriber(VERA), 0)
        await store.forget_each([])
        assert await store.subscribers("", 10) == [BORIS]

    on(open_store, test)
