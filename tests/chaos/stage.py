"""The processes of a run and what is between them, and how each fault is done to them."""

import asyncio
import itertools
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.acceptance.harness import COMMAND, run_to_end
from tests.chaos import disks, ledger, shop
from tests.chaos.ledger import Happened, Ledger
from tests.chaos.network import Network
from tests.chaos.plan import SERVER, STORE, Fault, Kind, Scene
from tests.chaos.processes import Child, is_ready, port, server
from tests.chaos.proxy import Proxy
from tests.chaos.storage import StoreKind, storage
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

BROKEN_OFF = 0.4
"""Of those who make a new key so many are killed at it."""

ROTATES_S = (0.3, 2.0)
ROTATED_S = 20.0
"""When they are, and how long the others may take."""

SLOW_LINK_S = 0.15

CLOCK_WRONG_S = 8.0

SUPERVISE_S = 0.5
"""How often a supervisor looks."""

TERMINAL: Final = "hall-1"
NO_LIMIT: Final = "100000"


def faketime() -> Path | None:
    """Return the library that sets a process's clock, None where it is not installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None


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
        self, directory: Path, book: Ledger, scene: Scene, seed: int, store: StoreKind, replicas: int | None = None
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.store = storage(store, directory, replicas)
        self.network = Network(directory, port(), book)
        self._book = book
        self._scene = scene
        self._rng = random.Random(seed)
        self._locks: dict[str, asyncio.Lock] = {}
        self._clock = directory / "clock"
        self.http = [port() for _ in range(scene.servers)]
        self.terminals = Proxy(lambda: self.http)
        # One address for all servers: by its name they know each other's dialogues.
        self.links = Proxy(lambda: [self.network.port])
        self.servers: list[Child] = []
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start everything, and make the terminal known."""
        self._set_clock(0)
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
            *("--store", self.store.url),
        ]
        return server(f"server {which + 1}", self.directory, self._environment(), options, self.http[which])

    def _environment(self) -> dict[str, str]:
        environment = {
            "USSD_SERVER_TERMINAL_URL": f"http://127.0.0.1:{self.terminals.port}",
            "USSD_SERVER_SMS_REPLIES_PER_HOUR": "1000",
            "USSD_SERVER_CODE_ORDERS_PER_HOUR": "100",
            "USSD_SERVER_CODE_ORDERS_PER_DAY": "100",
        }
        library = None if "clock step" in self._scene.without else faketime()
        if library is not None:
            environment |= {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        return environment

    async def supervise(self) -> None:
        """Start again what ended by itself, as systemd does; a server that finds its disk full does not start."""
        while True:
            await asyncio.sleep(SUPERVISE_S)
            for child in self._all():
                lock = self._lock(child)
                if not lock.locked() and child.process is not None and not child.alive:
                    async with lock:
                        status = await child.end()
                        self._book.note(Happened(ledger.now(), f"ended with {status}", child.name))
                        self._start(child)

    def _all(self) -> list[Child]:
        return [self.network.smsc, *self.servers, *self.store.children]

    def _lock(self, child: Child) -> asyncio.Lock:
        return self._locks.setdefault(child.name, asyncio.Lock())

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
        await self.store.close()
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
        logs = self.directory.glob("server-*.log")
        kept = itertools.chain(self.data.rglob("*"), self.store.place.rglob("*"))
        return [*logs, *(path for path in kept if path.is_file())]

    def _set_clock(self, ms: int) -> None:
        """Set the servers' clocks so far from the right time."""
        newer = self._clock.with_suffix(".new")
        newer.write_text(f"{ms / 1000:+.3f}\n")
        newer.replace(self._clock)

    # Faults ---------------------------------------------------------------------------------------------------------

    async def do(self, fault: Fault) -> None:
        """Do a fault, and return when it is over."""
        work: Mapping[Kind, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill,
            "restart": self._restart,
            "new key": self._rotate,
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
        if fault.target == STORE:
            return self.store.children[fault.which]
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
        async with self._lock(child):
            status = await child.end()
            self._note(fault)
            if status:  # it was told to end while its store was gone
                self._book.note(Happened(ledger.now(), f"ended with {status}", child.name))
            self._start(child)
            await is_ready(self.http[fault.which], START_S)

    async def _rotate(self, fault: Fault) -> None:
        """Make a new key and put every code under it; now and then who does so is killed, and the next goes on."""
        async with self._locks.setdefault("keys", asyncio.Lock()):
            store = ("--data", str(self.data), "--store", self.store.url)
            rotating = Child(
                "keys rotate", lambda: [COMMAND, "keys", "rotate", *store], self.directory, self._environment()
            )
            rotating.start()
            self._note(fault)
            if self._rng.random() < BROKEN_OFF:
                await asyncio.sleep(self._rng.uniform(*ROTATES_S))
                await rotating.kill()
            else:
                await rotating.ends(ROTATED_S)

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
        kept = child in self.store.children
        down = self._rng.uniform(*(self.store.up_again_s if kept else UP_AGAIN_S)) if down is None else down
        alone = self._rng.uniform(*(STORE_LEFT_ALONE_S if kept else LEFT_ALONE_S))
        waits = child in self.servers and self._rng.random() >= TOO_SOON
        async with self._lock(child):
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
        process = self._child(fault).process
        if process is not None:
            self._note(fault)
            await disks.full(process.pid, fault.span / 1000, self.store.writes_by, self.store.written())

    async def _step_clock(self, fault: Fault) -> None:
        """Set the clock of all servers forth or back, and right again after a while."""
        self._note(fault)
        self._set_clock(fault.span)
        await asyncio.sleep(CLOCK_WRONG_S)
        self._set_clock(0)
