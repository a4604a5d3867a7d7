"""All there is of a subscriber on Redis, beside its record: told, replaced, forgotten; and who there is."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from ussd_server.stores.base import DeadLetter, Everything, JournalEntry, OutboxKind
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.buckets import bucket_of
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.layout import digits_of
from ussd_server.stores.redis.records import Records
from ussd_server.stores.redis.wire import Asked

JOURNAL_PIECE: Final = 200
"""Journal entries read at once where only those of a kind are wanted."""


class Subscribers(Records):
    """The port's subscribers."""

    async def journal(self, msisdn: str, kind: str | None = None, limit: int = 100) -> list[JournalEntry]:
        """Return the newest entries of a subscriber, newest first."""
        digits = digits_of(msisdn)
        await self._layout.open()
        bucket = self._layout.bucket(digits)
        found: list[JournalEntry] = []
        piece = limit if kind is None else max(limit, JOURNAL_PIECE)
        last = -1
        while len(found) < limit:
            command = (b"LRANGE", bucket.journal(digits), last - piece + 1, last)
            notes = [keys.note_of(each) for each in reversed(await self._link.ask(bucket.slot, command).answer)]
            found += [each for each in notes if kind is None or each.kind == kind]
            if len(notes) < piece:
                break
            last -= piece
        return found[:limit]

    async def dead_letters(self, msisdn: str) -> list[DeadLetter]:
        """Return what was given up of a subscriber, oldest first."""
        _, _, _, letters, _ = await self._told(msisdn)
        return [keys.letter_of(msisdn, row) for row in sorted(letters)]

    async def subscribers(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have a record, bucket by bucket, beginning behind `after` ("": all)."""
        return await self._walk("all", after, limit)

    async def given_up(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have dead letters, as `subscribers` does."""
        return await self._walk("given_up", after, limit)

    async def brought(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that were restored as `brought` under the mark there is, as `subscribers`."""
        return await self._walk("brought", after, limit)

    async def _walk(self, index: str, after: str, limit: int) -> list[str]:
        await self._layout.open()
        start = bucket_of(digits_of(after), len(self._layout.buckets)) if after else 0
        found: list[str] = []
        width = 1
        while start < len(self._layout.buckets) and len(found) < limit:
            buckets = self._layout.buckets[start : start + width]
            ask = partial(self._ask_who, index, limit - len(found), {buckets[0].number: after})
            for numbers in await self._layout.of_lists(index, buckets, ask):
                found += [each.decode() for each in numbers]
            start, width, after = start + width, 2 * width, ""
        return found[:limit]

    def _ask_who(self, index: str, limit: int, behind: Mapping[int, str], bucket: Bucket) -> Asked:
        after = behind.get(bucket.number)
        begin = f"({after}" if after else "-"
        command = (b"ZRANGEBYLEX", getattr(bucket, index), begin, "+", "LIMIT", 0, limit)
        return self._link.ask(bucket.slot, command)

    async def count_subscribers(self) -> int:
        """Return how many numbers have a record."""
        return sum(await self._layout.of_each_bucket(lambda bucket: (b"ZCARD", bucket.all)))

    async def count_dead_letters(self) -> Mapping[OutboxKind, int]:
        """Return how many dead letters there are of each kind that there are any of.

        A bucket's count that another program made no number of is left out until the next letter of it is counted.
        """
        found: dict[Any, int] = {}
        await self._layout.open()
        told = await self._layout.of_lists(
            "kinds", self._layout.buckets, lambda bucket: self._link.ask(bucket.slot, (b"HGETALL", bucket.kinds))
        )
        for flat in told:
            for kind, number in zip(flat[::2], flat[1::2], strict=True):
                if number.isdigit():
                    found[kind.decode()] = found.get(kind.decode(), 0) + int(number)
        return found

    async def forget(self, msisdn: str) -> bool:
        """Delete all that is known of a subscriber; False where nothing was.

        Where part of a Cluster is away, raises StoreUnavailable when all is deleted that can be.
        """
        (gone,) = await self._forget([msisdn])
        return gone

    async def forget_each(self, msisdns: Sequence[str]) -> None:
        """Delete all that is known of each of these, as `forget` does, and read all pointers once."""
        await self._forget(msisdns)

    async def _forget(self, msisdns: Sequence[str]) -> list[bool]:
        numbers = [digits_of(msisdn) for msisdn in msisdns]
        await self._layout.open()
        # Also those of requests whose commit never came, and of who was killed here: its answers are gone.
        pointed, missed = await self._pointed(numbers)
        requests = []
        for digits in numbers:
            bucket = self._layout.bucket(digits)
            requests.append(self._layout.call(bucket, "forget", (*bucket.subject(digits), *bucket.common), digits))
        told = await self._layout.each(requests)
        for msisdn in msisdns:
            self._cache.drop(msisdn)
        for digits, (_, *names) in zip(numbers, told, strict=True):
            await self._unpoint(list(pointed[digits].union(names)), digits)
        if missed:
            raise missed
        for request, (gone, *_) in zip(requests, told, strict=True):
            if not gone:
                self._layout.sure(request)
        return [bool(gone) for gone, *_ in told]

    async def _told(self, msisdn: str) -> Any:
        digits = digits_of(msisdn)
        await self._layout.open()
        bucket = self._layout.bucket(digits)
        return await self._layout.call(bucket, "dump", bucket.subject(digits)).answer

    async def dump(self, msisdn: str) -> Everything | None:
        """Return all there is of a subscriber as it is at one moment; None for an unknown number."""
        told = await self._told(msisdn)
        return None if told[0] is None else keys.everything_of(self._decoded(msisdn, told[0]), told)

    async def restore(self, everything: Everything, brought: bool = False) -> None:
        """Let what there is of this subscriber be just this, durably.

        Raises ValueError, and changes nothing, where an answered request belongs to another subscriber.
        """
        msisdn = everything.record.msisdn
        digits = digits_of(msisdn)
        await self._layout.open()
        bucket = self._layout.bucket(digits)
        value = keys.record(self._new_version(), everything.record)
        values = (value, digits, *keys.restored(everything, brought))
        names = {keys.name(each.terminal, each.key) for each in everything.answers}
        pointed = await asyncio.gather(*(self._point(each, digits) for each in everything.answers))
        if not all(pointed):
            known = await self._link.ask(bucket.slot, (b"HKEYS", bucket.answers(digits))).answer
            await self._unpoint(list(names.difference(known)), digits)
            raise ValueError("this can never be written: an answered request is another subscriber's")
        touched = (*bucket.subject(digits), *bucket.common, bucket.brought)
        before = await self._layout.call(bucket, "restore", touched, *values).answer
        await self._unpoint([name for name in before if name not in names], digits)
        self._cache.drop(msisdn)
        self._claims.looked = float("-inf")  # what is next there is not as it was told before
