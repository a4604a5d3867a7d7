"""Calling on subscribers, whole: the command line, the server or several of them, the gateway, and phones."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.ussd_server.simulator.esme import PATIENCE_S
from tests.ussd_server.simulator.handset import NUMBER, Watched
from ussd_server.app import Server
from ussd_server.cli.program import outcome
from ussd_server.dialects.files import load as load_dialect
from ussd_server.dialects.files import shipped
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import PREFIX
from ussd_server.settings import load as settings
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.protocol import Add, Answer, Cancel, Dial
from ussd_server.simulator.smsc import Smsc
from ussd_server.turns import pushes

ACCOUNT = ("ussd", "demo")
pushing = pytest.mark.parametrize("dialect", [name for name in shipped() if load_dialect(name).ask is not None])


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv(f"{PREFIX}QUIET_HOURS", "")
    monkeypatch.setattr(pushes, "READING_MS", 0)  # these subscribers read fast


class Hall:
    """Servers on one store, bound to one simulator; `phone` is what its phones show."""

    def __init__(self, servers: list[Server], phone: Watched, data: Path) -> None:
        self.servers, self.phone, self._data = servers, phone, data

    async def push(self, *words: str) -> int:
        """Run the command in a thread of its own, as another process would; returns its exit code."""
        return await asyncio.to_thread(outcome, ("push", *words, "--data", str(self._data)))

    async def answer(self, text: str) -> str:
        """Answer the screen and return the one that follows."""
        assert self.phone.do(Answer(NUMBER, text)) is None
        await self.phone.until(lambda: self.phone.dialogue().turn != "service")
        return self.phone.dialogue().screen

    async def choose(self, label: str) -> str:
        """Read on until an option is there and choose it; returns the screen that follows."""
        while not (found := re.search(rf"(\d+)\. {label}", self.phone.dialogue().screen)):
            await self.answer("9")
        return await self.answer(found[1])

    async def dial(self, code: str) -> str:
        assert self.phone.do(Dial(NUMBER, code)) is None
        await self.phone.until(lambda: self.phone.dialogue().turn != "service")
        return self.phone.dialogue().screen

    async def called(self) -> str:
        """Return the screen that the service shows by itself."""
        await self.phone.until(lambda: self.phone.phone().dialogue is not None and bool(self.phone.dialogue().source))
        return self.phone.dialogue().screen

    def ended(self) -> dict[tuple[str, str], int]:
        """Return how pushes ended, by kind and result, at all servers together."""
        found: dict[tuple[str, str], int] = {}
        for server in self.servers:
            for key, amount in server.metrics.pushes.items():
                found[key] = found.get(key, 0) + amount
        return found

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                await asyncio.sleep(0.01)

    def has(self, ended: dict[tuple[str, str], int]) -> bool:
        return self.ended() == ended

    async def ends(self, kind: str, result: str, amount: int = 1) -> None:
        """Wait until so many pushes have ended so, and no other."""
        await self.until(lambda: sum(self.ended().values()) >= amount)
        assert self.ended() == {(kind, result): amount}


@asynccontextmanager
async def hall(data: Path, dialect: str, servers: int, timers: Timers | None, **more: object) -> AsyncIterator[Hall]:
    smsc = Smsc("127.0.0.1", 0, {ACCOUNT[0]: Secret(ACCOUNT[1])}, [NUMBER], timers, dialect=load_dialect(dialect))
    await smsc.start()
    url = f"smpp://{ACCOUNT[0]}:{ACCOUNT[1]}@127.0.0.1:{smsc.port}?dialect={dialect}"
    async with AsyncExitStack() as stack:
        stack.push_async_callback(smsc.stop)
        running = [Server(settings({"data": data, "smsc": [url], "push_rate": 1000, **more})) for _ in range(servers)]
        for server in running:
            await server.start()
            stack.push_async_callback(server.stop)
        at = Hall(running, Watched(smsc), data)
        await at.until(lambda: all(one.bound for server in running for one in server.gateway.accounts.values()))
        yield at


def play(
    data: Path,
    story: Callable[[Hall], Awaitable[None]],
    *,
    dialect: str = "standard",
    servers: int = 1,
    timers: Timers | None = None,
    **more: object,
) -> None:
    async def main() -> None:
        async with hall(data, dialect, servers, timers, **more) as at:
            await story(at)

    asyncio.run(main())


@pushing
def test_a_notification_of_another_process_is_shown_and_confirmed(dialect: str, tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        assert await at.push("notify", NUMBER, "--text", "Тариф изменён.", "--category", "service") == 0
        assert await at.called() == "Тариф изменён."
        assert at.phone.dialogue().reason == "notified"
        await at.ends("notify", "confirmed")

    play(tmp_path, story, dialect=dialect)


@pushing
def test_a_pushed_question_is_answered_and_walked_on_to_a_change_of_tariff(dialect: str, tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await at.dial("*111*2163#")
        assert await at.push("ask", NUMBER, "--screen", "tariffs") == 1, "nobody is offered anything unasked"
        await at.dial("*111*78#")
        await at.answer("1")
        assert await at.push("ask", NUMBER, "--screen", "tariffs") == 0
        assert "Супер Ноль" in await at.called()
        assert at.phone.dialogue().turn == "subscriber"
        await at.choose("RED Energy")
        await at.choose("Сменить тариф")
        assert "Заявка принята" in await at.choose("Да")
        assert at.phone.dialogue().reason in ("ended", "notified")
        assert "Тариф изменён" in (await at.phone.inbox())[-1].text
        await at.ends("ask", "answered")
        # The network is told of what it began as of what we began, and nothing was refused.
        assert {entry.status for entry in at.phone.smsc.hello().wire} == {0}

    play(tmp_path, story, dialect=dialect)


def test_a_question_that_is_cancelled_and_one_that_nobody_answers(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await at.dial("*111*2163#")
        await at.dial("*111*78#")
        await at.answer("1")
        await at.push("ask", NUMBER, "--screen", "tariffs")
        await at.called()
        at.phone.do(Cancel(NUMBER))
        await at.until(lambda: at.ended() == {("ask", "aborted"): 1})
        await at.push("ask", NUMBER, "--screen", "tariffs")
        await at.phone.until(lambda: at.phone.dialogue().turn == "subscriber")
        # The server's timer is the shorter one here.
        await at.until(lambda: at.ended() == {("ask", "aborted"): 1, ("ask", "unanswered"): 1})
        assert "Сеанс устарел" in await at.answer("1")
        assert at.ended()["ask", "late"] == 1
        journal = await at.servers[0].store.journal(NUMBER)
        assert [entry.data.get("result") for entry in journal if entry.kind == "push ended"] == [
            "unanswered",
            "aborted",
        ]
        assert journal[0].kind == "push answered late"

    play(tmp_path, story, push_timer_s=3)


def test_a_phone_in_a_dialogue_is_called_on_later(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await at.dial("*111*2163#")
        await at.dial("*111#")
        await at.push("notify", NUMBER, "--text", "Готово", "--category", "service")
        outbox = at.servers[0].metrics.outbox
        await at.until(lambda: outbox["push", "later"] > 0)
        assert "Помощник" in at.phone.dialogue().screen
        assert at.ended() == {}
        (left,) = [entry.data for entry in await at.servers[0].store.journal(NUMBER, "single push queued")]
        assert left["text"] == "Готово"

    play(tmp_path, story)


def test_in_quiet_hours_no_phone_lights_up(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    first, last = now - timedelta(hours=1), now + timedelta(hours=2)
    quiet = f"{first:%H:%M}-{last:%H:%M}"

    async def story(at: Hall) -> None:
        await at.push("notify", NUMBER, "--text", "Готово", "--category", "service", "--within", "1 d")
        outbox = at.servers[0].metrics.outbox
        await at.until(lambda: outbox["push", "later"] > 0)
        assert at.phone.phone().dialogue is None
        due = await at.servers[0].store.next_due()
        assert due == int(last.replace(second=0, microsecond=0).timestamp() * 1000)
        await at.push("notify", NUMBER, "--text", "Авария", "--category", "service", "--urgent")
        # One subscriber's pushes keep their order; another's do not wait.
        at.phone.do(Add("79100000003"))
        await at.push("notify", "79100000003", "--text", "Авария", "--category", "service", "--urgent")
        await at.phone.until(lambda: at.phone.phone("79100000003").dialogue is not None)
        assert at.phone.phone().dialogue is None

    play(tmp_path, story, quiet_hours=quiet, quiet_timezone="UTC")


def test_several_servers_on_one_store_send_each_push_once(tmp_path: Path) -> None:
    numbers = [f"791000001{number:02}" for number in range(40)]

    async def story(at: Hall) -> None:
        for number in numbers:
            assert at.phone.do(Add(number)) is None
        file = tmp_path / "numbers.txt"
        file.write_text("\n".join(numbers), encoding="utf-8")
        assert await at.push("notify", "--file", str(file), "--text", "Hello", "--category", "service") == 0
        await at.ends("notify", "confirmed", len(numbers))
        shown = [at.phone.dialogue(number).screen for number in numbers]
        assert shown == ["Hello"] * len(numbers)
        submitted = [entry for entry in at.phone.smsc.hello().wire if entry.command == "submit_sm"]
        assert len(submitted) == len(numbers)
        for server in at.servers:
            assert await server.store.next_due() is None

    play(tmp_path, story, servers=3)


def test_a_question_of_one_server_is_answered_at_another(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await at.dial("*111*2163#")
        await at.dial("*111*78#")
        await at.answer("1")
        for _ in range(
            4
        ):  # the gateway gives each message to another link, so every server gets an answer to a question
            before = at.ended().get(("ask", "answered"), 0)
            await at.push("ask", NUMBER, "--screen", "tariffs")
            await at.phone.until(lambda: at.phone.dialogue().turn == "subscriber")
            await at.choose("RED Energy")
            await at.choose("Сменить тариф")
            assert "Ничего не изменено" in await at.choose("Нет")
            await at.until(partial(at.has, {("ask", "answered"): before + 1}))
        assert all(server.metrics.turns["ussd", "answered"] for server in at.servers)
        assert all(server.metrics.turns["ussd", "stale"] == 0 for server in at.servers)

    play(tmp_path, story, servers=3)
