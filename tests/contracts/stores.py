"""The stores that the contract is for, by name; each call opens one more store on the same data.

A new store is one more line in `STORES`. As a program it is another server: `python -m tests.contracts.stores NAME
PLACE MSISDN [TIMES]` counts in one record, so many times or until killed, and says each number when it is committed.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from ussd_server.stores.base import Change, JournalEntry, OutboxEntry, Store
from ussd_server.stores.sqlite import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda place: SqliteStore(place / "store.db"),
}


async def count(store: Store, msisdn: str, times: int) -> None:
    while times:
        record, version = await store.load(msisdn)
        number = record.activated_at + 1
        change = Change(
            version,
            msgspec.structs.replace(record, activated_at=number),
            journal=[JournalEntry(number, "counted", {})],
            outbox=[OutboxEntry(f"entry-{number}", "sms", number, {})],
        )
        if await store.commit(change):
            print(number, flush=True)
            times -= 1
    await store.close()


if __name__ == "__main__":
    _, name, place, msisdn, *times = sys.argv
    asyncio.run(count(STORES[name](Path(place)), msisdn, int(times[0]) if times else -1))
