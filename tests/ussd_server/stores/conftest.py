"""Where a store has its file, or its Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_servers import RedisCluster, RedisServer, running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture(scope="module")
def _one_for_all() -> Iterator[RedisServer]:
    with running() as server:
        yield server


@pytest.fixture
def server(_one_for_all: RedisServer) -> RedisServer:
    """Give an empty Redis that is as a new one; a test that changes how it is set up has one of its own."""
    with _one_for_all.client() as client:
        client.flushall()
        client.config_resetstat()
    return _one_for_all


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    """Give a Cluster of a test's own, which it may break."""
    servers = RedisCluster()
    yield servers
    servers.stop()
