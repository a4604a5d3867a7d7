"""The kiosk's process: the terminal's client, the seats of its screens, and a look at whether the server is there."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from ssl import SSLContext
from typing import Final

import structlog

from ussd_server.kiosk.seat import CLOSED, Listener, Manner, Seat
from ussd_server.terminal_client import Patience, Refused, TerminalClient, TerminalError, Unreachable
from ussd_server.terminals import credentials
from ussd_server.terminals.credentials import Credentials, CredentialsError

PATIENCE: Final = Patience(total=12.0, attempt=6.0)
"""How long a person waits for an answer before they are told that it takes longer."""
LOOK_S: Final = 20.0
"""How often the kiosk looks whether the server is there and lets it serve, while it is so."""
LOOK_AGAIN_S: Final = 1.0
"""The same while it is not; each look takes its own time."""
LOOK_CLOSED_S: Final = 5.0
"""The same while the terminal may not serve: who has just let it back stands before it."""
GONE_S: Final = 10.0
"""How long a visit outlives the page that showed it: a page that is loaded anew comes back within a second."""
STOP_S: Final = 3.0
"""How long a stop waits for visits to be closed."""
MANNER: Final = Manner()
MAX_SEATS: Final = 16
SEAT_OCTETS: Final = 16

log = structlog.get_logger()


def _now() -> int:
    return time.time_ns() // 1_000_000


class Kiosk:
    """One terminal and its screens. `open` before `start`, which needs the server's address, shows that it is away."""

    def __init__(self, manner: Manner = MANNER, now: Callable[[], int] = _now, gone_s: float = GONE_S) -> None:
        self.name = ""
        """The terminal's id, once it is started."""
        self.online: bool | None = None
        """Whether the server could be reached at the last look, None before it."""
        self.closed = ""
        """The problem for which this terminal may serve nobody, as the server said at the last look; "" for none."""
        self._manner = manner
        self._now = now
        self._gone_s = gone_s
        self._seats: dict[str, Seat] = {}
        self._gone: dict[str, asyncio.TimerHandle] = {}
        self._client: TerminalClient | None = None
        self._stack = AsyncExitStack()
        self._looking: asyncio.Task[None] | None = None
        self._credentials: Credentials | None = None
        self._file: Path | None = None
        self._look_now = asyncio.Event()

    async def start(
        self, own: Credentials, url: str | None = None, file: Path | None = None, tls: SSLContext | None = None
    ) -> None:
        """Serve with these credentials; `file` keeps what is learned of the server's keys, `tls` is as for the client.

        Raises ValueError for an address that cannot be used.
        """
        client = TerminalClient(own, url, patience=PATIENCE, tls=tls)
        self.name, self._credentials, self._file = own.terminal, own, file
        self._client = await self._stack.enter_async_context(client)
        self._looking = asyncio.create_task(self._look(self._client))

    async def stop(self) -> None:
        """Close every visit, and let go of the server."""
        if self._looking is not None:
            self._looking.cancel()
        for timer in self._gone.values():
            timer.cancel()
        with suppress(TimeoutError):  # the server is away; what is left ends there when idle
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*(seat.close() for seat in self._seats.values()))
        await self._stack.aclose()

    def open(self, id: str, listener: Listener) -> tuple[str, Seat] | None:
        """Sit a page down: at its seat, or at a new one whose id is returned. None where there are too many."""
        seat = self._seats.get(id)
        if seat is None:
            self._make_room()
            if len(self._seats) >= MAX_SEATS:
                return None
            id, seat = (
                secrets.token_urlsafe(SEAT_OCTETS),
                Seat(self._manner, self._now, self._unreached, self._look_now.set),
            )
            self._seats[id] = seat
            if self._client is not None:
                seat.reached(self._client, self.online is True)
            seat.serves(not self.closed)
        if timer := self._gone.pop(id, None):
            timer.cancel()
        seat.listeners.add(listener)
        return id, seat

    def close(self, id: str, listener: Listener) -> None:
        """Let a page go. Where it was the last of its seat and none comes back, the visit is closed."""
        seat = self._seats[id]
        seat.listeners.discard(listener)
        if not seat.listeners and id not in self._gone:
            self._gone[id] = asyncio.get_running_loop().call_later(self._gone_s, self._abandon, id)

    def _abandon(self, id: str) -> None:
        del self._gone[id]
        self._seats[id].leave()

    def _make_room(self) -> None:
        """Take away seats where no page and no person is."""
        for id, seat in tuple(self._seats.items()):
            if len(self._seats) >= MAX_SEATS and not seat.listeners and seat.free:
                del self._seats[id]
                if timer := self._gone.pop(id, None):
                    timer.cancel()

    def _unreached(self) -> None:
        """A person met it first: every screen says so, and it is looked after at once."""
        if self._client is not None:
            self._found(self._client, False, "a request had no answer")
        self._look_now.set()

    async def _look(self, client: TerminalClient) -> None:
        """Look after the server, so that the start says whether it serves before anybody types a number."""
        while True:
            self._look_now.clear()
            try:
                await client.meet()
                self._save(client)
                self._may_serve(await _closed(client, self.closed))
            except TerminalError as error:
                self._found(client, False, str(error))
            except Exception:
                log.exception("kiosk failed")  # it is looked after all the same
            else:
                self._found(client, True, "")
            rest = LOOK_AGAIN_S if not self.online else LOOK_CLOSED_S if self.closed else LOOK_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), rest)

    def _may_serve(self, closed: str) -> None:
        if closed and closed != self.closed:
            log.error("kiosk may not serve", terminal=self.name, cause=closed)
        elif self.closed and not closed:
            log.info("kiosk may serve again", terminal=self.name)
        self.closed = closed
        for seat in self._seats.values():
            seat.serves(not closed)

    def _found(self, client: TerminalClient, online: bool, cause: str) -> None:
        if online and not self.online:
            log.info("kiosk reached the server", terminal=self.name, url=client.url)
        elif not online and self.online is not False:
            log.warning("kiosk cannot reach the server", terminal=self.name, url=client.url, cause=cause)
        self.online = online
        for seat in self._seats.values():
            seat.reached(client, online)

    def _save(self, client: TerminalClient) -> None:
        """Keep what was learned of the server's keys, for the next start."""
        learned = client.credentials
        if self._file is None or learned == self._credentials:
            return
        try:
            credentials.save(self._file, learned)
            self._credentials = learned
        except CredentialsError as error:
            log.warning("server's keys not saved", cause=str(error))


async def _closed(client: TerminalClient, before: str) -> str:
    """Return the problem for which the terminal may serve nobody, "" where it may, and `before` where nobody can say.

    Raises TerminalError where the server cannot be reached.
    """
    try:
        await client.state()
    except Refused as refused:
        return refused.problem.name if refused.problem.name in CLOSED else ""
    except Unreachable as error:
        if error.problem is None:
            raise
        return before  # it is there, and a part of it is away
    return ""
