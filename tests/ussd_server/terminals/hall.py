"""A hall with terminals, for tests: two servers' desks on one real store, and a subscriber whose code is known."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from tests.ussd_server.turns.bench import MSISDN, Bench
from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.base import Change, PerhapsDone, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered, Desk, Outcome, Request
from ussd_server.terminals.problems import Problem
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.sealing import Entry, seal

CODE = "90417263"
WRONG = "11111111"
UNKNOWN = "79100000009"
"""A number that no record is of."""
HALL, STREET = "hall", "street"


class Broken:
    """A store that breaks as told: at its n-th call from now, before or after it has done its work. It counts all."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()
        self._left = 0
        self._after = False

    def break_at(self, number: int, *, after: bool = False) -> None:
        """Let the call of this number, from 1, fail."""
        self._left, self._after = number, after

    @property
    def broke(self) -> bool:
        """Whether the call that was to fail has come."""
        return self._left <= 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **named: Any) -> Any:
            self.calls[name] += 1
            self._left -= 1
            fails = self._left == 0
            if fails and not self._after:
                raise StoreUnavailable("a fault that was ordered")
            done = await method(*args, **named)
            if fails:
                raise PerhapsDone("a fault that was ordered, after the work")
            return done

        return call


class Hall:
    """Two servers on one store, with a terminal in the hall and one in the street; time moves when told."""

    def __init__(self, bench: Bench, other: SqliteStore) -> None:
        self.bench = bench
        self.store = Broken(bench.store)
        self.desk = self._desk(self.store)
        self.other = self._desk(other)
        self._keys = count(1)

    def _desk(self, store: Any) -> Desk:
        at = self.bench
        return Desk(
            lambda: at.resources.flow,
            store,
            at.operator,
            at.vault,
            at.keys,
            at.hasher,
            at.tools,
            at.metrics,
            at.outbox.wake,
        )

    async def furnish(self) -> None:
        """Register the terminals, and activate the service for a subscriber whose code is `CODE`."""
        for id in (HALL, STREET):
            assert await self.bench.store.commit_terminal(Terminal(id, f"The {id}"), 0)
        await self.change(activated_at=1)
        await self.issue()

    async def issue(self, code: str = CODE, msisdn: str = MSISDN) -> None:
        """Give the subscriber this code."""
        record, _ = await self.bench.store.load(msisdn)
        generation = record.access.generation + 1
        sealed = await self.bench.hasher.seal(Secret(code), msisdn, generation)
        access = replace(record.access, sealed=sealed, generation=generation, issued_at=self.bench.now)
        await self.change(msisdn, access=access)

    async def change(self, msisdn: str = MSISDN, **changed: Any) -> None:
        """Change the subscriber's record."""
        record, version = await self.bench.store.load(msisdn)
        assert await self.bench.store.commit(Change(version, replace(record, **changed)))

    async def request(self, key: str = "", terminal: str = HALL) -> Request:
        """Return a request as the endpoint makes it; a new one where no key is given."""
        found, _ = await self.bench.store.load_terminal(terminal)
        assert found is not None
        return Request(found, key or f"key-{next(self._keys)}", self.bench.now)

    async def open(
        self,
        code: str = CODE,
        key: str = "",
        *,
        msisdn: str = MSISDN,
        terminal: str = HALL,
        desk: Desk | None = None,
        language: messages.Language | None = None,
        inner: Mapping[str, Any] = {},
    ) -> Outcome:
        """Enter a code; `inner` are fields of the sealed entry that are not the request's."""
        request = await self.request(key, terminal)
        transport = self.bench.keys.public("transport")[-1]
        entry = Entry(msisdn, Secret(code), terminal, request.key, request.at, "nonce")
        box = seal(replace(entry, **inner), transport.octets)
        asked = messages.OpenVisit(msisdn, messages.SealedEntry(transport.id, box), language)
        return await (desk or self.desk).open_visit(request, asked)

    async def visit(self, **how: Any) -> messages.VisitOpened:
        """Enter the right code."""
        opened: messages.VisitOpened = told(await self.open(**how), messages.VisitOpened)
        return opened

    async def enter(self, visit: str, screen: int, text: str, key: str = "") -> Outcome:
        """Answer a screen."""
        return await self.desk.enter(await self.request(key), visit, messages.Input(screen, text))

    async def quote(self, visit: str, offering: str = "red-energy", key: str = "", **how: Any) -> Outcome:
        """Ask for the price of another tariff."""
        asked = messages.AskQuote(how.get("change", "change_tariff"), offering)
        return await self.desk.quote(await self.request(key), visit, asked)

    async def order(self, visit: str, quote: str, key: str = "", desk: Desk | None = None) -> Outcome:
        """Agree to a price."""
        return await (desk or self.desk).place_order(await self.request(key), visit, messages.PlaceOrder(quote))

    async def journal(self, msisdn: str = MSISDN) -> list[str]:
        """Return the kinds of the journal's entries, oldest first."""
        return await self.bench.journal(msisdn)

    async def wrong(self, msisdn: str = MSISDN) -> int:
        """Return how many wrong entries in a row are counted."""
        return (await self.bench.store.load(msisdn))[0].access.wrong

    async def counted(self, terminal: str = HALL) -> int:
        """Return how many wrong entries are counted against a terminal."""
        found, _ = await self.bench.store.load_terminal(terminal)
        assert found is not None
        return len(found.wrong)


def play(directory: Path, story: Callable[[Hall], Awaitable[None]], *, work: bool = True) -> None:
    """Run a story in a hall of its own; without `work` nothing takes anything from the outbox."""

    async def main() -> None:
        bench = Bench(directory)
        other = SqliteStore(directory / "store.db")
        hall = Hall(bench, other)
        await hall.furnish()
        if work:
            bench.outbox.start()
        try:
            await story(hall)
        finally:
            await bench.outbox.stop(5)
            await bench.hasher.close()
            await other.close()
            await bench.store.close()
            await bench.operator.close()

    asyncio.run(main())


def told(outcome: Outcome, kind: type[Any]) -> Any:
    """Return the message of an answer that is no refusal."""
    assert isinstance(outcome, Answered), outcome
    return msgspec.json.decode(outcome.body, type=kind)


def shown(outcome: Outcome) -> messages.Screen:
    """Return the screen of an answer."""
    screen: messages.Screen = told(outcome, messages.Shown).screen
    return screen


def refused(outcome: Outcome) -> str:
    """Return the name of the problem."""
    assert isinstance(outcome, Problem), outcome
    return outcome.kind.name
