"""Where the records are kept, as it is written: a SQLite file, or Redis alone, in a Cluster or watched by Sentinels."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ussd_server.mistakes import cause, nearest
from ussd_server.secrecy.secrets import Secret

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MAX_REPLICAS: Final = 5
PREFIX: Final = "ussd"
LOCAL: Final = ("localhost", "::1")
"""Other names of 127.0.0.1."""
ESCAPES: Final = "in a name or password, write : @ / ? # % as %3A %40 %2F %3F %23 %25"

Kind: TypeAlias = Literal["alone", "cluster", "sentinel"]
_SCHEMES: Final[Mapping[str, tuple[Kind, bool]]] = {
    "redis": ("alone", False),
    "rediss": ("alone", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
}
FORMS: Final = (
    "sqlite:///PATH, redis://HOST:PORT/DATABASE, redis+sentinel://HOST:PORT,HOST:PORT/MASTER, "
    "redis+cluster://HOST:PORT,HOST:PORT"
)


@dataclass(frozen=True)
class SqliteUrl:
    """A SQLite file: `sqlite:///var/ussd-server.db`, with a fourth slash for an absolute path."""

    path: Path

    def __str__(self) -> str:
        return f"sqlite:///{self.path}"

    @property
    def known_as(self) -> str:
        """Return the same wherever one asks, and for no other file."""
        return f"sqlite:///{self.path.resolve()}"


@dataclass(frozen=True)
class RedisUrl:
    """Redis: `redis://[USER:PASSWORD@]HOST:PORT/DATABASE`, or of one of the other schemes; see docs/redis.md.

    `hosts` are the server, some servers of the Cluster, or the Sentinels; `master` is the name that they know it by.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    user: str = ""
    password: Secret[str] | None = None
    database: int = 0
    master: str = ""
    replicas: int = 0
    prefix: str = PREFIX
    buckets: int = 0
    ca_file: Path | None = None
    sentinel_password: Secret[str] | None = None

    def __str__(self) -> str:
        """Return what may be shown and says which store it is: the URL without passwords, and how it is reached."""
        scheme = next(name for name, form in _SCHEMES.items() if form == (self.kind, self.tls))
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        path = f"/{quote(self.master, safe='')}" if self.master else ""
        path += f"/{self.database}" if self.database or self.kind == "alone" else ""
        prefix = f"?prefix={self.prefix}" if self.prefix != PREFIX else ""
        return f"{scheme}://{f'{self.user}@' if self.user else ''}{hosts}{path}{prefix}"

    @property
    def known_as(self) -> str:
        """Return the same for every way to reach this store with these hosts, and for no other store."""
        hosts = sorted({("127.0.0.1" if host in LOCAL else host, port) for host, port in self.hosts})
        return str(RedisUrl(self.kind, tuple(hosts), database=self.database, master=self.master, prefix=self.prefix))

    def context(self) -> ssl.SSLContext | None:
        """Return what checks the servers' certificates, None without TLS. Raises ValueError for files not usable."""
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise ValueError(f"ca_file {self.ca_file} cannot be used: {cause(error)}") from None


StoreUrl: TypeAlias = SqliteUrl | RedisUrl


def parse(text: str) -> StoreUrl:
    """Read a store's URL; ValueError says what is wrong, and the mend, without repeating a password."""
    scheme, separator, rest = text.partition("://")
    if scheme in _SCHEMES and separator:
        return _redis(scheme, text)
    if scheme != "sqlite" or not rest.startswith("/") or not rest.strip("/"):
        shown = repr(text) if "@" not in text else f"{scheme}://..."
        raise ValueError(f"{shown} is not a store; write {FORMS} (sqlite:////PATH for an absolute path)")
    return SqliteUrl(Path(unquote(rest[1:])))


