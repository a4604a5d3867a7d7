"""Real Redis servers for tests: on loopback, on free ports, durable as the documentation asks for, gone afterwards."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.ports import free_port, free_ports

PATIENCE_S = 60.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait for something to come true; whatever the servers say meanwhile is not the answer yet."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if true():
                return
        except (redis.RedisError, OSError):
            pass
        time.sleep(0.02)
    raise AssertionError(f"still waiting for {what}")


def client_at(port: int) -> "redis.Redis":
    """Return a client that says at once where nobody answers: by itself it would try for some seconds."""
    return redis.Redis(port=port, socket_timeout=PATIENCE_S, retry=Retry(NoBackoff(), 0))


class RedisServer:
    """One `redis-server` process. It dies with the process that started it."""

    def __init__(self, *options: str, port: int = 0, program: tuple[str, ...] = ()) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="redis-"))
        self.port = port or free_port()
        self.options = options
        self._program = program
        self.start()

    def start(self) -> None:
        """Start it, or start it again on the same data, and wait until it answers."""
        base = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.place), "--daemonize", "no")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "redis-server", *self._program, *base, *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, f"redis-server on port {self.port}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"redis-server ended with {self.process.returncode}"
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis":
        """Return a client of another make than the store's."""
        return client_at(self.port)

    def kill(self) -> None:
        """End it as a power cut would, but for what the system has to write."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, and forget its data."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)


@contextmanager
def running(*options: str, port: int = 0) -> Iterator[RedisServer]:
    """Give a server of one's own."""
    server = RedisServer(*(options or DURABLE), port=port)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def serving_every_slot() -> Iterator[RedisServer]:
    """Give a server of one's own in cluster mode that has all slots: a Cluster of one."""
    bus = free_port()
    with running(*DURABLE, "--cluster-enabled", "yes", "--cluster-port", str(bus)) as server:
        with server.client() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: _is_whole(client), "the one server to serve")
        yield server


STEADY_MS = 60_000
"""How long a server must be silent before others take its place, where a test does not want that."""


class RedisCluster:
    """Three masters with a replica each, made as `redis-cli --cluster create` does, but sooner.

    A server may stand still for a while, and none takes its place, until `watch` is called with less.
    """

    def __init__(self, replicas: int = 1) -> None:
        ports = free_ports(6 + 6 * replicas)
        servers, buses = ports[: len(ports) // 2], ports[len(ports) // 2 :]
        self.servers = [
            RedisServer(
                *DURABLE,
                *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", str(bus)),
                *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
                *("--cluster-replica-no-failover", "yes"),
                port=port,
            )
            for port, bus in zip(servers, buses, strict=True)
        ]
        self.masters = self.servers[:3]
        make_cluster(servers, buses)
        self.watch(STEADY_MS)

    def watch(self, silent_ms: int) -> None:
        """Let a server count as gone that is silent for so long, and its replica take its place."""
        for server in self.servers:
            with server.client() as client:
                client.config_set("cluster-node-timeout", silent_ms)
                client.config_set("cluster-replica-no-failover", "no")

    def id_of(self, server: RedisServer) -> str:
        with server.client() as client:
            return _text(client.execute_command("CLUSTER MYID"))

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:2])

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


