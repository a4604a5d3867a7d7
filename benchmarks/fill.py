"""`python -m benchmarks.fill URL LIKE FIRST COUNT`: put subscribers into a store, each like one that is there.

They are committed as the server commits, many under way at once: record and journal of the number LIKE, under the
numbers FIRST, FIRST + 1 and so on. Standard output has one JSON line when all of them are durable.
"""

import argparse
import asyncio
import json
import time

import uvloop
from msgspec.structs import replace

from ussd_server.store_url import parse
from ussd_server.stores.base import Change, Store
from ussd_server.stores.opening import open_store

UNDER_WAY = 512


async def fill(store: Store, like: str, first: int, count: int) -> None:
    """Commit `count` subscribers that the store does not have yet."""
    record, version = await store.load(like)
    if not version:
        raise SystemExit(f"{like} is not in the store")
    journal = (await store.journal(like))[::-1]
    numbers = iter(range(first, first + count))

    async def one_after_the_other() -> None:
        for number in numbers:
            if not await store.commit(Change(0, replace(record, msisdn=str(number)), journal)):
                raise SystemExit(f"{number} is in the store already")

    await asyncio.gather(*(one_after_the_other() for _ in range(UNDER_WAY)))


async def _main(url: str, like: str, first: int, count: int) -> None:
    store = await open_store(parse(url))
    began = time.monotonic()
    try:
        await fill(store, like, first, count)
    finally:
        await store.close()
    print(json.dumps({"count": count, "seconds": round(time.monotonic() - began, 1)}), flush=True)


def main() -> None:
    """Fill the store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the store")
    parser.add_argument("like", help="a number that is in it")
    parser.add_argument("first", type=int, help="the first number to put in")
    parser.add_argument("count", type=int, help="how many")
    options = parser.parse_args()
    uvloop.run(_main(options.url, options.like, options.first, options.count))


if __name__ == "__main__":
    main()
