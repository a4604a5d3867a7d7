"""A fenced store on Redis keeps also what tells whose commit a kept answer is in."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.redis_servers import RedisServer
from tests.ussd_server.stores.redis.steps import ANNA, BORIS, T0, store_at
from ussd_server.stores.base import Change, KeptAnswer, StoreUnavailable
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.store import RedisStore
from ussd_server.subscribers.record import Subscriber

OVER = KeptAnswer("kiosk-1", "over", b"fingerprint", b"body", T0)
OTHER = KeptAnswer("kiosk-1", "other", b"fingerprint", b"body", T0)
CHANGES: dict[str, Callable[[RedisStore], Coroutine[Any, Any, object]]] = {
    "a sweep": lambda store: store.sweep(T0 + 1, 10),
    "an answer to come": lambda store: store._point(OTHER, BORIS.encode()),
    "an answer that is gone": lambda store: store._unpoint([keys.name(OVER.terminal, OVER.key)], ANNA.encode()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fenced_store_keeps_the_way_to_its_answers(server: RedisServer, change: str) -> None:
    async def body() -> None:
        store, mover = store_at(server), store_at(server)
        assert await store.commit(Change(0, Subscriber(ANNA), answer=OVER))
        digits, bucket = ANNA.encode(), store._home(ANNA).bucket
        with server.client() as client:  # the answer itself went when a sweep was cut off, or with its subscriber
            client.delete(bucket.answers(digits), bucket.expiring)
            before = pointers(server)
            assert before
            await mover.set_mark("moved away", fenced=True)
            with pytest.raises(StoreUnavailable, match="moved away"):
                await CHANGES[change](store)
            assert pointers(server) == before
        await mover.set_mark("")
        await CHANGES[change](store)
        assert pointers(server) != before
        for each in (store, mover):
            await each.close()

    asyncio.run(body())


def pointers(server: RedisServer) -> dict[bytes, bytes]:
    with server.client() as client:
        return {key: client.dump(key) for key in client.scan_iter("*:point*")}
