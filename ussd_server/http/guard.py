"""Who asks: a request is read within its limits, its signature is verified, and it was never sent before.

In this order, so that what costs more is done for fewer: size and time, the signature's form, the terminal's key, the
signature, the terminal's standing, the nonce (which is written down), the Idempotency-Key.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from ussd_server.stores.base import Store
from ussd_server.terminals.desk import Request
from ussd_server.terminals.problems import Problem, problem
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.signatures import NONCE_KEPT_S, Refused, claimed_by, verify_claimed

MAX_BODY: Final = 16 * 1024
"""Octets; the largest request, an entry, has one."""
BODY_S: Final = 10.0
"""How long a body may take to arrive."""
MAX_KEY: Final = 64
"""Characters of an Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request of an active terminal, and its body."""

    request: Request
    body: bytes


async def read(request: web.Request, seconds: float) -> bytes | Problem:
    """Return the body, or why it was not read to its end."""
    if request.content_length is not None and request.content_length > MAX_BODY:
        return problem("too-large")
    if request.content.is_eof() and request.content.exception() is None:  # it came with the head, as nearly all do
        whole = request.content.read_nowait()
        return whole if len(whole) <= MAX_BODY else problem("too-large")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    return problem("too-large")
    except TimeoutError:
        return problem("too-slow")
    except (web.RequestPayloadError, ConnectionError):
        return problem("invalid-request", "the body has no end")
    return bytes(body)


class Guard:
    """Lets terminals in. `url` is what terminals call the server by ("": as their Host header says); `now` in ms."""

    def __init__(self, store: Store, now: Callable[[], int], url: str = "") -> None:
        self._store = store
        self._now = now
        self._url = url

    async def admit(self, request: web.Request, body: bytes) -> Admitted | Problem:
        """Return the request with its terminal, or why it is refused. Raises StoreUnavailable."""
        terminal = await self._known(request, body)
        if isinstance(terminal, Problem):
            return terminal
        key = ""
        if request.method == "POST":
            key = request.headers.get("Idempotency-Key", "")
            if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
                return problem("idempotency-key-missing", f"it has 1 to {MAX_KEY} printable ASCII characters")
        return Admitted(Request(terminal, key, self._now()), body)

    async def _known(self, request: web.Request, body: bytes) -> Terminal | Problem:
        claimed = claimed_by(request.headers)
        if isinstance(claimed, Refused):
            return problem(claimed.why, claimed.detail)
        id, _, key_id = claimed.keyid.partition("/")
        terminal, _version = await self._store.load_terminal(id)
        public = next((key.public for key in terminal.keys if key.id == key_id), None) if terminal else None
        if terminal is None or public is None or terminal.standing == "revoked":
            return problem("key-unknown")
        target = target_of(request, self._url)
        if not target.startswith(f"{_origin(request, self._url)}/"):
            return problem("signature-invalid", "the target URI is not this server's")
        signed = verify_claimed(claimed, request.method, target, body, lambda _: public, self._now())
        if isinstance(signed, Refused):
            return problem(signed.why, signed.detail)
        if terminal.standing == "quarantined":
            return problem("terminal-quarantined")
        if not await self._store.use_nonce(id, signed.nonce, signed.created * 1000 + NONCE_KEPT_S * 1000):
            return problem("nonce-used")
        return terminal


def target_of(request: web.Request, url: str) -> str:
    """Return the target URI as the terminal wrote it (RFC 9421, section 2.2.2); `url` as `Guard` takes it."""
    target = request.raw_path
    return _origin(request, url) + target if target.startswith("/") else target  # the absolute form is the URI itself


def _origin(request: web.Request, url: str) -> str:
    # Not `request.host`, which asks a resolver where there is no Host.
    return url or f"{request.scheme}://{request.headers.get(hdrs.HOST, '')}"
