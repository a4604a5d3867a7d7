"""Work of which more than the data is damaged is claimed all the same, as what nobody knows, and given up."""

import base64
from pathlib import Path

import pytest

from tests.ussd_server.stores.sqlite.bench import ANNA, BORIS, on
from ussd_server.stores.base import Change, OutboxEntry
from ussd_server.stores.damaged import DAMAGED
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


def ordered(id: str) -> OutboxEntry:
    return OutboxEntry(id=id, kind="command", due=1, data={"x": id})


@pytest.mark.parametrize(
    ("column", "name", "was"),
    [("id", "damaged-1", b'\xff command {"x":"a"}'), ("kind", "a", b'a \xff {"x":"a"}')],
)
def test_an_entry_damaged_in_more_than_its_data_holds_up_nobody_and_is_given_up(
    path: Path, column: str, name: str, was: bytes
) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(Change(0, Subscriber(ANNA), outbox=[ordered("a"), ordered("b")]))
        assert await store.commit(Change(0, Subscriber(BORIS), outbox=[ordered("c")]))
        await store._do(lambda: store._db.execute(f"UPDATE outbox SET {column} = CAST(x'ff' AS TEXT) WHERE id = 'a'"))
        before = await store.dump(ANNA)
        assert before is not None
        one, other = await store.claim(1, 10, 1_000)
        assert [each.entry for each in before.outbox] == [one.entry, ordered("b")]
        data = {DAMAGED: base64.b64encode(was).decode()}
        assert one.entry == OutboxEntry(id=name, kind="damaged", due=1, data=data)
        assert other.entry == ordered("c")
        await store.bury(one, 2, "damaged")
        (dead,) = await store.dead_letters(ANNA)
        assert (dead.id, dead.kind, dead.data) == (name, "damaged", data)
        assert [each.entry for each in await store.claim(2, 10, 1_000)] == [ordered("b")]

    on(path, test)


def test_who_dies_with_a_damaged_entry_leaves_it_as_others(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(Change(0, Subscriber(ANNA), outbox=[ordered("a")]))
        await store._do(lambda: store._db.execute("UPDATE outbox SET kind = CAST(x'ff' AS TEXT)"))
        (first,) = await store.claim(1, 10, 1_000)
        (again,) = await store.claim(1_001, 10, 1_000)
        assert (again.entry, again.attempt) == (first.entry, 2)
        whole = await store.dump(ANNA)
        assert whole is not None
        assert [each.entry for each in whole.outbox] == [first.entry]

    on(path, test)
