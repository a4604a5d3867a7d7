"""One person at a terminal: order a code, enter it, look around, change the tariff, see what became of it.

python examples/terminal.py hall-1.json 79100000001 red-energy
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import (
    Busy,
    Declined,
    Expired,
    Locked,
    Money,
    Rejected,
    Screen,
    ScreenChanged,
    TerminalClient,
    Visit,
    VisitOver,
)
from ussd_server.terminals import credentials

ReadCode = Callable[[], Awaitable[Secret[str]]]


async def serve(client: TerminalClient, msisdn: str, tariff: str, read_code: ReadCode) -> None:
    """Serve one person, from the number to card-out."""
    await client.order_code(msisdn)
    print("A code is on its way, if this number may have one.")
    match await client.open(msisdn, await read_code(), language="en"):
        case Visit() as visit:
            async with visit:
                show(visit.screen)
                await look_around(visit)
                await change_tariff(visit, tariff)
        case Rejected(attempts_left):
            print(f"The number or the code is wrong. Attempts left: {attempts_left}.")
        case Locked(until):
            print(f"Access is closed until {datetime.fromtimestamp(until / 1000):%Y-%m-%d %H:%M}.")
        case Expired():
            print("The code is too old. Order a new one.")
        case Busy():
            print("Please try again in a moment.")


async def look_around(visit: Visit) -> None:
    """Walk the menu by the first option there is, and back to the start."""
    if visit.screen.options:
        match await visit.enter(visit.screen.options[0].key):
            case Screen() as screen:
                show(screen)
            case ScreenChanged(screen):  # somebody tapped twice; this is what is on show
                show(screen)
            case VisitOver():
                print("The visit is over.")
    await visit.begin()


async def change_tariff(visit: Visit, tariff: str) -> None:
    """Change the tariff without the menu: price, consent, order, receipt."""
    match await visit.quote("change_tariff", tariff):
        case Declined(price=Money() as price, balance=Money() as balance):
            print(f"Not done: it costs {money(price)}, and there is {money(balance)}.")
            return
        case Declined(reason, detail):
            print(f"Not done: {reason}. {detail}")
            return
        case VisitOver():
            print("The visit is over.")
            return
        case quote:
            print(f"{quote.offering.name}: {money(quote.price)} now, {money(quote.monthly)} a month, ", end="")
            print(f"from {quote.starts}; the balance after it: {money(quote.balance_after)}")
    # Here the person agrees to exactly what was shown.
    match await visit.place_order(quote.id):
        case Declined(reason, detail):
            print(f"Not done: {reason}. {detail}")
        case VisitOver():
            print("The visit is over.")
        case order:
            print("Ordered; the receipt comes by SMS.")
            print("It stands at:", await visit.order_state(order.order))


def show(screen: Screen) -> None:
    """Print a screen."""
    print(screen.title, screen.text, *(f"{option.key} {option.label}" for option in screen.options), sep="\n")


def money(amount: Money) -> str:
    """Return an amount as it is read."""
    return f"{amount.minor / 100:.2f} {amount.currency}"


async def typed() -> Secret[str]:
    """Read the code; a kiosk reads it from its number pad and shows dots."""
    return Secret(await asyncio.to_thread(input, "Code: "))


async def main() -> None:
    """Read the arguments and serve one person."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("credentials", type=Path, help="the file that `ussd-server terminal add --generate` wrote")
    parser.add_argument("msisdn", help="the number, digits without +")
    parser.add_argument("tariff", help="the id of the tariff to change to")
    asked = parser.parse_args()
    before = credentials.load(asked.credentials)
    async with TerminalClient(before) as client:
        await serve(client, asked.msisdn, asked.tariff, typed)
        if client.credentials != before:  # the server has new keys: the next start must know them
            credentials.save(asked.credentials, client.credentials)


if __name__ == "__main__":
    asyncio.run(main())
