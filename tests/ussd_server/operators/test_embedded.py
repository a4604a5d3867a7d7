"""The embedded operator keeps its books: balances are sums of ledger lines, and each order moves money at most once."""

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.contracts.operators import POOR, RICH, T0, YOUNG, catalogue
from ussd_server.operators.base import Change, Money, NotPossible, OperatorUnavailable, OrderState, Quote
from ussd_server.operators.embedded import EmbeddedOperator

DAY = 24 * 60 * 60_000
FILE = "operator.db"


def on(place: Path, test: Callable[[EmbeddedOperator], Coroutine[Any, Any, None]], manual: bool = False) -> None:
    async def body() -> None:
        operator = EmbeddedOperator(place / FILE, catalogue(place), lambda: T0, manual)
        try:
            await test(operator)
        finally:
            await operator.close()

    asyncio.run(body())


async def quoted(operator: EmbeddedOperator, change: Change, offering: str, msisdn: str = RICH) -> Quote:
    quote = await operator.quote(msisdn, change, offering)
    assert isinstance(quote, Quote), quote
    return quote


def ledger(place: Path) -> list[tuple[str, int, str, str | None]]:
    with closing(sqlite3.connect(place / FILE)) as file:
        return file.execute("SELECT msisdn, amount, what, purchase FROM ledger ORDER BY seq").fetchall()


