"""`ussd-server dead-letters`: what was given up, an SMS or other work, and what becomes of it: tried again, or not."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias, get_args

import typer
from rich.console import Console
from rich.progress import Progress

from ussd_server.cli.common import (
    EXIT_FAILED,
    Data,
    Failure,
    SettingsFile,
    Store,
    columns,
    confirmed,
    console,
    moment,
    now,
    span,
    subscriber_number,
)
from ussd_server.cli.epilogs import examples
from ussd_server.cli.stores import with_store
from ussd_server.log import mask
from ussd_server.outbox import dead_letters
from ussd_server.settings import Settings, SettingsError, load
from ussd_server.stores.base import Change, DeadLetter, OutboxKind
from ussd_server.stores.base import Store as StorePort
from ussd_server.stores.damaged import DAMAGED
from ussd_server.subscribers.record import Subscriber

AT_ONCE: Final = 64
"""Dead letters that are worked on at once, so that their commits share a write to the disk."""
MAX_CONFLICTS: Final = 8
HOUR_MS: Final = 3_600_000
GONE: Final = "somebody else has taken it"
HIDDEN: Final = ("sealed", DAMAGED)
"""Data that is never shown: a sealed text, and octets that may be of anything."""

Action: TypeAlias = Callable[[DeadLetter, Subscriber, int], Change | str]
"""Returns the commit that does it to a dead letter of this record and version, or why it may not be done."""

app = typer.Typer(
    name="dead-letters",
    no_args_is_help=True,
    help="What was given up: list it, try it again, or throw it away.",
    rich_markup_mode="rich",
    epilog=examples(
        "ussd-server dead-letters list --kind sms --last 2h",
        "ussd-server dead-letters show 5f1c2a9be011-4d",
        'ussd-server dead-letters retry 5f1c2a9be011-4d --reason "the SMSC is back"',
        'ussd-server dead-letters retry --all --kind sms --last 2h --reason "the SMSC was away"',
        'ussd-server dead-letters discard --all --last 30d --reason "nobody waits for them"',
    ),
)

Ids: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Their ids, as list prints them", show_default=False)
]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All that there are, or that the options below choose")]
Whose: TypeAlias = Annotated[
    str | None, typer.Option("--subscriber", metavar="MSISDN", help="Only those of this subscriber")
]
Kind: TypeAlias = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only of this kind, as sms")]
Last: TypeAlias = Annotated[
    str | None, typer.Option("--last", metavar="TIME", help="Only what was given up within this time, as 2 h")
]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the journal.")]


@dataclass(frozen=True)
class Choice:
    """Which dead letters are meant: those of these ids, if any are named, and of this subscriber, kind and time."""

    ids: frozenset[str] = frozenset()
    msisdn: str = ""
    kind: str = ""
    since: int = 0

    def takes(self, dead: DeadLetter) -> bool:
        """Return whether this one is meant."""
        return dead.at >= self.since and self.kind in ("", dead.kind) and (not self.ids or dead.id in self.ids)


@app.command(
    "list",
    epilog=examples(
        "ussd-server dead-letters list",
        "ussd-server dead-letters list --subscriber 79101234567",
        "ussd-server dead-letters list --kind sms --last 2h --numbers",
        "ussd-server dead-letters list --json",
    ),
)
def list_them(
    whose: Whose = None,
    kind: Kind = None,
    last: Last = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", min=1, max=1_000_000, help="At most so many")
    ] = 1000,
    numbers: Annotated[bool, typer.Option("--numbers", help="Show subscribers' numbers in full")] = False,
    whole: Annotated[
        bool, typer.Option("--json", help="Everything but sealed texts and damaged data, as JSON lines, times in ms")
    ] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """List what was given up: when (UTC), whose, its id, kind, how often it was tried, and why."""
    where = load({"store": store, "data": data, "settings": settings})
    choice = _choice((), whose, kind, last, where)
    # Whoever names a number knows it already.
    shown = str if numbers or choice.msisdn else mask
    found, more = with_store(where, lambda port: _first(port, choice, limit))
    if whole:
        for dead in found:
            print(json.dumps(_for_a_program(dead, shown(dead.msisdn)), ensure_ascii=False))
        return
    rows = [(moment(one.at), shown(one.msisdn), one.id, one.kind, f"{one.attempt}x", one.reason) for one in found]
    for line in columns(rows):
        print(line)
    if not found:
        console().print("Nothing was given up.")
    elif more:
        console().print(f"There are more than these {limit}; --limit says how many are listed.")


@app.command(epilog=examples("ussd-server dead-letters show 5f1c2a9be011-4d"))
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as list prints it")],
    numbers: Annotated[bool, typer.Option("--numbers", help="Show the subscriber's number in full")] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Show all of one dead letter, but for a sealed text or damaged data: they may hold an access code."""
    where = load({"store": store, "data": data, "settings": settings})
    found, _ = with_store(where, lambda port: _first(port, Choice(frozenset((id,))), 1))
    if not found:
        raise Failure(f"{id}: no dead letter has this id")
    facts = _facts(found[0])
    facts["msisdn"] = found[0].msisdn if numbers else mask(found[0].msisdn)
    for line in columns([(name, _plain(value)) for name, value in facts.items()]):
        print(line)


