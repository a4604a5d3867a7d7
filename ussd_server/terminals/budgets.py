"""What a terminal may use up in an hour: wrong entries, and orders of codes. Pure rules over its record.

| asked of a terminal        | within the budget     | at its end                                                  |
|----------------------------|-----------------------|-------------------------------------------------------------|
| check an entry             | `entries_left` > 0    | 0: it is quarantined by then                                |
| count a wrong entry        | counted               | the budget's last one quarantines, until an operator lifts it |
| be given a smaller budget  | it holds from then on | it is quarantined at once                                   |
| order a code               | `orders_again_at` 0   | the time when an hour has passed since the oldest           |

A wrong entry costs the number's owner a try, so a terminal that makes many is broken, or in the hands of somebody who
closes others' access; a person mistypes now and then. The hour slides. Times are milliseconds since 1970 UTC. A clock
that is set back keeps what was counted for longer.
"""

from typing import Final

from msgspec.structs import replace

from ussd_server.terminals.record import Terminal

HOUR_MS: Final = 3_600_000


def entries_left(terminal: Terminal, now: int) -> int:
    """Return how many more wrong entries the terminal may make now; with the last of them it is quarantined."""
    return max(0, terminal.wrong_an_hour - len(_latest(terminal.wrong, now)))


def orders_left(terminal: Terminal, now: int) -> int:
    """Return how many more codes the terminal may order now."""
    return max(0, terminal.orders_an_hour - len(_latest(terminal.orders, now)))


def used(terminal: Terminal, now: int) -> tuple[int, int]:
    """Return how many wrong entries and orders of codes the last hour had, as far as the budgets need to know."""
    return len(_latest(terminal.wrong, now)), len(_latest(terminal.orders, now))


def wrong_entry(terminal: Terminal, now: int) -> Terminal:
    """Count a wrong entry. The last one of the budget quarantines an active terminal, with the reason."""
    return held(replace(terminal, wrong=_with(terminal.wrong, now, terminal.wrong_an_hour)), now)


def held(terminal: Terminal, now: int) -> Terminal:
    """Quarantine an active terminal that has used up its wrong entries; any other stays as it is."""
    wrong = len(_latest(terminal.wrong, now))
    if wrong < terminal.wrong_an_hour or terminal.standing != "active":
        return terminal
    return replace(terminal, standing="quarantined", since=now, reason=f"{wrong} wrong entries in an hour")


def orders_again_at(terminal: Terminal, now: int) -> int:
    """Return when the terminal may order a code again (ms), 0 where it may now."""
    orders = _latest(terminal.orders, now)
    return orders[-terminal.orders_an_hour] + HOUR_MS if len(orders) >= terminal.orders_an_hour else 0


def ordered(terminal: Terminal, now: int) -> Terminal:
    """Count an order of a code."""
    return replace(terminal, orders=_with(terminal.orders, now, terminal.orders_an_hour))


def _latest(times: tuple[int, ...], now: int) -> tuple[int, ...]:
    return tuple(at for at in times if now - at < HOUR_MS)


def _with(times: tuple[int, ...], now: int, limit: int) -> tuple[int, ...]:
    """Return the times of the last hour with one more, no more of them than decide anything."""
    return tuple(sorted((*_latest(times, now), now)))[-limit:]
