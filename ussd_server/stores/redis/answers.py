"""The kept answers to terminals' requests, each with the subscriber whose commit it is in, and the way there."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from ussd_server.stores.base import KeptAnswer, StoreUnavailable
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.layout import Layout
from ussd_server.stores.redis.pieces import pieces
from ussd_server.stores.redis.wire import Asked

READ: Final = 500
"""Pointers that Redis looks at for one answer when all are looked through: a quarter of a millisecond of its time."""

READ_AT_ONCE: Final = 16
"""Buckets of which a piece is asked for at once: whoever else asks waits no longer than for so many."""


class Answers:
    """The port's kept answers."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._link = layout.link

    async def answer(self, terminal: str, key: str) -> KeptAnswer | None:
        """Return the kept answer of a request; what is returned is durable, and so is what was committed with it."""
        name = keys.name(terminal, key)
        await self._layout.open()
        pointing = self._layout.bucket(name)
        digits = await self._link.ask(pointing.slot, (b"HGET", pointing.pointers, name)).answer
        if digits is None:
            return None
        bucket = self._layout.bucket(digits)
        value = await self._layout.durably(bucket, (b"HGET", bucket.answers(digits), name))
        return None if value is None else keys.answer_of(terminal, key, value)

    async def _point(self, answer: KeptAnswer, digits: bytes) -> bool:
        """Say that the answer to a request comes with this subscriber's commit; False where another's may have it."""
        name = keys.name(answer.terminal, answer.key)
        bucket = self._layout.bucket(name)
        call = self._layout.call(bucket, "point", (bucket.pointers, bucket.pointing), name, digits, answer.expires)
        return bool(await call.answer == 1)

    async def _pointed(self, numbers: Sequence[bytes]) -> tuple[dict[bytes, set[bytes]], StoreUnavailable | None]:
        """Return the names of the requests that are answered with these subscribers' commits, made or not.

        All pointers are read for it. Where some cannot be, that comes beside what was found.
        """
        found: dict[bytes, set[bytes]] = {digits: set() for digits in numbers}
        left = iter(self._layout.buckets)

        async def read() -> None:
            for bucket in left:
                async for flat in pieces(partial(self._pointers_to, bucket, numbers), self._layout.name):
                    for name, digits in zip(flat[::2], flat[1::2], strict=True):
                        found[digits].add(name)

        missed: StoreUnavailable | None = None
        for outcome in await asyncio.gather(*(read() for _ in range(READ_AT_ONCE)), return_exceptions=True):
            if isinstance(outcome, StoreUnavailable):
                missed = outcome
            elif outcome is not None:
                raise outcome
        return found, missed

    def _pointers_to(self, bucket: Bucket, numbers: Sequence[bytes], cursor: bytes) -> Asked:
        return self._layout.call(bucket, "pointers_to", [bucket.pointers], cursor, READ, *numbers)

    async def _unpoint(self, names: Sequence[bytes], digits: bytes) -> None:
        """Let requests with these names be answered with any subscriber's commit."""
        calls = []
        for name in names:
            bucket = self._layout.bucket(name)
            calls.append(self._layout.call(bucket, "unpoint", (bucket.pointers, bucket.pointing), name, digits))
        await self._layout.each(calls)
