"""A Redis that could lose what it acknowledged is named as such, with the mend; a durable one is not."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest
from structlog.testing import capture_logs

from tests.acceptance.harness import COMMAND
from tests.redis_servers import (
    DURABLE,
    STEADY_MS,
    RedisCluster,
    RedisSentinels,
    RedisServer,
    replicas_of,
    running,
    wait_until,
)
from tests.ussd_server.stores.redis.steps import DOCUMENT, PATIENT_S
from ussd_server import store_url
from ussd_server.store_url import Kind, RedisUrl, SqliteUrl
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.opening import open_to_serve
from ussd_server.stores.redis import nodes
from ussd_server.stores.redis.durability import fields, of_replica, risks
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.risks import Risks


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for what servers say of themselves: of one that takes long it would be said that it is not known."""
    monkeypatch.setattr(nodes, "ASK_S", PATIENT_S)


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


@pytest.mark.parametrize(
    ("info", "begins"),
    [
        ({"aof_rewrite_in_progress": "1", "aof_base_size": "0"}, False),
        ({"aof_rewrite_scheduled": "1", "aof_base_size": "0"}, False),
        ({"aof_rewrite_in_progress": "1", "aof_base_size": "229", "aof_last_bgrewrite_status": "err"}, False),
        ({"aof_rewrite_in_progress": "1", "aof_base_size": "229", "aof_last_bgrewrite_status": "ok"}, True),
        ({"aof_rewrite_in_progress": "0", "aof_base_size": "0", "aof_last_bgrewrite_status": "err"}, True),
    ],
)
def test_a_rewrite_that_may_be_the_first_of_its_log_is_waited_for(info: dict[str, str], begins: bool) -> None:
    found = risks({"aof_enabled": "1", "aof_rewrite_scheduled": "0", **info}, GOOD, "alone", 0)
    assert [line.partition(":")[0] for line in found] == (
        [] if begins else ["a crash of Redis may lose all, as its log begins with a rewrite that has not ended"]
    )
    assert all("by itself" in line for line in found)


@pytest.mark.parametrize(("kind", "replicas", "lines"), [("alone", 0, 0), ("sentinel", 0, 1), ("cluster", 0, 1),
                                                         ("sentinel", 1, 0), ("cluster", 2, 0)])  # fmt: skip
def test_a_failover_loses_what_no_replica_was_waited_for(kind: Kind, replicas: int, lines: int) -> None:
    assert len(risks({}, GOOD, kind, replicas)) == lines


@pytest.mark.parametrize(("replicas", "there", "mend"), [(0, 2, "?replicas=2"), (1, 2, "?replicas=2"), (2, 2, ""),
                                                         (3, 2, ""), (1, 1, "")])  # fmt: skip
def test_what_only_some_replicas_have_is_lost_where_another_is_promoted(replicas: int, there: int, mend: str) -> None:
    found = risks({"connected_slaves": str(there)}, GOOD, "sentinel", replicas)
    assert [line.endswith(mend) or mend in line for line in found] == [True] * bool(mend)


def test_a_replica_is_judged_as_the_master_that_it_may_be_but_for_one_that_is_never_made_one() -> None:
    loose = {**GOOD, "appendfsync": "everysec"}
    assert of_replica({"role": "slave", "slave_priority": "100"}, GOOD, "sentinel") == []
    assert of_replica({"role": "slave", "slave_priority": "100"}, None, "sentinel")[0].startswith("Redis does not tell")
    assert of_replica({"role": "slave", "slave_priority": "100"}, loose, "sentinel") == risks({}, loose, "alone", 0)
    assert of_replica({"role": "slave", "slave_priority": "0"}, loose, "sentinel") == []
    assert of_replica({"role": "slave", "slave_priority": "0"}, loose, "cluster") == risks({}, loose, "alone", 0)


def test_fields_are_read_from_info() -> None:
    assert fields("# Persistence\r\naof_enabled:1\r\nloading:0\r\n") == {"aof_enabled": "1", "loading": "0"}


def opened(url: str, require: bool) -> list[str]:
    """Open a store to serve, and return what was warned of."""

    async def body() -> None:
        store = await open_to_serve(store_url.parse(url), require)
        await Risks(store, url).look()
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


@pytest.mark.parametrize("require", [True, False])
def test_where_too_few_replicas_follow_nothing_is_begun(require: bool) -> None:
    with running() as server, server.client() as client:
        said = rf"only 0 of 1 replicas follow 127\.0\.0\.1:{server.port}, so nothing would be acknowledged: look after"
        with pytest.raises(StoreUnavailable, match=said):
            opened(f"{server.url}?replicas=1", require)
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


