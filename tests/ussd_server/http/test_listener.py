"""Connections of which nothing comes are closed, and no other: slow heads, too many at once, rests, TLS, a stop.

Times are those that the tests set, and nothing is asserted of how long something took.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trustme
import uvloop
from aiohttp import web

from ussd_server.http import listener
from ussd_server.http.listener import Listener
from ussd_server.settings import Address

NEVER = 1000.0
REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """A listener whose `/` answers at once and whose `/slow` answers when it is told to."""

    def __init__(self, head_s: float = NEVER, most: int = 100, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_get("/", self._quick)
        app.router.add_get("/slow", self._slow)
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.listener = Listener(app, Address("127.0.0.1", 0), most, tls, head_s)

    async def _quick(self, _: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def _slow(self, _: web.Request) -> web.Response:
        self.entered.set()
        await self.go_on.wait()
        return web.Response(text="slow")

    async def connect(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection("127.0.0.1", self.listener.address.port, ssl=tls)


Story = Callable[[Served], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a story with a listener, on each loop there is."""

    def run(story: Story, **named: object) -> None:
        async def main() -> None:
            served = Served(**named)  # type: ignore[arg-type]
            await served.listener.start()
            try:
                await story(served)
            finally:
                served.go_on.set()
                await served.listener.stop()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer's body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the connection is closed; return whether nothing came before."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_head_that_does_not_come(serve: Callable[..., None], begun: bytes) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(begun)
        assert await closed(reader)
        writer.close()

    serve(story, head_s=0.05)


def test_a_head_that_trickles(serve: Callable[..., None]) -> None:
    """Octets that come now and then keep no connection open: the whole head has its time."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        ended = asyncio.ensure_future(closed(reader))
        while not ended.done():
            try:
                writer.write(b"X-A: a\r\n")
                await writer.drain()
            except ConnectionError:
                pass
            await asyncio.wait({ended}, timeout=0.005)
        assert await ended
        writer.close()

    serve(story, head_s=0.05)


def test_slow_senders_leave_room_for_others(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        slow = [await served.connect() for _ in range(5)]
        for reader, writer in slow:
            assert await closed(reader)
            writer.close()
        reader, writer = await served.connect()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        writer.close()

    serve(story, head_s=0.05, most=5)


def test_a_handler_under_way_is_not_cut(serve: Callable[..., None]) -> None:
    """However long it takes, since its head has come; another connection is closed meanwhile."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(REQUEST % b"slow")
        await served.entered.wait()
        idle, other = await served.connect()
        assert await closed(idle)  # so the time of a head has passed
        other.close()
        served.go_on.set()
        assert await answer(reader) == b"slow"
        writer.close()

    serve(story, head_s=0.05)


def test_a_connection_rests_between_requests(serve: Callable[..., None]) -> None:
    """A client that keeps its connection may rest for longer than a head may take."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        for _ in range(3):
            writer.write(REQUEST % b"")
            assert await answer(reader) == b"quick"
            idle, other = await served.connect()
            assert await closed(idle)
            other.close()
        writer.close()

    serve(story, head_s=0.05)


def test_a_rest_ends(serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """After the rest and the time of a head; a head that trickles after a first request is no way around it."""
    monkeypatch.setattr(listener, "REST_S", 0.05)

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(REQUEST % b"" + b"GET / HT")
        assert await answer(reader) == b"quick"
        assert await closed(reader)
        writer.close()

    serve(story, head_s=0.05)


def test_more_connections_than_there_is_room_for(serve: Callable[..., None]) -> None:
    """They are closed as they come; who is there is served on, and who leaves makes room."""

    async def story(served: Served) -> None:
        held = [await served.connect() for _ in range(3)]
        for reader, writer in held:
            writer.write(REQUEST % b"")
            assert await answer(reader) == b"quick"
        turned_away, other = await served.connect()
        assert await closed(turned_away)
        other.close()
        for reader, writer in held:
            writer.write(REQUEST % b"")
            assert await answer(reader) == b"quick"
        held[0][1].write_eof()
        assert await closed(held[0][0])
        reader, writer = await served.connect()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        for _, each in [*held, (reader, writer)]:
            each.close()

    serve(story, most=3)


def test_tls(serve: Callable[..., None]) -> None:
    """Requests are served, slow heads closed; whoever speaks no TLS gets nothing."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def story(served: Served) -> None:
        reader, writer = await served.connect(trusting)
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        slow, other = await served.connect(trusting)
        other.write(b"GET / HT")
        assert await closed(slow)
        other.close()
        plain, bare = await served.connect()
        bare.write(REQUEST % b"")
        assert b"quick" not in await plain.read()
        bare.close()
        silent, held = await served.connect()
        assert await closed(silent)  # no handshake either is waited for without end
        held.close()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        writer.close()

    serve(story, head_s=0.3, tls=context)


def test_a_stop_closes_what_rests_and_waits_for_what_is_under_way(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        resting, first = await served.connect()
        first.write(REQUEST % b"")
        assert await answer(resting) == b"quick"
        mute, second = await served.connect()
        busy, third = await served.connect()
        third.write(REQUEST % b"slow")
        await served.entered.wait()
        stopped = asyncio.ensure_future(served.listener.stop())
        assert await closed(resting)
        assert await closed(mute)
        with pytest.raises(ConnectionError):
            await served.connect()
        served.go_on.set()
        assert await answer(busy) == b"slow"
        await stopped
        for each in (first, second, third):
            each.close()

    serve(story)
