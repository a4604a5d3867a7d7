"""A TCP proxy between a server and what it talks to, or what talks to it: cuts, falls silent, slows down."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

CHUNK = 65_536


class _Way:
    """One connection and its way on: its writers, whether it passes anything on, and how much later."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writers = [writer]
        self.speaks = asyncio.Event()
        self.speaks.set()
        self.delay = 0.0

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.speaks.set()


class Proxy:
    """Listens on a port of its own and passes on to any of `upstreams` that takes the connection.

    Faults are done to one of the connections that are open then, `which` of them being counted round.
    """

    def __init__(self, upstreams: Callable[[], Sequence[int]]) -> None:
        self.port = 0
        self._upstreams = upstreams
        self._ways: list[_Way] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._called, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> None:
        """Cut every connection."""
        for way in self._ways:
            way.cut()

    def cut(self, which: int) -> None:
        """Cut a connection."""
        for way in self._one(which):
            way.cut()

    async def fall_silent(self, which: int, seconds: float) -> None:
        """Pass on nothing for so long, with the connection open; then it is cut, and what was under way is lost."""
        for way in self._one(which):
            way.speaks.clear()
            try:
                await asyncio.sleep(seconds)
            finally:
                way.cut()

    async def slow_down(self, which: int, seconds: float, delay: float) -> None:
        """Pass on each piece so much later, for so long."""
        for way in self._one(which):
            way.delay = delay
            try:
                await asyncio.sleep(seconds)
            finally:
                way.delay = 0.0

    def _one(self, which: int) -> list[_Way]:
        return [self._ways[which % len(self._ways)]] if self._ways else []

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        way = _Way(writer)
        self._ways.append(way)
        try:
            await self._join(way, reader, writer)
        finally:
            self._ways.remove(way)
            self._tasks.discard(task)
            for each in way.writers:
                each.close()

    async def _join(self, way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await self._connect()
        if onward is None:
            return
        far_reader, far_writer = onward
        way.writers.append(far_writer)
        ways = [
            asyncio.ensure_future(_pass_on(way, reader, far_writer)),
            asyncio.ensure_future(_pass_on(way, far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ways:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        ports = list(self._upstreams())
        random.shuffle(ports)
        for port in ports:
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


async def _pass_on(way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while octets := await reader.read(CHUNK):
            await way.speaks.wait()
            if way.delay:
                await asyncio.sleep(way.delay)
            writer.write(octets)
            await writer.drain()
