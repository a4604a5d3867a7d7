"""Short runs of the crash tests, each with two servers on one store; `make chaos` is the long one."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import ledger, round, stage
from tests.chaos.ledger import Happened
from tests.chaos.plan import EVERYTHING, SERVER, SMSC, STORE, SUBSCRIBER, Fault
from tests.chaos.round import Wanted
from tests.chaos.storage import StoreKind
from tests.signalled import CALLED, REDIS, RETURNED, SQLITE, Point

SERVERS_AND_SMSC = (
    Fault(700, "kill", SERVER, 0),
    Fault(2_500, "kill", SMSC),
    Fault(4_000, "kill", SERVER, 1),
)
"""What a dead server held is another's 30 s later, and the run waits for that: so servers die early, and once."""

STORE_TOO = (
    Fault(500, "kill", STORE),
    Fault(1_000, "kill", SERVER, 0),
    Fault(2_000, "kill", STORE),
    Fault(2_500, "kill", SMSC),
    Fault(4_000, "kill", SERVER, 1),
    Fault(5_500, "kill", STORE),
    Fault(7_000, "kill", STORE),
)


FORGET_POINTS = (
    Point(RETURNED, f"{REDIS}._pointed"),
    Point(CALLED, f"{REDIS}._unpoint"),
    Point(RETURNED, f"{REDIS}._unpoint"),
)
"""Nothing is deleted yet; the record is; all is, and nobody was told."""

COPY_POINTS = (
    Point(RETURNED, f"{REDIS}.set_mark"),
    Point(RETURNED, f"{SQLITE}.set_mark"),
    Point(RETURNED, f"{REDIS}.restore"),
    Point(RETURNED, f"{REDIS}.set_mark", 2),
)
"""TO is marked; FROM is; the first record is written; all is, and servers may serve from it, but nobody was told."""


FORGETS = tuple(Fault(at, "forget", SUBSCRIBER, which) for at, which in ((1_000, 0), (1_500, 2), (2_000, 4)))
COPIES = (Fault(1_000, "copy", EVERYTHING),)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("store", "faults"), [("sqlite", SERVERS_AND_SMSC), ("redis", STORE_TOO)])
def test_nothing_is_lost_when_everything_is_killed(tmp_path: Path, store: StoreKind, faults: tuple[Fault, ...]) -> None:
    """Servers, the SMSC and a store with a process are killed under load: every promise is kept, and it settles."""
    wanted = Wanted(store, seconds=10, faults=len(faults), seed=1, servers=2, people=6, plan=faults)
    outcome = asyncio.run(round.run(wanted, tmp_path, stage.what_is_missing(), lambda what, share: None))
    assert [str(violation) for violation in outcome.violations] == []
    killed = {
        each.target for each in ledger.read(tmp_path / "ledger.jsonl") if isinstance(each, Happened) and each.killed
    }
    assert killed >= {"server 1", "server 2", "smsc", *({"store"} if store == "redis" else ())}
    assert outcome.figures["USSD inputs acknowledged"] > 0
    assert outcome.figures["SMS to the service, acknowledged"] > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("store", "faults", "points"),
    [("redis", FORGETS, FORGET_POINTS), ("sqlite", COPIES, COPY_POINTS)],
    ids=["forget", "copy"],
)
def test_nothing_is_lost_when_operators_are_killed_at_their_commands(
    tmp_path: Path, store: StoreKind, faults: tuple[Fault, ...], points: tuple[Point, ...]
) -> None:
    """Subscribers are forgotten, and a store is moved to one of another kind, by commands that are given again."""
    many = len(faults)
    wanted = Wanted(store, 3, many, seed=1, servers=2, people=4, plan=faults, moves=True, points=points)
    outcome = asyncio.run(round.run(wanted, tmp_path, stage.what_is_missing(), lambda what, share: None))
    assert [str(violation) for violation in outcome.violations] == []
    assert outcome.faults.get("killed command", 0) == many * len(points)
    assert outcome.figures["subscribers forgotten"] == sum(fault.kind == "forget" for fault in faults)
    assert outcome.figures["moves to another store"] == sum(fault.kind == "copy" for fault in faults)
