"""A request that comes again gets the answer that it got, and another one under its key is refused."""

import asyncio
from pathlib import Path

import pytest

from tests.ussd_server.http.endpoint import CODE, WRONG, Endpoint, new_key, visit
from tests.ussd_server.http.terminals.asked import ORDERS, VISITS


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_the_same_request_again_gets_the_same_answer_and_takes_no_try(tmp_path: Path, code: str) -> None:
    """Signed anew each time, as a client does that heard no answer."""

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        content = at.hall.entry(msisdn, code, key)
        first = await at.hall.post(VISITS, content, key)
        assert first.status == (201 if code == CODE else 403)
        at.now += 50_000
        again = await at.hall.post(VISITS, content, key)
        resealed = await at.hall.post(VISITS, at.hall.entry(msisdn, code, key), key)
        at.now += 3_600_000  # the entry is long too old to be judged, its answer is known
        late = await at.hall.post(VISITS, content, key)
        assert [(one.status, one.body) for one in (again, resealed, late)] == [(first.status, first.body)] * 3
        assert (await at.record(msisdn)).access.wrong == (0 if code == CODE else 1)
        assert len(await at.journal(msisdn)) == 1
        terminal, _ = await at.store.load_terminal("hall")
        assert len(terminal.wrong) == (0 if code == CODE else 1)

    visit(tmp_path, story)


def test_the_same_key_for_another_entry(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, another, key = await at.number(), await at.number(), new_key()
        (await at.hall.post(VISITS, at.hall.entry(msisdn, WRONG, key), key)).refused("code-rejected")
        for content in (at.hall.entry(msisdn, CODE, key), at.hall.entry(another, WRONG, key)):
            (await at.hall.post(VISITS, content, key)).refused("idempotency-key-reused")
        (await at.hall.post(ORDERS, {"msisdn": msisdn}, key)).refused("idempotency-key-reused")
        assert (await at.record(msisdn)).access.wrong == 1
        await untouched_number(at, another)

    visit(tmp_path, story)


async def untouched_number(at: Endpoint, msisdn: str) -> None:
    """Assert that nothing happened to this number."""
    assert (await at.record(msisdn)).access.wrong == 0
    assert await at.journal(msisdn) == []


def test_the_same_key_for_another_request_of_a_visit(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        inside = await at.hall.visit(msisdn)
        first = await at.hall.post(f"{inside}/begin", {"language": "en"}, key)
        before = await at.record(msisdn)
        (await at.hall.post(f"{inside}/begin", {"language": "ru"}, key)).refused("idempotency-key-reused")
        (await at.hall.post(f"{inside}/quotes", {"change": "add_service", "offering": "x"}, key)).refused(
            "idempotency-key-reused"
        )
        assert await at.record(msisdn) == before
        assert (await at.hall.post(f"{inside}/begin", {"language": "en"}, key)).body == first.body

    visit(tmp_path, story)


def test_two_terminals_may_have_the_same_key(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        for machine in (at.hall, at.yard):
            (await machine.post(ORDERS, {"msisdn": "79100200500"}, "same")).ok(202)
        assert await at.work_left() == 2

    visit(tmp_path, story)


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_of_one_entry_sent_many_times_at_once_one_try_is_taken(tmp_path: Path, code: str) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        content = at.hall.entry(msisdn, code, key)
        said = await asyncio.gather(*(at.hall.post(VISITS, content, key) for _ in range(10)))
        answers = {one.body for one in said if one.status != 409}
        assert len(answers) == 1
        for one in said:
            if one.status == 409:
                one.refused("request-in-progress")
        assert (await at.hall.post(VISITS, content, key)).body in answers
        access = (await at.record(msisdn)).access
        assert (access.wrong, access.reservations) == (0 if code == CODE else 1, ())
        assert len(await at.journal(msisdn)) == 1

    visit(tmp_path, story)
