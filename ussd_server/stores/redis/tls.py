"""Whether a Redis that does not answer to TLS would answer without it: then the mend is another URL, not a cable."""

import asyncio
from typing import Final

PING_S: Final = 1.0
"""How long a server may take to answer the question."""

NO_TLS: Final = (
    "it answers, but not to TLS: write redis in place of rediss in the store's URL, or name the port where this Redis "
    "speaks TLS (tls-port in redis.conf)"
)


class NoTls(ConnectionError):
    """The server speaks no TLS at this port; the text says the mend."""

    def __init__(self) -> None:
        super().__init__(NO_TLS)


async def speaks_plainly(address: tuple[str, int]) -> bool:
    """Return whether a Redis answers there in the clear; what it is asked tells nothing of us."""
    try:
        async with asyncio.timeout(PING_S):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(b"PING\r\n")
                return await reader.read(1) in (b"+", b"-")
            finally:
                writer.transport.abort()
    except OSError:
        return False
