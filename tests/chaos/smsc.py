"""The operator's SMSC as a process of its own, which may be killed at any time: `python -m tests.chaos.smsc PORT FILE`.

On standard input it gets what phones send, a JSON line each: {"deliver": ID, "pdu": HEX}, or {"forget": ID}. What it
took and what was taken of it it appends to FILE before it says so to anybody: {"submit": HEX, "id": MESSAGE_ID, "link":
LINK}, {"taken": ID, "status": N, "tries": N, "link": LINK}. What was not acknowledged it sends again, by any bound
link, until it is. {"boot": BOOT} says that it was started, {"bound": LINK} and {"unbound": LINK} which links it has.
"""

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from functools import partial

from smpp.events import BindRequested, Bound, Closed, Delivered, Event, Expired, Lost, Responded
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, Message, decode, encode
from smpp.states import Role
from smpp.transport import Connection, listen

SETTINGS = LinkSettings(window=50, enquire_ms=3_000, response_ms=5_000, bind_ms=5_000)

AGAIN_S = 0.3
"""How long after a loss an input is sent again."""


@dataclass
class Input:
    """What a phone sent and no server has acknowledged yet."""

    id: int
    message: Message
    tries: int = 0


class Smsc:
    """Takes every bind, and gives each message to any of those that may receive."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._links: dict[Connection, str] = {}
        self._inputs: dict[int, Input] = {}
        self._waiting: dict[int, Input] = {}
        self._boot = f"{time.time_ns():x}"
        self._count = 0
        self._binds = 0
        self._keep({"boot": self._boot})

    def _keep(self, line: dict[str, object]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def told(self, line: bytes) -> None:
        """Do what a phone wants."""
        asked = json.loads(line)
        if "forget" in asked:
            self._inputs.pop(asked["forget"], None)
            self._waiting.pop(asked["forget"], None)
            return
        message = decode(bytes.fromhex(asked["pdu"]))
        assert isinstance(message, Message)
        input = self._inputs[asked["deliver"]] = Input(asked["deliver"], message)
        self._pass_on(input)

    def _pass_on(self, input: Input) -> None:
        if input.id not in self._inputs:
            return
        bound = [link for link in self._links if link.link.bound]
        if not bound or not random.choice(bound).send(input.message, input):
            self._waiting[input.id] = input
            return
        input.tries += 1

    def on_event(self, connection: Connection, event: Event) -> None:
        """Take what a link tells."""
        match event:
            case BindRequested(pdu=Bind() as bind):
                connection.accept(bind, "chaos")
            case Bound():
                self._binds += 1
                self._links[connection] = name = f"{self._boot}/{self._binds}"
                self._keep({"bound": name})
                waiting, self._waiting = self._waiting, {}
                for input in waiting.values():
                    self._pass_on(input)
            case Closed():
                if connection in self._links:
                    self._keep({"unbound": self._links.pop(connection)})
            case Delivered(pdu=message):
                self._submitted(connection, message)
            case Responded(tag=Input() as input, status=status):
                self._taken(connection, input, status)
            case Expired(tag=Input() as input) | Lost(tag=Input() as input):
                self._later(input)

    def _submitted(self, connection: Connection, message: Message) -> None:
        self._count += 1
        name = f"{self._boot}-{self._count:x}"
        self._keep({"submit": encode(message, 1).hex(), "id": name, "link": self._links.get(connection, "")})
        connection.respond(message, 0, name)

    def _taken(self, connection: Connection, input: Input, status: int) -> None:
        if status:
            self._later(input)
        elif self._inputs.pop(input.id, None) is not None:
            link = self._links.get(connection, "")
            self._keep({"taken": input.id, "status": status, "tries": input.tries, "link": link})

    def _later(self, input: Input) -> None:
        asyncio.get_running_loop().call_later(AGAIN_S, self._pass_on, input)


async def main(port: int, path: str) -> None:
    """Serve until killed, or until who started it is gone."""
    smsc = Smsc(path)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await listen("127.0.0.1", port, partial(Link, Role.SMSC, SETTINGS), smsc.on_event)
    while line := await reader.readline():
        smsc.told(line)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
