"""The outbox on Redis: who is next in each bucket, what is held, and how it ends."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from ussd_server.outage import Outage
from ussd_server.stores.base import (
    EVERY_LANE,
    LANES,
    MESSAGES,
    Claimed,
    JournalEntry,
    Late,
    StoreUnavailable,
    Unsettled,
)
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.aside import Aside
from ussd_server.stores.redis.buckets import bucket_of
from ussd_server.stores.redis.claims import Claims
from ussd_server.stores.redis.due import HINTS
from ussd_server.stores.redis.layout import Layout
from ussd_server.stores.redis.listing import Listing
from ussd_server.stores.redis.stragglers import STRAGGLERS_S, without_stragglers

LOOK_MS: Final = 1_000
"""Between two looks at every bucket for work that other servers left; of its own a server knows at once."""

TOLD_ASIDE: Final = 100
"""Keys that are told of at once of what was set aside in a bucket; the rest when these are gone."""

BROKEN, LOST = 1, 2
"""What a look says of a bucket of which some list is none; where that is who has a record, the rest waits for it."""

T = TypeVar("T")


class Outbox:
    """The port's outbox. With `look_ms` 0 it asks every bucket for work each time."""

    def __init__(self, layout: Layout, claims: Claims, listing: Listing, look_ms: int, journal_entries: int) -> None:
        self._layout = layout
        self._listing = listing
        self._link = layout.link
        self._claims = claims
        self._journal_entries = journal_entries
        self._looking: set[int] = set()
        """The buckets that are still being looked at, when others have told what there is in them."""
        self._claiming: set[tuple[int, int]] = set()
        """The lanes and buckets in which a claim goes on, when others have ended."""
        self._look_s = look_ms / 1000
        self._aside = Aside(layout.name)
        self._blind = ""
        """Why the last look saw nothing at all; "" where it did not fail."""
        self._outage = Outage(
            "part of the store unavailable, the outbox goes on with the rest", over="the whole store is back"
        )

    async def claim(
        self, now: int, limit: int, lease_ms: int, lanes: Collection[int] = EVERY_LANE, late: Late | None = None
    ) -> list[Claimed]:
        """Take up to `limit` due entries that nobody holds, the oldest of each subscriber and lane, and hold them.

        Given `late`, it does not wait for buckets of a Cluster that are slow.
        """
        await self._look()
        claimed: list[Claimed] = []
        for lane in lanes:
            found: list[tuple[int, Claimed]] = []
            away: set[int] = set()
            while (left := limit - len(claimed) - len(found)) > 0:
                ripe = self._ripe(lane, now, left, away)
                if not ripe:
                    break
                claims = {
                    number: self._claim(lane, number, msisdns, now, now + lease_ms) for number, msisdns in ripe.items()
                }
                # What is held already must not wait, and lose its lease, for a server that is away.
                told, slow = await self._told_by_some(claims, enough=claimed or found, wait=late is None)
                for number, claim in slow.items():
                    self._claiming.add((lane, number))
                    self._claims.due.told(lane, number, ())  # that is told when it ends
                    if late is not None:
                        late(len(ripe[number]), asyncio.ensure_future(self._claimed_late(lane, number, claim)))
                found += [each for rows in told.values() for each in rows]
                away |= claims.keys() - told.keys()
            claimed += [each for _, each in sorted(found, key=lambda one: one[0])]
        return claimed

    def _ripe(self, lane: int, now: int, limit: int, away: Collection[int]) -> dict[int, list[str]]:
        """Return whose work can be claimed, by bucket, but for buckets that are away or in which a claim goes on."""
        return {
            number: whose
            for number, whose in self._claims.due.ripe(lane, now, limit, self._claiming).items()
            if number not in away
        }

    async def _claimed_late(
        self, lane: int, number: int, claim: "asyncio.Future[list[tuple[int, Claimed]]]"
    ) -> list[Claimed]:
        """Return what a claim brings that ends after the others; nothing where its bucket cannot be asked."""
        try:
            return [each for _, each in await claim]
        except Exception as error:
            self._missed(error)
            return []
        finally:
            self._claiming.discard((lane, number))

    def _missed(self, error: BaseException) -> None:
        """Say that a bucket was left out which told so only after the others had ended."""
        if not self._layout.closing:
            self._outage.failed(round(self._link.loop.time() * 1000), cause=str(error))

    async def _claim(
        self, lane: int, number: int, msisdns: Sequence[str], now: int, lease: int
    ) -> list[tuple[int, Claimed]]:
        """Claim these subscribers' first entries, as far as that can be done; each with when it could be first."""
        bucket = self._layout.buckets[number]
        touched = [
            bucket.work,
            bucket.due[lane],
            bucket.due[MESSAGES],
            *(bucket.outbox(msisdn.encode()) for msisdn in msisdns),
        ]
        values: tuple[keys.Value, ...] = (
            now,
            lease,
            lane,
            self._claims.consumer,
            self._claims.name(bucket),
            HINTS,
            *msisdns,
        )
        call = self._layout.call(bucket, "claim", touched, *values)
        rows, heads = await call.answer
        self._claims.due.told(lane, number, _heads(heads))
        return [(row[-1], keys.claimed_of(row, lease)) for row in rows]

    async def next_due(self, lanes: Collection[int] = EVERY_LANE) -> int | None:
        """Return when there is next an entry to claim (ms), as far as it is known here, at most `look_ms` ago."""
        await self._look()
        return self._claims.due.next(lanes, self._claiming)

    async def _look(self) -> None:
        """Learn who is next in each bucket, unless that was done lately."""
        if not self._layout.buckets:
            await self._layout.open()
        self._link.check()
        now = asyncio.get_running_loop().time()
        if now < self._claims.looked + self._look_s:
            if self._blind:
                raise StoreUnavailable(self._blind)
            return
        self._claims.looked = now
        self._link.watch()
        looks = {
            bucket.number: self._ask_who_is_next(bucket)
            for bucket in self._layout.buckets
            if bucket.number not in self._looking
        }
        try:
            told, late = await self._told_by_some(looks, some=True)
        except StoreUnavailable as error:
            self._blind = str(error)
            raise
        self._blind = ""
        self._told_who_is_next(told, late)
        states = {number: state for number, (_, state, _) in told.items() if state}
        if LOST in states.values():
            self._listing.soon(self._missed)
        if broken := [number for number, state in states.items() if state == BROKEN]:
            await self._mend(broken)
        elif not states and len(told) == len(self._layout.buckets):
            self._outage.worked(round(asyncio.get_running_loop().time() * 1000))

    def _ask_who_is_next(self, bucket: keys.Bucket) -> "asyncio.Future[Any]":
        """Send the question; a script of few words, as it is asked of each bucket once a second."""
        return self._layout.call(bucket, "look", bucket.due, bucket.all, bucket.aside, TOLD_ASIDE).answer

    async def _mend(self, broken: Sequence[int]) -> None:
        """Have the lists of buckets made anew of which some is none, and learn who is next there.

        That a slot may be on its way keeps no other work waiting.
        """
        mends = {number: self._link.begin(self._mended(number)) for number in broken}
        self._told_who_is_next(*await self._told_by_some(mends, enough=True))

    def _told_who_is_next(self, told: Mapping[int, Any], late: Mapping[int, "asyncio.Future[Any]"]) -> None:
        """Take down who is next in these buckets, and in those that tell it later then."""
        for number, look in late.items():
            self._looking.add(number)
            look.add_done_callback(partial(self._looked_late, number))
        for number, seen in told.items():
            self._saw(number, seen)

    async def _mended(self, number: int) -> Any:
        """Return who is next in a bucket of which some list was none, and was made anew."""
        bucket = self._layout.buckets[number]
        await self._layout.mend(bucket, *bucket.due)
        return await self._ask_who_is_next(bucket)

    def _looked_late(self, number: int, look: "asyncio.Future[Any]") -> None:
        self._looking.discard(number)
        if look.cancelled():
            return
        error = look.exception()
        if error is None:
            self._saw(number, look.result())
        else:
            self._missed(error)

    def _saw(self, number: int, seen: Sequence[Any]) -> None:
        """Take down who is next in each lane of a bucket, and tell of what was set aside there."""
        lanes, _, aside = seen
        self._aside.saw(number, aside)
        for lane, heads in zip(EVERY_LANE, lanes, strict=True):
            if (lane, number) not in self._claiming:
                self._claims.due.told(lane, number, _heads(heads))

    async def _told_by_some(
        self, asked: Mapping[int, Awaitable[T]], enough: object = None, some: bool = False, wait: bool = False
    ) -> tuple[dict[int, T], dict[int, "asyncio.Future[T]"]]:
        """Return what came of each of these that could be asked, by bucket, and those that still go on.

        Where a server of a Cluster is away, a slot moves or a bucket is damaged, work on the rest goes on: it is held
        already, and would wait for the end of its lease. Raises what is wrong where nothing came, and there is not
        `enough` already. `some` says to wait until it is known which it is, `wait` to wait for all.
        """
        seconds = STRAGGLERS_S if self._link.several and not wait else None
        came, late = await without_stragglers(asked, seconds, some)
        errors = [each for each in came.values() if isinstance(each, BaseException)]
        if errors:
            if not (enough or late or len(errors) < len(came)):
                raise errors[0]
            self._outage.failed(round(asyncio.get_running_loop().time() * 1000), cause=str(errors[0]))
        return {number: each for number, each in came.items() if not isinstance(each, BaseException)}, late

    async def renew(self, claimed: Sequence[Claimed], lease: int) -> None:
        """Hold entries that are under way until `lease` (ms), as the same attempt."""
        if not self._layout.buckets:
            await self._layout.open()
        calls = []
        for each in claimed:
            digits, lane = each.msisdn.encode(), LANES[each.entry.kind]
            bucket = self._layout.bucket(digits)
            touched = (bucket.outbox(digits), bucket.due[lane])
            calls.append(self._layout.call(bucket, "renew", touched, digits, each.entry.id, each.attempt, lease))
        await self._layout.each(calls)

    async def settle(self, claimed: Sequence[Claimed]) -> None:
        """Remove entries that are done with; where some buckets do not do it, the others do all the same."""
        if not self._layout.buckets:
            await self._layout.open()
        calls: list[Awaitable[Any]] = []
        left: list[tuple[Claimed, StoreUnavailable]] = []
        try:
            for each in claimed:
                digits, lane = each.msisdn.encode(), LANES[each.entry.kind]
                bucket = self._layout.bucket(digits)
                touched = (bucket.outbox(digits), bucket.due[lane], bucket.work)
                calls.append(self._layout.call(bucket, "settle", touched, digits, each.entry.id).answer)
        except StoreUnavailable as error:  # as many as there may be are under way
            left += [(each, error) for each in claimed[len(calls) :]]
        for each, ready in zip(claimed, await asyncio.gather(*calls, return_exceptions=True), strict=False):
            if isinstance(ready, StoreUnavailable):
                left.append((each, ready))
            elif isinstance(ready, BaseException):
                raise ready
            elif ready is not None:
                number = bucket_of(each.msisdn.encode(), len(self._layout.buckets))
                self._claims.due.heard(LANES[each.entry.kind], number, ready, each.msisdn)
        if left:
            raise Unsettled(left)

    async def postpone(self, claimed: Claimed, due: int, reason: str) -> None:
        """Let go of an entry that failed for now; nothing happens where another has claimed it since."""
        if not self._layout.buckets:
            await self._layout.open()
        digits, lane = claimed.msisdn.encode(), LANES[claimed.entry.kind]
        bucket = self._layout.bucket(digits)
        touched = (bucket.outbox(digits), bucket.due[lane], bucket.work)
        values = (digits, claimed.entry.id, claimed.attempt, due, reason)
        if await self._layout.call(bucket, "postpone", touched, *values).answer:
            self._claims.due.heard(lane, bucket.number, due, claimed.msisdn)

    async def bury(self, claimed: Claimed, now: int, reason: str, journal: Sequence[JournalEntry] = ()) -> None:
        """Move an entry to the dead letters with a journal entry `given_up`; nothing where another has claimed it."""
        if not self._layout.buckets:
            await self._layout.open()
        entry, digits = claimed.entry, claimed.msisdn.encode()
        lane, bucket = LANES[entry.kind], self._layout.bucket(digits)
        subject = bucket.subject(digits)
        touched = (subject.outbox, bucket.due[lane], bucket.work, subject.dead, bucket.given_up, bucket.kinds)
        told = JournalEntry(now, "given_up", {"id": entry.id, "kind": entry.kind, "reason": reason})
        notes = keys.added_notes((told, *journal), self._journal_entries)
        values: tuple[keys.Value, ...] = (digits, entry.id, claimed.attempt, now, reason, *notes)
        ready = await self._layout.call(bucket, "bury", (*touched, subject.journal), *values).answer
        if ready is not None:
            self._claims.due.heard(lane, bucket.number, ready, claimed.msisdn)


def _heads(flat: Sequence[bytes]) -> list[tuple[int, str]]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return [(int(float(ready)), msisdn.decode()) for msisdn, ready in pairs if msisdn.isdigit()]
