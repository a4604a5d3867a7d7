"""One line an entry of a subscriber's journal, for a person who is on the phone with that subscriber."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from babel.numbers import get_currency_precision

from ussd_server.cli.common import moment
from ussd_server.stores.base import JournalEntry

MOMENTS: Final = ("until", "sent")
"""Fields that are times (ms)."""


def readable(entry: JournalEntry) -> str:
    """Return what matters of an entry on one line: words for structures, amounts as money, the id last.

    Any other field is shown as `name: value`, so that nothing of a new kind is hidden.
    """
    data = dict(entry.data)
    order, sms = data.pop("order", None), data.pop("sms", None)
    quote = data.get("arguments", {}).get("quote") if isinstance(data.get("arguments"), Mapping) else None
    if entry.kind == "consent" and {"read", "channel"} <= data.keys():
        parts = [f"by {data.pop('channel')}, having read: {' / '.join(str(data.pop('read')).split(chr(10)))}"]
    elif entry.kind == "order placed" and isinstance(quote, Mapping):
        parts = [_order(quote), _agreed(data)]
        data = {}
    elif entry.kind in ("order ended", "sms ended"):
        parts = [str(data.pop("outcome", ""))]
    elif entry.kind == "given_up" and data.get("kind") == "sms":
        sms = data.pop("id", None)
        parts = [f"not sent: {data.pop('reason', '')}"]
        del data["kind"]
    elif entry.kind in ("taken back", "discarded") and data.get("kind") == "sms":
        sms = data.pop("id", None)
        parts = []
        del data["kind"]
    else:
        parts = []
    parts += [f"{name}: {_plain(name, value)}" for name, value in data.items()]
    if order is not None:
        parts.append(f"order {order}")
    if sms is not None:
        parts.append(f"sms {sms}")
    return "; ".join(filter(None, parts))


def _agreed(data: Mapping[str, Any]) -> str:
    """Say how an order was agreed to, "" for an entry of an older version, which does not know."""
    if not data.get("channel"):
        return ""
    where = f"at the terminal {data['terminal']}" if data.get("terminal") else f"by {data['channel']}"
    return f"agreed {where}" + ("" if data.get("shown") else ", as quoted")


def _order(quote: Mapping[str, Any]) -> str:
    """Say what a quote was for: the change, what of, when, and the money."""
    offering = quote["offering"]
    name = next(iter(offering["name"].values()), offering["id"])
    currency = quote["currency"]
    return (
        f"{quote['change'].replace('_', ' ')}: {name} ({offering['number']}) from {quote['starts']}, "
        f"{money(quote['price'], currency)}, then {money(quote['monthly'], currency)} a month"
    )


def money(minor: int, currency: str) -> str:
    """Return an amount of minor units as `90.00 RUB`."""
    digits = get_currency_precision(currency)
    return f"{Decimal(minor).scaleb(-digits):.{digits}f} {currency}"


def _plain(name: str, value: Any) -> str:
    if name in MOMENTS and isinstance(value, int):
        return moment(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
