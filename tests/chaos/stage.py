"""The processes of a run and what is between them, and how each fault is done to them."""

import asyncio
import itertools
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from tests.acceptance.harness import run_to_end
from tests.chaos import disks, ledger, shop
from tests.chaos.clocks import Clocks, faketime
from tests.chaos.desk import Desk
from tests.chaos.ledger import Forgetting, Forgotten, Happened, Ledger, Moved
from tests.chaos.network import Network
from tests.chaos.people import Person
from tests.chaos.plan import SERVER, STORE, Fault, Kind, Scene
from tests.chaos.processes import Child, is_ready, server
from tests.chaos.proxy import Proxy
from tests.chaos.storage import OTHER, Storage, StoreKind, storage
from tests.ports import free_port
from tests.signalled import Point
from ussd_server.store_url import parse
from ussd_server.stores.base import Store, StoreUnavailable
from ussd_server.stores.opening import open_store
from ussd_server.terminals import credentials
from ussd_server.terminals.credentials import Credentials

UP_AGAIN_S = (0.0, 0.7)
"""How long a killed process is down; of one that keeps a store, the store says it."""

LEFT_ALONE_S = (0.2, 3.0)
"""How long a process is left alone once it serves; then the next kill may come."""

STORE_LEFT_ALONE_S = (0.1, 1.5)
"""The same for a store, which starts in no time."""

TOO_SOON = 0.3
"""Of the servers so many may be killed already while they start."""

START_S = 10.0
"""For how long a killed server's start is waited for: it has nothing to serve while the SMSC is down."""

SLOW_LINK_S = 0.15

CLOCK_WRONG_S = 8.0

SUPERVISE_S = 0.5
"""How often a supervisor looks."""

DESK: Final = "desk"
"""Operators give one command after the other."""

TERMINAL: Final = "hall-1"
NO_LIMIT: Final = "100000"


def what_is_missing() -> dict[Kind, str]:
    """Return the kinds of faults that this machine does not allow, with the reason."""
    missing: dict[Kind, str] = {}
    if why := disks.why_not():
        missing["slow disk"] = missing["full disk"] = why
    if faketime() is None:
        missing["clock step"] = "faketime is not installed"
    return missing


