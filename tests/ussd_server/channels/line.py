"""One account bound to a real SMSC over loopback, as all tests of its parts have it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from smpp import ussd
from smpp.alphabets import choose, decode
from smpp.constants import CommandId, Status, Tag, Ton
from smpp.events import BindRequested, Bound, Closed, Delivered, Event, Responded
from smpp.link import Link, LinkSettings
from smpp.pdu import Bind, Message
from smpp.states import Role
from smpp.transport import Connection, listen
from tests.ussd_server.turns.bench import MSISDN, SCREEN, Bench
from ussd_server.channels.account import Account
from ussd_server.channels.sms import SendOutcome
from ussd_server.secrecy.secrets import Secret
from ussd_server.smsc_url import SmscUrl
from ussd_server.stores.base import StoreUnavailable


class Smsc:
    """The other side: takes every bind, notes what comes, and answers submits with the statuses that the test sets."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        """The one that was bound last, as something that receives."""
        self.binds: list[Bind] = []
        self.bound: list[Connection] = []
        self.by: list[Connection] = []
        """Which connection each submit came by."""
        self.submitted: list[Message] = []
        self.responses: dict[object, int] = {}
        self.statuses: list[int] = []
        self.ids: list[str] = []
        """Message ids for the next submits; then their numbers."""
        self.events: list[type[Event]] = []
        """What the links told, by its kind."""
        self.silent = False
        self.refusal = 0

    def on_event(self, connection: Connection, event: Event) -> None:
        """Play the SMSC."""
        self.events.append(type(event))
        match event:
            case BindRequested(pdu=pdu):
                if self.refusal:
                    connection.refuse(pdu, self.refusal)
                    return
                self.binds.append(pdu)
                self.bound.append(connection)
                connection.accept(pdu, "SMSC")
            case Bound(pdu=pdu):
                if pdu.command != CommandId.BIND_TRANSMITTER_RESP:  # it takes submits alone
                    self.connection = connection
            case Delivered(pdu=pdu):
                self.submitted.append(pdu)
                self.by.append(connection)
                if self.silent:
                    return
                message_id = self.ids.pop(0) if self.ids else f"{len(self.submitted)}"
                connection.respond(pdu, self.statuses.pop(0) if self.statuses else Status.ROK, message_id)
            case Responded(tag=tag, status=status):
                self.responses[tag] = status
            case Closed():
                self.bound = [one for one in self.bound if one is not connection]
                if self.connection is connection:
                    self.connection = None

    def deliver(self, message: Message, tag: object = "input") -> None:
        """Send a message to the server."""
        assert self.connection is not None
        assert self.connection.send(message, tag)


class Line:
    """A bench with one account bound to a real SMSC over loopback."""

    def __init__(self, bench: Bench, smsc: Smsc, account: Account) -> None:
        self.bench, self.smsc, self.account = bench, smsc, account

    async def until(self, reached: Callable[[], bool]) -> None:
        """Let everything go on until something is so."""
        await self.bench.until(reached)

    async def hear(self, message: Message, submits: int) -> list[str]:
        """Deliver a message and return the texts of all submits, once there are so many."""
        self.smsc.responses.pop("input", None)
        self.smsc.deliver(message)
        await self.until(lambda: "input" in self.smsc.responses and len(self.smsc.submitted) >= submits)
        return [reply.text for sent in self.smsc.submitted if (reply := ussd.read_reply(sent))]


def _told(sending: Sequence[asyncio.Future[SendOutcome]], outcome: SendOutcome) -> None:
    for done in sending:
        done.set_result(outcome)


def make_account(url: SmscUrl, bench: Bench) -> Account:
    return Account(
        url,
        bench.conversations,
        SCREEN,
        bench.metrics,
        country="7",
        now=lambda: bench.now,
        random=lambda: 0.0,
        boot="boot",
        on_bound=lambda: None,
        deliveries=bench.deliveries,
        sms_told=_told,
    )


def play(directory: Path, story: Callable[[Line], Awaitable[None]], smsc_window: int = 10, **options: Any) -> None:
    """Run a story on an account with these options of its URL, on an SMSC with this window."""

    async def main() -> None:
        bench, smsc = Bench(directory), Smsc()
        settings = LinkSettings(window=smsc_window)
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC, settings), smsc.on_event)
        account = make_account(SmscUrl("user", Secret("password"), "127.0.0.1", listener.port, **options), bench)
        account.start()
        try:
            binds = options.get("binds", 1) * (2 if options.get("bind") == "txrx" else 1)
            await bench.until(lambda: bench.metrics.binds[account.name] == binds and smsc.connection is not None)
            await story(Line(bench, smsc, account))
        finally:
            await account.stop(drain_ms=100)
            await listener.close()
            await bench.hasher.close()
            await bench.store.close()
            await bench.operator.close()

    asyncio.run(main())


def dialled(code: str = "*111#", session: int = 1) -> Message:
    return ussd.dial(MSISDN, "111", choose(code), session=session)


def ussd_message(op: int, session: dict[int, bytes], text: str = "*111#") -> Message:
    """Return what a gateway delivers with this operation, and these TLVs of its session."""
    return Message(
        CommandId.DELIVER_SM,
        service_type="USSD",
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=MSISDN,
        destination_addr="111",
        short_message=text.encode("ascii"),
        tlvs={Tag.USSD_SERVICE_OP: bytes((op,)), **session},
    )


def sms(text: str, number: str = "111", source: str = MSISDN, ton: int = Ton.INTERNATIONAL) -> Message:
    encoded = choose(text)
    return Message(
        CommandId.DELIVER_SM,
        source_addr_ton=ton,
        source_addr_npi=1,
        source_addr=source,
        destination_addr=number,
        data_coding=encoded.data_coding,
        short_message=encoded.data,
    )


def send(sender: Any, *arguments: object) -> asyncio.Future[SendOutcome]:
    """Send an SMS by a gateway, or by what is outgoing of an account; the future is its tag, and done when it ended."""
    done: asyncio.Future[SendOutcome] = asyncio.get_running_loop().create_future()
    *rest, id = arguments
    known = sender.send_sms(*rest, f"{id}", done)
    assert not done.done()
    if known is not None:
        done.set_result(known)
    return done


def receipt(message_id: str, *, source: str = MSISDN, destination: str = "111", state: str = "DELIVRD") -> Message:
    """Return the receipt of an SMS as SMSCs write it, in ASCII that says UCS-2."""
    text = f"id:{message_id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:{state} err:000 text:"
    return Message(
        CommandId.DELIVER_SM,
        source_addr=source,
        destination_addr=destination,
        esm_class=0x04,
        data_coding=8,
        short_message=text.encode(),
    )


def texts(at: Line) -> list[str]:
    """Return what was submitted, in its order."""
    return [decode(message.user_data, message.data_coding) for message in at.smsc.submitted]


def fill_the_disk(bench: Bench) -> None:
    async def full(*arguments: Any) -> Any:
        raise StoreUnavailable("the disk is full")

    bench.store.commit = bench.store.commit_and_hold = full  # type: ignore[method-assign]
