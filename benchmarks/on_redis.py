"""The server on Redis: one, two that share it, one with many subscribers, one on a Cluster; what each costs there.

Redis has each commit on its disk before it answers (`appendfsync always`). It has a core of its own where the machine
has three, else the generator's. Two servers have a core each where there are four; else both share one, which shows
what sharing a store costs, and their rate on two cores is computed from the CPU time of a step. All masters of a
Cluster have the one core of Redis, so their number shows what each costs, not how much more all of them can do.
"""

import os
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.loadgen import FIRST_MSISDN
from benchmarks.processes import GENERATOR_CPU, SERVER_CPU, BenchmarkFailed, Process, generator, server
from ussd_server.stores.redis.buckets import BUCKETS, bucket_of
from ussd_server.stores.redis.keys import every_bucket

START_S = 30
CORES_FOR_TWO = 4
"""A core for each of two servers, for Redis, and for the generators."""
ONE, TWO, BESIDE_TWO = "one server", "two on one Redis", "one, in turn with two"
FULL, BESIDE_FULL = "one, full store", "one, in turn with that"
BESIDE_CLUSTER = "no Cluster, in turn"
WIDTH = 256
ROUNDS = 3
"""Runs of each of those that are compared, in turn; the medians count."""
MASTERS = (1, 2, 3)
SLOTS = 16_384

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction")
REWRITE_NEVER = ("--auto-aof-rewrite-percentage", "0")
"""A rewrite of the log is another load, which comes once in so many hours; it is none of a step's."""


@dataclass(frozen=True)
class OnRedis:
    """One run of one or more servers on one Redis, all together.

    `server_us` is the CPU time of the servers a step, `redis_us` that of Redis; so many octets a step are written to
    its log, and go over the network between it and the servers, both ways.
    """

    who: str
    width: int
    rate: float
    p50_ms: float
    p99_ms: float
    server_us: float
    redis_us: float
    log_octets: float
    network_octets: float


@dataclass(frozen=True)
class Footprint:
    """What subscribers take: octets each of Redis's memory, of its process, and of its log."""

    subscribers: int
    memory: float
    resident: float
    log: float
    record: float
    """Of the record alone, with its key, as Redis counts it (MEMORY USAGE)."""


@dataclass(frozen=True)
class Sharing:
    """What two servers on one Redis make of one's rate; `computed` where they had no core each."""

    times: float
    computed: bool


def sharing(one: OnRedis, two: OnRedis, cores: int) -> Sharing:
    """Return how many times faster two servers are than one.

    On fewer than `CORES_FOR_TWO` they share a core. Then it is what they would make with one each: a step's
    CPU time says how many steps fit into two cores, and that of Redis how many it has room for.
    """
    if cores >= CORES_FOR_TWO:
        return Sharing(two.rate / one.rate, computed=False)
    by_servers = 2 * one.server_us / two.server_us
    by_redis = one.server_us / two.redis_us  # steps that Redis can do for each that one server can
    return Sharing(min(by_servers, by_redis), computed=True)


def on_cluster(masters: int) -> str:
    """Return how a run on a Cluster of so many masters is called."""
    return f"Cluster of {masters}"


