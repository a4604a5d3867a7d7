"""A listener for tests, and what its connections say.

Times are those that the tests set, and nothing is asserted of how long something took.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from ussd_server.http.listener import Listener
from ussd_server.settings import Address

NEVER = 1000.0
REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """A listener whose `/` answers at once and whose `/slow` answers when it is told to."""

    def __init__(
        self, head_s: float = NEVER, most: int = 100, tls: ssl.SSLContext | None = None, rest_s: float = NEVER
    ) -> None:
        app = web.Application()
        app.router.add_get("/", self._quick)
        app.router.add_get("/slow", self._slow)
        app.router.add_post("/", self._read)
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.listener = Listener(app, Address("127.0.0.1", 0), most, tls, head_s, rest_s)

    async def _quick(self, _: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def _slow(self, _: web.Request) -> web.Response:
        self.entered.set()
        await self.go_on.wait()
        return web.Response(text="slow")

    async def _read(self, request: web.Request) -> web.Response:
        self.entered.set()
        try:
            return web.Response(body=await request.read())
        except web.RequestPayloadError:
            return web.Response(text="broken", status=422)

    def hurry(self, head_s: float = 0.05) -> None:
        """From now on a head may take no longer than this; one that must come in time came before."""
        self.listener._head_s = head_s
        for connection in self.listener._connections:
            connection._waiting._head_s = head_s

    async def connect(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection("127.0.0.1", self.listener.address.port, ssl=tls)


Story = Callable[[Served], Awaitable[None]]


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer's body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the connection is closed; return whether nothing came before."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True
