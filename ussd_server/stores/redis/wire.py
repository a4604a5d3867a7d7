"""One connection to a Redis server: requests go out a batch at a time, replies come back in their order.

hiredis reads and writes the protocol. redis-py's connection costs 21 to 25 µs of CPU a command where this costs 5 to 7,
and a store asks twice a step (docs/decisions/0015-redis-store.md).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, cast

import hiredis

from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.redis.scripts import EVERY_SCRIPT, Script
from ussd_server.stores.redis.tls import NoTls, speaks_plainly

CONNECT_S: Final = 2.0
"""How long connecting and greeting may take together."""

NO_REDIS: Final = "what answers there is no Redis: correct host and port in the store's URL"

Address: TypeAlias = tuple[str, int]

pack: Callable[..., bytes] = hiredis.pack_command
"""Return a command, given as a tuple, as it goes over the wire."""

_ASKING: Final = pack((b"ASKING",))


def pack_octets(words: Sequence[bytes]) -> bytes:
    """Return a command of octets alone as it goes over the wire: a long one in half of the time that `pack` takes."""
    return b"".join([b"*%d\r\n" % len(words), *[b"$%d\r\n%b\r\n" % (len(word), word) for word in words]])


class Refused(Exception):
    """Redis answered with an error. `code` is its first word."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class NoRedis(ConnectionError):
    """Whoever answers speaks another protocol; the text says the mend."""

    def __init__(self) -> None:
        super().__init__(NO_REDIS)


@dataclass(frozen=True)
class Greeting:
    """How a connection introduces itself; `replicas` is how many must have a batch, within `wait_ms`, to answer it.

    `name` is what CLIENT LIST shows of it.
    """

    user: str = ""
    password: Secret[str] | None = None
    database: int = 0
    tls: ssl.SSLContext | None = None
    ca_file: Path | None = None
    replicas: int = 0
    wait_ms: int = field(kw_only=True)  # WAIT takes 0 for ever
    scripts: bool = True
    name: str = "ussd-server"


class Answer(Protocol):
    """Who waits for a reply: a future, or what stands for many. It is told once, by one of the two that set."""

    def done(self) -> bool:
        """Whether nobody waits any more: told, or gone."""

    def set_result(self, reply: Any, /) -> None:
        """Take the reply. Raises nothing, nor does `set_exception`: the connection is shared with others."""

    def set_exception(self, error: BaseException, /) -> None:
        """Take why there is none."""

    def exception(self) -> BaseException | None:
        """Be looked at: a future says that nobody was, where it is given an exception and not asked for it."""


AnswerT = TypeVar("AnswerT", bound=Answer, covariant=True)


class Request(Generic[AnswerT]):
    """A command under way, and who waits for its reply.

    `unsure` says that it was sent by a connection that broke: it may have been carried out. `resent` says that it was
    sent more than once, so that another server may have answered it than what was sent with it. `wire` is the
    connection that the reply came by.
    """

    __slots__ = ("answer", "packed", "resent", "script", "slot", "unsure", "until", "wire", "writes")

    def __init__(
        self,
        answer: AnswerT,
        packed: bytes,
        slot: int = 0,
        until: float = 0.0,
        script: Script | None = None,
        writes: bool = False,
    ) -> None:
        self.answer = answer
        self.packed = packed
        self.slot = slot
        self.until = until
        self.script = script
        self.writes = writes
        self.unsure = False
        self.resent = False
        self.wire: Wire | None = None


Asked: TypeAlias = Request[asyncio.Future[Any]]
"""A request whose reply is awaited by one."""

Sent: TypeAlias = Request[Answer]
"""A request, whoever waits for its reply."""


class _Answered:
    """A command that nobody waits for; its error is the next command's."""

    __slots__ = ()


class _Copied:
    """WAIT: its reply says how many replicas have the batch before it."""

    __slots__ = ()


_IGNORED, _COPIED = _Answered(), _Copied()
_Waiting: TypeAlias = Sent | _Answered | _Copied


