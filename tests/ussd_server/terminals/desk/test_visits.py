"""Nobody else is let into a visit, and it ends when it is closed, left or opened elsewhere."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from tests.ussd_server.terminals.hall import HALL, STREET, UNKNOWN, Hall, play, refused, shown, told
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.subscribers.visits import IDLE_MS
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered


async def _asked(at: Hall, visit: str, terminal: str = HALL) -> list[str]:
    """Return how everything that can be asked in a visit is refused."""

    def request(key: str = "") -> Awaitable[Any]:
        return at.request(key, terminal)

    return [
        refused(await at.desk.begin(await request(), visit, messages.Begin())),
        refused(await at.desk.enter(await request(), visit, messages.Input(1, "1"))),
        refused(await at.desk.balance(await request(), visit)),
        refused(await at.desk.offerings(await request(), visit, "tariff")),
        refused(await at.desk.products(await request(), visit)),
        refused(await at.desk.quote(await request(), visit, messages.AskQuote("change_tariff", "red-energy"))),
        refused(await at.desk.place_order(await request(), visit, messages.PlaceOrder("q"))),
        refused(await at.desk.order_state(await request(), visit, "o")),
    ]


def test_to_everybody_else_a_visit_is_not_there(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        unknown = ["visit-unknown"] * 8
        assert await _asked(at, opened.visit, STREET) == unknown
        for token in ("", "nonsense", opened.visit[:-1], at.bench.vault.seal_token(UNKNOWN, "v")):
            assert await _asked(at, token) == unknown
        closed = await at.desk.close_visit(await at.request("", STREET), opened.visit)
        assert closed == await at.desk.close_visit(await at.request(), "nonsense") == Answered(204, b"")
        assert shown(await at.enter(opened.visit, 1, "1")).title == "Tariffs"

    play(tmp_path, story)


def test_a_visit_ends_when_it_is_closed_left_or_opened_elsewhere(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        unknown = ["visit-unknown"] * 8
        closed = await at.visit()
        for _ in range(2):
            assert await at.desk.close_visit(await at.request(), closed.visit) == Answered(204, b"")
        assert await _asked(at, closed.visit) == unknown
        assert (await at.bench.store.load(MSISDN))[0].sessions == {}
        assert (await at.journal()).count("visit closed") == 1
        left = await at.visit()
        at.bench.now += IDLE_MS - 1
        await at.enter(left.visit, 1, "1")
        at.bench.now += IDLE_MS - 1
        assert isinstance(await at.desk.balance(await at.request(), left.visit), Answered)
        at.bench.now += 1
        assert await _asked(at, left.visit) == unknown
        first = await at.visit()
        second = await at.visit(terminal=STREET)
        assert await _asked(at, first.visit) == unknown
        asked = await at.desk.balance(await at.request("", STREET), second.visit)
        assert told(asked, messages.Balance).balance == messages.Money(50_000, "RUB")

    play(tmp_path, story)


def test_a_terminal_that_only_looks_keeps_no_visit_open(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        at.bench.now += IDLE_MS - 1
        assert isinstance(await at.desk.balance(await at.request(), opened.visit), Answered)
        at.bench.now += 1
        assert refused(await at.desk.balance(await at.request(), opened.visit)) == "visit-unknown"

    play(tmp_path, story)
