"""While the operator is away a visit goes on, an order is kept, and nothing is half done."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.ussd_server.http.endpoint import CODE, RICH, Endpoint, new_key, visit
from tests.ussd_server.http.terminals.asked import a_change
from ussd_server.terminals import desk, requests

Break = Callable[[Endpoint], None]


def _refuses(at: Endpoint) -> None:
    at.operator.outage = "refuses"


def _loses_answers(at: Endpoint) -> None:
    at.operator.outage = "loses_answers"


def _hangs(at: Endpoint) -> None:
    at.operator.hold()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server wait hardly at all for the operator."""
    monkeypatch.setattr(desk, "DEADLINE_MS", 30)
    monkeypatch.setattr(requests, "DEADLINE_MS", 30)


@pytest.mark.parametrize("fault", [_refuses, _loses_answers, _hangs])
def test_the_shortcuts_while_the_operator_is_away(tmp_path: Path, fault: Break, impatient: None) -> None:
    """Nothing is done, no quote is left behind, and the very same request gets its answer later."""

    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        inside = await at.hall.visit(msisdn)
        change, key = await a_change(at, inside), new_key()
        before = await at.record(msisdn)
        fault(at)
        for rest in ("balance", "products", "offerings?kind=service"):
            (await at.hall.get(f"{inside}/{rest}")).refused("unavailable")
        (await at.hall.post(f"{inside}/quotes", change, key)).refused("unavailable")
        assert await at.record(msisdn) == before
        at.operator.outage = ""
        at.operator.release()
        (await at.hall.post(f"{inside}/quotes", change, key)).ok(201)

    visit(tmp_path, story)


@pytest.mark.parametrize("fault", [_refuses, _loses_answers, _hangs])
def test_a_visit_opens_and_is_walked_while_the_operator_is_away(tmp_path: Path, fault: Break, impatient: None) -> None:
    """A right code costs nothing because of it; a screen that needs the operator says that it comes by SMS."""

    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        fault(at)
        inside = await at.hall.visit(msisdn)
        assert (await at.record(msisdn)).access.wrong == 0
        screen = (await at.hall.post(f"{inside}/begin", {"language": "en"})).ok(200)["screen"]
        for option in screen["options"]:
            shown = (await at.hall.post(f"{inside}/begin", {})).ok(200)["screen"]
            tap = {"screen": shown["id"], "text": option["key"]}
            (await at.hall.post(f"{inside}/inputs", tap)).ok(200)

    visit(tmp_path, story)


@pytest.mark.parametrize("fault", [_refuses, _hangs])
def test_an_order_is_taken_while_the_operator_is_away(tmp_path: Path, fault: Break, impatient: None) -> None:
    """It is kept and placed by the outbox, which goes on until the operator answers."""

    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        inside = await at.hall.visit(msisdn)
        quote = (await at.hall.post(f"{inside}/quotes", await a_change(at, inside))).ok(201)
        fault(at)
        placed = (await at.hall.post(f"{inside}/orders", {"quote": quote["id"]})).ok(202)
        assert list((await at.record(msisdn)).pending) == [placed["order"]]

    visit(tmp_path, story)


def test_an_operator_that_is_broken_is_our_failure_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        inside = await at.hall.visit(msisdn)
        before = await at.record(msisdn)

        def broken(*_: object) -> Awaitable[None]:
            raise RuntimeError(f"a bug, beside {CODE[:2]}...")

        monkeypatch.setattr(at.operator, "balance", broken)
        (await at.hall.get(f"{inside}/balance")).refused("internal")
        assert await at.record(msisdn) == before

    visit(tmp_path, story)
