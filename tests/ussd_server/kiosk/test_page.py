"""The kiosk's page over HTTP: what it carries, who may drive it, what becomes of nonsense."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ussd_server.kiosk.kiosk import MAX_SEATS, Kiosk
from ussd_server.kiosk.page import HEADERS, make_app

WEB = Path(__file__).parents[3] / "ussd_server" / "kiosk" / "web"

Check = Callable[[aiohttp.ClientSession, str], Awaitable[None]]


@asynccontextmanager
async def page(**options: Any) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A kiosk that has not met its server yet, its page, and a browser's session."""
    runner = web.AppRunner(make_app(Kiosk(), **options), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    # Cookies of an address and not of a name are kept as browsers keep them.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def state(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    return json.loads(await socket.receive_str(timeout=10))  # type: ignore[no-any-return]


def test_every_file_is_kept_by_no_cache_and_may_load_nothing_from_elsewhere() -> None:
    async def check() -> None:
        async with page() as (session, url):
            for name in ["", *(f"web/{file.name}" for file in WEB.iterdir() if file.name != "index.html")]:
                async with session.get(f"{url}/{name}") as answer:
                    assert answer.status == 200
                    assert {key: answer.headers[key] for key in HEADERS} == HEADERS
                    text = await answer.text()
                assert "://" not in text.replace("http://www.w3.org/", "")
        assert "'unsafe" not in HEADERS["Content-Security-Policy"]
        assert HEADERS["Cache-Control"] == "no-store"

    asyncio.run(check())


def test_no_other_site_drives_the_kiosk() -> None:
    async def check() -> None:
        async with page() as (session, url):
            host = url.removeprefix("http://")
            strangers = [
                {},
                {"Origin": "https://elsewhere.example"},
                {"Origin": f"http://{host}1"},
                {"Origin": "null"},
                # A name that somebody else's name server lets mean this machine.
                {"Origin": "http://elsewhere.example", "Host": "elsewhere.example"},
            ]
            for headers in strangers:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(f"{url}/socket", headers=headers)
                assert refused.value.status == 403
            async with session.ws_connect(f"{url}/socket", origin=url) as socket:
                assert (await state(socket))["view"] == "start"

    asyncio.run(check())


def test_the_cookie_is_out_of_reach_of_scripts_and_finds_the_seat_again() -> None:
    async def check() -> None:
        async with page() as (session, url):
            async with session.ws_connect(f"{url}/socket", origin=url) as socket:
                cookie = socket._response.headers["Set-Cookie"]
                assert "HttpOnly" in cookie
                assert "SameSite=Strict" in cookie
                await state(socket)
                await socket.send_str('{"do": "speak", "language": "en"}')
                assert (await state(socket))["language"] == "en"
            async with session.ws_connect(f"{url}/socket", origin=url) as socket:
                assert "Set-Cookie" not in socket._response.headers
                assert (await state(socket))["language"] == "en"

    asyncio.run(check())


@pytest.mark.parametrize(
    "nonsense",
    ["", "x", "[]", '{"do": "fly"}', '{"do": "choose", "step": 1, "what": "x"}', '{"do": "touch", "more": 1}',
     '{"do": "code", "step": 1, "code": "12 34"}', '{"do": "number", "step": 1, "msisdn": "+7910"}'],
)  # fmt: skip
def test_nonsense_does_nothing(nonsense: str) -> None:
    async def check() -> None:
        async with page() as (session, url), session.ws_connect(f"{url}/socket", origin=url) as socket:
            before = await state(socket)
            await socket.send_str(nonsense)
            await socket.send_str('{"do": "touch"}')
            after = await state(socket)
            assert {**after, "now": 0} == {**before, "now": 0}

    asyncio.run(check())


def test_a_command_that_is_too_long_ends_the_line() -> None:
    async def check() -> None:
        async with page() as (session, url), session.ws_connect(f"{url}/socket", origin=url) as socket:
            await state(socket)
            await socket.send_str("x" * 3000)
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    asyncio.run(check())


def test_pages_without_a_cookie_cannot_take_seats_without_end() -> None:
    async def check() -> None:
        async with page() as (session, url):
            sockets = []
            for _ in range(MAX_SEATS):
                session.cookie_jar.clear()
                sockets.append(await session.ws_connect(f"{url}/socket", origin=url))
            session.cookie_jar.clear()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{url}/socket", origin=url)
            assert refused.value.status == 503
            for socket in sockets:
                await socket.close()
            session.cookie_jar.clear()
            async with session.ws_connect(f"{url}/socket", origin=url) as socket:
                assert (await state(socket))["view"] == "start"

    asyncio.run(check())
