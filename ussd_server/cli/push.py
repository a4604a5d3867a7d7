"""`ussd-server push`: call on subscribers who did not dial, with a text or a screen of the flows.

Everything is written into the store, from where any running server with a USSD link sends it.
"""

import asyncio
import re
import secrets
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, cast
from zoneinfo import ZoneInfo

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.progress import Progress

from menus.entries import Category, Push
from menus.flow import Flow
from smpp.alphabets import septets, ucs2_units
from ussd_server.channels.ussd import room, screen
from ussd_server.cli.common import (
    EXIT_FAILED,
    Data,
    Failure,
    Flows,
    SettingsFile,
    Store,
    columns,
    console,
    now,
    span,
    subscriber_number,
)
from ussd_server.cli.epilogs import examples
from ussd_server.cli.flows import read as read_flow
from ussd_server.cli.stores import with_store
from ussd_server.settings import Settings, SettingsError, load
from ussd_server.stores.base import EVIDENCE_ENTRIES, Change
from ussd_server.stores.base import Store as StorePort
from ussd_server.subscribers.record import PushKind
from ussd_server.turns import pushes
from ussd_server.turns.pushes import PushOrder
from ussd_server.turns.quiet import QuietHours

AT_ONCE: Final = 64
"""Numbers that are worked on at once, so that their commits share a write to the disk."""

MAX_CONFLICTS: Final = 8
BAD_LINES: Final = 5
"""Wrong numbers of a file that are named; of the others only how many there are."""

app = typer.Typer(
    name="push",
    no_args_is_help=True,
    help="Call on subscribers who did not dial: show them a text, or open a screen that they answer.",
    rich_markup_mode="rich",
    epilog=examples(
        'ussd-server push notify 79101234567 --text "Your order is ready" --category service',
        "ussd-server push ask --screen tariffs --file numbers.txt --campaign spring",
        "ussd-server push screens",
    ),
)

Numbers: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[MSISDN]...", help="Subscribers, as 79101234567", show_default=False)
]
File: TypeAlias = Annotated[
    str | None, typer.Option("--file", metavar="FILE", help="More subscribers, one a line; - reads standard input")
]
Screen: TypeAlias = Annotated[
    str | None, typer.Option("--screen", metavar="NAME", help="A push of the flows; see: ussd-server push screens")
]
Within: TypeAlias = Annotated[
    str | None,
    typer.Option("--within", metavar="TIME", help="How long it is worth showing, as 10 min [10 min, or the flow's]"),
]
Urgent: TypeAlias = Annotated[bool, typer.Option("--urgent", help="Do not wait for quiet hours to end; for services")]
Campaign: TypeAlias = Annotated[
    str | None,
    typer.Option("--campaign", metavar="NAME", help="A name under which nobody is called on twice, here or again"),
]
Source: TypeAlias = Annotated[
    str | None, typer.Option("--from", metavar="NUMBER", help="The number it comes from [the setting push_source]")
]
Account: TypeAlias = Annotated[
    str | None,
    typer.Option("--account", metavar="URL", help="The SMSC to send by, as smpp://NAME@HOST:PORT [any that is bound]"),
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")]


@app.command(
    epilog=examples(
        'ussd-server push notify 79101234567 --text "Your order is ready" --category service',
        "ussd-server push notify 79101234567 79101234568 --screen balance",
        "cut -d, -f1 customers.csv | ussd-server push notify --file - --text 'Calls are free today' --dry-run",
    )
)
def notify(
    numbers: Numbers = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="What they read")] = None,
    screen: Screen = None,
    file: File = None,
    category: Annotated[
        str | None,
        typer.Option("--category", metavar="service|offer", help="What a text is; an offer needs consent [offer]"),
    ] = None,
    urgent: Urgent = False,
    within: Within = None,
    campaign: Campaign = None,
    source: Source = None,
    account: Account = None,
    dry_run: DryRun = False,
    flows: Flows = None,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> int:
    """Show a text on subscribers' phones, which confirm it. Nobody can answer."""
    where = load({"store": store, "data": data, "settings": settings, "flows": flows})
    flow = read_flow(where)
    if (text is None) == (screen is None):
        raise SettingsError("give either --text or --screen")
    if text is None:
        if category is not None:
            raise SettingsError("--category is for a text; that of a screen stands in the flows")
        order = _of_screen(flow, str(screen), "notify", within, urgent)
    else:
        order = _of_text(text, category, within, urgent, where)
    order = _addressed(order, campaign, source, account)
    return _push(_everybody(numbers, file, where), order, flow, where, dry_run)


