"""Records on Redis, and commits, each of which is one script."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, cast

from ussd_server.log import mask
from ussd_server.stores.base import Change, Claimed, DamagedRecord, Told, ToldHeld, pass_on, tell_of, tell_soon
from ussd_server.stores.cache import Cache
from ussd_server.stores.damaged import UNDECODABLE
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.answers import Answers
from ussd_server.stores.redis.claims import Claims
from ussd_server.stores.redis.keys import Bucket
from ussd_server.stores.redis.layout import Layout
from ussd_server.stores.redis.scripts import EVERY_SCRIPT
from ussd_server.stores.redis.together import Replaced, Together
from ussd_server.stores.redis.wire import Asked
from ussd_server.subscribers.record import Subscriber, decode

_COMMIT: Final = EVERY_SCRIPT["commit"]


class Records(Answers):
    """The port's records and commits; `journal_entries` are kept of each kind."""

    def __init__(self, layout: Layout, cache: Cache, claims: Claims, journal_entries: int) -> None:
        super().__init__(layout)
        self._home = layout.home
        self._cache = cache
        self._claims = claims
        self._together = Together(layout.link, cache, layout.name)
        self._new_version = layout.new_version
        self._journal_entries = journal_entries

    async def load(self, msisdn: str, latest: bool = False) -> tuple[Subscriber, int]:
        """Return the record and its version; one used lately is not read again.

        `latest` asks Redis, where another server may have written, and reads the record if its version is new. What it
        returns is durable, also where the commit that wrote it was refused for too few replicas.
        """
        found = self._cache.get(msisdn)
        if found is not None and not latest:
            return found
        if not self._layout.buckets:
            await self._layout.open()
        home = self._home(msisdn)
        slot = home.bucket.slot
        if found is not None:
            stored = await self._layout.durably(home.bucket, (b"GETRANGE", home.record, 0, keys.VERSION_OCTETS - 1))
            if int.from_bytes(stored, "big") == found[1]:
                return found
            self._cache.drop(msisdn)
        command = (b"GET", home.record)
        value = await (self._layout.durably(home.bucket, command) if latest else self._link.ask(slot, command).answer)
        if value is None:
            return Subscriber(msisdn), 0
        return self._cache.put(self._decoded(msisdn, value), int.from_bytes(value[:8], "big"), len(value))

    def remembered(self, msisdn: str) -> tuple[Subscriber, int] | None:
        """Return a record used lately, and its version."""
        return self._cache.get(msisdn)

    def _decoded(self, msisdn: str, value: bytes) -> Subscriber:
        try:
            return decode(value[keys.VERSION_OCTETS :])
        except UNDECODABLE as error:
            raise DamagedRecord(f"{self._layout.name}: the record of {mask(msisdn)} is damaged: {error}") from error

    async def commit(self, change: Change) -> bool:
        """Write the change durably and return True, or return False where `version` is not the stored one."""
        if not self._layout.buckets:
            await self._layout.open()
        if not _only_a_record(change):
            return await self._commit(change, 0, 0) is not None
        future: asyncio.Future[bool] = self._link.loop.create_future()
        self.commit_then(change, partial(pass_on, future))
        return await future

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit, and call `told` with what `commit` would return or raise."""
        if not self._layout.buckets or not _only_a_record(change):
            tell_of(self.commit(change), told)
            return
        record, fresh = change.record, self._new_version()
        try:
            value, (key, bucket, _) = keys.record(fresh, record), self._home(record.msisdn)
        except ValueError as error:
            tell_soon(told, error)
        else:
            self._together.replace(bucket.slot, key, change.version, value, Replaced(record, fresh, len(value), told))

    def commit_and_hold_then(self, change: Change, now: int, lease: int, told: ToldHeld) -> None:
        """Commit and hold, and call `told` with what `commit_and_hold` would return or raise."""
        tell_of(self.commit_and_hold(change, now, lease), told)

    async def commit_and_hold(self, change: Change, now: int, lease: int) -> list[Claimed] | None:
        """Commit, and hold what of its outbox could be claimed at `now` until `lease`; None where it was refused."""
        held = await self._commit(change, now, lease)
        if not held:
            return None if held is None else []
        attempts = dict(zip(held[::2], held[1::2], strict=True))
        msisdn = change.record.msisdn
        return [
            Claimed(msisdn, entry, attempts[id], lease)
            for entry in change.outbox
            if (id := entry.id.encode()) in attempts
        ]

    async def _commit(self, change: Change, now: int, lease: int) -> Sequence[Any] | None:
        """Commit with everything that one may have; return ids and attempts of what is held, None where refused."""
        record, version = change.record, change.version
        if not self._layout.buckets:
            await self._layout.open()
        _, bucket, digits = self._home(record.msisdn)
        if not 0 <= version < 1 << 64 or (change.answer and not await self._point(change.answer, digits)):
            return None
        fresh = self._new_version()
        value = keys.record(fresh, record)
        before = version.to_bytes(8, "big") if version else b""
        request = self._commit_all(bucket, digits, (before, value, digits, now, lease), change)
        done, *told = await request.answer
        if done == 1:
            heads, held = told
            self._claims.heard(bucket, record.msisdn, heads)
            self._cache.put(record, fresh, len(value))
            return cast(Sequence[Any], held)
        self._cache.drop(record.msisdn)
        self._layout.sure(request)
        if done == -1:
            raise ValueError("this change can never be written: an id in its outbox is taken")
        return None

    def _commit_all(
        self, bucket: Bucket, digits: bytes, begin: tuple[bytes, bytes, bytes, int, int], change: Change
    ) -> Asked:
        lease = begin[-1]
        claim = self._claims.name(bucket) if lease else ""
        answers = () if change.answer is None else (change.answer,)
        groups = (change.settled, change.dropped, change.exhumed, change.outbox, change.journal, answers)
        values: list[keys.Value] = [*begin, self._claims.consumer, claim, *map(len, groups)]
        values += change.settled
        values += change.dropped
        values += change.exhumed
        for entry in change.outbox:
            values += keys.added(entry)
        values += keys.added_notes(change.journal, self._journal_entries)
        for answer in answers:
            values += (keys.name(answer.terminal, answer.key), keys.answer(answer), answer.expires)
        return self._link.call(bucket.slot, _COMMIT, (*bucket.subject(digits), *bucket.common), values)


def _only_a_record(change: Change) -> bool:
    """Whether nothing but a record is replaced, as nearly every commit does."""
    if change.journal or change.outbox or change.settled or change.dropped or change.exhumed or change.answer:
        return False
    return 0 < change.version < 1 << 64
