"""Both ends of a link over loopback: owners who note what they are told, and an SMSC that welcomes everybody."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from smpp.constants import CommandId
from smpp.events import BindRequested, Bound, Delivered, Event
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, Message, Password
from smpp.states import Role
from smpp.transport import Connection, Listener, connect, listen

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

BIND = Bind(system_id="us", password=Password("secret"))
SUBMIT = Message(CommandId.SUBMIT_SM, destination_addr="79101234567", short_message=b"hello")
DELIVER = Message(CommandId.DELIVER_SM, source_addr="79101234567", short_message=b"hello")
LIMIT_SECONDS = 60


class Owner:
    """Keeps the events of its connections, and lets a test wait for one of a kind."""

    def __init__(self, answers: Callable[[Connection, Event], None] = lambda connection, event: None) -> None:
        self.events: list[Event] = []
        self.connections: list[Connection] = []
        self._answers = answers
        self._came = asyncio.Event()

    def __call__(self, connection: Connection, event: Event) -> None:
        self.events.append(event)
        self.connections.append(connection)
        self._came.set()
        self._answers(connection, event)

    async def wait_for(self, kind: type, times: int = 1) -> None:
        while sum(isinstance(event, kind) for event in self.events) < times:
            self._came.clear()
            await self._came.wait()


def welcoming(connection: Connection, event: Event) -> None:
    """Grant every bind and take every message."""
    if isinstance(event, BindRequested):
        connection.accept(event.pdu, "SMSC")
    elif isinstance(event, Delivered):
        connection.respond(event.pdu, message_id="1")


async def smsc(owner: Owner, settings: LinkSettings | None = None) -> Listener:
    return await listen("127.0.0.1", 0, lambda: Link(Role.SMSC, settings or LinkSettings()), owner)


async def bound(listener: Listener, owner: Owner) -> Connection:
    connection = await connect("127.0.0.1", listener.port, Link(Role.ESME), owner)
    connection.bind(BIND)
    await owner.wait_for(Bound)
    return connection
