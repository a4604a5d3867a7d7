"""Balance, products and prices are told beside the screens, and a price is agreed to once."""

import asyncio
from pathlib import Path

import msgspec

from tests.ussd_server.terminals.hall import CODE, HALL, Hall, play, refused, shown, told
from tests.ussd_server.turns.bench import MSISDN, POOR
from ussd_server.terminals import messages
from ussd_server.terminals.problems import Problem


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
