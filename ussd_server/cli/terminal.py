"""`ussd-server terminal`: who may be a terminal. Every change holds from the next request on, without a restart."""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import nacl.utils
import structlog
import typer
from nacl.signing import SigningKey
from rich.markup import escape

from ussd_server import log as logs
from ussd_server.cli.common import Data, Failure, SettingsFile, Store, columns, console, moment, now
from ussd_server.cli.epilogs import examples
from ussd_server.cli.lost_keys import no_keys
from ussd_server.cli.stores import with_store
from ussd_server.secrecy.keys import FILE_NAME, Public
from ussd_server.secrecy.keys import load as load_keys
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import Settings, SettingsError, colours, load
from ussd_server.stores.base import Store as StorePort
from ussd_server.terminals import budgets, credentials, registry
from ussd_server.terminals.credentials import Credentials, CredentialsError
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.registry import Malformed, Refused, Wanted

log = structlog.get_logger()

app = typer.Typer(
    name="terminal",
    no_args_is_help=True,
    help="Payment terminals, or gateways of terminal networks: who may ask for something in a subscriber's name.",
    rich_markup_mode="rich",
    epilog=examples(
        'ussd-server terminal add hall-1 --name "Main hall" --generate hall-1.json',
        "ussd-server terminal list",
        "ussd-server terminal set hall-1 --orders-per-hour 200",
        'ussd-server terminal quarantine hall-1 --reason "found open"',
        "ussd-server terminal revoke hall-1",
    ),
)

NAME_HELP: Final = "How people know it; it stands in SMS about a lock"
WRONG_HELP: Final = "Wrong entries in an hour that quarantine it"
ORDERS_HELP: Final = "Codes that it may order in an hour"

Id: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="The terminal: 1 to 32 of a-z, 0-9 and -")]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the terminal")]


@app.command(
    epilog=examples(
        'ussd-server terminal add hall-1 --name "Main hall" --generate hall-1.json',
        "ussd-server terminal add hall-1 --key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    )
)
def add(
    id: Id,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help=f"{NAME_HELP} [ID]")] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="BASE64", help="Its Ed25519 public key, 32 octets in base64")
    ] = None,
    generate: Annotated[
        Path | None,
        typer.Option("--generate", metavar="FILE", help="Make its key, and write all that it needs into this new file"),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--terminal-url", metavar="URL", help="Where it reaches the server; written into FILE")
    ] = None,
    wrong_per_hour: Annotated[
        int | None, typer.Option("--wrong-per-hour", metavar="NUMBER", help=f"{WRONG_HELP} [20]", min=1)
    ] = None,
    orders_per_hour: Annotated[
        int | None, typer.Option("--orders-per-hour", metavar="NUMBER", help=f"{ORDERS_HELP} [60]", min=1)
    ] = None,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Add a terminal, or one more key to it: both keys work until the old one is removed with `terminal revoke`.

    The key that signs is best made where it is used, and only its public half told here (--key). Where it is made here
    (--generate), move FILE to the terminal and keep no copy: whoever has it is the terminal.
    """
    where = _settings(store, data, settings, url)
    wanted = Wanted(name, wrong_per_hour, orders_per_hour)
    pinned = _signing_keys(where)
    if (key is None) == (generate is None):
        raise SettingsError("give the terminal's public key with --key, or have one made with --generate FILE")
    if key is not None:
        added = _register(where, id, _public(key), wanted)
    else:
        assert generate is not None
        added = _generate(where, id, generate, pinned, wanted)
    log.info("terminal key added", terminal=id, key_id=added)
    out = console()
    out.print(f"{id} may sign as keyid [bold]{id}/{added}[/] from now on.")
    if generate is not None:
        out.print(f"Its key is in {escape(str(generate))}: move the file to the terminal, and keep no copy.")
        return
    for each in pinned:
        state = "" if each.current else " (an older one)"
        out.print(f"It believes answers signed by {each.id} {base64.b64encode(each.octets).decode()}{state}")


@app.command("list", epilog=examples("ussd-server terminal list"))
def list_(store: Store = None, data: Data = None, settings: SettingsFile = None) -> None:
    """List the terminals: id, name, standing and since when (UTC), key ids, use of its budgets this hour, reason."""
    where = _settings(store, data, settings)
    rows = [
        (
            each.id,
            each.name,
            each.standing,
            moment(each.since or each.added_at),
            ",".join(key.id for key in each.keys) or "-",
            f"{wrong}/{each.wrong_an_hour}",
            f"{orders}/{each.orders_an_hour}",
            each.reason,
        )
        for each in with_store(where, lambda port: port.terminals())
        for wrong, orders in [budgets.used(each, now())]
    ]
    for line in columns([("ID", "NAME", "STANDING", "SINCE", "KEYS", "WRONG", "ORDERS", "REASON"), *rows]):
        print(line)


@app.command(
    "set",
    epilog=examples(
        "ussd-server terminal set hall-1 --orders-per-hour 200",
        "ussd-server terminal set hall-1 --wrong-per-hour 10 --orders-per-hour 30",
        'ussd-server terminal set hall-1 --name "Main hall, east door"',
    ),
)
def set_(
    id: Id,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help=NAME_HELP)] = None,
    wrong_per_hour: Annotated[
        int | None, typer.Option("--wrong-per-hour", metavar="NUMBER", help=WRONG_HELP, min=1)
    ] = None,
    orders_per_hour: Annotated[
        int | None, typer.Option("--orders-per-hour", metavar="NUMBER", help=ORDERS_HELP, min=1)
    ] = None,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Change a terminal's name or budgets; its keys, its standing and what it used of this hour stay.

    What is not said stays as it is. A budget of wrong entries that this hour has used up already quarantines it.
    """
    where = _settings(store, data, settings)
    wanted = Wanted(name, wrong_per_hour, orders_per_hour)
    if wanted == Wanted():
        raise SettingsError("say what to change: --name TEXT, --wrong-per-hour NUMBER, --orders-per-hour NUMBER")
    at = now()
    now_is = _change(where, id, lambda terminal: registry.adjust(terminal, wanted, at))
    budget = {"wrong_an_hour": now_is.wrong_an_hour, "orders_an_hour": now_is.orders_an_hour}
    log.info("terminal changed", terminal=id, name=now_is.name, **budget)
    out = console()
    out.print(
        f"{id}, {now_is.name}: {now_is.wrong_an_hour} (wrong entries) and {now_is.orders_an_hour} (orders of codes) "
        "are its budgets of an hour, from its next request on.",
        markup=False,
    )
    if now_is.standing == "quarantined":
        if now_is.since == at:
            log.info("terminal quarantined", terminal=id, reason=now_is.reason)
        out.print(
            f"It is quarantined ({now_is.reason}); let it work again with: ussd-server terminal quarantine {id} --lift",
            markup=False,
        )


