"""A small service to try the simulator with: a real ESME on `smpp.link` that answers by a table."""

import asyncio
from typing import TypeAlias

from smpp import alphabets, ussd
from smpp.alphabets import decode
from smpp.constants import CommandId, Status
from smpp.dialect import STANDARD, Dialect
from smpp.events import BindRefused, Bound, Closed, Delivered, Event, Responded
from smpp.link import Link
from smpp.pdu import Bind, Message, Password
from smpp.states import Role
from smpp.transport import Connection, connect

PATIENCE_S = 60.0
"""Longer than anything takes; only a test that fails waits so long."""

Say: TypeAlias = tuple[str, bool] | Status | None
"""A screen and whether it ends the dialogue; or the status that refuses the message; or silence."""

MENU = "МТС Сервис\n1 Тарифы\n2 Услуги\n0 Выход"
TARIFFS = "Тарифы\n1 Супер Ноль\n2 RED Energy\n0 Назад"
BALANCE = "Balance: 149.50 rub."
MUTE = "*888#"
"""What is dialled so that the service does not even respond."""

CODE = "48215903"
CODE_TEXT = f"Ваш пароль: {CODE}. Никому его не сообщайте."
LONG_TEXT = "Тарифы: " + ", ".join(f"{number} Тариф номер {number}" for number in range(1, 12))

SCREENS: dict[str, Say] = {
    "*111#": (MENU, False),
    "1": (TARIFFS, False),
    "0": (MENU, False),
    "2": ("До свидания", True),
    "*100#": (BALANCE, True),
    "*999#": None,
    "*666#": Status.RX_T_APPN,
}
SMS: dict[tuple[str, str], str] = {
    ("2163", "111"): "Услуга подключена.",
    ("6262", ""): CODE_TEXT,
    ("111", "?"): LONG_TEXT,
}


class Esme:
    """A service with one bind. What was delivered is in `delivered`, what its submits were answered in `statuses`."""

    def __init__(self, system_id: str = "ussd", password: str = "demo", dialect: Dialect = STANDARD) -> None:
        self.delivered: asyncio.Queue[Message] = asyncio.Queue()
        self.statuses: asyncio.Queue[int] = asyncio.Queue()
        self.refused_with: int | None = None
        self.bound = asyncio.Event()
        self.closed = asyncio.Event()
        self.sms_status = Status.ROK
        self._bind = Bind(system_id=system_id, password=Password(password))
        self._connection: Connection | None = None
        self._dialect = dialect

    async def start(self, port: int, command: int = CommandId.BIND_TRANSCEIVER) -> "Esme":
        """Connect and ask to be bound; return when that is decided."""
        self._bind.command = command
        self._connection = await connect("127.0.0.1", port, Link(Role.ESME), self._on_event)
        self._connection.bind(self._bind)
        decided = [asyncio.create_task(event.wait()) for event in (self.bound, self.closed)]
        await asyncio.wait(decided, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        for task in decided:
            task.cancel()
        return self

    def submit(self, message: Message) -> None:
        assert self._connection is not None
        assert self._connection.send(message, None)

    def text(self, source: str, msisdn: str, text: str, **fields: object) -> None:
        """Send an SMS in as many parts as it takes."""
        encoded = alphabets.choose(text)
        size = 153 if encoded.alphabet == "gsm" else 134
        pieces = [encoded.data[at : at + size] for at in range(0, len(encoded.data), size)] or [b""]
        for index, piece in enumerate(pieces, 1):
            long = len(pieces) > 1
            header = bytes((5, 0, 3, 7, len(pieces), index)) if long else b""
            self.submit(
                Message(
                    CommandId.SUBMIT_SM,
                    source_addr=source,
                    destination_addr=msisdn,
                    esm_class=0x40 if long else 0,
                    data_coding=encoded.data_coding,
                    short_message=header + piece,
                    **fields,
                )
            )

    async def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()

    def _on_event(self, connection: Connection, event: Event) -> None:
        match event:
            case Bound():
                self.bound.set()
            case BindRefused(status=status):
                self.refused_with = status
            case Closed():
                self.closed.set()
            case Responded(status=status):
                self.statuses.put_nowait(status)
            case Delivered(pdu=message):
                self.delivered.put_nowait(message)
                self._answer(connection, message)

    def _answer(self, connection: Connection, message: Message) -> None:
        if ussd.is_ussd(message, self._dialect):
            said = ussd.classify(message, self._dialect)
            text = getattr(said, "text", None)
            if text == MUTE:
                return
            say = SCREENS.get(text, ("?", True)) if text is not None else None
            connection.respond(message, say if isinstance(say, Status) else Status.ROK)
            if isinstance(say, tuple):
                self.submit(ussd.reply(message, alphabets.choose(say[0]), ends=say[1], dialect=self._dialect))
            return
        connection.respond(message, self.sms_status)
        reply = SMS.get((message.destination_addr, decode(message.user_data, message.data_coding)))
        if reply is not None and self.sms_status == Status.ROK:
            self.text(message.destination_addr, message.source_addr, reply)
