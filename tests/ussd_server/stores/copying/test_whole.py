"""What is copied from one store to another is all there is, and goes on there as it would have here."""

import asyncio
from pathlib import Path

import pytest

from tests.ussd_server.stores.copying.two import LEASE, NUMBERS, PAIRS, T0, between, copy, differences, furnish
from ussd_server.stores.base import Change, Store
from ussd_server.stores.copying import AT_ONCE
from ussd_server.stores.moving import reopen
from ussd_server.subscribers.record import Subscriber


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_all_there_is_is_copied(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        done = await copy(source, target)
        assert (done.written, done.changed, done.went_on) == (12 + 3 + 3, 0, False)
        assert done.last.source == done.last.target
        assert done.last.source.counts == {
            "subscribers": 12,
            "journal entries": sum(range(12)) + 6,
            "outbox entries": 6 * 4 + 6 * 3,
            "dead letters": 6,
            "kept answers": 12,
            "terminals": 3,
            "nonces": 3,
        }
        for msisdn in NUMBERS:
            assert await target.dump(msisdn) == await source.dump(msisdn)
        assert await target.terminals() == await source.terminals()
        assert [each.until for each in await target.nonces(None, 10)] == [T0 + 1] * 3
        assert not await target.use_nonce("kiosk-1", f"nonce-{T0 + 1}", T0 + 1)
        assert await target.mark() == ""
        assert await differences(source, target) == []

    between(pair, tmp_path, body)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_what_waited_in_the_one_is_done_in_the_other_in_the_same_order(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        await reopen(source, "the old store")
        for now in (T0, T0 + 5, T0 + LEASE, T0 + 2 * LEASE):
            assert await target.next_due() == await source.next_due()
            ours, theirs = await source.claim(now, 100, LEASE), await target.claim(now, 100, LEASE)
            assert sorted(theirs, key=str) == sorted(ours, key=str)
            for store, claimed in ((source, ours), (target, theirs)):
                for each in claimed:
                    record, version = await store.load(each.msisdn)
                    assert await store.commit(Change(version, record, settled=[each.entry.id]))
        assert await target.next_due() is None

    between(pair, tmp_path, body)


def test_more_than_is_looked_at_at_once_is_copied(tmp_path: Path) -> None:
    numbers = [str(79200000000 + number) for number in range(2 * AT_ONCE + 3)]

    async def body(source: Store, target: Store) -> None:
        await asyncio.gather(*(source.commit(Change(0, Subscriber(msisdn))) for msisdn in numbers))
        done = await copy(source, target)
        assert done.last.target.counts["subscribers"] == len(numbers)
        assert await target.subscribers("", 1000) == numbers

    between(("sqlite", "sqlite"), tmp_path, body)
