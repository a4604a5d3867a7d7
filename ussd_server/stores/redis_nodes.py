"""Which Redis server has which slots: one that is named, the master that Sentinels name, or a Cluster's masters."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.buckets import SLOTS
from ussd_server.stores.redis_wire import Address, Greeting, Owner, Refused, connect

ASK_S: Final = 1.0
"""How long one server may take to say where the others are."""


class NotFound(Exception):
    """Nobody says where the servers are. `hopeless`: and nobody will, until the settings are mended."""

    def __init__(self, text: str, hopeless: bool = False) -> None:
        super().__init__(text)
        self.hopeless = hopeless


class Nodes(Protocol):
    """Finds servers. `fixed` says that they never change, `several` that slots have servers of their own."""

    fixed: bool
    several: bool

    async def find(self) -> Sequence[Address]:
        """Return the address of each slot's server; raises NotFound."""


class Alone:
    """One server for everything."""

    fixed = True
    several = False

    def __init__(self, address: Address) -> None:
        self._homes = [address] * SLOTS

    async def find(self) -> Sequence[Address]:
        """Return it, for each slot."""
        return self._homes


async def _ask(address: Address, greeting: Greeting, *command: bytes | str | int) -> Any:
    """Return the reply of a server that is asked once. Raises OSError or Refused."""

    async def asked() -> Any:
        wire = await connect(address, replace(greeting, scripts=False, replicas=0), Owner())
        try:
            return await wire.ask(*command)
        finally:
            wire.abort()

    return await asyncio.wait_for(asked(), ASK_S)


class Sentinels:
    """The master of this name, as its Sentinels know it. They are asked in turn, first who answered last."""

    fixed = False
    several = False

    def __init__(self, sentinels: Sequence[Address], master: str, greeting: Greeting, password: Secret[str] | None):
        self._sentinels = list(sentinels)
        self._master = master
        self._greeting = replace(greeting, user="", password=password, database=0)

    async def find(self) -> Sequence[Address]:
        """Return the master's address, for each slot."""
        reasons = []
        for sentinel in list(self._sentinels):
            try:
                found = await _ask(sentinel, self._greeting, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
            except (OSError, Refused) as error:
                reason = str(error) or "it does not answer"
                if "unknown command" in reason:
                    reason = "this is no Sentinel, but a Redis: name Sentinels in the URL, or write redis://"
                reasons.append(f"{sentinel[0]}:{sentinel[1]}: {reason}")
                continue
            if found:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return [(found[0].decode(), int(found[1]))] * SLOTS
            reasons.append(f"{sentinel[0]}:{sentinel[1]} knows no master {self._master!r}")
        raise NotFound("no Sentinel says where the master is: " + "; ".join(reasons))


class Cluster:
    """The masters of a Cluster, as any of its servers knows them; those in the URL are only where it begins."""

    fixed = False
    several = True

    def __init__(self, seeds: Sequence[Address], greeting: Greeting) -> None:
        self._seeds = list(seeds)
        self._known: list[Address] = []
        self._greeting = greeting

    async def find(self) -> Sequence[Address]:
        """Return the master of each slot."""
        reasons = []
        for server in dict.fromkeys([*self._known, *self._seeds]):
            try:
                ranges = await _ask(server, self._greeting, "CLUSTER", "SLOTS")
            except Refused as error:
                if "cluster support disabled" in str(error):
                    raise NotFound("this Redis is no Cluster: write redis:// in the store's URL", True) from None
                reasons.append(f"{server[0]}:{server[1]}: {error}")
                continue
            except OSError as error:
                reasons.append(f"{server[0]}:{server[1]}: {str(error) or 'it does not answer'}")
                continue
            homes = _homes(ranges, server[0])
            if None not in homes:
                self._known = list(dict.fromkeys(home for home in homes if home))
                return [home for home in homes if home]
            reasons.append(f"{server[0]}:{server[1]} knows no master for {homes.count(None)} slots")
        raise NotFound("no server of the Cluster says where the slots are: " + "; ".join(reasons))


def _homes(ranges: Sequence[Any], asked: str) -> list[Address | None]:
    """Return each slot's master from the reply of CLUSTER SLOTS; an empty host is the one that was asked."""
    homes: list[Address | None] = [None] * SLOTS
    for first, last, master, *_ in ranges:
        host = (master[0] or b"").decode()
        with suppress(UnicodeDecodeError, ValueError):
            homes[first : last + 1] = [(host or asked, int(master[1]))] * (last + 1 - first)
    return homes
