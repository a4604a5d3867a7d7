"""A connection whose first head does not come in time is closed, and no other."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from tests.ussd_server.http.listener.served import NEVER, REQUEST, Served, answer, closed


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
