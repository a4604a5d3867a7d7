"""Where the servers keep their records: a file, or Redis with its processes."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import redis.asyncio

from tests.chaos.processes import Child, port
from tests.redis_servers import DURABLE

StoreKind: TypeAlias = Literal["sqlite", "redis", "sentinel"]

READY_S: Final = 30.0

MASTER: Final = "chaos"

PROCESSES: Final[Mapping[StoreKind, int]] = {"sqlite": 0, "redis": 1, "sentinel": 3}
"""How many processes keep the records: none for a file, one Redis, or a master with two replicas."""

SENTINELS: Final = 3

SENTINEL: Final = """\
sentinel monitor {name} 127.0.0.1 {port} 2
sentinel down-after-milliseconds {name} 700
sentinel failover-timeout {name} 3000
"""


class Storage:
    """A store of this kind, and the processes that may be killed: those that keep the records.

    With Sentinels, a commit waits for so many `replicas`.
    """

    def __init__(self, kind: StoreKind, directory: Path, replicas: int = 1) -> None:
        self.kind = kind
        self.place = directory / "store"
        self.children: list[Child] = []
        self.url = f"sqlite:///{directory / 'data' / 'ussd-server.db'}"
        self._ports = [port() for _ in range(PROCESSES[kind])]
        self._sentinels: list[Child] = []
        for number, each in enumerate(self._ports):
            arguments = self._command(number)
            name = f"store {number + 1}" if len(self._ports) > 1 else "store"
            self.children.append(Child(name, lambda arguments=arguments: arguments, directory))  # type: ignore[misc]
            self.url = f"redis://127.0.0.1:{each}/0"
        if kind == "sentinel":
            self._sentinel_ports = [port() for _ in range(SENTINELS)]
            hosts = ",".join(f"127.0.0.1:{each}" for each in self._sentinel_ports)
            self.url = f"redis+sentinel://{hosts}/{MASTER}?replicas={replicas}"
            for number, each in enumerate(self._sentinel_ports):
                arguments = [*_REDIS, str(self._sentinel_file(number)), "--sentinel", "--port", str(each)]
                name = f"sentinel {number + 1}"
                self._sentinels.append(Child(name, lambda arguments=arguments: arguments, directory))  # type: ignore[misc]

    def _sentinel_file(self, number: int) -> Path:
        return self.place / f"sentinel-{number + 1}.conf"

    def _command(self, number: int) -> list[str]:
        # A file, because the Sentinel writes into it whom it is to follow after a failover.
        return [*_REDIS, str(self.place / str(number) / "redis.conf")]

    def _write_files(self) -> None:
        for number, each in enumerate(self._ports):
            place = self.place / str(number)
            place.mkdir(parents=True)
            lines = ["bind 127.0.0.1", f"port {each}", f"dir {place}", "repl-diskless-sync-delay 0"]
            lines += [" ".join(pair).removeprefix("--") for pair in zip(DURABLE[::2], DURABLE[1::2], strict=True)]
            if number:
                lines.append(f"replicaof 127.0.0.1 {self._ports[0]}")
            (place / "redis.conf").write_text("\n".join(lines).replace("save ", 'save ""') + "\n")
        for number in range(len(self._sentinels)):
            self._sentinel_file(number).write_text(SENTINEL.format(name=MASTER, port=self._ports[0]))

    async def start(self) -> None:
        """Start what there is to start, and wait until it answers."""
        self._write_files()
        for child in (*self.children, *self._sentinels):
            child.start()
        async with asyncio.timeout(READY_S):
            while not await self._is_whole():
                await asyncio.sleep(0.05)

    async def _is_whole(self) -> bool:
        for each in self._ports:
            if not await _ask(each, "PING"):
                return False
        if not self._sentinels:
            return True
        known = (str(len(self._ports) - 1), str(SENTINELS - 1))
        for each in self._sentinel_ports:
            state = await _ask(each, "SENTINEL", "MASTER", MASTER)
            fields = dict(zip(state[::2], state[1::2], strict=True)) if isinstance(state, list) else state or {}
            told = {str(key): str(value) for key, value in fields.items()}
            if (told.get("num-slaves"), told.get("num-other-sentinels")) != known:
                return False
        return True

    async def master(self) -> Child:
        """Return the process that takes the writes now."""
        found = await _ask(self._sentinel_ports[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return self.children[self._ports.index(int(found[1])) if found else 0]

    @property
    def writes(self) -> tuple[str, list[Path]]:
        """Return the calls by which files are written, and which files where other things are written so, too."""
        if self.kind == "sqlite":
            return "pwrite64", []
        return "write,writev", sorted(self.place.glob("*/appendonlydir/*"))

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        for child in (*self.children, *self._sentinels):
            await child.end()


_REDIS: Final = ("setpriv", "--pdeathsig", "KILL", "redis-server")


async def _ask(at: int, *command: str) -> Any:
    """Return what a Redis says, None where it says nothing."""
    with suppress(redis.RedisError, OSError):
        async with redis.asyncio.Redis(port=at, decode_responses=True) as client:
            return await client.execute_command(*command)
    return None
