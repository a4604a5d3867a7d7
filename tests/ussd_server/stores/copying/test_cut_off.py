"""A copy that was cut off, or whose source changed meanwhile, still ends right."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.ussd_server.stores.copying.two import (
    ANNA,
    BORIS,
    NUMBERS,
    PAIRS,
    T0,
    VERA,
    Wrapped,
    between,
    copy,
    differences,
    entry,
    failing,
    furnish,
    unfenced,
)
from ussd_server.stores.base import Change, Store, StoreUnavailable
from ussd_server.stores.copying import MAX_WALKS, Copier
from ussd_server.stores.moving import CopyError, refuse_marked, reopen
from ussd_server.subscribers.record import Subscriber


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize(
    ("name", "nth"), [("restore", 1), ("restore", 5), ("commit_terminal", 2), ("use_nonce", 2), ("dump", 13)]
)
def test_a_copy_that_was_cut_off_goes_on_with_what_has_changed_since(
    pair: tuple[str, str], name: str, nth: int, tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(StoreUnavailable):
            await copy(source, failing(target, name, nth))
        with pytest.raises(StoreUnavailable, match="end that first, with: ussd-server store copy"):
            await refuse_marked(target, "the new store")
        if await source.mark():
            with pytest.raises(StoreUnavailable, match="takes no changes: it is moved to the new one"):
                await source.forget(ANNA)
            assert await reopen(source, "the old store") == "the new one"
        # Servers went on with the old one: somebody came, went, changed; work was done; a nonce was used again.
        assert await source.commit(Change(0, Subscriber("447700900123"), outbox=[entry("new")]))
        await source.forget(ANNA)
        record, version = await source.load(BORIS)
        assert await source.commit(Change(version, record, settled=["1-last"]))
        await source.sweep(T0, 1000)
        assert await source.use_nonce("kiosk-1", f"nonce-{T0 - 1}", T0 + 9)
        done = await copy(source, target)
        assert done.went_on
        assert await differences(source, target) == []
        assert sorted(await target.subscribers("", 100)) == sorted([*NUMBERS[1:], "447700900123"])
        await refuse_marked(target, "the new store")
        with pytest.raises(StoreUnavailable, match="it is moved to the new one: name that one with --store; or"):
            await refuse_marked(source, "the old store")

    between(pair, tmp_path, body)


def test_what_changes_during_the_copy_is_copied_again_and_told(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        walks = iter(range(100))

        async def change(*arguments: Any) -> None:
            if next(walks) in (0, 1):  # after everybody was copied, and was compared once
                record, version = await source.load(VERA, latest=True)
                assert await source.commit(Change(version, replace(record, activated_at=record.activated_at + 1)))

        done = await copy(Wrapped(source, terminals=change, set_mark=unfenced), target)  # type: ignore[arg-type]
        assert done.changed == 2
        assert await target.dump(VERA) == await source.dump(VERA)

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_store_that_changes_all_the_time_is_not_called_copied(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def change(*arguments: Any) -> None:
            record, version = await source.load(VERA, latest=True)
            assert await source.commit(Change(version, replace(record, activated_at=record.activated_at + 1)))

        with pytest.raises(CopyError, match=f"each of {MAX_WALKS} comparisons, servers still run on it: stop them"):
            await copy(Wrapped(source, terminals=change, set_mark=unfenced), target)  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"
        assert (await copy(source, target)).went_on

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_store_that_is_still_written_can_be_copied_ahead(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        copier = Copier(source, target, "the old store", "the new one", T0)
        assert not await copier.begin()
        await copier.seed()
        assert await target.mark() == "copied from the old store"
        record, version = await source.load(VERA)
        assert await source.commit(Change(version, replace(record, language="en")))
        done = await copy(source, target)
        assert (done.went_on, done.written) == (True, 1)

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_copy_that_was_thrown_away_begins_anew(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(StoreUnavailable):
            await copy(source, failing(target, "restore", 5))
        for msisdn in await target.subscribers("", 100):
            await target.forget(msisdn)
        await target.set_mark("")  # as in another file of that name
        assert await source.mark() == "moved to the new one"
        assert not (await copy(source, target)).went_on
        assert await differences(source, target) == []

    between(("sqlite", "sqlite"), tmp_path, body)
