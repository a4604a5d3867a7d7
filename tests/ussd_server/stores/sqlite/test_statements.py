"""What the SQLite store asks for often is found by an index."""

from pathlib import Path

import pytest

from tests.ussd_server.stores.sqlite.bench import on
from ussd_server.stores.sqlite.statements import (
    ANSWER,
    CLAIMABLE,
    LOAD_TERMINAL,
    NEXT,
    OVER,
    SETTLE_ALL,
    SWEEP_ANSWERS,
    SWEEP_NONCES,
    TRIM,
    WALK,
)
from ussd_server.stores.sqlite.store import SqliteStore


def test_the_oldest_of_a_kind_are_found_without_a_look_at_the_entries(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        plan = [step for *_, step in store._db.execute(f"EXPLAIN QUERY PLAN {TRIM}", (0, "", 1)).fetchall()]
        assert [step for step in plan if step.startswith(("SEARCH", "SCAN"))] == [
            "SEARCH journal USING INDEX journal_by_subscriber (msisdn=? AND kind=? AND seq<?)",
            "SEARCH journal USING COVERING INDEX journal_by_subscriber (msisdn=? AND kind=?)",
        ]

    on(path, test)


@pytest.mark.parametrize(
    "statement",
    [ANSWER, OVER, SWEEP_ANSWERS, SWEEP_NONCES, LOAD_TERMINAL, WALK, "DELETE FROM answer WHERE msisdn = ?"],
)
def test_what_requests_and_sweeps_ask_for_is_found_by_an_index(path: Path, statement: str) -> None:
    async def test(store: SqliteStore) -> None:
        parameters = (0,) * (1 if "?1" in statement else statement.count("?"))
        plan = store._db.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        scans = [step for *_, step in plan if "TEMP B-TREE" in step]
        scans += [step for *_, step in plan if step.startswith("SCAN ") and step != "SCAN CONSTANT ROW"]
        assert not scans, plan

    on(path, test)


@pytest.mark.parametrize("statement", [CLAIMABLE, NEXT])
def test_looking_for_work_scans_no_table_and_sorts_nothing(path: Path, statement: str) -> None:
    async def test(store: SqliteStore) -> None:
        plan = store._db.execute(f"EXPLAIN QUERY PLAN {statement}", (0,) * statement.count("?")).fetchall()
        steps = [step for *_, step in plan]
        assert any("outbox_by_time (lane=?" in step for step in steps), steps
        assert not [step for step in steps if step.startswith("SCAN ") or "TEMP B-TREE" in step], steps

    on(path, test)


def test_what_is_settled_is_found_by_its_id(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        plan = [step for *_, step in store._db.execute(f"EXPLAIN QUERY PLAN {SETTLE_ALL}", ("[]", "[]")).fetchall()]
        assert plan[0] == "SEARCH outbox USING INDEX sqlite_autoindex_outbox_1 (id=?)", plan

    on(path, test)