class Stage:
    """All that runs: the SMSC, the servers behind a proxy each, the terminals' way to any of them."""

    def __init__(
        self,
        directory: Path,
        book: Ledger,
        scene: Scene,
        seed: int,
        store: StoreKind,
        replicas: int | None = None,
        points: Sequence[Point] = (),
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.store = storage(store, directory, replicas)
        self._left: list[Storage] = []
        self._next: Storage | None = None
        self.network = Network(directory, free_port(), book)
        self._book = book
        self._scene = scene
        self._rng = random.Random(seed)
        self._locks: dict[str, asyncio.Lock] = {}
        self._clocks = Clocks(directory, scene.servers, "clock step" not in scene.without)
        self.http = [free_port() for _ in range(scene.servers)]
        self.terminals = Proxy(lambda: self.http)
        # One address for all servers: by its name they know each other's dialogues.
        self.links = Proxy(lambda: [self.network.port])
        self.servers: list[Child] = []
        self.people: list[Person] = []
        """Everybody who uses the service or did, by when they came."""
        self.desk = Desk(directory, self.data, self._environment(), self._rng, book, points)
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start everything, and make the terminal known."""
        self._clocks.start()
        shop.write(self.directory / "catalogue.yaml")
        self.data.mkdir()
        for proxy in (self.terminals, self.links):
            await proxy.open()
        await self.store.start()
        self.network.start()
        self.servers = [self._server(which) for which in range(self._scene.servers)]
        for each in self.servers:
            each.start()
        self._supervisor = asyncio.get_running_loop().create_task(self.supervise())

    def _server(self, which: int) -> Child:
        url = f"smpp://tester:secret@127.0.0.1:{self.links.port}?window=50&enquire_s=3&response_s=5"
        options = [
            *("--data", str(self.data), "--smsc", url),
            *("--catalogue", str(self.directory / "catalogue.yaml")),
        ]
        return server(
            f"server {which + 1}",
            self.directory,
            self._environment() | self._clocks.environment(which),
            lambda: [*options, "--store", self.store.url],
            self.http[which],
        )

    def _environment(self) -> dict[str, str]:
        return {
            "USSD_SERVER_TERMINAL_URL": f"http://127.0.0.1:{self.terminals.port}",
            "USSD_SERVER_SMS_REPLIES_PER_HOUR": "1000",
            "USSD_SERVER_CODE_ORDERS_PER_HOUR": "100",
            "USSD_SERVER_CODE_ORDERS_PER_DAY": "100",
        }

    async def supervise(self) -> None:
        """Start again what ended by itself, as systemd does; a server that finds its disk full does not start."""
        while True:
            await asyncio.sleep(SUPERVISE_S)
            for child in self._all():
                lock = self._lock(child.name)
                if not lock.locked() and child.process is not None and not child.alive:
                    async with lock:
                        status = await child.end()
                        self._book.note(Happened(ledger.now(), f"ended with {status}", child.name))
                        self._start(child)

    def _all(self) -> list[Child]:
        return [self.network.smsc, *self.servers, *self._keepers()]

    def _keepers(self) -> list[Child]:
        """Return the processes of the store, and of the one that it is being copied to."""
        return [*self.store.children, *(self._next.children if self._next else ())]

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def add_terminal(self) -> Credentials:
        """Make a terminal known to the service and return what it signs with."""
        file = self.directory / "terminal.json"
        status, said = await asyncio.to_thread(
            run_to_end,
            *("terminal", "add", TERMINAL, "--generate", str(file), "--data", str(self.data)),
            *("--store", self.store.url),
            *("--terminal-url", f"http://127.0.0.1:{self.terminals.port}"),
            *("--wrong-per-hour", NO_LIMIT, "--orders-per-hour", NO_LIMIT),
            cwd=self.directory,
        )
        assert status == 0, said
        return credentials.load(file)

    async def stop(self) -> list[int | None]:
        """Stop the servers in good order, and return how each ended."""
        await self._end_supervisor()
        return list(await asyncio.gather(*(each.end() for each in self.servers)))

    async def _end_supervisor(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        await self._end_supervisor()
        for each in self.servers:
            await each.end(signal.SIGKILL)
        await self.network.close()
        for store in (self.store, *self._left, *([self._next] if self._next else ())):
            await store.close()
        for proxy in (self.terminals, self.links):
            await proxy.close()

    async def open_store(self) -> Store:
        """Open the servers' store, to look at it; wait for it where it is just starting."""
        while True:
            try:
                return await open_store(parse(self.store.url), make=False)
            except StoreUnavailable:
                await asyncio.sleep(SUPERVISE_S)

    def files(self) -> list[Path]:
        """Return every file that the processes wrote, but for the SMSC's own and the ledger: there an SMS may stand."""
        logs = [path for path in self.directory.glob("*.log") if path != self.network.smsc.log]
        stores = (store.place.rglob("*") for store in (self.store, *self._left))
        kept = itertools.chain(self.data.rglob("*"), *stores)
        return [*logs, *(path for path in kept if path.is_file())]

    # Faults ---------------------------------------------------------------------------------------------------------

    async def do(self, fault: Fault) -> None:
        """Do a fault, and return when it is over."""
        work: Mapping[Kind, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill,
            "restart": self._restart,
            "new key": self._rotate,
            "forget": self._forget,
            "copy": self._move,
            "power cut": self._cut_power,
            "pause": self._pause,
            "cut link": self._cut_link,
            "silent link": self._silence_link,
            "slow link": self._slow_link,
            "slow disk": self._slow_disk,
            "full disk": self._fill_disk,
            "clock step": self._step_clock,
            "failover": self._fail_over,
        }
        await work[fault.kind](fault)

    def _note(self, fault: Fault, killed: int = 0, target: str = "", down: float = 0.0) -> None:
        target = target or (f"server {fault.which + 1}" if fault.target == SERVER else fault.target)
        self._book.note(Happened(ledger.now(), fault.kind, target, killed, fault.span or round(down * 1000)))

    def _child(self, fault: Fault) -> Child:
        keepers = self._keepers()
        if fault.target == STORE and keepers:
            return keepers[fault.which % len(keepers)]
        if fault.target == STORE:  # it is a file since it was moved: who writes it is hit
            return self.servers[fault.at % len(self.servers)]
        return self.servers[fault.which] if fault.target == SERVER else self.network.smsc

    def _start(self, child: Child) -> None:
        if child is self.network.smsc:
            self.network.restart_smsc()
        else:
            child.start()

    async def _kill(self, fault: Fault) -> None:
        await self._crash(self._child(fault), fault)

    async def _restart(self, fault: Fault) -> None:
        """Stop a server in good order and start it again, as a rolling restart does with one after the other."""
        child = self._child(fault)
        async with self._lock(child.name):
            status = await child.end()
            self._note(fault)
            if status:  # it was told to end while its store was gone
                self._book.note(Happened(ledger.now(), f"ended with {status}", child.name))
            self._start(child)
            await is_ready(self.http[fault.which], START_S)

    async def _rotate(self, fault: Fault) -> None:
        """Make a new key and put every code under it; now and then who does so is killed, and the next goes on."""
        async with self._lock(DESK):
            self._note(fault)
            await self.desk.rotate(self.store.url)

    async def _forget(self, fault: Fault) -> None:
        """Forget a subscriber of those who came last, in the middle of what they do or when they are through."""
        async with self._lock(DESK):
            if not self.people:
                return
            person = self.people[-1 - fault.which % len(self.people)]
            rests = person.rests
            self._note(fault)
            self._book.note(Forgetting(ledger.now(), person.msisdn, rests))
            if await self.desk.forget(self.store.url, person.msisdn):
                left = await self.store.traces(person.msisdn) if rests else []
                self._book.note(Forgotten(ledger.now(), person.msisdn, tuple(left)))
                person.forgotten()

    async def _move(self, fault: Fault) -> None:
        """Stop the servers in good order, copy their store to one of the other kind, and let them go on with that."""
        async with AsyncExitStack() as held:
            for name in (DESK, *(each.name for each in self.servers)):
                await held.enter_async_context(self._lock(name))
            await asyncio.gather(*(each.end() for each in self.servers))
            self._note(fault)
            source, target = self.store, storage(OTHER[self.store.kind], self.directory, number=self.store.number + 1)
            await target.start()
            self._next = target
            wrong = await self.desk.copy(source.url, target.url)
            self._book.note(Moved(ledger.now(), source.url, target.url, wrong))
            self._left.append(source)
            self.store, self._next = target, None
            for each in self.servers:
                self._start(each)
            await asyncio.gather(*(is_ready(each, START_S) for each in self.http))

    async def _cut_power(self, fault: Fault) -> None:
        """Kill all at one moment; they come back in any order."""
        await asyncio.gather(*(self._crash(child, fault) for child in self._all()))

    async def _fail_over(self, fault: Fault) -> None:
        """Kill a master of the store, and leave it down until a replica is the master."""
        masters = await self.store.masters()
        if masters:
            await self._crash(self._rng.choice(masters), fault, self._rng.uniform(*self.store.replaced_s))

    async def _crash(self, child: Child, fault: Fault, down: float | None = None) -> None:
        """Kill a process, start it again, and leave it alone for a moment. Crashes of one wait for each other."""
        kept = child in self._keepers()
        down = self._rng.uniform(*(self.store.up_again_s if kept else UP_AGAIN_S)) if down is None else down
        alone = self._rng.uniform(*(STORE_LEFT_ALONE_S if kept else LEFT_ALONE_S))
        waits = child in self.servers and self._rng.random() >= TOO_SOON
        async with self._lock(child.name):
            before = child.kills
            await child.kill()
            self._note(fault, child.kills - before, child.name, down)
            await asyncio.sleep(down)
            self._start(child)
            if waits:
                await is_ready(self.http[self.servers.index(child)], START_S)
            await asyncio.sleep(alone)

    async def _pause(self, fault: Fault) -> None:
        child = self._child(fault)
        process = child.process
        self._note(fault)
        child.send(signal.SIGSTOP)
        await asyncio.sleep(fault.span / 1000)
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)

    async def _cut_link(self, fault: Fault) -> None:
        self._note(fault)
        self.links.cut(fault.which)
        self.terminals.cut_all()

    async def _silence_link(self, fault: Fault) -> None:
        self._note(fault)
        await self.links.fall_silent(fault.which, fault.span / 1000)

    async def _slow_link(self, fault: Fault) -> None:
        self._note(fault)
        await self.links.slow_down(fault.which, fault.span / 1000, SLOW_LINK_S)

    async def _slow_disk(self, fault: Fault) -> None:
        process = self._child(fault).process
        if process is not None:
            self._note(fault)
            await disks.slow(process.pid, fault.span / 1000, self._rng.randint(*disks.SLOW_MS))

    async def _fill_disk(self, fault: Fault) -> None:
        child = self._child(fault)
        process = child.process
        if process is not None:
            self._note(fault)
            kept = next((each for each in (self.store, self._next) if each and child in each.children), self.store)
            await disks.full(process.pid, fault.span / 1000, kept.writes_by, kept.written())

    async def _step_clock(self, fault: Fault) -> None:
        """Set a server's clock forth or back, and right again after a while; others' stay as they are."""
        self._note(fault)
        self._clocks.set(fault.which, fault.span)
        await asyncio.sleep(CLOCK_WRONG_S)
        self._clocks.set(fault.which, 0)
