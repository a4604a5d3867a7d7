"""What `demo`, `run` and `smsc` start: the server, the simulator and their HTTP addresses, put together."""

import errno
import fcntl
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from ussd_server.app import Server, wall_clock
from ussd_server.cli.common import Failure
from ussd_server.cli.demo_terminal import demo_terminal
from ussd_server.dialects.files import load as load_dialect
from ussd_server.http.health import add_health
from ussd_server.http.listener import Application, Listener, application
from ussd_server.http.terminals import Terminals
from ussd_server.kiosk import page as kiosk_page
from ussd_server.kiosk.kiosk import Kiosk
from ussd_server.kiosk.seat import Manner
from ussd_server.operators.base import OperatorUnavailable
from ussd_server.operators.catalogue import CatalogueError
from ussd_server.readiness import Readiness
from ussd_server.secrecy.keys import DIRECTORY_MODE
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import Address, Settings, SettingsError
from ussd_server.simulator.faults import Script
from ussd_server.simulator.page import make_app
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.smsc import Smsc
from ussd_server.smsc_url import SmscUrl
from ussd_server.stores.base import StoreUnavailable
from ussd_server.terminals.credentials import Credentials

log = structlog.get_logger()

DEMO_PHONES = ("79100000001", "79100000002")
"""In the shipped catalogue: one with money for any change, one with hardly any."""
DEMO_ACCOUNT = ("ussd", "demo")
DEMO_KIOSK_PATH = "/kiosk"
DEMO_MANNER = Manner(hint=DEMO_PHONES[0])


class Service:
    """The server and its HTTP address. The address is taken first, so nothing has happened yet where it is in use."""

    def __init__(self, settings: Settings, page: Application | None = None) -> None:
        self.server = Server(settings)
        self._settings = settings
        self._state = "starting"
        self._terminals = Terminals(wall_clock, settings.terminal_url, settings.country, self.server.metrics)
        app = application(self._checks, self.server.metrics, page)
        self._terminals.add_to(app)
        self._listener = Listener(app, settings.http, settings.http_connections, _tls(settings))

    @property
    def http(self) -> Address:
        """Where pages, health and metrics are."""
        return self._listener.address

    async def start(self) -> None:
        """Listen, then start the server. Raises Failure, and FlowErrors where the flow file has mistakes."""
        with _listening("--http", self._settings.http):
            await self._listener.start()
        try:
            await self._start_server()
        except BaseException:
            await self._listener.stop()
            raise
        server = self.server
        self._terminals.serve(server.desk, server.store, server.keys, server.overload.admits_visit)
        self._say_what_is_plain()
        self._state = ""

    async def stop(self) -> None:
        """Stop the server, then let go of the address; `/readyz` says so meanwhile."""
        self._state = "stopping"
        # What terminals have begun is done first: an entry whose check is cut off costs its number a try.
        await self._terminals.finish()
        await self.server.stop()
        await self._listener.stop()

    async def _start_server(self) -> None:
        try:
            await self.server.start()
        except CatalogueError as error:
            raise SettingsError(f"--catalogue {error}") from None
        except (OperatorUnavailable, StoreUnavailable) as error:
            raise Failure(f"{error}{self._keys_made()}") from None
        except OSError as error:
            if error.filename in (self._settings.flows, str(self._settings.flows)):
                raise SettingsError(f"--flows {error.filename}: the file cannot be read: {error.strerror}") from None
            where = error.filename or "the server"
            raise Failure(f"{where}: {error.strerror or error}{self._keys_made()}") from None

    def _say_what_is_plain(self) -> None:
        """Warn where terminals would call over a network in the clear: numbers and screens could be read on the way."""
        where = self._settings
        here = where.http.host in ("127.0.0.1", "::1", "localhost")
        if not here and where.http_certificate is None and not where.terminal_url.startswith("https://"):
            log.warning("terminals are served without TLS", address=str(self.http))

    def _keys_made(self) -> str:
        """Say that a start that failed has made keys, so that nobody finds them there unannounced."""
        made = self.server.created_keys
        return f"; keys were made in {made}, keep a copy" if made is not None else ""

    async def _checks(self) -> Readiness:
        return Readiness({"server": self._state}) if self._state else await self.server.readiness()


