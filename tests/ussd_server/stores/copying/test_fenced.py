"""Nothing is acknowledged in either store that the copy would not hold."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.stores import STORES
from tests.ussd_server.stores.copying.two import (
    ANNA,
    PAIRS,
    T0,
    InUse,
    Wrapped,
    between,
    copy,
    differences,
    failing,
    furnish,
)
from ussd_server.stores.base import Change, JournalEntry, Store, StoreUnavailable
from ussd_server.stores.copying import Copier
from ussd_server.stores.moving import CopyError, refuse_marked, reopen
from ussd_server.subscribers.record import Subscriber


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_who_writes_what_was_compared_already_is_not_told_that_it_is_committed(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        server = STORES[pair[0]](tmp_path / "source")
        record, version = await server.load(ANNA)
        outcomes: list[object] = []
        blind: list[str] = []

        async def serve(*arguments: Any) -> None:  # after all subscribers were seen, in every walk
            change = Change(version, record, [JournalEntry(T0, "order placed", {})])
            outcomes.extend(await asyncio.gather(server.commit(change), return_exceptions=True))

        seen = InUse(Wrapped(source, terminals=serve), None, None)  # type: ignore[arg-type]
        copier = Copier(seen, target, "the old store", "the new one", T0, unseen=blind.append)
        done = await copier.copy(await copier.begin())
        await serve()
        assert [type(each) for each in outcomes] == [StoreUnavailable] * 3
        assert done.changed == 0
        assert "the old store" in blind
        assert await differences(source, target) == []
        blind.clear()
        assert await reopen(InUse(source, None), "the old store", blind.append) == "the new one"
        assert blind == ["the old store"]
        assert await server.commit(Change(version, record, [JournalEntry(T0, "order placed", {})]))
        await server.close()

    between(pair, tmp_path, body)


def test_a_server_that_started_before_the_store_was_fenced_ends_the_copy_and_goes_on(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(CopyError, match="the old store is in use by process 7: stop what runs on it, and give the"):
            await copy(InUse(source, "process 7"), target)  # type: ignore[arg-type]
        await refuse_marked(source, "the old store")
        assert await source.forget(ANNA)
        assert (await copy(source, target)).went_on

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("which", ["source", "target"])
def test_nobody_serves_from_what_somebody_else_had_open_in_the_end(which: str, tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        users = {"source": ("", "process 7"), "target": ("", "", "process 7")}[which]
        stores = {"source": source, "target": target}
        with pytest.raises(CopyError, match="is in use by process 7"):
            await copy(**stores | {which: InUse(stores[which], *users)})  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"
        assert await source.mark() == "moved to the new one"
        done = await copy(source, target)
        assert (done.went_on, done.written) == (True, 0)

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_server_that_started_on_the_new_store_before_that_was_marked_is_left_alone(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        for users, written in ((("process 7",), False), (("", "process 7"), True)):
            with pytest.raises(CopyError, match="the new one is in use by process 7: nobody may write it meanwhile"):
                await copy(source, InUse(target, *users))  # type: ignore[arg-type]
            assert (await target.mark(), await source.mark()) == ("", ""), written
        await copy(source, target)

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_nobody_writes_what_is_copied_into_until_the_copy_has_ended(pair: tuple[str, str], tmp_path: Path) -> None:
    outcomes: list[object] = []
    fresh = Change(0, Subscriber("447700900123"))

    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        server = STORES[pair[1]](tmp_path / "target")

        async def serve(*arguments: Any) -> None:
            outcomes.extend(await asyncio.gather(server.commit(fresh), return_exceptions=True))

        unseen = InUse(Wrapped(target, load_terminal=serve), *[None] * 9)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable, match="away"):
            await copy(failing(source, "nonces", 2), unseen)  # type: ignore[arg-type]
        await serve()
        await server.close()

    async def another_process(source: Store, target: Store) -> None:
        server = STORES[pair[1]](tmp_path / "target")
        seen = InUse(target, *[None] * 9)
        with pytest.raises(StoreUnavailable, match="it is being copied from the old store"):
            await server.commit(fresh)
        assert (await copy(source, seen)).went_on  # type: ignore[arg-type]
        assert await differences(source, target) == []
        assert await server.commit(fresh)
        await server.close()

    between(pair, tmp_path, body)
    assert [type(each) for each in outcomes] == [StoreUnavailable] * 4
    between(pair, tmp_path, another_process)
