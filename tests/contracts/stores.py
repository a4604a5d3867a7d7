"""The stores that the contract is for, by name; each call opens one more store on the same data.

A new store is one more line in `STORES`. As a program it commits for ever to one of them and says so, until killed:
`python -m tests.contracts.stores NAME PLACE MSISDN`.
"""

import asyncio
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from ussd_server.stores.base import Change, JournalEntry, OutboxEntry, Store
from ussd_server.stores.sqlite import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda place: SqliteStore(place / "store.db"),
}


async def commit_for_ever(store: Store, msisdn: str) -> None:
    for number in itertools.count(1):
        record, version = await store.load(msisdn)
        change = Change(
            version,
            msgspec.structs.replace(record, activated_at=number),
            journal=[JournalEntry(number, "counted", {})],
            outbox=[OutboxEntry(f"entry-{number}", "sms", number, {})],
        )
        if await store.commit(change):
            print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(commit_for_ever(STORES[sys.argv[1]](Path(sys.argv[2])), sys.argv[3]))
