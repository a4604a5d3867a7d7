"""The kept answers to terminals' requests, each with the subscriber whose commit it is in, and the way there."""

from collections.abc import Sequence

from ussd_server.stores.base import KeptAnswer
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.layout import Layout


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

    async def _pointed(self, digits: bytes) -> list[bytes]:
        """Return the names of the requests that are answered with this subscriber's commits, made or not."""
        calls = [self._layout.call(bucket, "pointers_to", [bucket.pointers], digits) for bucket in self._layout.buckets]
        return [name for names in await self._layout.each(calls) for name in names]

    async def _unpoint(self, names: Sequence[bytes], digits: bytes) -> None:
        """Let requests with these names be answered with any subscriber's commit."""
        calls = []
        for name in names:
            bucket = self._layout.bucket(name)
            calls.append(self._layout.call(bucket, "unpoint", (bucket.pointers, bucket.pointing), name, digits))
        await self._layout.each(calls)
