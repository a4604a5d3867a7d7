"""Where the store goes away in the middle, the same request brings things to their one end."""

from collections import Counter
from collections.abc import AsyncIterator
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest

from tests.ussd_server.http.endpoint import CODE, RICH, WRONG, Endpoint, Said, new_key, visit
from tests.ussd_server.http.terminals.asked import IN_VISIT, ORDERS, VISITS, a_change
from ussd_server.subscribers.codes import RESERVATION_MS

Fault = tuple[str, int, bool]
CALLS = ("load_terminal", "use_nonce", "load", "answer", "commit")


async def each_outage(at: Endpoint, code: str) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """Enter a code again and again, and let each call that it makes fail in turn: not done, and done but not heard of.

    Gives the number, the Idempotency-Key and the message each time that an entry was interrupted.
    """
    await at.add(at.hall, wrong_an_hour=1000)
    interrupted: Counter[str] = Counter()
    for name, done in product(CALLS, (False, True)):
        for nth in count(1):
            msisdn, key = await at.number(), new_key()
            content = at.hall.entry(msisdn, code, key)
            at.store.fail(name, nth, done=done)
            said = await at.hall.post(VISITS, content, key)
            if not at.store.all_failed:
                at.store.well_again()
                break
            if said.status != 503:
                assert (name, code) == ("load_terminal", WRONG), "but for the terminal's own count an entry is whole"
                continue
            said.refused("unavailable")
            interrupted[name] += 1
            yield msisdn, key, content
    assert interrupted.keys() == set(CALLS)
    assert interrupted["commit"] == 4, "a try is reserved in one commit and settled in another"


async def ended(at: Endpoint, msisdn: str, said: Said, *, accepted: bool) -> None:
    """Assert that an entry has come to its one end, and that this was said."""
    access = (await at.record(msisdn)).access
    assert (access.wrong, access.reservations) == (0 if accepted else 1, ())
    assert await at.journal(msisdn) == ["access opened" if accepted else "code wrong"]
    if accepted:
        said.ok(201)
    else:
        assert said.refused("code-rejected")["attempts_left"] == 2


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_an_entry_while_the_store_goes_away(tmp_path: Path, code: str) -> None:
    """Wherever it went away, the same request brings the entry to its end: one try, one verdict, one answer.

    Only where the try was reserved and nobody knows the verdict must the terminal wait until it has lapsed.
    """

    async def story(at: Endpoint) -> None:
        async for msisdn, key, content in each_outage(at, code):
            taken = len((await at.record(msisdn)).access.reservations)
            accepted = code == CODE
            said = await at.hall.post(VISITS, content, key)
            if taken and said.status == 409:
                said.refused("request-in-progress")
                assert len((await at.record(msisdn)).access.reservations) == 1
                at.now += RESERVATION_MS
                said = await at.hall.post(VISITS, content, key)
                accepted = False
            await ended(at, msisdn, said, accepted=accepted)
            assert (await at.hall.post(VISITS, content, key)).body == said.body

    visit(tmp_path, story)


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_an_entry_that_nobody_brings_to_its_end_is_a_wrong_one(tmp_path: Path, code: str) -> None:
    """A guess cannot be made free by breaking the store; whoever asks late learns that it counted, once."""

    async def story(at: Endpoint) -> None:
        lapsed = 0
        async for msisdn, key, content in each_outage(at, code):
            if not (await at.record(msisdn)).access.reservations:
                continue
            lapsed += 1
            at.now += RESERVATION_MS
            for _ in range(2):
                await ended(at, msisdn, await at.hall.post(VISITS, content, key), accepted=False)
            assert (await at.hall.enter(msisdn, WRONG)).refused("code-rejected")["attempts_left"] == 1
        assert lapsed > 1

    visit(tmp_path, story)


def test_a_wrong_entry_counts_where_the_terminals_record_cannot_be_written(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        at.store.fail("commit_terminal")
        assert (await at.hall.enter(msisdn, WRONG)).refused("code-rejected")["attempts_left"] == 2
        assert at.store.all_failed
        assert (await at.record(msisdn)).access.wrong == 1

    visit(tmp_path, story)


ORDER_FAULTS: list[Fault] = [
    ("load_terminal", 1, False),
    ("use_nonce", 1, False),
    ("use_nonce", 1, True),
    ("load", 1, False),
    ("answer", 1, False),
    ("commit_terminal", 1, False),
    ("commit", 1, False),
    ("commit", 1, True),
]


@pytest.mark.parametrize("fault", ORDER_FAULTS, ids=str)
def test_the_order_of_a_code_while_the_store_goes_away(tmp_path: Path, fault: Fault) -> None:
    name, nth, done = fault

    async def story(at: Endpoint) -> None:
        key = new_key()
        at.store.fail(name, nth, done=done)
        (await at.hall.post(ORDERS, {"msisdn": "79100200500"}, key)).refused("unavailable")
        assert at.store.all_failed
        for _ in range(2):
            (await at.hall.post(ORDERS, {"msisdn": "79100200500"}, key)).ok(202)
        assert await at.work_left() == 1

    visit(tmp_path, story)


VISIT_FAULTS: list[Fault] = [
    ("load_terminal", 1, False),
    ("use_nonce", 1, False),
    ("load", 1, False),
    ("answer", 1, False),
    ("commit", 1, False),
    ("commit", 1, True),
]


@pytest.mark.parametrize("fault", VISIT_FAULTS, ids=str)
def test_an_agreement_while_the_store_goes_away(tmp_path: Path, fault: Fault) -> None:
    """What a person agreed to is ordered once, and its terminal learns the order's id."""
    name, nth, done = fault

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(RICH), new_key()
        inside = await at.hall.visit(msisdn)
        quote = (await at.hall.post(f"{inside}/quotes", await a_change(at, inside))).ok(201)
        at.store.fail(name, nth, done=done)
        (await at.hall.post(f"{inside}/orders", {"quote": quote["id"]}, key)).refused("unavailable")
        assert at.store.all_failed
        assert len((await at.record(msisdn)).pending) == (1 if done else 0)
        placed = [(await at.hall.post(f"{inside}/orders", {"quote": quote["id"]}, key)).ok(202) for _ in range(2)]
        assert list((await at.record(msisdn)).pending) == [placed[0]["order"]]
        assert placed[0] == placed[1]
        state = (await at.hall.get(f"{inside}/orders/{placed[0]['order']}")).ok(200)
        assert state["status"] == "placed"
        (await at.hall.post(f"{inside}/orders", {"quote": quote["id"]})).refused("quote-unknown")

    visit(tmp_path, story)


def test_everything_while_the_store_is_down(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        inside = await at.hall.visit(msisdn)
        before = await at.record(msisdn)
        at.store.down = True
        for method, rest, content in [*IN_VISIT, ("DELETE", "", None)]:
            (await at.send(at.hall.prepare(method, inside + rest, content))).refused("unavailable")
        (await at.hall.enter(msisdn, WRONG)).refused("unavailable")
        (await at.hall.get("/v1/keys")).ok(200)
        at.store.down = False
        assert await at.record(msisdn) == before

    visit(tmp_path, story)
