"""Commits of a record and nothing else: all that one turn of the loop makes are one call of one script.

So what a request costs, here and in Redis, is paid once for many, and Redis syncs its log once for all of them. On a
Cluster each goes alone: while a slot is moved some of its keys are here and some there, and who asks for both waits.
At a single server in cluster mode, and at a proxy in front of several, those of one slot go together.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import structlog

from ussd_server.stores.base import PerhapsDone, StoreUnavailable, Told, Unsure, tell
from ussd_server.stores.cache import Cache
from ussd_server.stores.redis.buckets import slot_of
from ussd_server.stores.redis.link import Link, SeveralSlots
from ussd_server.stores.redis.scripts import EVERY_SCRIPT
from ussd_server.stores.redis.wire import Refused, Sent
from ussd_server.stores.redis.words import plain
from ussd_server.subscribers.record import Subscriber

MOST_TOGETHER: Final = 128
"""Redis does nothing else during a call; so many take it about a millisecond."""

_Share: TypeAlias = int | bytes | None
"""What the commits of a call have in common: a slot, or a record; None where any may go together."""

_RECORDS: Final = EVERY_SCRIPT["records"]
log = structlog.get_logger(__name__)


class Replaced(msgspec.Struct, frozen=True, gc=False):
    """A record as it is once it is committed, with its version and stored size, and who is told of it."""

    record: Subscriber
    version: int
    octets: int
    told: Told


class _Gathered(NamedTuple):
    """What one call will replace: keys; the old version and the new value of each; what is then so."""

    slot: int
    records: list[bytes]
    values: list[bytes]
    replaced: list[Replaced]

    def part(self, start: int, end: int) -> "_Gathered":
        """Return what there is of it from the commit at `start` until that at `end`."""
        return _Gathered(self.slot, self.records[start:end], self.values[2 * start : 2 * end], self.replaced[start:end])


class Together:
    """Gathers commits until the link writes. `name` is how the store is called in messages."""

    def __init__(self, link: Link, cache: Cache, name: str) -> None:
        self.link = link
        self.cache = cache
        self.name = name
        self._several = link.several
        self._apart = False
        """Whether what is gathered now may not all go together."""
        self._refused = False
        """Whether a call was refused for its several slots: who did so may not say that he is one who does."""
        self._warned = False
        self._gathered: dict[_Share, _Gathered] = {}

    def replace(self, slot: int, key: bytes, before: int, value: bytes, replaced: Replaced) -> None:
        """Replace the record of this key that has the version `before`, with the next write, and tell what came of it.

        That is what a commit returns or raises; `Unsure` where it may be refused for what an earlier sending did.
        """
        gathered = self._gathered.get(self._share(slot, key) if self._apart else None)
        if gathered is None:
            gathered = self._begin(slot, key)
        _, records, values, waiting = gathered
        records.append(key)
        values.append(before.to_bytes(8, "big"))
        values.append(value)
        waiting.append(replaced)

    def _begin(self, slot: int, key: bytes) -> _Gathered:
        if not self._gathered:
            self._apart = self._several or self._keeps_to_one_slot()
            self.link.before_write(self._send)
        begun = self._gathered[self._share(slot, key) if self._apart else None] = _Gathered(slot, [], [], [])
        return begun

    def _share(self, slot: int, key: bytes) -> _Share:
        return key if self._several else slot

    def _keeps_to_one_slot(self) -> bool:
        """Return whether the calls from now on do, and say so once."""
        keeps = self.link.one_slot or self._refused
        if keeps and not self._warned:
            self._warned = True
            log.warning(
                "Redis takes no call for several slots, only commits of the same slot go together", store=self.name
            )
        return keeps

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for each in gathered.values():
            for at in range(0, len(each.records), MOST_TOGETHER):
                _Call(self, each.part(at, at + MOST_TOGETHER))

    def part(self, gathered: _Gathered, refused: Sent) -> None:
        """Send each commit of a call that was refused for its several slots by itself; the next calls keep to one."""
        self._refused = True
        self._keeps_to_one_slot()
        for at, key in enumerate(gathered.records):
            _Call(self, gathered.part(at, at + 1)._replace(slot=slot_of(key)), refused)


class _Call:
    """Sends what was gathered, takes the reply (it is an `Answer`), and tells each whose commit was in it.

    `refused` is the call that it is a part of: the time for both is the same, and so is what nobody can be sure of.
    """

    __slots__ = ("_gathered", "_request", "_together", "_waiting")

    def __init__(self, together: Together, gathered: _Gathered, refused: Sent | None = None) -> None:
        self._together = together
        self._gathered = gathered
        self._waiting: Sequence[Replaced] = gathered.replaced
        try:
            self._request = together.link.call_together(
                gathered.slot, _RECORDS, gathered.records, gathered.values, self
            )
        except StoreUnavailable as error:
            self._tell_all(error)
            return
        if refused is not None:
            self._request.until, self._request.unsure = refused.until, refused.unsure

    def done(self) -> bool:
        """Whether all were told."""
        return not self._waiting

    def set_result(self, reply: Sequence[Any]) -> None:
        """Tell each what came of its commit, and remember what is stored now."""
        waiting, self._waiting = self._waiting, ()
        unavailable = PerhapsDone if self._request.unsure else StoreUnavailable
        put, drop, name = self._together.cache.put, self._together.cache.drop, self._together.name
        for replaced, done in zip(waiting, reply, strict=True):
            if done == 1:
                put(replaced.record, replaced.version, replaced.octets)
                tell(replaced.told, True)
                continue
            drop(replaced.record.msisdn)
            if done != 0:
                tell(replaced.told, unavailable(f"{name}: {plain(Refused(str(done)))}"))
            else:
                tell(replaced.told, unsure(name) if self._request.unsure else False)

    def set_exception(self, error: BaseException) -> None:
        """Tell all of them that their commits failed; but where only their number was too much, try each alone."""
        if isinstance(error, SeveralSlots) and len(self._waiting) > 1:
            self._waiting = ()
            self._together.part(self._gathered, self._request)
        else:
            self._tell_all(error)

    def _tell_all(self, error: BaseException) -> None:
        waiting, self._waiting = self._waiting, ()
        for replaced in waiting:
            tell(replaced.told, error)

    def exception(self) -> None:
        """Do nothing: everybody was told."""


def unsure(name: str) -> Unsure:
    """Return what is raised where a refusal proves nothing; `name` is how the store is called."""
    return Unsure(f"{name}: the connection broke at that moment, so it may have been written")
