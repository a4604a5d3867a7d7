"""An HTTP server on one address, with what every process of ours answers: its health and its numbers."""

import asyncio
import logging
import math
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from aiohttp import EMPTY_PAYLOAD, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from ussd_server.http.health import Checks, add_health
from ussd_server.http.metrics import add_metrics
from ussd_server.metrics import Metrics
from ussd_server.settings import Address
from ussd_server.terminals.problems import CONTENT_TYPE, document, problem

CLOSE_S: Final = 2.0
"""How long open requests may go on when the server stops."""
HEAD_S: Final = 10.0
"""How long a request's head may take to arrive; one packet brings it."""
REST_S: Final = 75.0
"""How long a connection may rest between two requests; proxies keep theirs for 60."""
MOST_CONNECTIONS: Final = 2000
NEVER_S: Final = 86_400.0
NAME: Final = "ussd-server"
"""What answers say that they come from; aiohttp's own words tell its version and Python's to whoever asks."""
BACKLOG: Final = 512
"""Connections that the system may hold before they are taken."""

INDEX = """\
ussd-server

/healthz  the process lives
/readyz   the store can be written, the keys are those in use and an SMSC is bound; else why not, and what is away
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


_OPTIONS: Final[Mapping[str, Any]] = {
    "logger": logging.getLogger("aiohttp.server.requests"),
    "access_log": None,
    # Bodies are left as they came: a digest is of these octets, and a few of them could become very many.
    "auto_decompress": False,
    # `Waiting` decides; aiohttp's own timer would cut a head that begins late in a rest.
    "keepalive_timeout": NEVER_S,
}


class Waiting:
    """How long a connection is waited for: the rule, without a clock. Times are seconds of any clock.

    `due` is when to close it. A head has `head_s`: the first from the opening, each later one from its first octet, or
    from the answer to the request before where it came sooner. Between an answer and that octet it may rest `rest_s`.
    While a request is under way nothing is due. (Octets that came in one piece with the end of a request cannot be
    told from it; a head that they begin has its time from the next ones, or ends with the rest.)
    """

    __slots__ = ("_ahead", "_head_s", "_rest_s", "_resting", "due")

    def __init__(self, now: float, head_s: float, rest_s: float) -> None:
        self.due = now + head_s
        self._head_s = head_s
        self._rest_s = rest_s
        self._resting = False
        self._ahead = False

    def octets(self, now: float, *, of_body: bool) -> None:
        """Take note of octets that came; `of_body` says that the request under way still lacks some."""
        if self._resting:
            self._resting = False
            self.due = now + self._head_s
        elif self.due == math.inf and not of_body:
            self._ahead = True

    def whole(self, now: float) -> None:
        """Take note of a head that is whole: it was in time, and its request begins next, unless it is refused."""
        if self.due < math.inf:
            self.due = now + self._head_s
            self._resting = False

    def begun(self) -> None:
        """Take note of a request that is under way."""
        self.due = math.inf
        self._resting = self._ahead = False

    def answered(self, now: float) -> None:
        """Take note of the end of the request under way."""
        self._resting = not self._ahead
        self.due = now + (self._rest_s if self._resting else self._head_s)


class Listener:
    """Serves an application until it is stopped, `most` connections at once (more are closed as they come).

    A connection is closed where a request's head does not arrive in time, as `Waiting` says (a TLS handshake before the
    first has `head_s` of its own). Bodies are the handlers' to bound. What is no HTTP is answered with the problem
    `unreadable-request`, and nothing of it is logged.
    """

    def __init__(
        self,
        app: Application,
        address: Address,
        most: int = MOST_CONNECTIONS,
        tls: ssl.SSLContext | None = None,
        head_s: float = HEAD_S,
        rest_s: float = REST_S,
    ) -> None:
        app.middlewares.insert(0, _watched)
        app.on_response_prepare.append(_named)
        self._runner = web.AppRunner(app, shutdown_timeout=CLOSE_S)
        self._most = most
        self._tls = tls
        self._head_s = head_s
        self._rest_s = rest_s
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.address = address
        """Where it listens; after `start` with the port that the system chose, where 0 was asked for."""

    async def start(self) -> None:
        """Listen; raises OSError where the address cannot be had."""
        await self._runner.setup()
        serve = self._runner.server
        assert serve is not None  # it is there after `setup`
        loop = asyncio.get_running_loop()

        def connection() -> _Connection:
            waiting = Waiting(loop.time(), self._head_s, self._rest_s)
            return _Connection(serve, loop, self._connections, self._most, waiting)

        try:
            self._server = await loop.create_server(
                connection,
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


class _Connection(web.RequestHandler):
    """aiohttp's protocol of one connection, which by itself would wait for a request's head for ever.

    So a few hundred slow senders would hold as many connections. What it cannot read it answers as terminals know it.
    """

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        connections: "set[_Connection]",
        most: int,
        waiting: Waiting,
    ) -> None:
        super().__init__(server, loop=loop, **_OPTIONS)
        self._open = connections
        self._most = most
        self._waiting = waiting
        self._body: StreamReader = EMPTY_PAYLOAD
        self._wire: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in where there is room."""
        self._wire = transport
        full = len(self._open) >= self._most
        self._open.add(self)
        super().connection_made(transport)
        if full:
            self._abort()
        else:
            self._watch()

    def connection_lost(self, error: BaseException | None) -> None:
        """Forget the connection."""
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        self._open.discard(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take octets, which may begin a head."""
        if data:  # aiohttp calls this with none, to go on with what it has, when a body's reader makes room
            self._waiting.octets(self._loop.time(), of_body=not self._body.is_eof())
            self._watch()
        queued = len(self._messages)
        super().data_received(data)
        if len(self._messages) == queued:
            return
        if isinstance(self._messages[-1][0], RawRequestMessage):
            self._waiting.whole(self._loop.time())
        if not self._body.is_eof():
            # No request comes in the middle of a body: it is broken there, which aiohttp does not tell who reads it.
            self._body.set_exception(web.RequestPayloadError("the body is broken"))
            self._body.feed_eof()

    async def watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let nothing be due while a request is under way."""
        self._waiting.begun()
        self._body = request.content
        try:
            response = await handler(request)
            if self._body.exception() is not None:
                response.force_close()  # where its end is not known, neither is where another request begins
            return response
        finally:
            self._waiting.answered(self._loop.time())
            self._watch()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no HTTP without a word of it; the rest is aiohttp's to answer."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        refused = problem("unreadable-request")
        response = web.Response(
            status=refused.kind.status,
            body=document(refused),
            headers={hdrs.CONTENT_TYPE: CONTENT_TYPE, hdrs.CACHE_CONTROL: "no-store", hdrs.SERVER: NAME},
        )
        response.force_close()
        return response

    def _watch(self) -> None:
        """Look again when something is due. A timer that comes too early is left: most connections move on by then."""
        due = self._waiting.due
        if self._wire is None or due == math.inf or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting.due <= self._loop.time():
            # What has arrived is read first: where the process stood still, a head may lie there that came in time.
            self._loop.call_soon(self._loop.call_soon, self._end)
        else:
            self._watch()

    def _end(self) -> None:
        if self._waiting.due <= self._loop.time():
            self._abort()
        else:
            self._watch()

    def _abort(self) -> None:
        if self._wire is not None:
            # No `isinstance` here: uvloop's transports are those of asyncio by their methods alone.
            cast(asyncio.Transport, self._wire).abort()


@web.middleware
async def _watched(request: web.Request, handler: Handler) -> web.StreamResponse:
    connection = request.protocol
    return await (connection.watched(request, handler) if isinstance(connection, _Connection) else handler(request))


async def _named(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = NAME
