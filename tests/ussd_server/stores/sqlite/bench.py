"""A store on a file, a disk that waits, and what a test says to them."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ussd_server.stores.base import Change, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber

ANNA, BORIS = "79100000001", "79100000002"


def number(n: int) -> str:
    return f"7910{n:07}"


def change(msisdn: str, language: str = "ru", version: int = 0) -> Change:
    return Change(version, Subscriber(msisdn, language))


def on(path: Path, test: Callable[[SqliteStore], Coroutine[Any, Any, None]], **options: int) -> None:
    async def body() -> None:
        store = SqliteStore(path, **options)
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(body())


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


class Statements:
    """What a store's connection is told to do."""

    def __init__(self, store: SqliteStore) -> None:
        self.seen: list[str] = []
        store._db.set_trace_callback(self.seen.append)

    def count(self, beginning: str) -> int:
        return sum(statement.startswith(beginning) for statement in self.seen)


class HeldDisk:
    """A disk that syncs when it is told to: the thread that syncs waits here, and the loop hears of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = asyncio.get_running_loop()
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.may = threading.Semaphore(0)
        self.real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.sync)

    def sync(self, descriptor: int) -> None:
        self.loop.call_soon_threadsafe(self.asked.put_nowait, None)
        self.may.acquire()
        self.real(descriptor)


def refusal(path: Path) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        SqliteStore(path)
    return str(caught.value)
