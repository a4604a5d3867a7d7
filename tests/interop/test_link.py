"""Our link as an ESME at the SMSC of another SMPP implementation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from smpp.constants import CommandId, Status, Tag
from smpp.events import Bound, Closed, Delivered, Event, Responded
from smpp.link import Link
from smpp.pdu import Bind, Message, Password
from smpp.states import Role
from smpp.transport import Connection, connect
from tests.acceptance.harness import PATIENCE_S
from tests.interop.node import PASSWORD, SYSTEM_ID, NodeSmsc

pytestmark = pytest.mark.interop
MSISDN = "79100001234"


@dataclass
class Ours:
    """A link of ours, the events that it told and nobody has asked for yet, and what node told of its bind."""

    events: "asyncio.Queue[Event]" = field(default_factory=asyncio.Queue)
    bind: dict[str, Any] = field(default_factory=dict)

    async def expect(self, kind: type[Event]) -> Any:
        """Return the next event, which must be of this kind."""
        async with asyncio.timeout(PATIENCE_S):
            event = await self.events.get()
        assert isinstance(event, kind), event
        return event


@asynccontextmanager
async def linked(node: NodeSmsc, password: str = PASSWORD) -> AsyncIterator[tuple[Ours, Connection]]:
    """Connect to node and ask to be bound."""
    ours = Ours()
    connection = await connect(
        "127.0.0.1", node.port, Link(Role.ESME), lambda _connection, event: ours.events.put_nowait(event)
    )
    connection.bind(Bind(system_id=SYSTEM_ID, password=Password(password)))
    try:
        ours.bind = await asyncio.to_thread(node.event, "bind")
        yield ours, connection
    finally:
        connection.close()
        await connection.wait_closed()
        await asyncio.to_thread(node.event, "closed")


def test_a_bind_is_granted_and_ended(node: NodeSmsc) -> None:
    """Node grants our bind, and an unbind ends it in good order."""

    async def play() -> None:
        async with linked(node) as (ours, connection):
            bound = await ours.expect(Bound)
            assert bound.pdu.system_id == "node"
            connection.unbind()
            assert (await ours.expect(Closed)).reason == "unbound by us"
            bind = ours.bind
            assert (bind["granted"], bind["command"], bind["interface_version"]) == (True, "bind_transceiver", 0x34)

    asyncio.run(play())


def test_a_wrong_password_is_refused(node: NodeSmsc) -> None:
    """Node's refusal, which has no body, is read as what it is."""

    async def play() -> None:
        async with linked(node, "wrong") as (ours, _):
            refused = await ours.events.get()
            assert getattr(refused, "status", None) == Status.RBINDFAIL
            assert not ours.bind["granted"]

    asyncio.run(play())


def test_ussd_goes_both_ways(node: NodeSmsc) -> None:
    """Node's deliver_sm with USSD and vendors' TLVs arrives whole, and node reads our submit_sm with ours."""
    fields = {
        "source_addr": MSISDN,
        "destination_addr": "111",
        "short_message": b"*111#",
        "ussd_service_op": 1,
        "its_session_info": b"\x2a\x00",
    }

    async def play() -> None:
        async with linked(node) as (ours, connection):
            await ours.expect(Bound)
            delivering = asyncio.create_task(asyncio.to_thread(node.deliver, fields))
            delivered: Delivered = await ours.expect(Delivered)
            assert delivered.pdu.short_message == b"*111#"
            assert delivered.pdu.tlvs == {Tag.USSD_SERVICE_OP: b"\1", Tag.ITS_SESSION_INFO: b"\x2a\0"}
            connection.respond(delivered.pdu)
            assert await delivering == 0
            text = "Меню".encode("utf-16-be")
            tlvs = {Tag.USSD_SERVICE_OP: b"\2", Tag.ITS_SESSION_INFO: b"\x2a\0", 0x1501: b"\1\2\3\4"}
            answer = Message(CommandId.SUBMIT_SM, destination_addr=MSISDN, data_coding=8, short_message=text, tlvs=tlvs)
            connection.send(answer, "tag")
            responded: Responded = await ours.expect(Responded)
            assert (responded.tag, responded.status) == ("tag", 0)

    asyncio.run(play())
    shown = node.expect("our answer", lambda message: message.destination == MSISDN)
    assert (shown.text, shown.op, shown.session) == ("Меню", 2, 0x2A00)


def test_a_refusal_without_a_body_is_an_answer(node: NodeSmsc) -> None:
    """An error response of node, which has no body at all, completes the request with its status."""

    async def play() -> None:
        async with linked(node) as (ours, connection):
            await ours.expect(Bound)
            node.acknowledge(Status.RTHROTTLED)
            connection.send(Message(CommandId.SUBMIT_SM, destination_addr=MSISDN, short_message=b"x"), None)
            assert (await ours.expect(Responded)).status == Status.RTHROTTLED
            node.acknowledge(0)

    asyncio.run(play())
    node.expect("our message", lambda message: message.destination == MSISDN)