@app.command(
    epilog=examples(
        'ussd-server terminal revoke hall-1 --reason "stolen"', "ussd-server terminal revoke hall-1 --key 5f0c9a1e"
    )
)
def revoke(
    id: Id,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEYID", help="Only this key, which the terminal no longer uses [all keys]"),
    ] = None,
    reason: Reason = "",
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Take a terminal's keys away: it is gone for good, until a new key is added. For one that was lost or stolen."""
    where = _settings(store, data, settings)
    if key is not None:
        kid = key.removeprefix(f"{id}/")
        _change(where, id, lambda terminal: registry.remove_key(terminal, kid))
        log.info("terminal key removed", terminal=id, key_id=kid)
        console().print(f"{id}: nothing that the key {kid} signs is taken any more.")
        return
    _change(where, id, lambda terminal: registry.revoke(terminal, reason, now()))
    log.info("terminal revoked", terminal=id, reason=reason)
    console().print(f"{id} is revoked: nothing that it signs is taken any more.")


@app.command(
    epilog=examples(
        'ussd-server terminal quarantine hall-1 --reason "found open"', "ussd-server terminal quarantine hall-1 --lift"
    )
)
def quarantine(
    id: Id,
    reason: Reason = "",
    lift: Annotated[
        bool, typer.Option("--lift", help="Let it work again; its count of wrong entries begins anew")
    ] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Refuse a terminal until it was looked into; its keys stay. Too many wrong entries do the same by themselves."""
    where = _settings(store, data, settings)
    if lift == bool(reason):
        raise SettingsError("say why with --reason TEXT, or let it work again with --lift")
    if lift:
        _change(where, id, lambda terminal: registry.lift(terminal, now()))
        log.info("terminal quarantine lifted", terminal=id)
        console().print(f"{id} may work again.")
        return
    _change(where, id, lambda terminal: registry.quarantine(terminal, reason, now()))
    log.info("terminal quarantined", terminal=id, reason=reason)
    console().print(f"{id} is quarantined; let it work again with: ussd-server terminal quarantine {id} --lift")


def _settings(store: str | None, data: str | None, settings: Path | None, url: str | None = None) -> Settings:
    """Return the settings; what is changed is logged as the server logs it, on standard error."""
    where = load({"store": store, "data": data, "settings": settings, "terminal_url": url})
    logs.configure(where.log_level, where.log_format, colours=colours())
    return where


def _generate(where: Settings, id: str, path: Path, pinned: tuple[Public, ...], wanted: Wanted) -> str:
    """Write the terminal's file, then register its key; where it is refused, no file is left."""
    seed = Secret(nacl.utils.random(credentials.KEY_SIZE))
    public = bytes(SigningKey(seed.reveal()).verify_key)
    signing = {each.id: each.octets for each in pinned}
    try:
        credentials.create(path, Credentials(id, registry.key_id(public), seed, where.terminal_url, signing))
    except CredentialsError as error:
        raise SettingsError(f"--generate: {error}") from None
    try:
        return _register(where, id, public, wanted)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _register(where: Settings, id: str, public: bytes, wanted: Wanted) -> str:
    # A terminal may be added before the first start: the keys are there, so this is the server's directory.
    changed = with_store(
        where,
        lambda port: registry.change(port, id, lambda terminal: registry.add(terminal, id, public, now(), wanted)),
        make=True,
    )
    _unless_refused(changed)
    return registry.key_id(public)


def _change(where: Settings, id: str, alter: Callable[[Terminal], Terminal | Refused]) -> Terminal:
    async def work(port: StorePort) -> Terminal | Refused:
        return await registry.change(port, id, registry.known(alter, id))

    return _unless_refused(with_store(where, work))


def _unless_refused(changed: Terminal | Refused) -> Terminal:
    if isinstance(changed, Malformed):
        raise SettingsError(changed.why)
    if isinstance(changed, Refused):
        raise Failure(changed.why)
    return changed


def _signing_keys(where: Settings) -> tuple[Public, ...]:
    path = where.data / FILE_NAME
    try:
        keys = load_keys(path).public("signing")
    except FileNotFoundError:
        raise no_keys(where) from None
    if not keys:
        raise SettingsError(
            f"there is no signing key in {where.data}, which terminals need to know; make it with: "
            f"ussd-server keys init --data {where.data}"
        )
    return keys


def _public(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError("--key: it is no base64") from None