def _redis(scheme: str, text: str) -> RedisUrl:
    kind, tls = _SCHEMES[scheme]
    rest = text.partition("://")[2]
    if "#" in rest:
        raise ValueError(f"nothing may stand behind a # here ({ESCAPES})")
    # Not by urlsplit: it takes no second host in brackets.
    rest, _, query = rest.partition("?")
    place, _, behind = rest.partition("/")
    credentials, _, hosts = place.rpartition("@")
    user, colon, password = credentials.partition(":")
    options = _options(query)
    secret = options.pop("password", None)
    if colon and secret is not None:
        raise ValueError("give the password or password_file, not both")
    if colon and password:
        secret = Secret(unquote(password))
    if user and secret is None:
        raise ValueError("a user needs a password: write USER:PASSWORD@HOST, or add ?password_file=FILE")
    path = [unquote(part) for part in behind.split("/") if part]
    master = ""
    if kind == "sentinel":
        if not path:
            raise ValueError("say which master the Sentinels watch: redis+sentinel://HOST:PORT/MASTER")
        master = path.pop(0)
    elif options.get("sentinel_password") is not None:
        raise ValueError("sentinel_password_file is for redis+sentinel://")
    if len(path) > 1 or (path and kind == "cluster"):
        shown = f"'/{behind}'" if "@" not in behind else "all that stands behind the first /"  # it may be of a password
        raise ValueError("a Cluster has no databases" if kind == "cluster" else f"what is {shown}? ({ESCAPES})")
    read = RedisUrl(
        kind,
        _hosts(hosts, SENTINEL_PORT if kind == "sentinel" else REDIS_PORT, kind != "alone"),
        tls,
        unquote(user),
        secret,
        _whole("the database", path[0], 0, 1_000_000) if path else 0,
        master,
        **options,
    )
    if read.ca_file is not None and not tls:
        raise ValueError(f"ca_file is for TLS: write {scheme.replace('redis', 'rediss', 1)}://")
    read.context()
    return read


def _hosts(text: str, port: int, several: bool) -> tuple[tuple[str, int], ...]:
    found = []
    for one in text.split(","):
        try:
            url = urlsplit(f"//{one}")
            host, given = url.hostname, url.port
        except ValueError:
            raise ValueError(f"a port is a number from 1 to 65535 ({ESCAPES})") from None
        if not host:
            raise ValueError(f"write HOST:PORT behind the :// ({ESCAPES})")
        found.append((host, given or port))
    if len(found) > 1 and not several:
        raise ValueError("several hosts are for redis+cluster:// or redis+sentinel://")
    return tuple(found)


def _whole(what: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ValueError(f"{what} is a number from {least} to {most}")
    return int(text)


def _from_file(key: str) -> Callable[[str], Secret[str]]:
    def read(path: str) -> Secret[str]:
        try:
            return Secret(Path(path).read_text(encoding="utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{key} {path} cannot be read: {cause(error)}") from None

    return read


def _prefix(text: str) -> str:
    if not text or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum() or len(text) > 32:
        raise ValueError("prefix is up to 32 letters, digits, - and _")
    return text


def _buckets(text: str) -> int:
    number = _whole("buckets", text, 1, 16_384)
    if number & (number - 1):
        raise ValueError("buckets is a power of two")
    return number


class Option(NamedTuple):
    """What may stand behind the ? of a Redis URL: the field that it fills, what reads it, and words for a reader."""

    field: str
    read: Callable[[str], Any]
    form: str
    meaning: str


OPTIONS: Final[Mapping[str, Option]] = {
    "password_file": Option(
        "password", _from_file("password_file"), "FILE", "the password, which so stays out of the list of processes"
    ),
    "sentinel_password_file": Option(
        "sentinel_password", _from_file("sentinel_password_file"), "FILE", "the Sentinels' own password"
    ),
    "replicas": Option(
        "replicas",
        lambda text: _whole("replicas", text, 0, MAX_REPLICAS),
        "0",
        "a commit is acknowledged only when so many replicas have it, too",
    ),
    "prefix": Option(
        "prefix", _prefix, PREFIX, "what every key begins with, so that several services may share a Redis"
    ),
    "ca_file": Option(
        "ca_file", Path, "FILE", "authorities (PEM) that may have signed the servers' certificates; else the system's"
    ),
    "buckets": Option(
        "buckets",
        _buckets,
        "256",
        "shares that subscribers are spread over, a power of two; only what the first start of all says counts",
    ),
}


def _options(query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS and "@" in query:  # it may be of a password
            raise ValueError(f"unknown option after the ? ({ESCAPES})")
        if key not in OPTIONS:
            raise ValueError(f"unknown option {key!r} after the ?{nearest(key, OPTIONS)}")
        field, read, *_ = OPTIONS[key]
        if field in found:
            raise ValueError(f"{key} is given twice")
        found[field] = read(value)
    return found
