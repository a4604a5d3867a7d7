"""What a terminal asks is done once and answered alike however often it asks, and nobody else is let into a visit."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.ussd_server.terminals.hall import CODE, HALL, STREET, UNKNOWN, Hall, play, refused, told
from tests.ussd_server.turns.bench import MSISDN, POOR
from ussd_server.stores.base import StoreUnavailable
from ussd_server.subscribers.visits import IDLE_MS
from ussd_server.terminals import desk as desk_module
from ussd_server.terminals import messages
from ussd_server.terminals import requests as requests_module
from ussd_server.terminals.desk import Answered, Outcome
from ussd_server.terminals.problems import Problem


def shown(outcome: Outcome) -> messages.Screen:
    """Return the screen of an answer."""
    screen: messages.Screen = told(outcome, messages.Shown).screen
    return screen


def ordered(outcome: Outcome) -> str | None:
    """Return the order that an input placed."""
    order: str | None = told(outcome, messages.Entered).order
    return order


# Screens --------------------------------------------------------------------------------------------------------------


def test_a_person_walks_from_the_menu_to_an_order_and_its_receipt(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        assert [option.label for option in opened.screen.options][:2] == ["Tariffs", "Russian"]
        tariffs = shown(await at.enter(opened.visit, 1, "1"))
        assert (tariffs.id, tariffs.kind, tariffs.title, tariffs.text) == (2, "list", "Tariffs", "")
        asked = shown(await at.enter(opened.visit, 2, "2"))
        assert (asked.kind, asked.title, asked.text) == ("confirm", "", "RED Energy for free?")
        assert asked.quote is not None
        assert (asked.quote.offering.name, asked.quote.price) == ("RED Energy", messages.Money(0, "RUB"))
        placed = shown(await at.enter(opened.visit, 3, "1"))
        assert (placed.kind, placed.text, placed.ends, placed.input) == ("end", "Accepted.", True, "none")
        assert await at.bench.sms_until(1) == ["Done. Balance 500 RUB"]
        (entry,) = await at.bench.store.journal(MSISDN, "order placed")
        assert entry.data["channel"] == "terminal"
        assert (entry.data["terminal"], entry.data["shown"]) == (HALL, "RED Energy for free?")

    play(tmp_path, story)


def test_an_order_made_by_walking_the_screens_has_an_id_whose_state_can_be_asked_for(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        assert [ordered(await at.enter(opened.visit, screen, key)) for screen, key in ((1, "1"), (2, "2"))] == [
            None
        ] * 2
        at.bench.operator.hold()
        order = ordered(await at.enter(opened.visit, 3, "1", "once"))
        assert order is not None
        assert ordered(await at.enter(opened.visit, 3, "1", "once")) == order
        state = await at.desk.order_state(await at.request(), opened.visit, order)
        assert told(state, messages.OrderState) == messages.OrderState(order, "placed")
        at.bench.operator.release()
        await at.bench.sms_until(1)
        state = await at.desk.order_state(await at.request(), opened.visit, order)
        assert told(state, messages.OrderState) == messages.OrderState(order, "completed")
        (entry,) = await at.bench.store.journal(MSISDN, "order placed")
        assert entry.data["order"] == order

    play(tmp_path, story)


def test_a_wrong_key_shows_the_screen_again_and_says_why(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        again = shown(await at.enter(opened.visit, 1, "7"))
        assert (again.id, again.title, again.options) == (2, "Menu", opened.screen.options)
        assert again.text

    play(tmp_path, story)


def test_an_answer_to_another_screen_than_the_one_on_show_does_nothing(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        first, second = await asyncio.gather(at.enter(opened.visit, 1, "1"), at.enter(opened.visit, 1, "1"))
        outcomes = [each.kind.name if isinstance(each, Problem) else shown(each).title for each in (first, second)]
        assert sorted(outcomes) == ["Tariffs", "screen-changed"]
        assert refused(await at.enter(opened.visit, 3, "1")) == "screen-changed"
        assert (await at.bench.store.load(MSISDN))[0].visit.screen == 2  # type: ignore[union-attr]

    play(tmp_path, story)


def test_the_same_input_again_gets_the_same_screen_and_acts_once(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        first = await at.enter(opened.visit, 1, "1", "once")
        assert await at.enter(opened.visit, 1, "1", "once") == first
        asked = messages.Input(1, "1")
        assert await at.other.enter(await at.request("once"), opened.visit, asked) == first
        assert refused(await at.enter(opened.visit, 1, "2", "once")) == "idempotency-key-reused"
        assert shown(await at.enter(opened.visit, 2, "1")).kind == "confirm"

    play(tmp_path, story)


def test_two_servers_with_the_same_order_place_one(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        await at.enter(opened.visit, 1, "1")
        await at.enter(opened.visit, 2, "2")
        request, asked = await at.request("once"), messages.Input(3, "1")
        both = await asyncio.gather(*(desk.enter(request, opened.visit, asked) for desk in (at.desk, at.other)))
        assert both[0] == both[1]
        assert shown(both[0]).text == "Accepted."
        await at.bench.sms_until(1)
        assert (await at.journal()).count("order placed") == 1

    play(tmp_path, story)


def test_begin_starts_anew_without_a_question(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        await at.enter(opened.visit, 1, "1")
        first = shown(await at.desk.begin(await at.request(), opened.visit, messages.Begin()))
        assert (first.id, first.title) == (3, "Menu")

    play(tmp_path, story)


def test_the_visit_speaks_the_language_chosen_there_and_the_phone_its_own(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit(language="ru")
        assert opened.screen.title == "Меню"
        offers = await at.desk.offerings(await at.request(), opened.visit, "tariff")
        assert "Супер Ноль" in [each.name for each in told(offers, messages.Offerings).offerings]
        assert (await at.bench.dial("*111#")).text.startswith("Menu")  # type: ignore[union-attr]
        begun = shown(await at.desk.begin(await at.request(), opened.visit, messages.Begin("en")))
        assert begun.title == "Menu"
        spoken = shown(await at.enter(opened.visit, begun.id, "2"))
        assert spoken.text == "По-русски."
        assert (await at.bench.store.load(MSISDN))[0].language == "ru"
        begun = shown(await at.desk.begin(await at.request(), opened.visit, messages.Begin()))
        assert begun.title == "Меню"

    play(tmp_path, story)


def test_who_deactivates_the_service_has_seen_the_visits_last_screen(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        assert shown(await at.enter(opened.visit, 1, "3", "once")).text == "Deactivated."
        assert shown(await at.enter(opened.visit, 1, "3", "once")).text == "Deactivated."
        assert refused(await at.desk.begin(await at.request(), opened.visit, messages.Begin())) == "visit-unknown"
        assert refused(await at.desk.balance(await at.request(), opened.visit)) == "visit-unknown"
        record, _ = await at.bench.store.load(MSISDN)
        assert (record.visit, record.sessions) == (None, {})

    play(tmp_path, story)


def test_a_slow_operator_answers_by_sms_as_on_the_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        at.bench.operator.hold()
        monkeypatch.setattr(requests_module, "DEADLINE_MS", 1)
        late = shown(await at.enter(opened.visit, 1, "4"))
        assert late.ends
        assert "SMS" in late.text
        at.bench.operator.release()
        assert await at.bench.sms_until(1) == ["Balance 500 RUB"]

    play(tmp_path, story)


# Whose visit it is ----------------------------------------------------------------------------------------------------


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


# Shortcuts ------------------------------------------------------------------------------------------------------------


def test_the_shortcuts_tell_balance_products_and_offerings(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        balance = told(await at.desk.balance(await at.request(), visit), messages.Balance)
        assert balance.balance == messages.Money(50_000, "RUB")
        products = told(await at.desk.products(await at.request(), visit), messages.Products)
        assert (products.tariff.id, products.next_tariff) == ("gostevoy", None)
        services = told(await at.desk.offerings(await at.request(), visit, "service"), messages.Offerings)
        assert {each.kind for each in services.offerings} == {"service"}

    play(tmp_path, story)


def test_a_price_is_agreed_to_once_and_the_receipt_comes_by_sms(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        quote = told(await at.quote(visit), messages.Quote)
        assert (quote.change, quote.offering.id, quote.balance_after) == (
            "change_tariff",
            "red-energy",
            messages.Money(50_000, "RUB"),
        )
        order = told(await at.order(visit, quote.id, "once"), messages.OrderState)
        assert order.status == "placed"
        assert told(await at.order(visit, quote.id, "once"), messages.OrderState) == order
        assert refused(await at.order(visit, quote.id)) == "quote-unknown"
        assert await at.bench.sms_until(1) == ["Done. Balance 500 RUB"]
        state = await at.desk.order_state(await at.request(), visit, order.order)
        assert told(state, messages.OrderState) == messages.OrderState(order.order, "completed")
        assert refused(await at.desk.order_state(await at.request(), visit, "another")) == "order-unknown"
        (entry,) = await at.bench.store.journal(MSISDN, "order placed")
        assert entry.data["channel"] == "terminal"
        assert entry.data["terminal"] == HALL
        assert msgspec.json.decode(entry.data["shown"], type=messages.Quote) == quote
        assert entry.data["arguments"]["quote"]["id"] == quote.id

    play(tmp_path, story)


def test_a_tariff_that_was_ordered_is_told_beside_todays(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        await at.order(visit, told(await at.quote(visit), messages.Quote).id)
        await at.bench.sms_until(1)
        products = told(await at.desk.products(await at.request(), visit), messages.Products)
        assert products.next_tariff is not None
        assert (products.tariff.id, products.next_tariff.id) == ("gostevoy", "red-energy")
        assert refused(await at.quote(visit)) == "already-owned"

    play(tmp_path, story)


def test_one_price_agreed_to_at_two_servers_is_one_order(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        quote = told(await at.quote(visit), messages.Quote)
        both = await asyncio.gather(at.order(visit, quote.id), at.order(visit, quote.id, desk=at.other))
        assert sorted(each.kind.name if isinstance(each, Problem) else "ok" for each in both) == ["ok", "quote-unknown"]
        await at.bench.sms_until(1)
        assert (await at.journal()).count("order placed") == 1

    play(tmp_path, story)


def test_an_order_by_a_shortcut_leaves_the_screen_on_show(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        opened = await at.visit()
        await at.enter(opened.visit, 1, "1")
        quote = told(await at.quote(opened.visit), messages.Quote)
        await at.order(opened.visit, quote.id)
        assert shown(await at.enter(opened.visit, 2, "1")).kind == "confirm"

    play(tmp_path, story)


def test_an_order_that_the_flow_has_no_way_to_is_not_possible_and_changes_nothing(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        services = told(await at.desk.offerings(await at.request(), visit, "service"), messages.Offerings).offerings
        quote = told(await at.quote(visit, services[0].id, change="add_service"), messages.Quote)
        before = await at.bench.store.load(MSISDN)
        assert refused(await at.order(visit, quote.id)) == "not-possible"
        assert await at.bench.store.load(MSISDN) == before

    play(tmp_path, story)


def test_a_price_that_cannot_be_told_says_why(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        visit = (await at.visit()).visit
        assert refused(await at.quote(visit, "gostevoy")) == "already-owned"
        assert refused(await at.quote(visit, "never heard of")) == "offering-unknown"
        assert refused(await at.quote(visit, "caller-id", change="remove_service")) == "not-possible"
        await at.change(POOR, activated_at=1)
        await at.issue(CODE, POOR)
        poor = (await at.visit(msisdn=POOR)).visit
        short = await at.quote(poor, "maxi-plus")
        assert isinstance(short, Problem)
        assert short.kind.name == "insufficient-funds"
        assert short.more["balance"] == 1240

    play(tmp_path, story)


# An operator that is away ---------------------------------------------------------------------------------------------


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


# A store that breaks --------------------------------------------------------------------------------------------------


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


# Ordering a code ------------------------------------------------------------------------------------------------------


async def _ordered(at: Hall, msisdn: str, key: str = "") -> Outcome:
    return await at.desk.order_code(await at.request(key), messages.OrderCode(msisdn))


def test_a_code_that_was_ordered_comes_by_sms_where_it_may(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        assert told(await _ordered(at, MSISDN), messages.CodeOrdered).status == "accepted"
        (text,) = await at.bench.sms_until(1)
        assert "access code" in text
        assert at.bench.network.sms[0][0] == "111"
        assert await at.journal() == ["code asked for", "code ordered", "code issued"]
        (entry,) = await at.bench.store.journal(MSISDN, "code asked for")
        assert entry.data == {"terminal": HALL, "outcome": "ordered"}

    play(tmp_path, story)


def test_an_order_while_a_code_is_on_its_way_is_journalled_as_that_and_makes_none(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        for _ in range(2):
            assert told(await _ordered(at, MSISDN), messages.CodeOrdered).status == "accepted"
        await at.bench.until(lambda: at.bench.metrics.outbox["code_order", "done"] == 2)
        await at.bench.sms_until(1)
        asked = await at.bench.store.journal(MSISDN, "code asked for")
        assert sorted(entry.data["outcome"] for entry in asked) == ["on_its_way", "ordered"]
        assert len(await at.bench.store.journal(MSISDN, "code ordered")) == 1

    play(tmp_path, story)


def test_every_number_gets_the_same_answer_by_the_same_work(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await at.change(UNKNOWN, activated_at=0)
        seen = []
        for msisdn in (MSISDN, UNKNOWN, "79100000010"):
            before = at.store.calls.copy()
            seen.append((await _ordered(at, msisdn), at.store.calls - before))
        assert seen[0] == seen[1] == seen[2]
        await at.bench.until(lambda: at.bench.metrics.outbox["code_order", "done"] == 3)
        await at.bench.sms_until(1)
        assert {msisdn for _, msisdn, _ in at.bench.network.sms} == {MSISDN}

    play(tmp_path, story)


def test_an_order_that_comes_again_is_one_order_and_uses_the_budget_once(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        terminal, version = await at.bench.store.load_terminal(HALL)
        assert terminal is not None
        assert await at.bench.store.commit_terminal(replace(terminal, orders_an_hour=2), version)
        first = await _ordered(at, MSISDN, "once")
        assert await _ordered(at, MSISDN, "once") == first
        assert isinstance(await _ordered(at, UNKNOWN), Answered)
        over = await _ordered(at, UNKNOWN)
        assert isinstance(over, Problem)
        assert (over.kind.name, over.retry_after) == ("too-many-requests", 3600)
        assert isinstance(await _ordered(at, MSISDN, "once"), Answered)
        at.bench.now += 3_600_000
        assert isinstance(await _ordered(at, UNKNOWN), Answered)

    play(tmp_path, story)


def test_no_code_is_ordered_while_access_is_closed(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        for _ in range(3):
            await at.open("11111111")
        assert isinstance(await _ordered(at, MSISDN), Answered)
        await at.bench.until(lambda: at.bench.metrics.outbox["code_order", "done"] == 1)
        (entry,) = await at.bench.store.journal(MSISDN, "code asked for")
        assert entry.data["outcome"] == "locked"
        assert (await at.bench.store.load(MSISDN))[0].access.generation == 1

    play(tmp_path, story)


# Numbers --------------------------------------------------------------------------------------------------------------


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
