"""A short run of the crash tests; `make chaos` is the long one."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import round, stage
from tests.chaos.plan import Kind, make
from tests.chaos.round import Wanted

LONG: tuple[Kind, ...] = ("pause", "silent link", "slow link", "slow disk", "full disk", "clock step")
"""Kinds that a short run leaves to the long one: each is a wait of seconds."""

SEED = 18


@pytest.mark.timeout(400)
def test_nothing_is_lost_when_server_and_smsc_are_killed(tmp_path: Path) -> None:
    """Server and SMSC are killed under load, all at once now and then: every promise is kept, and it settles."""
    wanted = Wanted("sqlite", seconds=6, faults=6, seed=SEED, people=8)
    missing = stage.what_is_missing() | dict.fromkeys(LONG, "a short run")
    outcome = asyncio.run(round.run(wanted, tmp_path, missing, lambda what, share: None))
    assert [str(violation) for violation in outcome.violations] == []
    planned = make(SEED, wanted.seconds, wanted.faults, round.scene_of(wanted, missing))
    assert outcome.killed >= sum(fault.kind == "kill" for fault in planned) // 2
    assert outcome.figures["orders placed and charged"] > 0
