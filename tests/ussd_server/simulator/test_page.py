"""The page's files and its line: what a browser is served, what it may do, and what every open page is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.ussd_server.simulator.esme import MENU, PATIENCE_S, Esme
from tests.ussd_server.simulator.handset import NUMBER, OTHER, Watched, simulator
from ussd_server.simulator import page
from ussd_server.simulator.page import make_app


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Watched, TestServer, aiohttp.ClientSession]]:
    async with asyncio.timeout(PATIENCE_S), simulator() as watched:
        server = TestServer(make_app(watched.smsc))
        await server.start_server()
        async with aiohttp.ClientSession(str(server.make_url("/"))) as session:
            yield watched, server, session
        await server.close()


async def heard(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """Return the next event of a kind."""
    while True:
        event: dict[str, Any] = json.loads(await socket.receive_str())
        if event["type"] == kind:
            return event


def test_every_file_is_served_with_a_strict_policy_and_names_no_other_host() -> None:
    async def play() -> None:
        async with served() as (_, _, session):
            async with session.get("/") as response:
                index = await response.text()
            names = [part.split('"')[0] for part in index.split('"web/')[1:]]
            assert {"main.js", "page.css", "icon.svg"} <= set(names)
            modules = ["dom.js", "handset.js", "link.js", "wire.js", "words.js"]
            for path in ("/", *(f"/web/{name.partition('#')[0]}" for name in names + modules)):
                async with session.get(path) as response:
                    assert response.status == 200
                    policy = response.headers["Content-Security-Policy"]
                    assert "default-src 'none'" in policy
                    assert "unsafe" not in policy
                    text = await response.text()
                    assert "https://" not in text
                    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
            async with session.get("/web/../smsc.py") as response:
                assert response.status == 404

    asyncio.run(play())


def test_a_page_hears_all_that_there_is_and_then_what_changes() -> None:
    async def play() -> None:
        async with served() as (watched, _, session):
            esme = await Esme().start(watched.smsc.port)
            async with session.ws_connect("/socket") as one, session.ws_connect("/socket") as two:
                hello = await heard(one, "hello")
                assert [phone["msisdn"] for phone in hello["phones"]] == [NUMBER, OTHER]
                assert [bound["system_id"] for bound in hello["network"]["binds"]] == ["ussd"]
                assert [entry["command"] for entry in hello["wire"]] == ["bind_transceiver", "bind_transceiver_resp"]
                assert hello["quick"][0] == {"dial": "*111#"}
                await heard(two, "hello")
                await one.send_json({"do": "dial", "phone": NUMBER, "text": "*111#"})
                for socket in (one, two):
                    assert (await heard(socket, "wire"))["entry"]["text"] == "*111#"
                    while (event := await heard(socket, "phone"))["phone"]["dialogue"]["turn"] != "subscriber":
                        pass
                    assert event["phone"]["dialogue"]["screen"] == MENU
            await esme.stop()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("sent", "what", "do"),
    [
        ("nonsense", "bad_command", ""),
        ('{"do": "explode"}', "bad_command", ""),
        ('{"do": "dial", "phone": "79100000001"}', "bad_command", ""),
        ('{"do": "dial", "phone": 5, "text": "*111#"}', "bad_command", ""),
        ('{"do": "delay", "ms": 1e99}', "bad_command", ""),
        ('{"do": "delay", "ms": 60001}', "bad_command", "delay"),
        ('{"do": "add", "phone": "12"}', "bad_number", "add"),
    ],
)
def test_a_bad_command_is_told_to_who_sent_it_alone(sent: str, what: str, do: str) -> None:
    async def play() -> None:
        async with (
            served() as (_, _, session),
            session.ws_connect("/socket") as one,
            session.ws_connect("/socket") as two,
        ):
            await one.send_str(sent)
            assert await heard(one, "problem") == {"type": "problem", "what": what, "do": do}
            await heard(two, "hello")
            await one.send_json({"do": "clear"})
            assert json.loads(await two.receive_str()) == {"type": "cleared"}

    asyncio.run(play())


def test_a_page_of_another_origin_may_not_use_the_line() -> None:
    async def play() -> None:
        async with served() as (_, server, session):
            for origin, allowed in (
                (f"http://{server.host}:{server.port}", True),
                ("http://evil.example", False),
                ("null", False),
            ):
                if allowed:
                    async with session.ws_connect("/socket", headers={"Origin": origin}) as socket:
                        await heard(socket, "hello")
                    continue
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect("/socket", headers={"Origin": origin})
                assert refused.value.status == 403

    asyncio.run(play())


def test_a_page_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_UNSENT", 3)

    async def play() -> None:
        async with served() as (watched, _, session), session.ws_connect("/socket") as socket:
            await heard(socket, "hello")
            before = len(watched.smsc.listeners)
            for _ in range(10):
                watched.smsc.perform(page.protocol.Clear())
            assert len(watched.smsc.listeners) == before - 1
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    asyncio.run(play())
