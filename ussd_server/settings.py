"""The settings: one set of names for the command line, the environment and the settings file.

This is the only module that reads the environment. The command line wins over the environment (`USSD_SERVER_HTTP`),
the environment over the TOML file, the file over the defaults. Mistakes are a `SettingsError`: a line each that says
what is wrong, where it was written, and the mend.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainValidator, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from smpp.segments import Style
from ussd_server import store_url
from ussd_server.dialects.files import usable as usable_dialect
from ussd_server.mistakes import cause, nearest
from ussd_server.smsc_url import SMPP_PORT, SmscUrl
from ussd_server.store_url import RedisUrl, SqliteUrl
from ussd_server.stores.base import EVIDENCE_ENTRIES, JOURNAL_ENTRIES
from ussd_server.subscribers.codes import MIN_DIGITS
from ussd_server.turns.quiet import QuietHours

PREFIX = "USSD_SERVER_"
PACKAGE = Path(__file__).parent


class SettingsError(Exception):
    """Something is set wrong. Each of its `args` is one line for the operator, a mistake: what, where, and the mend.

    None ever holds a secret.
    """

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


# Values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Address:
    """Where to listen or connect: a host name or IP address and a TCP port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def from_here(self) -> Self:
        """Return what to connect to on this machine, where one listens on all of its addresses."""
        return replace(self, host={"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every interface); ValueError says what is wrong."""
        host, colon, port = text.rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT, as in 127.0.0.1:8080")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r}: write an IPv6 address in brackets, as in [::1]:8080")
        return cls(host or "0.0.0.0", int(port))


def _each_smsc(value: Any) -> tuple[SmscUrl, ...]:
    """Take one URL, a list of them, or (from the environment) several with spaces between."""
    texts = value.split() if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise ValueError("it is a list of URLs")
    found = tuple(text if isinstance(text, SmscUrl) else SmscUrl.parse(_text(text)) for text in texts)
    names = [str(smsc) for smsc in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice; for more connections there, write ?binds=2")
    return found


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError(f"{value!r} is not one text")
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text; put it in quotes")
    return value


def _directory(value: Any) -> Path:
    """Take a directory, or what can become one."""
    text = str(value) if isinstance(value, Path) else _text(value)
    if not text.strip():
        raise ValueError("it is empty; name a directory, or leave it out")
    for path in (directory := Path(text), *directory.parents):
        try:
            in_the_way = path.exists() and not path.is_dir()
        except OSError as error:  # as below a directory that may not be searched
            raise ValueError(f"{path}: {cause(error)}") from None
        if in_the_way:
            raise ValueError(f"{path} is a file; name a directory")
    return directory


def _reader(kind: type[Any] | tuple[type[Any], ...], parse: Callable[[str], Any]) -> PlainValidator:
    return PlainValidator(lambda value: value if isinstance(value, kind) else parse(_text(value)))


AddressField = Annotated[Address, NoDecode, _reader(Address, Address.parse)]
StoreField = Annotated[SqliteUrl | RedisUrl, NoDecode, _reader((SqliteUrl, RedisUrl), store_url.parse)]
DirectoryField = Annotated[Path, NoDecode, PlainValidator(_directory)]
SmscField = Annotated[tuple[SmscUrl, ...], NoDecode, PlainValidator(_each_smsc)]


def _base_url(text: str) -> str:
    """Check a URL that paths are put behind; "" for none."""
    url = urlsplit(text)
    if text and (
        url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment or url.path.strip("/")
    ):
        raise ValueError("it is written https://HOST or https://HOST:PORT, without a path")
    return text.rstrip("/")


def _quiet_hours(text: str) -> str:
    QuietHours.parse(text, ZoneInfo("UTC"))
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text or "UTC")
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {text!r}; write one as Europe/Moscow") from None
    return text


def _own_flows() -> Path:
    here = Path("flows.yaml")
    try:
        own = here.is_file()
    except (
        OSError
    ):  # a directory that one may not look into, as root's where root gives a command as the service's user
        own = False
    return here if own else PACKAGE / "flows.yaml"


@dataclass(frozen=True)
class Supervisor:
    """Who started this process and wants to hear of it: a socket ("" nobody), and how often it wants signs of life (s).

    A `watchdog_s` of 0 is never.
    """

    socket: str = ""
    watchdog_s: float = 0.0


def supervisor() -> Supervisor:
    """Return what systemd put into the environment, and take it out: what this process starts is not watched."""
    found = {name: os.environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")}
    named = found["NOTIFY_SOCKET"] if found["NOTIFY_SOCKET"].startswith(("/", "@")) else ""
    ours = found["WATCHDOG_PID"] in ("", str(os.getpid()))
    micros = found["WATCHDOG_USEC"]
    return Supervisor(named, int(micros) / 1_000_000 if ours and micros.isdigit() else 0.0)


def colours() -> bool:
    """Return whether a terminal may be written to in colours; NO_COLOR says that it may not (https://no-color.org)."""
    return not os.environ.get("NO_COLOR")


# The settings -----------------------------------------------------------------------------------------------------


class Settings(BaseSettings):
    """Everything that an operator of the server can set. Made by `load`; immutable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )

    settings: Path | None = Field(None, description="The settings file (TOML)")
    data: DirectoryField = Field(
        Path("var"), description="Directory for the database and the keys; made where it is missing"
    )
    smsc: SmscField = Field((), description="SMSCs to bind to, as smpp://SYSTEM_ID:PASSWORD@HOST:PORT")
    store: StoreField = Field(
        default_factory=lambda values: SqliteUrl(values["data"] / "ussd-server.db"),
        description="Where the records are kept: sqlite:///PATH, redis://HOST:PORT/DB, or a Cluster or Sentinels",
    )
    require_durable: bool = Field(
        False, description="Refuse to start where the store could lose what it acknowledged, as a Redis may be set up"
    )
    journal_entries: int = Field(
        JOURNAL_ENTRIES,
        ge=1,
        le=EVIDENCE_ENTRIES,
        description="Newest journal entries kept of each kind of a subscriber; of orders and campaigns 1,000",
    )
    http: AddressField = Field(Address("127.0.0.1", 8080), description="Address of health, metrics and pages")
    http_certificate: Path | None = Field(
        None, description="Certificate chain (PEM) to serve HTTPS with; without one, HTTP"
    )
    http_key: Path | None = Field(None, description="Private key (PEM) of that certificate")
    http_connections: int = Field(
        2000, ge=10, le=100_000, description="HTTP connections at once; more are closed as they come"
    )
    terminal_url: Annotated[str, AfterValidator(_base_url)] = Field(
        "", description="URL that terminals call, where a proxy before the server gives it another name"
    )
    kiosk_http: AddressField = Field(Address("127.0.0.1", 8090), description="Address of a kiosk's page")
    kiosk_idle_s: float = Field(
        60, ge=1, le=170, description="Seconds without a touch after which a kiosk goes back to its start"
    )
    smpp: AddressField = Field(Address("127.0.0.1", SMPP_PORT), description="Address of the SMSC simulator")
    dialect: Annotated[str, AfterValidator(usable_dialect)] = Field(
        "standard", description="How the SMSC simulator spells USSD: a dialect's name, or a file"
    )
    simulator_receipts: Literal["delivered", "failed", "expired"] = Field(
        "delivered", description="How every SMS to a phone of the simulator ends, as its receipts tell"
    )
    simulator_long: Style = Field(
        "udh8", description="How the simulator sends a long SMS from a phone: udh8, udh16, sar or payload"
    )
    flows: Path = Field(default_factory=_own_flows, description="The service: its entries, screens and texts")
    catalogue: Path = Field(
        PACKAGE / "operators" / "catalogue.yaml", description="Offerings and balances of the embedded operator"
    )
    operator_delay_s: float = Field(
        0, ge=0, le=600, description="Seconds that the embedded operator takes to answer, to rehearse a slow one"
    )
    country: str = Field("7", pattern=r"^[1-9][0-9]{0,2}$", description="Country code of numbers written without one")
    sender: str = Field(
        "111",
        pattern=r"^([0-9]{1,15}|[A-Za-z0-9 ._-]{1,11})$",
        description="Number or name that SMS come from where none was written to",
    )
    gateway_timer_s: float = Field(
        15, gt=0, le=600, description="Seconds after which the network ends a dialogue that has no answer"
    )
    dialogue_deadline_s: float = Field(
        7, gt=0, le=600, description="Seconds to wait for the operator before promising an SMS; below the timer"
    )
    ussd_septets: int = Field(182, ge=40, le=182, description="Room on a USSD screen in the GSM alphabet, septets")
    ussd_ucs2_units: int = Field(80, ge=30, le=80, description="Room on a USSD screen in UCS-2, units of 2 octets")
    overload_delay_s: float = Field(
        0.1,
        ge=0.01,
        le=2,
        description="Seconds for which the server itself may delay a turn; beyond, new dialogues are told to try later",
    )
    max_turns: int = Field(
        16_000,
        ge=1,
        le=100_000,
        description="Turns under way at once, for which there is memory; new dialogues get three quarters of it",
    )
    push_source: str = Field(
        "111", pattern=r"^[0-9]{1,15}$", description="Number that pushed notifications and questions come from"
    )
    push_rate: float = Field(5, gt=0, le=10_000, description="Pushes that one server sends in a second at most")
    push_timer_s: float = Field(
        120, ge=1, le=600, description="Seconds that a phone has to confirm a push, and its owner to answer it"
    )
    quiet_hours: Annotated[str, AfterValidator(_quiet_hours)] = Field(
        "21:00-09:00", description="Hours in which pushes wait, as 21:00-09:00; empty for none"
    )
    quiet_timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "", description="Time zone of the quiet hours; empty for that of the flows"
    )
    sms_replies_per_hour: int = Field(
        20, ge=1, le=1000, description="Automatic SMS answers to one number in an hour; more are left out"
    )
    sms_validity_hours: float = Field(
        24, ge=0.01, le=168, description="Hours for which an SMS is tried; then it is given up with a journal entry"
    )
    code_digits: int = Field(8, ge=MIN_DIGITS, le=16, description="Digits of an access code")
    code_max_age_days: int = Field(90, ge=1, le=3650, description="Days that an access code is good for")
    code_orders_per_hour: int = Field(3, ge=1, le=100, description="Access codes that one number may order in an hour")
    code_orders_per_day: int = Field(5, ge=1, le=100, description="Access codes that one number may order in a day")
    max_checks: int = Field(
        64,
        ge=2,
        le=1000,
        description="Access codes being checked at once, 45 to 90 a second; more are told to try later",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How log lines look; auto is console on a terminal and json elsewhere"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged")

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.http_certificate is None) != (self.http_key is None):
            raise ValueError("http_certificate and http_key belong together; give both or neither")
        return self

    @model_validator(mode="after")
    def _deadline_below_timer(self) -> Self:
        if self.dialogue_deadline_s >= self.gateway_timer_s:
            raise ValueError(
                f"dialogue_deadline_s ({self.dialogue_deadline_s:g}) must be below "
                f"gateway_timer_s ({self.gateway_timer_s:g}), or the network ends the dialogue first"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the command line before the environment, and the environment before the settings file."""
        options = init_settings()
        path = options.get("settings") or env_settings().get("settings")
        content = _read_toml(Path(path)) if path else {}
        return init_settings, env_settings, InitSettingsSource(settings_cls, content)


def load(options: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings in force, `options` being what the command line gave (None values are not given).

    Raises `SettingsError` with every mistake; unknown keys are reported before wrong values.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None and value != []}
    environment = {name.upper(): name for name in os.environ if name.upper().startswith(PREFIX)}
    mistakes = _unknown_variables(environment)
    file = given.get("settings") or os.environ.get(environment.get(_variable("settings"), ""))
    path = Path(file) if file else None
    if path is not None:
        mistakes += _unknown_keys(path)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False, include_context=False):
            # An unknown key was told of above; a default that is made of another setting needs that one mended.
            if details["type"] not in ("extra_forbidden", "default_factory_not_called"):
                mistakes.append(_mistake(details, given, environment, path))
    if mistakes:
        raise SettingsError(*mistakes)
    return settings


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    keys = {spelt: variable.removeprefix(PREFIX).lower() for variable, spelt in environment.items()}
    return [
        f"environment: unknown variable {spelt}{nearest(key, Settings.model_fields, _variable)}"
        for spelt, key in keys.items()
        if key not in Settings.model_fields
    ]


def _unknown_keys(path: Path) -> list[str]:
    known = Settings.model_fields.keys() - {"settings"}
    return [
        f"{path}:{_line(path, key)}: unknown key {key!r}{nearest(key, known)}"
        for key in _read_toml(path)
        if key not in known
    ]


def _mistake(details: ErrorDetails, given: Mapping[str, Any], environment: Mapping[str, str], path: Path | None) -> str:
    """Say what is wrong with a value, and where it was set."""
    key = str(details["loc"][0]) if details["loc"] else ""
    what = str(details["msg"]).removeprefix("Value error, ")
    if not key:
        return f"settings: {what}"
    # The library's own texts are sentences; ours may begin with what was typed.
    ours = details["type"] == "value_error"
    return f"{_written(key, given, environment, path)}: {what if ours else what[0].lower() + what[1:]}"


def _written(key: str, given: Mapping[str, Any], environment: Mapping[str, str], path: Path | None) -> str:
    """Name the place that set `key`."""
    if key in given:
        return f"--{key.replace('_', '-')}"
    if _variable(key) in environment:
        return f"environment: {environment[_variable(key)]}"
    return f"{path}:{_line(path, key)}: {key}" if path is not None else key


def _variable(key: str) -> str:
    return PREFIX + key.upper()


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--settings {path}: the file cannot be read: {cause(error)}") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", str(error))
        if place is None:
            raise SettingsError(f"{path}: not TOML: {error}") from None
        raise SettingsError(f"{path}:{place[2]}:{place[3]}: not TOML: {place[1]}") from None


def _line(path: Path, key: str) -> int:
    """Return the line that sets a top-level key: tomllib keeps no places, so it is looked for. 1 where it hides."""
    pattern = re.compile(rf"""^\s*\[*\s*["']?{re.escape(key)}["']?\s*[\].=]""")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if pattern.match(line):
            return number
    return 1


# For the documentation and the command line's help ------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One setting as a reader of the documentation sees it."""

    key: str
    variable: str
    default: str
    meaning: str


def describe() -> list[Setting]:
    """Return every setting in the order of the documentation."""
    return [
        Setting(key, _variable(key), _default(key, field), meaning(key)) for key, field in Settings.model_fields.items()
    ]


def meaning(key: str) -> str:
    """Return the one line that says what a setting is."""
    return Settings.model_fields[key].description or ""


def _default(key: str, field: FieldInfo) -> str:
    match key:
        case "store":
            return "sqlite:///<data>/ussd-server.db"
        case "flows":
            return "flows.yaml here, else the shipped one"
        case "catalogue":
            return "the shipped one"
    return "" if field.default in (None, ()) else str(field.default)
