"""A change that does not apply costs only itself, and what a change has beside its record only itself, too."""

import asyncio
from pathlib import Path

import pytest

from tests.ussd_server.stores.sqlite_bench import ANNA, BORIS, Statements, change, number, on
from ussd_server.stores.base import Change, JournalEntry, OutboxEntry
from ussd_server.stores.sqlite import SqliteStore
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