class Wire(asyncio.Protocol):
    """A connection that has been made; `owner` is told of what did not go well, and of each batch that came back."""

    def __init__(self, owner: "Owner", greeting: Greeting, address: Address) -> None:
        self._owner = owner
        self.address = address
        self._replicas = greeting.replicas
        self._wait = pack((b"WAIT", b"%d" % greeting.replicas, b"%d" % greeting.wait_ms))
        self._reader = hiredis.Reader()
        self._waiting: deque[_Waiting] = deque()
        self._copying: list[tuple[Sent, Any]] = []
        self._transport: asyncio.Transport | None = None
        self.loading: set[bytes] = set()
        """Scripts that are being loaded once more, by their SHA-1."""
        self.one_slot = False
        """Whether the server takes no request for several slots: it is in cluster mode, be it the only one."""
        self.garbled = False
        """Whether something came that is not Redis's protocol."""

    # Out ----------------------------------------------------------------------------------------------------------

    def send(self, requests: Sequence[Sent]) -> None:
        """Send these in one write; with replicas to wait for, what they changed is waited for together."""
        parts = [request.packed for request in requests]
        self._waiting.extend(requests)
        if self._replicas and any(request.writes for request in requests):
            parts.append(self._wait)
            self._waiting.append(_COPIED)
        self._write(b"".join(parts))

    def send_asking(self, request: Sent) -> None:
        """Send a request for a slot that is moving here and is not this server's yet."""
        self._waiting.append(_IGNORED)
        self._write(_ASKING)
        self.send([request])

    def reload(self, script: Script) -> None:
        """Load a script that the server does not know any more, ahead of what is sent from now on."""
        if script.sha not in self.loading:
            self.loading.add(script.sha)
            self._waiting.append(_IGNORED)
            self._write(pack((b"SCRIPT", b"LOAD", script.source)))

    def _write(self, octets: bytes) -> None:
        if self._transport is not None:
            self._transport.write(octets)

    async def ask(self, *command: bytes | str | int) -> Any:
        """Return the reply to one command; raises `Refused`. For what is asked rarely."""
        request = Request(asyncio.get_running_loop().create_future(), pack(command))
        self.send([request])
        return await request.answer

    @property
    def oldest(self) -> Sent | None:
        """The request that has waited here longest."""
        return next(self.requests(), None)

    def requests(self) -> Iterator[Sent]:
        """Return the requests that wait here, for a reply or for replicas, the oldest first."""
        waiting = (each for each in self._waiting if isinstance(each, Request))
        return chain((request for request, _ in self._copying), waiting)

    @property
    def made(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None

    def hand_over(self, owner: "Owner") -> None:
        """Let somebody else have what comes of it; raises ConnectionResetError where it broke meanwhile."""
        if self._transport is None:
            raise ConnectionResetError("the connection was closed")
        self._owner = owner

    def abort(self) -> None:
        """Break the connection; what waits is handed back to the owner."""
        if self._transport is not None:
            self._transport.abort()

    # In -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.heard = self._loop.time()
        """When something came last, by the loop's clock."""

    def data_received(self, data: bytes) -> None:
        """Hand each reply to who waits for it."""
        reader, waiting, replicas, answered = self._reader, self._waiting, self._replicas, []
        reader.feed(data)
        self.heard = self._loop.time()
        try:
            while (reply := reader.gets()) is not False:
                if not waiting:
                    raise hiredis.ProtocolError("a reply to nothing")
                request = waiting.popleft()
                if type(request) is not Request:
                    self._answered_aside(request, reply)
                elif isinstance(reply, hiredis.ReplyError):
                    self._owner.refused(self, request, Refused(str(reply)))
                elif replicas and request.writes:
                    request.wire = self
                    self._copying.append((request, reply))
                else:
                    request.wire = self
                    answered.append(request)
                    if not request.answer.done():
                        request.answer.set_result(reply)
        except hiredis.ProtocolError as error:
            self.garbled = True
            self._owner.trouble(f"it does not speak Redis's protocol: {error}")
            self.abort()
        finally:
            if answered:
                self._owner.answered(answered)

    def _answered_aside(self, request: _Waiting, reply: Any) -> None:
        if isinstance(request, _Answered):
            self.loading.clear()
            return
        held, self._copying = self._copying, []
        copies = reply if isinstance(reply, int) else 0
        self._owner.copied(self, [each for each, _ in held], [each for _, each in held], copies)

    def connection_lost(self, error: Exception | None) -> None:
        """Hand back what was not answered: nobody knows whether it was carried out."""
        left = [request for request, _ in self._copying]
        left += [request for request in self._waiting if isinstance(request, Request)]
        self._waiting.clear()
        self._copying = []
        self._transport = None
        self.gone.set_result(None)
        self._owner.lost(self, left)


class Owner:
    """Who made a wire, and what it does where a request is not simply answered: here, a single question."""

    def answered(self, requests: Sequence[Sent]) -> None:
        """These have their replies."""

    def refused(self, wire: Wire, request: Sent, error: Refused) -> None:
        """Redis answered with an error."""
        if not request.answer.done():
            request.answer.set_exception(error)

    def copied(self, wire: Wire, requests: Sequence[Sent], replies: Sequence[Any], copies: int) -> None:
        """These were carried out, and so many replicas have what they changed."""
        for request, reply in zip(requests, replies, strict=True):
            if not request.answer.done():
                request.answer.set_result(reply)

    def lost(self, wire: Wire, requests: Sequence[Sent]) -> None:
        """The connection is gone, and with it the replies to these."""
        for request in requests:
            if not request.answer.done():
                request.answer.set_exception(ConnectionResetError("the connection was closed"))

    def trouble(self, text: str) -> None:
        """Something is wrong, for people to read."""


async def connect(
    address: Address, greeting: Greeting, owner: Owner, accepted: Callable[[Wire], Awaitable[None]]
) -> Wire:
    """Return a greeted connection that `accepted` has not raised of.

    Raises what that raises, OSError (also a TimeoutError, NoRedis), or `Refused` with what Redis said.
    """
    host, port = address
    wire = Wire(Owner(), greeting, address)
    try:
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().create_connection(lambda: wire, host, port, ssl=greeting.tls)
            await _greet(wire, greeting)
        await accepted(wire)
        wire.hand_over(owner)
    except (TimeoutError, ssl.SSLError) as error:
        wire.abort()
        untrusted = isinstance(error, ssl.SSLCertVerificationError)
        if greeting.tls is not None and not untrusted and await speaks_plainly(address):
            raise NoTls from None
        raise
    except BaseException as error:
        wire.abort()
        if wire.garbled and isinstance(error, ConnectionResetError):
            raise NoRedis from None
        raise
    return wire


async def _greet(wire: Wire, greeting: Greeting) -> None:
    if greeting.password is not None:
        who = (greeting.user,) if greeting.user else ()
        await wire.ask("AUTH", *who, greeting.password.reveal())
    if greeting.database:
        await wire.ask("SELECT", greeting.database)
    if greeting.scripts:
        with suppress(Refused):
            await wire.ask("CLIENT", "SETNAME", greeting.name)
        role = await _role(wire)
        if role != "master":
            raise Refused(f"READONLY it is a {role}")
        loads = (wire.ask("SCRIPT", "LOAD", script.source) for script in EVERY_SCRIPT.values())
        wire.one_slot, *_ = await asyncio.gather(_in_cluster_mode(wire), *loads)


async def _in_cluster_mode(wire: Wire) -> bool:
    """Return what the server says of that; a proxy may not know the question."""
    try:
        flat = await wire.ask("HELLO")
    except Refused:
        return False
    return dict(zip(flat[::2], flat[1::2], strict=True)).get(b"mode") == b"cluster"


async def _role(wire: Wire) -> str:
    """Return what the server says it is; where it may not be asked, a master until it refuses a write."""
    try:
        role: bytes = (await wire.ask("ROLE"))[0]
    except Refused as error:
        if error.code == "NOAUTH":
            raise  # who has not said the password is cut off where it sends a script, and would not know why
        return "master"
    return "replica" if role == b"slave" else role.decode()
