"""A copy into Redis that is killed as it takes its mark off goes on with all it knew, or has ended and leaves none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.redis_servers import RedisServer
from tests.ussd_server.stores.redis.steps import ANNA, BORIS, T0, store_at
from ussd_server.stores.base import Change, StoreUnavailable
from ussd_server.stores.copying import Copier
from ussd_server.stores.moving import refuse_marked, reopen
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber

VERA, GALINA = "79100000003", "79100000004"
WRITES = 11
"""The mark; the fences of four buckets and of what is noted; whom was brought to each bucket; that no more is left."""


def killed_after(store: RedisStore, writes: int) -> None:
    """Have the process killed when so many more commands that write have gone out."""
    ask, left = store.link.ask, writes

    def counted(slot: int, command: Any, writes: bool = False) -> Any:
        nonlocal left
        left -= writes
        if left < 0:
            raise ConnectionAbortedError
        return ask(slot, command, writes)

    store.link.ask = counted  # type: ignore[method-assign]


async def copy_killed_after(source: SqliteStore, server: RedisServer, writes: int) -> None:
    """Add Anna and Boris to a store that has Vera, and kill that at its end."""
    target = store_at(server)
    assert await target.commit(Change(0, Subscriber(VERA)))
    await target.close()
    for msisdn in (ANNA, BORIS):
        assert await source.commit(Change(0, Subscriber(msisdn)))
    target = store_at(server)
    copier = Copier(source, target, "FROM", "TO", T0)
    await copier.begin(into_nonempty=True)
    killed_after(target, writes)
    with pytest.raises(ConnectionAbortedError):
        await copier.copy()
    await target.close()


def left(server: RedisServer) -> list[bytes]:
    with server.client() as client:
        return [*client.scan_iter("*:fence"), *client.scan_iter("*:brought")]


def test_a_copy_whose_mark_is_there_still_is_fenced_and_knows_whom_it_brought(server: RedisServer, path: Path) -> None:
    async def body() -> None:
        source = SqliteStore(path)
        await copy_killed_after(source, server, 0)
        other = store_at(server)
        with pytest.raises(StoreUnavailable, match="being added to from FROM"):
            await refuse_marked(other, "TO")
        for msisdn in (f"7910001{n:04}" for n in range(20)):  # in every bucket
            with pytest.raises(StoreUnavailable, match="takes no changes"):
                await other.commit(Change(0, Subscriber(msisdn)))
        await other.close()
        await reopen(source, "FROM")
        assert await source.forget(BORIS)
        target = store_at(server)
        copier = Copier(source, target, "FROM", "TO", T0)
        await copier.copy(await copier.begin())
        assert sorted(await target.subscribers("", 10)) == [ANNA, VERA]
        await target.close()
        await source.close()

    asyncio.run(body())
    assert left(server) == []


@pytest.mark.parametrize("writes", range(1, WRITES))
@pytest.mark.parametrize("first", ["server", "copy"])
def test_whoever_comes_first_to_a_store_whose_mark_was_just_taken_off_removes_what_is_left_of_it(
    server: RedisServer, path: Path, writes: int, first: str
) -> None:
    async def body() -> None:
        source, other = SqliteStore(path), store_at(server)
        await copy_killed_after(source, server, writes)
        if first == "server":
            await refuse_marked(other, "TO")
            assert left(server) == []
            assert await other.commit(Change(0, Subscriber(GALINA)))
        else:  # another copy takes none of them for its own
            await reopen(source, "FROM")
            assert await source.forget(BORIS)
            copier = Copier(source, other, "FROM", "TO", T0)
            assert not await copier.begin(into_nonempty=True)
            await copier.copy()
            assert BORIS in await other.subscribers("", 10)
        await other.close()
        await source.close()

    asyncio.run(body())
    assert left(server) == []


def test_a_mark_that_was_being_set_is_set_by_the_same_command_whole(server: RedisServer) -> None:
    """Whom an earlier copy brought is not of this one."""

    async def body() -> None:
        for writes in range(WRITES):
            store = store_at(server)
            await store.set_mark("added to from FROM", fenced=True, passing=True)
            await store.close()
            with server.client() as client:
                client.zadd(store._layout.buckets[0].brought, {BORIS: 0})
            killed, again = store_at(server), store_at(server)
            await killed.mark()
            killed_after(killed, writes)
            with pytest.raises(ConnectionAbortedError):
                await killed.set_mark("added to from ANOTHER", fenced=True, passing=True)
            await killed.close()
            assert await again.mark() == f"added to from {'ANOTHER' if writes else 'FROM'}"
            await again.set_mark("added to from ANOTHER", fenced=True, passing=True)
            assert await again.brought("", 10) == []
            assert len(left(server)) == 5
            await again.set_mark("")
            await again.close()

    asyncio.run(body())