def test_a_redis_whose_log_has_not_begun_is_refused_until_its_first_rewrite_ends() -> None:
    with running("--appendonly", "no", "--appendfsync", "always") as server, server.client() as client:
        client.set("before", "there")
        client.config_set("rdb-key-save-delay", 10**9)
        client.config_set("appendonly", "yes")
        with pytest.raises(StoreUnavailable, match=r"not durable, .* its log begins with a rewrite that has not ended"):
            opened(server.url, True)
        _end_rewrite(server)
        wait_until(lambda: client.info("persistence")["aof_last_bgrewrite_status"] == "err", "the rewrite to fail")
        assert "has not ended" in opened(server.url, False)[0]
        client.config_set("rdb-key-save-delay", 0)
        _end_rewrite(server)
        wait_until(lambda: client.info("persistence")["aof_last_bgrewrite_status"] == "ok", "a rewrite to end")
        assert opened(server.url, True) == []


def test_a_log_that_was_left_and_is_begun_again_is_not_taken_for_whole_once_its_rewrite_failed() -> None:
    with running() as server, server.client() as client:
        client.set("before", "there")
        client.bgrewriteaof()
        wait_until(lambda: client.info("persistence")["aof_base_size"] > 0, "a rewrite to end")
        client.config_set("appendonly", "no")
        client.config_set("rdb-key-save-delay", 10**9)
        client.config_set("appendonly", "yes")
        _end_rewrite(server)
        wait_until(lambda: client.info("persistence")["aof_last_bgrewrite_status"] == "err", "the rewrite to fail")
        with pytest.raises(StoreUnavailable, match="has not ended"):
            opened(server.url, True)


def test_a_rewrite_of_a_log_that_is_whole_is_no_risk() -> None:
    with running() as server, server.client() as client:
        client.set("before", "there")
        client.bgrewriteaof()
        wait_until(lambda: client.info("persistence")["aof_base_size"] > 0, "a rewrite to end")
        client.config_set("rdb-key-save-delay", 10**9)
        client.bgrewriteaof()
        assert opened(server.url, True) == []
        assert client.info("persistence")["aof_rewrite_in_progress"] == 1


def _end_rewrite(server: RedisServer) -> None:
    """Kill the process in which a Redis rewrites its log, as the system does where memory is short."""
    for child in psutil.Process(server.process.pid).children():
        child.kill()


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


# Who may become the master -------------------------------------------------------------------------------------------


@pytest.fixture
def sentinels() -> Iterator[RedisSentinels]:
    """Give servers whose master stays the one until a test says how soon it counts as gone."""
    servers = RedisSentinels()
    yield servers
    servers.stop()


def looked_at(url: str) -> list[str]:
    """Return what could be lost, also where nothing can be acknowledged for too few replicas are there."""

    async def body() -> list[str]:
        store = RedisStore(cast(RedisUrl, store_url.parse(url)))
        found = await store.risks()
        await store.close()
        return found

    return asyncio.run(body())


def role(server: RedisServer) -> str:
    with server.client() as client:
        return str(client.info("replication")["role"])


def set_(server: RedisServer, name: str, value: str) -> None:
    with server.client() as client:
        client.config_set(name, value)


def test_a_replica_that_sentinels_may_promote_is_looked_at_like_the_master(sentinels: RedisSentinels) -> None:
    url = f"{sentinels.url}?replicas=2"
    one, two = sentinels.replicas
    assert opened(url, True) == []
    set_(one, "appendonly", "no")
    set_(two, "maxmemory-policy", "allkeys-lru")
    found = opened(url, False)
    assert len(found) == 2
    may = "a replica that may become the master"
    for server, what in ((one, "a crash of Redis loses all since its last"), (two, "a full Redis drops records")):
        assert [line for line in found if line.startswith(f"127.0.0.1:{server.port}, {may}: {what}")]
    with pytest.raises(StoreUnavailable, match=f"not durable, .*127.0.0.1:{one.port}, a replica"):
        opened(url, True)


def test_a_replica_that_cannot_be_asked_is_not_taken_for_durable(sentinels: RedisSentinels) -> None:
    one, two = sentinels.replicas
    one.kill()
    set_(two, "requirepass", "other")
    found = sorted(looked_at(f"{sentinels.url}?replicas=1"))
    assert len(found) == 2
    for line, server in zip(found, sorted([one, two], key=lambda each: str(each.port)), strict=True):
        assert line.startswith(
            f"127.0.0.1:{server.port}, a replica: it is not known what it would lose as the master: "
        )


