"""What a terminal may ask, each carried out to its end: one commit, and the answer is kept with it.

Whoever calls has authenticated the terminal and read the message (`http/terminals.py`); what is decided here is the
conversation's and the record's. Every answer to a POST is committed together with what it did, so a request that comes
again (same terminal, same Idempotency-Key) gets the same answer and does nothing: in this process, in another one,
after a crash. Refusals that change nothing and may pass (`ProblemType.again`) are not kept.
"""

from dataclasses import dataclass
from typing import TypeAlias

from ussd_server.terminals import messages
from ussd_server.terminals.problems import Problem
from ussd_server.terminals.record import Terminal


@dataclass(frozen=True, slots=True)
class Request:
    """A request of an authenticated terminal: its Idempotency-Key ("" for one that changes nothing), and when (ms)."""

    terminal: Terminal
    key: str
    at: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What to answer: the HTTP status and the JSON body."""

    status: int
    body: bytes


Outcome: TypeAlias = Answered | Problem


class Desk:
    """Serves terminals. Raises StoreUnavailable where the store is away: then nothing was done."""

    async def order_code(self, request: Request, asked: messages.OrderCode) -> Outcome:
        """Take the order of a code for a number: 202 whatever becomes of it, which only the number is told."""
        raise NotImplementedError

    async def open_visit(self, request: Request, asked: messages.OpenVisit) -> Outcome:
        """Check a code and open a visit: 201 with the first screen."""
        raise NotImplementedError

    async def begin(self, request: Request, visit: str, asked: messages.Begin) -> Outcome:
        """Show the service's first screen: 200."""
        raise NotImplementedError

    async def enter(self, request: Request, visit: str, asked: messages.Input) -> Outcome:
        """Take an input on the screen that is on show: 200 with the next one."""
        raise NotImplementedError

    async def close_visit(self, request: Request, visit: str) -> Outcome:
        """End a visit: 204, also where it had ended."""
        raise NotImplementedError

    async def balance(self, request: Request, visit: str) -> Outcome:
        """Tell the balance: 200."""
        raise NotImplementedError

    async def offerings(self, request: Request, visit: str, kind: messages.OfferingKind) -> Outcome:
        """Tell what may be had: 200."""
        raise NotImplementedError

    async def products(self, request: Request, visit: str) -> Outcome:
        """Tell what the subscriber has: 200."""
        raise NotImplementedError

    async def quote(self, request: Request, visit: str, asked: messages.AskQuote) -> Outcome:
        """Price a change: 201 with a quote that this visit may agree to."""
        raise NotImplementedError

    async def place_order(self, request: Request, visit: str, asked: messages.PlaceOrder) -> Outcome:
        """Order what was quoted: 202 with the order's state; the receipt comes by SMS."""
        raise NotImplementedError

    async def order_state(self, request: Request, visit: str, order: str) -> Outcome:
        """Tell where an order of this visit stands: 200."""
        raise NotImplementedError
