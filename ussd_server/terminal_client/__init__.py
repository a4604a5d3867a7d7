"""A terminal's side of the service: what a terminal network, or a kiosk, uses to reach the server.

    async with TerminalClient(credentials) as client:
        await client.order_code("79100000001")
        match await client.open("79100000001", code):
            case Visit() as visit:
                async with visit:  # the card is out at its end
                    print(visit.screen.text)
                    await visit.enter("1")
            case Rejected(attempts_left):
                ...
            case Locked(until):
                ...

What the person at the terminal is to be told is a value; an exception is for who runs the terminal: `Unreachable`,
`Untrusted`, `Refused`. Every request is signed, every answer's signature is verified, and what is lost on the way is
sent again under the same Idempotency-Key, so nothing happens twice. See docs/terminals.md.
"""

from ussd_server.terminal_client.client import TerminalClient, Visit
from ussd_server.terminal_client.errors import Refused, TerminalError, Unreachable, Untrusted
from ussd_server.terminal_client.exchange import Surroundings
from ussd_server.terminal_client.outcomes import (
    Busy,
    Declined,
    Expired,
    Locked,
    ProblemDetails,
    Rejected,
    ScreenChanged,
    VisitOver,
)
from ussd_server.terminal_client.patience import Patience
from ussd_server.terminals.messages import (
    Balance,
    Money,
    Offering,
    Offerings,
    Option,
    OrderState,
    Products,
    Quote,
    Screen,
    TerminalState,
)

__all__ = [
    "Balance",
    "Busy",
    "Declined",
    "Expired",
    "Locked",
    "Money",
    "Offering",
    "Offerings",
    "Option",
    "OrderState",
    "Patience",
    "ProblemDetails",
    "Products",
    "Quote",
    "Refused",
    "Rejected",
    "Screen",
    "ScreenChanged",
    "Surroundings",
    "TerminalClient",
    "TerminalError",
    "TerminalState",
    "Unreachable",
    "Untrusted",
    "Visit",
    "VisitOver",
]
