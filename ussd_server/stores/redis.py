"""The store on Redis: one record and all that belongs to it change in one script, on one server or a whole Cluster.

A step is normally one round trip, its commit: records used lately are remembered. A script is sent again after a lost
connection or a failover, so each makes sure by itself that it acts once (`scripts/` says how).
`docs/decisions/0015-redis-store.md` tells why it is laid out so.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
import structlog

from ussd_server.log import mask
from ussd_server.outage import Outage
from ussd_server.store_url import RedisUrl
from ussd_server.stores import redis_durability as durability
from ussd_server.stores import redis_keys as keys
from ussd_server.stores.base import (
    EVERY_LANE,
    JOURNAL_ENTRIES,
    LANES,
    MESSAGES,
    Change,
    Claimed,
    DeadLetter,
    Everything,
    JournalEntry,
    KeptAnswer,
    Late,
    Nonce,
    NoStore,
    OutboxKind,
    StoreUnavailable,
    Told,
    ToldHeld,
    pass_on,
    tell_of,
    tell_soon,
)
from ussd_server.stores.buckets import BUCKETS, SLOTS, bucket_of, slot
from ussd_server.stores.cache import CACHED_OCTETS, CACHED_RECORDS, Cache
from ussd_server.stores.due import HINTS, Due
from ussd_server.stores.redis_identity import IF_LOST, LOST, RECOVER, Share
from ussd_server.stores.redis_keys import Bucket
from ussd_server.stores.redis_link import PATIENCE_S, Link
from ussd_server.stores.redis_nodes import Alone, Cluster, Nodes, NotAnswered, NotFound, Sentinels, ask_setup
from ussd_server.stores.redis_scripts import EVERY_SCRIPT
from ussd_server.stores.redis_stragglers import STRAGGLERS_S, without_stragglers
from ussd_server.stores.redis_together import Replaced, Together, unsure
from ussd_server.stores.redis_wire import Address, Asked, Greeting
from ussd_server.subscribers.record import Subscriber, decode
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.record import decode as decode_terminal
from ussd_server.terminals.record import encode as encode_terminal

LOOK_MS: Final = 1_000
"""Between two looks at every bucket for work that other servers left; of its own a server knows at once."""

SILENT_MS: Final = 3_600_000
"""After so long a server that holds nothing is taken out of the lists of who performs what."""

CLOSE_S: Final = 2.0
"""How long closing waits for what is under way."""

JOURNAL_PIECE: Final = 200
"""Journal entries read at once where only those of a kind are wanted."""

T = TypeVar("T")

_COMMIT = EVERY_SCRIPT["commit"]
log = structlog.get_logger(__name__)


class _Home(NamedTuple):
    """Where a subscriber's record is."""

    record: bytes
    bucket: Bucket
    digits: bytes


def _digits(msisdn: str) -> bytes:
    if not (msisdn.isascii() and msisdn.isdigit()) or len(msisdn) > 15 or msisdn[0] == "0":
        raise ValueError("a MSISDN is up to 15 digits and does not start with 0")
    return msisdn.encode()


def _nodes(url: RedisUrl, greeting: Greeting) -> Nodes:
    match url.kind:
        case "cluster":
            return Cluster(url.hosts, greeting)
        case "sentinel":
            return Sentinels(url.hosts, url.master, greeting, url.sentinel_password)
    return Alone(url.hosts[0])


