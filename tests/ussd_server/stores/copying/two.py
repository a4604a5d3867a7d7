"""Two stores, of which one holds some of everything, and what is done to them while one is copied to the other."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

from tests.contracts.stores import STORES
from ussd_server.stores.base import Change, JournalEntry, KeptAnswer, OutboxEntry, Store, StoreUnavailable
from ussd_server.stores.copying import Copier
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal

T0 = 1_790_000_000_000
LEASE = 60_000
NUMBERS = [str(79100000000 + number) for number in range(12)]
ANNA, BORIS, VERA = NUMBERS[:3]

Body = Callable[[Store, Store], Awaitable[None]]
PAIRS = list(product(STORES, repeat=2))


def between(pair: tuple[str, str], place: Path, body: Body) -> None:
    """Run the body on two stores of these kinds."""

    async def main() -> None:
        stores = []
        for name, folder in zip(pair, ("source", "target"), strict=True):
            (place / folder).mkdir(exist_ok=True)
            stores.append(STORES[name](place / folder))
        try:
            await body(*stores)
        finally:
            for store in stores:
                await store.close()

    asyncio.run(main())


def entry(id: str, kind: Any = "sms", due: int = T0) -> OutboxEntry:
    return OutboxEntry(id, kind, due, {"text": "Ж"}, T0 + LEASE)


async def furnish(store: Store) -> None:
    """Let there be some of everything: due, postponed, held, given up, answered, terminals and their nonces."""
    for number, msisdn in enumerate(NUMBERS):
        outbox = [entry(f"{number}-{kind}", kind) for kind in ("sms", "command", "push")] + [entry(f"{number}-last")]
        answer = KeptAnswer("kiosk-1", f"key-{number}", b"\x00\xff", b"body", T0 + 1 + number)
        notes = [JournalEntry(T0, "asked", {"n": n}) for n in range(number)]
        assert await store.commit(Change(0, Subscriber(msisdn, "ru", T0), notes, outbox, answer=answer))
    for claimed in await store.claim(T0, 1000, LEASE):
        if claimed.entry.kind == "sms" and int(claimed.msisdn) % 2:
            await store.bury(claimed, T0, "refused")
        elif claimed.entry.kind == "command":
            await store.postpone(claimed, T0 + 5, "busy")
    for number in range(3):
        assert await store.commit_terminal(Terminal(f"kiosk-{number}", "in the hall"), 0)
        for until in (T0 - 1, T0 + 1):
            assert await store.use_nonce(f"kiosk-{number}", f"nonce-{until}", until)


async def copy(source: Store, target: Store, **options: bool) -> Any:
    copier = Copier(source, target, "the old store", "the new one", T0)
    return await copier.copy(await copier.begin(**options))


async def differences(source: Store, target: Store) -> list[str]:
    """Return what differs, as it is named, by a walk that writes nothing."""
    walk = await Copier(source, target, "the old store", "the new one", T0).compare()
    assert walk.differing == len(walk.named)
    return walk.named


class Wrapped:
    """A store of which some calls do something else first."""

    def __init__(self, store: Store, **before: Callable[..., Awaitable[Any]]) -> None:
        self._store = store
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in self._before:
            return found

        async def through(*arguments: Any, **options: Any) -> Any:
            instead = await self._before[name](*arguments)
            return await (found(*arguments, **options) if instead is None else found(*instead))

        return through


class InUse:
    """A store that says these one after the other when it is asked who uses it; None where it does not know."""

    def __init__(self, store: Store, *users: str | None) -> None:
        self._store = store
        self._users = list(users)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def in_use(self) -> str | None:
        return self._users.pop(0)


async def unfenced(mark: str) -> tuple[str]:
    """Let a store only be marked, as if a server of an earlier version were the one that writes it."""
    return (mark,)


def failing(store: Store, name: str, nth: int) -> Any:
    """Return the store, of which the nth call of this name fails, and all after it."""
    calls = iter(range(1, 1_000_000))

    async def fail(*arguments: Any) -> None:
        if next(calls) >= nth:
            raise StoreUnavailable("away")

    return Wrapped(store, **{name: fail})
