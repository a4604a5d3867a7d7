"""How each operation that a flow may name is carried out; their names and shapes are in `turns/service.py`.

Actions are pure functions of the record. Queries ask the operator and change nothing. Commands place an order under an
id that makes them idempotent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from menus.session import Items, Value, Values
from ussd_server.operators.base import (
    InsufficientFunds,
    Money,
    NotPossible,
    Offering,
    Operator,
    OperatorUnavailable,
    Products,
    Quote,
)
from ussd_server.stores.base import JournalEntry, OutboxEntry
from ussd_server.subscribers import codes
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns import pushes

Outcome: TypeAlias = tuple[str, Value]
UNAVAILABLE: Outcome = ("unavailable", None)

CODE_ON_ITS_WAY_MS = 60_000
"""An order this soon after another is the same one, repeated by a network or an impatient hand: one code comes."""

# Actions --------------------------------------------------------------------------------------------------------------


class Acted(msgspec.Struct, frozen=True, gc=False):
    """What an action made of the record, and what must be committed with it."""

    record: Subscriber
    outcome: str
    value: Value = None
    journal: Sequence[JournalEntry] = ()
    outbox: Sequence[OutboxEntry] = ()


def act(operation: str, record: Subscriber, arguments: Values, id: str, now: int, policy: codes.Policy) -> Acted:
    """Carry out an action on the subscriber's own record. `id` names it, for the work that follows from it."""
    return ACTIONS[operation](record, arguments, id, now, policy)


def _activate(record: Subscriber, arguments: Values, id: str, now: int, policy: codes.Policy) -> Acted:
    if record.active:
        return Acted(record, "already")
    changed = msgspec.structs.replace(record, activated_at=now)
    return Acted(changed, "done", journal=(JournalEntry(now, "activated"),))


def _deactivate(record: Subscriber, arguments: Values, id: str, now: int, policy: codes.Policy) -> Acted:
    if not record.active:
        return Acted(record, "already")
    changed = msgspec.structs.replace(record, activated_at=0)
    return Acted(changed, "done", journal=(JournalEntry(now, "deactivated"),))


def _set_language(record: Subscriber, arguments: Values, id: str, now: int, policy: codes.Policy) -> Acted:
    return Acted(msgspec.structs.replace(record, language=arguments["language"]), "done")


def _order_code(record: Subscriber, arguments: Values, id: str, now: int, policy: codes.Policy) -> Acted:
    acted = _ordered(record, id, now, codes.order(record.access, now, policy))
    # Who holds the phone waits for one SMS, whichever of the orders brings it.
    return msgspec.structs.replace(acted, outcome="ordered") if acted.outcome == "on_its_way" else acted


def order_code_at_terminal(record: Subscriber, id: str, now: int, policy: codes.Policy) -> Acted:
    """Order a code as `order_code` does, where anybody may have asked.

    The outcome, which only the journal tells, is also `on_its_way` where an order just before this one brings the code,
    and `phone_only` where guessing ended the code.
    """
    return _ordered(record, id, now, codes.order_at_terminal(record.access, now, policy))


def _ordered(
    record: Subscriber,
    id: str,
    now: int,
    order: codes.Ordered | codes.Locked | codes.TooMany | codes.PhoneOnly,
) -> Acted:
    if not record.active:
        return Acted(record, "not_active")
    on_its_way = bool(record.access.orders) and now - record.access.orders[-1] < CODE_ON_ITS_WAY_MS
    if on_its_way and not isinstance(order, codes.Locked):
        return Acted(record, "on_its_way")
    match order:
        case codes.Ordered(access=access):
            changed = msgspec.structs.replace(record, access=access)
            work = OutboxEntry(id=id, kind="code", due=now, data={})
            return Acted(changed, "ordered", journal=(JournalEntry(now, "code ordered"),), outbox=(work,))
        case codes.Locked(until=until):
            return Acted(record, "locked", _time_left(until, now))
        case codes.TooMany(until=until):
            return Acted(record, "too_many", _time_left(until, now))
        case codes.PhoneOnly():
            return Acted(record, "phone_only")


