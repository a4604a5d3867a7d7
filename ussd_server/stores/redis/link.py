"""The way to Redis: what is asked in one turn of the loop goes out at once, and is answered or fails.

Every request is safe to send again, so a lost connection, a failover or a slot that moves costs time, nothing else. It
is tried until its time is over; then whoever asked learns why in plain words. What waits is bounded.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from ussd_server.stores.base import PerhapsDone, StoreUnavailable
from ussd_server.stores.redis.homes import Homes
from ussd_server.stores.redis.identity import Identity
from ussd_server.stores.redis.lease import Lease
from ussd_server.stores.redis.node import AGAIN_S
from ussd_server.stores.redis.nodes import Nodes, NotConfirmed
from ussd_server.stores.redis.scripts import Script
from ussd_server.stores.redis.wire import (
    Address,
    Answer,
    Asked,
    Greeting,
    Owner,
    Refused,
    Request,
    Sent,
    Wire,
    pack,
    pack_octets,
)
from ussd_server.stores.redis.words import plain

PATIENCE_S: Final = 5.0
"""How long a request is tried: less than a dialogue has for its answer."""

MOST_REQUESTS: Final = 50_000
MOST_OCTETS: Final = 64 * 1024 * 1024
"""What may be under way at once; more is refused."""

WATCH_S: Final = 0.25
"""Between two looks for requests whose time is over."""

STALLED_S: Final = 1.0
"""How long a server may be silent before it is asked elsewhere whether it is still the one."""

MOVED_ON: Final = frozenset({"MOVED", "READONLY", "CLUSTERDOWN", "MASTERDOWN"})
"""Errors that say that the servers are not as we know them."""

FOR_NOW: Final = MOVED_ON | {"TRYAGAIN", "LOADING", "BUSY", "NOREPLICAS", "UNBLOCKED"}
"""Errors after which nothing was done, and another try may succeed."""

AnyAnswer = TypeVar("AnyAnswer", bound=Answer)
T = TypeVar("T")
log = structlog.get_logger(__name__)


class SeveralSlots(StoreUnavailable):
    """Redis refused a call for keys of several slots, and did nothing of it."""


class NoList(StoreUnavailable):
    """Another program's data is where this store's should be; a script has done what stands before it came there."""


class Link(Owner):
    """Requests to whichever server has their slot. It belongs to the event loop that asks first.

    `name` is how the store is called in messages.
    """

    def __init__(self, nodes: Nodes, greeting: Greeting, name: str, patience_s: float = PATIENCE_S) -> None:
        self._nodes = nodes
        self._greeting = greeting
        self.name = name
        self.closed = ""
        self.identity = Identity(name, nodes.several)
        self._lease = Lease(nodes)
        self.homes = Homes(self, self, nodes, greeting, self._lease, self.identity)
        self._patience_s = patience_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fresh: list[Sent] = []
        self._gathering: list[Callable[[], None]] = []
        self._flushes = False
        """Whether what is fresh goes out with the loop's next turn."""
        self._later: set[Sent] = set()
        self._held: set[Sent] = set()
        """What was carried out, until it is sure that the server was still the one then."""
        self._under_way = 0
        self._octets = 0
        self._trouble = "not connected yet"
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self.fences: Mapping[int, bytes] = {}
        """The key of the fence in each slot in which something is changed by a script."""
        self.batches = 0
        """How many writes went out."""
        self.one_slot = False
        """Whether one request must keep to one slot, as the server said that was connected with last."""

    # Asking -------------------------------------------------------------------------------------------------------

    def ask(self, slot: int, command: tuple[bytes | str | int, ...], writes: bool = False) -> Asked:
        """Send a command to the server of this slot, soon; `answer` of what is returned gets the reply."""
        return self._submit(slot, pack(command), None, writes, self.loop.create_future())

    def call(self, slot: int, script: Script, keys: Sequence[bytes], values: Sequence[bytes | str | int]) -> Asked:
        """Send a call of a script that writes, as `ask` does; the fence is added where the script takes one."""
        fence = (self.fences[slot],) if script.fenced else ()
        packed = pack((b"EVALSHA", script.sha, len(keys), *keys, *values, *fence))
        return self._submit(slot, packed, script, True, self.loop.create_future())

    def call_together(
        self, slot: int, script: Script, keys: Sequence[bytes], values: list[bytes], answer: Answer
    ) -> Sent:
        """Send a call of a fenced script that writes for many, for whom `answer` takes the reply."""
        packed = pack_octets([b"EVALSHA", script.sha, b"%d" % len(keys), *keys, *values, self.fences[slot]])
        return self._submit(slot, packed, script, True, answer)

    def before_write(self, gathered: Callable[[], None]) -> None:
        """Call this right before the next write, so that all that is asked until then can be one request."""
        self._gathering.append(gathered)
        self._flush_soon()

    @property
    def several(self) -> bool:
        """Whether slots have servers of their own, and may move from one to another."""
        return self._nodes.several

    def _submit(
        self, slot: int, packed: bytes, script: Script | None, writes: bool, answer: AnyAnswer
    ) -> Request[AnyAnswer]:
        loop = self.loop
        if self.closed:
            raise StoreUnavailable(self.closed)
        if self._under_way >= MOST_REQUESTS or self._octets >= MOST_OCTETS:
            raise StoreUnavailable(f"{self.name}: too much waits for Redis already: {self._trouble or 'it is slow'}")
        request = Request(answer, packed, slot, loop.time() + self._patience_s, script, writes)
        if not self._under_way:
            self._idle.clear()
            if self._watching is None:
                self._watching = loop.call_later(WATCH_S, self._watch)
        self._under_way += 1
        self._octets += len(packed)
        self._fresh.append(request)
        if not self._flushes:
            self._flush_soon()
        return request

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it belongs to: the one that runs now, where nobody has asked yet."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop

    def _flush_soon(self) -> None:
        if not self._flushes:
            self._flushes = True
            self.loop.call_soon(self._flush)

    def _gather(self) -> None:
        gathering, self._gathering = self._gathering, []
        for gathered in gathering:
            try:
                gathered()
            except Exception:  # a defect; what else was asked must go out all the same
                log.exception("redis_request_not_gathered")

    def _flush(self) -> None:
        """Send what was asked since the loop came by last."""
        self._gather()
        self._flushes = False
        if self._gathering:  # by who was told something meanwhile
            self._flush_soon()
        fresh, self._fresh = self._fresh, []
        self.homes.send(fresh)

    def again(self, requests: Sequence[Sent]) -> None:
        """Send these with the next write, but for those whose time is over."""
        assert self._loop is not None
        now = self._loop.time()
        for request in requests:
            if request.until <= now or self.closed:
                self.fail(request, self._too_late(request))
            else:
                self._fresh.append(request)
                self._flush_soon()

    # What came of it ----------------------------------------------------------------------------------------------

    def answered(self, requests: Sequence[Sent]) -> None:
        """These have their replies."""
        self._under_way -= len(requests)
        for request in requests:
            self._octets -= len(request.packed)
        if not self._under_way:
            self._idle.set()

    def copied(self, wire: Wire, requests: Sequence[Sent], replies: Sequence[Any], copies: int) -> None:
        """Answer what was carried out, where enough replicas have it and it is sure whom they follow."""
        assert self._loop is not None
        if copies >= self._greeting.replicas:
            if self._lease.holds(wire.address, self._loop.time()):
                self._told(wire, requests, replies, copies)
            else:
                self._held.update(requests)
                self.begin(self._hold(wire, requests, replies, copies))
            return
        reason = (
            f"{self.name}: written, but only {copies} of {self._greeting.replicas} replicas have it "
            f"after {self._greeting.wait_ms} ms, so a failover may lose it; look after the replicas"
        )
        for request in requests:
            self.fail(request, reason, PerhapsDone)

    def _told(self, wire: Wire, requests: Sequence[Sent], replies: Sequence[Any], copies: int) -> None:
        super().copied(wire, requests, replies, copies)
        self.answered(requests)

    async def _hold(self, wire: Wire, requests: Sequence[Sent], replies: Sequence[Any], copies: int) -> None:
        """Answer what was carried out when it is sure that the server was still the one then."""
        try:
            await self._lease.renew(wire.address)
        except NotConfirmed as error:
            self.trouble(str(error))
            self.homes.unconfirmed(wire.address)
            self._send_elsewhere([request for request, _ in self._let_go(requests, replies)])
        else:
            in_time = self._let_go(requests, replies)
            self._told(wire, [request for request, _ in in_time], [reply for _, reply in in_time], copies)

    def _let_go(self, requests: Sequence[Sent], replies: Sequence[Any]) -> list[tuple[Sent, Any]]:
        """Hold these no longer; return those that were not refused meanwhile, with their replies."""
        in_time = [each for each in zip(requests, replies, strict=True) if each[0] in self._held]
        self._held.difference_update(requests)
        return in_time

    def keep_sure(self, address: Address) -> None:
        """See to it that the answers to what is sent now will not have to be held."""
        assert self._loop is not None
        if self._greeting.replicas and self._lease.ages(address, self._loop.time()):
            self.begin(self._lease.renew_ahead(address))

    def refused(self, wire: Wire, request: Sent, error: Refused) -> None:
        """Do what an error asks for: go elsewhere, wait a moment, load the script again; or give up."""
        assert self._loop is not None
        request.resent = True
        if error.code == "NOSCRIPT" and request.script is not None:
            wire.reload(request.script)
            wire.send([request])
            return
        if error.code in ("MOVED", "ASK") and self._nodes.several:
            address = _address(str(error), wire)
            if error.code == "ASK":
                self.homes.node(address, request.slot).send_asking(request)
                return
            self.homes.moved(request.slot, address)
            self.again([request])
            return
        if error.code in FOR_NOW:
            self.trouble(plain(error))
            if error.code in MOVED_ON:
                self.homes.find()
            self._later.add(request)
            self._loop.call_later(AGAIN_S, self._now, request)
            return
        kind = StoreUnavailable
        if error.code == "CROSSSLOT":
            kind = SeveralSlots
        elif error.code == "WRONGTYPE" and not request.unsure:
            kind = NoList
        self.fail(request, f"{self.name}: {plain(error)}", kind)

    def _now(self, request: Sent) -> None:
        if request in self._later:
            self._later.discard(request)
            self.again([request])

    def lost(self, wire: Wire, requests: Sequence[Sent]) -> None:
        """A connection broke: send again what it leaves, which may have been carried out."""
        self.homes.lost(wire)
        if requests:
            self.trouble("the connection broke")
            self._send_elsewhere(requests)

    def _send_elsewhere(self, requests: Sequence[Sent]) -> None:
        """Send again, to whoever is the one now, what may have been carried out."""
        for request in requests:
            request.unsure = request.resent = True
        self.homes.find()
        self.again(requests)

    def connected(self, wire: Wire) -> None:
        """There is a connection that may be used."""
        self.one_slot = wire.one_slot
        self._trouble = ""

    def trouble(self, text: str) -> None:
        """Remember what is wrong, for whoever gets no answer."""
        self._trouble = text

    def fail(
        self, request: Sent, reason: str, kind: type[StoreUnavailable] = StoreUnavailable, sent: bool = False
    ) -> None:
        """Tell that a request failed; `sent`: whoever has it may have carried it out, or may yet."""
        self._refuse(request, reason, kind, sent)
        self.answered([request])

    def _refuse(self, request: Sent, reason: str, kind: type[StoreUnavailable], sent: bool) -> None:
        if request.answer.done():
            return
        if kind is StoreUnavailable and request.writes and (sent or request.unsure):
            kind, reason = PerhapsDone, f"{reason}; what was sent may have been done"
        request.answer.set_exception(kind(reason))
        # Who asked may be gone, and then nobody looks.
        request.answer.exception()

    def _too_late(self, request: Sent) -> str:
        return self.closed or f"{self.name}: no answer for {self._patience_s:g} s: {self._trouble or 'it is silent'}"

    # Beside all else ----------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Ask each server for the id of one bucket, soon; one that lost it under way is looked at anew."""
        for slot in self.homes.one_of_each(list(self.identity.shares)):
            command = (b"GET", self.identity.shares[slot].key)
            self.ask(slot, command).answer.add_done_callback(partial(self._watched, slot))

    def _watched(self, slot: int, answer: "asyncio.Future[Any]") -> None:
        if not answer.cancelled() and answer.exception() is None and answer.result() != self.identity.shares[slot].id:
            self.homes.look_anew(slot)

    def check(self) -> None:
        """Raise StoreUnavailable where this link is closed."""
        if self.closed:
            raise StoreUnavailable(self.closed)

    def begin(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Do this beside all else, at most until the link is closed."""
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Time ---------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Fail what waited too long, and doubt servers that are silent."""
        assert self._loop is not None
        self._watching = None
        now = self._loop.time()
        self.homes.waiting = self._in_time(self.homes.waiting, now)
        for waiting in (self._later, self._held):
            late = [request for request in waiting if request.until <= now]
            waiting.difference_update(late)
            for request in late:
                self.fail(request, self._too_late(request), sent=waiting is self._held)
        for node in self.homes.nodes:
            node.waiting, node.asking = self._in_time(node.waiting, now), self._in_time(node.asking, now)
            if node.wire is not None:
                self._watch_wire(node.wire, now)
        if self._under_way and not self.closed:
            self._watching = self._loop.call_later(WATCH_S, self._watch)

    def _watch_wire(self, wire: Wire, now: float) -> None:
        """Tell those whose time is over; break the connection only where nothing at all comes by it."""
        oldest = wire.oldest
        if oldest is None:
            return
        silent = now - max(wire.heard, oldest.until - self._patience_s)
        if silent >= STALLED_S:
            self.homes.find()
        if oldest.until <= now:
            if silent >= STALLED_S:
                self.trouble("it is silent")
                wire.abort()
                return
            for request in wire.requests():
                # Its place in the line stays: the reply still comes, and goes to nobody.
                if request.until <= now:
                    self._refuse(request, self._too_late(request), StoreUnavailable, sent=True)

    def _in_time(self, requests: list[Sent], now: float) -> list[Sent]:
        late = [request for request in requests if request.until <= now]
        for request in late:
            self.fail(request, self._too_late(request))
        return [request for request in requests if request.until > now] if late else requests

    # The end ------------------------------------------------------------------------------------------------------

    async def close(self, reason: str, seconds: float, last: Callable[[], Sequence[Sent]]) -> None:
        """Finish what is under way, what that leads to at once, and `last`, in so many seconds; then refuse."""
        if self.closed:
            return
        if self._loop is not None:
            until = self._loop.time() + seconds
            timer = self._loop.call_at(until, self._idle.set)
            for work in (self._gather, last):
                work()
                while self._under_way and self._loop.time() < until:
                    await self._idle.wait()
                    for _ in range(3):  # who was answered may go on with another request
                        await asyncio.sleep(0)
            timer.cancel()
        self.closed = reason
        if self._watching is not None:
            self._watching.cancel()
        self._gather()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        nodes = self.homes.nodes
        for node in nodes:
            node.leave()
        held = set(self._held)
        left = [*self.homes.waiting, *self._later, *held, *self._fresh]
        self.homes.waiting, self._fresh = [], []
        self._later.clear()
        self._held.clear()
        for request in left:
            self.fail(request, reason, sent=request in held)
        await asyncio.gather(*(node.wire.gone for node in nodes if node.wire))
        await self._nodes.close()


def _address(text: str, wire: Wire) -> Address:
    """Return where `MOVED 42 HOST:PORT` points; an empty host is that of the server that says so."""
    host, _, port = text.split()[2].rpartition(":")
    return host or wire.address[0], int(port)
