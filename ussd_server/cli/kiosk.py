"""`ussd-server kiosk`: a payment terminal's screen, for a server that runs elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from ussd_server import log
from ussd_server.cli.common import LogFormat, LogLevel, SettingsFile, console
from ussd_server.cli.epilogs import examples
from ussd_server.cli.process import run_until_signal
from ussd_server.settings import SettingsError, colours, load, meaning
from ussd_server.terminals import credentials
from ussd_server.terminals.credentials import CredentialsError


def kiosk(
    terminal: Annotated[
        Path,
        typer.Option(
            "--terminal", metavar="FILE", help="The terminal's file: its key, and the server's; by `terminal add`"
        ),
    ],
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Where the server is [what FILE says]")
    ] = None,
    http: Annotated[
        str | None, typer.Option("--http", metavar="HOST:PORT", help=meaning("kiosk_http") + " [127.0.0.1:8090]")
    ] = None,
    settings: SettingsFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Show a kiosk's touch page, until SIGTERM or Ctrl-C. The key stays in this process; the page holds no secret.

    Run it on the terminal itself and open its page there in a browser: what is typed goes no further than this process
    before it is sealed.
    """
    from ussd_server.cli.parts import KioskProcess

    options = {"kiosk_http": http, "settings": settings, "log_format": log_format, "log_level": log_level}
    try:
        where = load(options)
    except SettingsError as error:
        here = (str(mistake).replace("--kiosk-http", "--http") for mistake in error.args)  # what it is called here
        raise SettingsError(*here) from None
    log.configure(where.log_level, where.log_format, colours=colours())
    try:
        own = credentials.load(terminal)
    except CredentialsError as error:
        raise SettingsError(f"--terminal: {error}") from None
    url = server or own.url
    if not url:
        raise SettingsError(f"--server: {terminal} does not say where the server is; write --server https://HOST")
    process = KioskProcess(own, terminal, url, where)

    def ready() -> None:
        out = console()
        out.print(f"Kiosk   [bold]http://{process.http.from_here()}/[/] as terminal {own.terminal}")
        out.print(f"Server  {url}")
        out.print("Stop with Ctrl-C.")

    return run_until_signal(process, ready, lambda: None)


def add_to(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command(
        epilog=examples(
            "ussd-server terminal add hall-1 --generate hall-1.json --terminal-url https://terminals.example",
            "ussd-server kiosk --terminal hall-1.json",
            "ussd-server kiosk --terminal hall-1.json --server http://127.0.0.1:8080 --http 127.0.0.1:8091",
        )
    )(kiosk)
