"""One request and its answer: signed, sent until an answer comes, and that verified before a word of it is read.

| what came                                             | what is done                                            |
|-------------------------------------------------------|---------------------------------------------------------|
| nothing: no connection, a lost one, no answer in time | again, under the same Idempotency-Key, signed anew      |
| 502, 503, 504 that the server has not signed          | the same: a proxy says that there is no server          |
| a certificate that is not to be trusted, any other    | Untrusted                                               |
| answer that is not signed as it must be               |                                                         |
| signed by a key that is not known                     | the keys are fetched, and then it is verified           |
| a problem that may pass (`ProblemType.again`), or 5xx | again, after Retry-After                                |
| `nonce-used`, `too-slow`                              | again: the connection sent it twice, or too slowly      |
| the operation's status, or a problem's (400 and more) | it is the answer                                        |
| any other status                                      | TerminalError                                           |
"""

import asyncio
import random
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from ssl import SSLContext
from typing import Final, TypeAlias, TypeVar

import aiohttp
import msgspec
import nacl.utils
import structlog
from yarl import URL

from ussd_server.terminal_client.errors import Refused, TerminalError, Unreachable, Untrusted
from ussd_server.terminal_client.outcomes import ProblemDetails
from ussd_server.terminal_client.patience import Patience
from ussd_server.terminals import problems, signatures
from ussd_server.terminals.messages import PublicKey, ServerKeys

T = TypeVar("T")

AGENT: Final = "ussd-server-terminal"
MAX_ANSWER: Final = 1024 * 1024
"""Octets of an answer; the longest list of offerings has some thousands."""
NONCE_SIZE: Final = 18
"""Random octets of a nonce and of an Idempotency-Key."""
KEY_SIZE: Final = 32
KEYS: Final = "/v1/keys"

