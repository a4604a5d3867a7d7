"""A store with a million subscribers beside one that has only those who dial: the same load, in turns."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.loadgen import FIRST_MSISDN
from benchmarks.paths import OPEN
from benchmarks.processes import Process, generator, server
from ussd_server.database import connect
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Exchange, Subscriber, encode

ACTIVE = 20_000
"""Who dials, round and round. They are spread over all numbers, so that hardly two of them share a page."""
WIDTH = 256
WARM, PAIRS = 1, 5
FILL = "INSERT INTO subscriber (msisdn, version, record) VALUES (?, 1, ?)"


@dataclass(frozen=True)
class Side:
    """One run against one of the stores."""

    rate: float
    cpu_us: float


@dataclass(frozen=True)
class Full:
    """How many records there are, and the runs: each pair is one without the others and one with them."""

    records: int
    octets: int
    pairs: list[tuple[Side, Side]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The full store's rate of the other's: the median of the pairs."""
        return median(full.rate / few.rate for few, full in self.pairs)

    @property
    def share_by_cpu(self) -> float:
        """The same by the CPU time of a step, which other work on the machine changes less."""
        return median(few.cpu_us / full.cpu_us for few, full in self.pairs)


def measure_full(records: int, seconds: float, logs: Path) -> Full:
    """Fill a store, start a server on it and one on a store without the others, and load them in turns."""
    spread = records // ACTIVE
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as data, ExitStack() as ends:
        stores = Path(data, "few"), Path(data, "full")
        _fill(stores[0], range(0, records, spread))
        octets = _fill(stores[1], range(records))
        running = [ends.enter_context(_running(store, logs)) for store in stores]
        result = Full(records, octets)
        for pair in range(WARM + PAIRS):
            few, full = (_run(load, measured, seconds, spread) for load, measured in running)
            if pair >= WARM:
                result.pairs.append((few, full))
        return result


def _fill(data: Path, places: range) -> int:
    """Make a store with a record at each of these places, as a short dialogue leaves it; return the file's size."""
    data.mkdir()
    path = data / "ussd-server.db"
    asyncio.run(_made(path))
    with closing(connect(str(path))) as database:
        database.execute("BEGIN")
        database.executemany(FILL, _rows(places))
        database.execute("COMMIT")
    return path.stat().st_size


async def _made(path: Path) -> None:
    """Let the store itself make its file."""
    await SqliteStore(path).close()


def _rows(places: range) -> Iterator[tuple[int, bytes]]:
    now = time.time_ns() // 1_000_000
    left = Exchange("bench/12345", "bench#1", 1, -1, False, now, bytes(16), f"{OPEN[0].shows} " * 8, True)
    for place in places:
        msisdn = FIRST_MSISDN + place
        yield msisdn, encode(Subscriber(str(msisdn), "ru", activated_at=now, exchanges={"ussd": left}))


@contextmanager
def _running(store: Path, logs: Path) -> Iterator[tuple[Process, Process]]:
    """Have a generator and a server on this store."""
    load, port = generator(logs / f"generator-{store.name}.log")
    with load, server(port, store, logs / f"server-{store.name}.log") as measured:
        load.hear()
        yield load, measured


def _run(load: Process, measured: Process, seconds: float, spread: int) -> Side:
    before = measured.cpu_seconds()
    load.tell(path="tariffs", width=WIDTH, seconds=seconds, numbers=ACTIVE, spread=spread)
    run = load.hear()
    return Side(run["rate"], round((measured.cpu_seconds() - before) / run["steps"] * 1e6, 1))
