"""The SQLite store reads from memory what was used lately, without waiting, and names what is damaged."""

from pathlib import Path

import pytest

from tests.ussd_server.stores.sqlite.bench import ANNA, BORIS, Statements, change, number, on
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal


def test_loading_never_suspends(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await store.commit(change(ANNA))
        for msisdn in (ANNA, BORIS):
            with pytest.raises(StopIteration):
                store.load(msisdn).send(None)

    on(path, test)


def test_a_record_used_lately_is_not_read_again_and_the_oldest_make_room(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        for n in range(4):
            await store.commit(change(number(n)))
        await store.load(number(1))
        await store.commit(change(number(4)))
        statements = Statements(store)
        kept = [(await store.load(number(n)), statements.count("SELECT"))[1] for n in (1, 3, 4)]
        assert kept == [0, 0, 0]
        assert (await store.load(number(0)))[0] == Subscriber(number(0), "ru")
        assert statements.count("SELECT") == 1

    on(path, test, cached_records=4)


def test_a_terminal_is_decoded_once_a_version(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit_terminal(Terminal("kiosk-1", "one"), 0)
        first, version = await store.load_terminal("kiosk-1")
        assert (await store.load_terminal("kiosk-1"))[0] is first
        other = SqliteStore(path)
        assert await other.commit_terminal(Terminal("kiosk-1", "another"), version)
        await other.close()
        assert await store.load_terminal("kiosk-1") == (Terminal("kiosk-1", "another"), version + 1)

    on(path, test)


def test_large_records_make_room_by_their_size(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        for n in range(10):
            await store.commit(change(number(n), "x" * 1000))
        await store.commit(change(number(9), "y" * 1000, (await store.load(number(9)))[1]))
        statements = Statements(store)
        kept = []
        for n in (9, 8, 7, 6):
            await store.load(number(n))
            kept.append(statements.count("SELECT"))
        assert kept == [0, 0, 0, 1]

    on(path, test, cached_octets=4500)


def test_what_another_store_changed_is_seen_after_one_refusal(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await store.commit(change(ANNA))
        _, version = await store.load(ANNA)
        other = SqliteStore(path)
        assert await other.commit(change(ANNA, "en", version))
        await other.close()
        assert not await store.commit(change(ANNA, "xx", version))
        assert (await store.load(ANNA))[0].language == "en"

    on(path, test)


def test_a_damaged_record_is_named_without_its_number(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        store._db.execute("INSERT INTO subscriber VALUES (?, 1, x'c1')", (int(ANNA),))
        with pytest.raises(StoreUnavailable, match="is damaged") as caught:
            await store.load(ANNA)
        assert ANNA not in str(caught.value)

    on(path, test)


def test_a_damaged_terminal_is_named(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        store._db.execute("INSERT INTO terminal VALUES ('kiosk-1', 1, x'c1')")
        with pytest.raises(StoreUnavailable, match="the terminal 'kiosk-1' is damaged"):
            await store.load_terminal("kiosk-1")
        with pytest.raises(StoreUnavailable, match="the terminal 'kiosk-1' is damaged"):
            await store.terminals()

    on(path, test)
