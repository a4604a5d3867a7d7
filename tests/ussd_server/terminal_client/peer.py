"""A server that does as it is told: it drops connections, is late, signs with the wrong key.

It is a real HTTP server with real signatures and boxes; only what it answers is scripted.
"""

import asyncio
import json
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from aiohttp import web
from nacl.public import PrivateKey

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import Patience, Surroundings, TerminalClient
from ussd_server.terminals import problems, sealing, signatures
from ussd_server.terminals.credentials import Credentials
from ussd_server.terminals.messages import Screen, VisitOpened

TERMINAL = "hall-1"
NOW = 1_763_881_200_000
MSISDN = "79100000001"
CODE = Secret("90417263")
SEED = Secret(bytes(range(32)))
VISIT = "vVv-token_of.a-visit"

SCREEN = Screen(7, "menu", "Title", "Text", [], [], "choice", secret=False, ends=False)


class Clock:
    """Time that passes where somebody sleeps, and nowhere else."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)

    def now(self) -> int:
        return NOW + round(self.passed * 1000)

    def surroundings(self, jitter: float = 1.0) -> Surroundings:
        return replace(
            Surroundings(), now=self.now, steady=lambda: self.passed, sleep=self.sleep, jitter=lambda: jitter
        )


@dataclass(frozen=True)
class Seen:
    """A request as it came; its signature was good."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    nonce: str

    @property
    def key(self) -> str | None:
        return self.headers.get("Idempotency-Key")

    @property
    def message(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Say:
    """An answer, signed by the current key where nothing else is said; `asked` is what it says of its request."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    signers: list[signatures.Signer] | None = None
    signed_at: int | None = None
    signed_body: bytes | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)


DROP = "drop"
HANG = "hang"


def problem(name: str, retry_after: int | None = None, **more: Any) -> Say:
    """The refusal of this name, as the server writes it."""
    refused = problems.problem(name, retry_after=retry_after, **more)
    headers = {"Content-Type": problems.CONTENT_TYPE}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Say(refused.kind.status, msgspec.Raw(problems.document(refused)), headers)


def opened(screen: Screen = SCREEN) -> Say:
    """The answer to a right code."""
    return Say(201, VisitOpened(VISIT, 180, screen))


def signer(name: str, keyid: str = "") -> signatures.Signer:
    """A key of that name, always the same; it may go under another's."""
    return signatures.Signer(keyid or name, Secret(name.encode().ljust(32, b".")))


class Peer:
    """Answers requests by `script`, one step a request; `/v1/keys` on its own, signed by every key of `signing`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.signing = [signer("signing-1")]
        self.transport = {"transport-1": PrivateKey(b"1" * 32)}
        self.script: deque[Say | str] = deque()
        self.keys_script: deque[Say | str] = deque()
        self.seen: list[Seen] = []
        self.keys_asked = 0
        self.url = ""
        self._released = asyncio.Event()

    @property
    def now(self) -> int:
        return self.clock.now()

    def keys(self) -> Say:
        """The keys as they are, the last of each kind the current one."""
        transport, signing = list(self.transport.items()), self.signing
        return Say(
            200,
            {
                "transport": [_key(kid, bytes(key.public_key), key is transport[-1][1]) for kid, key in transport],
                "signing": [_key(each.keyid, each.public, each is signing[-1]) for each in signing],
            },
            signers=self.signing,
        )

    def entry(self, request: Seen) -> sealing.Entry:
        """What was sealed in a request."""
        entry = request.message["entry"]
        found = sealing.unseal(entry["box"], Secret(bytes(self.transport[entry["key"]])))
        assert isinstance(found, sealing.Entry)
        return found

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path == "/v1/keys":
            self.keys_asked += 1
            step: Say | str = self.keys_script.popleft() if self.keys_script else self.keys()
        else:
            came = self._verified(request, body)
            if came.nonce in {each.nonce for each in self.seen}:  # aiohttp's own second try on a lost connection
                step = problem("nonce-used")
            else:
                self.seen.append(came)
                step = self.script.popleft()
        if isinstance(step, str):
            if step == HANG:
                await self._released.wait()
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return self._response(request, step)

    def _verified(self, request: web.Request, body: bytes) -> Seen:
        public = {f"{TERMINAL}/key-1": signatures.Signer("", SEED).public}
        result = signatures.verify_request(request.method, _url(request), request.headers, body, public.get, self.now)
        assert isinstance(result, signatures.Signed), result
        return Seen(request.method, request.raw_path, request.headers, body, result.nonce)

    def _response(self, request: web.Request, say: Say) -> web.Response:
        body = b"" if say.body is None else msgspec.json.encode(say.body)
        headers = {"Content-Type": "application/json", **say.headers} if body else dict(say.headers)
        signers = [self.signing[-1]] if say.signers is None else say.signers
        if signers:
            asked = signatures.Asked(request.method, _url(request), request.headers)
            headers = signatures.sign_response(
                say.status,
                headers,
                body if say.signed_body is None else say.signed_body,
                replace(asked, **say.asked),
                signers,
                self.now if say.signed_at is None else say.signed_at,
            )
        return web.Response(status=say.status, body=body, headers=headers)

    def release(self) -> None:
        """Let go of requests that hang."""
        self._released.set()


def _url(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}{request.raw_path}"


@asynccontextmanager
async def peer(*script: Say | str) -> AsyncIterator[tuple[Peer, TerminalClient]]:
    """A peer with this script, and a client that is connected to it."""
    clock = Clock()
    there = Peer(clock)
    there.script.extend(script)
    async with serving(there), client_of(there) as client:
        yield there, client
    assert not there.script


Talk = Callable[[Peer, TerminalClient], Awaitable[None]]


def talk(*script: Say | str) -> Callable[[Talk], Callable[[], None]]:
    """Run a test with a client and a peer that answers by this script."""

    def decorate(test: Talk) -> Callable[[], None]:
        async def run() -> None:
            async with peer(*script) as (there, client):
                await test(there, client)

        def wrapped() -> None:
            asyncio.run(run())

        return wrapped

    return decorate


@asynccontextmanager
async def serving(there: Peer, tls: Any = None) -> AsyncIterator[None]:
    """Serve the peer on a port of its own."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", there.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    there.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        there.release()
        await runner.cleanup()


def client_of(there: Peer, make: Callable[..., TerminalClient] = TerminalClient, **named: Any) -> TerminalClient:
    """A client that pins the keys that the peer has now."""
    named = {"surroundings": there.clock.surroundings(), "patience": Patience(total=20.0, attempt=5.0), **named}
    return make(credentials(there), **named)


def credentials(there: Peer) -> Credentials:
    """The credentials of the terminal that the peer knows, with the keys that it signs with now."""
    return Credentials(
        terminal=TERMINAL,
        key="key-1",
        private=SEED,
        url=there.url,
        signing={each.keyid: each.public for each in there.signing},
    )


def _key(kid: str, public: bytes, current: bool) -> dict[str, Any]:
    return {"id": kid, "public": b64encode(public).decode(), "current": current, "added_later": True}
