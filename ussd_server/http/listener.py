"""An HTTP server on one address, with what every process of ours answers: its health and its numbers."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, cast

from aiohttp import http_exceptions, web

from ussd_server.http.health import Checks, add_health
from ussd_server.http.metrics import add_metrics
from ussd_server.metrics import Metrics
from ussd_server.settings import Address

CLOSE_S: Final = 2.0
"""How long open requests may go on when the server stops."""
HEAD_S: Final = 10.0
"""How long a request's head may take to arrive; one packet brings it."""
REST_S: Final = 75.0
"""How long a connection may rest between two requests; proxies keep theirs for 60."""
MOST_CONNECTIONS: Final = 2000
BACKLOG: Final = 512
"""Connections that the system may hold before they are taken."""

INDEX = """\
ussd-server

/healthz  the process lives
/readyz   the store can be written and every SMSC is bound; else why not
/metrics  numbers for Prometheus
"""

Application: TypeAlias = web.Application
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(checks: Checks, metrics: Metrics, app: Application | None = None) -> Application:
    """Return an application with health and metrics on it: the given one, or one whose `/` says what is there."""
    if app is None:
        app = web.Application()
        app.router.add_get("/", _index)
    add_health(app, checks)
    add_metrics(app, metrics)
    return app


async def _index(_: web.Request) -> web.Response:
    return web.Response(text=INDEX)


class _NoTraceOfNoise(logging.Filter):
    """Leaves out what aiohttp logs of octets that are no HTTP: a whole trace each, for whatever anybody sends."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log it."""
        return not (record.exc_info and isinstance(record.exc_info[1], http_exceptions.HttpProcessingError))


_logger = logging.getLogger("aiohttp.server.requests")
_logger.addFilter(_NoTraceOfNoise())


class Listener:
    """Serves an application until it is stopped, `most` connections at once (more are closed as they come).

    A connection is closed where a request's head does not arrive in time: `head_s` after it was opened (and so long
    again for a TLS handshake before), and as long after its last answer as it may rest, `REST_S`, and that. Bodies are
    the handlers' to bound.
    """

    def __init__(
        self,
        app: Application,
        address: Address,
        most: int = MOST_CONNECTIONS,
        tls: ssl.SSLContext | None = None,
        head_s: float = HEAD_S,
    ) -> None:
        app.middlewares.insert(0, self._watched)
        # Bodies are left as they came: a digest is of these octets, and a few of them could become very many.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_logger,
            shutdown_timeout=CLOSE_S,
            keepalive_timeout=REST_S,
            auto_decompress=False,
        )
        self._most = most
        self._tls = tls
        self._head_s = head_s
        self._connections: dict[asyncio.BaseTransport, _Watch] = {}
        self._server: asyncio.Server | None = None
        self.address = address
        """Where it listens; after `start` with the port that the system chose, where 0 was asked for."""

    async def start(self) -> None:
        """Listen; raises OSError where the address cannot be had."""
        await self._runner.setup()
        serve = self._runner.server
        assert serve is not None  # it is there after `setup`
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Watch(serve(), self._connections, self._most, self._head_s),
                self.address.host,
                self.address.port,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else self._head_s,
                backlog=BACKLOG,
            )
        except OSError:
            await self._runner.cleanup()
            raise
        self.address = Address(self.address.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the address, and the connections after what is under way."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    @web.middleware
    async def _watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Tell a connection's watch that a head has arrived, and when its request is answered."""
        watch = self._connections.get(request.transport) if request.transport is not None else None
        if watch is None:
            return await handler(request)
        watch.rest()
        try:
            return await handler(request)
        finally:
            watch.wait(REST_S + self._head_s)


class _Watch(asyncio.Protocol):
    """Stands before aiohttp's protocol of one connection and closes it where nothing comes of it.

    aiohttp waits for a request's head for ever, so a few hundred slow senders would hold as many connections.
    """

    def __init__(
        self, inner: asyncio.Protocol, connections: "dict[asyncio.BaseTransport, _Watch]", most: int, head_s: float
    ) -> None:
        self._connections = connections
        self._most = most
        self._head_s = head_s
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        # What comes often goes straight through.
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in where there is room, and wait for the first head."""
        self._transport = transport
        full = len(self._connections) >= self._most
        self._connections[transport] = self
        self._inner.connection_made(transport)
        if full:
            self._abort()
        else:
            self.wait(self._head_s)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self.rest()
        if self._transport is not None:
            self._connections.pop(self._transport, None)
        self._inner.connection_lost(error)

    def wait(self, seconds: float) -> None:
        """Close the connection unless a head arrives by then."""
        self.rest()
        if self._transport is not None and not self._transport.is_closing():
            self._timer = asyncio.get_running_loop().call_later(seconds, self._abort)

    def rest(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _abort(self) -> None:
        if self._transport is not None:
            # No `isinstance` here: uvloop's transports are those of asyncio by their methods alone.
            cast(asyncio.Transport, self._transport).abort()
