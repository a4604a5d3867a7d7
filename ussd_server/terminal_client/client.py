"""`TerminalClient`, and the `Visit` that a right code opens."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from types import TracebackType
from typing import Self

import nacl.utils

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client.outcomes import Busy, Declined, Locked, Rejected, ScreenChanged, VisitOver
from ussd_server.terminal_client.patience import Patience
from ussd_server.terminals.credentials import Credentials
from ussd_server.terminals.messages import (
    Change,
    Language,
    Money,
    Offering,
    OfferingKind,
    OrderState,
    Products,
    Quote,
    Screen,
)


class TerminalClient:
    """One terminal's access to the server: `async with TerminalClient(credentials) as client:`.

    Calls may run side by side. Each may raise Unreachable, Untrusted and Refused. The optional `key` of a call is its
    Idempotency-Key: leave it out, or give that of the `Unreachable` that a call ended with, to go on with that one.
    """

    def __init__(
        self,
        credentials: Credentials,
        url: str | None = None,
        *,
        patience: Patience | None = None,
        tls: SSLContext | None = None,
        plain: bool = False,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        octets: Callable[[int], bytes] = nacl.utils.random,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the credentials, and the server's address where it is another than theirs.

        `tls` replaces the system's trust in certificates. `plain` allows HTTP without TLS to another machine, which
        shows what is asked and answered to who listens (never the code). The rest is for tests: the wall clock (ms), a
        steady clock (s), a sleep, random octets, and a random number in 0..1. Raises ValueError for an address that
        cannot be used.
        """
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Connect when first needed; nothing is sent here."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connections; visits that are open end when idle."""
        raise NotImplementedError

    @property
    def credentials(self) -> Credentials:
        """The credentials with the server's signing keys as they are known now; save them when they have changed.

        A server announces a new signing key before it signs with it alone; who saves what was learned can be started
        again after any number of rotations.
        """
        raise NotImplementedError

    async def order_code(self, msisdn: str, *, key: str | None = None) -> None:
        """Order an access code, which goes to the number by SMS, where it may; whether it does is told there alone."""
        raise NotImplementedError

    async def open(
        self, msisdn: str, code: Secret[str], language: Language | None = None, *, key: str | None = None
    ) -> "Visit | Rejected | Locked | Busy":
        """Prove with the code that the number is the person's own. A check that is sent again costs no second try."""
        raise NotImplementedError


class Visit:
    """The stay of a person at the terminal, from the right code to card-out: `async with visit:` ends it.

    Three minutes without a call end it, too; then every method returns `VisitOver`.
    """

    screen: Screen
    """What is on show: the latest screen that the server answered."""
    idle_seconds: int
    """After how long without a call the server ends the visit."""

    async def __aenter__(self) -> Self:
        """Return the visit."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the visit; where the server cannot be reached it ends there by itself, when idle."""
        raise NotImplementedError

    async def begin(self, language: Language | None = None, *, key: str | None = None) -> Screen | VisitOver:
        """Show the service's first screen, in another language if one is given."""
        raise NotImplementedError

    async def enter(
        self, text: str, *, screen: int | None = None, key: str | None = None
    ) -> Screen | ScreenChanged | VisitOver:
        """Enter an option's or a navigation's key, digits or text on the screen that is on show, or on that of this id.

        An input acts on its screen once: the second of a double tap is `ScreenChanged`.
        """
        raise NotImplementedError

    async def balance(self) -> Money | VisitOver:
        """Return the balance."""
        raise NotImplementedError

    async def offerings(self, kind: OfferingKind) -> list[Offering] | VisitOver:
        """Return what may be had, in the order to show it."""
        raise NotImplementedError

    async def products(self) -> Products | VisitOver:
        """Return what the subscriber has."""
        raise NotImplementedError

    async def quote(self, change: Change, offering: str, *, key: str | None = None) -> Quote | Declined | VisitOver:
        """Return the price of a change to the offering of this id; show it before the order."""
        raise NotImplementedError

    async def place_order(self, quote: str, *, key: str | None = None) -> OrderState | Declined | VisitOver:
        """Order what the quote of this id said: the person has seen and agreed to it. The receipt comes by SMS."""
        raise NotImplementedError

    async def order_state(self, order: str) -> OrderState | VisitOver:
        """Return where an order of this visit stands."""
        raise NotImplementedError

    async def close(self) -> None:
        """End the visit, as card-out does; a visit that had ended stays so."""
        raise NotImplementedError
