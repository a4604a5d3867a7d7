"""The whole service over every dialect, at an SMSC that somebody else wrote: what is sent is spelt out here, field by
field, and what comes back is as node's package read it.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import PATIENCE_S
from tests.interop.node import NodeSmsc
from ussd_server.app import Server
from ussd_server.dialects.files import shipped
from ussd_server.settings import load

pytestmark = pytest.mark.interop
MSISDN = "79100001001"
Fields = dict[str, Any]


def op(number: int, **more: Any) -> Fields:
    return {"service_type": "USSD", "ussd_service_op": number, **more}


def none(_session: int, _step: int, _ends: bool) -> Fields:
    return {}


def standard(session: int, step: int, ends: bool) -> Fields:
    """Eight bits of number, seven of count, the end bit."""
    return {"its_session_info": bytes((session, step << 1 | ends))}


def fifteen_bits(session: int, _step: int, ends: bool) -> Fields:
    return {"its_session_info": (session << 1 | ends).to_bytes(2, "big")}


def reference(session: int, _step: int, _ends: bool) -> Fields:
    return {"user_message_reference": session}


def four_octets(session: int, _step: int, _ends: bool) -> Fields:
    return {"comverse_session": (session | 0xABCD0000).to_bytes(4, "big")}


@dataclass(frozen=True)
class Spelling:
    """How the gateway marks what it sends, and how it wants to be answered. `abort` None: it says nothing."""

    session: Callable[[int, int, bool], Fields]
    begin: Fields = field(default_factory=lambda: op(0x01))
    answer: Fields = field(default_factory=lambda: op(0x12))
    abort: Fields | None = None
    menu: Fields = field(default_factory=lambda: op(0x02))
    end: Fields = field(default_factory=lambda: op(0x11))
    command: str = "deliver_sm"


SPELLINGS = {
    "standard": Spelling(standard, abort=op(0x12)),
    "tata": Spelling(fifteen_bits, answer=op(0x02), abort=op(0x11), end=op(0x02)),
    "sixdee": Spelling(fifteen_bits, abort=op(0x81)),
    "mica": Spelling(reference, abort=op(0x81)),
    "comverse": Spelling(four_octets, abort=op(0x81)),
    "sibinco": Spelling(reference, abort=op(0x81)),
    "huawei": Spelling(standard, abort=op(0x21)),
    "huawei-service-type": Spelling(
        none,
        begin={"service_type": "PSSRR"},
        answer={"service_type": "USSRC"},
        abort={"service_type": "RELC"},
        menu={"service_type": "USSRR", "ussd_service_op": None},
        end={"service_type": "PSSRC", "ussd_service_op": None},
    ),
    "two-letter": Spelling(
        none,
        begin={"service_type": "BR"},
        answer={"service_type": "CA"},
        abort={"service_type": "AF"},
        menu={"service_type": "CR", "ussd_service_op": None},
        end={"service_type": "EF", "ussd_service_op": None},
    ),
    "no-id": Spelling(
        none,
        begin=op(0x01, service_type="P2", data_coding=0x0F),
        answer=op(0x12, service_type="P2", data_coding=0x0F),
        menu=op(0x02, service_type="P2", data_coding=0x48),
        end=op(0x11, service_type="P2", data_coding=0x48),
    ),
    "data-sm": Spelling(standard, abort=op(0x41), command="data_sm"),
}


class Phone:
    """A subscriber on node's SMSC, in one dialect."""

    def __init__(self, node: NodeSmsc, spelling: Spelling) -> None:
        self._node, self._spelling = node, spelling
        self._session = 40
        self._step = 0

    def dial(self, code: str, *, ends: bool = False) -> str:
        """Dial, and return the text that comes back, which must be marked as a menu or an end."""
        self._session += 1
        self._step = 0
        return self._say(code, self._spelling.begin, ends)

    def answer(self, text: str, *, ends: bool = False) -> str:
        """Answer the menu, and return the text that comes back."""
        self._step += 1
        return self._say(text, self._spelling.answer, ends)

    def abort(self) -> None:
        """End the dialogue, where the gateway says so."""
        if self._spelling.abort is not None:
            self._step += 1
            session = self._spelling.session(self._session, self._step, True)
            assert self._node.deliver({**self._fields("", self._spelling.abort), **session}) == 0

    def _say(self, text: str, mark: Fields, ends: bool) -> str:
        session = self._spelling.session(self._session, self._step, False)
        assert self._node.deliver({**self._fields(text, mark), **session}) == 0
        pdu = self._node.take("a screen", lambda event: event["event"] == "submit")["pdu"]
        wanted = {**(self._spelling.end if ends else self._spelling.menu), "destination_addr": MSISDN}
        echo = self._spelling.session(self._session, self._step, ends)
        wanted |= {name: {"hex": value.hex()} if isinstance(value, bytes) else value for name, value in echo.items()}
        wanted["command"] = self._spelling.command.replace("deliver", "submit")
        assert {name: pdu.get(name) for name in wanted} == wanted
        return shown(pdu)

    def _fields(self, text: str, mark: Fields) -> Fields:
        place = "message_payload" if self._spelling.command == "data_sm" else "short_message"
        return {
            "command": self._spelling.command,
            "source_addr_ton": 1,
            "source_addr_npi": 1,
            "source_addr": MSISDN,
            "dest_addr_npi": 1,
            "destination_addr": "111",
            place: text.encode("ascii"),
            **mark,
        }


def shown(pdu: Fields) -> str:
    message = pdu["message_payload" if pdu["command"] == "data_sm" else "short_message"]["message"]
    assert isinstance(message, str)
    return message


def test_every_shipped_dialect_is_spelt_out() -> None:
    assert set(SPELLINGS) == set(shipped())


@pytest.fixture(params=sorted(SPELLINGS))
def phone(node: NodeSmsc, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Phone]:
    """A phone of a server that is bound to node in this dialect; the server has a thread, the test waits for node."""
    server = Server(load({"data": tmp_path, "smsc": [f"{node.url}?dialect={request.param}"]}))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE_S)

    try:
        run(server.start())
        assert node.event("bind")["granted"]
        yield Phone(node, SPELLINGS[request.param])
        run(server.stop())
        node.event("closed")
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


def test_dialogues_go_their_way(phone: Phone) -> None:
    """Activation, menus, an end, a dialogue that is lost, and the question whether to go on."""
    assert "подключён" in phone.dial("*111*2163#", ends=True)
    assert "Тарифы" in phone.dial("*111#")
    assert "Супер Ноль" in phone.answer("2")
    assert "Тарифы" in phone.answer("0")
    assert "руб" in phone.answer("4", ends=True)
    phone.dial("*111#")
    phone.answer("2")
    phone.abort()
    assert "Продолжить" in phone.dial("*111#")
    assert "Супер Ноль" in phone.answer("1")
