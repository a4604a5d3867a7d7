"""A terminal's record comes back whole, as who wrote it last left it; each of its nonces is used once."""

import asyncio

import msgspec

from tests.contracts.store.steps import ANNA, T0, Open, closing, on, put
from ussd_server.stores.base import Nonce, Store
from ussd_server.terminals.record import Terminal, TerminalKey


def test_a_terminal_comes_back_whole_and_only_the_newest_version_can_be_replaced(open_store: Open) -> None:
    key = TerminalKey("k1", bytes(range(32)), T0)
    added = Terminal("kiosk-1", "Киоск", (key,), T0, orders=(T0,))
    shut = msgspec.structs.replace(added, standing="quarantined", since=T0 + 1, reason="20 wrong", wrong=(T0, T0 + 1))

    async def write(store: Store) -> None:
        assert await store.load_terminal("kiosk-1") == (None, 0)
        assert await store.terminals() == []
        assert await store.commit_terminal(added, 0)
        assert not await store.commit_terminal(shut, 0)
        loaded, version = await store.load_terminal("kiosk-1")
        assert loaded == added
        assert await store.commit_terminal(shut, version)
        assert not await store.commit_terminal(added, version)
        assert await store.commit_terminal(Terminal("gateway", "all of a network"), 0)

    async def read(store: Store) -> None:
        assert (await store.load_terminal("kiosk-1"))[0] == shut
        assert await store.terminals() == [Terminal("gateway", "all of a network"), shut]

    on(open_store, write)
    on(open_store, read)


def test_a_terminal_is_as_another_server_wrote_it_last(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for round in range(3):
                _, version = await one.load_terminal("kiosk-1")
                changed = Terminal("kiosk-1", f"round {round}")
                won = await asyncio.gather(*(store.commit_terminal(changed, version) for store in (one, two)))
                assert sorted(won) == [False, True]
                assert await one.load_terminal("kiosk-1") == await two.load_terminal("kiosk-1")
                assert (await one.load_terminal("kiosk-1"))[0] == changed

    asyncio.run(body())


def test_a_nonce_is_used_once_by_each_terminal_also_after_a_restart(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.use_nonce("kiosk-1", "n", T0)
        assert await store.use_nonce("kiosk-2", "n", T0)
        assert await store.use_nonce("kiosk-1", "N", T0)
        assert not await store.use_nonce("kiosk-1", "n", T0 + 1)

    async def read(store: Store) -> None:
        assert not await store.use_nonce("kiosk-1", "n", T0)
        assert await store.use_nonce("kiosk-1", "m", T0)

    on(open_store, write)
    on(open_store, read)


def test_of_many_uses_of_a_nonce_at_once_one_is_the_first(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for nonce in ("a", "b", "c"):
                uses = [store.use_nonce("kiosk-1", nonce, T0) for _ in range(50) for store in (one, two)]
                assert sum(await asyncio.gather(*uses)) == 1

    asyncio.run(body())


def test_a_nonce_that_cannot_be_stored_is_its_callers_mistake_alone(open_store: Open) -> None:
    async def test(store: Store) -> None:
        good, bad, other = await asyncio.gather(
            store.use_nonce("kiosk-1", "a", T0),
            store.use_nonce("kiosk-1", "\ud800", T0),
            put(store, ANNA),
            return_exceptions=True,
        )
        assert (good, other) == (True, True)
        assert isinstance(bad, ValueError)
        assert not await store.use_nonce("kiosk-1", "a", T0)

    on(open_store, test)


def test_nonces_are_listed_piece_by_piece(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await store.nonces(None, 10) == []
        used = [Nonce(f"kiosk-{n % 3}", f"nonce-{n}", T0 + n) for n in range(20)]
        for each in used:
            assert await store.use_nonce(each.terminal, each.nonce, each.until)
        met: list[Nonce] = []
        while some := await store.nonces(met[-1] if met else None, 3):
            assert len(some) <= 3
            met += some
        assert sorted(met, key=lambda each: each.until) == used

    on(open_store, test)
