"""A connection may rest between requests, but a later head has no longer than a first one."""

import asyncio
from collections.abc import Callable

import pytest

from tests.ussd_server.http.listener.served import REQUEST, Served, answer, closed


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
