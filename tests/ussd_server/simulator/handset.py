"""An SMSC for a test, and a way to wait for what its phones show."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.ussd_server.simulator.esme import PATIENCE_S
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator import protocol
from ussd_server.simulator.phone import Dialogue, Message, PhoneView, Timers
from ussd_server.simulator.smsc import Smsc

NUMBER = "79100000001"
OTHER = "79100000002"


class Watched:
    """An SMSC, and what it told since the test began."""

    def __init__(self, smsc: Smsc) -> None:
        self.smsc = smsc
        self.events: list[protocol.AnyEvent] = []
        self._told = asyncio.Event()
        smsc.listeners.add(self._hear)

    def _hear(self, event: protocol.AnyEvent) -> None:
        self.events.append(event)
        self._told.set()

    def do(self, command: protocol.AnyCommand) -> protocol.Problem | None:
        return self.smsc.perform(command)

    def phone(self, msisdn: str = NUMBER) -> PhoneView:
        return next(phone for phone in self.smsc.hello().phones if phone.msisdn == msisdn)

    def dialogue(self, msisdn: str = NUMBER) -> Dialogue:
        dialogue = self.phone(msisdn).dialogue
        assert dialogue is not None
        return dialogue

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until it is so; whatever makes it so is told of."""
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self._told.clear()
                await self._told.wait()

    async def screen(self, text: str, msisdn: str = NUMBER) -> Dialogue:
        """Wait until the phone shows this text and it is nobody's turn but the subscriber's."""
        await self.until(lambda: self.dialogue(msisdn).screen == text and self.dialogue(msisdn).turn != "service")
        return self.dialogue(msisdn)

    async def over(self, msisdn: str = NUMBER) -> Dialogue:
        await self.until(lambda: self.dialogue(msisdn).turn == "over")
        return self.dialogue(msisdn)

    async def inbox(self, count: int = 1, msisdn: str = NUMBER) -> list[Message]:
        """Wait until so many messages came in."""

        def came() -> list[Message]:
            return [message for message in self.phone(msisdn).messages if not message.outgoing]

        await self.until(lambda: len(came()) >= count)
        return came()

    async def delivery(self, state: str, msisdn: str = NUMBER) -> None:
        """Wait until the message that was sent last is there."""
        await self.until(lambda: [m.delivery for m in self.phone(msisdn).messages if m.outgoing][-1:] == [state])


@asynccontextmanager
async def simulator(timers: Timers | None = None, anybody: bool = False, **behaviour: Any) -> AsyncIterator[Watched]:
    accounts = None if anybody else {"ussd": Secret("demo"), "other": Secret("demo2")}
    smsc = Smsc("127.0.0.1", 0, accounts, [NUMBER, OTHER], timers, **behaviour)
    await smsc.start()
    try:
        yield Watched(smsc)
    finally:
        await smsc.stop()