class RedisStore:
    """A store on Redis 7 or later. It connects at its first use, and belongs to the event loop of that.

    `make` says that a new store may begin there, and that one without an id gets `noted_id` again, "" for a new one.
    With `look_ms` 0 it asks every bucket for work each time.
    """

    def __init__(
        self,
        url: RedisUrl,
        make: bool = True,
        look_ms: int = LOOK_MS,
        patience_s: float = PATIENCE_S,
        cached_records: int = CACHED_RECORDS,
        cached_octets: int = CACHED_OCTETS,
        journal_entries: int = JOURNAL_ENTRIES,
        noted_id: str = "",
    ) -> None:
        self._url = url
        self._noted_id = noted_id
        self._journal_entries = journal_entries
        self._name = f"the store {url}"
        self._consumer = secrets.token_hex(8)
        self._clients = f"ussd-server:{url.prefix}:"
        client = f"{self._clients}{self._consumer}"
        greeting = Greeting(url.user, url.password, url.database, url.context(), url.ca_file, url.replicas, name=client)
        self._greeting = greeting
        self._nodes = _nodes(url, greeting)
        self.link = Link(self._nodes, greeting, self._name, patience_s)
        self._make = make
        self._meta = keys.meta_key(url.prefix)
        self._meta_slot = slot(url.prefix.encode())
        self._buckets: list[Bucket] = []
        self._opening = asyncio.Lock()
        self._cache = Cache(cached_records, cached_octets)
        self._together = Together(self.link, self._cache, self._name)
        self._terminals: dict[str, tuple[Terminal, bytes]] = {}
        self._random = random.Random(secrets.token_bytes(32)).getrandbits
        self._home = lru_cache(cached_records)(self._find_home)
        self._claims = count(1)
        self._claimed_in: set[int] = set()
        self._due = Due(EVERY_LANE)
        self._looking: set[int] = set()
        """The buckets that are still being looked at, when others have told what there is in them."""
        self._claiming: set[tuple[int, int]] = set()
        """The lanes and buckets in which a claim goes on, when others have ended."""
        self._look_s = look_ms / 1000
        self._looked = float("-inf")
        self._blind = ""
        """Why the last look saw nothing at all; "" where it did not fail."""
        self._tidied: float | None = None
        self._outage = Outage(
            "part of the store unavailable, the outbox goes on with the rest", over="the whole store is back"
        )
        self._closing = ""

    # The layout, and requests -------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Find out how the store is laid out, or lay it out; raises StoreUnavailable."""
        async with self._opening:
            if self._buckets:
                return
            if self._make:
                await self._see_followers()
            values = (keys.LAYOUT, self._url.buckets or BUCKETS, int(self._make), secrets.token_hex(16), self._noted_id)
            call = self.link.call(self._meta_slot, EVERY_SCRIPT["open"], [self._meta], values)
            layout, buckets, id = laid_out = await call.answer
            if layout is None:
                raise NoStore(
                    f"{self._name}: there is no store with the prefix {self._url.prefix!r}; a server makes it at its "
                    "first start"
                )
            if int(layout) != keys.LAYOUT:
                raise StoreUnavailable(
                    f"{self._name} is of layout {int(layout)}, and this version of the server knows {keys.LAYOUT}; "
                    "use the version that made it"
                )
            if id is not None:
                self.link.identity.know(self._meta, laid_out)
            found = keys.every_bucket(self._url.prefix, int(buckets))
            if self._make and self.link.several:
                await self._know_shares(found)
            self._buckets = found

    async def _know_shares(self, buckets: Sequence[Bucket]) -> None:
        """Learn the id of each bucket, so that a master of a Cluster that loses its data is not taken for what it was.

        One that has none gets one; where every bucket had one before, its data was lost, which is said.
        """
        fresh = [secrets.token_hex(16).encode() for _ in buckets]
        given = self.link.ask(self._meta_slot, (b"HGET", self._meta, b"shares"))
        calls = [self._call(each, "share", (each.id, each.all), id) for each, id in zip(buckets, fresh, strict=True)]
        told = await self._each([given, *calls])
        known, lost = {}, []
        for bucket, id, (had, filled) in zip(buckets, fresh, told[1:], strict=True):
            known[bucket.slot] = Share(bucket.id, bucket.all, had)
            if told[0] and had == id and not filled:
                lost.append(bucket.slot)
        if lost:
            servers = sorted({"{}:{}".format(*self.link.address(each)) for each in lost})
            event = "part of the store is not the one of the last start"
            log.error(event, store=self._name, servers=servers, mend=IF_LOST)
        if not told[0]:
            await self.link.ask(self._meta_slot, (b"HSET", self._meta, b"shares", b"1"), writes=True).answer
        self.link.identity.shares = known

    async def _see_followers(self) -> None:
        """Raise StoreUnavailable where a server has fewer replicas than what is written must have."""
        wanted, wait_ms = self._greeting.replicas, self._greeting.wait_ms
        if not wanted:
            return
        slots = await self._one_of_each_server()
        # Of a connection that wrote nothing before, this counts the replicas that follow.
        counts = await self._each([self.link.ask(each, (b"WAIT", wanted, wait_ms)) for each in slots])
        for each, there in zip(slots, counts, strict=True):
            if there < wanted:
                host, port = self.link.address(each)
                raise StoreUnavailable(
                    f"{self._name}: only {there} of {wanted} replicas follow {host}:{port}, so nothing would be "
                    "acknowledged: look after the replicas, or let ?replicas= be how many there are"
                )

    async def _one_of_each_server(self) -> list[int]:
        """Return a slot of each server that has any."""
        await self.link.ask(self._meta_slot, (b"PING",)).answer  # from now on it is known where the servers are
        return self.link.one_of_each(range(SLOTS))

    def _find_home(self, msisdn: str) -> _Home:
        digits = _digits(msisdn)
        bucket = self._bucket(digits)
        return _Home(bucket.record(digits), bucket, digits)

    def _bucket(self, name: bytes) -> Bucket:
        return self._buckets[bucket_of(name, len(self._buckets))]

    def _call(self, bucket: Bucket, script: str, keys: Sequence[bytes], *values: keys.Value) -> Asked:
        return self.link.call(bucket.slot, EVERY_SCRIPT[script], keys, values)

    async def _each(self, requests: Sequence[Asked]) -> list[Any]:
        """Return the replies to all of these."""
        return await asyncio.gather(*(request.answer for request in requests))

    def _sure(self, request: Asked) -> None:
        """Raise where a refusal proves nothing: an earlier sending of the same may be what it was refused for."""
        if request.unsure:
            raise unsure(self._name)

    # Records ------------------------------------------------------------------------------------------------------

    async def load(self, msisdn: str, latest: bool = False) -> tuple[Subscriber, int]:
        """Return the record and its version; one used lately is not read again.

        `latest` asks Redis, where another server may have written, and reads the record if its version is new. What it
        returns is durable, also where the commit that wrote it was refused for too few replicas.
        """
        found = self._cache.get(msisdn)
        if found is not None and not latest:
            return found
        if not self._buckets:
            await self._open()
        home = self._home(msisdn)
        slot = home.bucket.slot
        if found is not None:
            stored = await self._durably(home.bucket, (b"GETRANGE", home.record, 0, keys.VERSION_OCTETS - 1))
            if int.from_bytes(stored, "big") == found[1]:
                return found
            self._cache.drop(msisdn)
        command = (b"GET", home.record)
        value = await (self._durably(home.bucket, command) if latest else self.link.ask(slot, command).answer)
        if value is None:
            return Subscriber(msisdn), 0
        return self._cache.put(self._decoded(msisdn, value), int.from_bytes(value[:8], "big"), len(value))

    def remembered(self, msisdn: str) -> tuple[Subscriber, int] | None:
        """Return a record used lately, and its version."""
        return self._cache.get(msisdn)

    async def _durably(self, bucket: Bucket, command: tuple[bytes | str | int, ...]) -> Any:
        """Return the reply to what only reads when as many replicas as are waited for have what it tells of."""
        while True:
            found = self.link.ask(bucket.slot, command)
            if not self._url.replicas:
                return await found.answer
            # Only what writes is waited for, together with all that was written before: let there be something.
            ping = self.link.ask(bucket.slot, (b"SET", bucket.ping, b""), writes=True)
            await ping.answer
            reply = await found.answer
            if not (found.resent or ping.resent):
                return reply
            # What was read may be an old master's, and the write the new one's: read where the write is confirmed.

    def _decoded(self, msisdn: str, value: bytes) -> Subscriber:
        try:
            return decode(value[keys.VERSION_OCTETS :])
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"{self._name}: the record of {mask(msisdn)} is damaged: {error}") from error

    async def commit(self, change: Change) -> bool:
        """Write the change durably and return True, or return False where `version` is not the stored one."""
        if not self._buckets:
            await self._open()
        if not _only_a_record(change):
            return await self._commit(change, 0, 0) is not None
        future: asyncio.Future[bool] = self.link.loop.create_future()
        self.commit_then(change, partial(pass_on, future))
        return await future

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit, and call `told` with what `commit` would return or raise."""
        if not self._buckets or not _only_a_record(change):
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
        if not self._buckets:
            await self._open()
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
            self._heard(bucket, record.msisdn, heads)
            self._cache.put(record, fresh, len(value))
            return cast(Sequence[Any], held)
        self._cache.drop(record.msisdn)
        self._sure(request)
        if done == -1:
            raise ValueError("this change can never be written: an id in its outbox is taken")
        return None

    def _new_version(self) -> int:
        """Return what no other commit of any life of this record has as its version."""
        return self._random(63) or 1

    def _commit_all(
        self, bucket: Bucket, digits: bytes, begin: tuple[bytes, bytes, bytes, int, int], change: Change
    ) -> Asked:
        lease = begin[-1]
        claim = self._claim_name() if lease else ""
        if lease:
            self._claimed_in.add(bucket.number)
        answers = () if change.answer is None else (change.answer,)
        groups = (change.settled, change.exhumed, change.outbox, change.journal, answers)
        values: list[keys.Value] = [*begin, self._consumer, claim, *map(len, groups)]
        values += change.settled
        values += change.exhumed
        for entry in change.outbox:
            values += keys.added(entry)
        values += keys.added_notes(change.journal, self._journal_entries)
        for answer in answers:
            values += (keys.name(answer.terminal, answer.key), keys.answer(answer), answer.expires)
        return self.link.call(bucket.slot, _COMMIT, (*bucket.subject(digits), *bucket.common), values)

    def _claim_name(self) -> str:
        """Return what no other claim is called, so that one that is sent again finds what it took."""
        return f"{self._consumer}.{next(self._claims)}"

    def _heard(self, bucket: Bucket, msisdn: str, heads: Sequence[int]) -> None:
        """Take down what a commit says of the subscriber's next work."""
        for lane, ready in zip(heads[::2], heads[1::2], strict=True):
            self._due.heard(lane, bucket.number, ready, msisdn)

    async def _point(self, answer: KeptAnswer, digits: bytes) -> bool:
        """Say that the answer to a request comes with this subscriber's commit; False where another's may have it."""
        name = keys.name(answer.terminal, answer.key)
        bucket = self._bucket(name)
        call = self._call(bucket, "point", (bucket.pointers, bucket.pointing), name, digits, answer.expires)
        return bool(await call.answer == 1)

    async def answer(self, terminal: str, key: str) -> KeptAnswer | None:
        """Return the kept answer of a request; what is returned is durable, and so is what was committed with it."""
        name = keys.name(terminal, key)
        if not self._buckets:
            await self._open()
        pointing = self._bucket(name)
        digits = await self.link.ask(pointing.slot, (b"HGET", pointing.pointers, name)).answer
        if digits is None:
            return None
        bucket = self._bucket(digits)
        value = await self._durably(bucket, (b"HGET", bucket.answers(digits), name))
        return None if value is None else keys.answer_of(terminal, key, value)

    # The outbox ---------------------------------------------------------------------------------------------------

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
                    self._due.told(lane, number, ())  # that is told when it ends
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
            for number, whose in self._due.ripe(lane, now, limit, self._claiming).items()
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
        if not self._closing:
            self._outage.failed(round(self.link.loop.time() * 1000), cause=str(error))

    async def _claim(
        self, lane: int, number: int, msisdns: Sequence[str], now: int, lease: int
    ) -> list[tuple[int, Claimed]]:
        """Claim these subscribers' first entries, as far as that can be done; each with when it could be first."""
        bucket = self._buckets[number]
        self._claimed_in.add(number)
        touched = [
            bucket.work,
            bucket.due[lane],
            bucket.due[MESSAGES],
            *(bucket.outbox(msisdn.encode()) for msisdn in msisdns),
        ]
        values: tuple[keys.Value, ...] = (now, lease, lane, self._consumer, self._claim_name(), HINTS, *msisdns)
        call = self._call(bucket, "claim", touched, *values)
        rows, heads = await call.answer
        self._due.told(lane, number, _heads(heads))
        return [(row[-1], keys.claimed_of(row, lease)) for row in rows]

    async def next_due(self, lanes: Collection[int] = EVERY_LANE) -> int | None:
        """Return when there is next an entry to claim (ms), as far as it is known here, at most `look_ms` ago."""
        await self._look()
        return self._due.next(lanes, self._claiming)

    async def _look(self) -> None:
        """Learn who is next in each bucket, unless that was done lately."""
        if not self._buckets:
            await self._open()
        self.link.check()
        now = asyncio.get_running_loop().time()
        if now < self._looked + self._look_s:
            if self._blind:
                raise StoreUnavailable(self._blind)
            return
        self._looked = now
        self.link.watch()
        looks = {
            bucket.number: self._call(bucket, "look", bucket.due).answer
            for bucket in self._buckets
            if bucket.number not in self._looking
        }
        try:
            told, late = await self._told_by_some(looks, some=True)
        except StoreUnavailable as error:
            self._blind = str(error)
            raise
        self._blind = ""
        for number, look in late.items():
            self._looking.add(number)
            look.add_done_callback(partial(self._looked_late, number))
        if len(told) == len(self._buckets):
            self._outage.worked(round(asyncio.get_running_loop().time() * 1000))
        for number, lanes in told.items():
            self._saw(number, lanes)

    def _looked_late(self, number: int, look: "asyncio.Future[Any]") -> None:
        self._looking.discard(number)
        if look.cancelled():
            return
        error = look.exception()
        if error is None:
            self._saw(number, look.result())
        else:
            self._missed(error)

    def _saw(self, number: int, lanes: Sequence[Any]) -> None:
        """Take down who is next in each lane of a bucket."""
        for lane, heads in zip(EVERY_LANE, lanes, strict=True):
            if (lane, number) not in self._claiming:
                self._due.told(lane, number, _heads(heads))

    async def _told_by_some(
        self, asked: Mapping[int, Awaitable[T]], enough: object = None, some: bool = False, wait: bool = False
    ) -> tuple[dict[int, T], dict[int, "asyncio.Future[T]"]]:
        """Return what came of each of these that could be asked, by bucket, and those that still go on.

        Where a server of a Cluster is away, a slot moves or a bucket is damaged, work on the rest goes on: it is held
        already, and would wait for the end of its lease. Raises what is wrong where nothing came, and there is not
        `enough` already. `some` says to wait until it is known which it is, `wait` to wait for all.
        """
        seconds = STRAGGLERS_S if self.link.several and not wait else None
        came, late = await without_stragglers(asked, seconds, some)
        errors = [each for each in came.values() if isinstance(each, BaseException)]
        if errors:
            if not (enough or late or len(errors) < len(came)):
                raise errors[0]
            self._outage.failed(round(asyncio.get_running_loop().time() * 1000), cause=str(errors[0]))
        return {number: each for number, each in came.items() if not isinstance(each, BaseException)}, late

    async def renew(self, claimed: Sequence[Claimed], lease: int) -> None:
        """Hold entries that are under way until `lease` (ms), as the same attempt."""
        if not self._buckets:
            await self._open()
        calls = []
        for each in claimed:
            digits, lane = each.msisdn.encode(), LANES[each.entry.kind]
            bucket = self._bucket(digits)
            touched = (bucket.outbox(digits), bucket.due[lane])
            calls.append(self._call(bucket, "renew", touched, digits, each.entry.id, each.attempt, lease))
        await self._each(calls)

    async def settle(self, claimed: Sequence[Claimed]) -> None:
        """Remove entries that are done with."""
        if not self._buckets:
            await self._open()
        calls = []
        for each in claimed:
            digits, lane = each.msisdn.encode(), LANES[each.entry.kind]
            bucket = self._bucket(digits)
            touched = (bucket.outbox(digits), bucket.due[lane], bucket.work)
            calls.append(self._call(bucket, "settle", touched, digits, each.entry.id))
        for each, ready in zip(claimed, await self._each(calls), strict=True):
            if ready is not None:
                number = bucket_of(each.msisdn.encode(), len(self._buckets))
                self._due.heard(LANES[each.entry.kind], number, ready, each.msisdn)

    async def postpone(self, claimed: Claimed, due: int, reason: str) -> None:
        """Let go of an entry that failed for now; nothing happens where another has claimed it since."""
        if not self._buckets:
            await self._open()
        digits, lane = claimed.msisdn.encode(), LANES[claimed.entry.kind]
        bucket = self._bucket(digits)
        touched = (bucket.outbox(digits), bucket.due[lane], bucket.work)
        values = (digits, claimed.entry.id, claimed.attempt, due, reason)
        if await self._call(bucket, "postpone", touched, *values).answer:
            self._due.heard(lane, bucket.number, due, claimed.msisdn)

    async def bury(self, claimed: Claimed, now: int, reason: str, journal: Sequence[JournalEntry] = ()) -> None:
        """Move an entry to the dead letters with a journal entry `given_up`; nothing where another has claimed it."""
        if not self._buckets:
            await self._open()
        entry, digits = claimed.entry, claimed.msisdn.encode()
        lane, bucket = LANES[entry.kind], self._bucket(digits)
        subject = bucket.subject(digits)
        touched = (subject.outbox, bucket.due[lane], bucket.work, subject.dead, bucket.given_up, bucket.kinds)
        told = JournalEntry(now, "given_up", {"id": entry.id, "kind": entry.kind, "reason": reason})
        notes = keys.added_notes((told, *journal), self._journal_entries)
        values: tuple[keys.Value, ...] = (digits, entry.id, claimed.attempt, now, reason, *notes)
        ready = await self._call(bucket, "bury", (*touched, subject.journal), *values).answer
        if ready is not None:
            self._due.heard(lane, bucket.number, ready, claimed.msisdn)

    async def dead_letters(self, msisdn: str) -> list[DeadLetter]:
        """Return what was given up of a subscriber, oldest first."""
        _, _, _, letters, _ = await self._told(msisdn)
        return [keys.letter_of(msisdn, row) for row in sorted(letters)]

    async def given_up(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have dead letters, as `subscribers` does."""
        return await self._walk("given_up", after, limit)

    async def count_dead_letters(self) -> Mapping[OutboxKind, int]:
        """Return how many dead letters there are of each kind that there are any of."""
        found: dict[Any, int] = {}
        for flat in await self._of_each_bucket(lambda bucket: (b"HGETALL", bucket.kinds)):
            for kind, number in zip(flat[::2], flat[1::2], strict=True):
                found[kind.decode()] = found.get(kind.decode(), 0) + int(number)
        return found

    # Journal, walks, as a whole -----------------------------------------------------------------------------------

    async def journal(self, msisdn: str, kind: str | None = None, limit: int = 100) -> list[JournalEntry]:
        """Return the newest entries of a subscriber, newest first."""
        digits = _digits(msisdn)
        if not self._buckets:
            await self._open()
        bucket = self._bucket(digits)
        found: list[JournalEntry] = []
        piece = limit if kind is None else max(limit, JOURNAL_PIECE)
        last = -1
        while len(found) < limit:
            command = (b"LRANGE", bucket.journal(digits), last - piece + 1, last)
            notes = [keys.note_of(each) for each in reversed(await self.link.ask(bucket.slot, command).answer)]
            found += [each for each in notes if kind is None or each.kind == kind]
            if len(notes) < piece:
                break
            last -= piece
        return found[:limit]

    async def subscribers(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have a record, bucket by bucket, beginning behind `after` ("": all)."""
        return await self._walk("all", after, limit)

    async def _walk(self, index: str, after: str, limit: int) -> list[str]:
        if not self._buckets:
            await self._open()
        start = bucket_of(_digits(after), len(self._buckets)) if after else 0
        found: list[str] = []
        width = 1
        while start < len(self._buckets) and len(found) < limit:
            asked = []
            for bucket in self._buckets[start : start + width]:
                behind = f"({after}" if after and bucket is self._buckets[start] else "-"
                command = (b"ZRANGEBYLEX", getattr(bucket, index), behind, "+", "LIMIT", 0, limit - len(found))
                asked.append(self.link.ask(bucket.slot, command))
            for numbers in await self._each(asked):
                found += [each.decode() for each in numbers]
            start, width, after = start + width, 2 * width, ""
        return found[:limit]

    async def count_subscribers(self) -> int:
        """Return how many numbers have a record."""
        return sum(await self._of_each_bucket(lambda bucket: (b"ZCARD", bucket.all)))

    async def _of_each_bucket(self, command: Any) -> list[Any]:
        if not self._buckets:
            await self._open()
        return await self._each([self.link.ask(bucket.slot, command(bucket)) for bucket in self._buckets])

    async def forget(self, msisdn: str) -> bool:
        """Delete all that is known of a subscriber; False where nothing was."""
        digits = _digits(msisdn)
        if not self._buckets:
            await self._open()
        bucket = self._bucket(digits)
        request = self._call(bucket, "forget", (*bucket.subject(digits), *bucket.common), digits)
        gone, *names = await request.answer
        self._cache.drop(msisdn)
        await self._unpoint(names, digits)
        if not gone:
            self._sure(request)
        return bool(gone)

    async def _unpoint(self, names: Sequence[bytes], digits: bytes) -> None:
        """Let requests with these names be answered with any subscriber's commit."""
        calls = []
        for name in names:
            bucket = self._bucket(name)
            calls.append(self._call(bucket, "unpoint", (bucket.pointers, bucket.pointing), name, digits))
        await self._each(calls)

    async def _told(self, msisdn: str) -> Any:
        digits = _digits(msisdn)
        if not self._buckets:
            await self._open()
        bucket = self._bucket(digits)
        return await self._call(bucket, "dump", bucket.subject(digits)).answer

    async def dump(self, msisdn: str) -> Everything | None:
        """Return all there is of a subscriber as it is at one moment; None for an unknown number."""
        told = await self._told(msisdn)
        return None if told[0] is None else keys.everything_of(self._decoded(msisdn, told[0]), told)

    async def restore(self, everything: Everything) -> None:
        """Let what there is of this subscriber be just this, durably.

        Raises ValueError, and changes nothing, where an answered request belongs to another subscriber.
        """
        msisdn = everything.record.msisdn
        digits = _digits(msisdn)
        if not self._buckets:
            await self._open()
        bucket = self._bucket(digits)
        value = keys.record(self._new_version(), everything.record)
        values = (value, digits, *keys.restored(everything))
        names = {keys.name(each.terminal, each.key) for each in everything.answers}
        pointed = await asyncio.gather(*(self._point(each, digits) for each in everything.answers))
        if not all(pointed):
            known = await self.link.ask(bucket.slot, (b"HKEYS", bucket.answers(digits))).answer
            await self._unpoint(list(names.difference(known)), digits)
            raise ValueError("this can never be written: an answered request is another subscriber's")
        before = await self._call(bucket, "restore", (*bucket.subject(digits), *bucket.common), *values).answer
        await self._unpoint([name for name in before if name not in names], digits)
        self._cache.drop(msisdn)
        self._looked = float("-inf")  # what is next there is not as it was told before

    # Terminals ----------------------------------------------------------------------------------------------------

    async def load_terminal(self, id: str) -> tuple[Terminal | None, int]:
        """Return a terminal and its version as they are now; a version is decoded once."""
        if not self._buckets:
            await self._open()
        bucket = self._buckets[0]
        value = await self.link.ask(bucket.slot, (b"HGET", bucket.terminals, id)).answer
        if value is None:
            return None, 0
        found = self._terminals.get(id)
        if found is None or found[1] != value:
            found = self._terminals[id] = self._decoded_terminal(id, value), value
        return found[0], int.from_bytes(value[: keys.VERSION_OCTETS], "big")

    async def terminals(self) -> list[Terminal]:
        """Return every terminal, by id."""
        if not self._buckets:
            await self._open()
        bucket = self._buckets[0]
        flat = await self.link.ask(bucket.slot, (b"HGETALL", bucket.terminals)).answer
        return [self._decoded_terminal(id.decode(), value) for id, value in sorted(zip(flat[::2], flat[1::2]))]  # noqa: B905

    def _decoded_terminal(self, id: str, value: bytes) -> Terminal:
        try:
            return decode_terminal(value[keys.VERSION_OCTETS :])
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"{self._name}: the record of the terminal {id!r} is damaged: {error}") from error

    async def commit_terminal(self, terminal: Terminal, version: int) -> bool:
        """Write a terminal durably and return True, or return False where `version` is not the stored one."""
        if not self._buckets:
            await self._open()
        if not 0 <= version < 1 << 64:
            return False
        bucket = self._buckets[0]
        before = version.to_bytes(8, "big") if version else b""
        value = self._new_version().to_bytes(8, "big") + encode_terminal(terminal)
        request = self._call(bucket, "commit_terminal", [bucket.terminals], terminal.id, before, value)
        if await request.answer:
            return True
        self._sure(request)
        return False

    # Nonces, and what is over -------------------------------------------------------------------------------------

    async def use_nonce(self, terminal: str, nonce: str, until: int) -> bool:
        """Return True and remember the nonce durably, False where this terminal has used it and it was not swept."""
        name = keys.name(terminal, nonce)
        if not self._buckets:
            await self._open()
        bucket = self._bucket(name)
        request = self.link.ask(bucket.slot, (b"ZADD", bucket.nonces, b"NX", until, name), writes=True)
        if await request.answer:
            return True
        self._sure(request)
        return False

    async def nonces(self, after: Nonce | None, limit: int) -> list[Nonce]:
        """Return up to `limit` nonces, bucket by bucket in the order of their ends, beginning behind `after`."""
        if not self._buckets:
            await self._open()
        name = keys.name(after.terminal, after.nonce) if after else b""
        start, until = (bucket_of(name, len(self._buckets)), after.until) if after else (0, 0)
        found: list[Nonce] = []
        for bucket in self._buckets[start:]:
            if len(found) == limit:
                break
            flat = await self._call(bucket, "nonces", [bucket.nonces], name, until, limit - len(found)).answer
            ends = zip(flat[::2], flat[1::2], strict=True)
            found += [Nonce(*keys.pair(each), int(float(end))) for each, end in ends]
            name = b""
        return found

    async def sweep(self, now: int, limit: int) -> int:
        """Delete up to `limit` nonces and answers whose time is over; commits go on in between."""
        if not self._buckets:
            await self._open()
        await self._tidy()
        looks = [self._call(bucket, "over", (bucket.nonces, bucket.expiring, bucket.pointing), now)
                 for bucket in self._buckets]  # fmt: skip
        sweeps: list[Asked] = []
        left = limit
        for bucket, (nonces, answers, pointers) in zip(self._buckets, await self._each(looks), strict=True):
            some = min(nonces, left)
            if some:
                sweeps.append(self._call(bucket, "sweep_nonces", [bucket.nonces], now, some))
            left -= some
            more = min(answers, left)
            if more:
                sweeps += await self._sweep_answers(bucket, now, more)
            left -= more
            if pointers:
                await self._call(bucket, "forget_pointers", (bucket.pointers, bucket.pointing), now, limit).answer
        return sum(await self._each(sweeps))

    async def _sweep_answers(self, bucket: Bucket, now: int, limit: int) -> list[Asked]:
        command = (b"ZRANGEBYSCORE", bucket.expiring, "-inf", now, "LIMIT", 0, limit)
        calls = []
        for member in await self.link.ask(bucket.slot, command).answer:
            digits, _, name = member.partition(b" ")
            touched = (bucket.answers(digits), bucket.expiring)
            calls.append(self._call(bucket, "forget_answer", touched, digits, name, now))
        return calls

    async def _tidy(self) -> None:
        """From time to time, take servers that are gone out of the lists of who performs what."""
        now = asyncio.get_running_loop().time()
        if self._tidied is not None and now < self._tidied + SILENT_MS / 1000:
            return
        self._tidied = now
        await self._each([self._call(bucket, "tidy", [bucket.work], SILENT_MS, "") for bucket in self._buckets])

    # The store as such --------------------------------------------------------------------------------------------

    async def mark(self) -> str:
        """Return what the store is marked with, "" for nothing."""
        if not self._buckets:
            await self._open()
        found = await self.link.ask(self._meta_slot, (b"HGET", self._meta, "mark")).answer
        return found.decode() if found else ""

    async def set_mark(self, mark: str) -> None:
        """Mark the store durably; "" takes the mark off."""
        if not self._buckets:
            await self._open()
        await self.link.ask(self._meta_slot, (b"HSET", self._meta, "mark", mark), writes=True).answer

    @property
    def broken(self) -> str:
        """Return "": a connection that is lost is made anew."""
        return ""

    async def identity(self) -> str:
        """Return what no other store has, nor this one when it has lost all; "" where no server has given it that."""
        if not self._buckets:
            await self._open()
        return self.link.identity.id

    async def noted_keys(self) -> str:
        """Return what was noted of its servers' keys, "" for nothing."""
        if not self._buckets:
            await self._open()
        for _ in range(2):  # the second time by a connection that was looked at
            found, id = await self.link.ask(self._meta_slot, (b"HMGET", self._meta, "keys", "id")).answer
            if self.link.identity.is_it(id):
                return found.decode() if found else ""
            self.link.look_anew()
        raise StoreUnavailable(f"{self._name}: {LOST}: {RECOVER}")

    async def note_keys(self, before: str, after: str) -> bool:
        """Note it durably and return True, or return False where what is noted is not `before`."""
        if not self._buckets:
            await self._open()
        call = self.link.call(self._meta_slot, EVERY_SCRIPT["note_keys"], [self._meta], (before, after))
        return bool(await call.answer)

    async def in_use(self) -> str:
        """Return who else is connected with this prefix, by address; "" also where Redis does not let us ask."""
        if not self._buckets:
            await self._open()
        slots = self.link.one_of_each([bucket.slot for bucket in self._buckets])
        try:
            lists = await self._each([self.link.ask(slot, (b"CLIENT", b"LIST")) for slot in slots])
        except StoreUnavailable:  # forbidden to us, or Redis is away, as whatever is asked next will say
            return ""
        others: dict[str, str] = {}
        for line in b"\n".join(lists).decode().splitlines():
            client = dict(part.split("=", 1) for part in line.split(" ") if "=" in part)
            name, database = client.get("name", ""), client.get("db")
            if name.startswith(self._clients) and database == str(self._url.database):
                others[name.removeprefix(self._clients)] = client["addr"]
        others.pop(self._consumer, None)
        return ", ".join(f"a client at {address}" for address in sorted(others.values()))

    async def risks(self) -> list[str]:
        """Return what each server could lose of what was acknowledged, and the mend; nothing where it is durable.

        The replicas are judged, too: a failover makes one of them the master.
        """
        found: list[str] = []
        masters = set()
        for one in await self._one_of_each_server():
            info = await self.link.ask(one, (b"INFO",)).answer
            try:
                command = (b"CONFIG", b"GET", *durability.SETTINGS)
                flat = await self.link.ask(one, command).answer
                config = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
            except StoreUnavailable:  # forbidden, as a managed Redis does, or it is away and the next request says so
                config = None
            lines = durability.risks(durability.fields(info.decode()), config, self._url.kind, self._url.replicas)
            host, port = address = self.link.address(one)
            masters.add(address)
            found += lines if self._url.kind == "alone" else [f"{host}:{port}: {line}" for line in lines]
        return [*found, *await self._risks_of_replicas(masters)]

    async def _risks_of_replicas(self, masters: Collection[Address]) -> list[str]:
        try:
            replicas = [each for each in await self._nodes.replicas() if each not in masters]
        except NotFound as error:
            return [f"it is not known which replicas may become masters: {error}"]
        return [line for lines in await asyncio.gather(*map(self._risks_of_replica, replicas)) for line in lines]

    async def _risks_of_replica(self, address: Address) -> list[str]:
        where = f"{address[0]}:{address[1]}, a replica"
        try:
            info, config = await ask_setup(address, self._greeting, durability.SETTINGS)
        except NotAnswered as error:
            return [f"{where}: it is not known what it would lose as the master: {error}"]
        lines = durability.of_replica(info, config, self._url.kind)
        return [f"{where} that may become the master: {line}" for line in lines]

    async def ping(self) -> None:
        """Write something on each server and wait until it is durable."""
        if not self._buckets:
            await self._open()
        by_slot = {bucket.slot: bucket for bucket in self._buckets}
        pings = [
            self.link.ask(by_slot[slot].slot, (b"SET", by_slot[slot].ping, b""), writes=True)
            for slot in self.link.one_of_each(list(by_slot))
        ]
        await self._each(pings)

    async def close(self) -> None:
        """Finish what is under way and let go of the connections."""
        reason = f"the store is closed: {self._url}"
        if not self._closing:
            self._closing = reason
            await self.link.close(reason, CLOSE_S, self._sign_off)
            self._cache.clear()
            self._terminals.clear()

    def _sign_off(self) -> Sequence[Asked]:
        """Take this server out of the lists of who performs what, where it holds nothing."""
        buckets = [self._buckets[number] for number in self._claimed_in]
        return [self._call(bucket, "tidy", [bucket.work], SILENT_MS, self._consumer) for bucket in buckets]


def _only_a_record(change: Change) -> bool:
    """Whether nothing but a record is replaced, as nearly every commit does."""
    if change.journal or change.outbox or change.settled or change.exhumed or change.answer:
        return False
    return 0 < change.version < 1 << 64


def _heads(flat: Sequence[bytes]) -> list[tuple[int, str]]:
    return [(int(float(ready)), msisdn.decode()) for msisdn, ready in zip(flat[::2], flat[1::2], strict=True)]