class RedisSentinels:
    """A master with two replicas, and three Sentinels that make one of these the master when it is gone.

    It may stand still for a while, and none takes its place, until `watch` is called with less. `first` are further
    options of the first replica.
    """

    NAME = "main"
    SOON_MS = 500
    """How long a master is silent, for one whose place another is to take."""
    FAILOVER_MS = 3_000
    """How long a failover may take; after twice as long another one is tried."""

    def __init__(self, *first: str) -> None:
        at_once = ("--repl-diskless-sync-delay", "0")
        self.master = RedisServer(*DURABLE, *at_once)
        follow = (*at_once, "--replicaof", f"127.0.0.1 {self.master.port}")
        self.replicas = [RedisServer(*DURABLE, *follow, *first), RedisServer(*DURABLE, *follow)]
        wait_until(lambda: replicas_of(self.master) == 2, "the replicas to follow")
        self.sentinels = []
        for port in free_ports(3):
            place = Path(tempfile.mkdtemp(prefix="sentinel-"))
            (place / "sentinel.conf").write_text(
                f"sentinel monitor {self.NAME} 127.0.0.1 {self.master.port} 2\n"
                f"sentinel down-after-milliseconds {self.NAME} {STEADY_MS}\n"
                f"sentinel failover-timeout {self.NAME} {self.FAILOVER_MS}\n"
            )
            self.sentinels.append(RedisServer(port=port, program=(str(place / "sentinel.conf"), "--sentinel")))
        for replica in self.replicas:
            with replica.client() as client:
                wait_until(lambda client=client: _logs(client), "a replica to begin its log")  # type: ignore[misc]
        for sentinel in self.sentinels:
            wait_until(lambda sentinel=sentinel: self._ready(sentinel), "the Sentinels to know each other")  # type: ignore[misc]

    def _ready(self, sentinel: RedisServer) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_master(self.NAME)
            return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 2)

    def watch(self, silent_ms: int) -> None:
        """Let the master count as gone where it is silent for so long."""
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                client.sentinel_set(self.NAME, "down-after-milliseconds", silent_ms)

    def give_time(self, failover_ms: int) -> None:
        """Let a failover take so long, also one that is under way."""
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                client.sentinel_set(self.NAME, "failover-timeout", failover_ms)

    def states(self) -> list[str]:
        """Return how far each Sentinel is with a failover; "" for one that carries out none."""
        found = []
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                found.append(str(client.sentinel_master(self.NAME).get("failover-state", "")))
        return found

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.NAME}"

    def stop(self) -> None:
        for server in (*self.sentinels, *self.replicas, self.master):
            server.go_on()
            server.stop()


def replicas_of(server: RedisServer) -> int:
    """Return how many replicas follow it."""
    with server.client() as client:
        return sum(1 for line in client.info("replication").values() if "state=online" in str(line) or (
            isinstance(line, dict) and line.get("state") == "online"))  # fmt: skip


def _text(reply: object) -> str:
    if isinstance(reply, dict):
        return "\n".join(f"{key}:{value}" for key, value in reply.items())
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def make_cluster(ports: Sequence[int], buses: Sequence[int]) -> None:
    """Make running servers a Cluster, and wait until it is whole: three masters, whom the others follow in turn."""
    with ExitStack() as stack:
        clients = [stack.enter_context(client_at(port)) for port in ports]
        masters = clients[:3]
        for port, bus in zip(ports[1:], buses[1:], strict=True):
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        for index, client in enumerate(masters):
            low, high = 16384 * index // 3, 16384 * (index + 1) // 3 - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", low, high)
        everybody = str(len(clients))
        wait_until(
            lambda: all(client.cluster("INFO")["cluster_known_nodes"] == everybody for client in clients),
            "the cluster's servers to know each other",
        )
        for index, client in enumerate(clients[3:]):
            client.execute_command("CLUSTER REPLICATE", _text(masters[index % 3].execute_command("CLUSTER MYID")))
        wait_until(lambda: all(map(_is_whole, clients)), "the cluster to be whole")


def _is_whole(client: "redis.Redis") -> bool:
    """Whether a server of a Cluster serves and, as a replica, follows."""
    told = client.info("replication")
    ok = "cluster_state:ok" in _text(client.execute_command("CLUSTER INFO", raw=True))
    return ok and (told["role"] == "master" or told.get("master_link_status") == "up") and _logs(client)


def _logs(client: "redis.Redis") -> bool:
    """Whether what is written goes to a log that is whole; a replica begins it anew when it has got everything."""
    told = client.info("persistence")
    return not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]


# Shared by all tests of a run (of an xdist worker), each with a prefix of its own ------------------------------------

_SHARED = "USSD_TEST_{}_URL"


@cache
def _standalone() -> RedisServer:
    server = RedisServer(*DURABLE)
    atexit.register(server.stop)
    return server


@cache
def _cluster() -> RedisCluster:
    cluster = RedisCluster()
    atexit.register(cluster.stop)
    return cluster


def provide(kind: str) -> None:
    """See to it that there is a server of this kind, for this process and those that it starts."""
    if _SHARED.format(kind) not in os.environ:
        server: RedisServer | RedisCluster = _standalone() if kind == "ALONE" else _cluster()
        os.environ[_SHARED.format(kind)] = server.url


def url_for(kind: str, place: Path) -> str:
    """Return a store's URL that is the same for everybody who asks with this place, and for nobody else."""
    provide(kind)
    name = place / "redis-prefix"
    with suppress(FileExistsError):
        name.touch(exist_ok=False)
    stat = name.stat()
    return f"{os.environ[_SHARED.format(kind)]}?prefix=t{stat.st_ino}-{stat.st_ctime_ns}&buckets=16"
