"""Servers on one store are restarted one after the other, and no dialogue notices."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests import redis_servers
from tests.acceptance.harness import PATIENCE_S, ServerProcess
from tests.acceptance.switch import Phone, Switch

WALK = ("*111#", "2", "1", "00", "5", "1")
"""The menu, tariffs, one of them, the menu, languages, one of them, which ends it: every time the same six screens."""

PHONES = 8
THINKING_S = 0.01


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The options that name the store."""
    if request.param == "sqlite":
        yield ()
    else:
        with redis_servers.running() as server:
            yield ("--store", server.url)


@contextmanager
def serving(switch: Switch, data: Path, store: tuple[str, ...]) -> Iterator[list[ServerProcess]]:
    """Run two servers on one store, and whatever takes their places in the list."""
    servers = [ServerProcess(data, *store, smsc=switch.url) for _ in range(2)]
    try:
        yield servers
    finally:
        for server in servers:
            server.close()
            print(server.log)


async def ready(server: ServerProcess) -> None:
    """Return when a server says that it is, as a rolling restart waits for it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if (await asyncio.to_thread(server.ready))[0] == 200:
                    return
            except OSError:
                assert server.process.poll() is None, server.log
            await asyncio.sleep(0.05)


async def walk_on(phone: Phone, over: asyncio.Event) -> int:
    """Have one dialogue after the other until it is over; return how many. Each must read as the first did."""
    screens = await phone.walk(*WALK)
    assert len(set(screens)) == 5
    dialogues = 1
    while not over.is_set():
        assert await phone.walk(*WALK) == screens
        dialogues += 1
        await asyncio.sleep(THINKING_S)
    return dialogues


def test_a_rolling_restart_drops_no_dialogue(store: tuple[str, ...], tmp_path: Path) -> None:
    """Steps go to any server; each is answered by the link it came by; all are restarted one by one; none is lost."""

    async def main() -> None:
        async with Switch(Random(5)) as switch:
            await restart_each_under(switch)

    async def restart_each_under(switch: Switch) -> None:
        with serving(switch, tmp_path, store) as servers:
            for server in servers:
                await ready(server)
            phones = [Phone(switch, str(79100000001 + number)) for number in range(PHONES)]
            for phone in phones:
                await phone.walk("*111*2163#")
            over = asyncio.Event()
            walks = [asyncio.ensure_future(walk_on(phone, over)) for phone in phones]
            before = switch.bound[:]
            for number, server in enumerate(servers):
                await asyncio.sleep(0.2)
                assert await asyncio.to_thread(server.terminate) == 0
                servers[number] = ServerProcess(tmp_path, *store, smsc=switch.url)
                print(server.log)
                await ready(servers[number])
            await asyncio.sleep(0.2)
            over.set()
            dialogues = sum(await asyncio.gather(*walks))
            print(f"{dialogues} dialogues, {switch.again} steps delivered again")
            assert dialogues > 2 * PHONES
            assert switch.refused == []
            assert not set(before) & set(switch.bound)

    asyncio.run(main())
