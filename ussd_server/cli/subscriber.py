"""`ussd-server subscriber`: the support desk. Why was somebody refused; unlock, with a reason that is kept."""

import json
from typing import Annotated

import typer
from msgspec.structs import replace

from ussd_server.cli.common import Data, Failure, Msisdn, SettingsFile, Store, columns, confirmed, console, moment, now
from ussd_server.cli.common import subscriber_number as number
from ussd_server.cli.epilogs import examples
from ussd_server.cli.journal import readable
from ussd_server.cli.lost_keys import Shut, shut
from ussd_server.cli.stores import with_store
from ussd_server.settings import Settings, SettingsError, load
from ussd_server.stores.base import Change, JournalEntry
from ussd_server.stores.base import Store as StorePort
from ussd_server.subscribers import codes
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns import pushes

MAX_CONFLICTS = 8
MAX_ENTRIES = 10_000

app = typer.Typer(
    name="subscriber",
    no_args_is_help=True,
    help="The support desk: one subscriber at a time.",
    rich_markup_mode="rich",
    epilog=examples(
        "ussd-server subscriber show 79101234567",
        'ussd-server subscriber unlock 79101234567 --reason "called, proved who she is"',
        "ussd-server subscriber journal 79101234567",
        'ussd-server subscriber offers 79101234567 no --reason "called, wants none"',
    ),
)


@app.command(epilog=examples("ussd-server subscriber show 79101234567"))
def show(msisdn: Msisdn, store: Store = None, data: Data = None, settings: SettingsFile = None) -> None:
    """Show what is known of a subscriber, and whether and why access is closed. Never the code itself."""
    where = load({"store": store, "data": data, "settings": settings})
    who = number(msisdn, where)
    record, noted = with_store(where, lambda port: _known(port, who))
    for line in columns(_facts(record, where, noted)):
        print(line)


