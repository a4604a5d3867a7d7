"""`ussd-server store`: all that a store has is moved to another, and what two stores have is compared."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cache
from typing import Annotated, TypeAlias, TypeVar

import typer

from ussd_server import store_url
from ussd_server.cli.common import EXIT_FAILED, Failure, columns, confirmed, console, now, warn
from ussd_server.cli.epilogs import examples, store_options
from ussd_server.cli.process import run_unless_interrupted
from ussd_server.cli.progress import progress
from ussd_server.cli.stores import warn_unseen
from ussd_server.settings import SettingsError
from ussd_server.store_url import StoreUrl
from ussd_server.stores.base import NoStore, Store
from ussd_server.stores.copying import Copied, Copier, Moved, Sum, Walk
from ussd_server.stores.moving import AlreadyMoved, goes_away, leave_unfinished
from ussd_server.stores.moving import reopen as reopen_store
from ussd_server.stores.opening import open_store

T = TypeVar("T")

app = typer.Typer(
    name="store",
    no_args_is_help=True,
    help="Move all that a store has to another one, of whatever kind.",
    rich_markup_mode="rich",
    epilog=examples(
        "ussd-server store copy sqlite:///var/ussd-server.db redis://127.0.0.1:6379/0",
        "ussd-server store compare sqlite:///var/ussd-server.db redis://127.0.0.1:6379/0",
        "ussd-server store reopen sqlite:///var/ussd-server.db",
    ),
)

Source: TypeAlias = Annotated[str, typer.Argument(metavar="FROM", help="The store that has it, as in --store")]
Target: TypeAlias = Annotated[str, typer.Argument(metavar="TO", help="The store that is to have it")]


@app.command(
    epilog=examples(
        "ussd-server store copy sqlite:///var/ussd-server.db redis://127.0.0.1:6379/0",
        "ussd-server store copy sqlite:///var/ussd-server.db redis://127.0.0.1:6379/0 --while-running",
        "ussd-server store copy redis://127.0.0.1:6379/0 sqlite:///var/ussd-server.db",
        "ussd-server store copy sqlite:///var/ussd-server.db 'rediss://redis.example/0?ca_file=/etc/redis/ca.pem'",
    )
    + store_options()
)
def copy(
    source: Source,
    target: Target,
    into_nonempty: Annotated[
        bool,
        typer.Option("--into-nonempty", help="Add to what TO has; a subscriber that both have becomes as in FROM"),
    ] = False,
    while_running: Annotated[
        bool,
        typer.Option("--while-running", help="Copy what there is while servers run on FROM; ends without comparing"),
    ] = False,
    require_durable: Annotated[
        bool,
        typer.Option(
            "--require-durable", help="Refuse where TO could lose what it was given, as a Redis may be set up"
        ),
    ] = False,
) -> None:
    """Copy all that FROM has into TO, and compare until nothing differs. Stop the servers of FROM first.

    TO is made if need be. Interrupted or killed, the same command goes on. No server serves from TO until it has ended,
    nor from FROM any more, unless that is given back with: ussd-server store reopen FROM
    """
    whence, to = _two(source, target)

    async def free_to_go(here: Store) -> None:
        await goes_away(here, whence.known_as, to.known_as)
        users = await here.in_use()
        if users and not while_running:
            raise Failure(
                f"{whence} is in use by {users}: stop the servers that run on it, or copy what there is with "
                "--while-running and the rest after they were stopped"
            )

    async def work(here: Store, there: Store, moved: Moved) -> Copied | Walk:
        for risk in await there.risks():
            warn(f"{to} may lose what it acknowledged: {risk}")
        copier = Copier(here, there, whence.known_as, to.known_as, now(), moved, cache(warn_unseen))
        went_on = await copier.begin(into_nonempty)
        if copier.relisted:
            warn(f"{whence} had {copier.relisted} subscribers in no list; they are listed again, and copied")
        return await copier.seed() if while_running else await copier.copy(went_on)

    back = f"ussd-server store reopen {shlex.quote(str(whence))}"
    remark = "interrupted; the same command goes on where it stopped"
    if not while_running:
        remark += f", and to give it up: {back}"
    try:
        done = _with_both(whence, to, work, remark, make=free_to_go, require_durable=require_durable)
    except AlreadyMoved as ended:  # as where the command was killed at its very end
        console().print(f"{ended}. Nothing was to be done.", markup=False)
        return
    _tell(done, whence, to, _options(target), back)


def _tell(done: Copied | Walk, whence: StoreUrl, to: StoreUrl, options: str, back: str) -> None:
    """Say what was copied, and what is to be done now; `back` is the command that goes back to FROM."""
    out = console()
    if isinstance(done, Walk):
        out.print(f"Copied what differed ({done.differing} records). The rest goes quicker:")
        out.print(f"stop the servers of {whence}, and give the same command without --while-running.")
        return
    if done.changed:
        out.print(f"{whence} changed meanwhile, as servers still ran on it: {done.changed} records were copied again.")
    _show(done.last.source, done.last.target)
    verb = "Went on with the copy" if done.went_on else "Copied"
    out.print(f"{whence} takes no changes any more; to go back to it: {back}", markup=False)
    start = f"Start the servers with --store {shlex.quote(str(to))}{options}"
    out.print(f"{verb}: {done.written} records written, and nothing differs. {start}")


@app.command(epilog=examples("ussd-server store compare sqlite:///old.db redis://127.0.0.1:6379/0"))
def compare(source: Source, target: Target) -> int:
    """Say whether TO has just what FROM has. Nothing is written; exit code 1 where they differ."""
    whence, to = _two(source, target)

    async def work(here: Store, there: Store, moved: Moved) -> Walk:
        return await Copier(here, there, str(whence), str(to), now(), moved).compare()

    walk = _with_both(whence, to, work, "interrupted")
    _show(walk.source, walk.target)
    if not walk.differing:
        console().print("Nothing differs.")
        return 0
    for line in walk.named:
        console().print(line, markup=False)
    console().print(f"{walk.differing} differ." if walk.differing > 1 else "1 differs.")
    return EXIT_FAILED


@app.command(epilog=examples("ussd-server store reopen sqlite:///var/ussd-server.db"))
def reopen(
    store: Annotated[str, typer.Argument(metavar="STORE", help="FROM of a copy; with --unfinished its TO")],
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Serve from TO of a copy that is not seen to its end, with what is there"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --unfinished: do it without asking")] = False,
) -> None:
    """Let servers run on FROM again, as it was when they were stopped: to give up a copy, or to go back after one.

    What servers that run on TO have written since is not in it. With --unfinished it is TO of a copy that has not ended
    on which servers may run, with as much of FROM as it has by now: it asks first where it cannot tell who uses TO.
    """
    url = _parsed("STORE", store)
    unseen, work = cache(warn_unseen), leave_unfinished if unfinished else reopen_store
    if unfinished and not yes and _at(url, _is_unseen):
        unseen(str(url))
        if not confirmed(f"Is it sure that nothing runs on {url}?"):
            raise Failure("nothing was changed")
    other = _at(url, lambda here: work(here, str(url), unseen))
    if not other:
        console().print(
            f"{url} was not being {'copied into' if unfinished else 'moved'}: servers may run on it.", markup=False
        )
    elif unfinished:
        console().print(f"Servers may run on {url}, with as much of {other} as was copied until now.", markup=False)
    else:
        console().print(f"Servers may run on {url} again. What was written in {other} is not in it.", markup=False)


async def _is_unseen(store: Store) -> bool:
    """Return whether a store is marked, and nobody can tell who has it open."""
    return bool(await store.mark()) and await store.in_use() is None


def _at(url: StoreUrl, work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what the work returns, on a store that is there, marked or not. Raises SettingsError where it is not."""

    async def within() -> T:
        here = await open_store(url, False)
        try:
            return await work(here)
        finally:
            await here.close()

    try:
        return asyncio.run(within())
    except NoStore as error:
        raise SettingsError(str(error)) from None


