"""A code that is ordered at a terminal comes by SMS where it may, and the answer tells nothing of the number."""

from pathlib import Path

from msgspec.structs import replace

from tests.ussd_server.terminals.hall import HALL, UNKNOWN, Hall, play, told
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered, Outcome
from ussd_server.terminals.problems import Problem


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