@app.command(epilog=examples('ussd-server subscriber unlock 79101234567 --reason "called, proved who she is"'))
def unlock(
    msisdn: Msisdn,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the journal.")],
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Open access again after three wrong codes, before the 24 hours are over. The code stays the same."""
    where = load({"store": store, "data": data, "settings": settings})
    who = number(msisdn, where)
    if not reason.strip():
        raise SettingsError("--reason: say why; it is kept in the journal")
    unlocked = with_store(where, lambda port: _unlock(port, who, reason.strip()))
    if unlocked is None:
        console().print(f"{who}: access was not closed. Nothing was changed.")
    else:
        console().print(f"{who}: access is open, {_of_the_code(_shut(*unlocked, where))}.")


@app.command(
    epilog=examples(
        "ussd-server subscriber journal 79101234567",
        "ussd-server subscriber journal 79101234567 --kind unlocked",
        "ussd-server subscriber journal 79101234567 --json",
    )
)
def journal(
    msisdn: Msisdn,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only entries of this kind")] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", min=1, max=MAX_ENTRIES, help="At most so many entries")
    ] = 100,
    whole: Annotated[bool, typer.Option("--json", help="Everything that is kept, a JSON object a line")] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """List what happened to a subscriber, newest first: time (UTC), kind, and what matters of it."""
    where = load({"store": store, "data": data, "settings": settings})
    who = number(msisdn, where)
    entries = with_store(where, lambda port: port.journal(who, kind, limit))
    if not entries:
        there = {entry.kind for entry in with_store(where, lambda port: port.journal(who, None, MAX_ENTRIES))}
        if kind is None or not there:
            raise Failure(f"{who}: the journal has nothing of this subscriber")
        raise Failure(f"{who}: the journal has no {kind!r}; it has {', '.join(sorted(there))}")
    if whole:
        for entry in entries:
            print(json.dumps({"at": entry.at, "kind": entry.kind, "data": entry.data}, ensure_ascii=False))
        return
    for line in columns([(moment(entry.at), entry.kind, readable(entry)) for entry in entries]):
        print(line)


@app.command(epilog=examples("ussd-server subscriber forget 79101234567 --yes"))
def forget(
    msisdn: Msisdn,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking")] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Delete all that is known of a subscriber: record, journal, and what was still to be done."""
    where = load({"store": store, "data": data, "settings": settings})
    who = number(msisdn, where)
    if not yes and not confirmed(f"Delete all that is known of {who}?"):
        raise Failure("nothing was deleted")
    if not with_store(where, lambda port: port.forget(who)):
        raise Failure(f"{who}: nothing is known of this subscriber")
    console().print(f"{who}: forgotten.")


@app.command(
    epilog=examples(
        'ussd-server subscriber offers 79101234567 no --reason "called, wants none"',
        'ussd-server subscriber offers 79101234567 yes --reason "asked for them in the shop"',
    )
)
def offers(
    msisdn: Msisdn,
    wanted: Annotated[str, typer.Argument(metavar="yes|no", help="Whether they agree to be sent offers")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the journal.")],
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Note that a subscriber agrees to be sent offers, or wants none. A no also stops what is queued already."""
    where = load({"store": store, "data": data, "settings": settings})
    who = number(msisdn, where)
    if wanted not in ("yes", "no"):
        raise SettingsError(f"{wanted}: it is yes or no")
    if not reason.strip():
        raise SettingsError("--reason: say why; it is kept in the journal")
    changed = with_store(where, lambda port: _offers(port, who, wanted == "yes", reason.strip()))
    state = "agrees to be sent offers" if wanted == "yes" else "is sent no offers"
    console().print(f"{who}: {state}.{'' if changed else ' So it was before; nothing was changed.'}")


async def _offers(store: StorePort, msisdn: str, wants: bool, reason: str) -> bool:
    for _ in range(MAX_CONFLICTS):
        record, version = await store.load(msisdn, latest=True)
        if pushes.consents(record, "offer") == wants:
            return False
        changed, note = pushes.with_consent(record, wants, "support desk", now(), reason)
        if await store.commit(Change(version, changed, journal=(note,))):
            return True
    raise Failure(f"{msisdn}: the subscriber is being changed all the time; try again")


async def _known(store: StorePort, msisdn: str) -> tuple[Subscriber, str]:
    """Return the record, and what the store remembers of its servers' keys. Raises Failure where there is none."""
    record, version = await store.load(msisdn)
    if version == 0:
        raise Failure(f"{msisdn}: nothing is known of this subscriber")
    return record, await store.noted_keys()


async def _unlock(store: StorePort, msisdn: str, reason: str) -> tuple[Subscriber, str] | None:
    """Return the record that was unlocked, and what the store remembers of its servers' keys; None where it was open.

    That is read before anything is changed: whoever reads that it failed gives the command again.
    """
    noted = await store.noted_keys()
    for _ in range(MAX_CONFLICTS):
        record, version = await store.load(msisdn)
        if version == 0:
            raise Failure(f"{msisdn}: nothing is known of this subscriber")
        at = now()
        if not codes.locked_until(record.access, at):
            return None
        opened = replace(record, access=codes.unlock(record.access, at))
        entry = JournalEntry(at, "unlocked", {"by": "support desk", "reason": reason})
        if await store.commit(Change(version, opened, journal=(entry,))):
            return opened, noted
    raise Failure(f"{msisdn}: the subscriber is being changed all the time; try again")


def _facts(record: Subscriber, settings: Settings, noted: str) -> list[tuple[str, str]]:
    access, at = record.access, now()
    policy = codes.Policy(digits=settings.code_digits, max_age_ms=settings.code_max_age_days * codes.DAY_MS)
    closed = codes.locked_until(access, at)
    return [
        ("number", record.msisdn),
        ("service", f"active since {moment(record.activated_at)}" if record.active else "not active"),
        ("language", record.language or "(the service's first)"),
        ("offers", f"agreed to on {moment(record.offers_at)}" if record.offers_at else "not agreed to"),
        ("push", f"{record.push.kind}, until {moment(record.push.until)}" if record.push else "none under way"),
        ("access", f"closed until {moment(closed)} after {codes.MAX_WRONG} wrong codes" if closed else "open"),
        ("code", _code(access, codes.condition(access, at, policy), _shut(record, noted, settings))),
        ("wrong codes", f"{access.wrong} in a row, {access.wrong_in_life} for this code"),
        ("sessions", ", ".join(f"{name}: {each.node}" for name, each in sorted(record.sessions.items())) or "none"),
        ("orders", ", ".join(f"{each.id}: {each.node}" for each in record.pending.values()) or "none under way"),
    ]


def _code(access: codes.Access, condition: str, unopened: Shut | None) -> str:
    if access.sealed is None:
        return condition
    return f"{condition}, issued {moment(access.issued_at)}" + (f", but {unopened.why}" if unopened else "")


def _of_the_code(unopened: Shut | None) -> str:
    """Return what is said of the code of whom access is open for again."""
    if unopened is None:
        return "the old code works again"
    if unopened.lost:
        return f"but a new code is to be ordered: {unopened.why}"
    return f"the old code works again at servers that have its key: {unopened.why}"


def _shut(record: Subscriber, noted: str, settings: Settings) -> Shut | None:
    """Return why the code cannot be checked here; None where it can be, or there is none."""
    sealed = record.access.sealed
    return shut(settings, sealed.kid, noted) if sealed is not None else None
