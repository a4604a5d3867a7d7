"""The kiosk's page over HTTP: its files, and the WebSocket by which it shows a seat.

The page needs nothing from elsewhere, may load nothing from elsewhere, and is kept by no cache. A cookie that no script
reads names the screen's seat, so a page that is loaded anew finds it again; it opens nothing but this process, which
listens on its own machine. A socket must come from the page itself, and the page be called by an address and not by a
name, which somebody else's name server could let mean this machine: no other site may drive the kiosk.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from importlib.resources import files
from ipaddress import ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from ussd_server.kiosk import protocol
from ussd_server.kiosk.kiosk import Kiosk
from ussd_server.kiosk.seat import Seat

TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}

MOST_COMMAND: Final = 2_048
"""Octets of the longest command that is read."""
HEARTBEAT_S: Final = 10.0

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(protocol.AnyCommand).decode


def make_app(kiosk: Kiosk, *, by_name: bool = False) -> web.Application:
    """Return an application with the page at `/`, its files under `/web/` and the line to `kiosk` at `/socket`.

    `by_name` serves pages that are called by a name, too; for a demo, where nothing is at stake.
    """
    app = web.Application()
    lines: set[_Line] = set()

    async def socket(request: web.Request) -> web.StreamResponse:
        if not _from_the_page(request) or not (by_name or _by_address(request)):
            raise web.HTTPForbidden(text="The page must come from this server.")
        line = _Line(kiosk)
        lines.add(line)
        try:
            return await line.serve(request)
        finally:
            lines.discard(line)

    async def close(_app: web.Application) -> None:
        for line in tuple(lines):
            await line.close()

    app.router.add_get("/socket", socket)
    for path, body, kind in _assets():
        app.router.add_get(path, _asset(body, kind))
    app.on_shutdown.append(close)
    return app


def _assets() -> Iterable[tuple[str, bytes, str]]:
    """Read the page's files once; they are small."""
    for file in files(__package__).joinpath("web").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in TYPES:
            path = "/" if file.name == "index.html" else f"/web/{file.name}"
            yield path, file.read_bytes(), TYPES[suffix]


def _asset(body: bytes, kind: str) -> Handler:
    async def serve(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    return serve


def _from_the_page(request: web.Request) -> bool:
    """Only browsers open this socket, and a browser says which page asks."""
    return urlsplit(request.headers.get("Origin", "")).netloc == request.host


def _by_address(request: web.Request) -> bool:
    host = urlsplit(f"//{request.host}").hostname or ""
    try:
        return bool(ip_address(host))
    except ValueError:
        return host == "localhost"


class _Line:
    """One page's WebSocket: states out, the newest alone where the page is slow; commands in."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        self._socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MOST_COMMAND)
        self._state: protocol.State | None = None
        self._news = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Sit down at the seat of the cookie, then pass states and commands on until the page goes."""
        cookie = f"kiosk-{self._kiosk.name}"
        known = request.cookies.get(cookie, "")
        opened = self._kiosk.open(known, self._hear)
        if opened is None:
            raise web.HTTPServiceUnavailable(text="Too many pages show this kiosk.")
        id, seat = opened
        if id != known:
            path = request.path.removesuffix("socket")
            self._socket.set_cookie(cookie, id, path=path, httponly=True, samesite="Strict")
        try:
            await self._socket.prepare(request)
            self._hear(seat.state())
            await self._talk(seat)
        finally:
            self._kiosk.close(id, self._hear)
        return self._socket

    async def close(self) -> None:
        """Tell the page that the kiosk stops."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    async def _talk(self, seat: Seat) -> None:
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    with suppress(msgspec.DecodeError):  # not our page; what it may hold is not logged
                        seat.take(_decode(message.data))
        finally:
            writer.cancel()

    def _hear(self, state: protocol.State) -> None:
        self._state = state
        self._news.set()

    async def _write(self) -> None:
        with suppress(ConnectionError):  # the page went while something was on its way
            while True:
                await self._news.wait()
                self._news.clear()
                await self._socket.send_str(_encode(self._state).decode())
