"""The terminals' endpoint in this process, on a real socket, with a store that counts what is asked of it.

The clock stands still until a test moves it, so what two requests are answered can be compared to the octet.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import nacl.utils
from aiohttp import web

from menus.compiler import compile_flow
from ussd_server.http.terminals import Terminals
from ussd_server.metrics import Metrics
from ussd_server.operators.embedded import EmbeddedOperator, read_catalogue
from ussd_server.secrecy import keys
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import CodeHasher, Vault
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers import codes
from ussd_server.subscribers.codes import Access, Policy
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals import registry
from ussd_server.terminals.desk import Desk
from ussd_server.terminals.record import Terminal, TerminalKey
from ussd_server.terminals.sealing import Entry, seal
from ussd_server.terminals.signatures import Signer, sign_request
from ussd_server.turns.operations import Queries
from ussd_server.turns.service import REGISTRY
from ussd_server.turns.turn import Tools

FLOWS = Path(__file__).parents[2] / "flows.yaml"
NOW = 1_800_000_000_000
CODE = "90417263"
WRONG = "11111111"


class Counting:
    """A store that counts its calls by name."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        def counted(*args: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return found(*args, **named)

        return counted


class Said(NamedTuple):
    """An answer, and how long it took (s)."""

    status: int
    headers: dict[str, str]
    body: bytes
    took: float

    def same(self) -> tuple[object, ...]:
        """Return all that must not differ where nobody may learn a difference."""
        varying = {"date", "signature"}
        return self.status, {k: v for k, v in self.headers.items() if k not in varying}, self.body


class Hall:
    """The endpoint and one terminal that may make any number of wrong entries."""

    def __init__(self, directory: Path) -> None:
        self.now = NOW
        self._directory = directory
        self._keys = count(1)
        self._numbers = count(79_100_100_001)

    async def __aenter__(self) -> Self:
        loaded = keys.load_or_create(self._directory, self.now)
        ring = keys.KeyFile(loaded.path)
        self.vault = Vault(ring)
        self.store = Counting(SqliteStore(self._directory / "store.db"))
        self._hasher = CodeHasher(self.vault)
        self._operator = EmbeddedOperator(":memory:", read_catalogue(), self.clock)
        flow = compile_flow(FLOWS.read_bytes(), str(FLOWS), REGISTRY)
        tools = Tools(Queries(self._operator), Policy(), self.clock, lambda: nacl.utils.random(8).hex())
        store: Any = self.store
        desk = Desk(lambda: flow, store, self._operator, self.vault, ring, self._hasher, tools, Metrics(), lambda: None)
        self._transport = ring.ring.public("transport")[0]
        seed = Secret(nacl.utils.random(32))
        public = Signer("x", seed).public
        kid = registry.key_id(public)
        self.signer = Signer(f"hall/{kid}", seed)
        terminal = Terminal("hall", "Hall", (TerminalKey(kid, public, NOW),), NOW, wrong_an_hour=100_000)
        await self.store.commit_terminal(terminal, 0)
        endpoint = Terminals(self.clock)
        endpoint.serve(desk, store, ring)
        app = web.Application()
        endpoint.add_to(app)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._runner.cleanup()
        await self._hasher.close()
        await self.store.close()
        await self._operator.close()

    def clock(self) -> int:
        """Return the time (ms)."""
        return self.now

    # Numbers, each of which nobody has used before ------------------------------------------------------------

    async def unknown(self) -> str:
        """Return a number that the store has never seen."""
        return str(next(self._numbers))

    async def inactive(self) -> str:
        """Return a number that has a code and has left the service."""
        return await self._with_code(activated_at=0)

    async def active(self) -> str:
        """Return a number with a code, `CODE`."""
        return await self._with_code(activated_at=NOW)

    async def _with_code(self, activated_at: int) -> str:
        msisdn = str(next(self._numbers))
        issued = codes.issue(Access(), self.vault.seal(Secret(CODE), msisdn, 1), 1, self.now)
        assert isinstance(issued, codes.Issued)
        record = Subscriber(msisdn, activated_at=activated_at, access=issued.access)
        assert await self.store.commit(Change(0, record))
        return msisdn

    # What a terminal asks ------------------------------------------------------------

    async def enter(self, msisdn: str, code: str) -> Said:
        """Enter a code."""
        key = self._key()
        entry = Entry(msisdn, Secret(code), "hall", key, self.now, nacl.utils.random(8).hex())
        box = seal(entry, self._transport.octets)
        return await self.post("/v1/visits", key, msisdn=msisdn, entry={"key": self._transport.id, "box": box})

    async def order_code(self, msisdn: str) -> Said:
        """Order a code."""
        return await self.post("/v1/code-orders", self._key(), msisdn=msisdn)

    async def post(self, path: str, key: str, **content: Any) -> Said:
        """Send a signed request and return its answer."""
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        nonce = nacl.utils.random(8).hex()
        headers = sign_request("POST", self.url + path, headers, body, self.signer, self.now, nonce)
        began = time.perf_counter()
        async with self._session.post(self.url + path, data=body, headers=headers) as response:
            octets = await response.read()
            took = time.perf_counter() - began
            return Said(response.status, {k.lower(): v for k, v in response.headers.items()}, octets, took)

    def _key(self) -> str:
        return f"request-{next(self._keys):08x}"


def visit(directory: Path, story: Callable[[Hall], Awaitable[None]]) -> None:
    """Run a story in a hall of its own."""

    async def main() -> None:
        async with Hall(directory) as hall:
            await story(hall)

    asyncio.run(main())
