"""The store on Redis: one record and all that belongs to it change in one script, on one server or a whole Cluster.

A step is normally one round trip, its commit: records used lately are remembered. A script is sent again after a lost
connection or a failover, so each makes sure by itself that it acts once (`scripts/` says how).
`docs/decisions/0015-redis-store.md` tells why it is laid out so.
"""

from collections.abc import Callable
from typing import Final

from ussd_server.store_url import RedisUrl
from ussd_server.stores.base import JOURNAL_ENTRIES, ClockReading, StoreUnavailable
from ussd_server.stores.cache import CACHED_OCTETS, CACHED_RECORDS, Cache
from ussd_server.stores.redis import clocks, risks
from ussd_server.stores.redis.claims import Claims
from ussd_server.stores.redis.identity import LOST, RECOVER
from ussd_server.stores.redis.layout import Layout
from ussd_server.stores.redis.link import PATIENCE_S
from ussd_server.stores.redis.listing import Listing
from ussd_server.stores.redis.outbox import LOOK_MS, Outbox
from ussd_server.stores.redis.scripts import EVERY_SCRIPT
from ussd_server.stores.redis.subscribers import Subscribers
from ussd_server.stores.redis.sweeps import Sweeps
from ussd_server.stores.redis.terminals import Terminals

CLOSE_S: Final = 2.0
"""How long closing waits for what is under way."""


class RedisStore(Subscribers, Outbox, Terminals, Sweeps):
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
        layout = Layout(url, make, patience_s, cached_records, noted_id)
        claims = Claims(layout.consumer)
        Subscribers.__init__(self, layout, Cache(cached_records, cached_octets), claims, journal_entries)
        self._listing = Listing(layout)
        Outbox.__init__(self, layout, claims, self._listing, look_ms, journal_entries)
        Terminals.__init__(self, layout)
        Sweeps.__init__(self, layout, claims)
        self.link = layout.link

    async def relist(self) -> int:
        """List again who has a record and is missing in `subscribers`; see the port."""
        return await self._listing.relist()

    async def mark(self) -> str:
        """Return what the store is marked with, "" for nothing.

        Where taking one off was cut off behind that, it is gone, and what is left of it is removed first.
        """
        mark, left = await self._marked()
        if left and not mark:
            await self.set_mark("")
        return mark

    async def set_mark(self, mark: str, fenced: bool = False, passing: bool = False) -> None:
        """Mark the store durably; "" takes the mark off. Where it is `fenced`, nobody changes what a copy has.

        Each bucket has a fence, and what is written to several at once looks for one of them: so all are there when
        this returns. The mark goes first, with a note that fences, and whom a copy brought, are of another one still:
        cut off, whoever marks it next, or finds no mark, does the rest. Who is `passing` looks for no fence.
        """
        before, left = await self._marked()
        anew = left or not mark or mark != before
        await self._note(b"HSET", "mark", mark, *(("left", "1") if anew else ()))
        asked = []
        for slot, fence in self._layout.fences.items():
            command = (b"SET", fence, f"being {mark}" if passing else mark) if fenced else (b"DEL", fence)
            asked.append(self._link.ask(slot, command, writes=True))
        for bucket in self._layout.buckets if anew else ():
            asked.append(self._link.ask(bucket.slot, (b"DEL", bucket.brought), writes=True))
        await self._layout.each(asked)
        self._layout.pass_fences(passing)
        if anew:
            await self._note(b"HDEL", "left")

    async def _marked(self) -> tuple[str, bool]:
        """Return the mark, and whether fences and whom a copy brought are not all of this mark."""
        await self._layout.open()
        mark, left = await self._link.ask(self._layout.meta_slot, (b"HMGET", self._layout.meta, "mark", "left")).answer
        return mark.decode() if mark else "", bool(left)

    async def _note(self, command: bytes, *values: str) -> None:
        await self._link.ask(self._layout.meta_slot, (command, self._layout.meta, *values), writes=True).answer

    @property
    def broken(self) -> str:
        """Return "": a connection that is lost is made anew."""
        return ""

    async def identity(self) -> str:
        """Return what no other store has, nor this one when it has lost all; "" where no server has given it that."""
        await self._layout.open()
        return self._link.identity.id

    async def noted_keys(self) -> str:
        """Return what was noted of its servers' keys, "" for nothing."""
        await self._layout.open()
        for _ in range(2):  # the second time by a connection that was looked at
            found, id = await self._link.ask(self._layout.meta_slot, (b"HMGET", self._layout.meta, "keys", "id")).answer
            if self._link.identity.is_it(id):
                return found.decode() if found else ""
            self._link.homes.look_anew()
        raise StoreUnavailable(f"{self._layout.name}: {LOST}: {RECOVER}")

    async def note_keys(self, before: str, after: str) -> bool:
        """Note it durably and return True, or return False where what is noted is not `before`."""
        await self._layout.open()
        call = self._link.call(self._layout.meta_slot, EVERY_SCRIPT["note_keys"], [self._layout.meta], (before, after))
        return bool(await call.answer)

    async def in_use(self) -> str | None:
        """Return who else is connected with this prefix, by address; None where Redis tells that to nobody."""
        await self._layout.open()
        slots = self._link.homes.one_of_each([bucket.slot for bucket in self._layout.buckets])
        try:
            lists = await self._layout.each([self._link.ask(slot, (b"CLIENT", b"LIST")) for slot in slots])
        except StoreUnavailable:  # forbidden to us, or Redis is away, as whatever is asked next will say
            return None
        others: dict[str, str] = {}
        for line in b"\n".join(lists).decode().splitlines():
            client = dict(part.split("=", 1) for part in line.split(" ") if "=" in part)
            name, database = client.get("name", ""), client.get("db")
            if name.startswith(self._layout.clients) and database == str(self._layout.url.database):
                others[name.removeprefix(self._layout.clients)] = client["addr"]
        if others.pop(self._layout.consumer, None) is None:  # connections have no names here
            return None
        return ", ".join(f"a client at {address}" for address in sorted(others.values()))

    async def risks(self) -> list[str]:
        """Return what each server could lose of what was acknowledged, and the mend; nothing where it is durable."""
        return await risks.risks(self._layout)

    async def read_clock(self, now: Callable[[], int]) -> ClockReading | None:
        """Compare the clock that `now` reads (ms) with those of Redis; None where no server tells its own."""
        return await clocks.read(self._layout, now)

    async def ping(self) -> None:
        """Write something on each server and wait until it is durable."""
        await self._layout.open()
        by_slot = {bucket.slot: bucket for bucket in self._layout.buckets}
        pings = [
            self._link.ask(by_slot[slot].slot, (b"SET", by_slot[slot].ping, b""), writes=True)
            for slot in self._link.homes.one_of_each(list(by_slot))
        ]
        await self._layout.each(pings)

    async def close(self) -> None:
        """Finish what is under way and let go of the connections."""
        reason = f"the store is closed: {self._layout.url}"
        if not self._layout.closing:
            self._layout.closing = reason
            await self._link.close(reason, CLOSE_S, self._sign_off)
            self._cache.clear()
            self._terminals.clear()