class Redis:
    """A redis-server of this benchmark, asked in its own protocol."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.host = f"127.0.0.1:{port}"
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=START_S)
        self._lines = self._socket.makefile("rb")

    @property
    def url(self) -> str:
        """Return it as a store's address."""
        return f"redis://{self.host}/0"

    def ask(self, *words: str) -> str:
        """Send a command whose reply is one line or one text; raises BenchmarkFailed where it is an error."""
        self._socket.sendall((" ".join(words) + "\r\n").encode())
        line = self._lines.readline().decode().rstrip()
        if line.startswith("-"):
            raise BenchmarkFailed(f"redis-server: {line}")
        if not line.startswith("$"):
            return line[1:]
        return self._lines.read(int(line[1:]) + 2).decode().removesuffix("\r\n")

    def figures(self) -> dict[str, int]:
        """Return the numbers of INFO."""
        pairs = (line.partition(":") for line in self.ask("INFO", "everything").splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def missing() -> str:
    """Return "" where Redis can run, else what to install."""
    return "" if shutil.which("redis-server") else "redis-server: not found; make test installs it"


def place(part: int) -> int | None:
    """Return the core for the server (0), the generator (1), Redis (2) and the second server (3)."""
    cores = sorted(os.sched_getaffinity(0))
    if part < len(cores):
        return cores[part]
    return {2: GENERATOR_CPU, 3: SERVER_CPU}.get(part)


@contextmanager
def redis_server(logs: Path, name: str, *options: str) -> Iterator[Redis]:
    """Run a Redis with an empty directory of its own."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ussd-bench-redis-"))
        port = _free_port()
        base = ("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", directory, *options)
        process = stack.enter_context(Process([*base, *DURABLE, *REWRITE_NEVER], place(2), logs / f"{name}.log"))
        deadline = time.monotonic() + START_S
        while True:
            try:
                redis = Redis(process, port)
                break
            except ConnectionRefusedError:
                if process.ended() or time.monotonic() > deadline:
                    raise BenchmarkFailed(f"redis-server does not listen:\n{process.log_tail()}") from None
                time.sleep(0.05)
        stack.callback(redis.close)
        yield redis


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def redis_cluster(logs: Path, masters: int) -> Iterator[list[Redis]]:
    """Run a Cluster of so many masters, each with as many slots; no replicas."""
    with ExitStack() as stack:
        nodes, buses = [], [_free_port() for _ in range(masters)]
        for number, bus in enumerate(buses):
            options = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
            name = f"redis-cluster-{masters}-{number}"
            nodes.append(stack.enter_context(redis_server(logs, name, *options)))
        for number, (node, bus) in enumerate(zip(nodes, buses, strict=True)):
            first, end = SLOTS * number // masters, SLOTS * (number + 1) // masters
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
            if number:
                nodes[0].ask("CLUSTER", "MEET", *node.host.split(":"), str(bus))
        deadline = time.monotonic() + START_S
        while any(not _is_whole(node, masters) for node in nodes):
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"the Cluster of {masters} does not become whole")
            time.sleep(0.05)
        yield nodes


def _is_whole(node: Redis, masters: int) -> bool:
    state = node.ask("CLUSTER", "INFO").splitlines()
    return "cluster_state:ok" in state and f"cluster_size:{masters}" in state


class Site:
    """A Redis, or the masters of a Cluster, and the servers and generators on it."""

    def __init__(self, nodes: Sequence[Redis], scheme: str = "redis") -> None:
        self.nodes = nodes
        self.url = f"{scheme}://" + ",".join(node.host for node in nodes)
        self.servers: list[Process] = []
        self.loads: list[Process] = []

    def activate(self, numbers: int, first: int = 0) -> None:
        """Activate subscribers as they do it themselves, and wait for their SMS."""
        self.loads[0].tell(path="activate", width=64, numbers=numbers, dialogues=numbers, first=first)
        self.loads[0].hear()
        self.loads[0].tell(quiet_s=1.0)
        self.loads[0].hear()

    def run(self, who: str, width: int, seconds: float, numbers: int) -> OnRedis:
        """Measure one run of all servers, each with its part of the width and of the numbers."""
        cpu = self._cpu()
        redis_cpu, before = self._redis_cpu(), self._figures()
        each = numbers // len(self.loads)
        for at, load in enumerate(self.loads):
            part = max(1, width // len(self.loads))
            load.tell(path="tariffs", width=part, seconds=seconds, numbers=each, first=at * each)
        runs = [load.hear() for load in self.loads]
        steps = sum(run["steps"] for run in runs)
        after = self._figures()

        def grown(*names: str) -> float:
            each = sum(after[name] - before[name] for name in names) / steps
            return float(round(each, 1))

        return OnRedis(
            who=who,
            width=width,
            rate=round(sum(run["rate"] for run in runs), 1),
            p50_ms=round(sum(run["p50_ms"] for run in runs) / len(runs), 3),
            p99_ms=max(run["p99_ms"] for run in runs),
            server_us=round((self._cpu() - cpu) / steps * 1e6, 1),
            redis_us=round((self._redis_cpu() - redis_cpu) / steps * 1e6, 1),
            log_octets=grown("aof_current_size"),
            network_octets=grown("total_net_input_bytes", "total_net_output_bytes"),
        )

    def _cpu(self) -> float:
        return sum(server.cpu_seconds() for server in self.servers)

    def _redis_cpu(self) -> float:
        return sum(node.process.cpu_seconds() for node in self.nodes)

    def _figures(self) -> Counter[str]:
        every: Counter[str] = Counter()
        for node in self.nodes:
            every.update(node.figures())
        return every


@contextmanager
def site(logs: Path, name: str, servers: int = 1, masters: int = 0) -> Iterator[Site]:
    """Run a Redis or a Cluster of so many masters, and servers on it, each with a generator, all with the same keys."""
    with ExitStack() as stack:
        if masters:
            made = Site(stack.enter_context(redis_cluster(logs, masters)), "redis+cluster")
        else:
            made = Site([stack.enter_context(redis_server(logs, f"redis-{name}"))])
        first: Path | None = None
        for number in range(servers):
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ussd-bench-")))
            if first is not None:
                shutil.copy2(first / "keys.json", data / "keys.json")
            load, port = generator(logs / f"generator-{name}-{number}.log")
            made.loads.append(stack.enter_context(load))
            cpu = place(3) if number else SERVER_CPU
            options = ("--store", made.url)
            real = server(port, data, logs / f"server-{name}-{number}.log", cpu, *options)
            made.servers.append(stack.enter_context(real))
            load.hear()
            first = first or data
        yield made


def measure_on_redis(
    widths: Iterable[int], seconds: float, numbers: int, subscribers: int, logs: Path
) -> Iterable[OnRedis | Footprint]:
    """Measure one server at every width, then two beside one, then one on a full store beside one on an empty store."""
    if absent := missing():
        raise BenchmarkFailed(absent)
    with site(logs, "one") as one:
        one.activate(numbers)
        for width in widths:
            yield one.run(ONE, width, seconds, numbers)
        with site(logs, "two", servers=2) as two:
            two.activate(numbers)
            yield from _in_turn(
                lambda: one.run(BESIDE_TWO, WIDTH, seconds, numbers),
                lambda: two.run(TWO, WIDTH, seconds, numbers),
            )
        with site(logs, "full") as full:
            full.activate(numbers)
            full.run("full", WIDTH, seconds, numbers)
            yield fill(full, numbers, subscribers, logs)
            yield from _in_turn(
                lambda: one.run(BESIDE_FULL, WIDTH, seconds, numbers),
                lambda: full.run(FULL, WIDTH, seconds, subscribers),
            )


def measure_on_cluster(seconds: float, numbers: int, logs: Path) -> Iterable[OnRedis]:
    """Measure one server on Clusters of one master and more, all in turn with one on a Redis that is none."""
    if absent := missing():
        raise BenchmarkFailed(absent)
    with ExitStack() as stack:
        sites = {BESIDE_CLUSTER: stack.enter_context(site(logs, "beside-clusters"))}
        for masters in MASTERS:
            name = f"cluster-{masters}"
            sites[on_cluster(masters)] = stack.enter_context(site(logs, name, masters=masters))
        for each in sites.values():
            each.activate(numbers)
        yield from _in_turn(*(partial(each.run, who, WIDTH, seconds, numbers) for who, each in sites.items()))


def _in_turn(*contenders: Callable[[], OnRedis]) -> Iterable[OnRedis]:
    """Yield of each the run with the median rate, all measured in turn."""
    rounds = [[run() for run in contenders] for _ in range(ROUNDS)]
    for runs in zip(*rounds, strict=True):
        middle = median(run.rate for run in runs)
        yield next(run for run in runs if run.rate == middle)


def fill(there_is: Site, there: int, subscribers: int, logs: Path) -> Footprint:
    """Put in more subscribers like those that are there, and return what each of these took."""
    (redis,) = there_is.nodes
    before, resident = redis.figures(), redis.process.rss()
    like, first = FIRST_MSISDN, FIRST_MSISDN + there
    added = subscribers - there
    command = [sys.executable, "-m", "benchmarks.fill", there_is.url, str(like), str(first), str(added)]
    with Process(command, SERVER_CPU, logs / "fill.log") as filling:
        filling.hear()
    after = redis.figures()
    record = redis.ask("MEMORY", "USAGE", _record_key(like))
    return Footprint(
        subscribers=added,
        memory=round((after["used_memory"] - before["used_memory"]) / added, 1),
        resident=round((redis.process.rss() - resident) / added, 1),
        log=round((after["aof_current_size"] - before["aof_current_size"]) / added, 1),
        record=float(record),
    )


def _record_key(msisdn: int) -> str:
    digits = str(msisdn).encode()
    return every_bucket("ussd", BUCKETS)[bucket_of(digits, BUCKETS)].record(digits).decode()
