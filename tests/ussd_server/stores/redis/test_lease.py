"""What was confirmed holds for its time; who needs it anew waits for a question that was sent after it was needed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from ussd_server.stores.redis.lease import Lease
from ussd_server.stores.redis.nodes import NotConfirmed
from ussd_server.stores.redis.wire import Address

SERVER: Address = ("10.0.0.1", 6379)
OTHER: Address = ("10.0.0.2", 6379)


class Asked:
    """Servers of which a test says what is confirmed: a question is open until it is answered."""

    fixed = several = False

    def __init__(self) -> None:
        self.open: list[asyncio.Future[float]] = []

    async def find(self) -> Sequence[Address]:
        """Return nothing: nobody looks for servers here."""
        return []

    async def confirm(self, address: Address) -> float:
        """Ask the test."""
        self.open.append(asyncio.get_running_loop().create_future())
        return await self.open[-1]

    async def replicas(self) -> Sequence[Address]:
        """Return none."""
        return []

    async def close(self) -> None:
        """Do nothing."""


def with_lease(body: Callable[[Lease, Asked], Awaitable[None]]) -> None:
    async def run() -> None:
        asked = Asked()
        await body(Lease(asked), asked)

    asyncio.run(run())


async def begun(work: Awaitable[None]) -> "asyncio.Future[None]":
    """Begin it, and return when it waits."""
    task = asyncio.ensure_future(work)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


def test_a_lease_holds_from_the_question_on_and_ages_when_half_of_it_is_over() -> None:
    async def body(lease: Lease, asked: Asked) -> None:
        before = asyncio.get_running_loop().time()
        assert not lease.holds(SERVER, before)
        renewing = await begun(lease.renew(SERVER))
        sent = asyncio.get_running_loop().time()
        asked.open[0].set_result(10.0)
        await renewing
        assert lease.holds(SERVER, before + 10)
        assert not lease.holds(SERVER, sent + 10)
        assert not lease.ages(SERVER, before + 5)
        assert lease.ages(SERVER, sent + 5)
        assert not lease.holds(OTHER, before)

    with_lease(body)


def test_who_asks_while_a_question_is_under_way_waits_for_the_next_one_and_shares_it() -> None:
    async def body(lease: Lease, asked: Asked) -> None:
        first = await begun(lease.renew(SERVER))
        later = [await begun(lease.renew(SERVER)) for _ in range(3)]
        assert len(asked.open) == 1
        asked.open[0].set_result(1.0)
        await first
        await begun(asyncio.sleep(0))
        assert len(asked.open) == 2
        assert not any(each.done() for each in later)
        asked.open[1].set_exception(NotConfirmed("a failover is under way"))
        for each in later:
            with pytest.raises(NotConfirmed, match="a failover is under way"):
                await each
        assert len(asked.open) == 2

    with_lease(body)


def test_a_question_that_was_given_up_answers_nobody() -> None:
    async def body(lease: Lease, asked: Asked) -> None:
        first, second = [await begun(lease.renew(SERVER)) for _ in range(2)]
        third = await begun(lease.renew(SERVER))
        asked.open[0].set_result(1.0)
        await first
        await begun(asyncio.sleep(0))
        second.cancel()  # which asked for the third, too
        await begun(asyncio.sleep(0))
        assert not third.done()
        asked.open[2].set_result(1.0)
        await third

    with_lease(body)


def test_a_doubt_ends_the_lease_and_a_confirmation_ends_the_doubt() -> None:
    async def body(lease: Lease, asked: Asked) -> None:
        for seconds, holds in ((60.0, True), (None, False), (60.0, True)):
            renewing = await begun(lease.renew_ahead(SERVER))
            if seconds is None:
                asked.open[-1].set_exception(NotConfirmed("no"))
            else:
                asked.open[-1].set_result(seconds)
            await renewing
            assert lease.holds(SERVER, asyncio.get_running_loop().time()) == holds

    with_lease(body)


def test_a_lease_is_renewed_ahead_by_one_at_a_time() -> None:
    async def body(lease: Lease, asked: Asked) -> None:
        now = asyncio.get_running_loop().time()
        assert lease.ages(SERVER, now)
        renewing = await begun(lease.renew_ahead(SERVER))
        assert not lease.ages(SERVER, now)
        asked.open[0].set_result(0.0)
        await renewing
        assert lease.ages(SERVER, now + 1)

    with_lease(body)
