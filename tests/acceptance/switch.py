"""An SMSC that several servers bind to: each step of a dialogue goes by any of their links.

What a link did not answer before it was gone is delivered again by another one, as gateways do.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from random import Random

from smpp.events import BindRequested, Bound, Closed, Delivered, Event, Lost, Responded
from smpp.link import Link
from smpp.pdu import Message
from smpp.states import Role
from smpp.transport import Connection, listen
from tests.acceptance.gateway import make_message, submitted
from tests.acceptance.harness import ANSWER, BEGIN, Submitted
from tests.acceptance.harness import Phone as Fields

GATEWAY_TIMER_S = 15.0
"""How long a gateway waits for the answer to what a subscriber said; then it ends the dialogue."""


@dataclass
class Said:
    """What a subscriber said, on its way: the link that it went by last, and how often it was sent."""

    message: Message
    by: Connection | None = None
    sent: int = 0


@dataclass
class Switch:
    """The SMSC. `bound` are the links in the order of their binds, `waiting` is what came while there was none.

    `refused` are statuses other than 0 that inputs were answered with, `again` is how many were delivered once more.
    """

    random: Random
    bound: list[Connection] = field(default_factory=list)
    screens: dict[str, "asyncio.Queue[tuple[Connection, Submitted]]"] = field(default_factory=dict)
    waiting: deque[Said] = field(default_factory=deque)
    refused: list[int] = field(default_factory=list)
    again: int = 0
    port: int = 0

    async def __aenter__(self) -> "Switch":
        self._listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), self._on_event)
        self.port = self._listener.port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.close()

    @property
    def url(self) -> str:
        """Return the URL for `--smsc`."""
        return f"smpp://switch:secret@127.0.0.1:{self.port}"

    def deliver(self, said: Said) -> None:
        """Send by any link, or by the next that comes."""
        if not self.bound:
            self.waiting.append(said)
            return
        said.by = self.random.choice(self.bound)
        said.sent += 1
        self.again += said.sent > 1
        if not said.by.send(said.message, said):
            self.bound.remove(said.by)
            self.deliver(said)

    def _on_event(self, connection: Connection, event: Event) -> None:
        match event:
            case BindRequested(pdu=pdu):
                connection.accept(pdu, "switch")
            case Bound():
                self.bound.append(connection)
                while self.waiting:
                    self.deliver(self.waiting.popleft())
            case Delivered(pdu=pdu):
                connection.respond(pdu, message_id="1")
                shown = submitted(pdu)
                if shown.op is not None:
                    self.screens[shown.destination].put_nowait((connection, shown))
            case Responded(tag=Said(), status=status) if status:
                self.refused.append(status)
            case Lost(tag=Said() as said):
                self._left(connection)
                self.deliver(said)
            case Closed():
                self._left(connection)

    def _left(self, connection: Connection) -> None:
        if connection in self.bound:
            self.bound.remove(connection)


class Phone:
    """A subscriber whose dialogues go by the switch; TimeoutError where the gateway's timer would end one."""

    def __init__(self, switch: Switch, msisdn: str) -> None:
        self._switch = switch
        self._fields = Fields(switch, msisdn)  # type: ignore[arg-type]
        self._screens = switch.screens[msisdn] = asyncio.Queue()

    async def walk(self, code: str, *answers: str) -> list[str]:
        """Dial and answer; return every screen. Each must come by the link by which the step was delivered last."""
        self._fields.session = self._fields.session % 127 + 1
        return [await self._say(code, BEGIN), *[await self._say(answer, ANSWER) for answer in answers]]

    async def _say(self, text: str, op: int) -> str:
        said = Said(make_message(self._fields.ussd_fields(text, op)))
        async with asyncio.timeout(GATEWAY_TIMER_S):
            self._switch.deliver(said)
            connection, shown = await self._screens.get()
        assert shown.session is not None
        assert shown.session >> 8 == self._fields.session, "a screen of another dialogue"
        assert connection is said.by, "the answer went out by another link than the one that the step came by"
        return shown.text
