"""The phone page: its files, and the WebSocket that its browsers and the terminal's phone talk over.

The page needs nothing from elsewhere and may load nothing from elsewhere. A browser that shows a page of another origin
may not use the socket: whoever runs the simulator on the own machine must not have it dialled by a web site.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from html import escape
from importlib.resources import files
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from ussd_server.simulator import protocol
from ussd_server.simulator.protocol import Shortcut
from ussd_server.simulator.smsc import Smsc

SHORTCUTS: Final = (
    Shortcut(dial="*111#"),
    Shortcut(dial="*100#"),
    Shortcut(dial="*111*2163#"),
    Shortcut(to="2163", text="111"),
    Shortcut(to="6262", text=""),
)
"""Buttons under each phone: what a newcomer tries first."""

KIOSK_PLACE: Final = b"<!-- kiosk -->"
KIOSK: Final = """\
<section class="kiosk" id="kiosk" data-word-label="kiosk">
      <header class="kiosk-head"><h2 data-word="kiosk"></h2><p class="hint" data-word="kioskHint"></p></header>
      <iframe src="{path}" data-word-title="kiosk"></iframe>
    </section>"""

TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

MOST_COMMAND: Final = 16_384
"""Octets of the longest command that is read."""

MOST_UNSENT: Final = 2_000
"""Events kept for a browser that does not read them; beyond it, it is closed and comes again."""

HEARTBEAT_S: Final = 20.0

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(protocol.AnyCommand).decode


def make_app(smsc: Smsc, quick: Iterable[Shortcut] = SHORTCUTS, kiosk: str = "") -> web.Application:
    """Return an application with the page at `/`, its files under `/web/` and the line to `smsc` at `/socket`.

    `kiosk` is the path of a page that is shown beside the phones.
    """
    app = web.Application()
    lines: set[_Line] = set()
    shortcuts = tuple(quick)

    async def socket(request: web.Request) -> web.StreamResponse:
        if not _same_origin(request):
            raise web.HTTPForbidden(text="The page must come from this server.")
        line = _Line(smsc)
        lines.add(line)
        try:
            return await line.serve(request, shortcuts)
        finally:
            lines.discard(line)

    async def close(_app: web.Application) -> None:
        for line in tuple(lines):
            await line.close()

    app.router.add_get("/socket", socket)
    for path, body, kind in _assets():
        app.router.add_get(path, _asset(_with_kiosk(body, kiosk) if path == "/" else body, kind))
    app.on_shutdown.append(close)
    return app


def _assets() -> Iterable[tuple[str, bytes, str]]:
    """Read the page's files once; they are small."""
    for file in files(__package__).joinpath("web").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in TYPES:
            path = "/" if file.name == "index.html" else f"/web/{file.name}"
            yield path, file.read_bytes(), TYPES[suffix]


def _with_kiosk(page: bytes, path: str) -> bytes:
    """Fill the place of the kiosk, or leave it empty."""
    pane = KIOSK.format(path=escape(path)) if path else ""
    return page.replace(KIOSK_PLACE, pane.encode())


def _asset(body: bytes, kind: str) -> Handler:
    async def serve(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    return serve


def _same_origin(request: web.Request) -> bool:
    """A browser tells where the page came from that opens a socket; other programs say nothing."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


class _Line:
    """One page's WebSocket: events out in their order, commands in."""

    def __init__(self, smsc: Smsc) -> None:
        self._smsc = smsc
        self._socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MOST_COMMAND)
        self._events: asyncio.Queue[bytes] = asyncio.Queue(MOST_UNSENT)
        self._closing: asyncio.Task[None] | None = None

    async def serve(self, request: web.Request, quick: tuple[Shortcut, ...]) -> web.WebSocketResponse:
        """Say hello, then pass events and commands on until the page goes."""
        await self._socket.prepare(request)
        self._hear(self._smsc.hello(quick))
        self._smsc.listeners.add(self._hear)
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
        finally:
            self._smsc.listeners.discard(self._hear)
            writer.cancel()
        return self._socket

    async def close(self) -> None:
        """Tell the page that the simulator stops."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    def _hear(self, event: protocol.AnyEvent) -> None:
        try:
            # Encoded now, not when it is written: what an event points at changes meanwhile.
            self._events.put_nowait(_encode(event))
        except asyncio.QueueFull:
            self._smsc.listeners.discard(self._hear)
            self._closing = asyncio.create_task(self.close())

    def _take(self, text: str) -> None:
        try:
            command = _decode(text)
        except msgspec.DecodeError:
            self._hear(protocol.Refused("bad_command"))
            return
        problem = self._smsc.perform(command)
        if problem is not None:
            self._hear(protocol.Refused(problem, str(command.__struct_config__.tag)))

    async def _write(self) -> None:
        with suppress(ConnectionError):  # the page went while something was on its way
            while True:
                await self._socket.send_str((await self._events.get()).decode())
