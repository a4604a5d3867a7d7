"""Where a store went is known until it is reopened, and what is not whole is reopened only where that is said."""

from pathlib import Path
from typing import Any

import pytest

from tests.contracts.stores import STORES
from tests.ussd_server.stores.copying.two import ANNA, T0, InUse, Wrapped, between, copy, failing, furnish
from ussd_server.stores.base import Change, Store, StoreUnavailable
from ussd_server.stores.copying import Copier
from ussd_server.stores.moving import CopyError, leave_unfinished, refuse_marked, reopen
from ussd_server.subscribers.record import Subscriber


def test_a_store_that_was_reopened_meanwhile_is_not_called_copied(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def back(*arguments: Any) -> None:
            await reopen(source, "the old store")

        with pytest.raises(CopyError, match="the old store was reopened meanwhile: give the same command again"):
            await copy(Wrapped(source, terminals=back), target)  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("pair", [("sqlite", "redis"), ("redis", "sqlite")], ids="-".join)
def test_where_a_store_went_is_known_until_it_is_reopened(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        for nonempty in (False, True):
            with pytest.raises(CopyError, match="moved to the new one already: name that one with --store; or, to go"):
                await copy(source, target, into_nonempty=nonempty)
        elsewhere = Copier(source, target, "the old store", "a third", T0)
        with pytest.raises(CopyError, match="the old store is moved to the new one; end that copy, or give it up with"):
            await elsewhere.begin()
        back = Copier(target, source, "the new one", "the old store", T0)
        with pytest.raises(CopyError, match="the old store is moved to the new one; take an empty store"):
            await back.begin(into_nonempty=True)
        assert await reopen(source, "the old store") == "the new one"
        assert await reopen(source, "the old store") == ""
        assert await source.forget(ANNA)
        with pytest.raises(CopyError, match="the new one holds other data"):
            await copy(source, target)

    between(pair, tmp_path, body)


@pytest.mark.parametrize("pair", [("sqlite", "redis"), ("redis", "sqlite")], ids="-".join)
def test_a_copy_that_is_not_seen_to_its_end_can_be_served_from_where_that_is_said(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await target.commit(Change(0, Subscriber("447700900123", "en")))
        copier = Copier(source, failing(target, "restore", 5), "the old store", "the new one", T0)
        await copier.begin(into_nonempty=True)
        with pytest.raises(StoreUnavailable, match="away"):
            await copier.copy()
        with pytest.raises(CopyError, match="is not whole, it is being added to from the old store; end that copy"):
            await reopen(target, "the new one")
        with pytest.raises(CopyError, match="the new one is in use by process 7: end that first"):
            await leave_unfinished(InUse(target, "process 7"), "the new one")  # type: ignore[arg-type]
        server = STORES[pair[1]](tmp_path / "target")
        assert await leave_unfinished(InUse(target, ""), "the new one") == "the old store"  # type: ignore[arg-type]
        await refuse_marked(target, "the new one")
        assert await leave_unfinished(InUse(target, ""), "the new one") == ""  # type: ignore[arg-type]
        with pytest.raises(CopyError, match="the old store is moved to the new one, and whole; leave --unfinished out"):
            await leave_unfinished(source, "the old store")
        record, version = await server.load("447700900123")
        assert await server.commit(Change(version, record))
        await server.close()

    between(pair, tmp_path, body)


def test_a_copy_does_not_end_in_a_store_that_was_reopened_meanwhile(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def serve(*arguments: Any) -> None:
            await leave_unfinished(InUse(target, ""), "the new one")  # type: ignore[arg-type]

        with pytest.raises(CopyError, match="the new one was reopened meanwhile"):
            await copy(Wrapped(source, terminals=serve), target)  # type: ignore[arg-type]

    between(("sqlite", "sqlite"), tmp_path, body)


def test_only_what_was_moved_is_reopened(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(StoreUnavailable):
            await copy(source, failing(target, "restore", 5))
        with pytest.raises(CopyError, match="the new one is not whole, it is being copied from the old store; end"):
            await reopen(target, "the new one")
        with pytest.raises(CopyError, match="the old store is in use by process 7: end that first"):
            await reopen(InUse(source, "process 7"), "the old store")  # type: ignore[arg-type]
        assert await source.mark() == "moved to the new one"

    between(("sqlite", "sqlite"), tmp_path, body)
