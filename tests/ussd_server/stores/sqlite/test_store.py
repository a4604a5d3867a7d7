"""What the SQLite store passes on is on the disk, and a sweep is in nobody's way."""

import asyncio
from pathlib import Path

import pytest

from tests.ussd_server.stores.sqlite.bench import ANNA, HeldDisk, Statements, on
from ussd_server.stores.base import Change, KeptAnswer
from ussd_server.stores.sqlite import store as sqlite
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


def test_an_answer_is_passed_on_when_the_disk_has_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(store: SqliteStore) -> None:
        disk = HeldDisk(monkeypatch)
        kept = KeptAnswer("kiosk-1", "k", b"f", b"b", 1)
        first = asyncio.ensure_future(store.commit(Change(0, Subscriber(ANNA), answer=kept)))
        await disk.asked.get()
        again = asyncio.ensure_future(store.answer("kiosk-1", "k"))
        assert await store.answer("kiosk-1", "another") is None
        for _ in range(5):
            await asyncio.sleep(0)
        assert not again.done()
        disk.may.release()
        assert await first
        await disk.asked.get()
        assert not again.done()
        disk.may.release()
        assert await again == kept

    on(path, test)


def test_a_sweep_lets_commits_in_between(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await asyncio.gather(*(store.use_nonce("kiosk-1", f"n{n}", 1) for n in range(4 * sqlite.SWEEP_SLICE)))
        statements = Statements(store)
        assert await store.sweep(1, 10_000) == 4 * sqlite.SWEEP_SLICE
        assert statements.count("COMMIT") == 4

    on(path, test)
