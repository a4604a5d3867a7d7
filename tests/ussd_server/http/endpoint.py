"""The terminals' endpoint in this process, on a real socket, with faults to order and a clock that tests move.

Every answer under `/v1` is verified as a terminal would before a test sees it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import nacl.utils
from yarl import URL

from menus.compiler import Flow, compile_flow
from ussd_server.http.guard import BODY_S
from ussd_server.http.listener import Listener, application
from ussd_server.http.terminals import Terminals
from ussd_server.metrics import Metrics
from ussd_server.operators.embedded import EmbeddedOperator, read_catalogue
from ussd_server.operators.faulty import FaultyOperator
from ussd_server.secrecy import keys
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import CodeHasher, Vault
from ussd_server.settings import Address
from ussd_server.stores.base import Change, PerhapsDone, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers import codes
from ussd_server.subscribers.codes import Access, Policy
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals import registry
from ussd_server.terminals.desk import Desk
from ussd_server.terminals.problems import TYPES
from ussd_server.terminals.record import Terminal, TerminalKey
from ussd_server.terminals.sealing import Entry, seal
from ussd_server.terminals.signatures import Asked, Signed, Signer, sign_request, verify_response
from ussd_server.turns.operations import Queries
from ussd_server.turns.service import REGISTRY
from ussd_server.turns.turn import Tools

FLOWS = Path(__file__).parents[3] / "flows.yaml"
NOW = 1_800_000_000_000
CODE = "90417263"
WRONG = "11111112"
RICH = "79100000001"
"""In the shipped catalogue: a subscriber with money for any change."""

_keys = count(1)


def new_key() -> str:
    """Return an Idempotency-Key that no other request has."""
    return f"request-{next(_keys):08x}"


@cache
def shipped_flow() -> Flow:
    """Return the flow that is shipped."""
    return compile_flow(FLOWS.read_bytes(), str(FLOWS), REGISTRY)


class FaultyStore:
    """A store whose calls fail as ordered: not done, or done and nobody told."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.down = False
        self._orders: dict[tuple[str, int], bool] = {}
        self._calls: Counter[str] = Counter()

    def fail(self, name: str, nth: int = 1, *, done: bool = False) -> None:
        """Let the nth call of this name from now fail; `done`: what it asked for is done all the same."""
        self._orders[name, self._calls[name] + nth] = done

    @property
    def all_failed(self) -> bool:
        """Whether every failure that was ordered has come."""
        return not self._orders

    def well_again(self) -> None:
        """Let nothing fail that has not yet."""
        self._orders.clear()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        async def through(*args: Any, **named: Any) -> Any:
            self._calls[name] += 1
            done = self._orders.pop((name, self._calls[name]), None)
            if self.down or done is False:
                raise StoreUnavailable("the disk is away (a fault that was ordered)")
            result = await found(*args, **named)
            if done:
                raise PerhapsDone("the store's answer was lost (a fault that was ordered)")
            return result

        return through


@dataclass(frozen=True)
class Prepared:
    """A request as it goes out."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def but(self, **headers: str) -> "Prepared":
        """Return the request with other header fields, `_` for `-`."""
        others = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **others})


@dataclass(frozen=True)
class Said:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    signed: Signed | None = field(compare=False, default=None)

    @property
    def content(self) -> dict[str, Any]:
        """Return the JSON object."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    def ok(self, status: int) -> dict[str, Any]:
        """Return the content of an answer that is no refusal; {} where there is none."""
        assert self.status == status, (self.status, self.body)
        if not self.body:
            return {}
        assert self.headers["Content-Type"] == "application/json"
        return self.content

    def refused(self, name: str) -> dict[str, Any]:
        """Return the problem details, once they are known to be this problem's, as documented."""
        kind = TYPES[name]
        assert (self.status, self.content["type"]) == (kind.status, kind.uri), self.body
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.headers["Cache-Control"] == "no-store"
        assert self.content["title"] == kind.title
        assert self.content["status"] == kind.status
        if kind.again:
            assert int(self.headers["Retry-After"]) >= 1
        return self.content


class Machine:
    """A terminal that is registered, or says that it is."""

    def __init__(self, endpoint: "Endpoint", id: str) -> None:
        self._endpoint = endpoint
        self.id = id
        self.seed = Secret(nacl.utils.random(32))
        public = Signer("", self.seed).public
        self.key = TerminalKey(registry.key_id(public), public, NOW)
        self.signer = Signer(f"{id}/{self.key.id}", self.seed)

    def prepare(
        self,
        method: str,
        path: str,
        content: object = None,
        key: str | None = None,
        *,
        at: int | None = None,
        url: str = "",
        kind: str = "application/json",
        nonce: str = "",
    ) -> Prepared:
        """Return a signed request; `content` is encoded as JSON unless it is octets."""
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        headers = {"Content-Type": kind} if body else {}
        if method == "POST":
            headers["Idempotency-Key"] = new_key() if key is None else key
        now = self._endpoint.now if at is None else at
        url = url or self._endpoint.url
        headers = sign_request(method, url + path, headers, body, self.signer, now, nonce or nacl.utils.random(8).hex())
        return Prepared(method, path, headers, body)

    async def get(self, path: str) -> Said:
        """Ask for something."""
        return await self._endpoint.send(self.prepare("GET", path))

    async def post(self, path: str, content: object, key: str | None = None) -> Said:
        """Ask to do something."""
        return await self._endpoint.send(self.prepare("POST", path, content, key))

    def entry(
        self, msisdn: str, code: str, key: str, /, *, to: keys.Public | None = None, **other: Any
    ) -> dict[str, Any]:
        """Return the message that opens a visit; `other` fields stand in the sealed entry."""
        fields: dict[str, Any] = {"msisdn": msisdn, "code": Secret(code), "terminal": self.id, "attempt": key}
        fields |= {"iat": self._endpoint.now, "nonce": nacl.utils.random(8).hex(), **other}
        to = to or self._endpoint.transport
        return {"msisdn": msisdn, "entry": {"key": to.id, "box": seal(Entry(**fields), to.octets)}}

    async def enter(self, msisdn: str, code: str) -> Said:
        """Enter a code."""
        key = new_key()
        return await self.post("/v1/visits", self.entry(msisdn, code, key), key)

    async def visit(self, msisdn: str) -> str:
        """Open a visit and return its path."""
        opened = (await self.enter(msisdn, CODE)).ok(201)
        return f"/v1/visits/{opened['visit']}"


