"""A change that does not apply costs only itself, and what a change has beside its record only itself, too."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.ussd_server.stores.sqlite.bench import ANNA, BORIS, Statements, change, number, on
from ussd_server.stores.base import Change, Claimed, JournalEntry, OutboxEntry
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


def test_one_refused_change_costs_only_itself(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(number(40)))
        outcomes = await asyncio.gather(*(store.commit(change(number(n), "en")) for n in range(64)))
        assert outcomes == [n != 40 for n in range(64)]
        assert [(await store.load(number(n)))[0].language for n in (39, 40, 41)] == ["en", "ru", "en"]

    on(path, test)


def test_a_value_that_cannot_be_stored_is_the_callers_mistake_alone(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        too_late = Change(0, Subscriber(BORIS), outbox=[OutboxEntry("a", "sms", 2**64, {})])
        outcomes = await asyncio.gather(store.commit(change(ANNA)), store.commit(too_late), return_exceptions=True)
        assert outcomes[0] is True
        assert isinstance(outcomes[1], ValueError)
        with pytest.raises(TypeError):
            await store.commit(Change(0, Subscriber(BORIS), outbox=[OutboxEntry("a", "sms", 1, {"x": object()})]))
        assert await store.next_due() is None

    on(path, test)


def test_only_who_adds_to_the_journal_pays_for_its_bound(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(ANNA))
        _, version = await store.load(ANNA)
        statements = Statements(store)
        assert await store.commit(change(ANNA, version=version))
        notes = [JournalEntry(1, "sms ended"), JournalEntry(2, "sms ended")]
        assert statements.count("INSERT INTO journal") == statements.count("DELETE FROM journal") == 0
        assert await store.commit(Change((await store.load(ANNA))[1], Subscriber(ANNA), notes))
        assert (statements.count("INSERT INTO journal"), statements.count("DELETE FROM journal")) == (2, 1)

    on(path, test)


def order(n: int, id: str) -> Change:
    return Change(0, Subscriber(number(n)), outbox=[OutboxEntry(id, "sms", 1, {})])


async def held_together(store: SqliteStore, changes: list[Change]) -> list[list[Claimed] | BaseException | None]:
    asked = (store.commit_and_hold(change, 1, 1_000) for change in changes)
    return await asyncio.gather(*asked, return_exceptions=True)


def test_entries_of_many_changes_go_into_the_outbox_together(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        statements = Statements(store)
        ids = [f"entry {n}" for n in range(64 + 16 + 4 + 2)]
        came = await held_together(store, [order(n, id) for n, id in enumerate(ids)])
        assert statements.count("INSERT OR FAIL INTO outbox") == 5
        assert [[each.entry.id for each in held] for held in came if isinstance(held, list)] == [[id] for id in ids]
        assert [each.entry.id for each in await store.claim(1_000, 100, 1)] == ids

    on(path, test)


def test_an_id_that_is_taken_costs_only_its_own_change(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(order(99, "taken"))
        came = await held_together(store, [order(n, "taken" if n == 11 else f"entry {n}") for n in range(20)])
        assert [isinstance(each, ValueError) for each in came] == [n == 11 for n in range(20)]
        # Who was in its group is held or can be claimed.
        held = [each.entry.id for one in came if isinstance(one, list) for each in one]
        claimed = [each.entry.id for each in await store.claim(1, 100, 1)]
        assert sorted(held + claimed) == sorted(["taken", *(f"entry {n}" for n in range(20) if n != 11)])

    on(path, test)


def test_of_a_change_that_has_no_stored_form_nothing_goes_with_the_others(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        unfit = Change(0, Subscriber(BORIS), [JournalEntry(1, "a", {}), JournalEntry(1, "b", {"x": object()})])
        entries = [OutboxEntry("a", "sms", 1, {}), OutboxEntry("b", "sms", 1, {"x": object()})]
        outcomes = await asyncio.gather(
            store.commit(unfit),
            store.commit(msgspec.structs.replace(unfit, journal=[], outbox=entries)),
            store.commit(change(ANNA)),
            return_exceptions=True,
        )
        assert [type(each) for each in outcomes] == [TypeError, TypeError, bool]
        assert (await store.journal(BORIS), await store.next_due()) == ([], None)
        assert await store.subscribers("", 10) == [ANNA]

    on(path, test)
