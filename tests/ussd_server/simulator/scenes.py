"""Scenes at a simulator to which a service is bound."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from smpp.constants import Tag
from smpp.pdu import Message
from tests.ussd_server.simulator.esme import PATIENCE_S, Esme
from tests.ussd_server.simulator.handset import Watched, simulator
from ussd_server.simulator.phone import Timers

Scenario = Callable[[Watched, Esme], Awaitable[None]]


def played(scenario: Scenario, timers: Timers | None = None, **behaviour: Any) -> None:
    """Play a scenario on a simulator to which a service is bound."""

    async def play() -> None:
        async with asyncio.timeout(PATIENCE_S), simulator(timers, **behaviour) as watched, service(watched) as esme:
            await scenario(watched, esme)

    asyncio.run(play())


@asynccontextmanager
async def service(watched: Watched, system_id: str = "ussd", password: str = "demo") -> AsyncIterator[Esme]:
    esme = await Esme(system_id, password).start(watched.smsc.port)
    try:
        yield esme
    finally:
        await esme.stop()


def session_of(message: Message) -> tuple[int, int, bool]:
    number, step = message.tlvs[Tag.ITS_SESSION_INFO]
    return number, step >> 1, bool(step & 1)
