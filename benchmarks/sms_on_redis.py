"""What an SMS costs Redis: its CPU time, network and log for the commits of one, with receipt and without.

`python -m benchmarks.sms_on_redis` commits what the server commits, on a Redis of its own, 256 at once: an answer with
its SMS, held by who sends it; that it was taken; its receipt with the entry in the journal. Without a receipt it is
the first, and its removal.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.on_redis import Redis, redis_server
from benchmarks.years import AT, sms
from ussd_server.store_url import parse
from ussd_server.stores.base import Change, Claimed, OutboxEntry, Store
from ussd_server.stores.opening import open_store
from ussd_server.subscribers.record import Subscriber

NUMBERS, WIDTH = 20_000, 256
LEASE_MS = 30_000
FAR = 10 * AT
DATA = {"from": "111", "text": "x" * 100, "account": "smpp://bench@127.0.0.1:1"}


async def make(store: Store, msisdn: str) -> None:
    """Commit a subscriber whose record is as long as that of one who uses the service."""
    await store.commit(Change(0, Subscriber(msisdn, language="x" * 250)))


async def with_receipt(store: Store, msisdn: str) -> None:
    """Commit an SMS, that it was taken, and its receipt."""
    (held,) = await _hold(store, msisdn, "a")
    end = OutboxEntry("end", "delivery", FAR, {"sms": held.entry.id})
    record, version = await store.load(msisdn)
    await store.commit(Change(version, record, outbox=(end,), settled=(held.entry.id,)))
    record, version = await store.load(msisdn)
    await store.commit(Change(version, record, tuple(sms(1)), dropped=(end.id,)))


async def without(store: Store, msisdn: str) -> None:
    """Commit an SMS, and remove it when it was taken."""
    await store.settle(await _hold(store, msisdn, "b"))


async def _hold(store: Store, msisdn: str, id: str) -> list[Claimed]:
    record, version = await store.load(msisdn)
    entry = OutboxEntry(id, "sms", AT, DATA, expires=FAR)
    held = await store.commit_and_hold(Change(version, record, outbox=(entry,)), AT, AT + LEASE_MS)
    if not held:
        raise SystemExit(f"{msisdn} was changed by somebody else")
    return held


async def measure(redis: Redis, work: Callable[[str], Awaitable[None]]) -> tuple[float, float, float]:
    """Do it for every number, and return what each took of Redis: CPU time (s), octets of network and of log."""
    numbers = iter(range(NUMBERS))

    async def one_after_the_other() -> None:
        for number in numbers:
            await work(str(79_100_000_000 + number))

    cpu, before = redis.process.cpu_seconds(), redis.figures()
    await asyncio.gather(*(one_after_the_other() for _ in range(WIDTH)))
    after = redis.figures()
    network = sum(after[name] - before[name] for name in ("total_net_input_bytes", "total_net_output_bytes"))
    log = after["aof_current_size"] - before["aof_current_size"]
    return (redis.process.cpu_seconds() - cpu) / NUMBERS, network / NUMBERS, log / NUMBERS


async def _main(directory: Path) -> None:
    with redis_server(directory, "sms") as redis:
        store = await open_store(parse(redis.url))
        try:
            await measure(redis, partial(make, store))
            for name, work in {"with its receipt": with_receipt, "without a receipt": without}.items():
                cpu, network, log = await measure(redis, partial(work, store))
                print(
                    f"an SMS {name}: {cpu * 1e6:.0f} µs of Redis, {network:,.0f} octets to and fro, {log:,.0f} of log"
                )
        finally:
            await store.close()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="ussd-bench-sms-") as directory:
        uvloop.run(_main(Path(directory)))


if __name__ == "__main__":
    main()