class Endpoint:
    """The endpoint, with the terminal `hall` of the network and `yard`, another one."""

    def __init__(self, directory: Path, url: str = "", serving: bool = True, body_s: float = BODY_S) -> None:
        self.now = NOW
        self._serving = serving
        self._directory = directory
        self._public_url = url
        self._body_s = body_s
        self._numbers = count(79_100_200_001)

    async def __aenter__(self) -> Self:
        loaded = keys.load_or_create(self._directory, self.now)
        self.keys = keys.KeyFile(loaded.path)
        self.vault = Vault(self.keys)
        self.store = FaultyStore(SqliteStore(self._directory / "store.db"))
        self._hasher = CodeHasher(self.vault)
        self.operator = FaultyOperator(EmbeddedOperator(":memory:", read_catalogue(), self.clock))
        flow = shipped_flow()
        tools = Tools(Queries(self.operator), Policy(), self.clock, lambda: nacl.utils.random(8).hex())
        self.metrics = Metrics()
        self.crowded = False
        store: Any = self.store
        desk = Desk(
            lambda: flow, store, self.operator, self.vault, self.keys, self._hasher, tools, self.metrics, lambda: None
        )
        self.transport = self.keys.ring.public("transport")[0]
        self.signing = {key.id: key.octets for key in self.keys.ring.public("signing")}
        self.hall, self.yard = [await self.add(Machine(self, id)) for id in ("hall", "yard")]
        terminals = Terminals(self.clock, self._public_url, metrics=self.metrics, body_s=self._body_s)
        app = application(_well, self.metrics)
        terminals.add_to(app)
        self._listener = Listener(app, Address("127.0.0.1", 0))
        await self._listener.start()
        self.address = self._listener.address
        self.url = f"http://{self.address}"
        self._session = aiohttp.ClientSession(auto_decompress=False)
        if self._serving:
            terminals.serve(desk, store, self.keys, lambda: not self.crowded)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.down = False
        self.operator.release()
        await self._session.close()
        await self._listener.stop()
        await self._hasher.close()
        await self.store.close()
        await self.operator.close()

    def clock(self) -> int:
        """Return the time (ms)."""
        return self.now

    async def add(self, machine: Machine, **fields: Any) -> Machine:
        """Register a terminal, or change how it is registered."""
        _, version = await self.store.load_terminal(machine.id)
        terminal = Terminal(machine.id, machine.id.title(), (machine.key,), NOW, **fields)
        assert await self.store.commit_terminal(terminal, version)
        return machine

    async def number(self, msisdn: str = "") -> str:
        """Return a number, activated and with the code `CODE`."""
        msisdn = msisdn or str(next(self._numbers))
        issued = codes.issue(Access(), self.vault.seal(Secret(CODE), msisdn, 1), 1, self.now)
        assert isinstance(issued, codes.Issued)
        assert await self.store.commit(Change(0, Subscriber(msisdn, activated_at=NOW, access=issued.access)))
        return msisdn

    async def record(self, msisdn: str) -> Subscriber:
        """Return what is stored."""
        record: Subscriber = (await self.store.load(msisdn, latest=True))[0]
        return record

    async def journal(self, msisdn: str) -> list[str]:
        """Return the kinds of what is in the journal."""
        return [entry.kind for entry in await self.store.journal(msisdn)]

    async def work_left(self) -> int:
        """Return how much waits in the outbox; it is gone then."""
        number = 0
        while claimed := await self.store.claim(self.now, 100, 1000):
            for one in claimed:
                await self.store.bury(one, self.now, "counted")
                number += 1
        return number

    async def send(self, prepared: Prepared) -> Said:
        """Send a request and return its answer, verified."""
        async with self._session.request(
            prepared.method,
            URL(self.url + prepared.path, encoded=True),
            data=prepared.body or None,
            headers=prepared.headers,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
        ) as response:
            said = Said(response.status, response.headers, await response.read())
        return self.believed(said, prepared)

    def believed(self, said: Said, request: Prepared) -> Said:
        """Return the answer, once it is known to be the server's and to this request."""
        url = self._public_url or f"http://{request.headers.get('Host', self.address)}"
        asked = Asked(request.method, url + request.path, request.headers)
        signed = verify_response(
            said.status, said.headers, said.body, asked, lambda kid: self.signing.get(kid), self.now
        )
        assert isinstance(signed, Signed), (signed, said)
        return replace(said, signed=signed)


async def _well() -> Mapping[str, str]:
    return {}


def visit(directory: Path, story: Callable[[Endpoint], Awaitable[None]], **named: Any) -> None:
    """Run a story at an endpoint of its own."""

    async def main() -> None:
        async with Endpoint(directory, **named) as endpoint:
            await story(endpoint)

    asyncio.run(main())
