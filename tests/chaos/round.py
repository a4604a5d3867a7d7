"""One run from its start to its verdict: load, faults by a plan, calm, and what the books say then."""

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos import books, checker, ledger, plan, screens
from tests.chaos.checker import Violation
from tests.chaos.ledger import Event, Ledger, Sms
from tests.chaos.people import Person
from tests.chaos.plan import Fault, Kind, Scene
from tests.chaos.processes import is_ready
from tests.chaos.stage import Stage
from tests.chaos.storage import OTHER, PROCESSES, StoreKind
from tests.signalled import Point
from ussd_server.stores.base import Store, StoreUnavailable
from ussd_server.terminal_client import Patience, TerminalClient

SETTLE_S: Final = 180.0
"""By when all must have come to its end after the last fault: a lease (30 s) after a pause, a wait for the next try
or for a link (60 s each), and room for a busy machine."""

FINISH_S: Final = 60.0
"""How long people may take for what they had begun when the load ended."""

FAR_MS: Final = 10 * 60_000
"""What is due later than this has its own time."""

READY_S: Final = 180.0

AT_ONCE: Final = 6
"""Codes that are entered once more at a time."""

PATIENCE: Final = Patience(total=12.0, attempt=4.0, first=0.1, most=1.0)
"""A terminal's patience with one try: whoever is killed is back after two seconds."""

DIGITS: Final = re.compile(rb"(?<![0-9A-Za-z])\d{8}(?![0-9A-Za-z])")

Tell = Callable[[str, float], None]
"""Told what goes on: the phase and how far it is, 0 to 1."""


@dataclass(frozen=True)
class Wanted:
    """What to run: `people` at once, `faults` within `seconds` of load; the store as the report names it.

    With Sentinels and in a Cluster, a commit waits for so many `replicas`, None for all of a master's. A `plan` by the
    time of its faults is done instead of the one of the seed. `moves`: now and then the store is moved to one of
    another kind. Where there is an `only`, just these kinds of faults are done, each as often. Who forgets a
    subscriber or moves the store is killed at each of the `points` in turn, and where there are none by chance.
    """

    store: StoreKind
    seconds: float
    faults: int
    seed: int
    servers: int = 1
    people: int = 40
    replicas: int | None = None
    plan: tuple[Fault, ...] = ()
    moves: bool = False
    only: tuple[Kind, ...] = ()
    points: tuple[Point, ...] = ()


@dataclass
class Outcome:
    """What came of a run."""

    wanted: Wanted
    violations: list[Violation] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    load_s: float = 0.0
    settled_s: float = 0.0
    took_s: float = 0.0

    @property
    def killed(self) -> int:
        """How many processes were killed."""
        return self.figures.get("processes killed", 0)


def scene_of(wanted: Wanted, missing: Iterable[plan.Kind]) -> Scene:
    """Return what there is to hinder, but for the kinds that cannot be done here."""
    without: set[plan.Kind] = {*missing, *(() if wanted.store in ("sentinel", "cluster") else ("failover",))}
    stores = PROCESSES[wanted.store]
    if wanted.moves:
        stores = max(stores, PROCESSES[OTHER[wanted.store]])
    else:
        without.add("copy")
    if wanted.only:
        without |= plan.WEIGHTS.keys() - set(wanted.only)
    return Scene(wanted.servers, stores, wanted.people, frozenset(without), even=bool(wanted.only))


async def run(wanted: Wanted, directory: Path, missing: Mapping[plan.Kind, str], tell: Tell) -> Outcome:
    """Run, and return the verdict; the ledger, logs and data stay in the directory."""
    began = time.monotonic()
    scene = scene_of(wanted, missing)
    book = Ledger(directory / "ledger.jsonl")
    stage = Stage(directory, book, scene, wanted.seed, wanted.store, wanted.replicas, wanted.points)
    outcome = Outcome(wanted, missing=dict(missing))
    try:
        await _play(wanted, scene, stage, book, outcome, tell)
    finally:
        await stage.close()
        book.close()
    outcome.took_s = time.monotonic() - began
    return outcome