def _time_left(until: int, now: int) -> Values:
    minutes = -(-(until - now) // 60_000)
    return {"until": until, "minutes": minutes, "hours": -(-minutes // 60)}


def _accept_offers(record: Subscriber, arguments: Values, id: str, now: int, policy: codes.Policy) -> Acted:
    return _consent(record, True, now)


def _refuse_offers(record: Subscriber, arguments: Values, id: str, now: int, policy: codes.Policy) -> Acted:
    return _consent(record, False, now)


def _consent(record: Subscriber, wants: bool, now: int) -> Acted:
    if pushes.consents(record, "offer") == wants:
        return Acted(record, "already")
    changed, note = pushes.with_consent(record, wants, "subscriber", now)
    return Acted(changed, "done", journal=(note,))


ACTIONS: Mapping[str, Callable[[Subscriber, Values, str, int, codes.Policy], Acted]] = {
    "activate": _activate,
    "deactivate": _deactivate,
    "set_language": _set_language,
    "order_code": _order_code,
    "accept_offers": _accept_offers,
    "refuse_offers": _refuse_offers,
}

# Queries --------------------------------------------------------------------------------------------------------------


KEPT_OFFERS = 256
"""Lists of offerings kept as values, by what of them a subscriber has: each tariff, and the usual sets of services."""


class Queries:
    """Answers a flow's queries from the operator, in the shapes of `turns/service.py`."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._on_offer: dict[str, _OnOffer] = {}
        self._queries = {
            "offerings": self._offerings,
            "find_offering": self._find_offering,
            "own_tariff": self._own_tariff,
            "own_services": self._own_services,
            "balance": self._balance,
            "quote": self._quote,
        }

    async def ask(self, operation: str, msisdn: str, arguments: Values) -> Outcome:
        """Return the operation's outcome and its value; an operator out of reach is the outcome `unavailable`."""
        try:
            return await self._queries[operation](msisdn, arguments)
        except OperatorUnavailable:
            return UNAVAILABLE

    async def _offerings(self, msisdn: str, arguments: Values) -> Outcome:
        kind = arguments["kind"]
        offerings = await self._operator.offerings(msisdn, kind)
        seen = self._on_offer.get(kind)
        if seen is None or seen.offerings is not offerings:  # most subscribers are offered the very same sequence
            seen = self._on_offer[kind] = _OnOffer(offerings)
        return "ok", seen.items(await self._operator.products(msisdn))

    async def _find_offering(self, msisdn: str, arguments: Values) -> Outcome:
        for offering in await self._operator.offerings(msisdn, arguments["kind"]):
            if offering.number == arguments["number"]:
                owned = _owned(await self._operator.products(msisdn))
                return "ok", offering_value(offering, offering.id in owned)
        return "unknown", None

    async def _own_tariff(self, msisdn: str, arguments: Values) -> Outcome:
        products = await self._operator.products(msisdn)
        return "ok", offering_value(products.tariff, products.tariff.id in _owned(products))

    async def _own_services(self, msisdn: str, arguments: Values) -> Outcome:
        return "ok", [offering_value(one, True) for one in (await self._operator.products(msisdn)).services]

    async def _balance(self, msisdn: str, arguments: Values) -> Outcome:
        return "ok", balance_value(await self._operator.balance(msisdn))

    async def _quote(self, msisdn: str, arguments: Values) -> Outcome:
        quote = await self._operator.quote(msisdn, arguments["change"], arguments["offering"]["id"])
        match quote:
            case Quote():
                return "ok", quote_value(quote)
            case InsufficientFunds(price=price, balance=balance):
                missing = price.minor - balance.minor
                return "insufficient_funds", {"price": price.minor, "balance": balance.minor, "missing": missing}
            case NotPossible(reason="already"):
                return "already", None
            case NotPossible():
                return "not_possible", None


def _owned(products: Products) -> frozenset[str]:
    """Return the ids of what a subscriber has, or has ordered: a change to them would change nothing.

    Where another tariff was ordered, today's is none of them: to change back to it undoes the order.
    """
    return frozenset([one.id for one in (products.next_tariff or products.tariff, *products.services)])


class _OnOffer:
    """Offerings as values, made once for all who have the same of them."""

    def __init__(self, offerings: Sequence[Offering]) -> None:
        self.offerings = offerings
        self._ids = frozenset(one.id for one in offerings)
        self._items: dict[frozenset[str], Items] = {}
        self._seen: dict[int, tuple[Products, Items]] = {}

    def items(self, products: Products) -> Items:
        """Return them with those marked that a subscriber has, or has ordered."""
        seen = self._seen.get(id(products))  # an operator may have the very same products for many
        if seen is not None and seen[0] is products:
            return seen[1]
        owned = _owned(products) & self._ids
        items = self._items.get(owned)
        if items is None:
            if len(self._items) >= KEPT_OFFERS:
                self._items.clear()
            items = self._items[owned] = Items(offering_value(one, one.id in owned) for one in self.offerings)
        if len(self._seen) >= KEPT_OFFERS:
            self._seen.clear()
        self._seen[id(products)] = products, items
        return items


# Commands -------------------------------------------------------------------------------------------------------------


class Ended(msgspec.Struct, frozen=True, gc=False):
    """What became of an order; `reason` is the operator's machine word for it, "" where it completed."""

    outcome: str
    value: Value = None
    reason: str = ""


class InProgress:
    """The order is placed and has no outcome yet: ask again later."""


async def place_order(
    operator: Operator, order_id: str, msisdn: str, arguments: Values, again: bool
) -> Ended | InProgress:
    """Place a quoted change, or find out what became of it where it was tried before (`again`).

    Raises `OperatorUnavailable` where the outcome is unknown; then call it again later with `again`.
    """
    state = await operator.order_state(order_id) if again else None
    if state is None:
        state = await operator.submit_order(order_id, msisdn, quote_from_value(arguments["quote"]))
    match state.status:
        case "completed":
            return Ended("completed", balance_value(state.balance or await operator.balance(msisdn)))
        case "rejected":
            return Ended("rejected", None, state.reason)
        case "cancelled":
            return Ended("rejected", None, state.reason or "cancelled")
        case "failed":
            return Ended("failed", None, state.reason)
        case "submitted" | "in_progress":
            return InProgress()


# Values ---------------------------------------------------------------------------------------------------------------


def balance_value(balance: Money) -> Values:
    """Return a balance in the shape `service.BALANCE`."""
    return {"amount": balance.minor}


def offering_value(offering: Offering, owned: bool = False) -> Values:
    """Return an offering in the shape `service.OFFERING`."""
    return {
        "id": offering.id,
        "kind": offering.kind,
        "number": offering.number,
        "name": dict(offering.name),
        "summary": dict(offering.summary),
        "price": offering.price.minor,
        "monthly": offering.monthly.minor,
        "owned": owned,
    }


def quote_value(quote: Quote) -> Values:
    """Return a quote in the shape `service.QUOTE`."""
    return {
        "id": quote.id,
        "change": quote.change,
        "offering": offering_value(quote.offering, quote.change == "remove_service"),
        "price": quote.price.minor,
        "monthly": quote.monthly.minor,
        "starts": quote.starts,
        "balance_after": quote.balance_after.minor,
        "currency": quote.price.currency,
    }


def quote_from_value(value: Values) -> Quote:
    """Return the quote that `quote_value` made a value of."""
    offering, currency = value["offering"], value["currency"]
    return Quote(
        id=value["id"],
        change=value["change"],
        offering=Offering(
            id=offering["id"],
            kind=offering["kind"],
            number=offering["number"],
            name=offering["name"],
            summary=offering["summary"],
            price=Money(offering["price"], currency),
            monthly=Money(offering["monthly"], currency),
        ),
        price=Money(value["price"], currency),
        monthly=Money(value["monthly"], currency),
        starts=value["starts"],
        balance_after=Money(value["balance_after"], currency),
    )
