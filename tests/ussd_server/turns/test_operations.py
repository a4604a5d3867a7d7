"""Each operation does to the record, or asks of the operator, what its declaration says, in the shapes it declares."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from menus.registry import Date, Flag, Instant, List, Money, Number, Record, Shape, Text
from ussd_server.operators import base
from ussd_server.operators.base import InsufficientFunds, NotPossible, Offering, OperatorUnavailable, OrderState, Quote
from ussd_server.subscribers import codes
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns import operations
from ussd_server.turns.operations import (
    ACTIONS,
    CODE_ON_ITS_WAY_MS,
    Acted,
    Ended,
    InProgress,
    Queries,
    _OnOffer,
    act,
    offering_value,
    order_code_at_terminal,
    place_order,
    quote_value,
)
from ussd_server.turns.service import OFFERING, OPERATIONS, QUOTE, REGISTRY

NOW = 1_800_000_000_000
MSISDN = "79100000001"


def rubles(amount: int) -> base.Money:
    return base.Money(amount * 100, "RUB")


TARIFF = Offering(
    "t1", "tariff", "101", {"ru": "Онлайнер", "en": "Onliner"}, {"ru": "…", "en": "…"}, rubles(9), rubles(0)
)
OTHER = msgspec.structs.replace(TARIFF, id="t2", number="102")
ARCHIVED = msgspec.structs.replace(TARIFF, id="t0", number="100")
ON_SALE = (TARIFF,)
GOOD = Quote("q1", "change_tariff", TARIFF, rubles(9), rubles(0), "2026-12-01", rubles(91))


class Scripted:
    """An operator that answers what the test says, and remembers what it was asked."""

    def __init__(self, quote: object = GOOD, states: Sequence[OrderState | Exception | None] = ()) -> None:
        self.answer = quote
        self.states = list(states)
        self.calls: list[str] = []

    async def offerings(self, msisdn: str, kind: str) -> Sequence[Offering]:
        return ON_SALE

    async def products(self, msisdn: str) -> base.Products:
        return base.Products(TARIFF, (TARIFF,))

    async def balance(self, msisdn: str) -> base.Money:
        return rubles(100)

    async def quote(self, msisdn: str, change: str, offering: str) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def submit_order(self, order_id: str, msisdn: str, quote: Quote) -> OrderState:
        self.calls.append("submit")
        return self._next()

    async def order_state(self, order_id: str) -> OrderState | None:
        self.calls.append("state")
        return self._next()  # type: ignore[return-value]

    def _next(self) -> OrderState:
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        return state  # type: ignore[return-value]


def has_shape(value: object, shape: Shape | None) -> bool:
    """Tell whether a value is of a declared shape, with all of its fields and no others."""
    match shape:
        case None:
            return value is None
        case Text(localized=True):
            return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        case Text() | Date():
            return isinstance(value, str)
        case Number() | Money() | Instant():
            return isinstance(value, int)
        case Flag():
            return isinstance(value, bool)
        case List(of=item):
            return isinstance(value, list) and all(has_shape(one, item) for one in value)
        case Record(fields=fields):
            return (
                isinstance(value, dict)
                and value.keys() == fields.keys()
                and all(has_shape(value[name], field) for name, field in fields.items())
            )


def ask(operation: str, arguments: dict[str, object], operator: Scripted | None = None) -> tuple[str, object]:
    return asyncio.run(Queries(operator or Scripted()).ask(operation, MSISDN, arguments))  # type: ignore[arg-type]


def test_every_declared_action_is_there_and_no_other() -> None:
    assert {*ACTIONS, "push"} == {operation.name for operation in OPERATIONS if operation.kind == "action"}


@pytest.mark.parametrize(
    ("operation", "arguments", "outcome"),
    [
        ("offerings", {"kind": "tariff"}, "ok"),
        ("find_offering", {"kind": "tariff", "number": "101"}, "ok"),
        ("find_offering", {"kind": "tariff", "number": "999"}, "unknown"),
        ("own_tariff", {}, "ok"),
        ("own_services", {}, "ok"),
        ("balance", {}, "ok"),
        ("quote", {"change": "change_tariff", "offering": {"id": "t1"}}, "ok"),
    ],
)
def test_a_query_answers_in_the_shape_that_it_declares(
    operation: str, arguments: dict[str, object], outcome: str
) -> None:
    answered, value = ask(operation, arguments)
    assert answered == outcome
    assert has_shape(value, REGISTRY.operations[operation].outcomes[outcome])


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (InsufficientFunds(rubles(9), rubles(4)), "insufficient_funds"),
        (NotPossible("already"), "already"),
        (NotPossible("not_offered"), "not_possible"),
        (OperatorUnavailable("no answer"), "unavailable"),
    ],
)
def test_a_refused_quote_says_why(answer: object, outcome: str) -> None:
    answered, value = ask("quote", {"change": "change_tariff", "offering": {"id": "t1"}}, Scripted(answer))
    assert answered == outcome
    assert has_shape(value, REGISTRY.operations["quote"].outcomes[outcome])


def test_what_is_missing_is_the_price_less_the_balance() -> None:
    _, value = ask(
        "quote", {"change": "x", "offering": {"id": "t1"}}, Scripted(InsufficientFunds(rubles(9), rubles(4)))
    )
    assert value == {"price": 900, "balance": 400, "missing": 500}


def test_the_same_offerings_are_turned_into_values_once() -> None:
    queries = Queries(Scripted())  # type: ignore[arg-type]

    async def both() -> tuple[object, object]:
        return await queries.ask("offerings", MSISDN, {"kind": "tariff"}), await queries.ask(
            "offerings", "79100000002", {"kind": "tariff"}
        )

    (_, first), (_, second) = asyncio.run(both())  # type: ignore[misc]
    assert first is second
    assert first == [offering_value(TARIFF, True)]


@pytest.mark.parametrize(
    ("products", "owned"),
    [
        (base.Products(TARIFF, ()), {"t1"}),
        (base.Products(OTHER, ()), {"t2"}),
        (base.Products(ARCHIVED, ()), set()),
        (base.Products(TARIFF, (), OTHER), {"t2"}),  # to change back to today's undoes the order
    ],
)
def test_what_a_change_would_find_there_already_is_marked(products: base.Products, owned: set[str]) -> None:
    class Selling(Scripted):
        async def offerings(self, msisdn: str, kind: str) -> Sequence[Offering]:
            return (TARIFF, OTHER)

        async def products(self, msisdn: str) -> base.Products:
            return products

    operator = Selling()
    _, offered = ask("offerings", {"kind": "tariff"}, operator)
    assert {one["id"] for one in offered if one["owned"]} == owned  # type: ignore[attr-defined]
    for number, id in (("101", "t1"), ("102", "t2")):
        _, found = ask("find_offering", {"kind": "tariff", "number": number}, operator)
        assert found["owned"] is (id in owned)  # type: ignore[index]


def test_those_who_have_other_things_get_other_lists_and_no_more_are_kept_than_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operations, "KEPT_OFFERS", 2)
    offers = tuple(msgspec.structs.replace(TARIFF, id=f"t{number}") for number in range(5))
    lists = _OnOffer(offers)
    another = msgspec.structs.replace(TARIFF, id="another")
    for offer in (*offers, *offers):
        products = base.Products(offer, (another,))
        items = lists.items(products)
        assert [one["owned"] for one in items] == [each is offer for each in offers]
        assert lists.items(products) is items
        assert lists.items(base.Products(offer, ())) is items
        assert len(lists._items) <= 2
        assert len(lists._seen) <= 2


@pytest.mark.parametrize("value", [offering_value(TARIFF), quote_value(GOOD)])
def test_values_have_the_declared_shape_and_survive_storing(value: dict[str, object]) -> None:
    assert has_shape(value, QUOTE if "offering" in value else OFFERING)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == value


# Orders ---------------------------------------------------------------------------------------------------------------


def place(operator: Scripted, again: bool = False) -> object:
    arguments = {"quote": quote_value(GOOD)}
    return asyncio.run(place_order(operator, "o1", MSISDN, arguments, again))  # type: ignore[arg-type]


def test_an_order_that_completes_tells_the_balance() -> None:
    assert place(Scripted(states=[OrderState("o1", "completed", rubles(91))])) == Ended("completed", {"amount": 9100})


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        (OrderState("o1", "rejected", rubles(4), "insufficient_funds"), Ended("rejected", None, "insufficient_funds")),
        (OrderState("o1", "cancelled"), Ended("rejected", None, "cancelled")),
        (OrderState("o1", "cancelled", reason="by_staff"), Ended("rejected", None, "by_staff")),
        (OrderState("o1", "failed", reason="switch_down"), Ended("failed", None, "switch_down")),
    ],
)
def test_an_order_that_does_not_complete_has_its_outcome_and_the_operators_reason(
    state: OrderState, ended: Ended
) -> None:
    assert place(Scripted(states=[state])) == ended


@pytest.mark.parametrize("status", ["submitted", "in_progress"])
def test_an_order_under_way_has_no_outcome_yet(status: base.OrderStatus) -> None:
    assert isinstance(place(Scripted(states=[OrderState("o1", status)])), InProgress)


def test_an_order_that_was_tried_before_is_asked_after_and_not_placed_again() -> None:
    operator = Scripted(states=[OrderState("o1", "completed", rubles(91))])
    assert place(operator, again=True) == Ended("completed", {"amount": 9100})
    assert operator.calls == ["state"]


def test_an_order_that_never_arrived_is_placed() -> None:
    operator = Scripted(states=[None, OrderState("o1", "completed", rubles(91))])
    assert place(operator, again=True) == Ended("completed", {"amount": 9100})
    assert operator.calls == ["state", "submit"]


# Actions --------------------------------------------------------------------------------------------------------------


def acted(operation: str, record: Subscriber, at: int = NOW, **arguments: object) -> Acted:
    result = act(operation, record, arguments, "a-1", at, codes.POLICY)
    declared = REGISTRY.operations[operation].outcomes
    assert has_shape(result.value, declared[result.outcome])
    return result


def test_activation_happens_once_and_is_told_in_the_journal() -> None:
    first = acted("activate", Subscriber(MSISDN))
    assert (first.outcome, first.record.active) == ("done", True)
    assert [entry.kind for entry in first.journal] == ["activated"]
    again = acted("activate", first.record)
    assert (again.outcome, again.record, again.journal) == ("already", first.record, ())


def test_deactivation_keeps_the_lock() -> None:
    record = Subscriber(MSISDN, activated_at=1, access=codes.Access(locked_until=NOW + 1))
    result = acted("deactivate", record)
    assert (result.outcome, result.record.active, result.record.access) == ("done", False, record.access)
    assert acted("deactivate", result.record).outcome == "already"


def test_a_language_is_kept() -> None:
    assert acted("set_language", Subscriber(MSISDN), language="ru-Latn").record.language == "ru-Latn"


def test_a_code_is_ordered_durably_and_only_by_the_activated() -> None:
    assert acted("order_code", Subscriber(MSISDN)).outcome == "not_active"
    result = acted("order_code", Subscriber(MSISDN, activated_at=1))
    assert result.outcome == "ordered"
    assert [(entry.id, entry.kind, entry.due) for entry in result.outbox] == [("a-1", "code", NOW)]
    assert result.record.access.orders == (NOW,)


def test_a_code_is_refused_during_a_lock_with_the_time_left() -> None:
    until = NOW + 90 * 60_000 - 1
    record = Subscriber(MSISDN, activated_at=1, access=codes.Access(wrong=3, locked_until=until))
    result = acted("order_code", record)
    assert (result.outcome, result.record, result.outbox) == ("locked", record, ())
    assert result.value == {"until": until, "minutes": 90, "hours": 2}


def test_an_order_of_a_code_that_is_on_its_way_makes_no_second_one() -> None:
    first = acted("order_code", Subscriber(MSISDN, activated_at=1))
    again = acted("order_code", first.record, at=NOW + CODE_ON_ITS_WAY_MS - 1)
    assert (again.outcome, again.outbox, again.record) == ("ordered", (), first.record)
    later = acted("order_code", first.record, at=NOW + CODE_ON_ITS_WAY_MS)
    assert len(later.outbox) == 1


def test_a_terminals_order_says_that_the_code_is_on_its_way_already() -> None:
    first = acted("order_code", Subscriber(MSISDN, activated_at=1))
    again = order_code_at_terminal(first.record, "b", NOW + CODE_ON_ITS_WAY_MS - 1, codes.POLICY)
    assert (again.outcome, again.outbox, again.journal, again.record) == ("on_its_way", (), (), first.record)
    later = order_code_at_terminal(first.record, "b", NOW + CODE_ON_ITS_WAY_MS, codes.POLICY)
    assert (later.outcome, len(later.outbox)) == ("ordered", 1)


def test_codes_are_ordered_three_times_an_hour() -> None:
    record, at = Subscriber(MSISDN, activated_at=1), NOW
    for _ in range(3):
        result = acted("order_code", record, at=at)
        assert result.outcome == "ordered"
        record, at = result.record, at + CODE_ON_ITS_WAY_MS
    assert acted("order_code", record, at=at).outcome == "too_many"
