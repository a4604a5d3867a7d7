"""What terminals may ask over HTTP, as a table: the handlers, the OpenAPI document and its tests are made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ussd_server.terminals import messages

Method = Literal["GET", "POST", "DELETE"]

MESSAGE: Final = ("invalid-request", "too-slow", "too-large")
"""How any request can fail before it is understood."""
SIGNED: Final = (
    *MESSAGE,
    "signature-missing",
    "signature-invalid",
    "signature-late",
    "nonce-used",
    "key-unknown",
    "terminal-quarantined",
    "unavailable",
    "internal",
)
"""How any signed request can fail."""
POSTED: Final = (
    "unsupported-media-type",
    "idempotency-key-missing",
    "idempotency-key-reused",
    "request-in-progress",
)
"""How a request with a body can fail, besides."""
IN_VISIT: Final = ("visit-unknown",)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to ask: where, what is sent (`asks`) and answered (`tells`), and by which problems it is refused.

    `kind` says that it takes the query parameter `kind`; `signed` that only a terminal may ask; `begins` that it begins
    something, which is refused where there is too much to do.
    """

    name: str
    method: Method
    path: str
    summary: str
    asks: type[Any] | None
    status: int
    tells: type[Any] | None
    refusals: Sequence[str]
    signed: bool = True
    kind: bool = False
    begins: bool = False

    @property
    def problems(self) -> tuple[str, ...]:
        """Every problem that it can be answered with."""
        ways = SIGNED if self.signed else (*MESSAGE, "unavailable", "internal")
        begun = ("busy",) if self.begins else ()
        return (*ways, *(POSTED if self.method == "POST" else ()), *self.refusals, *begun)


VISIT: Final = "/v1/visits/{visit}"
TOKEN: Final = "[A-Za-z0-9_-]+"
"""How visits and orders are named; what is no such name is known to be none without looking for it."""

OPERATIONS: Final = (
    Operation(
        "keys",
        "GET",
        "/v1/keys",
        "Tell the server's public keys: to seal entries to, and to know its answers by",
        None,
        200,
        messages.ServerKeys,
        (),
        signed=False,
    ),
    Operation(
        "terminal",
        "GET",
        "/v1/terminal",
        "Tell the terminal whether it may serve, and what is left of its budgets",
        None,
        200,
        messages.TerminalState,
        (),
    ),
    Operation(
        "order_code",
        "POST",
        "/v1/code-orders",
        "Order an access code for a number; it goes there by SMS, where it may",
        messages.OrderCode,
        202,
        messages.CodeOrdered,
        ("too-many-requests",),
        begins=True,
    ),
    Operation(
        "open_visit",
        "POST",
        "/v1/visits",
        "Prove with the access code that a number is the person's own, and open a visit",
        messages.OpenVisit,
        201,
        messages.VisitOpened,
        (
            "transport-key-unknown",
            "entry-unreadable",
            "entry-mismatch",
            "entry-late",
            "code-rejected",
            "code-expired",
            "access-locked",
            "check-in-progress",
            "too-many-requests",
        ),
        begins=True,
    ),
    Operation(
        "begin",
        "POST",
        f"{VISIT}/begin",
        "Show the service's first screen",
        messages.Begin,
        200,
        messages.Shown,
        (*IN_VISIT, "not-possible"),
    ),
    Operation(
        "enter",
        "POST",
        f"{VISIT}/inputs",
        "Enter something on the screen that is on show",
        messages.Input,
        200,
        messages.Entered,
        (*IN_VISIT, "screen-changed"),
    ),
    Operation("close_visit", "DELETE", VISIT, "End the visit: card-out", None, 204, None, IN_VISIT),
    Operation("balance", "GET", f"{VISIT}/balance", "Tell the balance", None, 200, messages.Balance, IN_VISIT),
    Operation(
        "offerings",
        "GET",
        f"{VISIT}/offerings",
        "Tell which tariffs or services may be had",
        None,
        200,
        messages.Offerings,
        IN_VISIT,
        kind=True,
    ),
    Operation(
        "products", "GET", f"{VISIT}/products", "Tell what the subscriber has", None, 200, messages.Products, IN_VISIT
    ),
    Operation(
        "quote",
        "POST",
        f"{VISIT}/quotes",
        "Ask what a change would cost",
        messages.AskQuote,
        201,
        messages.Quote,
        (*IN_VISIT, "offering-unknown", "insufficient-funds", "already-owned", "not-possible"),
    ),
    Operation(
        "place_order",
        "POST",
        f"{VISIT}/orders",
        "Agree to a quote; the receipt comes by SMS",
        messages.PlaceOrder,
        202,
        messages.OrderState,
        (*IN_VISIT, "quote-unknown", "not-possible"),
    ),
    Operation(
        "order_state",
        "GET",
        f"{VISIT}/orders/{{order}}",
        "Tell where an order of this visit stands",
        None,
        200,
        messages.OrderState,
        (*IN_VISIT, "order-unknown"),
    ),
)
