"""A terminal is told what is left of its budgets; with too much to do only what is new is refused."""

from pathlib import Path

from tests.ussd_server.http.endpoint import CODE, RICH, WRONG, Endpoint, visit
from tests.ussd_server.http.terminals.asked import ORDERS


def test_a_terminal_is_told_that_it_may_serve_and_what_is_left_of_its_budgets(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        async def left() -> tuple[int, int]:
            told = (await at.hall.get("/v1/terminal")).ok(200)
            assert (told["terminal"], told["name"]) == ("hall", "Hall")
            return told["wrong_entries_left"], told["code_orders_left"]

        await at.add(at.hall, wrong_an_hour=2, orders_an_hour=3)
        assert await left() == (2, 3)
        (await at.hall.post(ORDERS, {"msisdn": RICH})).ok(202)
        (await at.hall.enter(await at.number(), WRONG)).refused("code-rejected")
        assert await left() == (1, 2)
        at.now += 3_600_000
        assert await left() == (2, 3)
        (await at.hall.get("/v1/terminal?a=1")).refused("invalid-request")
        for _ in range(2):
            await at.hall.enter(await at.number(), WRONG)
        (await at.hall.get("/v1/terminal")).refused("terminal-quarantined")
        await at.add(at.hall, standing="revoked")
        (await at.hall.get("/v1/terminal")).refused("key-unknown")

    visit(tmp_path, story)


def test_while_there_is_too_much_to_do_only_what_is_new_is_refused(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        here, there = await at.number(), await at.number()
        inside = await at.hall.visit(here)
        at.crowded = True
        for said in (
            await at.hall.enter(there, CODE),
            await at.hall.post(ORDERS, {"msisdn": there}),
        ):
            said.refused("busy")
            assert (said.status, said.headers["Retry-After"]) == (503, "5")
        assert (await at.hall.get(f"{inside}/balance")).status == 200
        assert await at.journal(there) == []
        at.crowded = False
        assert (await at.hall.enter(there, CODE)).status == 201

    visit(tmp_path, story)
