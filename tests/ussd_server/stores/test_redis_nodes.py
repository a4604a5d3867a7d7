"""Where a server that is asked says what nobody understands, it is named, and the others decide."""

import asyncio

import pytest

from ussd_server.stores.redis_nodes import NotConfirmed, NotFound, Sentinels
from ussd_server.stores.redis_wire import Greeting

NONSENSE = [b"*0\r\n", b"$-1\r\n", b":1\r\n", b"+\xff\r\n", b"*2\r\n+ip\r\n+127.0.0.1\r\n"]
"""What a Sentinel does not say, in Redis's protocol: a list of nothing, nothing, a number, no text, half a state."""


@pytest.mark.parametrize("said", NONSENSE)
def test_a_sentinel_that_is_not_understood_has_not_answered(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(65536):
            # One reply a command; each is an array that is sent as a whole.
            writer.write(said * octets.count(b"*"))
        writer.close()

    async def body() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            nodes = Sentinels([address], "main", Greeting(), None)
            where = f"127.0.0.1:{address[1]}: "
            with pytest.raises(NotFound, match=f"no Sentinel says where the master is: {where}"):
                await nodes.find()
            with pytest.raises(NotConfirmed, match=f"no Sentinel says whether this is the master: {where}"):
                await nodes.confirm(address)
            await nodes.close()

    asyncio.run(body())
