"""What the servers of a store on Redis could lose, as they are set up now; the replicas, too."""

import asyncio
from collections.abc import Collection

from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.redis import durability
from ussd_server.stores.redis.layout import Layout
from ussd_server.stores.redis.nodes import NotAnswered, NotFound, ask_setup
from ussd_server.stores.redis.wire import Address


async def risks(layout: Layout) -> list[str]:
    """Return what each server could lose of what was acknowledged, and the mend; nothing where it is durable.

    The replicas are judged, too: a failover makes one of them the master.
    """
    found: list[str] = []
    masters = set()
    for one in await layout.one_of_each_server():
        info = await layout.link.ask(one, (b"INFO",)).answer
        try:
            command = (b"CONFIG", b"GET", *durability.SETTINGS)
            flat = await layout.link.ask(one, command).answer
            config = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
        except StoreUnavailable:  # forbidden, as a managed Redis does, or it is away and the next request says so
            config = None
        lines = durability.risks(durability.fields(info.decode()), config, layout.url.kind, layout.url.replicas)
        host, port = address = layout.link.homes.address(one)
        masters.add(address)
        found += lines if layout.url.kind == "alone" else [f"{host}:{port}: {line}" for line in lines]
    return [*found, *await _risks_of_replicas(layout, masters)]


async def _risks_of_replicas(layout: Layout, masters: Collection[Address]) -> list[str]:
    try:
        replicas = [each for each in await layout.nodes.replicas() if each not in masters]
    except NotFound as error:
        return [f"it is not known which replicas may become masters: {error}"]
    return [
        line
        for lines in await asyncio.gather(*(_risks_of_replica(layout, each) for each in replicas))
        for line in lines
    ]


async def _risks_of_replica(layout: Layout, address: Address) -> list[str]:
    where = f"{address[0]}:{address[1]}, a replica"
    try:
        info, config = await ask_setup(address, layout.greeting, durability.SETTINGS)
    except NotAnswered as error:
        return [f"{where}: it is not known what it would lose as the master: {error}"]
    lines = durability.of_replica(info, config, layout.url.kind)
    return [f"{where} that may become the master: {line}" for line in lines]