@app.command(
    epilog=examples(
        'ussd-server dead-letters retry 5f1c2a9be011-4d --reason "the SMSC is back"',
        'ussd-server dead-letters retry --all --kind sms --last 2h --reason "the SMSC was away"',
        'ussd-server dead-letters retry --all --subscriber 79101234567 --valid 1h --reason "asked for it"',
    )
)
def retry(
    reason: Reason,
    ids: Ids = None,
    every: All = False,
    whose: Whose = None,
    kind: Kind = None,
    last: Last = None,
    valid: Annotated[
        str | None,
        typer.Option("--valid", metavar="TIME", help="How long an SMS is tried now [the setting sms_validity_hours]"),
    ] = None,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> int:
    """Let it be tried again, from now on and as often as new work. A running server does it within a second.

    It keeps its id: an order is charged once. A code that is not the newest any more is not sent.
    """
    where = load({"store": store, "data": data, "settings": settings})
    choice = _chosen(ids, every, whose, kind, last, where)
    why = _why(reason)
    validity_ms = round(where.sms_validity_hours * HOUR_MS) if valid is None else span("--valid", valid)

    def again(dead: DeadLetter, record: Subscriber, version: int) -> Change | str:
        return dead_letters.refusal(dead, record) or dead_letters.retry(dead, record, version, now(), validity_ms, why)

    return _done("will be tried again", where, choice, again)


@app.command(
    epilog=examples(
        'ussd-server dead-letters discard 5f1c2a9be011-4d --reason "told by phone"',
        'ussd-server dead-letters discard --all --kind sms --reason "nobody waits for them" --yes',
    )
)
def discard(
    reason: Reason,
    ids: Ids = None,
    every: All = False,
    whose: Whose = None,
    kind: Kind = None,
    last: Last = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking")] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> int:
    """Throw it away. The journal keeps that it was there, and why it is gone."""
    where = load({"store": store, "data": data, "settings": settings})
    choice = _chosen(ids, every, whose, kind, last, where)
    why = _why(reason)
    if every and not yes:
        many = with_store(where, lambda port: _count(port, choice))
        what = f"all {many}" if choice == Choice() else f"the {many} that this chooses"
        if many and not confirmed(f"Throw {what} away?"):
            raise Failure("nothing was thrown away")

    def away(dead: DeadLetter, record: Subscriber, version: int) -> Change | str:
        return dead_letters.discard(dead, record, version, now(), why)

    return _done("thrown away", where, choice, away)


# What is meant ----------------------------------------------------------------------------------------------------


def _choice(ids: Sequence[str], whose: str | None, kind: str | None, last: str | None, settings: Settings) -> Choice:
    kinds = get_args(OutboxKind)
    if kind is not None and kind not in kinds:
        raise SettingsError(f"--kind {kind}: there are {', '.join(sorted(kinds))}")
    msisdn = "" if whose is None else subscriber_number(whose, settings)
    since = 0 if last is None else now() - span("--last", last)
    return Choice(frozenset(ids), msisdn, kind or "", since)


def _chosen(
    ids: Sequence[str] | None, every: bool, whose: str | None, kind: str | None, last: str | None, settings: Settings
) -> Choice:
    if bool(ids) == every:
        raise SettingsError("say which: ids, as dead-letters list prints them, or --all with what else chooses them")
    return _choice(ids or (), whose, kind, last, settings)


def _why(reason: str) -> dict[str, Any]:
    if not reason.strip():
        raise SettingsError("--reason: say why; it is kept in the journal")
    return {"by": "support desk", "reason": reason.strip()}


async def _matching(store: StorePort, choice: Choice) -> AsyncIterator[DeadLetter]:
    """Walk over the dead letters that are meant, a subscriber at a time."""
    numbers = [choice.msisdn] if choice.msisdn else await store.given_up("", AT_ONCE)
    while numbers:
        for each in await asyncio.gather(*(store.dead_letters(msisdn) for msisdn in numbers)):
            for dead in filter(choice.takes, each):
                yield dead
        numbers = [] if choice.msisdn else await store.given_up(numbers[-1], AT_ONCE)


async def _first(store: StorePort, choice: Choice, limit: int) -> tuple[list[DeadLetter], bool]:
    """Return so many of them, those given up last and these first, and whether there are more."""
    found: list[DeadLetter] = []
    more = False
    async for dead in _matching(store, choice):
        found.append(dead)
        if len(found) > 2 * limit:  # not all of a million is held
            more, found = True, sorted(found, key=_when, reverse=True)[:limit]
    return sorted(found, key=_when, reverse=True)[:limit], more or len(found) > limit


async def _count(store: StorePort, choice: Choice) -> int:
    return sum([1 async for _ in _matching(store, choice)])


def _when(dead: DeadLetter) -> int:
    return dead.at


# What is done -----------------------------------------------------------------------------------------------------


def _done(done: str, settings: Settings, choice: Choice, action: Action) -> int:
    """Do it to all that are meant, and say what was done; the exit code is 1 where something that was meant was not."""
    ends: Counter[str] = Counter()

    def remark() -> str:
        return f"interrupted: {ends['']} {done}; the same command goes on with the others"

    met = with_store(settings, lambda port: _each(port, choice, action, ends), remark=remark)
    for why, count in sorted(ends.items()):
        console().print(f"{count} {done}." if not why else f"{count} left as it was: {why}.", markup=False)
    missing = sorted(choice.ids - met)
    for id in missing:
        console().print(f"{id}: no dead letter has this id.", markup=False)
    if not ends and not missing:
        console().print("Nothing was given up." if choice == Choice() else "Nothing was given up that this chooses.")
    return EXIT_FAILED if missing or any(ends) else 0


async def _each(store: StorePort, choice: Choice, action: Action, ends: Counter[str]) -> set[str]:
    """Do it to each of them, those of different subscribers at once; return the ids that were met.

    `ends` counts to how many it was done (""), and why not to others.
    """
    chosen: dict[str, list[DeadLetter]] = {}
    async for dead in _matching(store, choice):
        chosen.setdefault(dead.msisdn, []).append(dead)
    waiting = iter(chosen.values())
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal or len(chosen) < AT_ONCE) as bar:
        task = bar.add_task("dead letters", total=len(chosen))

        async def work() -> None:
            for each in waiting:
                for dead in each:  # in the order in which they were given up, which is that of their lanes
                    ends[await _one(store, dead, action)] += 1
                bar.advance(task)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(chosen))):
                group.create_task(work())
    return {dead.id for each in chosen.values() for dead in each}


