"""Who has a record: the list of each bucket, completed or made anew from all keys that there are.

It is the one list that no other key tells, so all keys of all servers are looked through, a piece at a time.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from ussd_server.stores.redis import keys
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.layout import Layout
from ussd_server.stores.redis.link import NoList
from ussd_server.stores.redis.pieces import pieces
from ussd_server.stores.redis.wire import Asked

SCANNED: Final = 1000
"""Keys that Redis looks at for one answer when all are looked through: about half a millisecond of its time."""

AGAIN_S: Final = 10.0
"""Between two times that all are looked through because some list is another program's."""


class Listing:
    """The lists of who has a record."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._link = layout.link
        self._not_before = float("-inf")

    def soon(self, failed: Callable[[BaseException], None]) -> None:
        """List anew beside all else, unless that goes on or was done a moment ago; `failed` is told what went wrong."""
        loop = self._link.loop

        def ended(listing: "asyncio.Task[int]") -> None:
            self._not_before = loop.time() + AGAIN_S
            if not listing.cancelled() and (error := listing.exception()):
                failed(error)

        if loop.time() >= self._not_before:
            self._not_before = float("inf")
            self._link.begin(self.relist()).add_done_callback(ended)

    async def relist(self) -> int:
        """List again who has a record and is in no list; return how many those were.

        A list that is another program's is set aside, and made anew, once all are known who have to be in it: until
        then nobody comes to be there, or is gone, as both are refused. Where it was mended meanwhile, and is another
        program's again, who came in between may be missed until this is done the next time.
        """
        homes, found = await self._layout.homes(), 0
        while True:
            everybody: dict[Bucket, list[bytes]] = {bucket: [] for bucket in await self._lost()}
            for slot in {home: slot for slot, home in homes.items()}.values():
                async for names in pieces(partial(self._scan, slot), self._layout.name):
                    by_bucket = self._by_bucket(names)
                    for bucket, known in everybody.items():
                        known += by_bucket.pop(bucket, ())
                    found += await self._list(by_bucket, 0)
            before, homes = homes, await self._layout.homes()
            if homes == before:
                for bucket, known in everybody.items():
                    # One at a time, as together they may be more than may be under way. Each in one call, also where
                    # it is large: a list of which there is a part would be taken for all of it.
                    found += await self._list({bucket: known}, 1)
                return found
            # What moved may have come to where it was looked before.

    async def _lost(self) -> list[Bucket]:
        """Return the buckets of which the list is another program's."""
        asked = [self._link.ask(each.slot, (b"ZCARD", each.all)).answer for each in self._layout.buckets]
        told = await asyncio.gather(*asked, return_exceptions=True)
        return [bucket for bucket, each in zip(self._layout.buckets, told, strict=True) if isinstance(each, NoList)]

    def _scan(self, slot: int, cursor: bytes) -> Asked:
        pattern = keys.every_record(self._layout.url.prefix)
        return self._link.ask(slot, (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", SCANNED))

    def _by_bucket(self, names: Sequence[bytes]) -> dict[Bucket, list[bytes]]:
        by_bucket: dict[Bucket, list[bytes]] = {}
        for name in names:
            digits = name.rpartition(b":")[2]
            bucket = self._layout.bucket(digits)
            if digits.isdigit() and bucket.record(digits) == name:  # anything else is no record of this store
                by_bucket.setdefault(bucket, []).append(digits)
        return by_bucket

    async def _list(self, by_bucket: Mapping[Bucket, Sequence[bytes]], everybody: int) -> int:
        calls = [
            self._layout.call(bucket, "relist", (bucket.all, *map(bucket.record, numbers)), everybody, *numbers)
            for bucket, numbers in by_bucket.items()
        ]
        return sum(await self._layout.each(calls))
