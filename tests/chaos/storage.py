"""Where the servers keep their records: a file, or Redis with its processes."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import redis.asyncio

from tests.chaos.processes import Child
from tests.ports import free_port
from tests.redis_servers import DURABLE, make_cluster

StoreKind: TypeAlias = Literal["sqlite", "redis", "sentinel", "cluster"]

OTHER: Final[Mapping[StoreKind, StoreKind]] = {"sqlite": "redis", "redis": "sqlite"}
"""To which kind a store is moved."""

READY_S: Final = 30.0

MASTER: Final = "chaos"

PROCESSES: Final[Mapping[StoreKind, int]] = {"sqlite": 0, "redis": 1, "sentinel": 3, "cluster": 6}
"""How many processes keep the records: none for a file, one Redis, a master with two replicas, three with one each."""

REPLICAS: Final[Mapping[StoreKind, int]] = {"sentinel": 2, "cluster": 1}
"""How many replicas each master has. Where a commit waits for fewer of them, two faults at once may lose it."""

SENTINELS: Final = 3

SENTINEL: Final = """\
sentinel monitor {name} 127.0.0.1 {port} 2
sentinel down-after-milliseconds {name} 700
sentinel failover-timeout {name} 3000
"""

CLUSTER: Final = """\
cluster-enabled yes
cluster-port {bus}
cluster-node-timeout 1000
"""

_REDIS: Final = ("setpriv", "--pdeathsig", "KILL", "redis-server")


def storage(kind: StoreKind, directory: Path, replicas: int | None = None, number: int = 1) -> "Storage":
    """Return a store of this kind, not started yet; a commit waits for so many replicas, None for all of them.

    `number` tells it from those that a run had before it.
    """
    replicas = REPLICAS.get(kind, 0) if replicas is None else replicas
    match kind:
        case "sqlite":
            return Storage(kind, directory, number)
        case "redis":
            return RedisStorage(kind, directory, number)
        case "sentinel":
            return SentinelStorage(kind, directory, replicas)
        case "cluster":
            return ClusterStorage(kind, directory, replicas)


class Storage:
    """A store, and the processes that may be killed: those that keep the records. As such, a file without any."""

    up_again_s = (0.0, 0.7)
    """How long one that was killed is down."""

    replaced_s = (2.0, 4.0)
    """How long a master is down that is to be replaced."""

    writes_by = "pwrite64"
    """The calls by which files are written."""

    def __init__(self, kind: StoreKind, directory: Path, number: int = 1) -> None:
        self.kind = kind
        self.number = number
        suffix = f"-{number}" if number > 1 else ""
        self.place = directory / f"store{suffix}"
        self.children: list[Child] = []
        self._file = directory / "data" / f"ussd-server{suffix}.db"
        self.url = f"sqlite:///{self._file}"

    async def start(self) -> None:
        """Start what there is to start, and wait until it answers."""

    async def masters(self) -> list[Child]:
        """Return the processes that take the writes now and have others that may replace them."""
        return []

    def written(self) -> list[Path]:
        """Return the files that are written as `writes_by` says where other things are written so, too."""
        return []

    async def traces(self, msisdn: str) -> list[str]:
        """Return where something of a number stands: in a file the digits, or the number as SQLite writes it."""
        number = int(msisdn).to_bytes(6)
        files = [self._file, self._file.with_name(f"{self._file.name}-wal")]
        octets = {each.name: each.read_bytes() for each in files if each.exists()}
        return [name for name, content in octets.items() if number in content or msisdn.encode() in content]

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        for child in self.children:
            await child.end(signal.SIGKILL)


class RedisStorage(Storage):
    """One Redis, or several."""

    writes_by = "write,writev"

    def __init__(self, kind: StoreKind, directory: Path, number: int = 1) -> None:
        super().__init__(kind, directory, number)
        self.ports = [free_port() for _ in range(PROCESSES[kind])]
        for which in range(len(self.ports)):
            name = f"{self.place.name} {which + 1}" if len(self.ports) > 1 else self.place.name
            self.children.append(_redis(name, directory, str(self._place(which) / "redis.conf")))
        self.url = f"redis://127.0.0.1:{self.ports[0]}/0"

    def _place(self, number: int) -> Path:
        return self.place / str(number)

    def further(self, number: int) -> str:
        """Return what else stands in the settings of this one."""
        return ""

    async def start(self) -> None:
        """Write the settings, start, and wait until it can be used."""
        for number, each in enumerate(self.ports):
            place = self._place(number)
            place.mkdir(parents=True)
            lines = ["bind 127.0.0.1", f"port {each}", f"dir {place}", "repl-diskless-sync-delay 0"]
            lines += [" ".join(pair).removeprefix("--") for pair in zip(DURABLE[::2], DURABLE[1::2], strict=True)]
            lines.append(self.further(number))
            # A file, because a Sentinel writes into it whom it is to follow after a failover.
            (place / "redis.conf").write_text("\n".join(lines).replace("save ", 'save ""') + "\n")
        for child in self.children:
            child.start()
        await _until(self.answers)

    async def answers(self) -> bool:
        """Whether each process answers."""
        return all([await _ask(each, "PING") for each in self.ports])

    async def traces(self, msisdn: str) -> list[str]:
        """Return the keys in which something of a number stands, by their name or value."""
        found = []
        for each in self.ports:
            with suppress(redis.RedisError, OSError):  # it was killed just now
                found += await asyncio.to_thread(_keys_with, each, msisdn.encode())
        return found

    def written(self) -> list[Path]:
        """Return the files with the records, as far as there are any yet."""
        return sorted(self.place.glob("*/appendonlydir/*"))


class SentinelStorage(RedisStorage):
    """A master with two replicas, and three Sentinels, which nobody kills. It is missed after 0.7 s."""

    up_again_s = (0.0, 2.5)  # before it is missed, while it is replaced, or after that

    def __init__(self, kind: StoreKind, directory: Path, replicas: int) -> None:
        super().__init__(kind, directory)
        self._sentinel_ports = [free_port() for _ in range(SENTINELS)]
        self._sentinels = [
            _redis(f"sentinel {number}", directory, str(self.place / f"{each}.conf"), "--sentinel", "--port", str(each))
            for number, each in enumerate(self._sentinel_ports, 1)
        ]
        hosts = ",".join(f"127.0.0.1:{each}" for each in self._sentinel_ports)
        self.url = f"redis+sentinel://{hosts}/{MASTER}?replicas={replicas}"

    def further(self, number: int) -> str:
        """Return whom it follows."""
        return f"replicaof 127.0.0.1 {self.ports[0]}" if number else ""

    async def start(self) -> None:
        """Start all, and wait until the Sentinels know everybody."""
        await super().start()
        for each, sentinel in zip(self._sentinel_ports, self._sentinels, strict=True):
            (self.place / f"{each}.conf").write_text(SENTINEL.format(name=MASTER, port=self.ports[0]))
            sentinel.start()
        await _until(self._know_everybody)

    async def _know_everybody(self) -> bool:
        known = (str(len(self.ports) - 1), str(SENTINELS - 1))
        for each in self._sentinel_ports:
            state = await _ask(each, "SENTINEL", "MASTER", MASTER)
            fields = dict(zip(state[::2], state[1::2], strict=True)) if isinstance(state, list) else state or {}
            told = {str(key): str(value) for key, value in fields.items()}
            if (told.get("num-slaves"), told.get("num-other-sentinels")) != known:
                return False
        return True

    async def masters(self) -> list[Child]:
        """Return the master as a Sentinel knows it."""
        found = await _ask(self._sentinel_ports[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return [self.children[self.ports.index(int(found[1]))]] if found else []

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        await super().close()
        for each in self._sentinels:
            await each.end(signal.SIGKILL)


class ClusterStorage(RedisStorage):
    """A Cluster of three masters with a replica each. Who is gone is missed after a second, and replaced soon after."""

    up_again_s = (0.0, 4.0)
    replaced_s = (4.0, 6.0)

    def __init__(self, kind: StoreKind, directory: Path, replicas: int) -> None:
        super().__init__(kind, directory)
        self._buses = [free_port() for _ in self.ports]
        hosts = ",".join(f"127.0.0.1:{each}" for each in self.ports)
        self.url = f"redis+cluster://{hosts}?replicas={replicas}"

    def further(self, number: int) -> str:
        """Return the settings of a Cluster's server."""
        return CLUSTER.format(bus=self._buses[number])

    async def start(self) -> None:
        """Start all, and wait until they are a Cluster and each replica follows."""
        await super().start()
        await asyncio.to_thread(make_cluster, self.ports, self._buses)

    async def masters(self) -> list[Child]:
        """Return those that say that they are masters."""
        roles = [await _ask(each, "ROLE") for each in self.ports]
        return [child for child, role in zip(self.children, roles, strict=True) if role and role[0] == "master"]


def _redis(name: str, directory: Path, *arguments: str) -> Child:
    return Child(name, lambda: [*_REDIS, *arguments], directory)


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(READY_S):
        while not await true():
            await asyncio.sleep(0.05)


def _keys_with(at: int, text: bytes) -> list[str]:
    reads: dict[bytes, Callable[[bytes], object]] = {}
    with redis.Redis(port=at) as client:
        reads = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"stream": client.xrange,
            b"none": lambda key: None,  # deleted since it was listed
        }
        return [
            key.decode(errors="replace")
            for key in client.scan_iter(count=1_000)
            if text in key or text in repr(reads[client.type(key)](key)).encode()
        ]


async def _ask(at: int, *command: str) -> Any:
    """Return what a Redis says, None where it says nothing."""
    with suppress(redis.RedisError, OSError):
        async with redis.asyncio.Redis(port=at, decode_responses=True) as client:
            return await client.execute_command(*command)
    return None
