"""A person walks the screens at a terminal, and what is asked again is answered alike and done once."""

import asyncio
from pathlib import Path

import pytest

from tests.ussd_server.terminals.hall import HALL, Hall, play, refused, shown, told
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.terminals import messages
from ussd_server.terminals import requests as requests_module
from ussd_server.terminals.desk import Outcome
from ussd_server.terminals.problems import Problem


def ordered(outcome: Outcome) -> str | None:
    """Return the order that an input placed."""
    order: str | None = told(outcome, messages.Entered).order
    return order


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
