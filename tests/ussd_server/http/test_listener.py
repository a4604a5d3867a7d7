"""Connections of which nothing comes are closed, and no other: slow heads, too many at once, rests, TLS, a stop.

Times are those that the tests set, and nothing is asserted of how long something took.
"""

import asyncio
import json
import math
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trustme
import uvloop
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.http.listener import Listener, Waiting
from ussd_server.settings import Address
from ussd_server.terminals.problems import TYPES

NEVER = 1000.0
REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """A listener whose `/` answers at once and whose `/slow` answers when it is told to."""

    def __init__(
        self, head_s: float = NEVER, most: int = 100, tls: ssl.SSLContext | None = None, rest_s: float = NEVER
    ) -> None:
        app = web.Application()
        app.router.add_get("/", self._quick)
        app.router.add_get("/slow", self._slow)
        app.router.add_post("/", self._read)
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.listener = Listener(app, Address("127.0.0.1", 0), most, tls, head_s, rest_s)

    async def _quick(self, _: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def _slow(self, _: web.Request) -> web.Response:
        self.entered.set()
        await self.go_on.wait()
        return web.Response(text="slow")

    async def _read(self, request: web.Request) -> web.Response:
        self.entered.set()
        try:
            return web.Response(body=await request.read())
        except web.RequestPayloadError:
            return web.Response(text="broken", status=422)

    def hurry(self, head_s: float = 0.05) -> None:
        """From now on a head may take no longer than this; one that must come in time came before."""
        self.listener._head_s = head_s
        for connection in self.listener._connections:
            connection._waiting._head_s = head_s

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


def test_a_head_that_lies_there_when_its_time_is_over_came_in_time(serve: Callable[..., None]) -> None:
    """The process stood still, as it may: nobody is closed whose request was not read for that."""

    async def story(served: Served) -> None:
        sender = socket.create_connection(("127.0.0.1", served.listener.address.port))
        while not served.listener._connections:
            await asyncio.sleep(0)
        (connection,) = served.listener._connections
        sender.sendall(REQUEST % b"")
        # It is there, but the loop has had no time to read it.
        connection._waiting.due = 0.0
        connection._look()
        reader, writer = await asyncio.open_connection(sock=sender)
        assert await answer(reader) == b"quick"
        writer.close()

    serve(story)


def test_a_head_that_is_refused_unseen_keeps_no_connection_open(serve: Callable[..., None]) -> None:
    """An `Expect` that nobody knows is answered before any handler, and then the next head is waited for."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\n\r\nGET / HT")
        assert (await reader.read()).startswith(b"HTTP/1.1 417 ")
        writer.close()

    serve(story, head_s=0.05)


def test_slow_senders_leave_room_for_others(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        slow = [await served.connect() for _ in range(5)]
        for reader, writer in slow:
            assert await closed(reader)
            writer.close()
        served.hurry(NEVER)
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
        served.hurry()
        idle, other = await served.connect()
        assert await closed(idle)  # so the time of a head has passed
        other.close()
        served.go_on.set()
        assert await answer(reader) == b"slow"
        writer.close()

    serve(story)


@pytest.mark.parametrize(
    ("sent", "answered"),
    [(REQUEST % b"", b"quick"), (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nread", b"read")],
    ids=["get", "post"],
)
def test_a_connection_rests_between_requests(serve: Callable[..., None], sent: bytes, answered: bytes) -> None:
    """A client that keeps its connection may rest for longer than a head may take."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        for _ in range(3):
            writer.write(sent)
            assert await answer(reader) == answered
            served.hurry()
            idle, other = await served.connect()
            assert await closed(idle)
            other.close()
        writer.close()

    serve(story)


def test_a_rest_ends(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        assert await closed(reader)
        writer.close()

    serve(story, rest_s=0.05)


@pytest.mark.parametrize("drip", [b"", b"X-A: a\r\n"])
def test_a_later_head_that_does_not_come(serve: Callable[..., None], drip: bytes) -> None:
    """It has no longer than a first one, whether it stops or trickles, however long the connection might rest."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        served.hurry()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        ended = asyncio.ensure_future(closed(reader))
        while not ended.done():
            try:
                writer.write(drip)
                await writer.drain()
            except ConnectionError:
                pass
            await asyncio.wait({ended}, timeout=0.005)
        assert await ended
        writer.close()

    serve(story)


def test_a_head_that_begins_while_the_request_before_is_under_way(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(REQUEST % b"slow")
        await served.entered.wait()
        writer.write(b"GET / HT")
        other, second = await served.connect()
        second.write(REQUEST % b"")
        assert await answer(other) == b"quick"  # so the octets before these were read
        served.hurry()
        served.go_on.set()
        assert await answer(reader) == b"slow"
        assert await closed(reader)
        writer.close()
        second.close()

    serve(story)


def test_a_later_head_in_pieces_is_read(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        for _ in range(3):
            for octet in REQUEST % b"":
                writer.write(bytes([octet]))
                await writer.drain()
            assert await answer(reader) == b"quick"
        writer.close()

    serve(story)


# How long a connection is waited for, without a clock -------------------------------------------------------------


def test_each_head_has_its_time_and_a_rest_its_own() -> None:
    waiting = Waiting(100.0, 10.0, 75.0)
    waiting.octets(109.0, of_body=False)
    assert waiting.due == 110.0  # the first head's time does not begin anew with its octets
    waiting.begun()
    assert waiting.due == math.inf
    waiting.answered(200.0)
    assert waiting.due == 275.0
    waiting.octets(270.0, of_body=False)
    waiting.octets(279.0, of_body=False)
    assert waiting.due == 280.0


def test_octets_of_a_body_begin_no_head_and_others_do() -> None:
    waiting = Waiting(0.0, 10.0, 75.0)
    waiting.begun()
    waiting.octets(1.0, of_body=True)
    waiting.answered(2.0)
    assert waiting.due == 77.0
    waiting.begun()
    waiting.octets(3.0, of_body=False)
    waiting.answered(20.0)
    assert waiting.due == 30.0
    waiting.begun()
    waiting.answered(40.0)
    assert waiting.due == 115.0  # what had come was the head that has begun since


def test_a_whole_head_is_in_time_and_one_behind_a_request_is_that_ones_matter() -> None:
    waiting = Waiting(0.0, 10.0, 75.0)
    waiting.whole(12.0)
    assert waiting.due == 22.0
    waiting.begun()
    waiting.octets(13.0, of_body=False)
    waiting.whole(13.0)
    assert waiting.due == math.inf
    waiting.answered(20.0)
    assert waiting.due == 30.0


EVENTS = st.lists(
    st.tuples(st.sampled_from(["octets", "body", "whole", "begun", "answered"]), st.floats(0, 30)), max_size=30
)


@given(EVENTS)
def test_only_a_whole_head_puts_off_what_is_due(events: list[tuple[str, float]]) -> None:
    """However octets come, a connection that brings no head is due within a rest and a head's time of its answer."""
    now, waiting = 0.0, Waiting(0.0, 10.0, 75.0)
    latest, under_way = 10.0, False
    for event, later in events:
        now += later
        if event == "begun" and not under_way:
            waiting.begun()
            under_way, latest = True, math.inf
        elif event == "answered" and under_way:
            waiting.answered(now)
            under_way, latest = False, now + 85.0
        elif event == "whole" and not under_way:
            waiting.whole(now)
            latest = now + 10.0
        elif event in ("octets", "body") and now < waiting.due:
            waiting.octets(now, of_body=event == "body")
        assert waiting.due <= latest
        assert (waiting.due == math.inf) == under_way


# What is no HTTP --------------------------------------------------------------------------------------------------

SECRET = b"90417263"
UNREADABLE = {
    "no HTTP at all": b"90417263 90417263\r\n\r\n",
    "a method of small letters": b"get /90417263 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown version": b"GET /90417263 HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(32),
    "zeros": bytes(64),
    "no host": b"GET /90417263 HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: 90417263\r\n\r\n",
    "a target that is none": b"GET http://[90417263 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a field without a colon": b"GET / HTTP/1.1\r\nHost: x\r\n90417263\r\n\r\n",
    "a space in a name": b"GET / HTTP/1.1\r\nHost: x\r\n9041 7263: x\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n 90417263\r\n\r\n",
    "a zero in a value": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: 90417263\x00\r\n\r\n",
    "a target that is too long": b"GET /" + SECRET * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a field that is too long": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + SECRET * 2000 + b"\r\n\r\n",
    "too many fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 90417263\r\n" * 200 + b"\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90417263x\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -90417263\r\n\r\n",
    "a length without end": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nContent-Length: 9\r\n\r\n90417263",
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks within another coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "a chunk's size that is none": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n90417263",
}


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection is closed, by its end or, where octets were left unread, by a reset."""
    said = b""
    while True:
        try:
            read = await reader.read(65536)
        except ConnectionError:
            return said
        if not read:
            return said
        said += read


@pytest.mark.parametrize("before", [b"", REQUEST % b""], ids=["first", "later"])
@pytest.mark.parametrize("sent", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_http(sent: bytes, before: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """One problem, without a word of what was sent, and the connection is closed; no word of it in the log either."""

    async def story() -> None:
        served = Served()
        await served.listener.start()
        reader, writer = await served.connect()
        if before:
            writer.write(before)
            assert await answer(reader) == b"quick"
        writer.write(sent)
        head, _, body = (await all_of(reader)).partition(b"\r\n\r\n")
        writer.close()
        await served.listener.stop()
        status, *fields = head.decode().lower().split("\r\n")
        assert status.split()[1] == "400"
        assert {"content-type: application/problem+json", "cache-control: no-store"} <= set(fields)
        assert f"content-length: {len(body)}" in fields  # so one answer, and nothing after it
        kind = TYPES["unreadable-request"]
        assert json.loads(body) == {"type": kind.uri, "title": kind.title, "status": 400, "detail": kind.mend}
        assert SECRET not in head + body

    asyncio.run(story())
    assert caplog.records == []


@pytest.mark.parametrize("sent", [REQUEST % b"", REQUEST % b"nowhere", b"no HTTP\r\n\r\n"])
def test_no_answer_tells_versions(serve: Callable[..., None], sent: bytes) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "\r\nserver: ussd-server\r\n" in head
        assert "aiohttp" not in head
        writer.close()

    serve(story)


@pytest.mark.parametrize("ended", [b"zz\r\n", b"3\r\nabcd\r\n", b"-1\r\n"])
def test_a_body_that_breaks_is_known_at_once(serve: Callable[..., None], ended: bytes) -> None:
    """Whoever reads it need not wait until it is too slow; and there is one answer, since no other request follows."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
        await served.entered.wait()
        writer.write(ended)
        head, _, body = (await all_of(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 422 ")
        assert body == b"broken"
        writer.close()

    serve(story)


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


AUTHORITY = trustme.CA()


def tls() -> ssl.SSLContext:
    """Return what a listener speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_tls(serve: Callable[..., None]) -> None:
    """Requests are served, slow heads closed; whoever speaks no TLS gets nothing."""
    trusting = ssl.create_default_context()
    AUTHORITY.configure_trust(trusting)

    async def story(served: Served) -> None:
        reader, writer = await served.connect(trusting)
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        served.hurry()
        slow, other = await served.connect(trusting)
        other.write(b"GET / HT")
        assert await closed(slow)
        other.close()
        plain, bare = await served.connect()
        bare.write(REQUEST % b"")
        assert b"quick" not in await plain.read()
        bare.close()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        writer.close()

    serve(story, tls=tls())


def test_a_tls_handshake_that_does_not_come(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        assert await closed(reader)
        writer.close()

    serve(story, head_s=0.05, tls=tls())


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
