"""What is added to a store that holds others leaves what only that has; a store is added to only where that is said."""

from pathlib import Path

import pytest

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
    entry,
    failing,
    furnish,
)
from ussd_server.stores.base import Change, Everything, KeptAnswer, Nonce, Standing, Store, StoreUnavailable
from ussd_server.stores.copying import Copier
from ussd_server.stores.moving import CopyError, reopen
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal


@pytest.mark.parametrize("what", ["subscriber", "terminal", "nonce"])
def test_a_store_that_holds_anything_is_left_alone(what: str, tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        if what == "subscriber":
            assert await target.commit(Change(0, Subscriber(ANNA, "en")))
        elif what == "terminal":
            assert await target.commit_terminal(Terminal("kiosk-1", "another"), 0)
        else:
            assert await target.use_nonce("kiosk-1", "another", T0)
        with pytest.raises(CopyError, match="the new one holds other data; take an empty store, or say"):
            await copy(source, target)
        assert len(await target.subscribers("", 100)) == (what == "subscriber")
        assert await target.mark() == ""

    between(("sqlite", "sqlite"), tmp_path, body)


def test_what_is_added_to_a_store_leaves_what_only_that_has(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await target.commit(Change(0, Subscriber(ANNA, "en"), outbox=[entry("old")]))
        assert await target.commit(Change(0, Subscriber("447700900123", "en")))
        copier = Copier(source, failing(target, "restore", 5), "the old store", "the new one", T0)
        assert not await copier.begin(into_nonempty=True)
        with pytest.raises(StoreUnavailable):
            await copier.copy()
        done = await copy(source, target)  # it is known that it is added to
        assert done.went_on
        for msisdn in NUMBERS:
            assert await target.dump(msisdn) == await source.dump(msisdn)
        assert await target.dump("447700900123") == Everything(Subscriber("447700900123", "en"))
        assert await target.mark() == ""

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_who_is_forgotten_while_copied_ahead_does_not_come_back_with_what_is_added(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await target.commit(Change(0, Subscriber(BORIS, "en")))
        assert await target.commit(Change(0, Subscriber("447700900123", "en")))
        whole = await source.dump(VERA)
        assert whole
        await target.restore(whole)  # it had this one before, and the same
        copier = Copier(source, target, "the old store", "the new one", T0)
        await copier.begin(into_nonempty=True)
        await copier.seed()
        for msisdn in (ANNA, BORIS, VERA):
            assert await source.forget(msisdn)
        with pytest.raises(StoreUnavailable):
            await copy(failing(source, "terminals", 1), target)
        done = await copy(source, target)
        assert done.went_on
        assert sorted(await target.subscribers("", 100)) == sorted([VERA, *NUMBERS[3:], "447700900123"])
        assert await target.brought("", 100) == []
        # Another copy takes none of them for its own.
        await reopen(source, "the old store")
        await source.forget(NUMBERS[3])
        await copy(source, target, into_nonempty=True)
        assert len(await target.subscribers("", 100)) == 11

    between(pair, tmp_path, body)


def test_who_is_gone_by_the_end_is_removed_together(tmp_path: Path) -> None:
    """To forget one costs a look at all pointers to answers, or emptying a log."""

    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        copier = Copier(source, target, "the old store", "the new one", T0)
        await copier.begin()
        await copier.seed()
        for msisdn in NUMBERS[4:]:
            assert await source.forget(msisdn)
        asked: list[list[str]] = []

        async def note(msisdns: list[str]) -> None:
            asked.append(sorted(msisdns))

        await copy(source, Wrapped(target, forget_each=note))  # type: ignore[arg-type]
        assert asked == [NUMBERS[4:]]
        assert sorted(await target.subscribers("", 100)) == NUMBERS[:4]

    between(("sqlite", "sqlite"), tmp_path, body)


def test_what_belongs_to_another_there_is_not_taken_away(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        taken = KeptAnswer("kiosk-1", "key-3", b"f", b"another", T0)
        await target.restore(
            Everything(Subscriber("447700900123"), outbox=[Standing(entry("x"), T0, 0)], answers=[taken])
        )
        with pytest.raises(CopyError, match=r"7910\*\*\*0003 cannot be copied"):
            await copy(source, target, into_nonempty=True)
        assert await target.answer("kiosk-1", "key-3") == taken

    between(("sqlite", "sqlite"), tmp_path, body)


def test_half_a_store_is_neither_copied_nor_copied_into_from_another(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await source.set_mark("copied from a third")
        with pytest.raises(CopyError, match="the old store is not whole, it is being copied from a third"):
            await copy(source, target)
        await source.set_mark("")
        await target.set_mark("copied from a third")
        with pytest.raises(CopyError, match="the new one is being copied from a third; end that copy"):
            await copy(source, target)
        assert await target.nonces(None, 1) == list[Nonce]()

    between(("sqlite", "sqlite"), tmp_path, body)
