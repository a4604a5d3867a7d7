"""The records of terminals on Redis, and the nonces that they used."""

from ussd_server.stores.base import DamagedRecord, Nonce
from ussd_server.stores.damaged import UNDECODABLE
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.buckets import bucket_of
from ussd_server.stores.redis.layout import Layout
from ussd_server.terminals.record import Terminal, decode, encode


class Terminals:
    """The port's terminals and nonces."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._link = layout.link
        self._terminals: dict[str, tuple[Terminal, bytes]] = {}

    async def load_terminal(self, id: str) -> tuple[Terminal | None, int]:
        """Return a terminal and its version as they are now; a version is decoded once."""
        await self._layout.open()
        bucket = self._layout.buckets[0]
        value = await self._link.ask(bucket.slot, (b"HGET", bucket.terminals, id)).answer
        if value is None:
            return None, 0
        found = self._terminals.get(id)
        if found is None or found[1] != value:
            found = self._terminals[id] = self._decoded_terminal(id, value), value
        return found[0], int.from_bytes(value[: keys.VERSION_OCTETS], "big")

    async def terminals(self) -> list[Terminal]:
        """Return every terminal, by id."""
        await self._layout.open()
        bucket = self._layout.buckets[0]
        flat = await self._link.ask(bucket.slot, (b"HGETALL", bucket.terminals)).answer
        return [self._decoded_terminal(id.decode(), value) for id, value in sorted(zip(flat[::2], flat[1::2]))]  # noqa: B905

    def _decoded_terminal(self, id: str, value: bytes) -> Terminal:
        try:
            return decode(value[keys.VERSION_OCTETS :])
        except UNDECODABLE as error:
            raise DamagedRecord(
                f"{self._layout.name}: the record of the terminal {id!r} is damaged: {error}"
            ) from error

    async def commit_terminal(self, terminal: Terminal, version: int) -> bool:
        """Write a terminal durably and return True, or return False where `version` is not the stored one."""
        await self._layout.open()
        if not 0 <= version < 1 << 64:
            return False
        bucket = self._layout.buckets[0]
        before = version.to_bytes(8, "big") if version else b""
        value = self._layout.new_version().to_bytes(8, "big") + encode(terminal)
        request = self._layout.call(bucket, "commit_terminal", [bucket.terminals], terminal.id, before, value)
        if await request.answer:
            return True
        self._layout.sure(request)
        return False

    async def use_nonce(self, terminal: str, nonce: str, until: int) -> bool:
        """Return True and remember the nonce durably, False where this terminal has used it and it was not swept."""
        name = keys.name(terminal, nonce)
        await self._layout.open()
        bucket = self._layout.bucket(name)
        request = self._layout.call(bucket, "use_nonce", [bucket.nonces], until, name)
        if await request.answer:
            return True
        self._layout.sure(request)
        return False

    async def nonces(self, after: Nonce | None, limit: int) -> list[Nonce]:
        """Return up to `limit` nonces, bucket by bucket in the order of their ends, beginning behind `after`."""
        await self._layout.open()
        name = keys.name(after.terminal, after.nonce) if after else b""
        start, until = (bucket_of(name, len(self._layout.buckets)), after.until) if after else (0, 0)
        found: list[Nonce] = []
        for bucket in self._layout.buckets[start:]:
            if len(found) == limit:
                break
            flat = await self._layout.call(bucket, "nonces", [bucket.nonces], name, until, limit - len(found)).answer
            ends = zip(flat[::2], flat[1::2], strict=True)
            found += [Nonce(*keys.pair(each), int(float(end))) for each, end in ends]
            name = b""
        return found
