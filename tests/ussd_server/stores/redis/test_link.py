"""What a server did is told only where it is sure whose it is; whoever asked is answered, whatever goes wrong."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from msgspec.structs import replace

from tests.redis_servers import RedisServer, replicas_of, running, wait_until
from tests.ussd_server.stores.redis.steps import ANNA, PATIENT_S, impatient, parsed, refusal, store_at
from ussd_server.stores.base import Change, PerhapsDone, StoreUnavailable
from ussd_server.stores.redis import layout as redis_layout
from ussd_server.stores.redis.buckets import SLOTS
from ussd_server.stores.redis.nodes import NotConfirmed
from ussd_server.stores.redis.store import RedisStore
from ussd_server.stores.redis.wire import Address, Wire
from ussd_server.subscribers.record import Subscriber

pytestmark = pytest.mark.usefixtures("_patient_with_replicas")

OLD, NEW = "ru", "en"
"""What the record says at the old master, and at the new one."""


class Named:
    """Servers of which a test names the master; that one is confirmed only for the moment of the question.

    `errors` are what the next questions whether it is the one end with instead, `lost` those where it is; with `silent`
    it is not said whether it is the one.
    """

    fixed = several = False

    def __init__(self, master: RedisServer) -> None:
        self.name(master)
        self.errors: list[Exception] = []
        self.lost: list[Exception] = []
        self.silent = False

    def name(self, master: RedisServer) -> None:
        self._master = ("127.0.0.1", master.port)

    async def find(self) -> Sequence[Address]:
        """Return the one that the test names."""
        if self.lost:
            raise self.lost.pop()
        return [self._master] * SLOTS

    async def confirm(self, address: Address) -> float:
        """Confirm that one."""
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if self.errors:
            raise self.errors.pop()
        if address != self._master:
            raise NotConfirmed("a failover is over")
        return 0.0

    async def replicas(self) -> Sequence[Address]:
        """Return none."""
        return []

    async def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def masters() -> Iterator[tuple[RedisServer, RedisServer]]:
    """Give an old master and a new one, each with a replica."""
    with ExitStack() as stack:
        pair = [stack.enter_context(running("--repl-diskless-sync-delay", "0")) for _ in range(2)]
        for each in pair:
            stack.enter_context(running("--replicaof", f"127.0.0.1 {each.port}"))
        for each in pair:
            wait_until(lambda each=each: replicas_of(each) == 1, "the replica to follow")  # type: ignore[misc]
        yield pair[0], pair[1]


def test_what_waits_for_replicas_is_given_up_in_time_where_redis_falls_silent_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis had carried the commit out and said so; what it was asked next, who has it, it does not answer."""
    with running() as master, running("--replicaof", f"127.0.0.1 {master.port}") as replica:
        wait_until(lambda: replicas_of(master) == 1, "the replica to follow")

        async def body() -> None:
            store = store_at(master, "buckets=4&replicas=1")
            assert await store.commit(Change(0, Subscriber(ANNA, language=OLD)))
            record, version = await store.load(ANNA)
            replica.pause()
            received = Wire.data_received

            def fall_silent(wire: Wire, data: bytes) -> None:
                master.pause()
                monkeypatch.setattr(Wire, "data_received", received)
                received(wire, data)

            monkeypatch.setattr(Wire, "data_received", fall_silent)
            with impatient(store), pytest.raises(PerhapsDone, match="no answer"):
                async with asyncio.timeout(30):
                    await store.commit(Change(version, replace(record, language=NEW)))
            monkeypatch.setattr(Wire, "data_received", received)  # where not even the reply came in time
            master.go_on()
            replica.go_on()
            assert (await store.load(ANNA, latest=True))[0].language == NEW
            await store.close()

        asyncio.run(body())


