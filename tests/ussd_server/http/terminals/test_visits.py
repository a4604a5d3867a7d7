"""A visit is there for its terminal alone, until it is closed, idle or replaced."""

from pathlib import Path

from tests.ussd_server.http.endpoint import RICH, Endpoint, Machine, visit
from tests.ussd_server.http.terminals.asked import IN_VISIT, VISITS
from ussd_server.subscribers.visits import IDLE_MS


async def closed_to(at: Endpoint, machine: Machine, inside: str) -> list[tuple[int, bytes]]:
    """Assert that nothing can be done in this visit, and return what was said."""
    told = []
    for method, rest, content in IN_VISIT:
        said = await at.send(machine.prepare(method, inside + rest, content))
        said.refused("visit-unknown")
        told.append((said.status, said.body))
    return told


def test_visits_of_others_ended_ones_and_nonsense_look_the_same(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        inside = await at.hall.visit(msisdn)
        before = await at.record(msisdn)
        token = inside.rpartition("/")[2]
        told = [await closed_to(at, at.yard, inside)]
        for nonsense in ("x", token[:-1], f"{token}A", token.swapcase(), "%00", "%C3%BC", "A" * 3000):
            told.append(await closed_to(at, at.hall, f"{VISITS}/{nonsense}"))
        assert await at.record(msisdn) == before, "what others did touched the visit"
        at.now += IDLE_MS - 1
        (await at.hall.get(f"{inside}/balance")).ok(200)
        at.now += 1
        told.append(await closed_to(at, at.hall, inside))
        assert all(one == told[0] for one in told)

    visit(tmp_path, story)


def test_a_visit_that_was_closed(tmp_path: Path) -> None:
    """Card-out by another terminal does nothing and does not say so; by its own it ends the visit, again and again."""

    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        assert (await at.send(at.yard.prepare("DELETE", inside))).status == 204
        (await at.hall.get(f"{inside}/balance")).ok(200)
        for _ in range(2):
            said = await at.send(at.hall.prepare("DELETE", inside))
            assert (said.status, said.body) == (204, b"")
        await closed_to(at, at.hall, inside)

    visit(tmp_path, story)


def test_a_second_visit_ends_the_first(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        first = await at.hall.visit(msisdn)
        second = await at.yard.visit(msisdn)
        await closed_to(at, at.hall, first)
        (await at.yard.get(f"{second}/balance")).ok(200)

    visit(tmp_path, story)


def test_an_input_for_a_screen_that_is_no_longer_on_show(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        inside = await at.hall.visit(msisdn)
        screen = (await at.hall.post(f"{inside}/begin", {})).ok(200)["screen"]
        tap = {"screen": screen["id"], "text": screen["options"][0]["key"]}
        (await at.hall.post(f"{inside}/inputs", tap)).ok(200)
        before = await at.record(msisdn)
        (await at.hall.post(f"{inside}/inputs", tap)).refused("screen-changed")
        assert await at.record(msisdn) == before

    visit(tmp_path, story)
