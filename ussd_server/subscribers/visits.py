"""A visit: the stay of a person at a terminal, from an accepted code to card-out. Pure functions over one part of the
subscriber's record.

| state of the record | open          | touch                    |
|---------------------|---------------|--------------------------|
| no visit            | a new one     | None                     |
| one under way       | replaces it   | the same, idle time anew |
| another one's       | replaces it   | None                     |
| idle for too long   | replaces it   | None                     |
| opened long ago     | replaces it   | None                     |

A number has one visit at a time: who opens another ends the one before. A visit ends where the record has none any
more. Only what a person does touches it; a terminal that asks for an order's state again and again keeps nothing open.
Times are milliseconds since 1970 UTC.
"""

from typing import Final

import msgspec

from menus.session import Values

IDLE_MS: Final = 180_000
"""A terminal that was left standing closes after this; the next person must not find it open."""
LONGEST_MS: Final = 30 * 60_000
"""Nobody stands at a terminal for longer; what keeps a visit alive after that is no person."""
MAX_QUOTES: Final = 4
"""Prices of one visit that may still be agreed to: the latest; a person compares two or three."""
MAX_ORDERS: Final = 16
"""Orders of one visit whose state may be asked for."""


class Visit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One visit: `id` names it (unique, never a secret alone: the token that carries it is sealed), at `terminal`.

    `at` is when something was last asked; `language` is what the person chose at the terminal ("": the record's);
    `screen` counts the screens shown, so that an answer says to which one it belongs; `quotes` are by id in the shape
    `service.QUOTE`, oldest first; `orders` are ids of what was ordered here.
    """

    id: str
    terminal: str
    opened_at: int
    at: int
    language: str = ""
    screen: int = 0
    quotes: dict[str, Values] = {}
    orders: tuple[str, ...] = ()


def open(id: str, terminal: str, language: str, now: int) -> Visit:
    """Return a new visit; `language` is what the person chose before, "" where nothing."""
    return Visit(id, terminal, now, now, language)


def touch(visit: Visit | None, id: str, terminal: str, now: int) -> Visit | None:
    """Return the visit as of now, or None where this terminal has no such visit (any more)."""
    if visit is None or visit.id != id or visit.terminal != terminal:
        return None
    if now - visit.at >= IDLE_MS or now - visit.opened_at >= LONGEST_MS:
        return None
    return msgspec.structs.replace(visit, at=max(visit.at, now))


def next_screen(visit: Visit) -> Visit:
    """Return the visit with another screen on show: answers to the one before are no longer taken."""
    return msgspec.structs.replace(visit, screen=visit.screen + 1)


def with_quote(visit: Visit, quote_id: str, quote: Values) -> Visit:
    """Return the visit with a price that may be agreed to; the oldest beyond `MAX_QUOTES` is forgotten."""
    others = [(id, one) for id, one in visit.quotes.items() if id != quote_id]
    return msgspec.structs.replace(visit, quotes=dict([*others, (quote_id, quote)][-MAX_QUOTES:]))


def with_order(visit: Visit, quote_id: str, order_id: str) -> Visit:
    """Return the visit after an order; the price that it agreed to ("": one of a screen) cannot be agreed to again."""
    rest = {id: quote for id, quote in visit.quotes.items() if id != quote_id}
    return msgspec.structs.replace(visit, quotes=rest, orders=(*visit.orders, order_id)[-MAX_ORDERS:])