async def _play(wanted: Wanted, scene: Scene, stage: Stage, book: Ledger, outcome: Outcome, tell: Tell) -> None:
    tell("starting", 0)
    await stage.start()
    for each in stage.http:
        assert await is_ready(each, READY_S), "a server did not start; see its log"
    async with TerminalClient(await stage.add_terminal(), patience=PATIENCE) as client:
        people = await _load(wanted, scene, stage, book, outcome, client, tell)
        left = await _settle(stage, outcome, tell)
        await _last_look(people, tell)
        left = left or await _settle(stage, outcome, tell)
    tell("stopping", 0)
    statuses = await stage.stop()
    await stage.network.close()
    outcome.violations += [Violation("stopped badly", "", f"a server ended with {each}") for each in statuses if each]
    store = await stage.open_store()
    try:
        numbers = [person.msisdn for person in people]
        found = await books.read(store, stage.data / "operator.db", numbers, ledger.now(), left)
    finally:
        await store.close()
    outcome.violations += checker.check(book.events, found)
    outcome.violations += [Violation("command broke", "", each) for each in stage.desk.broken]
    outcome.violations += leaks(codes_of(book.events), stage.files())
    outcome.figures |= checker.figures(book.events, found)
    for event in book.events:
        if isinstance(event, ledger.Happened):
            outcome.faults[event.kind] = outcome.faults.get(event.kind, 0) + 1


async def _load(
    wanted: Wanted, scene: Scene, stage: Stage, book: Ledger, outcome: Outcome, client: TerminalClient, tell: Tell
) -> list[Person]:
    """Let people live, and do the faults by their time; returns the people."""
    began = time.monotonic()
    people = stage.people
    numbers = itertools.count()

    under_way: list[asyncio.Task[None]] = []

    def over() -> bool:
        """The load goes on until the last fault is done: crashes of one process wait for each other."""
        return time.monotonic() - began >= wanted.seconds and all(each.done() for each in under_way)

    async def live() -> None:
        while not over():
            person = Person(next(numbers), stage.network, client, book, wanted.seed)
            people.append(person)
            await person.live(over)

    lives = [asyncio.ensure_future(live()) for _ in range(wanted.people)]
    faults = wanted.plan or plan.make(wanted.seed, wanted.seconds, wanted.faults, scene)
    for number, fault in enumerate(faults):
        await asyncio.sleep(max(0.0, began + fault.at / 1000 - time.monotonic()))
        tell(f"fault {number + 1} of {len(faults)}: {fault}", min(1.0, (time.monotonic() - began) / wanted.seconds))
        under_way.append(asyncio.ensure_future(stage.do(fault)))
    while not over():
        tell("the last faults", min(1.0, (time.monotonic() - began) / wanted.seconds))
        await asyncio.sleep(0.2)
    await asyncio.gather(*under_way)
    outcome.load_s = time.monotonic() - began
    tell("people finish", 0)
    done, late = await asyncio.wait(lives, timeout=FINISH_S)
    for each in late:
        each.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for error in filter(None, (each.exception() for each in done)):
        outcome.violations.append(Violation("not to be expected", "", f"{type(error).__name__}: {error}"))
    return people


async def _settle(stage: Stage, outcome: Outcome, tell: Tell) -> tuple[str, ...]:
    """Wait until nothing is left to do; returns what is left where it takes too long."""
    began = time.monotonic()
    store = await stage.open_store()
    try:
        while True:
            waiting = await _waiting(store, stage)
            passed = time.monotonic() - began
            if not waiting or passed > SETTLE_S:
                outcome.settled_s = max(outcome.settled_s, passed)
                return waiting
            tell(f"settling: {'; '.join(waiting)}", passed / SETTLE_S)
            await asyncio.sleep(0.3)
    finally:
        await store.close()


async def _waiting(store: Store, stage: Stage) -> tuple[str, ...]:
    waiting = []
    if stage.network.unacknowledged:
        waiting.append(f"{stage.network.unacknowledged} inputs are not acknowledged")
    try:
        due = await store.next_due()
    except StoreUnavailable as error:
        waiting.append(str(error))
    else:
        if due is not None and due < ledger.now() + FAR_MS:
            waiting.append("the outbox is not empty")
    return tuple(waiting)


async def _last_look(people: Sequence[Person], tell: Tell) -> None:
    """Enter every code once more: each works but those of locked numbers, which stay locked."""
    waiting = [person for person in people if person.has_code and (person.locked or person.sure)]
    total = len(waiting)

    async def look() -> None:
        while waiting:
            tell("every code once more", 1 - len(waiting) / total)
            await waiting.pop().look_again()

    await asyncio.gather(*(look() for _ in range(AT_ONCE)))


# Codes in what is written -----------------------------------------------------------------------------------------


def codes_of(events: Iterable[Event]) -> set[bytes]:
    """Return every access code that came by SMS."""
    return {screens.code(event.text).encode() for event in events if isinstance(event, Sms)} - {b""}


def leaks(codes: set[bytes], files: Iterable[Path]) -> list[Violation]:
    """Return the files in which an access code stands, without the code."""
    found = []
    for file in files:
        if codes & set(DIGITS.findall(file.read_bytes())):
            found.append(Violation("code shown", "", f"in {file.name}"))
    return found
