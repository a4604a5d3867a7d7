"""A service built on another SMPP implementation at our simulator."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from smpp.constants import Status
from tests.acceptance.harness import PATIENCE_S
from tests.interop.node import HERE, PASSWORD, SYSTEM_ID
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator import protocol
from ussd_server.simulator.phone import PhoneView
from ussd_server.simulator.smsc import Smsc

pytestmark = pytest.mark.interop
MSISDN = "79100001234"


class Handset:
    """A phone of the simulator, and a way to wait for what it shows."""

    def __init__(self, smsc: Smsc) -> None:
        self._smsc = smsc
        self._changes: asyncio.Queue[PhoneView] = asyncio.Queue()
        self._bound = asyncio.Event()
        smsc.listeners.add(self._hear)

    def _hear(self, event: protocol.AnyEvent) -> None:
        if isinstance(event, protocol.PhoneChanged):
            self._changes.put_nowait(event.phone)
        elif isinstance(event, protocol.NetworkChanged) and event.network.binds:
            self._bound.set()

    async def service_bound(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._bound.wait()

    async def until(self, wanted: Callable[[PhoneView], bool]) -> PhoneView:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                view = await self._changes.get()
                if wanted(view):
                    return view

    async def screen(self, text: str) -> None:
        """Wait until the phone shows this text."""
        await self.until(lambda view: view.dialogue is not None and view.dialogue.screen == text)


@asynccontextmanager
async def node_service(smsc: Smsc, password: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run node's ESME against our SMSC; it unbinds when its standard input ends."""
    process = await asyncio.create_subprocess_exec(
        "node",
        "esme.js",
        f"smpp://127.0.0.1:{smsc.port}",
        SYSTEM_ID,
        password,
        cwd=HERE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()


@asynccontextmanager
async def our_smsc() -> AsyncIterator[Smsc]:
    smsc = Smsc("127.0.0.1", 0, {SYSTEM_ID: Secret(PASSWORD)}, [MSISDN])
    await smsc.start()
    try:
        yield smsc
    finally:
        await smsc.stop()


def test_a_service_of_somebody_else_works_at_our_simulator() -> None:
    """Node's ESME binds to our SMSC; its menu, its last screen and its SMS reach the simulated phone."""

    async def play() -> None:
        async with our_smsc() as smsc:
            phone = Handset(smsc)
            async with node_service(smsc, PASSWORD):
                await phone.service_bound()
                assert smsc.perform(protocol.Dial(MSISDN, "*111#")) is None
                await phone.screen("Меню\n1 Да\n2 Нет")
                assert smsc.perform(protocol.Answer(MSISDN, "2")) is None
                await phone.screen("Вы выбрали 2")
                assert smsc.perform(protocol.Write(MSISDN, "2163", "Привет")) is None
                await phone.until(lambda view: [m.text for m in view.messages][-1:] == ["Получено: Привет"])

    asyncio.run(play())


def test_our_simulator_refuses_a_wrong_password() -> None:
    """A service with a wrong password is not bound, and reads a status that says why."""

    async def play() -> None:
        async with our_smsc() as smsc, node_service(smsc, "wrong") as process:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                told = json.loads(await process.stdout.readline())
            assert (told["event"], told["status"]) == ("bound", Status.RINVPASWD)

    asyncio.run(play())
