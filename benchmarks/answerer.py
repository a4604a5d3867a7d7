"""The SMPP link alone: an ESME on `smpp.transport` that answers from its callback, without menus, turn or store.

It does for each deliver_sm what the yardstick does, but with whole PDUs: every field is read and written, sequences,
windows and timers are kept. What it takes more than the yardstick is what the link costs.
"""

import argparse
import asyncio

import uvloop

from benchmarks.paths import FIXED_TEXT, MENU
from benchmarks.wire import TAG_OP
from smpp.constants import CommandId
from smpp.events import Closed, Delivered, Event
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, Message, Password
from smpp.states import Role
from smpp.transport import Connection

WINDOW = 1_000
UCS2 = 8


class Answerer:
    """Answers every deliver_sm with the same screen."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self._done = done
        self._text = FIXED_TEXT.encode("utf-16-be")

    def hear(self, connection: Connection, event: Event) -> None:
        """Take an event of the link."""
        if type(event) is Delivered:
            asked = event.pdu
            connection.respond(asked)
            connection.send(self._screen(asked), None, urgent=True)
        elif type(event) is Closed and not self._done.done():
            self._done.set_result(None)

    def _screen(self, asked: Message) -> Message:
        return Message(
            CommandId.SUBMIT_SM,
            service_type=asked.service_type,
            source_addr=asked.destination_addr,
            dest_addr_ton=asked.source_addr_ton,
            dest_addr_npi=asked.source_addr_npi,
            destination_addr=asked.source_addr,
            data_coding=UCS2,
            short_message=self._text,
            tlvs=asked.tlvs | {TAG_OP: bytes((MENU,))},
        )


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    link = Link(Role.ESME, LinkSettings(window=WINDOW))
    hear = Answerer(done).hear
    _, connection = await loop.create_connection(lambda: Connection(link, hear), "127.0.0.1", port)
    connection.bind(Bind(system_id="bench", password=Password("bench")))
    await done


def main() -> None:
    """Connect to the load generator on a loopback port and answer until it hangs up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="port of the load generator on 127.0.0.1")
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
