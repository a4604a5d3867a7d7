"""What becomes of each call, as values."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.ussd_server.terminal_client.peer import (
    CODE,
    DROP,
    MSISDN,
    NOW,
    SCREEN,
    VISIT,
    Peer,
    Say,
    opened,
    problem,
    talk,
)
from ussd_server.terminal_client import (
    Declined,
    Expired,
    Locked,
    Money,
    Offering,
    OrderState,
    Products,
    Quote,
    Refused,
    Rejected,
    ScreenChanged,
    TerminalClient,
    TerminalState,
    Visit,
    VisitOver,
)

MONEY = Money(12345, "RUB")
OFFERING = Offering("super_zero", "tariff", "1", "Super Zero", "Summary", MONEY, MONEY)
QUOTE = Quote("q1", "change_tariff", OFFERING, MONEY, MONEY, "2025-11-24", MONEY)
NEXT = msgspec.structs.replace(SCREEN, id=8)


async def visited(client: TerminalClient) -> Visit:
    visit = await client.open(MSISDN, CODE, "en")
    assert isinstance(visit, Visit)
    return visit


@talk(opened(), Say(204))
async def test_the_right_code_opens_a_visit_and_card_out_ends_it(there: Peer, client: TerminalClient) -> None:
    async with await visited(client) as visit:
        assert visit.screen == SCREEN
        assert visit.idle_seconds == 180
    asked, ended = there.seen
    assert (asked.method, asked.path) == ("POST", "/v1/visits")
    assert asked.message["msisdn"] == there.entry(asked).msisdn == MSISDN
    assert asked.message["language"] == "en"
    assert there.entry(asked).terminal == "hall-1"
    assert (ended.method, ended.path, ended.body, ended.key) == ("DELETE", f"/v1/visits/{VISIT}", b"", None)


@talk(problem("code-rejected", attempts_left=2), problem("access-locked", 86400, locked_until=NOW + 86_400_000))
async def test_a_wrong_code_and_a_lock_are_told(there: Peer, client: TerminalClient) -> None:
    assert await client.open(MSISDN, CODE) == Rejected(2)
    assert await client.open(MSISDN, CODE) == Locked(NOW + 86_400_000)
    first, second = there.seen
    assert first.key != second.key


@talk(problem("code-expired"))
async def test_a_right_code_that_is_too_old_is_told(there: Peer, client: TerminalClient) -> None:
    assert await client.open(MSISDN, CODE) == Expired()


@talk(
    Say(200, {"terminal": "hall-1", "name": "Hall", "wrong_entries_left": 19, "code_orders_left": 60}),
    problem("terminal-quarantined"),
    problem("key-unknown"),
)
async def test_a_terminal_learns_whether_it_may_serve(there: Peer, client: TerminalClient) -> None:
    assert await client.state() == TerminalState("hall-1", "Hall", 19, 60)
    for name in ("terminal-quarantined", "key-unknown"):
        with pytest.raises(Refused) as refused:
            await client.state()
        assert refused.value.problem.name == name
    assert {(seen.method, seen.path) for seen in there.seen} == {("GET", "/v1/terminal")}


@talk(problem("terminal-quarantined"))
async def test_a_quarantine_is_the_terminals_own_affair(there: Peer, client: TerminalClient) -> None:
    with pytest.raises(Refused, match="quarantined"):
        await client.open(MSISDN, CODE)


@dataclass
class Call:
    """A method of a visit, what the server answers, what is sent and what it returns."""

    name: str
    args: tuple[Any, ...]
    answer: Say
    method: str
    path: str
    sent: Any
    result: Any
    named: dict[str, Any] = field(default_factory=dict)


OFFERED = [OFFERING]
PRODUCTS = Products(OFFERING, [])
PLACED = OrderState("o1", "placed")
CALLS = [
    Call("begin", (), Say(200, {"screen": NEXT}), "POST", "begin", {"language": None}, NEXT),
    Call("begin", ("ru",), Say(200, {"screen": NEXT}), "POST", "begin", {"language": "ru"}, NEXT),
    Call("enter", ("1",), Say(200, {"screen": NEXT}), "POST", "inputs", {"screen": 7, "text": "1"}, NEXT),
    Call(
        "enter", ("1",), problem("screen-changed"), "POST", "inputs", {"screen": 3, "text": "1"},
        ScreenChanged(SCREEN), {"screen": 3},
    ),
    Call("balance", (), Say(200, {"balance": MONEY}), "GET", "balance", None, MONEY),
    Call("offerings", ("tariff",), Say(200, {"offerings": OFFERED}), "GET", "offerings?kind=tariff", None, OFFERED),
    Call("products", (), Say(200, PRODUCTS), "GET", "products", None, PRODUCTS),
    Call(
        "quote", ("change_tariff", "super_zero"), Say(201, QUOTE), "POST", "quotes",
        {"change": "change_tariff", "offering": "super_zero"}, QUOTE,
    ),
    Call(
        "quote", ("add_service", "x"), problem("offering-unknown"), "POST", "quotes",
        {"change": "add_service", "offering": "x"}, Declined("offering-unknown", "Ask for the offerings."),
    ),
    Call("place_order", ("q1",), Say(202, PLACED), "POST", "orders", {"quote": "q1"}, PLACED),
    Call(
        "place_order", ("q1",), problem("insufficient-funds", detail="why"), "POST", "orders", {"quote": "q1"},
        Declined("insufficient-funds", "why"),
    ),
    Call(
        "quote", ("add_service", "x"), problem("insufficient-funds", price=15000, balance=1240, currency="RUB"), "POST",
        "quotes", {"change": "add_service", "offering": "x"},
        Declined("insufficient-funds", "Nothing was charged.", Money(15000, "RUB"), Money(1240, "RUB")),
    ),
    Call("order_state", ("o1",), Say(200, PLACED), "GET", "orders/o1", None, PLACED),
    Call("order_state", ("../x?y",), Say(200, PLACED), "GET", "orders/..%2Fx%3Fy", None, PLACED),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.name} {call.answer.status}")
def test_each_call_asks_its_route_and_returns_what_is_told(call: Call) -> None:
    @talk(opened(), call.answer)
    async def test(there: Peer, client: TerminalClient) -> None:
        visit = await visited(client)
        assert await getattr(visit, call.name)(*call.args, **call.named) == call.result
        asked = there.seen[-1]
        assert (asked.method, asked.path) == (call.method, f"/v1/visits/{VISIT}/{call.path}")
        assert (asked.key is not None) == (call.method == "POST")
        assert (asked.message if asked.body else None) == call.sent
        assert visit.screen == (NEXT if call.result == NEXT else SCREEN)

    test()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.name} {call.answer.status}")
def test_every_call_of_a_visit_that_has_ended_says_so(call: Call) -> None:
    @talk(opened(), problem("visit-unknown"))
    async def test(there: Peer, client: TerminalClient) -> None:
        async with await visited(client) as visit:
            assert await getattr(visit, call.name)(*call.args, **call.named) == VisitOver()
        assert len(there.seen) == 2  # nothing is left to be closed

    test()


@pytest.mark.parametrize("name", ["begin", "enter", "quote", "place_order"])
def test_a_call_that_was_given_up_goes_on_under_its_key(name: str) -> None:
    call = next(each for each in CALLS if each.name == name)

    @talk(opened(), call.answer)
    async def test(there: Peer, client: TerminalClient) -> None:
        await getattr(await visited(client), name)(*call.args, key="chosen-by-the-caller")
        assert there.seen[-1].key == "chosen-by-the-caller"

    test()


@talk(opened(), Say(200, {"screen": NEXT, "order": "o1"}), Say(200, PLACED), Say(200, {"screen": NEXT, "order": None}))
async def test_the_order_that_an_input_placed_is_named(there: Peer, client: TerminalClient) -> None:
    visit = await visited(client)
    assert visit.order is None
    assert await visit.enter("1") == NEXT
    assert visit.order == "o1"
    assert await visit.order_state(visit.order) == PLACED
    await visit.enter("2")
    assert visit.order is None


@talk(opened(), Say(200, {"screen": NEXT}), problem("screen-changed"))
async def test_the_second_of_a_double_tap_does_nothing(there: Peer, client: TerminalClient) -> None:
    visit = await visited(client)
    assert await visit.enter("1", screen=7) == NEXT
    assert await visit.enter("1", screen=7) == ScreenChanged(NEXT)


@talk(opened(), Say(200, {"screen": NEXT}), Say(200, {"screen": msgspec.structs.replace(SCREEN, id=6)}))
async def test_an_answer_that_was_overtaken_does_not_bring_back_its_screen(there: Peer, client: TerminalClient) -> None:
    visit = await visited(client)
    await visit.enter("1")
    await visit.enter("1")
    assert visit.screen == NEXT


@talk(opened(), *[problem("unavailable", 8)] * 2)
async def test_card_out_without_a_server_hides_no_error_of_the_visit(there: Peer, client: TerminalClient) -> None:
    async def stumble() -> None:
        async with await visited(client):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()


@talk(opened(), DROP, Say(200, {"balance": MONEY}))
async def test_a_connection_lost_under_a_get_is_no_replay(there: Peer, client: TerminalClient) -> None:
    # aiohttp sends it once more by itself, signature and all: the nonce is used then, and it must be signed anew.
    assert await (await visited(client)).balance() == MONEY


@talk(opened(), Say(204))
async def test_a_visit_is_closed_once(there: Peer, client: TerminalClient) -> None:
    async with await visited(client) as visit:
        await visit.close()
        await visit.close()


@talk(
    Say(
        201, {"visit": VISIT, "idle_seconds": 180, "until": 1, "screen": {**msgspec.to_builtins(SCREEN), "sound": "on"}}
    )
)
async def test_fields_of_a_later_version_are_passed_over(there: Peer, client: TerminalClient) -> None:
    assert (await visited(client)).screen == SCREEN
