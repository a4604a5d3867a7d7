"""The proxy that links are hindered by."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.chaos.proxy import Proxy

Story = Callable[[Proxy, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def through_a_proxy(story: Story) -> None:
    """Tell a story of a connection to an echo, by a proxy whose first upstream is not there."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while octets := await reader.read(100):
                writer.write(octets)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        proxy = Proxy(lambda: [1, server.sockets[0].getsockname()[1]])
        await proxy.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        await story(proxy, reader, writer)
        writer.close()
        await proxy.close()
        server.close()

    asyncio.run(main())


async def is_cut(reader: asyncio.StreamReader) -> bool:
    """Tell, when it is over, whether the connection has ended without another octet."""
    try:
        return await reader.read(100) == b""
    except ConnectionResetError:
        return True


def test_a_cut_ends_the_connection_and_the_next_one_is_whole() -> None:
    async def story(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.cut(5)
        assert await is_cut(reader)
        again, onward = await asyncio.open_connection("127.0.0.1", proxy.port)
        onward.write(b"again")
        assert await again.readexactly(5) == b"again"
        onward.close()

    through_a_proxy(story)


def test_what_is_sent_into_silence_is_lost_with_the_connection() -> None:
    async def story(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silence = asyncio.ensure_future(proxy.fall_silent(0, 0.05))
        await asyncio.sleep(0)
        writer.write(b"lost")
        assert await is_cut(reader)
        await silence

    through_a_proxy(story)


def test_a_slow_connection_loses_nothing() -> None:
    async def story(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        slowness = asyncio.ensure_future(proxy.slow_down(0, 0.01, 0.01))
        await asyncio.sleep(0)
        writer.write(b"late")
        assert await reader.readexactly(4) == b"late"
        await slowness

    through_a_proxy(story)
