"""`demo`, `run`, `smsc` and `dial`: everything that runs until it is stopped."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated

import typer

from menus.schema import FlowErrors
from ussd_server import log
from ussd_server.app import Server
from ussd_server.cli.common import (
    Catalogue,
    Data,
    Failure,
    Flows,
    Http,
    LogFormat,
    LogLevel,
    Msisdn,
    SettingsFile,
    Smpp,
    Store,
    console,
    examples,
    subscriber_number,
)
from ussd_server.cli.process import run_until_signal
from ussd_server.http.listener import Application, Listener, application
from ussd_server.secrets import Secret
from ussd_server.settings import Address, Settings, SettingsError, SmscUrl, load, meaning
from ussd_server.simulator.dial import dial as be_a_phone
from ussd_server.simulator.page import make_app
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.smsc import Smsc

DEMO_PHONES = ("79101234567", "79157654321")
DEMO_ACCOUNT = ("ussd", "demo")


class Service:
    """The server and its HTTP address. The address is taken first, so nothing has happened yet where it is in use."""

    def __init__(self, settings: Settings, page: Application | None = None) -> None:
        self.server = Server(settings)
        self._settings = settings
        self._state = "starting"
        self._listener = Listener(application(self._checks, self.server.metrics, page), settings.http)

    @property
    def http(self) -> Address:
        """Where pages, health and metrics are."""
        return self._listener.address

    async def start(self) -> None:
        """Listen, then start the server. Raises Failure."""
        with _listening("--http", self._settings.http):
            await self._listener.start()
        try:
            await self.server.start()
        except FlowErrors as mistakes:
            raise Failure(_flow_failure(self._settings, mistakes)) from None
        except OSError as error:
            raise Failure(f"{error.filename or 'the server'}: {error.strerror or error}") from None
        self._state = ""

    async def stop(self) -> None:
        """Stop the server, then let go of the address; `/readyz` says so meanwhile."""
        self._state = "stopping"
        await self.server.stop()
        await self._listener.stop()

    async def _checks(self) -> Mapping[str, str]:
        return {"server": self._state} if self._state else await self.server.checks()


class Demo:
    """The whole product in one process: an SMSC with phones, and the server bound to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.smsc = _simulator(settings, {DEMO_ACCOUNT[0]: Secret(DEMO_ACCOUNT[1])})
        self.service: Service | None = None

    @property
    def smpp(self) -> Address:
        """Where services may bind."""
        return Address(self._settings.smpp.host, self.smsc.port)

    async def start(self) -> None:
        """Start the SMSC, then the server on it. Raises Failure."""
        with _listening("--smpp", self._settings.smpp):
            await self.smsc.start()
        name, password = DEMO_ACCOUNT
        url = SmscUrl(name, Secret(password), _reachable(self.smpp.host), self.smpp.port)
        self.service = Service(self._settings.model_copy(update={"smsc": (url,)}), make_app(self.smsc))
        try:
            await self.service.start()
        except BaseException:
            await self.smsc.stop()
            raise

    async def stop(self) -> None:
        """Stop the server, then the SMSC."""
        if self.service is not None:
            await self.service.stop()
        await self.smsc.stop()


class Simulator:
    """The SMSC with phones alone, and its page."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.smsc = _simulator(settings, None)
        self._listener = Listener(make_app(self.smsc), settings.http)

    @property
    def http(self) -> Address:
        """Where the page with the phones is."""
        return self._listener.address

    @property
    def smpp(self) -> Address:
        """Where services may bind."""
        return Address(self._settings.smpp.host, self.smsc.port)

    async def start(self) -> None:
        """Start the SMSC and its page. Raises Failure."""
        with _listening("--smpp", self._settings.smpp):
            await self.smsc.start()
        with _listening("--http", self._settings.http):
            await self._listener.start()

    async def stop(self) -> None:
        """Close the page, then unbind every service."""
        await self._listener.stop()
        await self.smsc.stop()


def demo(
    http: Http = None,
    smpp: Smpp = None,
    data: Data = None,
    flows: Flows = None,
    catalogue: Catalogue = None,
    settings: SettingsFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Start the whole product in one process: an SMSC simulator with phones, and the server on it."""
    options = {"http": http, "smpp": smpp, "data": data, "flows": flows, "catalogue": catalogue, "settings": settings}
    where = _prepared({**options, "log_format": log_format, "log_level": log_level})
    whole = Demo(where)
    return run_until_signal(whole, lambda: _welcome(whole, where), lambda: _reload(whole.service))