def _options(target: str) -> str:
    """Say that a URL's options belong to it, of which only the prefix is shown: one may name a password's file."""
    others = [
        option for option in target.partition("?")[2].split("&") if option.partition("=")[0] not in ("", "prefix")
    ]
    return ", with what else stands behind its ?" if others else ""


def _two(source: str, target: str) -> tuple[StoreUrl, StoreUrl]:
    """Return both as stores. Raises SettingsError where one is none, or they are the same."""
    whence, to = _parsed("FROM", source), _parsed("TO", target)
    if whence.known_as == to.known_as:
        raise SettingsError(f"FROM and TO are the same store, {whence}")
    return whence, to


def _parsed(name: str, text: str) -> StoreUrl:
    """Return the store of this URL. Raises SettingsError where it is none."""
    try:
        return store_url.parse(text)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None


def _with_both(
    source: StoreUrl,
    target: StoreUrl,
    work: Callable[[Store, Store, Moved], Awaitable[T]],
    remark: str,
    make: Callable[[Store], Awaitable[None]] | None = None,
    require_durable: bool = False,
) -> T:
    """Open both, do the work and show how far it is; `remark` is said of one that is interrupted.

    TO is made only where `make` has let FROM pass.
    With `require_durable` a TO that could lose anything is refused before anything is written.
    """

    async def within() -> T:
        async with AsyncExitStack() as opened:

            async def opening(url: StoreUrl, made: bool, durable: bool = False) -> Store:
                store = await open_store(url, made, durable)
                opened.push_async_callback(store.close)
                return store

            here = await opening(source, False)
            if make is not None:
                await make(here)
            there = await opening(target, make is not None, require_durable)
            with progress(await here.count_subscribers()) as moved:
                return await work(here, there, moved)

    try:
        return run_unless_interrupted(within(), lambda: remark)
    except NoStore as error:
        raise SettingsError(str(error)) from None


def _show(source: Sum, target: Sum) -> None:
    rows = [("", "FROM", "TO")]
    for kind in dict.fromkeys(("subscribers", *source.counts, *target.counts)):
        rows.append((kind, str(source.counts[kind]), str(target.counts[kind])))
    rows.append(("digest", str(source), str(target)))
    for line in columns(rows):
        print(line)