class Demo:
    """The whole product in one process: an SMSC with phones, the server bound to it, and a kiosk beside the phones."""

    def __init__(self, settings: Settings, manner: Manner = DEMO_MANNER) -> None:
        self._settings = settings
        self.kiosk = Kiosk(manner)
        self.smsc = _simulator(settings, {DEMO_ACCOUNT[0]: Secret(DEMO_ACCOUNT[1])})
        self.service: Service | None = None

    @property
    def smpp(self) -> Address:
        """Where services may bind."""
        return Address(self._settings.smpp.host, self.smsc.port)

    async def start(self) -> None:
        """Start the SMSC, then the server on it. Raises Failure, also where another demo uses the data directory."""
        self._lock = _lock(self._settings.data)
        try:
            await self._start()
        except BaseException:
            os.close(self._lock)
            raise

    async def _start(self) -> None:
        with _listening("--smpp", self._settings.smpp):
            await self.smsc.start()
        name, password = DEMO_ACCOUNT
        smpp = self.smpp.from_here()
        url = SmscUrl(name, Secret(password), smpp.host, smpp.port, dialect=self._settings.dialect)
        page = make_app(self.smsc, kiosk=f"{DEMO_KIOSK_PATH}/")
        page.add_subapp(DEMO_KIOSK_PATH, kiosk_page.make_app(self.kiosk, by_name=True))
        self.service = Service(self._settings.model_copy(update={"smsc": (url,)}), page)
        try:
            await self.service.start()
            await self._start_kiosk(self.service)
        except BaseException:
            await self.smsc.stop()
            raise

    async def _start_kiosk(self, service: Service) -> None:
        """Start the kiosk as any other terminal: with a key of its own, over HTTP."""
        where = self._settings
        own, file = await demo_terminal(where.data, service.server.store)
        scheme = "http" if where.http_certificate is None else "https"
        tls = ssl.create_default_context(cafile=where.http_certificate) if where.http_certificate else None
        if tls is not None:
            tls.check_hostname = False  # it calls this machine by its address; the certificate is its own
        await self.kiosk.start(own, where.terminal_url or f"{scheme}://{service.http.from_here()}", file, tls)

    async def stop(self) -> None:
        """Close the kiosk's visits, stop the server, then the SMSC."""
        await self.kiosk.stop()
        if self.service is not None:
            await self.service.stop()
        await self.smsc.stop()
        os.close(self._lock)


class KioskProcess:
    """A kiosk alone, for a server elsewhere: its page, its health, and the terminal's key."""

    def __init__(self, own: Credentials, file: Path, url: str, settings: Settings) -> None:
        self._own, self._file, self._url, self._settings = own, file, url, settings
        self.kiosk = Kiosk(
            Manner(idle_s=settings.kiosk_idle_s, warn_s=min(15.0, settings.kiosk_idle_s / 2), country=settings.country)
        )
        app = kiosk_page.make_app(self.kiosk)
        add_health(app, self._checks)
        self._listener = Listener(app, settings.kiosk_http)

    @property
    def http(self) -> Address:
        """Where the page is."""
        return self._listener.address

    async def start(self) -> None:
        """Listen; whether the server can be reached is seen then, and again and again. Raises Failure."""
        with _listening("--http", self._settings.kiosk_http):
            await self._listener.start()
        try:
            await self.kiosk.start(self._own, self._url, self._file)
        except ValueError as error:
            await self._listener.stop()
            raise SettingsError(f"--server {self._url}: {error}") from None

    async def stop(self) -> None:
        """Close every visit, then the page."""
        await self.kiosk.stop()
        await self._listener.stop()

    async def _checks(self) -> Readiness:
        return Readiness({"server": "" if self.kiosk.online else "it cannot be reached", "terminal": self.kiosk.closed})


class Simulator:
    """The SMSC with phones alone, and its page."""

    def __init__(self, settings: Settings, faults: Script | None = None) -> None:
        self._settings = settings
        self.smsc = _simulator(settings, None, faults)
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


def _simulator(settings: Settings, accounts: Mapping[str, Secret[str]] | None, faults: Script | None = None) -> Smsc:
    timers = Timers(service_ms=round(settings.gateway_timer_s * 1000))
    return Smsc(
        settings.smpp.host,
        settings.smpp.port,
        accounts,
        DEMO_PHONES,
        timers,
        dialect=load_dialect(settings.dialect),
        end=settings.simulator_receipts,
        style=settings.simulator_long,
        faults=faults,
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what HTTPS is served with, where a certificate is set. Raises SettingsError where it cannot be used."""
    if settings.http_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.http_certificate, settings.http_key)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"--http-certificate {settings.http_certificate}: the certificate or its key cannot be used: "
            f"{error.strerror or error}"
        ) from None
    return context


def _lock(directory: Path) -> int:
    """Take the data directory for this demo; the system lets go of it when the descriptor or the process ends."""
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(f"--data {directory}: the directory cannot be used: {error.strerror or error}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Failure(
            f"--data {directory}: another demo uses it; "
            "stop that one, or give this one --data, --http and --smpp of its own"
        ) from None
    return descriptor


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
