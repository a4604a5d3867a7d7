"""A store keeps what is noted of itself: that it is being copied, and which keys its codes are under."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, VERA, Open, answer_to, closing, entry, on, put, told
from ussd_server.stores.base import Change, Claimed, Everything, JournalEntry, Store, StoreUnavailable
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal


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


CHANGES: dict[str, Callable[[Store, Claimed], Awaitable[object]]] = {
    "a record": lambda store, held: put(store, ANNA),
    "a record with more": lambda store, held: put(store, ANNA, entry("more")),
    "a new record": lambda store, held: put(store, VERA),
    "a claim": lambda store, held: store.claim(T0, 10, LEASE),
    "a lease": lambda store, held: store.renew([held], T0 + 2 * LEASE),
    "work done": lambda store, held: store.settle([held]),
    "work put off": lambda store, held: store.postpone(held, T0 + 1, "busy"),
    "work given up": lambda store, held: store.bury(held, T0, "refused"),
    "a subscriber who is forgotten": lambda store, held: store.forget(ANNA),
    "a subscriber who is restored": lambda store, held: store.restore(Everything(Subscriber(VERA))),
    "a new terminal": lambda store, held: store.commit_terminal(Terminal("kiosk-2", "outside"), 0),
    "a nonce": lambda store, held: store.use_nonce("kiosk-1", "other", T0 + 1),
    "what is over": lambda store, held: store.sweep(T0, 10),
    "keys": lambda store, held: store.note_keys("", "ours"),
}


def test_a_fenced_store_takes_no_change_from_anybody(open_store: Open) -> None:
    async def body() -> None:
        server, mover = open_store(), open_store()
        async with closing(server, mover):
            for msisdn in (ANNA, BORIS):
                change = Change(0, Subscriber(msisdn), [JournalEntry(T0, "asked", {})], [entry(f"of {msisdn}")])
                assert await server.commit(change)
            assert await server.commit(Change((await server.load(ANNA))[1], Subscriber(ANNA), answer=answer_to("k")))
            assert await server.commit_terminal(Terminal("kiosk-1", "in the hall"), 0)
            assert await server.use_nonce("kiosk-1", "one", T0)
            held, _ = await server.claim(T0, 2, LEASE)
            assert await put(server, BORIS, entry("to be claimed", "command"))
            before = [await mover.dump(msisdn) for msisdn in (ANNA, BORIS)]
            await mover.set_mark("moved to Ж's", fenced=True)
            for change in CHANGES.values():
                with pytest.raises(StoreUnavailable, match=r"takes no changes.* moved to Ж's"):
                    await change(server, held)
            refused = await told(server, Change((await server.load(ANNA))[1], Subscriber(ANNA)))
            assert isinstance(refused, StoreUnavailable)
            assert [await mover.dump(msisdn) for msisdn in (ANNA, BORIS)] == before
            assert len(await server.nonces(None, 10)) == 1
            await server.ping()
            await mover.set_mark("moved to another", fenced=True)
            assert await server.mark() == "moved to another"
            await mover.set_mark("")
            for change in CHANGES.values():
                await change(server, held)
            assert await server.noted_keys() == "ours"

    asyncio.run(body())


COPIES: dict[str, Callable[[Store], Awaitable[object]]] = {
    "a subscriber": lambda store: store.restore(Everything(Subscriber(VERA)), brought=True),
    "who is gone": lambda store: store.forget(ANNA),
    "a terminal": lambda store: store.commit_terminal(Terminal("kiosk-2", "outside"), 0),
    "a nonce": lambda store: store.use_nonce("kiosk-1", "two", T0),
    "what is over": lambda store: store.sweep(T0, 10),
    "keys": lambda store: store.note_keys("", "ours"),
}


def test_who_set_the_fence_to_copy_behind_it_passes_and_nobody_else_does(open_store: Open) -> None:
    async def body() -> None:
        server, mover = open_store(), open_store()
        async with closing(server, mover):
            for msisdn in (ANNA, BORIS):
                assert await put(server, msisdn, entry(f"of {msisdn}"))
            held = {each.msisdn: each for each in await server.claim(T0, 2, LEASE)}
            await mover.set_mark("copied from Ж's", fenced=True, passing=True)
            later = open_store()
            async with closing(later):
                for store in (server, later):
                    with pytest.raises(StoreUnavailable, match=r"takes no changes.* being copied from Ж's"):
                        await put(store, BORIS)
                for change in COPIES.values():
                    await change(mover)
                with pytest.raises(StoreUnavailable, match="being copied from Ж's"):
                    await server.settle([held[BORIS]])
                assert await server.noted_keys() == "ours"
                assert sorted(await server.subscribers("", 10)) == sorted([BORIS, VERA])
                # Who goes on with the copy sets it again: what was brought until then is known.
                await later.set_mark("copied from Ж's", fenced=True, passing=True)
                await later.restore(Everything(Subscriber(ANNA)), brought=True)
                assert sorted(await server.brought("", 10)) == sorted([ANNA, VERA])
                await later.set_mark("")
                assert await put(server, BORIS)
                await later.set_mark("moved away", fenced=True)
                with pytest.raises(StoreUnavailable, match="it is moved away"):
                    await later.forget(BORIS)

    asyncio.run(body())


def test_whom_a_copy_brought_is_noted_until_the_next_mark(open_store: Open) -> None:
    async def bring(store: Store) -> None:
        assert await put(store, ANNA)
        await store.set_mark("added to from another")
        await store.restore(Everything(Subscriber(VERA)))
        for _ in range(2):
            for msisdn in (ANNA, BORIS):
                await store.restore(Everything(Subscriber(msisdn)), brought=True)

    async def read(store: Store) -> None:
        assert sorted(await store.brought("", 10)) == [ANNA, BORIS]
        (first,) = await store.brought("", 1)
        (second,) = await store.brought(first, 10)
        assert {first, second} == {ANNA, BORIS}
        await store.set_mark("")
        assert await store.brought("", 10) == []

    on(open_store, bring)
    on(open_store, read)


def test_a_fence_stays_when_the_store_is_let_go_of(open_store: Open) -> None:
    async def fence(store: Store) -> None:
        assert await put(store, ANNA)
        await store.set_mark("moved away", fenced=True)

    async def write(store: Store) -> None:
        with pytest.raises(StoreUnavailable, match="moved away"):
            await put(store, ANNA)
        await store.set_mark("copied from another")
        assert await put(store, ANNA)

    on(open_store, fence)
    on(open_store, write)
