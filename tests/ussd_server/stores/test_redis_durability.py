"""A Redis that could lose what it acknowledged is named as such, with the mend; a durable one is not."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.acceptance.harness import COMMAND
from tests.redis_servers import DURABLE, running, wait_until
from ussd_server import store_url
from ussd_server.store_url import Kind, SqliteUrl
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.opening import open_to_serve
from ussd_server.stores.redis_durability import fields, risks

GOOD = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"appendonly": "no"}, ["loses all since its last snapshot: CONFIG SET appendonly yes, wait until"]),
        ({"appendfsync": "everysec"}, ["loses about the last second: set appendfsync always"]),
        ({"appendfsync": "no"}, ["half a minute: set appendfsync always"]),
        ({"no-appendfsync-on-rewrite": "yes"}, ["while Redis rewrites its file"]),
        ({"no-appendfsync-on-rewrite": "yes", "appendfsync": "everysec"}, ["loses about the last second"]),
        ({"maxmemory-policy": "allkeys-lru"}, ["drops records as it likes (allkeys-lru)"]),
        ({"appendonly": "no", "maxmemory-policy": "volatile-ttl"}, ["last snapshot", "(volatile-ttl)"]),
    ],
)
def test_each_setting_that_loses_work_is_named_with_its_mend(changed: dict[str, str], said: list[str]) -> None:
    found = risks({}, {**GOOD, **changed}, "alone", 0)
    assert len(found) == len(said)
    for line, words in zip(found, said, strict=True):
        assert words in line


def test_where_settings_are_not_told_info_is_asked_and_the_rest_said_not_to_be_known() -> None:
    assert risks({"aof_enabled": "0"}, None, "alone", 0)[0].startswith("a crash of Redis loses all since")
    (unknown,) = risks({"aof_enabled": "1", "maxmemory_policy": "noeviction"}, None, "alone", 0)
    assert unknown.startswith("Redis does not tell whether it syncs")
    assert len(risks({"aof_enabled": "1", "maxmemory_policy": "allkeys-lfu"}, None, "alone", 0)) == 2


@pytest.mark.parametrize(("kind", "replicas", "lines"), [("alone", 0, 0), ("sentinel", 0, 1), ("cluster", 0, 1),
                                                         ("sentinel", 1, 0), ("cluster", 2, 0)])  # fmt: skip
def test_a_failover_loses_what_no_replica_was_waited_for(kind: Kind, replicas: int, lines: int) -> None:
    assert len(risks({}, GOOD, kind, replicas)) == lines


@pytest.mark.parametrize(("replicas", "there", "mend"), [(0, 2, "?replicas=2"), (1, 2, "?replicas=2"), (2, 2, ""),
                                                         (3, 2, ""), (1, 1, "")])  # fmt: skip
def test_what_only_some_replicas_have_is_lost_where_another_is_promoted(replicas: int, there: int, mend: str) -> None:
    found = risks({"connected_slaves": str(there)}, GOOD, "sentinel", replicas)
    assert [line.endswith(mend) or mend in line for line in found] == [True] * bool(mend)


def test_fields_are_read_from_info() -> None:
    assert fields("# Persistence\r\naof_enabled:1\r\nloading:0\r\n") == {"aof_enabled": "1", "loading": "0"}


def opened(url: str, require: bool) -> list[str]:
    """Open a store to serve, and return what was warned of."""

    async def body() -> None:
        store = await open_to_serve(store_url.parse(url), require)
        await store.close()

    with capture_logs() as logs:
        asyncio.run(body())
    return [line["cause"] for line in logs if line["event"] == "store may lose what it acknowledged"]


def test_what_is_durable_opens_without_a_word(tmp_path: Path) -> None:
    with running() as server:
        assert opened(server.url, True) == []
    assert opened(str(SqliteUrl(tmp_path / "store.db")), True) == []


def test_what_is_not_is_warned_of_or_refused() -> None:
    with running("--appendonly", "yes", "--appendfsync", "everysec") as server:
        assert opened(server.url, False) == ["a crash of Redis loses about the last second: set appendfsync always"]
    with running("--appendonly", "yes", "--appendfsync", "everysec") as server, server.client() as client:
        with pytest.raises(StoreUnavailable, match="not durable, and --require-durable is given: a crash of Redis"):
            opened(server.url, True)
        assert client.keys() == []


def test_a_redis_with_data_becomes_durable_by_the_mend_and_keeps_all_it_has() -> None:
    with running("--appendonly", "no", "--save", "3600 1") as server:
        with server.client() as client:
            client.set("before", "there")
            (risk,) = opened(server.url, False)
            for name, value in re.findall(r"CONFIG SET (\w+) (\w+)", risk):
                client.config_set(name, value)
            wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, risk)
            client.set("meanwhile", "there", px=10**9)
        server.kill()
        server.options = DURABLE
        server.start()
        with server.client() as client:
            assert (client.get("before"), client.get("meanwhile")) == (b"there", b"there")
        assert opened(server.url, True) == []


def test_a_redis_that_hides_its_settings_is_not_taken_for_durable() -> None:
    with running(*DURABLE, "--rename-command", "CONFIG", "") as server:
        assert opened(server.url, False)[0].startswith("Redis does not tell whether it syncs")
        with pytest.raises(StoreUnavailable, match="does not tell"):
            opened(server.url, True)


def test_a_server_does_not_start_on_a_store_that_forgets_where_it_must_not(tmp_path: Path) -> None:
    with running("--appendonly", "no") as redis:
        data = tmp_path / "data"
        where = ("--data", str(data), "--http", "127.0.0.1:0", "--store", redis.url)
        command = [COMMAND, "run", *where, "--smsc", "smpp://a:b@127.0.0.1:1"]
        ended = subprocess.run([*command, "--require-durable"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    said = f"error: {redis.url}: not durable, and --require-durable is given: a crash of Redis loses all"
    assert ended.stderr.startswith(said)
    assert not data.exists()
