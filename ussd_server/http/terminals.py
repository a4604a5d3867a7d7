"""The terminals' endpoint: read, let in, call the desk, answer. What is done is the desk's; who may ask is the guard's.

Every answer under `/v1` is signed, refusals too, so that a terminal believes nobody else.
"""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from aiohttp import HttpVersion11, hdrs, web

from ussd_server.http import guard, openapi
from ussd_server.http.guard import Guard
from ussd_server.http.operations import OPERATIONS, TOKEN, Operation
from ussd_server.metrics import Metrics
from ussd_server.secrecy.keys import Key, KeyFile
from ussd_server.stores.base import Store, StoreUnavailable
from ussd_server.subscribers.msisdn import parse
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered, Desk, Outcome
from ussd_server.terminals.problems import CONTENT_TYPE, TYPES, Problem, document, problem
from ussd_server.terminals.signatures import Asked, Signer, sign_response

log = structlog.get_logger()

ROOT: Final = "/v1"
JSON: Final = "application/json"
UTF8: Final = "utf-8"
FINISH_S: Final = 1.5
"""How long a stop waits for what terminals have begun: as long as a full queue of checks takes."""
WAIT_S: Final = 5
"""How soon to ask again where a part of the server is away."""
BUSY_S: Final = 5
"""How soon to ask again for what may not begin while there is too much to do."""
SOON_S: Final = 1
"""How soon to ask again for what another refusal says no time for."""
CHALLENGE: Final = "Signature"
"""What a 401 asks for (RFC 9110, section 11.6.1): a signature, of which /openapi.json says all."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Terminals:
    """The endpoint. Until `serve` says who serves, everything is answered with `unavailable`; `now` is in ms."""

    def __init__(
        self,
        now: Callable[[], int],
        url: str = "",
        country: str = "7",
        metrics: Metrics | None = None,
        body_s: float = guard.BODY_S,
    ) -> None:
        self._now = now
        self._url = url
        self._country = country
        self._metrics = metrics or Metrics()
        self._body_s = body_s
        self._desk: Desk | None = None
        self._guard: Guard | None = None
        self._keys: KeyFile | None = None
        self._admits: Callable[[], bool] = bool
        self._signers: dict[str, Signer] = {}
        self._under_way = 0
        self._answered = asyncio.Event()

    def serve(self, desk: Desk, store: Store, keys: KeyFile, admits: Callable[[], bool] = lambda: True) -> None:
        """From now on this desk serves; `admits` says whether something may begin that was not under way."""
        self._desk, self._guard, self._keys = desk, Guard(store, self._now, self._url), keys
        self._admits = admits

    async def finish(self) -> None:
        """Refuse what comes from now on, and return when what was begun is answered, or after `FINISH_S`."""
        self._desk = None
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                while self._under_way:
                    self._answered.clear()
                    await self._answered.wait()

    def add_to(self, app: web.Application) -> None:
        """Put the routes on an application."""
        app.middlewares.append(self._nothing_here)
        for operation in OPERATIONS:
            app.router.add_route(
                operation.method, operation.path, self._handler(operation), expect_handler=self._expect
            )
        app.router.add_get("/openapi.json", _description())
        app.router.add_get("/problems/{name}", _explain)

    def _handler(self, operation: Operation) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                outcome = await self._outcome(operation, request)
            except StoreUnavailable as error:
                log.error("store unavailable, terminal's request refused", operation=operation.name, cause=str(error))
                outcome = problem("unavailable", retry_after=WAIT_S)
            except Exception:
                log.exception("terminal's request failed", operation=operation.name)
                outcome = problem("internal", retry_after=WAIT_S)
            return self._respond(request, outcome, all_keys=not operation.signed)

        return handle

    async def _outcome(self, operation: Operation, request: web.Request) -> Outcome:
        asked = await self._ask(operation, request)
        if isinstance(asked, Problem):
            # What gets as far as the desk is counted there.
            self._metrics.terminal_requests[operation.name, asked.kind.name] += 1
            return asked
        self._under_way += 1
        try:
            return await asked()
        finally:
            self._under_way -= 1
            self._answered.set()

    async def _ask(self, operation: Operation, request: web.Request) -> Problem | Callable[[], Awaitable[Outcome]]:
        """Read a request and let it in; return what is to be done for it. Raises StoreUnavailable."""
        body = await guard.read(request, self._body_s)
        if isinstance(body, Problem):
            return body
        if self._guard is None or self._desk is None or self._keys is None:
            return problem("unavailable", "the server is starting", retry_after=WAIT_S)
        if not operation.signed:
            return partial(self._tell_keys, operation, self._keys)
        if operation.begins and not self._admits():
            return problem("busy", retry_after=BUSY_S)  # before the work of finding out who asks
        admitted = await self._guard.admit(request, body)
        if isinstance(admitted, Problem):
            return admitted
        for name, value in request.match_info.items():
            if not re.fullmatch(TOKEN, value):
                return problem(f"{name}-unknown")
        given = self._read(operation, request, admitted.body)
        if isinstance(given, Problem):
            return given
        return partial(getattr(self._desk, operation.name), admitted.request, *request.match_info.values(), *given)

    async def _tell_keys(self, operation: Operation, keys: KeyFile) -> Outcome:
        self._metrics.terminal_requests[operation.name, "ok"] += 1
        return Answered(200, _public_keys(keys))

    def _read(self, operation: Operation, request: web.Request, body: bytes) -> tuple[Any, ...] | Problem:
        """Return what the desk's method of this operation takes beside the path."""
        if operation.kind:
            kind = request.query.getall("kind", [])
            if kind not in (["tariff"], ["service"]) or len(request.query) != 1:
                return problem("invalid-request", "the query is kind=tariff or kind=service")
            return (kind[0],)
        if request.query_string:
            return problem("invalid-request", "no query is taken here")
        if operation.asks is not None:
            return self._message(operation.asks, request, body)
        return problem("invalid-request", "no body is taken here") if body else ()

    def _message(self, wanted: type[Any], request: web.Request, body: bytes) -> tuple[Any] | Problem:
        if request.content_type != JSON or (request.charset or UTF8).lower() != UTF8:
            return problem("unsupported-media-type")
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            return problem("unsupported-media-type", "the body comes as it is, not compressed")
        try:
            asked = msgspec.json.decode(body, type=wanted)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return problem("invalid-request", _without_values(error))
        number = getattr(asked, "msisdn", None)
        # It must be its own normal form: `$` of a pattern lets a line end pass, and people write numbers in many ways.
        if number is not None and parse(number, country=self._country) != number:
            return problem("invalid-request", "no subscriber has such a number - at `$.msisdn`")
        return (asked,)

    def _respond(self, request: web.Request, outcome: Outcome, *, all_keys: bool = False) -> web.Response:
        headers = {"Cache-Control": "no-store"}
        if isinstance(outcome, Answered):
            status, body, content = outcome.status, outcome.body, JSON
        else:
            status, body, content = outcome.kind.status, document(outcome), CONTENT_TYPE
            retry_after = SOON_S if outcome.retry_after is None and outcome.kind.again else outcome.retry_after
            if retry_after is not None:
                headers["Retry-After"] = str(retry_after)
            if status == 401:
                headers["WWW-Authenticate"] = CHALLENGE
        if body:
            headers["Content-Type"] = content
        if self._keys is not None:
            # Public keys are signed by every key, so that who knows any of them learns the others.
            signing = self._keys.ring.of("signing") if all_keys else (self._keys.current("signing"),)
            signers = [self._signer(key) for key in signing]
            asked = Asked(request.method, guard.target_of(request, self._url), request.headers)
            headers = sign_response(status, headers, body, asked, signers, self._now())
        return web.Response(status=status, body=body or None, headers=headers)

    def _signer(self, key: Key) -> Signer:
        signer = self._signers.get(key.id)
        if signer is None:
            signer = self._signers[key.id] = Signer(key.id, key.secret)
        return signer

    async def _expect(self, request: web.Request) -> web.Response | None:
        """Meet the one expectation there is (RFC 9110, section 10.1.1)."""
        if request.headers[hdrs.EXPECT].lower() != "100-continue":
            return self._respond(request, problem("invalid-request", "the only expectation is 100-continue"))
        if request.version >= HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # nothing of the answer yet
        return None

    @web.middleware
    async def _nothing_here(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what no route takes as the problems that terminals know."""
        try:
            return await handler(request)
        except web.HTTPNotFound:
            if not request.path.startswith(f"{ROOT}/"):
                raise
            return self._respond(request, problem("not-found"))
        except web.HTTPMethodNotAllowed as error:
            if not request.path.startswith(f"{ROOT}/"):
                raise
            response = self._respond(request, problem("method-not-allowed"))
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
            return response


def _public_keys(keys: KeyFile) -> bytes:
    def told(kind: Any) -> list[messages.PublicKey]:
        return [
            messages.PublicKey(key.id, base64.b64encode(key.octets).decode(), key.current)
            for key in keys.ring.public(kind)
        ]

    return msgspec.json.encode(messages.ServerKeys(told("transport"), told("signing")))


def _without_values(error: Exception) -> str:
    """Return what is wrong with a message and where, without what stood there: it may be a secret in a wrong place."""
    text = str(error) if isinstance(error, msgspec.MsgspecError) else "it is no JSON that can be read"
    what, at, place = text.partition(" - at ")
    if what.startswith("Invalid enum value"):
        what = "not one of the values that can be here"
    elif (unknown := _UNKNOWN.fullmatch(what)) and not _NAME.fullmatch(unknown[1]):
        what = "Object contains an unknown field"
    return f"{what}{at}{place}"


_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_]{1,32}")
"""A field's name that may be told: no number and no code is one."""


def _description() -> Handler:
    """Return what serves the OpenAPI document, which is encoded once."""
    body = msgspec.json.encode(openapi.document())

    async def describe(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=JSON)

    return describe


async def _explain(request: web.Request) -> web.Response:
    """Tell what a type of problem means, for whoever follows its URI."""
    kind = TYPES.get(request.match_info["name"])
    if kind is None:
        raise web.HTTPNotFound
    again = "\nThe same request, with the same Idempotency-Key, may be sent again.\n" if kind.again else ""
    return web.Response(text=f"{kind.name} ({kind.status})\n\n{kind.title}.\n{kind.mend}\n{again}")