@app.command(
    epilog=examples(
        "ussd-server push ask 79101234567 --screen tariffs",
        "ussd-server push ask --screen tariffs --file numbers.txt --campaign spring --within 2h",
    )
)
def ask(
    numbers: Numbers = None,
    screen: Screen = None,
    file: File = None,
    urgent: Urgent = False,
    within: Within = None,
    campaign: Campaign = None,
    source: Source = None,
    account: Account = None,
    dry_run: DryRun = False,
    flows: Flows = None,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> int:
    """Open a screen of the flows on subscribers' phones. An answer goes on as if they had dialled."""
    where = load({"store": store, "data": data, "settings": settings, "flows": flows})
    flow = read_flow(where)
    if screen is None:
        raise SettingsError(f"--screen: say which; there are {_names(flow)}")
    order = _addressed(_of_screen(flow, screen, "ask", within, urgent), campaign, source, account)
    return _push(_everybody(numbers, file, where), order, flow, where, dry_run)


@app.command(epilog=examples("ussd-server push screens", "ussd-server push screens --flows drafts/summer.yaml"))
def screens(flows: Flows = None, settings: SettingsFile = None) -> None:
    """List what the flows allow to be pushed: its name, how, the node it begins at, its category, how long it is good.

    Of one that is for ask or notify the first screen depends on the subscriber, as on whether the service is active.
    """
    flow = read_flow(load({"flows": flows, "settings": settings}))
    rows = [
        (
            one.name,
            " or ".join(_kinds(one)),
            one.node,
            one.category + (", urgent" if one.urgent else ""),
            f"within {one.within_ms // 1000} s",
        )
        for one in flow.pushes.values()
    ]
    for line in columns(rows):
        print(line)


# What is pushed ---------------------------------------------------------------------------------------------------


def _of_screen(flow: Flow, name: str, kind: PushKind, within: str | None, urgent: bool) -> PushOrder:
    entry = flow.pushes.get(name)
    if entry is None:
        raise SettingsError(f"--screen {name}: {flow.name} declares no such push; there are {_names(flow)}")
    if kind not in _kinds(entry):
        why = "it closes at once, so nobody could answer" if kind == "ask" else "it waits for an answer"
        raise SettingsError(f"--screen {name}: {why}; give: ussd-server push {' or '.join(_kinds(entry))}")
    if urgent and entry.category == "offer":
        raise SettingsError(f"--urgent: {name} is an offer, and quiet hours hold for offers")
    worth_ms = entry.within_ms if within is None else span("--within", within)
    return PushOrder(worth_ms, kind, screen=name, category=entry.category, urgent=urgent or entry.urgent)


def _kinds(push: Push) -> list[PushKind]:
    """Return how a screen of the flows may be pushed."""
    kinds: dict[PushKind, bool] = {"ask": push.asks, "notify": push.tells}
    return [kind for kind, may in kinds.items() if may]


def _of_text(text: str, category: str | None, within: str | None, urgent: bool, settings: Settings) -> PushOrder:
    if not text.strip():
        raise SettingsError("--text: there is nothing to read")
    if category not in (None, "service", "offer"):
        raise SettingsError(f"--category {category}: it is service or offer")
    chosen: Category = cast(Category, category or "offer")
    if urgent and chosen == "offer":
        raise SettingsError("--urgent: quiet hours hold for offers; what a subscriber asked for is --category service")
    dialects = [url.dialect for url in settings.smsc]
    septet_limit, ucs2_limit = room(settings.ussd_septets, settings.ussd_ucs2_units, dialects)
    channel = screen(septet_limit, ucs2_limit)
    if channel.fits is not None and not channel.fits(text):
        used = septets(text)
        measured = (
            f"{ucs2_units(text)} UCS-2 units, and a screen holds {ucs2_limit}"
            if used is None
            else f"{used} septets, and a screen holds {septet_limit}"
        )
        raise SettingsError(f"--text: it takes {measured}")
    worth_ms = span("--within", "10 min" if within is None else within)
    return PushOrder(worth_ms, "notify", text=text, category=chosen, urgent=urgent)


def _addressed(order: PushOrder, campaign: str | None, source: str | None, account: str | None) -> PushOrder:
    """Add by which way it goes. `until` is a span as yet: the time runs from when each number is queued."""
    if source is not None and not re.fullmatch(r"[0-9]{1,15}", source):
        raise SettingsError(f"--from {source}: a USSD number is 1 to 15 digits")
    if campaign is not None and not re.fullmatch(r"[\w.-]{1,40}", campaign):
        raise SettingsError(f"--campaign {campaign}: 1 to 40 letters, digits, . _ and -")
    return replace(order, account=account or "", source=source or "", campaign=campaign or "")


def _names(flow: Flow) -> str:
    return ", ".join(flow.pushes) or "none: an entry declares one, {push: NAME, to: NODE}"


# To whom ----------------------------------------------------------------------------------------------------------


def _everybody(numbers: Sequence[str] | None, file: str | None, settings: Settings) -> list[str]:
    """Return each number once. Raises SettingsError before anything is done, where one of them is none."""
    found = [subscriber_number(text, settings) for text in numbers or ()]
    wrong: list[str] = []
    for line, text in _lines(file) if file is not None else ():
        try:
            found.append(subscriber_number(text, settings))
        except SettingsError as error:
            wrong.append(f"{file}:{line}: {error}")
    if wrong:
        more = f"; and {len(wrong) - BAD_LINES} more" if len(wrong) > BAD_LINES else ""
        raise SettingsError(f"{'; '.join(wrong[:BAD_LINES])}{more}. Nothing was queued")
    if not found:
        raise SettingsError("nobody to call on: give numbers, or --file with one a line")
    return list(dict.fromkeys(found))


def _lines(file: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, by number; what follows a # does not."""
    try:
        content = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"--file {file}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"--file {file}: the file cannot be read: it is not UTF-8") from None
    for number, line in enumerate(content.splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            yield number, text


# Into the store ---------------------------------------------------------------------------------------------------

Fate: TypeAlias = Literal["queued", "no consent", "already"]
FATES: Final[tuple[Fate, ...]] = ("queued", "no consent", "already")
MEANING: Final = {
    "queued": "",
    "no consent": "they have not agreed to offers",
    "already": "called on by this campaign before",
}


@dataclass
class _Way:
    """How far it is: what became of how many numbers, and how many are worked on, of which nobody knows it yet."""

    fates: Counter[Fate] = field(default_factory=Counter)
    under_way: int = 0


def _push(numbers: list[str], order: PushOrder, flow: Flow, settings: Settings, dry_run: bool) -> int:
    way = _Way()

    def remark() -> str:
        return _interrupted(way, len(numbers), order, dry_run)

    with_store(settings, lambda store: _queue_all(store, numbers, order, dry_run, way), remark=remark)
    fates = way.fates
    rows = [(("would be " if dry_run and fate == "queued" else "") + fate, str(fates[fate])) for fate in FATES]
    for (name, amount), fate in zip(rows, FATES, strict=True):
        if fates[fate] or fate == "queued":
            console().print(f"{name:<16}{amount:>8}  {MEANING[fate]}".rstrip())
    if fates["queued"]:
        console().print(_when(order, flow, settings))
        takes = fates["queued"] / settings.push_rate
        if takes * 1000 > order.until:
            console().print(
                f"At {settings.push_rate:g} a second they take one server {takes:.0f} s: give a longer --within, "
                "or the last of them expire."
            )
        return 0
    return EXIT_FAILED


def _interrupted(way: _Way, of: int, order: PushOrder, dry_run: bool) -> str:
    """Say how far it came, and whether the same command goes on or calls on people anew."""
    far = f"interrupted after {way.fates.total()} of {of} numbers"
    if dry_run:
        return f"{far}; nothing was queued"
    if order.campaign:
        return f"{far}; the same command goes on, and calls on nobody twice"
    queued = f"{way.fates['queued']} queued" + (f" and perhaps {way.under_way} more" if way.under_way else "")
    return f"{far}, {queued}; the same command would queue them again, only one with --campaign goes on"


def _when(order: PushOrder, flow: Flow, settings: Settings) -> str:
    """Say when it will be sent, and until when."""
    at = now()
    zone = ZoneInfo(settings.quiet_timezone or flow.style.timezone)
    until = datetime.fromtimestamp((at + order.until) / 1000, zone).strftime("%H:%M on %d.%m. (%Z)")
    quiet = None if order.urgent else QuietHours.parse(settings.quiet_hours, zone).end(at)
    if quiet is None:
        return f"Any running server with a USSD link sends it, until {until}."
    ends = datetime.fromtimestamp(quiet / 1000, zone).strftime("%H:%M")
    if quiet >= at + order.until:
        return f"It will expire at {until}: quiet hours last until {ends}. A longer --within outlasts them."
    return f"Quiet hours last until {ends}; then any running server with a USSD link sends it, until {until}."


async def _queue_all(store: StorePort, numbers: list[str], order: PushOrder, dry_run: bool, way: _Way) -> None:
    """Queue for each number, many at once, and count what became of them; a bar is shown where somebody watches.

    Where it is cancelled it begins with no other number, and ends when those under way are counted, or at once where it
    is cancelled again.
    """
    run, waiting = secrets.token_hex(6), deque(enumerate(numbers, 1))
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal or len(numbers) < AT_ONCE) as bar:
        task = bar.add_task("queueing", total=len(numbers))

        async def work() -> None:
            while waiting:
                index, number = waiting.popleft()
                way.under_way += 1
                way.fates[await _queue(store, number, order, f"push-{run}-{index:x}", dry_run)] += 1
                way.under_way -= 1
                bar.advance(task)

        async def work_at_once() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(numbers))):
                    group.create_task(work())

        queueing = asyncio.create_task(work_at_once())
        try:
            await asyncio.shield(queueing)
        except asyncio.CancelledError:
            # A commit that was given to the store is written, whether somebody waits for it or not.
            waiting.clear()
            await queueing
            raise


async def _queue(store: StorePort, msisdn: str, order: PushOrder, id: str, dry_run: bool) -> Fate:
    for _ in range(MAX_CONFLICTS):
        record, version = await store.load(msisdn, latest=True)
        if order.campaign:
            known = await store.journal(msisdn, pushes.CAMPAIGN_QUEUED, EVIDENCE_ENTRIES)
            if any(entry.data.get("campaign") == order.campaign for entry in known):
                return "already"
        at = now()
        timed = pushes.timed(order, at)
        queued = pushes.queue(record, timed, id, at, at)
        if queued is None:
            return "no consent"
        if dry_run or await store.commit(Change(version, record, queued.journal, queued.outbox)):
            return "queued"
    raise Failure(f"{msisdn}: the subscriber is being changed all the time; try again")
