"""Servers on one store are restarted one after the other, and no dialogue notices."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests import redis_servers
from tests.acceptance.harness import ServerProcess
from tests.acceptance.switch import Phone, Switch
from tests.acceptance.units import Units
from tests.ports import free_port

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


@pytest.fixture
def units(store: tuple[str, ...], tmp_path: Path) -> Iterator[Units]:
    """Servers on one store, each a unit; none is started yet."""

    def start(port: int, environment: dict[str, str]) -> ServerProcess:
        smsc = (tmp_path / "smsc").read_text(encoding="utf-8")
        server = ServerProcess(tmp_path / "data", *store, smsc=smsc, environment=environment, http_port=port)
        started.append(server)
        return server

    started: list[ServerProcess] = []
    units = Units(tmp_path, start)
    try:
        yield units
    finally:
        units.close()
        for server in started:
            print(server.log)


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


def test_a_rolling_restart_drops_no_dialogue(units: Units, tmp_path: Path) -> None:
    """Steps go to any server; each is answered by the link it came by; all are restarted one by one; none is lost."""

    async def main() -> None:
        async with Switch(Random(5)) as switch:
            (tmp_path / "smsc").write_text(switch.url, encoding="utf-8")
            for _ in range(2):
                await asyncio.to_thread(units.start, free_port())
            phones = [Phone(switch, str(79100000001 + number)) for number in range(PHONES)]
            for phone in phones:
                await phone.walk("*111*2163#")
            over = asyncio.Event()
            walks = [asyncio.ensure_future(walk_on(phone, over)) for phone in phones]
            before = switch.bound[:]
            code, said = await asyncio.to_thread(units.rolling_restart)
            over.set()
            dialogues = sum(await asyncio.gather(*walks))
            print(f"{dialogues} dialogues, {switch.again} steps delivered again")
            assert (code, said) == (0, [f"{port} restarted and ready" for port in units.servers])
            assert units.restarted == list(units.servers)
            assert dialogues > 2 * PHONES
            assert switch.refused == []
            assert not set(before) & set(switch.bound)

    asyncio.run(main())
