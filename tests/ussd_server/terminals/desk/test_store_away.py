"""A store that breaks at any step, or a race that is lost, leaves nothing half done; what came of it is counted."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.ussd_server.terminals.hall import Hall, play, refused, shown, told
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.stores.base import StoreUnavailable
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered, Outcome


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("what", ["begin", "enter", "quote", "order"])
def test_a_store_that_breaks_at_any_step_leaves_nothing_half_done(tmp_path: Path, after: bool, what: str) -> None:
    async def story(at: Hall) -> None:
        for step in range(1, 10):
            opened = await at.visit()
            quote = told(await at.quote(opened.visit), messages.Quote)
            ask = partial(_ask, at, what, opened.visit, quote.id)
            orders = (await at.journal()).count("order placed")
            key = f"step-{step}"
            await at.request(key)
            at.store.break_at(step, after=after)
            try:
                first: Outcome | None = await ask(key)
            except StoreUnavailable:
                first = None
            broke = at.store.broke
            at.store.break_at(0)
            again = await ask(key)
            assert isinstance(again, Answered), again
            assert first in (None, again)
            if what == "order":
                assert (await at.journal()).count("order placed") == orders + 1
                assert refused(await at.order(opened.visit, quote.id)) == "quote-unknown"
            elif what != "quote":
                assert (await at.bench.store.load(MSISDN))[0].visit.screen == 2  # type: ignore[union-attr]
            if not broke:
                return
        raise AssertionError("every step broke; there are more of them")

    play(tmp_path, story, work=False)


async def _ask(at: Hall, what: str, visit: str, quote: str, key: str) -> Outcome:
    match what:
        case "begin":
            return await at.desk.begin(await at.request(key), visit, messages.Begin())
        case "enter":
            return await at.enter(visit, 1, "1", key)
        case "quote":
            return await at.quote(visit, "maxi-plus", key)
        case _:
            return await at.order(visit, quote, key)


def test_a_commit_that_loses_the_race_is_made_again_from_the_newer_record(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        walked, dialled = await asyncio.gather(at.enter(opened.visit, 1, "1"), at.bench.dial("*111#"))
        assert shown(walked).title == "Tariffs"
        assert dialled.text.startswith("Menu")  # type: ignore[union-attr]
        record, _ = await at.bench.store.load(MSISDN)
        assert set(record.sessions) == {"terminal", "ussd"}

    play(tmp_path, story)


def test_requests_are_counted_by_what_came_of_them(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        await at.enter(opened.visit, 9, "1")
        at.store.break_at(1)
        with pytest.raises(StoreUnavailable):
            await at.desk.balance(await at.request(), opened.visit)
        assert dict(at.bench.metrics.terminal_requests) == {
            ("open_visit", "ok"): 1,
            ("enter", "screen-changed"): 1,
            ("balance", "unavailable"): 1,
        }

    play(tmp_path, story)