def test_a_replica_that_cannot_begin_its_log_after_a_full_synchronization_is_a_risk(sentinels: RedisSentinels) -> None:
    replica = sentinels.replicas[0]
    with sentinels.master.client() as client:
        client.set("before", "there")
    with replica.client() as client:
        client.config_set("rdb-key-save-delay", 10**9)
        client.replicaof("NO", "ONE")
        client.set("its", "own")
        client.replicaof("127.0.0.1", str(sentinels.master.port))
        wait_until(lambda: client.get("its") is None and client.get("before"), "a full synchronization")
        _end_rewrite(replica)
        wait_until(lambda: client.info("persistence")["aof_last_bgrewrite_status"] == "err", "the rewrite to fail")
        found = looked_at(f"{sentinels.url}?replicas=2")
        assert [line.partition(": ")[0] for line in found] == [
            f"127.0.0.1:{replica.port}, a replica that may become the master"
        ]
        assert "has not ended" in found[0]


def test_a_replica_of_a_cluster_is_looked_at_like_its_master(cluster: RedisCluster) -> None:
    url = f"{cluster.url}?replicas=1"
    loose, dead = cluster.servers[3:5]
    assert opened(url, True) == []
    set_(loose, "appendfsync", "everysec")
    dead.kill()
    found = looked_at(url)
    assert [line for line in found if f":{loose.port}, a replica that may become the master: a crash" in line]
    assert [line for line in found if f":{dead.port}, a replica: it is not known" in line]
    assert len(found) == 2


def test_where_one_master_of_a_cluster_has_too_few_replicas_nothing_is_begun(cluster: RedisCluster) -> None:
    lonely, replica = cluster.servers[1], cluster.servers[4]
    replica.kill()
    wait_until(lambda: replicas_of(lonely) == 0, "the master to miss its replica")
    with pytest.raises(StoreUnavailable, match=f"only 0 of 1 replicas follow .*:{lonely.port}, so nothing"):
        opened(f"{cluster.url}?replicas=1", False)
    for master in cluster.masters:
        with master.client() as client:
            assert client.dbsize() == 0


def test_a_cluster_that_does_not_tell_its_replicas_is_not_taken_for_durable(cluster: RedisCluster) -> None:
    for server in cluster.servers:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-cluster|shards")
    found = opened(f"{cluster.url}?replicas=1", False)
    assert [line.partition(": ")[0] for line in found] == ["it is not known which replicas may become masters"]
    assert "allow CLUSTER SHARDS" in found[0]


def test_the_permissions_of_the_documentation_are_enough_to_look_at_a_cluster(cluster: RedisCluster) -> None:
    rules = re.search(r"ACL SETUSER ussd (.*)", DOCUMENT.read_text(encoding="utf-8"))
    assert rules
    for server in cluster.servers:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ussd", *rules[1].replace("PASSWORD", "right").split())
    assert looked_at(cluster.url.replace("://", "://ussd:right@") + "?replicas=1") == []
    with cluster.servers[4].client() as client:
        client.execute_command("ACL", "SETUSER", "ussd", "-config|get")
    (line,) = looked_at(cluster.url.replace("://", "://ussd:right@") + "?replicas=1")
    assert "a replica that may become the master: Redis does not tell whether it syncs" in line


def test_who_took_over_is_looked_at_while_a_server_runs_and_each_risk_is_said_once(sentinels: RedisSentinels) -> None:
    url = f"{sentinels.url}?replicas=1"

    def take_over() -> None:
        sentinels.master.kill()
        sentinels.watch(RedisSentinels.SOON_MS)
        wait_until(lambda: "master" in map(role, sentinels.replicas), "a new master")
        sentinels.watch(STEADY_MS)

    async def body() -> list[str]:
        store = await open_to_serve(store_url.parse(url))
        seen = Risks(store, url)
        await seen.look()
        for replica in sentinels.replicas:
            set_(replica, "appendfsync", "everysec")
        await asyncio.get_running_loop().run_in_executor(None, take_over)
        with capture_logs() as logs:
            await seen.look()
            await seen.look()
        await store.close()
        return [line["cause"] for line in logs if line["log_level"] == "warning"]

    with capture_logs():
        said = asyncio.run(body())
    assert len(said) == len(set(said)) == 3
    (master,) = [server for server in sentinels.replicas if role(server) == "master"]
    (line,) = [line for line in said if "about the last second" in line and ", a replica" not in line]
    assert line.startswith(f"127.0.0.1:{master.port}: a crash of Redis loses about the last second")
    assert [line for line in said if line.startswith(f"127.0.0.1:{sentinels.master.port}, a replica: it is not known")]


def test_what_is_mended_is_said_and_what_comes_back_is_said_again() -> None:
    with running() as server:

        async def body() -> None:
            store = await open_to_serve(store_url.parse(server.url))
            seen = Risks(store, server.url)
            for value in ("everysec", "everysec", "always", "everysec"):
                set_(server, "appendfsync", value)
                await seen.look()
            await store.close()

        with capture_logs() as logs:
            asyncio.run(body())
    lose, over = "store may lose what it acknowledged", "store loses that no more"
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", lose),
        ("info", over),
        ("warning", lose),
    ]
