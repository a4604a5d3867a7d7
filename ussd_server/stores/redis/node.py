"""One connection to a server of Redis, and what waits until there is one that may be used."""

import asyncio
from typing import TYPE_CHECKING, Final

from ussd_server.stores.redis.identity import OtherStore
from ussd_server.stores.redis.nodes import NotConfirmed
from ussd_server.stores.redis.wire import Address, Greeting, NoRedis, Refused, Sent, Wire
from ussd_server.stores.redis.words import plain, why

if TYPE_CHECKING:
    from ussd_server.stores.redis.link import Link


AGAIN_S: Final = 0.05
"""Before what Redis cannot do at the moment is tried again."""

SELDOM_S: Final = 0.5
"""Between two tries to connect, where the ones before failed, at most."""

LOOKS_ELSEWHERE: Final = 2
"""How often it is asked for another server that has the data, where one has lost it, before that is said."""


class Node:
    """One of the connections of a link to the server at an address."""

    def __init__(self, link: "Link", address: Address, greeting: Greeting) -> None:
        self._link = link
        self.address = address
        self._greeting = greeting
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
            self._link.again(requests)
        elif self.wire is not None:
            if self._doubted:
                self.waiting += [request for request in requests if request.slot in self._doubted]
                requests = [request for request in requests if request.slot not in self._doubted]
                if not requests:
                    return
            self._link.batches += 1
            self._link.keep_sure(self.address)
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
            self._looking = self._link.begin(self._look())

    async def _look(self) -> None:
        try:
            while self._doubted:
                seen = set(self._doubted)
                await self._link.look(self.address)
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
        self._link.again(waiting)

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = self._link.begin(self._try_to_connect())

    async def _try_to_connect(self) -> None:
        pause = AGAIN_S
        lost = 0
        try:
            while (self.waiting or self.asking) and not self._left:
                try:
                    self.wire = await self._link.connect_surely(self.address)
                except NotConfirmed as error:
                    self._link.trouble(str(error))
                except OtherStore as error:
                    self._link.trouble(str(error))
                    lost += 1
                    if self._link.fixed or lost > LOOKS_ELSEWHERE:
                        self._fail_all(str(error))
                except Refused as error:
                    self._link.trouble(plain(error))
                    if error.code in ("NOAUTH", "WRONGPASS", "ERR", "NOPERM"):
                        self._fail_all(plain(error))
                        return
                except OSError as error:
                    self._link.trouble(why(self.address, error))
                    if isinstance(error, NoRedis):
                        self._fail_all(why(self.address, error))
                        return
                else:
                    waiting, self.waiting = self.waiting, []
                    asking, self.asking = self.asking, []
                    if waiting:
                        self.send(waiting)
                    for request in asking:
                        self.send_asking(request)
                    return
                self._link.find()
                await asyncio.sleep(pause)
                pause = min(2 * pause, SELDOM_S)
        finally:
            self._connecting = None

    def _fail_all(self, reason: str) -> None:
        waiting, self.waiting = self.waiting + self.asking, []
        self.asking = []
        for request in waiting:
            self._link.fail(request, f"{self._link.name}: {reason}")
