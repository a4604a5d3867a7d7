"""A store keeps what is noted of itself: that it is being copied into, and which keys its codes are under."""

import asyncio

from tests.contracts.store.steps import Open, closing, on
from ussd_server.stores.base import Store


def test_a_mark_stays_until_it_is_taken_off(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.mark() == ""
        await store.set_mark("being copied into")
        await store.set_mark("being copied into, from Ж")
        assert await store.mark() == "being copied into, from Ж"

    async def read(store: Store) -> None:
        assert await store.mark() == "being copied into, from Ж"
        await store.set_mark("")
        assert await store.mark() == ""

    on(open_store, write)
    on(open_store, read)


def test_what_is_noted_of_keys_stays_and_is_replaced_by_who_knows_it(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.noted_keys() == ""
        assert not await store.note_keys("others", "ours")
        assert await store.note_keys("", "theirs, with a Ж")
        await store.set_mark("another thing")

    async def read(store: Store) -> None:
        assert await store.noted_keys() == "theirs, with a Ж"
        assert not await store.note_keys("", "ours")
        assert await store.note_keys("theirs, with a Ж", "ours")
        assert (await store.noted_keys(), await store.mark()) == ("ours", "another thing")

    on(open_store, write)
    on(open_store, read)


def test_of_servers_that_note_their_keys_at_once_one_is_the_first(open_store: Open) -> None:
    async def body() -> None:
        stores = [open_store() for _ in range(3)]
        async with closing(*stores):
            noted = await asyncio.gather(*(store.note_keys("", str(n)) for n, store in enumerate(stores)))
            assert sorted(noted) == [False, False, True]
            assert {await store.noted_keys() for store in stores} == {str(noted.index(True))}

    asyncio.run(body())
