"""An operator with faults to order: late, refusing, or losing its answers, for demonstrations and tests."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeAlias, TypeVar

from ussd_server.operators.base import (
    Change,
    InsufficientFunds,
    Money,
    NotPossible,
    Offering,
    OfferingKind,
    Operator,
    OperatorUnavailable,
    OrderState,
    Products,
    Quote,
)

T = TypeVar("T")
Outage: TypeAlias = Literal["", "refuses", "loses_answers"]


class FaultyOperator:
    """Another operator behind faults that can be set while it runs.

    `delay_ms` makes every answer late; `hold` keeps all answers back until `release`; `outage` "refuses" (nothing
    happens, and it says so) or "loses_answers" (it happens, and nobody is told).
    """

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.delay_ms = 0
        self.outage: Outage = ""
        self.calls = 0
        """How many requests came, faults or not."""
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Keep back the answers of requests that come from now on."""
        self._open.clear()

    def release(self) -> None:
        """Give the answers that were kept back."""
        self._open.set()

    async def _through(self, request: Callable[[], Awaitable[T]]) -> T:
        """Pass a request on and its answer back; without faults nothing suspends here."""
        self.calls += 1
        if self.outage == "refuses":
            raise OperatorUnavailable("the operator refuses connections (a fault that was ordered)")
        answer = await request()
        if self.delay_ms:
            await asyncio.sleep(self.delay_ms / 1000)
        if not self._open.is_set():
            await self._open.wait()
        if self.outage == "loses_answers":
            raise OperatorUnavailable("the operator's answer was lost (a fault that was ordered)")
        return answer

    async def offerings(self, msisdn: str, kind: OfferingKind) -> Sequence[Offering]:
        """Return what this subscriber may be offered."""
        return await self._through(lambda: self._operator.offerings(msisdn, kind))

    async def products(self, msisdn: str) -> Products:
        """Return what this subscriber has."""
        return await self._through(lambda: self._operator.products(msisdn))

    async def balance(self, msisdn: str) -> Money:
        """Return the balance."""
        return await self._through(lambda: self._operator.balance(msisdn))

    async def quote(self, msisdn: str, change: Change, offering: str) -> Quote | InsufficientFunds | NotPossible:
        """Price a change."""
        return await self._through(lambda: self._operator.quote(msisdn, change, offering))

    async def submit_order(self, order_id: str, msisdn: str, quote: Quote) -> OrderState:
        """Place the quoted change."""
        return await self._through(lambda: self._operator.submit_order(order_id, msisdn, quote))

    async def order_state(self, order_id: str) -> OrderState | None:
        """Return where an order stands."""
        return await self._through(lambda: self._operator.order_state(order_id))

    async def cancel(self, order_id: str) -> OrderState | None:
        """Cancel an order that has not completed."""
        return await self._through(lambda: self._operator.cancel(order_id))

    async def close(self) -> None:
        """Let go of the operator behind; no fault stands in the way."""
        await self._operator.close()
