"""A request's answer is kept with what it changed, and a request that has one changes nothing more."""

import asyncio

import pytest

from tests.contracts.store.steps import (
    ANNA,
    BORIS,
    LEASE,
    T0,
    Open,
    answer_to,
    closing,
    entry,
    ids,
    on,
    put,
    put_answer,
)
from ussd_server.stores.base import Change, Store
from ussd_server.subscribers.record import Subscriber


def test_an_answer_is_kept_with_what_it_answers_also_after_a_restart(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.answer("kiosk-1", "k") is None
        assert await put_answer(store, ANNA, answer_to("k"), "ru", entry("a"))
        assert await put_answer(store, BORIS, answer_to("k", b"\x00\xff", "kiosk-2"))
        assert await store.answer("kiosk-1", "k") == answer_to("k")

    async def read(store: Store) -> None:
        assert await store.answer("kiosk-1", "k") == answer_to("k")
        assert await store.answer("kiosk-2", "k") == answer_to("k", b"\x00\xff", "kiosk-2")
        assert await store.answer("kiosk-1", "K") is None
        assert (await store.load(ANNA))[0].language == "ru"

    on(open_store, write)
    on(open_store, read)


@pytest.mark.parametrize("msisdn", [ANNA, BORIS])
def test_a_request_that_has_an_answer_changes_nothing_a_second_time(open_store: Open, msisdn: str) -> None:
    async def test(store: Store) -> None:
        assert await put_answer(store, ANNA, answer_to("k", b"first"), "ru", entry("a"))
        before = await store.load(msisdn)
        assert not await put_answer(store, msisdn, answer_to("k", b"second"), "en", entry("b"))
        assert await store.load(msisdn) == before
        assert await store.answer("kiosk-1", "k") == answer_to("k", b"first")
        assert ids(await store.claim(T0, 10, LEASE)) == ["a"]

    on(open_store, test)


def test_an_answer_is_not_kept_where_the_change_is_refused(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA)
        assert not await store.commit(Change(0, Subscriber(ANNA), answer=answer_to("old version")))
        assert await store.answer("kiosk-1", "old version") is None
        _, version = await store.load(ANNA)
        gone = Change(version, Subscriber(ANNA), settled=["gone"], answer=answer_to("gone"))
        assert not await store.commit(gone)
        assert await store.answer("kiosk-1", "gone") is None

    on(open_store, test)


def test_of_many_that_answer_one_request_at_once_one_does_it(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        numbers = [f"7910000{n:04}" for n in range(1000, 1040)]
        async with closing(one, two):
            done = await asyncio.gather(
                *(
                    put_answer((one, two)[n % 2], msisdn, answer_to("k", msisdn.encode()))
                    for n, msisdn in enumerate(numbers)
                )
            )
            assert sum(done) == 1
            winner = numbers[done.index(True)]
            for store in (one, two):
                assert await store.answer("kiosk-1", "k") == answer_to("k", winner.encode())
                assert await store.subscribers("", 100) == [winner]

    asyncio.run(body())
