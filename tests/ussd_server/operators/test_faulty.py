"""A faulty operator refuses, loses answers, or keeps them back, as it is told, while it runs."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.operators import RICH, T0, catalogue
from ussd_server.operators.base import Money, OperatorUnavailable, Quote
from ussd_server.operators.embedded import EmbeddedOperator
from ussd_server.operators.faulty import FaultyOperator


def on(place: Path, test: Callable[[FaultyOperator], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        operator = FaultyOperator(EmbeddedOperator(":memory:", catalogue(place), lambda: T0))
        try:
            await test(operator)
        finally:
            await operator.close()

    asyncio.run(body())


async def quoted(operator: FaultyOperator) -> Quote:
    quote = await operator.quote(RICH, "add_service", "mail")
    assert isinstance(quote, Quote)
    return quote


def test_an_operator_that_refuses_does_nothing(tmp_path: Path) -> None:
    async def test(operator: FaultyOperator) -> None:
        quote = await quoted(operator)
        operator.outage = "refuses"
        with pytest.raises(OperatorUnavailable, match="refuses"):
            await operator.submit_order("o1", RICH, quote)
        operator.outage = ""
        assert await operator.order_state("o1") is None
        assert operator.calls == 3

    on(tmp_path, test)


def test_an_operator_that_loses_its_answer_has_done_the_work(tmp_path: Path) -> None:
    async def test(operator: FaultyOperator) -> None:
        quote = await quoted(operator)
        operator.outage = "loses_answers"
        with pytest.raises(OperatorUnavailable, match="lost"):
            await operator.submit_order("o1", RICH, quote)
        operator.outage = ""
        assert (await operator.submit_order("o1", RICH, quote)).status == "completed"
        assert await operator.balance(RICH) == Money(97_000, "RUB")

    on(tmp_path, test)


def test_answers_that_are_held_come_when_they_are_released(tmp_path: Path) -> None:
    async def test(operator: FaultyOperator) -> None:
        operator.hold()
        waiting = [asyncio.ensure_future(operator.balance(RICH)) for _ in range(2)]
        for _ in range(3):
            await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        operator.release()
        assert await asyncio.gather(*waiting) == [Money(100_000, "RUB")] * 2

    on(tmp_path, test)


def test_a_delay_is_passed_to_the_loops_timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(operator: FaultyOperator) -> None:
        asked = []

        async def sleep(seconds: float) -> None:
            asked.append(seconds)

        monkeypatch.setattr("ussd_server.operators.faulty.asyncio.sleep", sleep)
        operator.delay_ms = 1500
        assert await operator.balance(RICH) == Money(100_000, "RUB")
        assert asked == [1.5]

    on(tmp_path, test)


def test_without_faults_nothing_suspends(tmp_path: Path) -> None:
    async def test(operator: FaultyOperator) -> None:
        with pytest.raises(StopIteration):
            operator.offerings(RICH, "tariff").send(None)

    on(tmp_path, test)
