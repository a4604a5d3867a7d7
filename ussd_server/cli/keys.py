"""`ussd-server keys`: the server's keys, by name and age only."""

from datetime import UTC, datetime

import typer

from ussd_server.cli.common import Data, Failure, SettingsFile, columns, console, examples, now
from ussd_server.secrecy.keys import FILE_NAME, Keyring, load, load_or_create, save
from ussd_server.settings import Settings
from ussd_server.settings import load as load_settings

app = typer.Typer(
    name="keys",
    no_args_is_help=True,
    help="The server's keys.",
    rich_markup_mode="rich",
    epilog=examples("ussd-server keys init", "ussd-server keys list", "ussd-server keys rotate"),
)


@app.command(epilog=examples("ussd-server keys init", "ussd-server keys init --data /var/lib/ussd-server"))
def init(data: Data = None, settings: SettingsFile = None) -> None:
    """Make the keys before the first start, so that a copy of them can be kept."""
    where = load_settings({"data": data, "settings": settings})
    made = load_or_create(where.data, now())
    out = console()
    if made.created:
        out.print(f"Made the keys in {made.path}. Keep a copy of this file: without it no stored code can be read.")
    else:
        out.print(f"The keys are there already: {made.path}. Nothing was changed.")


@app.command("list", epilog=examples("ussd-server keys list"))
def list_(data: Data = None, settings: SettingsFile = None) -> None:
    """List the keys: id, kind, when it was made, and whether it is the one in use. No key is ever shown."""
    ring = _ring(load_settings({"data": data, "settings": settings}))
    rows = [
        (
            key.id,
            key.kind,
            datetime.fromtimestamp(key.created // 1000, UTC).isoformat(),
            "in use" if key.current else "",
        )
        for key in ring.keys
    ]
    for line in columns([("ID", "KIND", "MADE", ""), *rows]):
        print(line)


@app.command(epilog=examples("ussd-server keys rotate"))
def rotate(
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Make a new key for what is stored. Older keys stay, so all that they sealed can still be read."""
    where = load_settings({"data": data, "settings": settings})
    ring = _ring(where).rotate("kek", now())
    save(where.data / FILE_NAME, ring)
    console().print(f"{ring.current('kek').id} is in use once the server is restarted. Older keys stay readable.")


def _ring(settings: Settings) -> Keyring:
    path = settings.data / FILE_NAME
    try:
        return load(path)
    except FileNotFoundError:
        raise Failure(
            f"there are no keys in {settings.data}; make them with: ussd-server keys init --data {settings.data}"
        ) from None