_GATEWAY: Final = frozenset({502, 503, 504})
_SENT_AGAIN: Final = frozenset({"nonce-used", "too-slow"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a client takes from the world: the wall clock (ms), a steady clock (s), sleep (s), random octets, and a
    random number in 0..1."""

    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    steady: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    octets: Callable[[int], bytes] = nacl.utils.random
    jitter: Callable[[], float] = random.random

    def label(self) -> str:
        """Return a new nonce or Idempotency-Key."""
        return urlsafe_b64encode(self.octets(NONCE_SIZE)).decode()


@dataclass(frozen=True, slots=True)
class Done:
    """The server did what was asked."""

    body: bytes

    def read(self, kind: type[T]) -> T:
        """Return the body as this type; fields that are not known are passed over. Raises TerminalError."""
        return _read(self.body, kind)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The server did not do what was asked; `retry_after` in seconds. `unsure`: an earlier sending may have done it."""

    problem: ProblemDetails
    retry_after: int | None = None
    unsure: bool = False

    def error(self) -> Refused:
        """Return it as an exception."""
        return Refused(self.problem, self.retry_after, self.unsure)

    @property
    def again(self) -> bool:
        """Whether the same request may fare better in a while."""
        known = problems.TYPES.get(self.problem.name)
        return self.problem.name in _SENT_AGAIN or (known.again if known else self.problem.status >= 500)


@dataclass(frozen=True, slots=True)
class _Lost:
    """No answer, or none of the server's; `why` without anything secret."""

    why: str


Answer: TypeAlias = Done | Refusal
Body: TypeAlias = Callable[[], bytes]
"""Makes the body of each try: a sealed entry is sealed anew."""


class Tries:
    """One call's requests, under one Idempotency-Key and within one patience."""

    def __init__(self, patience: Patience, around: Surroundings, key: str | None) -> None:
        self.key = around.label() if key is None else key
        self.sent_before = key is not None
        """Whether a request went out under this key to which there was no final answer."""
        self._patience = patience
        self._around = around
        self._ends = around.steady() + patience.total
        self._count = 0

    def timeout(self) -> float:
        """Return how long one try may take, in seconds."""
        return max(min(self._patience.attempt, self._ends - self._around.steady()), 0.001)

    async def another(self, why: str, retry_after: float) -> bool:
        """Wait until it is time for another try; False, at once, where the patience ends before that."""
        self._count += 1
        wait = self._patience.wait(self._count, self._around.jitter(), retry_after)
        if self._around.steady() + wait >= self._ends:
            return False
        log.info("asking the server again", cause=why, tries=self._count, next_try_seconds=round(wait, 2))
        await self._around.sleep(wait)
        self.sent_before = True
        return True


@dataclass(frozen=True, slots=True)
class TransportKey:
    """The server's X25519 key to seal to now."""

    id: str
    public: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """The server's keys as of its latest answer: those that sign, and the one to seal to."""

    signing: Mapping[str, bytes]
    transport: TransportKey | None = None


class Exchange:
    """Sends one terminal's requests to one server."""

    def __init__(
        self,
        url: str,
        signer: signatures.Signer,
        pinned: Mapping[str, bytes],
        patience: Patience,
        tls: SSLContext | None,
        around: Surroundings,
    ) -> None:
        self._url = url
        self._signer = signer
        self._known = _Known(dict(pinned))
        self._patience = patience
        self._tls = tls
        self._around = around
        self._fetching = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None

    @property
    def signing_keys(self) -> Mapping[str, bytes]:
        """The server's signing keys by id, as they are known now."""
        return self._known.signing

    def connect(self) -> None:
        """Make ready to connect; needs a running loop."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            # What is signed are the octets as they are sent.
            auto_decompress=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": AGENT},
        )

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def tries(self, key: str | None = None) -> Tries:
        """Begin a call: with this Idempotency-Key, or a new one."""
        return Tries(self._patience, self._around, key)

    async def ask(self, tries: Tries, method: str, path: str, status: int, body: Body | None = None) -> Answer:
        """Return the server's answer; `status` is that of the operation where it is done.

        Raises Unreachable, Untrusted, TerminalError, and Refused where it is to ask no more for now.
        """
        while True:
            answer = await self._try(tries, method, path, status, body)
            if isinstance(answer, Refusal):
                answer = replace(answer, unsure=tries.sent_before)
            if isinstance(answer, Done) or (isinstance(answer, Refusal) and not answer.again):
                return answer
            if isinstance(answer, Refusal):
                why, problem, retry_after = answer.problem.name, answer.problem, answer.retry_after or 0
            else:
                why, problem, retry_after = answer.why, None, 0
            if await tries.another(why, retry_after):
                continue
            if isinstance(answer, Refusal) and answer.problem.status == 429:
                raise answer.error()
            raise Unreachable(f"no answer in time, the last try: {why}", key=tries.key, problem=problem)

    async def transport_key(self, tries: Tries, stale: TransportKey | None = None) -> TransportKey:
        """Return the key to seal to: another one than `stale`, if the server has another."""
        if self._known.transport in (None, stale):
            await self._fetch(tries, self._known)
        if self._known.transport is None:
            raise TerminalError("the server has no transport key to seal to")
        return self._known.transport

    async def learn_keys(self, tries: Tries) -> None:
        """Ask for the server's keys, whatever is known of them."""
        await self._fetch(tries, self._known)

    async def _try(self, tries: Tries, method: str, path: str, status: int, body: Body | None) -> Answer | _Lost:
        """Send a request once."""
        if self._http is None:
            raise RuntimeError("a TerminalClient is used within `async with`")
        url = self._url + path
        content = body() if body else b""
        headers = {"Content-Type": "application/json"} if content else {}
        if method == "POST":
            headers["Idempotency-Key"] = tries.key
        now, nonce = self._around.now(), self._around.label()
        signed = signatures.sign_request(method, url, headers, content, self._signer, now, nonce)
        try:
            async with self._http.request(
                method,
                URL(url, encoded=True),  # as it was signed
                data=content or None,
                headers=signed,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=tries.timeout()),
            ) as response:
                received = await _limited(response)
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "") or "not to be trusted"
            raise Untrusted(f"the server's certificate: {why}", key=tries.key) from None
        except aiohttp.ClientConnectorError as error:
            return _Lost(f"no connection: {error.strerror or type(error.os_error).__name__}")
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            # Its type alone: the text of some names the URL, which names the visit.
            return _Lost(type(error).__name__)
        if received is None:
            raise Untrusted("an answer is longer than any of the server's", key=tries.key)
        if not await self._believe(tries, signatures.Asked(method, url, signed), response, received):
            return _Lost(f"HTTP {response.status} without a signature")
        return _answer(response, received, status)

    async def _believe(
        self, tries: Tries, asked: signatures.Asked, response: aiohttp.ClientResponse, body: bytes
    ) -> bool:
        """Return whether this is the server's answer, False for a proxy's that there is none. Raises Untrusted."""
        known = self._known

        def verified() -> signatures.Signed | signatures.Refused:
            now = self._around.now()
            keys = self._known.signing.get
            return signatures.verify_response(response.status, response.headers, body, asked, keys, now)

        result = verified()
        if isinstance(result, signatures.Refused) and result.why == "key-unknown" and asked.url != self._url + KEYS:
            await self._fetch(tries, known)
            result = verified()
        if isinstance(result, signatures.Refused):
            if result.why == "signature-missing" and response.status in _GATEWAY:
                return False
            text = f"HTTP {response.status} is not the server's answer: {result.why}"
            raise Untrusted(": ".join(filter(None, (text, result.detail))), key=tries.key)
        return True

    async def _fetch(self, tries: Tries, known: _Known) -> None:
        """Learn the server's keys, unless they have changed since they were `known`.

        The answer must be signed by a key that we trust already; it names those to trust from now on.
        """
        async with self._fetching:
            if self._known is not known:
                return
            answer = await self.ask(tries, "GET", KEYS, 200)
            if isinstance(answer, Refusal):
                raise answer.error()
            told = answer.read(ServerKeys)
            signing = {key.id: _public(key) for key in told.signing}
            transport = next((TransportKey(key.id, _public(key)) for key in told.transport if key.current), None)
            if signing.keys() != self._known.signing.keys():
                log.info("server's signing keys changed", keys=sorted(signing))
            self._known = _Known(signing, transport)


def _answer(response: aiohttp.ClientResponse, body: bytes, status: int) -> Answer:
    """Read an answer that is the server's. Raises TerminalError."""
    if response.status == status:
        return Done(body)
    if response.status < 400:
        raise TerminalError(f"the server answers with {response.status} where {status} is meant")
    # The status line is signed as well, and unlike the body's member it is always there.
    problem = msgspec.structs.replace(_read(body, ProblemDetails), status=response.status)
    return Refusal(problem, _seconds(response.headers.get("Retry-After")))


async def _limited(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, None for one that is too long."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            return None
    return bytes(body)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        why = str(error)
    raise TerminalError(f"the server's answer is of another shape than this client knows: {why}")


def _public(key: PublicKey) -> bytes:
    try:
        public = b64decode(key.public, validate=True)
    except ValueError:
        public = b""
    if len(public) != KEY_SIZE:
        raise TerminalError(f"the server's key {key.id!r} is no key")
    return public


def _seconds(text: str | None) -> int | None:
    """Return a Retry-After in seconds; its other form, a date, is not one of the server's."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
