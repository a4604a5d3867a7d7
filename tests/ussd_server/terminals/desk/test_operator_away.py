"""An operator that is away changes nothing, and an order whose answer is lost is charged once."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ussd_server.terminals.hall import Hall, play, told
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.terminals import desk as desk_module
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered, Outcome
from ussd_server.terminals.problems import Problem


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_an_operator_that_is_away_changes_nothing_and_the_same_request_works_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        before = await at.bench.store.load(MSISDN)
        if fault == "refuses":
            at.bench.operator.outage = "refuses"
        else:
            at.bench.operator.hold()
        monkeypatch.setattr(desk_module, "DEADLINE_MS", 1)
        questions: list[Callable[[], Awaitable[Outcome]]] = [
            lambda: _with(at, lambda request: at.desk.balance(request, visit)),
            lambda: _with(at, lambda request: at.desk.products(request, visit)),
            lambda: _with(at, lambda request: at.desk.offerings(request, visit, "tariff")),
            lambda: at.quote(visit, key="once"),
        ]
        for question in questions:
            away = await question()
            assert isinstance(away, Problem)
            assert (away.kind.name, away.kind.again) == ("unavailable", True)
            assert away.retry_after
        assert await at.bench.store.load(MSISDN) == before
        monkeypatch.undo()
        at.bench.operator.outage = ""
        at.bench.operator.release()
        assert [isinstance(await question(), Answered) for question in questions] == [True] * 4

    play(tmp_path, story)


async def _with(at: Hall, ask: Callable[[Any], Awaitable[Outcome]]) -> Outcome:
    return await ask(await at.request())


def test_an_order_whose_answer_is_lost_is_charged_once(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        quote = told(await at.quote(visit), messages.Quote)
        at.bench.operator.outage = "loses_answers"
        order = told(await at.order(visit, quote.id), messages.OrderState)
        await at.bench.until(lambda: at.bench.metrics.outbox["command", "later"] == 1)
        state = await at.desk.order_state(await at.request(), visit, order.order)
        assert told(state, messages.OrderState).status == "placed"
        at.bench.operator.outage = ""
        at.bench.now += 1_000
        at.bench.outbox.wake()
        assert await at.bench.sms_until(1) == ["Done. Balance 500 RUB"]
        assert (await at.journal())[-2:] == ["order placed", "order ended"]

    play(tmp_path, story)
