"""What every operator does: prices before, charges once, and on a refusal takes nothing and changes nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.contracts.operators import OPERATORS, POOR, RICH, T0, YOUNG
from ussd_server.operators.base import (
    Change,
    InsufficientFunds,
    Money,
    NotPossible,
    Operator,
    OrderState,
    Products,
    Quote,
)

MINUTE = 60_000
DAY = 24 * 60 * MINUTE

Test = Callable[[Operator], Coroutine[Any, Any, None]]


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=OPERATORS)
def on(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Callable[[Test], None]:
    """Run a test on a new operator and close it."""

    def run(test: Test) -> None:
        async def body() -> None:
            operator = OPERATORS[request.param](tmp_path, clock)
            try:
                await test(operator)
            finally:
                await operator.close()

        asyncio.run(body())

    return run


async def quoted(operator: Operator, msisdn: str, change: Change, offering: str) -> Quote:
    quote = await operator.quote(msisdn, change, offering)
    assert isinstance(quote, Quote), quote
    return quote


async def has(operator: Operator, msisdn: str) -> tuple[int, str, list[str]]:
    products = await operator.products(msisdn)
    balance = await operator.balance(msisdn)
    return balance.minor, products.tariff.id, [service.id for service in products.services]


UNTOUCHED = (100_000, "basic", ["tone"])


def test_offerings_are_what_is_on_sale_in_the_order_to_show_it(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        tariffs = await operator.offerings(RICH, "tariff")
        assert [each.id for each in tariffs] == ["basic", "more", "most"]
        assert [each.id for each in await operator.offerings(RICH, "service")] == ["tone", "mail", "gift"]
        more = tariffs[1]
        assert (more.number, more.name, more.kind) == ("12", {"ru": "Т", "en": "More"}, "tariff")
        assert (more.price, more.monthly) == (Money(9050, "RUB"), Money(30_000, "RUB"))

    on(test)


def test_everybody_has_a_tariff_services_and_a_balance(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        assert await has(operator, RICH) == UNTOUCHED
        assert await has(operator, "447700900123") == UNTOUCHED
        assert await operator.balance(POOR) == Money(500, "RUB")
        assert isinstance(await operator.products(POOR), Products)

    on(test)


def test_a_quote_tells_price_recurring_fee_date_of_effect_and_balance_after_and_changes_nothing(
    on: Callable[[Test], None],
) -> None:
    async def test(operator: Operator) -> None:
        tariff = await quoted(operator, RICH, "change_tariff", "more")
        assert (tariff.change, tariff.offering.id) == ("change_tariff", "more")
        assert (tariff.price.minor, tariff.monthly.minor, tariff.balance_after.minor) == (9050, 30_000, 90_950)
        assert tariff.starts == "2026-09-22"
        service = await quoted(operator, RICH, "add_service", "mail")
        assert (service.price.minor, service.monthly.minor, service.balance_after.minor) == (3000, 4500, 97_000)
        assert service.starts == "2026-09-21"
        removal = await quoted(operator, RICH, "remove_service", "tone")
        assert (removal.price.minor, removal.monthly.minor, removal.balance_after.minor) == (0, 0, 100_000)
        assert await has(operator, RICH) == UNTOUCHED

    on(test)


def test_the_tariff_that_was_ordered_is_the_next_one_until_its_day(on: Callable[[Test], None], clock: Clock) -> None:
    async def test(operator: Operator) -> None:
        assert (await operator.products(RICH)).next_tariff is None
        await operator.submit_order("o1", RICH, await quoted(operator, RICH, "change_tariff", "more"))
        products = await operator.products(RICH)
        assert products.next_tariff is not None
        assert (products.tariff.id, products.next_tariff.id) == ("basic", "more")
        assert await operator.quote(RICH, "change_tariff", "more") == NotPossible("already")
        clock.now += 24 * 3_600_000
        products = await operator.products(RICH)
        assert (products.tariff.id, products.next_tariff) == ("more", None)

    on(test)


def test_the_date_is_that_of_the_operators_time_zone(on: Callable[[Test], None], clock: Clock) -> None:
    async def test(operator: Operator) -> None:
        clock.now = 1_790_024_399_999  # 23:59:59.999 in Moscow, 20:59 UTC
        assert (await quoted(operator, RICH, "add_service", "mail")).starts == "2026-09-21"
        clock.now += 1
        assert (await quoted(operator, RICH, "add_service", "mail")).starts == "2026-09-22"
        assert (await quoted(operator, RICH, "change_tariff", "more")).starts == "2026-09-23"

    on(test)


@pytest.mark.parametrize(
    ("change", "offering", "reason"),
    [
        ("change_tariff", "basic", "already"),
        ("change_tariff", "old", "not_offered"),
        ("change_tariff", "mail", "not_offered"),
        ("change_tariff", "none", "not_offered"),
        ("add_service", "tone", "already"),
        ("add_service", "more", "not_offered"),
        ("remove_service", "mail", "not_owned"),
        ("remove_service", "more", "not_offered"),
    ],
)
def test_what_makes_no_sense_is_not_possible(
    on: Callable[[Test], None], change: Change, offering: str, reason: Any
) -> None:
    async def test(operator: Operator) -> None:
        assert await operator.quote(RICH, change, offering) == NotPossible(reason)

    on(test)


def test_who_cannot_pay_is_told_the_price_and_the_balance(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        refusal = await operator.quote(POOR, "change_tariff", "more")
        assert refusal == InsufficientFunds(Money(9050, "RUB"), Money(500, "RUB"))
        assert isinstance(await operator.quote(POOR, "add_service", "gift"), Quote)

    on(test)


def test_a_tariff_change_is_free_for_30_days_after_the_sims_activation(
    on: Callable[[Test], None], clock: Clock
) -> None:
    async def test(operator: Operator) -> None:
        assert (await quoted(operator, YOUNG, "change_tariff", "more")).price.minor == 0
        assert (await quoted(operator, YOUNG, "add_service", "mail")).price.minor == 3000
        await operator.submit_order("o1", YOUNG, await quoted(operator, YOUNG, "change_tariff", "most"))
        clock.now += 25 * DAY - 1
        assert (await quoted(operator, YOUNG, "change_tariff", "more")).price.minor == 0
        clock.now += 1
        assert (await quoted(operator, YOUNG, "change_tariff", "more")).price.minor == 9050

    on(test)


def test_an_order_charges_and_gives_the_service_at_once(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        quote = await quoted(operator, RICH, "add_service", "mail")
        done = await operator.submit_order("o1", RICH, quote)
        assert done == OrderState("o1", "completed", Money(97_000, "RUB"))
        assert await operator.order_state("o1") == done
        assert await has(operator, RICH) == (97_000, "basic", ["tone", "mail"])
        assert await has(operator, "79100000009") == UNTOUCHED
        assert await operator.quote(RICH, "add_service", "mail") == NotPossible("already")
        gone = await operator.submit_order("o2", RICH, await quoted(operator, RICH, "remove_service", "tone"))
        assert gone.status == "completed"
        assert await has(operator, RICH) == (97_000, "basic", ["mail"])

    on(test)


def test_a_tariff_is_charged_at_once_and_begins_on_the_next_day(on: Callable[[Test], None], clock: Clock) -> None:
    async def test(operator: Operator) -> None:
        quote = await quoted(operator, RICH, "change_tariff", "more")
        assert (await operator.submit_order("o1", RICH, quote)).status == "completed"
        assert await has(operator, RICH) == (90_950, "basic", ["tone"])
        assert await operator.quote(RICH, "change_tariff", "more") == NotPossible("already")
        clock.now += DAY
        assert await has(operator, RICH) == (90_950, "more", ["tone"])
        assert isinstance(await operator.quote(RICH, "change_tariff", "basic"), Quote)

    on(test)


def test_a_change_of_mind_replaces_the_tariff_that_has_not_begun(on: Callable[[Test], None], clock: Clock) -> None:
    async def test(operator: Operator) -> None:
        for id, tariff in (("o1", "more"), ("o2", "most")):
            quote = await quoted(operator, RICH, "change_tariff", tariff)
            assert (await operator.submit_order(id, RICH, quote)).status == "completed"
        clock.now += DAY
        assert await has(operator, RICH) == (70_950, "most", ["tone"])

    on(test)


def test_the_same_order_id_again_is_the_same_order(on: Callable[[Test], None], clock: Clock) -> None:
    async def test(operator: Operator) -> None:
        quote = await quoted(operator, RICH, "add_service", "mail")
        first = await operator.submit_order("o1", RICH, quote)
        clock.now += DAY  # the quote has expired, and the order is as it was
        assert await operator.submit_order("o1", RICH, quote) == first
        other = await quoted(operator, RICH, "change_tariff", "more")
        assert await operator.submit_order("o1", RICH, other) == first
        assert await has(operator, RICH) == (97_000, "basic", ["tone", "mail"])

    on(test)


def test_one_order_sent_many_times_at_once_charges_once(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        quote = await quoted(operator, RICH, "add_service", "mail")
        states = await asyncio.gather(*(operator.submit_order("o1", RICH, quote) for _ in range(10)))
        assert states == [OrderState("o1", "completed", Money(97_000, "RUB"))] * 10
        assert (await operator.balance(RICH)).minor == 97_000

    on(test)


def test_orders_at_once_never_spend_more_than_there_is(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        await operator.submit_order("o0", YOUNG, await quoted(operator, YOUNG, "add_service", "mail"))
        await operator.submit_order("o1", YOUNG, await quoted(operator, YOUNG, "remove_service", "mail"))
        quote = await quoted(operator, YOUNG, "add_service", "mail")
        states = await asyncio.gather(*(operator.submit_order(f"p{n}", YOUNG, quote) for n in range(5)))
        assert sorted(state.status for state in states) == ["completed"] + ["rejected"] * 4
        assert {state.reason for state in states if state.status == "rejected"} == {"already"}
        assert (await operator.balance(YOUNG)).minor == 4000

    on(test)


def test_without_money_at_the_time_of_the_order_nothing_is_taken_and_nothing_changed(
    on: Callable[[Test], None],
) -> None:
    async def test(operator: Operator) -> None:
        first = await quoted(operator, "79100000009", "change_tariff", "most")
        quotes = [await quoted(operator, RICH, "change_tariff", tariff) for tariff in ("most", "more")]
        for n in range(4):
            await operator.submit_order(f"a{n}", RICH, quotes[n % 2])
            await operator.submit_order(f"b{n}", RICH, await quoted(operator, RICH, "change_tariff", "basic"))
        await operator.submit_order("c", RICH, quotes[0])
        before = await has(operator, RICH)
        assert before[0] == 100_000 - 2 * 20_000 - 2 * 9050 - 4 * 5000 - 20_000
        refused = await operator.submit_order("d", RICH, quotes[1])
        assert refused == OrderState("d", "rejected", Money(before[0], "RUB"), "insufficient_funds")
        assert await operator.order_state("d") == refused
        assert await has(operator, RICH) == before
        assert (await operator.submit_order("e", "79100000009", first)).status == "completed"

    on(test)


def test_a_quote_holds_for_its_time_only(on: Callable[[Test], None], clock: Clock) -> None:
    async def test(operator: Operator) -> None:
        quote = await quoted(operator, RICH, "add_service", "mail")
        clock.now += 10 * MINUTE
        refused = await operator.submit_order("o1", RICH, quote)
        assert (refused.status, refused.reason) == ("rejected", "quote_expired")
        assert await has(operator, RICH) == UNTOUCHED

    on(test)


def test_a_quote_that_was_altered_is_not_honoured(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        quote = await quoted(operator, RICH, "change_tariff", "more")
        most = next(each for each in await operator.offerings(RICH, "tariff") if each.id == "most")
        for n, (msisdn, altered) in enumerate(
            [
                (RICH, msgspec.structs.replace(quote, price=Money(1, "RUB"))),
                (RICH, msgspec.structs.replace(quote, price=Money(-1000, "RUB"))),
                (RICH, msgspec.structs.replace(quote, offering=most)),
                (RICH, msgspec.structs.replace(quote, change="add_service")),
                (RICH, msgspec.structs.replace(quote, starts="2020-01-01")),
                (RICH, msgspec.structs.replace(quote, id="")),
                (RICH, msgspec.structs.replace(quote, id="f" + quote.id)),
                (RICH, msgspec.structs.replace(quote, id=quote.id[:-1] + "é")),
                (YOUNG, quote),
            ]
        ):
            refused = await operator.submit_order(f"o{n}", msisdn, altered)
            assert (refused.status, refused.reason) == ("rejected", "quote_unknown"), altered
        assert await has(operator, RICH) == UNTOUCHED
        assert (await operator.submit_order("good", RICH, quote)).status == "completed"

    on(test)


def test_an_order_that_nobody_placed_is_unknown(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        assert await operator.order_state("none") is None
        assert await operator.cancel("none") is None

    on(test)


def test_what_has_completed_cannot_be_cancelled(on: Callable[[Test], None]) -> None:
    async def test(operator: Operator) -> None:
        done = await operator.submit_order("o1", RICH, await quoted(operator, RICH, "add_service", "mail"))
        assert await operator.cancel("o1") == done
        assert await has(operator, RICH) == (97_000, "basic", ["tone", "mail"])

    on(test)
