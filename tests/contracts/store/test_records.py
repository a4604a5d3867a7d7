"""A subscriber's record comes back as it was committed, and only its newest version can be replaced."""

import asyncio

import pytest

from menus.session import Pending, Place, Session
from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, Open, closing, entry, on, put, told
from ussd_server.stores.base import Change, Store
from ussd_server.subscribers.record import Exchange, Pushed, Subscriber


def test_an_unknown_number_has_a_fresh_record_of_version_0(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)
        assert await store.journal(ANNA) == []
        assert await store.next_due() is None
        assert await store.claim(T0, 10, LEASE) == []

    on(open_store, test)


def test_what_is_remembered_of_a_record_is_what_was_loaded_or_committed(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert store.remembered(ANNA) is None
        assert await told(store, Change(0, Subscriber(ANNA, "ru")))
        assert store.remembered(ANNA) == await store.load(ANNA) == (Subscriber(ANNA, "ru"), store.remembered(ANNA)[1])  # type: ignore[index]
        async with closing(other := open_store()):
            assert other.remembered(ANNA) is None
            loaded = await other.load(ANNA)
            assert other.remembered(ANNA) == loaded
            assert await told(other, Change(loaded[1], Subscriber(ANNA, "en")))
        assert await told(store, Change(loaded[1], Subscriber(ANNA, "de"))) is False
        assert store.remembered(ANNA) is None

    on(open_store, test)


def test_a_record_comes_back_whole_also_after_a_restart(open_store: Open) -> None:
    session = Session("s1", "r1", "ussd", "tariffs", T0, 2, (Place("home"), Place("list", 1)), {"n": [1, {"ru": "Я"}]})
    record = Subscriber(
        ANNA,
        "ru-Latn",
        T0,
        sessions={"ussd": session},
        exchanges={"ussd": Exchange("d", "l", 1, -1, False, T0, b"*111#", None, True)},
        pending={"o1": Pending("o1", "r1", "done", {"price": 9900})},
        replies=(T0, T0 + 1),
        offers_at=T0,
        push=Pushed("p1", "ask", "smpp://a@b:1", T0 + 1, True, Exchange("d", "l", 1, 2, True, T0, b"1", "Bye", True)),
    )

    async def write(store: Store) -> None:
        assert await store.commit(Change(0, record))
        assert (await store.load(ANNA))[0] == record

    async def read(store: Store) -> None:
        loaded, version = await store.load(ANNA)
        assert loaded == record
        assert version > 0
        assert await store.load(BORIS) == (Subscriber(BORIS), 0)

    on(open_store, write)
    on(open_store, read)


def test_every_commit_makes_a_new_version_and_only_the_newest_can_be_replaced(open_store: Open) -> None:
    async def test(store: Store) -> None:
        record = Subscriber(ANNA)
        seen = []
        for _ in range(3):
            _, version = await store.load(ANNA)
            assert await store.commit(Change(version, record))
            assert not await store.commit(Change(version, Subscriber(ANNA, "xx")))
            seen.append(version)
        assert len(set(seen)) == 3
        assert (await store.load(ANNA))[0] == record

    on(open_store, test)


@pytest.mark.parametrize("msisdn", ["", "abc", "0123", "+79100000001", "1234567890123456", "-79100000001"])
def test_what_is_no_msisdn_is_refused_and_changes_nothing(open_store: Open, msisdn: str) -> None:
    async def test(store: Store) -> None:
        with pytest.raises(ValueError):
            await store.load(msisdn)
        with pytest.raises(ValueError):
            await store.commit(Change(0, Subscriber(msisdn), outbox=[entry("a")]))
        assert await store.next_due() is None
        assert await put(store, ANNA)

    on(open_store, test)


def test_the_latest_record_is_what_any_server_has_committed(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            assert await put(one, ANNA)
            for language in ("ru", "en"):
                _, version = await one.load(ANNA)
                assert await one.commit(Change(version, Subscriber(ANNA, language)))
                assert await two.load(ANNA, latest=True) == await one.load(ANNA)
                assert await two.load(ANNA) == await one.load(ANNA)
            assert await one.forget(ANNA)
            assert await two.load(ANNA, latest=True) == (Subscriber(ANNA), 0)
            assert await two.load(ANNA) == (Subscriber(ANNA), 0)

    asyncio.run(body())