async def _one(store: StorePort, dead: DeadLetter, action: Action) -> str:
    """Do it to one, and return "", or why it was not done."""
    for _ in range(MAX_CONFLICTS):
        record, version = await store.load(dead.msisdn, latest=True)
        change = action(dead, record, version)
        if isinstance(change, str):
            return change
        if await store.commit(change):
            return ""
        if dead not in await store.dead_letters(dead.msisdn):
            return GONE
    return "the subscriber is being changed all the time; try again"


# What is shown ----------------------------------------------------------------------------------------------------


def _facts(dead: DeadLetter) -> dict[str, Any]:
    return {
        "id": dead.id,
        "msisdn": dead.msisdn,
        "kind": dead.kind,
        "given up": moment(dead.at),
        "tries": dead.attempt,
        "reason": dead.reason,
        "was good until": moment(dead.expires) if dead.expires else "",
        "data": _unsealed(dead),
    }


def _for_a_program(dead: DeadLetter, msisdn: str) -> dict[str, Any]:
    """Return a dead letter with its times in ms; `expires` is 0 where it was good for ever."""
    return {
        "id": dead.id,
        "msisdn": msisdn,
        "kind": dead.kind,
        "at": dead.at,
        "tries": dead.attempt,
        "reason": dead.reason,
        "expires": dead.expires,
        "data": _unsealed(dead),
    }


def _unsealed(dead: DeadLetter) -> dict[str, Any]:
    return {name: f"({name})" if name in HIDDEN else value for name, value in dead.data.items()}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