def test_offerings_come_from_memory_the_same_tuple_each_time_without_suspending(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        with pytest.raises(StopIteration) as first:
            operator.offerings(RICH, "tariff").send(None)
        assert await operator.offerings(POOR, "tariff") is first.value.value

    on(tmp_path, test)


def test_orders_products_quotes_and_balances_outlast_a_restart(tmp_path: Path) -> None:
    quotes = []

    async def before(operator: EmbeddedOperator) -> None:
        await operator.submit_order("o1", RICH, await quoted(operator, "add_service", "mail"))
        quotes.append(await quoted(operator, "change_tariff", "more"))

    async def after(operator: EmbeddedOperator) -> None:
        assert await operator.order_state("o1") == OrderState("o1", "completed", Money(97_000, "RUB"))
        assert [each.id for each in (await operator.products(RICH)).services] == ["tone", "mail"]
        assert (await operator.submit_order("o2", RICH, quotes[0])).status == "completed"
        assert await operator.balance(RICH) == Money(87_950, "RUB")

    on(tmp_path, before)
    on(tmp_path, after)
    assert ledger(tmp_path) == [
        (RICH, 100_000, "opening", None),
        (RICH, -3000, "add_service mail", "o1"),
        (RICH, -9050, "change_tariff more", "o2"),
    ]


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.contracts.operators import RICH, T0, catalogue
from ussd_server.operators.embedded import EmbeddedOperator

async def main(place):
    operator = EmbeddedOperator(place / "operator.db", catalogue(place), lambda: T0)
    for n in range(10**6):
        change = "remove_service" if n % 2 else "add_service"
        await operator.top_up(RICH, 3000)
        await operator.submit_order(f"o{n}", RICH, await operator.quote(RICH, change, "mail"))
        print(n, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_an_order_that_was_answered_outlasts_a_kill_and_the_books_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        assert child.stdout is not None
        for _ in range(50):
            child.stdout.readline()
        child.kill()
        answered = 50 + len(child.stdout.readlines())

    async def test(operator: EmbeddedOperator) -> None:
        for n in range(answered):
            state = await operator.order_state(f"o{n}")
            assert state is not None
            assert state.status == "completed"
        assert (await operator.balance(RICH)).minor == sum(amount for _, amount, _, _ in ledger(tmp_path))

    on(tmp_path, test)


def test_held_orders_wait_and_are_executed_in_order(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        first, second = [await quoted(operator, "add_service", each) for each in ("mail", "gift")]
        assert await operator.submit_order("o1", RICH, first) == OrderState("o1", "submitted")
        assert await operator.submit_order("o1", RICH, first) == OrderState("o1", "submitted")
        assert await operator.quote(RICH, "change_tariff", "more") == NotPossible("order_in_progress")
        assert await operator.submit_order("o2", RICH, second) == OrderState("o2", "submitted")
        assert await operator.balance(RICH) == Money(100_000, "RUB")
        done = await operator.execute()
        assert done == [OrderState(id, "completed", Money(97_000, "RUB")) for id in ("o1", "o2")]
        assert await operator.execute() == []
        assert await operator.order_state("o1") == done[0]

    on(tmp_path, test, manual=True)


def test_an_order_that_waits_can_be_cancelled_and_is_never_charged(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        quote = await quoted(operator, "add_service", "mail")
        await operator.submit_order("o1", RICH, quote)
        cancelled = OrderState("o1", "cancelled", Money(100_000, "RUB"))
        assert await operator.cancel("o1") == cancelled
        assert await operator.execute() == []
        assert await operator.submit_order("o1", RICH, quote) == cancelled
        assert await operator.balance(RICH) == Money(100_000, "RUB")
        assert (await operator.submit_order("o2", RICH, quote)).status == "submitted"

    on(tmp_path, test, manual=True)


def test_a_payment_makes_an_order_possible(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        assert await operator.top_up(POOR, 10_000) == Money(10_500, "RUB")
        quote = await quoted(operator, "change_tariff", "more", POOR)
        assert quote.balance_after == Money(1450, "RUB")

    on(tmp_path, test)


def test_what_was_written_is_read_in_the_same_turn_of_the_loop(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        before = await operator.balance(RICH)
        await operator.top_up(RICH, 500)
        assert (await operator.balance(RICH)).minor == before.minor + 500

    on(tmp_path, test)


def test_what_another_process_wrote_is_read_in_the_next_turn_of_the_loop(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        before = await operator.balance(RICH)
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
            other.execute("UPDATE account SET balance = balance + 500 WHERE msisdn = ?", (RICH,))
        assert (await operator.balance(RICH), await operator.products(RICH)) == (before, await operator.products(RICH))
        await asyncio.sleep(0)
        assert (await operator.balance(RICH)).minor == before.minor + 500

    async def opened(operator: EmbeddedOperator) -> None:
        await operator.top_up(RICH, 1)

    on(tmp_path, opened)
    on(tmp_path, test)


def test_what_a_number_has_is_read_once_until_somebody_writes(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        read: list[str] = []
        operator._reads.set_trace_callback(lambda statement: read.append(statement) if "SELECT" in statement else None)

        async def has() -> list[str]:
            """Ask in a turn of the loop of its own; return what was read from the file."""
            read.clear()
            await asyncio.sleep(0)
            await operator.products(RICH)
            await operator.balance(RICH)
            return read

        assert len(await has()) == 1
        assert await has() == []
        await operator.top_up(POOR, 500)
        assert len(await has()) == 1
        assert await has() == []

    on(tmp_path, test)


def test_no_more_accounts_are_kept_than_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ussd_server.operators.embedded.KEPT_ACCOUNTS", 3)

    async def test(operator: EmbeddedOperator) -> None:
        for number in range(8):
            assert (await operator.balance(f"7910000000{number}")).minor >= 0
            assert 0 < len(operator._kept) <= 3

    on(tmp_path, test)


def test_a_tariff_that_begins_is_in_force_though_nothing_was_written(tmp_path: Path) -> None:
    async def test() -> None:
        now = T0
        operator = EmbeddedOperator(tmp_path / FILE, catalogue(tmp_path), lambda: now)
        await operator.submit_order("o1", YOUNG, await quoted(operator, "change_tariff", "most", YOUNG))
        assert (await operator.products(YOUNG)).tariff.id != "most"
        now += DAY
        await asyncio.sleep(0)
        assert (await operator.products(YOUNG)).tariff.id == "most"
        await operator.close()

    asyncio.run(test())


def test_a_refused_write_takes_nothing_and_the_same_order_succeeds_later(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        quote = await quoted(operator, "add_service", "mail")
        ((pages,),) = operator._writes.execute("PRAGMA page_count").fetchall()
        operator._writes.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        with pytest.raises(OperatorUnavailable, match="the disk is full"):
            await operator.submit_order("o" * 8000, RICH, quote)
        assert await operator.order_state("o" * 8000) is None
        assert await operator.balance(RICH) == Money(100_000, "RUB")
        operator._writes.execute("PRAGMA max_page_count = 100000").fetchall()
        assert (await operator.submit_order("o" * 8000, RICH, quote)).status == "completed"

    on(tmp_path, test)


def test_who_stops_waiting_leaves_an_order_that_is_found_again(tmp_path: Path) -> None:
    async def test(operator: EmbeddedOperator) -> None:
        quote = await quoted(operator, "add_service", "mail")
        order = asyncio.ensure_future(operator.submit_order("o1", RICH, quote))
        await asyncio.sleep(0)
        order.cancel()
        state = await operator.submit_order("o1", RICH, quote)
        assert state == OrderState("o1", "completed", Money(97_000, "RUB"))

    on(tmp_path, test)


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorUnavailable, match=r"none/operator\.db: the directory is missing"):
        EmbeddedOperator(tmp_path / "none" / FILE, catalogue(tmp_path), lambda: T0)


def test_what_the_catalogue_has_dropped_is_still_somebodys_tariff(tmp_path: Path) -> None:
    async def before(operator: EmbeddedOperator) -> None:
        await operator.submit_order("o1", YOUNG, await quoted(operator, "change_tariff", "most", YOUNG))

    on(tmp_path, before)

    async def after() -> None:
        smaller = tmp_path / "smaller"
        smaller.mkdir()
        known = catalogue(smaller)
        reduced = type(known)(**{**vars(known), "by_id": {k: v for k, v in known.by_id.items() if k != "most"}})
        operator = EmbeddedOperator(tmp_path / FILE, reduced, lambda: T0 + DAY)
        tariff = (await operator.products(YOUNG)).tariff
        assert (tariff.id, tariff.name) == ("most", {"en": "most"})
        await operator.close()

    asyncio.run(after())


# The books --------------------------------------------------------------------------------------------------------

NUMBERS = [RICH, POOR, YOUNG]


class Books(RuleBasedStateMachine):
    """Whatever is ordered, repeated, cancelled, paid in or restarted, in whatever order: the money adds up."""

    quotes = Bundle("quotes")
    orders = Bundle("orders")

    @initialize(manual=st.booleans())
    def start(self, manual: bool) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Path(self.folder.name)
        self.now = T0
        self.manual = manual
        self.open()
        self.balances = {each: self.balance(each) for each in NUMBERS}
        self.states: dict[str, OrderState] = {}
        self.made = 0

    def open(self) -> None:
        known = catalogue(self.place)
        self.operator = EmbeddedOperator(self.place / FILE, known, lambda: self.now, self.manual)
        self.beside = EmbeddedOperator(self.place / FILE, known, lambda: self.now, self.manual)
        """That of another server, which only looks."""

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def balance(self, msisdn: str) -> int:
        return int(self.do(self.operator.balance(msisdn)).minor)

    @rule(
        target=quotes,
        msisdn=st.sampled_from(NUMBERS),
        change=st.sampled_from(["change_tariff", "add_service", "remove_service"]),
        offering=st.sampled_from(["basic", "more", "most", "tone", "mail", "gift"]),
    )
    def quote(self, msisdn: str, change: Change, offering: str) -> Any:
        return msisdn, self.do(self.operator.quote(msisdn, change, offering))

    @rule(target=orders, quote=quotes)
    def order(self, quote: tuple[str, Any]) -> Any:
        self.made += 1
        return (f"o{self.made}", *quote)

    @rule(order=orders)
    def submit(self, order: tuple[str, str, Any]) -> None:
        id, msisdn, quote = order
        if not isinstance(quote, Quote):
            return
        before = self.balance(msisdn)
        state = self.do(self.operator.submit_order(id, msisdn, quote))
        if id in self.states and self.states[id].status != "submitted":
            assert state == self.states[id]
        elif state.status == "completed" and id not in self.states:
            assert before >= quote.price.minor
            self.balances[msisdn] -= quote.price.minor
            assert state.balance == Money(self.balances[msisdn], "RUB")
        self.states[id] = state

    @rule()
    def execute(self) -> None:
        for state in self.do(self.operator.execute()):
            assert self.states[state.id].status == "submitted"
            self.states[state.id] = state
        for msisdn in NUMBERS:
            booked = [amount for whose, amount, _, _ in ledger(self.place) if whose == msisdn]
            self.balances[msisdn] = sum(booked) if booked else self.balances[msisdn]

    @rule(order=orders)
    def cancel(self, order: tuple[str, str, Any]) -> None:
        id = order[0]
        state = self.do(self.operator.cancel(id))
        known = self.states.get(id)
        if known is None:
            assert state is None
        elif known.status == "submitted":
            assert state.status == "cancelled"
            self.states[id] = state
        else:
            assert state == known

    @rule(msisdn=st.sampled_from(NUMBERS), minor=st.integers(1, 20_000))
    def pay(self, msisdn: str, minor: int) -> None:
        self.balances[msisdn] += minor
        assert self.do(self.operator.top_up(msisdn, minor)) == Money(self.balances[msisdn], "RUB")

    @rule(ms=st.sampled_from([60_000, 11 * 60_000, DAY]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @invariant()
    def the_books_agree(self) -> None:
        lines = ledger(self.place)
        for msisdn in NUMBERS:
            booked = [amount for whose, amount, _, _ in lines if whose == msisdn]
            assert self.balance(msisdn) == self.balances[msisdn] >= 0
            assert self.do(self.beside.balance(msisdn)).minor == self.balances[msisdn]
            assert self.do(self.beside.products(msisdn)) == self.do(self.operator.products(msisdn))
            assert sum(booked) == (self.balances[msisdn] if booked else 0)
        charged = [purchase for _, amount, _, purchase in lines if amount < 0]
        assert len(set(charged)) == len(charged)
        assert all(self.states[str(purchase)].status == "completed" for purchase in charged)

    @invariant()
    def every_order_is_as_it_was_said_to_be(self) -> None:
        for id, state in self.states.items():
            assert self.do(self.operator.order_state(id)) == state

    def close(self) -> None:
        self.do(self.operator.close())
        self.do(self.beside.close())

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        self.folder.cleanup()


def test_the_money_adds_up_whatever_happens() -> None:
    run_state_machine_as_test(Books, settings=settings(max_examples=40, stateful_step_count=30, database=None))
