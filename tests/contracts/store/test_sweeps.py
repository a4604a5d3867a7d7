"""What is over is swept piece by piece, and a walk meets every number, while others come and go."""

import asyncio

from tests.contracts.store.steps import ANNA, T0, VERA, Open, answer_to, closing, on, put, put_answer
from ussd_server.stores.base import Store


def test_what_is_over_is_swept_and_nothing_else(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for n in range(5):
            assert await store.use_nonce("kiosk-1", f"n{n}", T0 + n)
            assert await put_answer(store, ANNA, answer_to(f"k{n}", expires=T0 + n))
        assert await store.sweep(T0 - 1, 100) == 0
        assert await store.sweep(T0 + 2, 100) == 6
        assert await store.sweep(T0 + 2, 100) == 0
        kept = [await store.answer("kiosk-1", f"k{n}") for n in range(5)]
        assert kept == [None] * 3 + [answer_to(f"k{n}", expires=T0 + n) for n in (3, 4)]
        assert [await store.use_nonce("kiosk-1", f"n{n}", T0) for n in range(5)] == [True] * 3 + [False] * 2
        assert (await store.load(ANNA))[1] > 0

    on(open_store, test)


def test_a_sweep_deletes_no_more_than_it_is_asked_to(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await asyncio.gather(*(store.use_nonce("kiosk-1", f"n{n}", T0) for n in range(300)))
        for n in range(5):
            assert await put_answer(store, ANNA, answer_to(f"k{n}"))
        swept = [await store.sweep(T0, limit) for limit in (0, 1, 100, 200, 200)]
        assert swept == [0, 1, 100, 200, 4]

    on(open_store, test)


def test_two_servers_may_sweep_at_once_while_others_write(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            await asyncio.gather(*(one.use_nonce("kiosk-1", f"old {n}", T0) for n in range(500)))
            swept_one, swept_two, *others = await asyncio.gather(
                one.sweep(T0, 1000), two.sweep(T0, 1000),
                *(two.use_nonce("kiosk-1", f"new {n}", T0 + 1) for n in range(100)),
                *(put(one, f"7910000{n:04}") for n in range(1000, 1100)),
            )  # fmt: skip
            assert swept_one + swept_two == 500
            assert all(others)
            assert await one.sweep(T0 + 1, 1000) == 100

    asyncio.run(body())


def test_a_walk_meets_every_number_once_while_others_come_and_go(open_store: Open) -> None:
    async def test(store: Store) -> None:
        there = [f"7910000{n:04}" for n in range(1000, 1020)] + [VERA, "79100001"]
        await asyncio.gather(*(put(store, msisdn) for msisdn in there))
        met: list[str] = []
        after = ""
        while some := await store.subscribers(after, 3):
            assert len(some) <= 3
            met += some
            after = some[-1]
            await put(store, f"7910000{2000 + len(met)}")
            await put(store, f"7910000{1000 - len(met)}")
            await put(store, there[0])
            if len(met) < 40:
                await store.forget(f"7910000{2000 + len(met)}")
        assert len(met) == len(set(met))
        assert set(there) <= set(met)
        assert await store.subscribers("", 0) == []

    on(open_store, test)
