"""Codes are ordered so often an hour and a day and no oftener, and an order clears nothing."""

import msgspec
import pytest

from tests.ussd_server.subscribers.codes.entered import NOW, issued, wrong
from ussd_server.subscribers.codes import (
    DAY_MS,
    HOUR_MS,
    LOCK_MS,
    MAX_WRONG_IN_LIFE,
    POLICY,
    Access,
    Locked,
    Ordered,
    PhoneOnly,
    Policy,
    TooMany,
    condition,
    order,
    order_at_terminal,
)


def ordered(access: Access, *moments: int) -> Access:
    for moment in moments:
        outcome = order(access, moment)
        assert isinstance(outcome, Ordered)
        access = outcome.access
    return access


def test_three_orders_an_hour() -> None:
    access = ordered(Access(), NOW, NOW + 1, NOW + 2)
    assert order(access, NOW + 3) == TooMany(NOW + HOUR_MS)
    assert order(access, NOW + HOUR_MS - 1) == TooMany(NOW + HOUR_MS)
    access = ordered(access, NOW + HOUR_MS)
    assert order(access, NOW + HOUR_MS) == TooMany(NOW + 1 + HOUR_MS)


def test_five_orders_a_day() -> None:
    access = ordered(Access(), *(NOW + hour * HOUR_MS for hour in range(5)))
    assert order(access, NOW + 5 * HOUR_MS) == TooMany(NOW + DAY_MS)
    ordered(access, NOW + DAY_MS)


def test_a_code_that_guessing_has_ended_is_renewed_from_the_phone_alone() -> None:
    ended = msgspec.structs.replace(issued(), wrong_in_life=MAX_WRONG_IN_LIFE)
    assert order_at_terminal(ended, NOW) == PhoneOnly()
    assert isinstance(order(ended, NOW), Ordered)
    assert order_at_terminal(issued(ended), NOW) == order(issued(ended), NOW)


@pytest.mark.parametrize("access", [Access(), issued(), wrong(issued(), 3), Access(orders=(NOW, NOW, NOW))])
def test_a_terminal_orders_under_the_same_limits(access: Access) -> None:
    assert order_at_terminal(access, NOW) == order(access, NOW)


def test_a_refused_order_does_not_count() -> None:
    access = ordered(Access(), NOW, NOW, NOW)
    for second in range(100):
        order(access, NOW + second)
    ordered(access, NOW + HOUR_MS, NOW + HOUR_MS)


def test_only_the_orders_that_matter_are_kept() -> None:
    access = ordered(Access(), *(NOW + day * DAY_MS for day in range(20)))
    assert len(access.orders) == POLICY.orders_a_day


def test_ordering_clears_neither_count_nor_lock() -> None:
    assert ordered(wrong(issued(), 2), NOW).wrong == 2
    access = wrong(issued(), 3)
    for moment in (NOW, NOW + LOCK_MS - 1):
        assert order(access, moment) == Locked(NOW + LOCK_MS)
    ordered(access, NOW + LOCK_MS)


def test_limits_are_the_operators() -> None:
    policy = Policy(orders_an_hour=1, orders_a_day=1, max_age_ms=DAY_MS)
    outcome = order(Access(), NOW, policy)
    assert isinstance(outcome, Ordered)
    assert order(outcome.access, NOW, policy) == TooMany(NOW + DAY_MS)
    assert condition(issued(), NOW + DAY_MS, policy) == "expired"


@pytest.mark.parametrize(
    "mistake", [{"digits": 5}, {"max_age_ms": 0}, {"orders_an_hour": 0}, {"orders_a_day": 0}], ids=str
)
def test_a_policy_that_protects_nothing_is_refused(mistake: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Policy(**mistake)
