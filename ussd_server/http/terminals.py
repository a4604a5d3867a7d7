"""The terminals' endpoint: read, let in, call the desk, answer. What is done is the desk's; who may ask is the guard's.

Every answer under `/v1` is signed, refusals too, so that a terminal believes nobody else.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from aiohttp import hdrs, web

from ussd_server.http import guard
from ussd_server.http.guard import Admitted, Guard
from ussd_server.http.operations import OPERATIONS, Operation
from ussd_server.secrecy.keys import Key, KeyFile
from ussd_server.stores.base import Store, StoreUnavailable
from ussd_server.subscribers.msisdn import NotSubscriber, parse
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered, Desk, Outcome
from ussd_server.terminals.problems import CONTENT_TYPE, TYPES, Problem, document, problem
from ussd_server.terminals.signatures import Signer, sign_response

log = structlog.get_logger()

ROOT: Final = "/v1"
JSON: Final = "application/json"
WAIT_S: Final = 5
"""How soon to ask again where a part of the server is away."""
MAX_DETAIL: Final = 200
"""Characters of what is told about a wrong message."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Terminals:
    """The endpoint. Until `serve` says who serves, everything is answered with `unavailable`; `now` is in ms."""

    def __init__(self, now: Callable[[], int], url: str = "", country: str = "7") -> None:
        self._now = now
        self._url = url
        self._country = country
        self._desk: Desk | None = None
        self._guard: Guard | None = None
        self._keys: KeyFile | None = None
        self._signers: dict[str, Signer] = {}

    def serve(self, desk: Desk, store: Store, keys: KeyFile) -> None:
        """From now on this desk serves."""
        self._desk, self._guard, self._keys = desk, Guard(store, self._now, self._url), keys

    def add_to(self, app: web.Application) -> None:
        """Put the routes on an application."""
        app.middlewares.append(self._nothing_here)
        for operation in OPERATIONS:
            app.router.add_route(operation.method, operation.path, self._handler(operation))
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
        body = await guard.read(request)
        if isinstance(body, Problem):
            return body
        if self._guard is None or self._desk is None or self._keys is None:
            return problem("unavailable", "the server is starting", retry_after=WAIT_S)
        if not operation.signed:
            return Answered(200, _public_keys(self._keys))
        admitted = await self._guard.admit(request, body)
        if isinstance(admitted, Problem):
            return admitted
        return await self._call(self._desk, operation, request, admitted)

    async def _call(self, desk: Desk, operation: Operation, request: web.Request, admitted: Admitted) -> Outcome:
        """Read the message and call the desk's method of the operation's name with all that the path says."""
        arguments: list[Any] = [admitted.request, *request.match_info.values()]
        if operation.asks is not None:
            asked = self._read(operation.asks, request, admitted.body)
            if isinstance(asked, Problem):
                return asked
            arguments.append(asked)
        if operation.kind:
            kind = request.query.getall("kind", [])
            if kind not in (["tariff"], ["service"]) or len(request.query) != 1:
                return problem("invalid-request", "the query is kind=tariff or kind=service")
            arguments.append(kind[0])
        method: Callable[..., Awaitable[Outcome]] = getattr(desk, operation.name)
        return await method(*arguments)

    def _read(self, wanted: type[Any], request: web.Request, body: bytes) -> Any:
        if request.content_type != JSON:
            return problem("unsupported-media-type")
        try:
            asked = msgspec.json.decode(body, type=wanted)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return problem("invalid-request", _without_values(str(error)))
        number = getattr(asked, "msisdn", None)
        if number is not None and isinstance(parse(number, country=self._country), NotSubscriber):
            return problem("invalid-request", "msisdn is no subscriber's number")
        return asked

    def _respond(self, request: web.Request, outcome: Outcome, *, all_keys: bool = False) -> web.Response:
        headers = {"Cache-Control": "no-store"}
        if isinstance(outcome, Answered):
            status, body, content = outcome.status, outcome.body, JSON
        else:
            status, body, content = outcome.kind.status, document(outcome), CONTENT_TYPE
            if outcome.retry_after is not None:
                headers["Retry-After"] = str(outcome.retry_after)
        if body:
            headers["Content-Type"] = content
        if self._keys is not None:
            # Public keys are signed by every key, so that who knows any of them learns the others.
            signing = self._keys.ring.of("signing") if all_keys else (self._keys.current("signing"),)
            signers = [self._signer(key) for key in signing]
            headers = sign_response(status, headers, body, request.headers, signers, self._now())
        return web.Response(status=status, body=body or None, headers=headers)

    def _signer(self, key: Key) -> Signer:
        signer = self._signers.get(key.id)
        if signer is None:
            signer = self._signers[key.id] = Signer(key.id, key.secret)
        return signer

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


def _without_values(text: str) -> str:
    """Return what msgspec says of a wrong message without what stood there, which may be a secret in a wrong place."""
    before, quoted, _ = text.partition("Invalid enum value")
    place = text.rpartition(" - at ")[2] if " - at " in text else "`$`"
    return f"{before}{quoted} - at {place}"[:MAX_DETAIL] if quoted else text[:MAX_DETAIL]


async def _explain(request: web.Request) -> web.Response:
    """Tell what a type of problem means, for whoever follows its URI."""
    kind = TYPES.get(request.match_info["name"])
    if kind is None:
        raise web.HTTPNotFound
    again = "\nThe same request, with the same Idempotency-Key, may be sent again.\n" if kind.again else ""
    return web.Response(text=f"{kind.name} ({kind.status})\n\n{kind.title}.\n{kind.mend}\n{again}")
