"""Kannel at our simulator: both started as processes, as their users start them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import aiohttp
import msgspec
import pytest
from aiohttp import web

from smpp.constants import CommandId
from tests.acceptance.harness import COMMAND, PATIENCE_S, own_environment
from tests.interop.kannel import ACCOUNT, PASSWORD, Kannel, available
from tests.ports import free_port
from ussd_server.simulator import protocol
from ussd_server.simulator.phone import Message

pytestmark = pytest.mark.interop

NUMBER = "79100000001"
"""A phone that the simulator has from the start."""
SERVICE = "2163"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(protocol.AnyEvent).decode


class Simulator:
    """`ussd-server smsc` as its page sees it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, smpp: int) -> None:
        self.smpp = smpp
        self.binds: tuple[protocol.Bound, ...] = ()
        self.messages: dict[int, Message] = {}
        self.passed: list[str] = []
        self._socket = socket

    async def do(self, command: protocol.AnyCommand) -> None:
        await self._socket.send_str(_encode(command).decode())

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until it is so; whatever makes it so is told of."""
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self._hear(_decode((await self._socket.receive()).data))

    async def inbox(self, count: int) -> list[Message]:
        """Wait until the phone got so many SMS in all; return them."""
        await self.until(lambda: len(self._got()) >= count)
        return self._got()

    async def taken(self) -> None:
        """Wait until the service has taken all that the phone sent."""
        await self.until(
            lambda: {message.delivery for message in self.messages.values() if message.outgoing} == {"sent"}
        )

    def _got(self) -> list[Message]:
        return [message for message in self.messages.values() if not message.outgoing]

    def _hear(self, event: protocol.AnyEvent) -> None:
        match event:
            case protocol.Hello(network=network) | protocol.NetworkChanged(network=network):
                self.binds = network.binds
            case protocol.PhoneChanged(phone=phone) if phone.msisdn == NUMBER:
                self.messages |= {message.id: message for message in phone.messages}
            case protocol.Passed(entry=entry):
                assert not entry.problem, entry
                assert entry.status == 0, entry
                self.passed.append(entry.command)


@asynccontextmanager
async def simulator(directory: Path) -> AsyncIterator[Simulator]:
    """Run `ussd-server smsc` and be its page."""
    http, smpp = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "smsc", "--http", f"127.0.0.1:{http}", "--smpp", f"127.0.0.1:{smpp}"),
        cwd=directory,
        env=own_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=sys.stderr,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while b"Ctrl-C" not in (line := await process.stdout.readline()):
                assert line, "the simulator ended"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{http}/socket") as socket,
        ):
            yield Simulator(socket, smpp)
        process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@dataclass
class Answerer:
    """The service behind Kannel: a page that hears what phones send, answers them, and hears how its own SMS ended."""

    url: str = ""
    heard: asyncio.Queue[tuple[str, str, str]] = field(default_factory=asyncio.Queue)
    ended: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Answerer"]:
        app = web.Application()
        app.router.add_get("/message", self._message)
        app.router.add_get("/ended", self._ended)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _message(self, request: web.Request) -> web.Response:
        query = parse_qs(request.rel_url.raw_query_string, encoding="latin-1")  # octets: the text is in any charset
        number, service, text, charset = (query[name][0] for name in ("from", "to", "text", "charset"))
        text = text.encode("latin-1").decode(charset)
        self.heard.put_nowait((number, service, text))
        unicode = {"X-Kannel-Coding": "2"}
        return web.Response(text=f"Получено: {text}", content_type="text/plain", charset="utf-8", headers=unicode)

    async def _ended(self, request: web.Request) -> web.Response:
        self.ended.put_nowait(request.query["how"])
        return web.Response()


async def send(kannel: Kannel, text: str, answerer: Answerer) -> None:
    """Have Kannel send an SMS and ask for its receipt; smsbox may not be ready yet."""
    fields = {
        "username": ACCOUNT,
        "password": PASSWORD,
        "from": SERVICE,
        "to": NUMBER,
        "text": text,
        "charset": "UTF-8",
        "coding": "0" if text.isascii() else "2",
        "dlr-mask": "3",
        "dlr-url": f"{answerer.url}/ended?how=%d",
    }
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(kannel.sendsms, params=fields) as response:
                    assert response.status == 202, await response.text()
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("modes", [["transceiver"], ["receiver", "transmitter"]], ids=["one link", "two links"])
def test_sms_go_both_ways_and_receipts_come_back(tmp_path: Path, modes: list[str]) -> None:
    """Kannel binds to our SMSC; short and long SMS in both alphabets pass each way, whole, and each has its receipt."""
    missing = available()
    if missing:
        pytest.fail(missing)
    texts = ["Balance: 149.50 rub.", "Баланс: 149,50 руб.", "Your tariff is RED Energy. " * 12, "Ваш тариф: РЕД. " * 12]

    async def play() -> None:
        async with simulator(tmp_path) as smsc, Answerer().running() as answerer:
            kannel = Kannel(tmp_path, smsc.smpp, len(modes) == 1, f"{answerer.url}/message")
            try:
                async with kannel.running():
                    await smsc.until(lambda: sorted(bound.mode for bound in smsc.binds) == modes)
                    await exchange(smsc, kannel, answerer, texts)
                await smsc.until(lambda: not smsc.binds)
            finally:
                print(kannel.log)

    asyncio.run(play())


async def exchange(smsc: Simulator, kannel: Kannel, answerer: Answerer, texts: list[str]) -> None:
    for text in texts:
        await send(kannel, text, answerer)
    got = await smsc.inbox(len(texts))
    assert sorted(message.text for message in got) == sorted(texts)
    assert {message.peer for message in got} == {SERVICE}
    async with asyncio.timeout(PATIENCE_S):
        assert [await answerer.ended.get() for _ in texts] == ["1"] * len(texts)  # 1: delivered to the phone

    for count, text in enumerate(texts, 1):
        await smsc.do(protocol.Write(NUMBER, SERVICE, text))
        async with asyncio.timeout(PATIENCE_S):
            assert await answerer.heard.get() == (f"+{NUMBER}", SERVICE, text)
        got = await smsc.inbox(len(texts) + count)
        assert got[-1].text == f"Получено: {text}"
    await smsc.taken()
    # Long enough that it has asked whether we are there.
    await smsc.until(lambda: smsc.passed.count("enquire_link_resp") >= len(smsc.binds))
    assert CommandId.GENERIC_NACK.name.lower() not in smsc.passed
