"""After a rotation every code is under the new key, whatever else happens to the records meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.rewrap import BATCH, Pass, rewrap
from ussd_server.secrecy.sealed import Held, holdings
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.base import Change, JournalEntry, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access, SealedCode
from ussd_server.subscribers.record import Subscriber

NOW = 1_763_881_200_000
OLD = Keyring().completed(NOW)
NEW = OLD.rotate("kek", NOW + 1)
OLD_KEK, NEW_KEK = OLD.current("kek").id, NEW.current("kek").id
CODE = Secret("90417263")


def number(index: int) -> str:
    return f"7910{index:07d}"


def box(msisdn: str) -> SealedCode:
    """Return a code as it is stored under the old key, without the 22 ms of an argon2id."""
    kid, sealed = Vault(OLD)._encrypt(Secret(b"h" * 32), b"")
    assert kid == OLD_KEK
    return SealedCode(kid, b"s" * 16, sealed)


async def put(store: SqliteStore, msisdn: str, sealed: SealedCode | None, version: int = 0) -> None:
    access = Access(sealed=sealed, generation=1, issued_at=NOW)
    assert await store.commit(Change(version, Subscriber(msisdn, access=access)))


def play(directory: Path, story: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def within() -> None:
        store = SqliteStore(directory / "store.db")
        try:
            await story(store)
        finally:
            await store.close()

    asyncio.run(within())


def test_every_code_is_moved_and_still_checks(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        sealed = Vault(OLD).seal(CODE, number(1), 1)
        await put(store, number(1), sealed)
        await put(store, number(2), None)
        assert await holdings(store) == {OLD_KEK: {"code": Held(1)}}
        assert await rewrap(store, Vault(NEW)) == Pass(moved=1)
        assert await holdings(store) == {NEW_KEK: {"code": Held(1)}}
        record, _ = await store.load(number(1))
        assert record.access == replace(record.access, generation=1, issued_at=NOW)
        only_new = Vault(NEW.retire(OLD_KEK))
        assert only_new.check(record.access.sealed, CODE, number(1), 1).right
        # Whoever runs it again finds nothing to do.
        assert await rewrap(store, Vault(NEW)) == Pass()

    play(tmp_path, story)


def test_a_walk_over_many_records_tells_how_far_it_is(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        many = 2 * BATCH + 7
        await asyncio.gather(*(put(store, number(index), None) for index in range(many)))
        for work in (lambda done: rewrap(store, Vault(NEW), done), lambda done: holdings(store, done)):
            steps: list[int] = []
            await work(steps.append)
            assert sum(steps) == many
            assert max(steps) <= BATCH

    play(tmp_path, story)


def test_a_damaged_code_is_counted_and_left_as_it_is(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        moved_here = box(number(1))  # sealed for no place at all
        foreign = SealedCode("kek-gone", b"s" * 16, b"b" * 72)
        await put(store, number(1), moved_here)
        await put(store, number(2), foreign)
        assert await rewrap(store, Vault(NEW)) == Pass(damaged=2)
        assert (await store.load(number(1)))[0].access.sealed == moved_here
        assert (await store.load(number(2)))[0].access.sealed == foreign

    play(tmp_path, story)


def test_a_record_that_cannot_be_read_is_counted_and_told_and_the_walk_goes_on(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        for index in range(1, 4):
            await put(store, number(index), box(number(index)))
        await put(store, number(4), Vault(OLD).seal(CODE, number(4), 1))
        store._db.execute("UPDATE subscriber SET record = x'ff00' WHERE msisdn = ?", (int(number(2)),))
        store._cache.drop(number(2))
        unread: list[str] = []
        found = await holdings(store, unread=unread.append)
        assert found == {OLD_KEK: {"code": Held(3)}, "": {"subscriber": Held(1)}}
        assert await rewrap(store, Vault(NEW), unread=unread.append) == Pass(moved=1, damaged=3)
        assert unread == [number(2)] * 2

    play(tmp_path, story)


def test_a_note_that_cannot_be_read_holds_up_no_count(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        change = Change(0, Subscriber(number(1)), journal=[JournalEntry(NOW, "x", {"a": 1})])
        assert await store.commit(change)
        for octets in (b"{", b'{"\xff'):
            store._db.execute("UPDATE journal SET data = CAST(? AS TEXT)", (octets,))
            assert await holdings(store) == {}

    play(tmp_path, story)


def test_a_store_that_is_away_ends_the_walk(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        await put(store, number(1), box(number(1)))
        store._file.broken = "the disk lost a write"
        for walk in (holdings(store), rewrap(store, Vault(NEW))):
            with pytest.raises(StoreUnavailable, match="lost a write"):
                await walk

    play(tmp_path, story)


def test_a_record_that_changes_meanwhile_keeps_its_change(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        await put(store, number(1), Vault(OLD).seal(CODE, number(1), 1))

        class Busy:
            """The store, on which a server counts a wrong entry between our load and our commit, so many times."""

            def __init__(self, times: int) -> None:
                self.times = times

            subscribers = store.subscribers
            load = store.load

            async def commit(self, change: Change) -> bool:
                if self.times:
                    self.times -= 1
                    record, version = await store.load(change.record.msisdn)
                    access = replace(record.access, wrong=record.access.wrong + 1)
                    assert await store.commit(Change(version, replace(record, access=access)))
                return await store.commit(change)

        assert await rewrap(Busy(100), Vault(NEW)) == Pass(contended=1)  # type: ignore[arg-type]
        counted = (await store.load(number(1)))[0].access.wrong
        assert await rewrap(Busy(2), Vault(NEW)) == Pass(moved=1)  # type: ignore[arg-type]
        record, _ = await store.load(number(1))
        assert record.access.wrong == counted + 2
        assert record.access.sealed is not None
        assert record.access.sealed.kid == NEW_KEK

    play(tmp_path, story)
