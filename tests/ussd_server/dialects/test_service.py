"""The whole service over every shipped dialect: the server at one end of a connection, the simulator at the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smpp.dialect import Dialect
from tests.ussd_server.simulator.esme import PATIENCE_S
from tests.ussd_server.simulator.handset import NUMBER, Watched
from ussd_server.app import Server, wall_clock
from ussd_server.dialects.files import load, shipped
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import load as settings
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.protocol import Answer, Cancel, Dial, Write
from ussd_server.simulator.smsc import Smsc
from ussd_server.stores.base import Change
from ussd_server.turns import pushes
from ussd_server.turns.pushes import PushOrder

ACCOUNT = ("ussd", "demo")
every = pytest.mark.parametrize("name", shipped())
pushing = pytest.mark.parametrize("name", [name for name in shipped() if load(name).ask is not None])


class Product:
    """A server, the simulator that it is bound to, and one phone."""

    def __init__(self, server: Server, phone: Watched, dialect: Dialect) -> None:
        self.server, self.phone, self.dialect = server, phone, dialect

    async def dial(self, code: str) -> str:
        """Dial and return the screen that follows."""
        before = self.phone.phone().dialogue
        assert self.phone.do(Dial(NUMBER, code)) is None
        assert self.phone.phone().dialogue != before
        return await self.screen()

    async def answer(self, text: str) -> str:
        """Answer and return the screen that follows."""
        assert self.phone.do(Answer(NUMBER, text)) is None
        return await self.screen()

    async def screen(self) -> str:
        await self.phone.until(lambda: self.phone.dialogue().turn != "service")
        assert self.phone.dialogue().reason in (None, "ended"), self.phone.dialogue()
        return self.phone.dialogue().screen

    def delivered(self) -> int:
        """Return how many messages were sent to the server."""
        wire = self.phone.smsc.hello().wire
        return sum(entry.command in ("deliver_sm", "data_sm") and entry.direction == "to_service" for entry in wire)

    async def answered(self, count: int) -> None:
        """Wait until the server has acknowledged so many messages, which it does when they are durable.

        Nothing else may have been sent to it.
        """

        def taken() -> int:
            wire = self.phone.smsc.hello().wire
            commands = ("deliver_sm_resp", "data_sm_resp")
            responses = [entry for entry in wire if entry.command in commands and entry.direction == "from_service"]
            assert all(entry.status == 0 for entry in responses)
            return len(responses)

        await self.phone.until(lambda: taken() == count)
        assert self.delivered() == count

    async def waits(self) -> bool:
        """Return whether for the server the subscriber's dialogue goes on."""
        record, _ = await self.server.store.load(NUMBER)
        session = record.sessions.get("ussd")
        return session is not None and not session.dropped

    async def push(self, **order: Any) -> None:
        """Have the server call on the subscriber, as `ussd-server push` does.

        Return when the phone shows it and the server knows: to whoever dials before, it is not there yet.
        """
        at = wall_clock()
        wanted = PushOrder(until=at + 600_000, category="service", urgent=True, **order)
        record, version = await self.server.store.load(NUMBER)
        queued = pushes.queue(record, wanted, "push-1", at, at)
        assert queued is not None
        assert await self.server.store.commit(Change(version, record, queued.journal, queued.outbox))
        self.server.outbox.wake()
        await self.phone.until(lambda: self.phone.phone().dialogue is not None)
        async with asyncio.timeout(PATIENCE_S):
            while not any(kind == "push" for kind, _ in self.server.metrics.outbox):
                await asyncio.sleep(0.01)

    async def ended(self, kind: str, result: str) -> None:
        """Wait until the push is over for the server, and assert how it ended."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.server.metrics.pushes:
                await asyncio.sleep(0.01)
        assert self.server.metrics.pushes == {(kind, result): 1}


@asynccontextmanager
async def product(name: str, data: Path, timers: Timers | None) -> AsyncIterator[Product]:
    dialect = load(name)
    smsc = Smsc("127.0.0.1", 0, {ACCOUNT[0]: Secret(ACCOUNT[1])}, [NUMBER], timers, dialect=dialect)
    await smsc.start()
    phone = Watched(smsc)
    url = f"smpp://{ACCOUNT[0]}:{ACCOUNT[1]}@127.0.0.1:{smsc.port}?dialect={name}"
    server = Server(settings({"data": data, "smsc": [url]}))
    await server.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not all(account.bound for account in server.gateway.accounts.values()):
                await asyncio.sleep(0.01)
        yield Product(server, phone, dialect)
    finally:
        await server.stop()
        await smsc.stop()


def play(name: str, data: Path, story: Callable[[Product], Awaitable[None]], timers: Timers | None = None) -> None:
    async def main() -> None:
        async with product(name, data, timers) as at:
            await story(at)

    asyncio.run(main())


@every
def test_a_dialogue_begins_goes_on_and_ends(name: str, tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        assert "подключён" in await at.dial("*111*2163#")
        assert at.phone.dialogue().reason == "ended"
        menu = await at.dial("*111#")
        assert "Тарифы" in menu
        assert at.phone.dialogue().turn == "subscriber"
        tariffs = await at.answer("2")
        assert tariffs != menu
        assert at.phone.dialogue().turn == "subscriber"
        assert "Тарифы" in await at.answer("0")
        await at.answer("4")
        assert at.phone.dialogue().reason == "ended"
        await at.answered(5)
        assert {entry.status for entry in at.phone.smsc.hello().wire} == {0}

    play(name, tmp_path, story)


@every
def test_who_hangs_up_is_asked_whether_to_go_on(name: str, tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        await at.dial("*111*2163#")
        await at.dial("*111#")
        await at.answer("2")
        at.phone.do(Cancel(NUMBER))
        told = "cancel" in at.dialect.tells
        await at.answered(3 + told)
        assert await at.waits() != told
        # Where the gateway said nothing the next dialogue says it.
        assert "Продолжить" in await at.dial("*111#")

    play(name, tmp_path, story)


@every
def test_the_gateways_timer_ends_the_dialogue(name: str, tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        await at.dial("*111#")
        assert (await at.phone.over()).reason == "timeout"
        told = "timeout" in at.dialect.tells
        await at.answered(1 + told)
        assert await at.waits() != told

    play(name, tmp_path, story, Timers(subscriber_ms=50))


@pushing
def test_a_notification_is_shown_and_confirmed(name: str, tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        await at.push(text="Тариф изменён.")
        dialogue = await at.phone.over()
        assert (dialogue.screen, dialogue.reason) == ("Тариф изменён.", "notified")
        await at.ended("notify", "confirmed")
        assert "Тарифы" in await at.dial("*111#")
        (account,) = at.server.gateway.accounts.values()
        busy = await account.push("111", NUMBER, "Ещё одна новость.", True)
        assert busy.result in ("later", "refused"), "a phone with a dialogue takes none"
        assert "Тарифы" in at.phone.dialogue().screen

    play(name, tmp_path, story)


@pushing
def test_a_question_is_answered_and_its_dialogue_goes_on_to_an_order(name: str, tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        at.phone.do(Write(NUMBER, "2163", "111"))
        await at.phone.inbox(1)
        await at.push(screen="tariffs")
        asked = at.phone.dialogue()
        assert (asked.turn, asked.source) == ("subscriber", "111")
        assert "Супер Ноль" in asked.screen
        assert await at.answer("2") != asked.screen
        await at.ended("ask", "answered")
        assert "Останется" in await at.answer("1")
        await at.answer("1")
        assert at.phone.dialogue().reason == "ended"

    play(name, tmp_path, story)


@pushing
def test_a_question_that_its_reader_puts_away(name: str, tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        at.phone.do(Write(NUMBER, "2163", "111"))
        await at.phone.inbox(1)
        await at.push(screen="tariffs")
        at.phone.do(Cancel(NUMBER))
        if "cancel" in at.dialect.tells:
            await at.ended("ask", "aborted")
        else:  # nobody tells; who dials then has left it
            await at.dial("*100#")
            await at.ended("ask", "left")

    play(name, tmp_path, story)
