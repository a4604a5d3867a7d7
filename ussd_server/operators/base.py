"""The operator port: what the server asks of the billing system, as values; an exception means that it is broken.

Money is integer minor units with a currency. An order is submitted under our id, which makes it idempotent: submitting
it again returns the state it is in. Where an outcome is unknown one asks for the state and never resubmits blindly.
Every implementation passes `tests/contracts/test_operator.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

Change: TypeAlias = Literal["change_tariff", "add_service", "remove_service"]
OfferingKind: TypeAlias = Literal["tariff", "service"]
Localized: TypeAlias = Mapping[str, str]
"""A text by language, as `{"ru": "Супер Ноль", "en": "Super Zero"}`."""


class OperatorUnavailable(Exception):
    """The operator cannot be reached or did not answer; whether anything happened there is unknown."""


class Money(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An amount in minor units (kopecks) of an ISO 4217 currency."""

    minor: int
    currency: str


class Offering(msgspec.Struct, frozen=True):
    """Something on sale: `number` is what a subscriber types by SMS to choose it; `price` once, `monthly` recurring."""

    id: str
    kind: OfferingKind
    number: str
    name: Localized
    summary: Localized
    price: Money
    monthly: Money


class Products(msgspec.Struct, frozen=True):
    """What a subscriber has: one tariff, and services.

    `next_tariff` is the one that was ordered and begins another day, None where nothing was.
    """

    tariff: Offering
    services: Sequence[Offering]
    next_tariff: Offering | None = None


class Quote(msgspec.Struct, frozen=True):
    """What a change would cost, before it is agreed to. `starts` is the date of effect, `YYYY-MM-DD`."""

    id: str
    change: Change
    offering: Offering
    price: Money
    monthly: Money
    starts: str
    balance_after: Money


class InsufficientFunds(msgspec.Struct, frozen=True):
    """The balance does not cover the price; nothing was taken."""

    price: Money
    balance: Money


class NotPossible(msgspec.Struct, frozen=True):
    """The change makes no sense for this subscriber now."""

    reason: Literal["already", "not_offered", "not_owned", "order_in_progress"]


OrderStatus: TypeAlias = Literal["submitted", "in_progress", "completed", "failed", "rejected", "cancelled"]


class OrderState(msgspec.Struct, frozen=True):
    """Where an order stands. Charged only when completed; `reason` is a machine word where it is not."""

    id: str
    status: OrderStatus
    balance: Money | None = None
    reason: str = ""


class Operator(Protocol):
    """The billing system. Every method may raise `OperatorUnavailable`."""

    async def offerings(self, msisdn: str, kind: OfferingKind) -> Sequence[Offering]:
        """Return what this subscriber may be offered, in the order to show it."""

    async def products(self, msisdn: str) -> Products:
        """Return what this subscriber has."""

    async def balance(self, msisdn: str) -> Money:
        """Return the balance."""

    async def quote(self, msisdn: str, change: Change, offering: str) -> Quote | InsufficientFunds | NotPossible:
        """Price a change to the offering of this id; changes nothing."""

    async def submit_order(self, order_id: str, msisdn: str, quote: Quote) -> OrderState:
        """Place the quoted change under our order id; the same id again returns the state it has."""

    async def order_state(self, order_id: str) -> OrderState | None:
        """Return where an order stands, None where the operator does not know the id."""

    async def cancel(self, order_id: str) -> OrderState | None:
        """Cancel an order that has not completed; returns where it then stands."""

    async def close(self) -> None:
        """Let go of connections."""
