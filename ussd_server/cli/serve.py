"""`demo`, `run`, `smsc` and `dial`: everything that runs until it is stopped.

What they run is imported when they run it: the other commands and every `--help` do without the server.
"""

import asyncio
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ussd_server import log
from ussd_server.cli.common import (
    Catalogue,
    Data,
    Dialect,
    Flows,
    Http,
    LogFormat,
    LogLevel,
    Msisdn,
    SettingsFile,
    SimulatorLong,
    SimulatorReceipts,
    Smpp,
    Store,
    console,
    subscriber_number,
)
from ussd_server.cli.epilogs import examples, options, store_options
from ussd_server.cli.process import run_until_signal
from ussd_server.settings import Settings, SettingsError, colours, load, meaning
from ussd_server.smsc_url import OPTIONS

if TYPE_CHECKING:
    from ussd_server.app import Server
    from ussd_server.cli.parts import Demo, Service
    from ussd_server.simulator.faults import Script


def demo(
    http: Http = None,
    smpp: Smpp = None,
    dialect: Dialect = None,
    data: Data = None,
    flows: Flows = None,
    catalogue: Catalogue = None,
    receipts: SimulatorReceipts = None,
    long: SimulatorLong = None,
    settings: SettingsFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Start the whole product in one process: an SMSC simulator with phones, and the server on it."""
    from ussd_server.cli.parts import Demo

    options = {"http": http, "smpp": smpp, "data": data, "flows": flows, "catalogue": catalogue, "settings": settings}
    phones = {"dialect": dialect, "simulator_receipts": receipts, "simulator_long": long}
    where = load({**options, **phones, "log_format": log_format, "log_level": log_level})
    log.configure(where.log_level, where.log_format, colours=colours())
    whole = Demo(where)
    return run_until_signal(whole, lambda: _welcome(whole, where), lambda: _reload(whole.service))


def run(
    smsc: Annotated[
        list[str] | None, typer.Option("--smsc", metavar="URL", help=meaning("smsc") + " (repeatable)")
    ] = None,
    store: Store = None,
    require_durable: Annotated[
        bool | None, typer.Option("--require-durable", help=meaning("require_durable"), show_default=False)
    ] = None,
    http: Http = None,
    flows: Flows = None,
    catalogue: Catalogue = None,
    data: Data = None,
    settings: SettingsFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Run the server against real SMSCs, until SIGTERM or Ctrl-C. SIGHUP reads the flows and the keys again."""
    from ussd_server.cli.parts import Service

    options = {"smsc": smsc, "store": store, "http": http, "flows": flows, "catalogue": catalogue, "data": data}
    where = load(
        {
            **options,
            "require_durable": require_durable,
            "settings": settings,
            "log_format": log_format,
            "log_level": log_level,
        }
    )
    if not where.smsc:
        raise SettingsError("--smsc: no SMSC to bind to; give one, or try everything with: ussd-server demo")
    log.configure(where.log_level, where.log_format, colours=colours())
    service = Service(where)
    return run_until_signal(
        service,
        lambda: _started(service, where),
        lambda: _reload(service),
        lambda: service.server.bound,
        lambda: service.server.store.broken,
    )


def smsc(
    smpp: Smpp = None,
    dialect: Dialect = None,
    faults: Annotated[
        Path | None, typer.Option("--faults", metavar="FILE", help="What goes wrong, and when: a script of faults")
    ] = None,
    http: Http = None,
    receipts: SimulatorReceipts = None,
    long: SimulatorLong = None,
    settings: SettingsFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Start the SMSC simulator alone: any service may bind to it, and its page has the phones."""
    from ussd_server.cli.parts import Simulator

    options = {"smpp": smpp, "http": http, "settings": settings, "log_format": log_format, "log_level": log_level}
    where = load({**options, "dialect": dialect, "simulator_receipts": receipts, "simulator_long": long})
    log.configure(where.log_level, where.log_format, colours=colours())
    simulator = Simulator(where, _script(faults))

    def ready() -> None:
        out = console()
        out.print(f"Phones  [bold]http://{simulator.http.from_here()}/[/]")
        out.print(f"SMSC    smpp://{simulator.smpp} (any system id and password may bind)")
        if where.dialect != "standard":
            out.print(f"USSD    as {where.dialect} has it: services add ?dialect={where.dialect}")
        out.print("Stop with Ctrl-C.")

    return run_until_signal(simulator, ready, lambda: None)


def _script(file: Path | None) -> "Script | None":
    """Read a script of faults; its mistakes are shown as those of a flow file are."""
    from ussd_server.simulator import fault_file

    try:
        return None if file is None else fault_file.load(file)
    except OSError as error:
        raise SettingsError(f"--faults {file}: the file cannot be read: {error.strerror or error}") from None


def dial(
    msisdn: Msisdn,
    http: Annotated[
        str | None, typer.Option("--http", metavar="HOST:PORT", help="Where the simulator's page is [127.0.0.1:8080]")
    ] = None,
    settings: SettingsFile = None,
) -> int:
    """Be a phone in the terminal, at a simulator that runs. Lines piped in are dialled and answered one by one."""
    where = load({"http": http, "settings": settings})
    who = subscriber_number(msisdn, where)
    from ussd_server.simulator.dial import dial as be_a_phone

    return asyncio.run(be_a_phone(who, f"http://{where.http.from_here()}", sys.stdin, sys.stdout))


def add_to(app: typer.Typer) -> None:
    """Put these commands on the command line."""
    app.command(epilog=examples("ussd-server demo", "ussd-server demo --http 127.0.0.1:8090 --data /tmp/demo"))(demo)
    app.command(
        epilog=examples(
            "ussd-server run --smsc 'smpp://user:password@smsc.example:2775?window=10&rate=20'",
            "ussd-server run --smsc 'smpp://user:password@a.example' --smsc 'smpp://user:password@b.example?bind=txrx'",
            "ussd-server run --smsc 'smpps://user@smsc.example:3550?password_file=/run/secrets/smsc'",
            "ussd-server run --settings /etc/ussd-server.toml",
            "ussd-server run --store redis://redis.example/0 --require-durable --smsc 'smpp://user:password@a.example'",
            "ussd-server run --store 'redis://ussd@redis.example/0?password_file=/run/redis.pass' --smsc ...",
            "ussd-server run --store 'redis+sentinel://a.example,b.example/MASTER?replicas=1' --smsc ...",
            "ussd-server run --store 'rediss+cluster://a.example,b.example?ca_file=/etc/ssl/ca.pem' --smsc ...",
        )
        + _smsc_options()
        + store_options()
    )(run)
    app.command(
        epilog=examples(
            "ussd-server smsc",
            "ussd-server smsc --smpp 0.0.0.0:2775",
            "ussd-server smsc --dialect sibinco",
            "ussd-server smsc --simulator-receipts failed",
            "ussd-server smsc --faults bad-day.yaml",
        )
    )(smsc)
    app.command(epilog=examples("ussd-server dial 79101234567", "echo '*100#' | ussd-server dial 79101234567"))(dial)


def _smsc_options() -> str:
    """Return what may stand in an SMSC's URL, for the end of a help text."""
    return options(
        "Options of an SMSC's URL",
        (
            (each.key, each.form + (f" ({each.default})" if each.default else ""), each.meaning.replace("`", ""))
            for each in OPTIONS.values()
        ),
    )


def _welcome(demo: "Demo", settings: Settings) -> None:
    assert demo.service is not None
    from ussd_server.cli.parts import DEMO_ACCOUNT, DEMO_KIOSK_PATH, DEMO_PHONES

    http = demo.service.http.from_here()
    name, password = DEMO_ACCOUNT
    out = console()
    out.print(
        f"[bold]ussd-server {version('ussd-server')}[/] is running: an SMSC with phones, and the server bound to it.\n"
    )
    out.print(f"  Open      [bold cyan]http://{http}/[/] and dial [bold]*111#[/]")
    elsewhere = "" if http == Settings.model_fields["http"].default else f" --http {http}"
    out.print(f"  Or here   {_own_name()} dial {DEMO_PHONES[0]}{elsewhere}")
    out.print(f"  Kiosk     [bold cyan]http://{http}{DEMO_KIOSK_PATH}/[/] (a payment terminal's screen)")
    out.print(f"  SMSC      smpp://{name}:{password}@{demo.smpp} (other services may bind, too)")
    out.print(f"  Health    http://{http}/readyz   http://{http}/metrics")
    out.print(f"  Flows     {settings.flows}")
    out.print(f"  Data      {settings.data}{_about_keys(demo.service.server)}")
    out.print("\nStop with Ctrl-C.")


def _started(service: "Service", settings: Settings) -> None:
    out = console()
    out.print(f"ussd-server {version('ussd-server')}: http://{service.http.from_here()}/readyz, flows {settings.flows}")
    if service.server.created_keys is not None:
        out.print(f"Data {settings.data}{_about_keys(service.server)}")


def _own_name() -> str:
    """Return how this program is called from the working directory."""
    if shutil.which("ussd-server"):
        return "ussd-server"
    as_module = os.path.basename(sys.argv[0]) == "__main__.py"
    program = sys.executable if as_module else sys.argv[0]
    return min(os.path.relpath(program), os.path.abspath(program), key=len) + (" -m ussd_server" if as_module else "")


def _about_keys(server: "Server") -> str:
    made = server.created_keys
    return f" (first start: keys were made in {made}; keep a copy of them)" if made is not None else ""


def _reload(service: "Service | None") -> None:
    if service is not None:
        service.server.reload_flow()
        service.server.take_up_keys()
