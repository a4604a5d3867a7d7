"""Links as they stand when a test begins."""

from smpp.constants import RESPONSE_BIT, CommandId
from smpp.events import BindRequested, Bound
from smpp.framing import Framer
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, BindResp, Malformed, Message, Password, Pdu, decode, encode
from smpp.states import Role

SETTINGS = LinkSettings(window=2, queue=3, enquire_ms=100, response_ms=50, bind_ms=40)
SUBMIT = Message(CommandId.SUBMIT_SM, destination_addr="79101234567", short_message=b"hello")
DELIVER = Message(CommandId.DELIVER_SM, source_addr="79101234567", short_message=b"hello")
BIND = Bind(system_id="us", password=Password("secret"))


def written(link: Link) -> list[Pdu | Malformed]:
    return [decode(frame) for frame in Framer(1 << 20).feed(link.take())]


def opened(role: Role) -> Link:
    link = Link(role, SETTINGS)
    link.connected(0)
    return link


def bound(role: Role, command: int = CommandId.BIND_TRANSCEIVER, settings: LinkSettings = SETTINGS) -> Link:
    """Return a link that has just bound, at time 0, with nothing left to write."""
    link = Link(role, settings)
    link.connected(0)
    if role is Role.ESME:
        link.bind(Bind(command), 0)
        assert [type(event) for event in link.receive(encode(BindResp(command | RESPONSE_BIT, 1)), 0)] == [Bound]
    else:
        (event,) = link.receive(encode(Bind(command, 1)), 0)
        assert isinstance(event, BindRequested)
        assert [type(event) for event in link.accept(event.pdu, "SMSC", 0)] == [Bound]
    link.take()
    return link
