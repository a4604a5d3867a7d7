"""Where a server that is asked says what nobody understands, it is named, and the others decide."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.ussd_server.stores.redis.steps import PATIENT_S
from ussd_server.stores.redis import nodes as redis_nodes
from ussd_server.stores.redis.nodes import Cluster, NotAnswered, NotConfirmed, NotFound, Sentinels, ask_setup
from ussd_server.stores.redis.wire import Address, Greeting

NONSENSE = [b"*0\r\n", b"$-1\r\n", b":1\r\n", b"+\xff\r\n", b"*2\r\n+ip\r\n+127.0.0.1\r\n"]
"""What a Sentinel does not say, in Redis's protocol: a list of nothing, nothing, a number, no text, half a state."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for what is said; who takes long is not asked any more, whatever it says."""
    monkeypatch.setattr(redis_nodes, "ASK_S", PATIENT_S)


@asynccontextmanager
async def saying(said: bytes) -> AsyncIterator[Address]:
    """Give a server that says the same to every command."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(65536):
            # One reply a command; each is an array that is sent as a whole.
            writer.write(said * octets.count(b"*"))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()


@pytest.mark.parametrize("said", NONSENSE)
def test_a_sentinel_that_is_not_understood_has_not_answered(said: bytes) -> None:
    async def body() -> None:
        async with saying(said) as address:
            nodes = Sentinels([address], "main", Greeting(wait_ms=1_000), None)
            where = f"127.0.0.1:{address[1]}: "
            with pytest.raises(NotFound, match=f"no Sentinel says where the master is: {where}"):
                await nodes.find()
            with pytest.raises(NotConfirmed, match=f"no Sentinel says whether this is the master: {where}"):
                await nodes.confirm(address)
            await nodes.close()

    asyncio.run(body())


@pytest.mark.parametrize("said", NONSENSE[1:])
def test_who_is_not_understood_has_not_said_who_the_replicas_are_nor_how_it_is_set_up(said: bytes) -> None:
    async def body() -> None:
        async with saying(said) as address:
            where = f"127.0.0.1:{address[1]}: "
            sentinels = Sentinels([address], "main", Greeting(wait_ms=1_000), None)
            with pytest.raises(NotFound, match=f"no Sentinel says who the replicas are: {where}"):
                await sentinels.replicas()
            await sentinels.close()
            with pytest.raises(NotFound, match=rf"no server of the Cluster says it \(allow CLUSTER SHARDS\): {where}"):
                await Cluster([address], Greeting(wait_ms=1_000)).replicas()
            with pytest.raises(NotAnswered, match=where):
                await ask_setup(address, Greeting(wait_ms=1_000), [b"appendonly"])

    asyncio.run(body())


def test_whoever_stops_asking_at_any_moment_leaves_no_connection_open() -> None:
    async def stopped_after(steps: int, address: Address) -> bool:
        """Stop the question after so many rounds of the loop; whether it had come to its end by itself."""
        asked = asyncio.ensure_future(Cluster([address], Greeting(wait_ms=1_000)).find())
        for _ in range(steps):
            await asyncio.sleep(0)
        over = asked.done()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        return over

    async def body() -> None:
        async with saying(b"*0\r\n") as address:
            steps = 0
            while not await stopped_after(steps, address):
                steps += 1
            assert steps > 10
            for _ in range(3):
                await asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(body())
        gc.collect()
    assert not [str(each.message) for each in caught]
