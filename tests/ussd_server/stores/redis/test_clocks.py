"""A clock is held against those of all servers of the store, and how long each answer took is allowed for."""

import asyncio
import re
from typing import cast

import pytest

from tests.redis_servers import RedisCluster, RedisServer
from tests.ussd_server.stores.redis.steps import DOCUMENT, T0
from ussd_server.app import wall_clock
from ussd_server.store_url import RedisUrl, parse
from ussd_server.stores.base import ClockReading
from ussd_server.stores.redis.clocks import reading
from ussd_server.stores.redis.store import RedisStore

HOUR_MS = 3_600_000


def read(url: str, ahead: int = 0) -> ClockReading:
    """Compare a clock that is so far ahead (ms) of this machine's, which is Redis's, too."""

    async def body() -> ClockReading | None:
        store = RedisStore(cast(RedisUrl, parse(url)))
        try:
            return await store.read_clock(lambda: wall_clock() + ahead)
        finally:
            await store.close()

    found = asyncio.run(body())
    assert found is not None
    return found


@pytest.mark.parametrize("ahead", [0, HOUR_MS, -HOUR_MS])
def test_a_clock_is_as_far_ahead_as_it_was_set(server: RedisServer, ahead: int) -> None:
    found = read(server.url, ahead)
    assert abs(found.ahead - ahead) <= found.unsure


def test_a_cluster_has_the_clock_of_its_servers(cluster: RedisCluster) -> None:
    found = read(cluster.url, HOUR_MS)
    assert abs(found.ahead - HOUR_MS) <= found.unsure


def test_the_permissions_of_the_documentation_are_enough(server: RedisServer) -> None:
    rules = re.search(r"ACL SETUSER ussd (.*)", DOCUMENT.read_text(encoding="utf-8"))
    assert rules
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ussd", *rules[1].replace("PASSWORD", "right").split())
        assert read(server.url.replace("://", "://ussd:right@")).within(HOUR_MS)
        client.execute_command("ACL", "DELUSER", "ussd")


def test_an_answer_is_of_some_moment_since_the_question() -> None:
    theirs = {"server_time_usec": f"{(T0 + 150) * 1000}"}
    assert reading(T0, 300, theirs) == ClockReading(0, 151)
    assert reading(T0 + 60_000, 0.5, theirs) == ClockReading(59_850, 2)


def test_a_redis_that_does_not_tell_its_time_has_none() -> None:
    assert reading(T0, 1, {}) is None
    assert reading(T0, 1, {"server_time_usec": "later"}) is None


@pytest.mark.parametrize(
    ("ahead", "unsure", "beyond", "within"),
    [(6_000, 999, True, False), (6_000, 1_000, False, False), (-6_000, 999, True, False), (-4_000, 1_000, False, True)],
)
def test_what_is_sure_is_beyond_what_the_answer_took(ahead: int, unsure: int, beyond: bool, within: bool) -> None:
    found = ClockReading(ahead, unsure)
    assert (found.beyond(5_000), found.within(5_000)) == (beyond, within)
