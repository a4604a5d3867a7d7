"""Who answers, and whether we may ask it: what is wrong there is said at once, with the mend."""

import asyncio
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import trustme
from aiohttp.test_utils import TestServer
from aiohttp.web import Application

from tests.ports import free_port
from tests.redis_servers import DURABLE, running
from tests.ussd_server.stores.redis.steps import count, counted, parsed, refusal, store_at
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator.smsc import Smsc
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.opening import open_store
from ussd_server.stores.redis import nodes as redis_nodes
from ussd_server.stores.redis import wire as redis_wire
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.redis.tls import speaks_plainly


@pytest.mark.parametrize("options", [(), ("--requirepass", "right")])
def test_a_wrong_password_is_told_at_once_and_not_shown(options: tuple[str, ...]) -> None:
    with running(*DURABLE, *options) as server:
        for url in (f"redis://:wrong-one@127.0.0.1:{server.port}", f"redis://me:wrong-one@127.0.0.1:{server.port}"):

            async def body(url: str = url) -> None:
                with pytest.raises(StoreUnavailable) as caught:
                    await open_store(parsed(url))
                assert "password" in str(caught.value)
                assert "wrong-one" not in str(caught.value)

            asyncio.run(body())


def test_a_password_opens_it() -> None:
    with running(*DURABLE, "--requirepass", "right", "--aclfile", "") as server:

        async def body() -> None:
            store = RedisStore(parsed(f"redis://:right@127.0.0.1:{server.port}/3"))
            await count(store)
            await store.close()
            with pytest.raises(StoreUnavailable, match="write it in the store's URL, redis://:PASSWORD@HOST"):
                await open_store(parsed(server.url))
            with pytest.raises(StoreUnavailable, match="refuses the user or password"):
                await open_store(parsed(f"redis://:wrong@127.0.0.1:{server.port}/3"))

        asyncio.run(body())


def test_a_database_that_redis_does_not_have_is_told_with_the_mend() -> None:
    with running() as server:

        async def body() -> None:
            with pytest.raises(StoreUnavailable, match=r"no database of this number .* write a lower one"):
                await open_store(parsed(f"redis://127.0.0.1:{server.port}/99"))

        asyncio.run(body())


def test_a_redis_that_is_named_as_a_sentinel_is_told_with_the_mend() -> None:
    with running() as server:

        async def body() -> None:
            store = RedisStore(parsed(f"redis+sentinel://127.0.0.1:{server.port}/main"), patience_s=0.5)
            await refusal(lambda: count(store), r"no Sentinel, but a Redis: .* write redis://")
            await store.close()

        asyncio.run(body())


def test_tls_is_spoken_and_the_certificate_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, ca = authority.issue_cert("127.0.0.1"), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    pem = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
    port = free_port()
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(ca))
    with running(*DURABLE, *options, "--tls-cert-file", str(pem), "--tls-key-file", str(pem)):

        async def body() -> None:
            store = RedisStore(parsed(f"rediss://127.0.0.1:{port}/0", f"ca_file={ca}"))
            await asyncio.gather(*(count(store, 3, f"7910000{n:04}") for n in range(1000, 1020)))
            assert await counted(store, "79100001000") == 3
            await store.close()
            store = RedisStore(parsed(f"rediss://127.0.0.1:{port}/0"), patience_s=0.5)
            await refusal(store.ping, "its certificate is not trusted: ")
            await store.close()

        asyncio.run(body())


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel", "rediss+cluster"])
def test_a_redis_that_speaks_no_tls_is_said_to_with_the_mend(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((redis_wire, "CONNECT_S"), (redis_nodes, "ASK_S")):
        monkeypatch.setattr(module, name, 0.2)  # it waits for the rest of the line that a TLS handshake is to it
    with running("--requirepass", "secret") as redis:
        path = "/main" if "sentinel" in scheme else ""

        async def body() -> None:
            store = RedisStore(parsed(f"{scheme}://127.0.0.1:{redis.port}{path}"), patience_s=0.8)
            await refusal(store.ping, "it answers, but not to TLS: write redis in place of rediss in")
            await store.close()

        asyncio.run(body())


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("user", ["", ":secret@"])
def test_who_is_no_redis_is_told_at_once(user: str, scheme: str) -> None:
    """The port of a web page, and of an SMSC: its URL is wrong, and waiting mends nothing."""

    async def refused_by(port: int) -> None:
        url = f"{scheme}://{user}127.0.0.1:{port}{'/0' if scheme == 'redis' else ''}"
        store = RedisStore(parsed(url), patience_s=0.5 if scheme == "redis+cluster" else 600.0)
        await refusal(store.ping, "what answers there is no Redis: correct host and port in the")
        await store.close()

    async def body() -> None:
        page = TestServer(Application())
        await page.start_server()
        await refused_by(page.port or 0)
        await page.close()
        smsc = Smsc("127.0.0.1", 0, {"ussd": Secret("demo")}, ["79100000001"])
        await smsc.start()
        await refused_by(smsc.port)
        await smsc.stop()

    asyncio.run(body())


def test_nobody_is_asked_plainly_where_nobody_is() -> None:
    port = free_port()
    assert not asyncio.run(speaks_plainly(("127.0.0.1", port)))


def test_a_replica_is_refused_and_named_so() -> None:
    with running() as master, running(*DURABLE, "--replicaof", f"127.0.0.1 {master.port}") as replica:

        async def body() -> None:
            store = store_at(replica, patience_s=0.3)
            await refusal(store.ping, "this Redis is a replica and takes no writes")
            await store.close()

        asyncio.run(body())


def test_how_long_replicas_are_waited_for_is_always_said_as_redis_waits_for_ever_where_it_is_0() -> None:
    (waits,) = [each for each in fields(redis_wire.Greeting) if each.name == "wait_ms"]
    assert (waits.default, waits.default_factory) == (MISSING, MISSING)