def after_a_failover(
    masters: tuple[RedisServer, RedisServer],
    monkeypatch: pytest.MonkeyPatch,
    test: Callable[[RedisStore, Named], Coroutine[None, None, None]],
) -> None:
    """Let a store with a connection to the old master meet a failover that it has not heard of."""

    async def body() -> None:
        for server, language in zip(masters, (OLD, NEW), strict=True):
            alone = store_at(server)
            assert await alone.commit(Change(0, Subscriber(ANNA, language=language)))
            await alone.close()
            with server.client() as client:
                client.hset("ussd:{ussd}:meta", "id", "one store")  # the new one was a replica of the old
        nodes = Named(masters[0])
        monkeypatch.setattr(redis_layout, "_nodes", lambda url, greeting: nodes)
        url = f"redis+sentinel://127.0.0.1:{masters[0].port}/main"
        store = RedisStore(parsed(url, "buckets=4&replicas=1"), patience_s=PATIENT_S)
        assert (await store.load(ANNA, latest=True))[0].language == OLD
        nodes.name(masters[1])
        try:
            await test(store, nodes)
        finally:
            await store.close()

    asyncio.run(body())


def test_what_was_read_at_the_old_master_is_not_durable_because_the_new_one_is_confirmed(
    masters: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore, nodes: Named) -> None:
        assert (await store.load(ANNA, latest=True))[0].language == NEW

    after_a_failover(masters, monkeypatch, test)


def test_what_was_read_at_a_replica_is_not_durable_because_the_new_master_takes_writes(
    masters: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore, nodes: Named) -> None:
        with masters[0].client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")  # its connections stay, and it reads on
        assert (await store.load(ANNA, latest=True))[0].language == NEW

    after_a_failover(masters, monkeypatch, test)


# What was carried out, and is held until it is sure that the server was still the one -------------------------------


def test_an_error_that_nobody_expects_confirms_nothing_and_it_is_asked_again(
    masters: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore, nodes: Named) -> None:
        nodes.errors = [ValueError("no number"), ValueError("no number")]  # ahead of time, and when it is needed
        assert (await store.load(ANNA, latest=True))[0].language == NEW

    after_a_failover(masters, monkeypatch, test)


def test_an_error_that_nobody_expects_does_not_end_the_search_for_the_master(
    masters: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore, nodes: Named) -> None:
        nodes.lost = [ValueError("no number")]
        assert (await store.load(ANNA, latest=True))[0].language == NEW
        assert not nodes.lost

    after_a_failover(masters, monkeypatch, test)


def test_an_error_that_nobody_expects_is_told_when_the_time_is_over(
    masters: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore, nodes: Named) -> None:
        nodes.errors = [ValueError("no number")] * 10_000
        with impatient(store):
            await refusal(lambda: store.load(ANNA, latest=True), r"no answer for 0\.3 s: .*ValueError\('no number'\)")

    after_a_failover(masters, monkeypatch, test)


def test_what_is_held_is_refused_when_its_time_is_over(
    masters: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore, nodes: Named) -> None:
        nodes.silent = True
        with impatient(store), pytest.raises(StoreUnavailable, match=r"no answer for 0\.3 s"):
            await store.load(ANNA, latest=True)

    after_a_failover(masters, monkeypatch, test)


def test_what_is_held_when_the_store_is_closed_is_refused_at_once(
    masters: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(store: RedisStore, nodes: Named) -> None:
        link, copied, held = store.link, store.link.copied, asyncio.Event()

        def hold_and_end(*carried_out: Any) -> None:
            copied(*carried_out)
            for task in link._tasks:  # as closing does, before any of them has begun
                task.cancel()
            held.set()

        monkeypatch.setattr(link, "copied", hold_and_end)
        loading = asyncio.ensure_future(store.load(ANNA, latest=True))
        await held.wait()
        await link.close("it is closed", 0, tuple)
        with pytest.raises(StoreUnavailable, match="it is closed"):
            await loading

    after_a_failover(masters, monkeypatch, test)
