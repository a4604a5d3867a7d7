"""The stores of a run start whole, name who takes the writes, and go on where that one is killed."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.storage import StoreKind, storage
from ussd_server.store_url import parse
from ussd_server.stores.base import Change, StoreUnavailable
from ussd_server.stores.opening import open_store
from ussd_server.subscribers.record import Subscriber


@pytest.mark.parametrize(("kind", "masters"), [("sentinel", 1), ("cluster", 3)])
def test_a_killed_master_is_replaced(tmp_path: Path, kind: StoreKind, masters: int) -> None:
    async def body() -> None:
        kept = storage(kind, tmp_path)
        try:
            await kept.start()
            first = await kept.masters()
            assert len(first) == masters
            store = await open_store(parse(kept.url))
            await first[0].kill()
            while first[0] in (now := await kept.masters()) or len(now) < masters:
                await asyncio.sleep(0.05)
            first[0].start()  # a commit waits for a replica
            while not await is_written(store.ping()):
                pass
            await store.close()
        finally:
            await kept.close()

    asyncio.run(body())


async def is_written(ping: object) -> bool:
    try:
        await ping  # type: ignore[misc]
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_it_is_seen_where_a_number_stands(tmp_path: Path, kind: StoreKind) -> None:
    async def body() -> None:
        kept = storage(kind, tmp_path)
        (tmp_path / "data").mkdir()
        try:
            await kept.start()
            store = await open_store(parse(kept.url))
            assert await store.commit(Change(0, Subscriber("79120000007")))
            assert await kept.traces("79120000007") != []
            assert await kept.traces("79120000008") == []
            await store.close()
        finally:
            await kept.close()

    asyncio.run(body())
