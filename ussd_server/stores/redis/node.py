"""One connection to a server of Redis, and what waits until there is one that may be used."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from ussd_server.stores.redis.identity import OtherStore
from ussd_server.stores.redis.nodes import NotConfirmed
from ussd_server.stores.redis.sure import Sure
from ussd_server.stores.redis.wire import Address, NoRedis, Refused, Sent, Wire
from ussd_server.stores.redis.words import plain, why

AGAIN_S: Final = 0.05
"""Before what Redis cannot do at the moment is tried again."""

SELDOM_S: Final = 0.5
"""Between two tries to connect, where the ones before failed, at most."""

LOOKS_ELSEWHERE: Final = 2
"""How often it is asked for another server that has the data, where one has lost it, before that is said."""


class Asker(Protocol):
    """Whose requests go this way: it gets back what did not, and hears why."""

    name: str
    """How the store is called in messages."""
    closed: str
    """Why nothing is asked any more, "" while something may be."""
    batches: int
    """How many writes went out."""

    def again(self, requests: Sequence[Sent]) -> None:
        """Send these with the next write, but for those whose time is over."""

    def fail(self, request: Sent, reason: str) -> None:
        """Tell that a request failed."""

    def trouble(self, text: str) -> None:
        """Remember what is wrong, for whoever gets no answer."""

    def connected(self, wire: Wire) -> None:
        """There is a connection that may be used."""

    def keep_sure(self, address: Address) -> None:
        """See to it that the answers to what is sent now will not have to be held."""

    def begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Do this beside all else, at most until nothing is asked any more."""


class Node:
    """One of the connections to the server at an address.

    `find` has it found out where the servers are; `fixed` says that there is no other than this one.
    """

    def __init__(self, asker: Asker, sure: Sure, address: Address, find: Callable[[], None], fixed: bool) -> None:
        self._asker = asker
        self._sure = sure
        self.address = address
        self._find = find
        self._fixed = fixed
        self._connecting: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._doubted: set[int] = set()
        """Slots that came to this server while it was connected with, until their data was seen there."""
        self._left = False
        self.wire: Wire | None = None
        self.waiting: list[Sent] = []
        self.asking: list[Sent] = []
        """What waits to be sent by `send_asking`."""

    def send(self, requests: list[Sent]) -> None:
        """Send these in one write, as soon as that may be."""
        if self._left:
            self._asker.again(requests)
        elif self.wire is not None:
            if self._doubted:
                self.waiting += [request for request in requests if request.slot in self._doubted]
                requests = [request for request in requests if request.slot not in self._doubted]
                if not requests:
                    return
            self._asker.batches += 1
            self._asker.keep_sure(self.address)
            self.wire.send(requests)
        else:
            self.waiting += requests
            self._connect()

    def send_asking(self, request: Sent) -> None:
        """Send a request for a slot that is moving here and is not this server's yet, as soon as that may be."""
        if self.wire is not None:
            self.wire.send_asking(request)
        else:
            self.asking.append(request)
            self._connect()

    def doubt(self, slot: int) -> None:
        """Send nothing for a slot that came here before it was looked whether its data came with it."""
        if self.wire is None and self._connecting is None:
            return  # the next connection is looked at for all slots
        self._doubted.add(slot)
        if self._looking is None:
            self._looking = self._asker.begin(self._look())

    async def _look(self) -> None:
        try:
            while self._doubted:
                seen = set(self._doubted)
                await self._sure.look(self.address)
                self._doubted -= seen
        except Exception:  # whatever it is: nothing was seen
            if self.wire is not None:
                self.wire.abort()  # whoever connects anew is told what is wrong
                self.wire = None
        finally:
            self._looking = None
            self._doubted.clear()
            self._hand_back()

    def leave(self) -> None:
        """This server has no slots any more: hand back what waits."""
        self._left = True
        for task in (self._connecting, self._looking):
            if task is not None:
                task.cancel()
        self._hand_back()
        if self.wire is not None:
            self.wire.abort()

    def _hand_back(self) -> None:
        waiting, self.waiting = self.waiting + self.asking, []
        self.asking = []
        self._asker.again(waiting)

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = self._asker.begin(self._try_to_connect())

    async def _try_to_connect(self) -> None:
        pause = AGAIN_S
        lost = 0
        try:
            while (self.waiting or self.asking) and not self._left:
                try:
                    self.wire = await self._sure.connect(self.address)
                except NotConfirmed as error:
                    self._asker.trouble(str(error))
                except OtherStore as error:
                    self._asker.trouble(str(error))
                    lost += 1
                    if self._fixed or lost > LOOKS_ELSEWHERE:
                        self._fail_all(str(error))
                except Refused as error:
                    self._asker.trouble(plain(error))
                    if error.code in ("NOAUTH", "WRONGPASS", "ERR", "NOPERM"):
                        self._fail_all(plain(error))
                        return
                except OSError as error:
                    self._asker.trouble(why(self.address, error))
                    if isinstance(error, NoRedis):
                        self._fail_all(why(self.address, error))
                        return
                else:
                    self._asker.connected(self.wire)
                    waiting, self.waiting = self.waiting, []
                    asking, self.asking = self.asking, []
                    if waiting:
                        self.send(waiting)
                    for request in asking:
                        self.send_asking(request)
                    return
                self._find()
                await asyncio.sleep(pause)
                pause = min(2 * pause, SELDOM_S)
        finally:
            self._connecting = None

    def _fail_all(self, reason: str) -> None:
        waiting, self.waiting = self.waiting + self.asking, []
        self.asking = []
        for request in waiting:
            self._asker.fail(request, f"{self._asker.name}: {reason}")