def run(
    smsc: Annotated[
        list[str] | None, typer.Option("--smsc", metavar="URL", help=meaning("smsc") + " (repeatable)")
    ] = None,
    store: Store = None,
    http: Http = None,
    flows: Flows = None,
    catalogue: Catalogue = None,
    data: Data = None,
    settings: SettingsFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Run the server against real SMSCs, until SIGTERM or Ctrl-C. SIGHUP reads the flows again."""
    options = {"smsc": smsc, "store": store, "http": http, "flows": flows, "catalogue": catalogue, "data": data}
    where = _prepared({**options, "settings": settings, "log_format": log_format, "log_level": log_level})
    if not where.smsc:
        raise SettingsError("--smsc: no SMSC to bind to; give one, or try everything with: ussd-server demo")
    service = Service(where)
    return run_until_signal(service, lambda: _started(service, where), lambda: _reload(service))


def smsc(
    smpp: Smpp = None,
    http: Http = None,
    settings: SettingsFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Start the SMSC simulator alone: any service may bind to it, and its page has the phones."""
    options = {"smpp": smpp, "http": http, "settings": settings, "log_format": log_format, "log_level": log_level}
    simulator = Simulator(_prepared(options))

    def ready() -> None:
        out = console()
        out.print(f"Phones  [bold]http://{_reachable_at(simulator.http)}/[/]")
        out.print(f"SMSC    smpp://{simulator.smpp} (any system id and password may bind)")
        out.print("Stop with Ctrl-C.")

    return run_until_signal(simulator, ready, lambda: None)


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
    return asyncio.run(be_a_phone(who, f"http://{_reachable_at(where.http)}", sys.stdin, sys.stdout))


def add_to(app: typer.Typer) -> None:
    """Put these commands on the command line."""
    app.command(epilog=examples("ussd-server demo", "ussd-server demo --http 127.0.0.1:8090 --data /tmp/demo"))(demo)
    app.command(
        epilog=examples(
            "ussd-server run --smsc 'smpp://user:password@smsc.example:2775?window=10'",
            "ussd-server run --smsc 'smpps://user@smsc.example:3550?password_file=/run/secrets/smsc'",
            "ussd-server run --settings /etc/ussd-server.toml",
        )
    )(run)
    app.command(epilog=examples("ussd-server smsc", "ussd-server smsc --smpp 0.0.0.0:2775"))(smsc)
    app.command(epilog=examples("ussd-server dial 79101234567", "echo '*100#' | ussd-server dial 79101234567"))(dial)


def _prepared(options: Mapping[str, object]) -> Settings:
    settings = load(options)
    log.configure(settings.log_level, settings.log_format)
    return settings


def _simulator(settings: Settings, accounts: Mapping[str, Secret[str]] | None) -> Smsc:
    timers = Timers(service_ms=round(settings.gateway_timer_s * 1000))
    return Smsc(settings.smpp.host, settings.smpp.port, accounts, DEMO_PHONES, timers)


def _welcome(demo: Demo, settings: Settings) -> None:
    assert demo.service is not None
    http = _reachable_at(demo.service.http)
    name, password = DEMO_ACCOUNT
    out = console()
    out.print(
        f"[bold]ussd-server {version('ussd-server')}[/] is running: an SMSC with phones, and the server bound to it.\n"
    )
    out.print(f"  Open      [bold cyan]http://{http}/[/] and dial [bold]*111#[/]")
    out.print(f"  Or here   ussd-server dial {DEMO_PHONES[0]} --http {http}")
    out.print(f"  SMSC      smpp://{name}:{password}@{demo.smpp} (other services may bind, too)")
    out.print(f"  Health    http://{http}/readyz   http://{http}/metrics")
    out.print(f"  Flows     {settings.flows}")
    out.print(f"  Data      {settings.data}{_about_keys(demo.service.server)}")
    out.print("\nStop with Ctrl-C.")


def _started(service: Service, settings: Settings) -> None:
    out = console()
    out.print(
        f"ussd-server {version('ussd-server')}: http://{_reachable_at(service.http)}/readyz, flows {settings.flows}"
    )
    if service.server.created_keys is not None:
        out.print(f"Data {settings.data}{_about_keys(service.server)}")


def _about_keys(server: Server) -> str:
    made = server.created_keys
    return f" (first start: keys were made in {made}; keep a copy of them)" if made is not None else ""


def _reload(service: Service | None) -> None:
    if service is not None:
        service.server.reload_flow()


def _flow_failure(settings: Settings, mistakes: FlowErrors) -> str:
    first, *more = mistakes.problems
    rest = f" (and {len(more)} more; see them with: ussd-server flows check {settings.flows})" if more else ""
    return f"--flows: {first}{rest}"


@contextmanager
def _listening(option: str, address: Address) -> Iterator[None]:
    """Say in words why an address cannot be had."""
    try:
        yield
    except socket.gaierror:
        raise Failure(f"{option} {address}: there is no such host") from None
    except OSError as error:
        causes = {
            errno.EADDRINUSE: "the port is in use",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
            errno.EACCES: "ports below 1024 are for root alone",
        }
        cause = causes.get(error.errno or 0) or os.strerror(error.errno or 0)
        raise Failure(f"{option} {address}: {cause}; choose another with {option} HOST:PORT") from None


def _reachable(host: str) -> str:
    """Return a host to connect to, where one listens on all of them."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _reachable_at(address: Address) -> Address:
    return Address(_reachable(address.host), address.port)
