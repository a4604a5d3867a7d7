"""Where the servers keep their records: a file, or Redis with its processes."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import redis.asyncio

from tests.chaos.processes import Child, port
from tests.redis_servers import DURABLE

StoreKind: TypeAlias = Literal["sqlite", "redis"]

READY_S: Final = 30.0


class Storage:
    """A store of this kind, and the processes that it has: none for SQLite."""

    def __init__(self, kind: StoreKind, directory: Path) -> None:
        self.kind = kind
        self.place = directory / "store"
        self.children: list[Child] = []
        self.url = f"sqlite:///{directory / 'data' / 'ussd-server.db'}"
        if kind == "redis":
            self._port = port()
            self.url = f"redis://127.0.0.1:{self._port}/0"
            self.children.append(Child("store", self._redis, directory))

    def _redis(self) -> Sequence[str]:
        where = ("--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self.place), "--daemonize", "no")
        return ["setpriv", "--pdeathsig", "KILL", "redis-server", *where, *DURABLE]

    async def start(self) -> None:
        """Start what there is to start, and wait until it answers."""
        self.place.mkdir()
        for child in self.children:
            child.start()
        if self.kind == "redis":
            async with asyncio.timeout(READY_S):
                while not await self._answers():
                    await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        with suppress(redis.RedisError, OSError):
            async with redis.asyncio.Redis(port=self._port) as client:
                return bool(await client.ping())
        return False

    @property
    def writes(self) -> tuple[str, list[Path]]:
        """Return the calls by which files are written, and which files where other things are written so, too."""
        if self.kind == "sqlite":
            return "pwrite64", []
        return "write,writev", sorted(self.place.glob("appendonlydir/*"))

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        for child in self.children:
            await child.end()
