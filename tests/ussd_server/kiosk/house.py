"""The whole product for a browser: phones, server and kiosk, in a loop and a thread of their own."""

import asyncio
import dataclasses
import re
import threading
from collections.abc import Coroutine
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from ussd_server.cli.demo_terminal import demo_terminal
from ussd_server.cli.parts import DEMO_MANNER, Demo, KioskProcess, Service
from ussd_server.kiosk.protocol import Touch
from ussd_server.kiosk.seat import Manner
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import Address, Settings, load
from ussd_server.simulator import protocol
from ussd_server.simulator.smsc import Smsc
from ussd_server.smsc_url import SmscUrl
from ussd_server.subscribers.visits import Visit
from ussd_server.terminals.record import Standing

T = TypeVar("T")

HERE = {"http": "127.0.0.1:0", "smpp": "127.0.0.1:0", "kiosk_http": "127.0.0.1:0"}
CODE = re.compile(r"\b(\d{8})\b")
_numbers = count(79_100_003_001)  # the shipped catalogue has nothing special about these


class House:
    """A loop in a thread, an SMSC with phones on it, and what the subclasses put beside them."""

    smsc: Smsc
    service: Service

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        try:
            self.run(self._start())
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        try:
            self.run(self._stop())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        raise NotImplementedError

    async def _stop(self) -> None:
        raise NotImplementedError

    # Phones -------------------------------------------------------------------------------------------------------

    def subscriber(self) -> tuple[str, str]:
        """Return a number that no other test has, with the service activated, and its code."""
        number = str(next(_numbers))
        self.run(self._did(protocol.Add(number)))
        self.text(number, "2163", "111")
        self.sms(number, "Помощник подключён")
        self.text(number, "6262", "")
        return number, self.code(number)

    def code(self, number: str) -> str:
        """Return the code in the latest SMS that has one."""
        found = CODE.search(self.sms(number, "Ваш пароль для терминалов"))
        assert found
        return found[1]

    def text(self, number: str, to: str, text: str) -> None:
        self.run(self._did(protocol.Write(number, to, text)))

    def sms(self, number: str, with_text: str) -> str:
        """Return the latest SMS with this text on the phone, as soon as there is one."""
        return self.run(self._message(number, with_text))

    def visit(self, number: str) -> Visit | None:
        """Return the number's visit as it is stored."""
        return self.run(self.service.server.store.load(number, latest=True))[0].visit

    def no_visit(self, number: str) -> bool:
        """Return whether the number's visit is closed within a moment."""

        async def closed() -> bool:
            async with asyncio.timeout(20):
                while (await self.service.server.store.load(number, latest=True))[0].visit is not None:
                    await asyncio.sleep(0.02)
            return True

        return self.run(closed())

    async def _did(self, command: protocol.AnyCommand) -> None:
        assert self.smsc.perform(command) is None

    async def _message(self, number: str, with_text: str) -> str:
        happened = asyncio.Event()

        def hear(_event: protocol.AnyEvent) -> None:
            happened.set()

        self.smsc.listeners.add(hear)
        try:
            async with asyncio.timeout(20):
                while True:
                    happened.clear()
                    phone = next(each for each in self.smsc.hello().phones if each.msisdn == number)
                    got = [each.text for each in phone.messages if with_text in each.text and not each.outgoing]
                    if got:
                        return got[-1]
                    await happened.wait()
        finally:
            self.smsc.listeners.discard(hear)


class DemoHouse(House):
    """What `demo` starts."""

    def __init__(self, data: Path, manner: Manner = DEMO_MANNER) -> None:
        super().__init__()
        self._settings = load({**HERE, "data": data})
        self._manner = manner

    @property
    def url(self) -> str:
        return f"http://{self.service.http}/"

    @property
    def kiosk_url(self) -> str:
        return f"{self.url}kiosk/"

    async def _start(self) -> None:
        self.demo = Demo(self._settings, self._manner)
        await self.demo.start()
        assert self.demo.service is not None
        self.smsc, self.service = self.demo.smsc, self.demo.service

    async def _stop(self) -> None:
        await self.demo.stop()


class ApartHouse(House):
    """A kiosk's process of its own beside a server that may go away."""

    def __init__(self, data: Path, **options: object) -> None:
        super().__init__()
        self._settings = load({**HERE, "data": data, **options})

    @property
    def kiosk_url(self) -> str:
        return f"http://{self.kiosk.http}/"

    def terminal_is(self, standing: Standing) -> None:
        """Write down another standing of the kiosk's terminal, as an operator's command does."""

        async def change() -> None:
            store = self.service.server.store
            terminal, version = await store.load_terminal(self._terminal)
            assert terminal is not None
            assert await store.commit_terminal(replace(terminal, standing=standing), version)

        self.run(change())

    def waits(self, **manner: float) -> None:
        """Let screens be left untouched for another time, `idle_s` and `warn_s`, from the next touch on."""

        async def change() -> None:
            for seat in self.kiosk.kiosk._seats.values():
                seat._manner = dataclasses.replace(seat._manner, **manner)

        self.run(change())

    def untouched(self, **manner: float) -> None:
        """Let that time begin now."""
        self.waits(**manner)

        async def begin() -> None:
            for seat in self.kiosk.kiosk._seats.values():
                seat.take(Touch())

        self.run(begin())

    def server_down(self) -> None:
        self._up = False
        self.run(self.service.stop())

    def server_up(self) -> None:
        self.run(self._serve(self.service.http))

    async def _start(self) -> None:
        self.smsc = Smsc("127.0.0.1", 0, {"ussd": Secret("demo")}, ["79100000001"])
        await self.smsc.start()
        await self._serve(self._settings.http)
        own, file = await demo_terminal(self._settings.data, self.service.server.store)
        self._terminal = own.terminal
        self.kiosk = KioskProcess(own, file, f"http://{self.service.http}", self._settings)
        await self.kiosk.start()

    async def _serve(self, http: Address) -> None:
        smsc = SmscUrl("ussd", Secret("demo"), "127.0.0.1", self.smsc.port)
        self.service = Service(self._with(smsc=(smsc,), http=http))
        await self.service.start()
        self._up = True

    def _with(self, **changed: object) -> Settings:
        return self._settings.model_copy(update=changed)

    async def _stop(self) -> None:
        await self.kiosk.stop()
        if self._up:
            await self.service.stop()
        await self.smsc.stop()
