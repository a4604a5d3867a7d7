"""What is over in a store on Redis: nonces, kept answers, and servers in the lists of who performs what."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ussd_server.stores.redis.claims import Claims
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.layout import Layout
from ussd_server.stores.redis.wire import Asked

SILENT_MS: Final = 3_600_000
"""After so long a server that holds nothing is taken out of the lists of who performs what."""


class Sweeps:
    """The port's sweeping."""

    def __init__(self, layout: Layout, claims: Claims) -> None:
        self._layout = layout
        self._link = layout.link
        self._claims = claims
        self._tidied: float | None = None

    async def sweep(self, now: int, limit: int) -> int:
        """Delete up to `limit` nonces and answers whose time is over; commits go on in between."""
        await self._layout.open()
        await self._tidy()

        def look(bucket: Bucket) -> Asked:
            return self._layout.call(bucket, "over", (bucket.nonces, bucket.expiring, bucket.pointing), now)

        looks = await self._layout.of_lists("expiring", self._layout.buckets, look)
        sweeps: list[Asked] = []
        left = limit
        for bucket, (nonces, answers, pointers) in zip(self._layout.buckets, looks, strict=True):
            some = min(nonces, left)
            if some:
                sweeps.append(self._layout.call(bucket, "sweep_nonces", [bucket.nonces], now, some))
            left -= some
            more = min(answers, left)
            if more:
                sweeps += await self._sweep_answers(bucket, now, more)
            left -= more
            if pointers:
                await self._layout.call(
                    bucket, "forget_pointers", (bucket.pointers, bucket.pointing), now, limit
                ).answer
        return sum(await self._layout.each(sweeps))

    async def _sweep_answers(self, bucket: Bucket, now: int, limit: int) -> list[Asked]:
        command = (b"ZRANGEBYSCORE", bucket.expiring, "-inf", now, "LIMIT", 0, limit)
        calls = []
        for member in await self._link.ask(bucket.slot, command).answer:
            digits, _, name = member.partition(b" ")
            touched = (bucket.answers(digits), bucket.expiring)
            calls.append(self._layout.call(bucket, "forget_answer", touched, digits, name, now))
        return calls

    async def _tidy(self) -> None:
        """From time to time, take servers that are gone out of the lists of who performs what."""
        now = asyncio.get_running_loop().time()
        if self._tidied is not None and now < self._tidied + SILENT_MS / 1000:
            return
        self._tidied = now
        await self._layout.each(
            [self._layout.call(bucket, "tidy", [bucket.work], SILENT_MS, "") for bucket in self._layout.buckets]
        )

    def _sign_off(self) -> Sequence[Asked]:
        """Take this server out of the lists of who performs what, where it holds nothing."""
        buckets = [self._layout.buckets[number] for number in self._claims.held_in]
        return [
            self._layout.call(bucket, "tidy", [bucket.work], SILENT_MS, self._claims.consumer) for bucket in buckets
        ]
