"""A TCP proxy between a server and what it talks to, or what talks to it: cuts, falls silent, slows down."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

CHUNK = 65_536


class Proxy:
    """Listens on a port of its own and passes on to any of `upstreams` that takes the connection."""

    def __init__(self, upstreams: Callable[[], Sequence[int]]) -> None:
        self.port = 0
        self._upstreams = upstreams
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._delay = 0.0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._called, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        self._speaks.set()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Cut every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def fall_silent(self, seconds: float) -> None:
        """Pass on nothing for so long, with the connections open; what was under way is lost with them."""
        self._speaks.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.cut()
            self._speaks.set()

    async def slow_down(self, seconds: float, delay: float) -> None:
        """Pass on each piece so much later, for so long."""
        self._delay = delay
        try:
            await asyncio.sleep(seconds)
        finally:
            self._delay = 0.0

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._join(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        onward = await self._connect()
        if onward is not None:
            far_reader, far_writer = onward
            self._writers.add(far_writer)
            ways = [
                asyncio.ensure_future(self._pass_on(reader, far_writer)),
                asyncio.ensure_future(self._pass_on(far_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._drop(far_writer)
        self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        ports = list(self._upstreams())
        random.shuffle(ports)
        for port in ports:
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while octets := await reader.read(CHUNK):
                await self._speaks.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(octets)
                await writer.drain()
