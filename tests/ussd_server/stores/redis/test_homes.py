"""Each slot's requests go to its home: they wait until it is known, and follow it where it moves."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ussd_server.stores.redis.buckets import SLOTS
from ussd_server.stores.redis.homes import Homes
from ussd_server.stores.redis.identity import Identity
from ussd_server.stores.redis.lease import Lease
from ussd_server.stores.redis.nodes import NotFound
from ussd_server.stores.redis.wire import Address, Greeting, Owner, Request, Sent, Wire

ONE, OTHER = ("10.0.0.1", 6379), ("10.0.0.2", 6379)


class Asker(Owner):
    """Keeps what it gets back, and does nothing of what is to be done beside all else but the search."""

    def __init__(self) -> None:
        self.name, self.closed, self.batches = "a Redis", "", 0
        self.came_back: list[Sent] = []
        self.failed: list[str] = []
        self.troubles: list[str] = []
        self.searches: list[asyncio.Task[None]] = []

    def again(self, requests: Sequence[Sent]) -> None:
        self.came_back += requests

    def fail(self, request: Sent, reason: str) -> None:
        self.failed.append(reason)
        self.closed = "enough was seen"

    def trouble(self, text: str) -> None:
        self.troubles.append(text)

    def connected(self, wire: Wire) -> None: ...

    def keep_sure(self, address: Address) -> None: ...

    def begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        if work.__qualname__ == Homes._look_for_homes.__qualname__:
            self.searches.append(task)
        else:
            task.cancel()
        return task


class Servers:
    """Servers that are where the test says, once what it has ready to go wrong has."""

    fixed = False
    several = True

    def __init__(self) -> None:
        self.homes: list[Address] = [ONE, *[OTHER] * (SLOTS - 1)]
        self.errors: list[Exception] = []

    async def find(self) -> Sequence[Address]:
        if self.errors:
            raise self.errors.pop()
        return self.homes

    async def confirm(self, address: Address) -> float:
        return 1.0

    async def replicas(self) -> Sequence[Address]:
        return []

    async def close(self) -> None: ...


def request(slot: int) -> Sent:
    return Request(asyncio.get_running_loop().create_future(), b"", slot)


def run(body: Callable[[Homes, Asker, Servers], Awaitable[None]]) -> None:
    async def within() -> None:
        asker, servers = Asker(), Servers()
        identity = Identity(asker.name, servers.several)
        await body(Homes(asker, asker, servers, Greeting(wait_ms=1_000), Lease(servers), identity), asker, servers)

    asyncio.run(within())


def test_what_is_asked_before_it_is_known_where_comes_back_when_it_is() -> None:
    async def body(homes: Homes, asker: Asker, servers: Servers) -> None:
        early = request(0)
        homes.send([early])
        assert homes.waiting == [early]
        (search,) = asker.searches
        await search
        assert (asker.came_back, homes.waiting) == ([early], [])
        assert (homes.address(0), homes.address(1)) == (ONE, OTHER)
        assert homes.one_of_each([1, 2, 0]) == [2, 0]
        late = request(0)
        homes.send([late])
        assert [node.address for node in homes.nodes if late in node.waiting] == [ONE]

    run(body)


def test_the_search_goes_on_whatever_goes_wrong_and_there_is_one_at_a_time() -> None:
    async def body(homes: Homes, asker: Asker, servers: Servers) -> None:
        servers.errors = [RuntimeError("nobody expects this"), NotFound("nobody answers")]
        early = request(0)
        homes.send([early])
        homes.find()
        (search,) = asker.searches
        await search
        assert asker.troubles == [
            "nobody answers",
            "asking where the servers are failed: RuntimeError('nobody expects this')",
        ]
        assert asker.came_back == [early]

    run(body)


def test_where_nobody_will_ever_say_what_waits_is_told_so() -> None:
    async def body(homes: Homes, asker: Asker, servers: Servers) -> None:
        servers.errors = [NotFound("no such master", hopeless=True)]
        homes.send([request(0)])
        await asker.searches[0]
        assert (asker.failed, homes.waiting) == (["a Redis: no such master"], [])
        homes.find()
        assert len(asker.searches) == 1, "nothing is asked any more, so nothing is looked for"

    run(body)


def test_a_slot_that_moved_goes_to_its_new_home_at_once_and_the_others_are_looked_for() -> None:
    async def body(homes: Homes, asker: Asker, servers: Servers) -> None:
        homes.find()
        await asker.searches[0]
        servers.homes = [ONE] * SLOTS
        homes.moved(1, ONE)
        assert (homes.address(1), homes.address(2)) == (ONE, OTHER)
        left = request(2)
        homes.send([left])
        await asker.searches[1]
        assert homes.address(2) == ONE
        assert asker.came_back == [left], "a server without slots hands back what waits for it"
        assert {node.address for node in homes.nodes} == {ONE}

    run(body)
