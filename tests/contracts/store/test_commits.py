"""One commit changes all that belongs together or nothing, and who waits for it is told once what came of it."""

import asyncio

import pytest

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, VERA, Open, entry, ids, on, put, told
from ussd_server.stores.base import DELIVERIES, Change, Claimed, JournalEntry, Store, StoreUnavailable
from ussd_server.subscribers.record import Subscriber


def test_who_is_called_is_told_what_a_commit_returns_or_raises(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await told(store, Change(0, Subscriber(ANNA, "ru"), outbox=[entry("a")])) is True
        record, version = await store.load(ANNA)
        assert record == Subscriber(ANNA, "ru")
        assert await told(store, Change(version, Subscriber(ANNA, "en"))) is True
        assert await told(store, Change(version, Subscriber(ANNA, "de"))) is False
        for unfit in (
            Change((await store.load(ANNA))[1], record, outbox=[entry("a")]),
            Change(0, Subscriber("no number")),
            Change(0, Subscriber(BORIS), journal=[JournalEntry(T0, "unfit", {"no": object()})]),
        ):
            assert isinstance(await told(store, unfit), ValueError | TypeError)
        assert [each.language for each, _ in [await store.load(ANNA), await store.load(BORIS)]] == ["en", ""]
        await store.close()
        assert isinstance(await told(store, Change(0, Subscriber(BORIS))), StoreUnavailable)

    on(open_store, test)


@pytest.mark.parametrize("held", [False, True])
def test_nobody_is_told_before_the_call_returns_also_where_nothing_is_to_be_waited_for(
    open_store: Open, held: bool
) -> None:
    async def test(store: Store) -> None:
        note = [JournalEntry(T0, "noted", {})]
        assert await told(store, Change(0, Subscriber(ANNA), note), held) == ([] if held else True)
        refused = None if held else False
        for version in (0, -1):
            assert await told(store, Change(version, Subscriber(ANNA)), held) == refused
            assert await told(store, Change(version, Subscriber(ANNA), note), held) == refused
        version = (await store.load(ANNA))[1]
        for unfit in (
            Change(0, Subscriber("no number")),
            Change(0, Subscriber("no number"), note),
            Change(version, Subscriber(ANNA), [JournalEntry(T0, "unfit", {"no": object()})]),
            Change(version, Subscriber(ANNA, language=object())),  # type: ignore[arg-type]
        ):
            assert isinstance(await told(store, unfit, held), ValueError | TypeError)
        await store.close()
        for change in (Change(version, Subscriber(ANNA)), Change(version, Subscriber(ANNA), note)):
            assert isinstance(await told(store, change, held), StoreUnavailable)

    on(open_store, test)


def test_record_journal_and_outbox_are_written_together_or_not_at_all(open_store: Open) -> None:
    async def test(store: Store) -> None:
        journal = [JournalEntry(T0, "activated", {"by": "sms"}), JournalEntry(T0, "asked", {})]
        assert await store.commit(Change(0, Subscriber(ANNA, "ru"), journal, [entry("a", text="x")]))
        late = Change(0, Subscriber(ANNA, "en"), [JournalEntry(T0, "late", {})], [entry("b")], settled=["a"])
        assert not await store.commit(late)
        assert (await store.load(ANNA))[0].language == "ru"
        assert await store.journal(ANNA) == journal[::-1]
        claimed = await store.claim(T0, 10, LEASE)
        assert claimed == [Claimed(ANNA, entry("a", text="x"), 1, T0 + LEASE)]

    on(open_store, test)


def test_settling_removes_the_entry_and_can_be_done_once(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        before = await store.load(ANNA)
        assert await put(store, ANNA, settled=("a",))
        assert await store.claim(T0, 10, LEASE) == []
        after = await store.load(ANNA)
        assert before[1] != after[1]
        assert not await put(store, ANNA, entry("b"), settled=("a",))
        assert await store.load(ANNA) == after
        assert await store.next_due() is None

    on(open_store, test)


def test_one_cannot_settle_another_subscribers_entry(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        assert not await put(store, BORIS, settled=("a",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["a"]

    on(open_store, test)


def test_what_is_dropped_goes_where_it_is_there_and_is_not_missed_where_it_is_not(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"), entry("a.end", "delivery"), entry("b"))
        assert await put(store, BORIS, entry("theirs"))
        assert ids(await store.claim(T0, 10, LEASE, [DELIVERIES])) == ["a.end"]
        # What is held is dropped as well, and what waits behind it may go.
        assert await put(store, ANNA, dropped=("never", "a", "a.end", "theirs"))
        assert sorted(ids(await store.claim(T0, 10, LEASE))) == ["b", "theirs"]
        assert await put(store, ANNA, settled=("b",), dropped=("a",))
        assert await put(store, BORIS, dropped=("a", "theirs"))
        assert await put(store, ANNA, dropped=("b",))
        assert await store.next_due() is None
        assert await store.claim(T0 + LEASE, 10, LEASE) == []

    on(open_store, test)


def test_a_change_that_only_drops_is_refused_on_an_old_version_and_where_what_it_settles_is_gone(
    open_store: Open,
) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        record, version = await store.load(ANNA)
        assert not await store.commit(Change(0, record, dropped=["a"]))
        assert not await store.commit(Change(version, record, settled=["gone"], dropped=["a"]))
        assert ids(await store.claim(T0, 10, LEASE)) == ["a"]
        assert await told(store, Change((await store.load(ANNA))[1], record, dropped=["a"])) is True
        assert await store.next_due() is None

    on(open_store, test)


def test_what_was_given_up_is_not_missed_by_who_drops_it_and_stays_a_dead_letter(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a.end", "delivery"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.bury(claimed, T0, "damaged")
        assert await put(store, ANNA, dropped=("a.end",))
        assert [each.id for each in await store.dead_letters(ANNA)] == ["a.end"]

    on(open_store, test)


def test_an_id_that_is_taken_is_the_callers_mistake_and_spoils_no_other_commit(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, BORIS, entry("a"))
        before = await store.load(BORIS)
        outcomes = await asyncio.gather(
            put(store, VERA, entry("c")),
            put(store, BORIS, entry("b"), entry("a")),
            return_exceptions=True,
        )
        assert outcomes[0] is True
        assert isinstance(outcomes[1], ValueError)
        assert await store.load(BORIS) == before
        assert await put(store, BORIS, settled=("a",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["c"]

    on(open_store, test)
