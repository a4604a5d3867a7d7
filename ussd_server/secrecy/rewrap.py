"""After a rotation: every stored code under the key in use, while servers go on.

Nothing has to be remembered between two runs: a code says which key it is under, so whoever runs it again goes on where
the last one was ended.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from ussd_server.secrecy.vault import Vault, VaultError
from ussd_server.stores.base import Change, DamagedRecord, Store

BATCH: Final = 100
"""Records in hand at once: a store writes commits that come together in one go, and servers' commits fit in between."""
MAX_CONFLICTS: Final = 8


@dataclass(frozen=True, slots=True)
class Pass:
    """What one walk over all records did: codes that it moved, that were changed too often to, and that do not open.

    A record that cannot be read is counted as a code that does not open.
    """

    moved: int = 0
    contended: int = 0
    damaged: int = 0


async def rewrap(
    store: Store,
    vault: Vault,
    done: Callable[[int], None] = lambda records: None,
    unread: Callable[[str], None] = lambda msisdn: None,
) -> Pass:
    """Walk over all records once and put every code under the vault's current key.

    `done` is told how many more records were seen to, and `unread` whose cannot be read. Raises StoreUnavailable; what
    was moved until then stays moved.
    """
    kek = vault.kek
    results: Counter[str] = Counter()
    async for batch in batches(store):
        results.update(await asyncio.gather(*(_move(store, vault, kek, msisdn, unread) for msisdn in batch)))
        done(len(batch))
    return Pass(results["moved"], results["contended"], results["damaged"])


async def batches(store: Store) -> AsyncIterator[list[str]]:
    """Walk over all subscribers, `BATCH` at a time. Raises StoreUnavailable."""
    after = ""
    while batch := await store.subscribers(after, BATCH):
        yield batch
        after = batch[-1]


async def _move(store: Store, vault: Vault, kek: str, msisdn: str, unread: Callable[[str], None]) -> str:
    for _ in range(MAX_CONFLICTS):
        try:
            record, version = await store.load(msisdn)
        except DamagedRecord:
            unread(msisdn)
            return "damaged"
        sealed = record.access.sealed
        if sealed is None or sealed.kid == kek:
            return "nothing to do"
        try:
            moved = vault.rewrap(sealed, msisdn, record.access.generation)
        except VaultError:
            return "damaged"
        after = replace(record, access=replace(record.access, sealed=moved))
        if await store.commit(Change(version, after)):
            return "moved"
    return "contended"
