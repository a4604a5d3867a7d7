"""Commits of a record and nothing else: all that one turn of the loop makes are one call of one script.

So what a request costs, here and in Redis, is paid once for many, and Redis syncs its log once for all of them. On a
Cluster each goes alone: while a slot is moved some of its keys are here and some there, and who asks for both waits.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from ussd_server.stores.base import StoreUnavailable, Told, Unsure
from ussd_server.stores.cache import Cache
from ussd_server.stores.redis_link import Link, plain
from ussd_server.stores.redis_scripts import EVERY_SCRIPT
from ussd_server.stores.redis_wire import Refused, Request
from ussd_server.subscribers.record import Subscriber

MOST_TOGETHER: Final = 128
"""Redis does nothing else during a call; so many take it about a millisecond."""

_RECORDS: Final = EVERY_SCRIPT["records"]


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


class Together:
    """Gathers commits until the link writes. `name` is how the store is called in messages."""

    def __init__(self, link: Link, cache: Cache, name: str) -> None:
        self._link = link
        self._alone = link.several
        self._cache = cache
        self._name = name
        self._gathered: dict[bytes, _Gathered] = {}

    def replace(self, slot: int, key: bytes, before: int, value: bytes, replaced: Replaced) -> None:
        """Replace the record of this key that has the version `before`, with the next write, and tell what came of it.

        That is what a commit returns or raises; `Unsure` where it may be refused for what an earlier sending did.
        """
        gathered = self._gathered.get(key if self._alone else b"")
        if gathered is None:
            gathered = self._begin(slot, key)
        _, records, values, waiting = gathered
        records.append(key)
        values.append(before.to_bytes(8, "big"))
        values.append(value)
        waiting.append(replaced)

    def _begin(self, slot: int, key: bytes) -> _Gathered:
        if not self._gathered:
            self._link.before_write(self._send)
        begun = self._gathered[key if self._alone else b""] = _Gathered(slot, [], [], [])
        return begun

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for slot, records, values, replaced in gathered.values():
            for at in range(0, len(records), MOST_TOGETHER):
                end = at + MOST_TOGETHER
                call = _Call(replaced[at:end], self._cache, self._name)
                words = records[at:end], values[2 * at : 2 * end]
                try:
                    call.request = self._link.call_together(slot, _RECORDS, *words, call)
                except StoreUnavailable as error:
                    call.set_exception(error)


class _Call:
    """Takes the reply to a call as a future does, and tells each whose commit was in it."""

    __slots__ = ("_cache", "_name", "_waiting", "request")

    request: Request

    def __init__(self, waiting: Sequence[Replaced], cache: Cache, name: str) -> None:
        self._waiting = waiting
        self._cache = cache
        self._name = name

    def done(self) -> bool:
        """Whether all were told."""
        return not self._waiting

    def set_result(self, reply: Sequence[Any]) -> None:
        """Tell each what came of its commit, and remember what is stored now."""
        waiting, self._waiting = self._waiting, ()
        put, drop = self._cache.put, self._cache.drop
        for replaced, done in zip(waiting, reply, strict=True):
            if done == 1:
                put(replaced.record, replaced.version, replaced.octets)
                replaced.told(True)
                continue
            drop(replaced.record.msisdn)
            if done != 0:
                replaced.told(StoreUnavailable(f"{self._name}: {plain(Refused(str(done)))}"))
            else:
                replaced.told(unsure(self._name) if self.request.unsure else False)

    def set_exception(self, error: BaseException) -> None:
        """Tell all of them that their commits failed."""
        waiting, self._waiting = self._waiting, ()
        for replaced in waiting:
            replaced.told(error)

    def exception(self) -> None:
        """Do nothing: everybody was told."""


def unsure(name: str) -> Unsure:
    """Return what is raised where a refusal proves nothing; `name` is how the store is called."""
    return Unsure(f"{name}: the connection broke at that moment, so it may have been written")
