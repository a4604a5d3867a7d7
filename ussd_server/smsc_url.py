"""One operator connection as it is written: an SMSC's URL, and every option that may stand behind its `?`.

`OPTIONS` is the one list of them: it reads them, and the help and the documentation are made from it.
"""

import ssl
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from smpp.alphabets import Alphabet, alphabet_of
from smpp.constants import DataCoding, Npi, Status, Ton
from smpp.receipts import Base
from smpp.segments import STYLES, Style
from ussd_server.dialects.files import shipped
from ussd_server.dialects.files import usable as usable_dialect
from ussd_server.mistakes import cause, nearest
from ussd_server.secrecy.secrets import Secret

SMPP_PORT = 2775  # IANA: smpp
SMPPS_PORT = 3550  # IANA: ssmpp
# SMPP 3.4 §4.1.1, each without its closing NUL.
MAX_SYSTEM_ID = 15
MAX_PASSWORD = 8
MAX_SYSTEM_TYPE = 12
MAX_ADDRESS_RANGE = 40
MAX_WINDOW = 1000
MAX_BINDS = 32
MAX_TIMER_S = 3600

Bind: TypeAlias = Literal["trx", "txrx"]


@dataclass(frozen=True)
class SmscUrl:
    """`smpp://SYSTEM_ID:PASSWORD@HOST:PORT?OPTION=VALUE&...`; what each option is says its row of `OPTIONS`.

    Names end in their unit where they have one. `rate` None is as fast as the window allows. Alphabet and codings None
    are what the dialect says for USSD, and GSM 03.38 for SMS.
    """

    system_id: str
    password: Secret[str]
    host: str
    port: int
    tls: bool = False
    bind: Bind = "trx"
    binds: int = 1
    dialect: str = "standard"
    window: int = 10
    rate: float | None = None
    system_type: str = ""
    address_ton: int = Ton.UNKNOWN
    address_npi: int = Npi.UNKNOWN
    address_range: str = ""
    source_ton: int = Ton.UNKNOWN
    source_npi: int = Npi.ISDN
    dest_ton: int = Ton.INTERNATIONAL
    dest_npi: int = Npi.ISDN
    default_alphabet: Alphabet | None = None
    sms_gsm: int = DataCoding.DEFAULT
    sms_ucs2: int = DataCoding.UCS2
    ussd_gsm: int | None = None
    ussd_ucs2: int | None = None
    response_id: Base = "opaque"
    receipt_id: Base = "opaque"
    long: Style = "udh8"
    receipts: bool = True
    retry: frozenset[int] = frozenset()
    enquire_s: float = 30.0
    response_s: float = 30.0
    bind_s: float = 15.0
    inactivity_s: float = 0.0
    outbind_id: str = ""
    outbind_password: Secret[str] | None = None
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def __str__(self) -> str:
        """Return what may be shown: the URL without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"smpp{'s' if self.tls else ''}://{self.system_id}@{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the URL; ValueError says what is wrong, and the mend, without repeating the password."""
        scheme, separator, _ = text.partition("://")
        if not separator or scheme not in ("smpp", "smpps"):
            raise ValueError("an SMSC is written smpp://SYSTEM_ID:PASSWORD@HOST:PORT, or smpps:// for TLS")
        url = urlsplit(text)
        escapes = "in a name or password, write : @ / ? # % as %3A %40 %2F %3F %23 %25"
        if url.path.strip("/") or url.fragment or not url.hostname or not url.username:
            raise ValueError(f"not {scheme}://SYSTEM_ID:PASSWORD@HOST:PORT ({escapes})")
        try:
            port = url.port
        except ValueError:
            raise ValueError(f"the port is not a number from 1 to 65535 ({escapes})") from None
        options = _query(url.query)
        file = options.pop("password_file", None)
        if (outbind_file := options.pop("outbind_password_file", None)) is not None:
            options["outbind_password"] = _password(None, outbind_file, "outbind_password_file")
        if scheme == "smpps" and not options.setdefault("tls", True):
            raise ValueError("tls=0 after smpps://: write smpp:// for a connection without TLS")
        read = cls(
            _octets("SYSTEM_ID", unquote(url.username), MAX_SYSTEM_ID),
            _password(url.password, file),
            url.hostname,
            port or (SMPPS_PORT if options.get("tls") else SMPP_PORT),
            **options,
        )
        read._check()
        return read

    def _check(self) -> None:
        """Refuse options that do not go together, and files that cannot be used."""
        for key in ("ca_file", "certificate", "key", "server_name"):
            if getattr(self, key) and not self.tls:
                raise ValueError(f"{key} is for TLS: write smpps://, or add tls=1")
        if self.outbind_id and self.outbind_password is None:
            raise ValueError("outbind_id goes with outbind_password_file=FILE: an outbind is believed by its password")
        if self.outbind_password is not None and (self.tls or self.bind != "trx" or self.binds > 1):
            raise ValueError("where the SMSC calls us (outbind_password_file) there is one transceiver, without TLS")
        if self.key is not None and self.certificate is None:
            raise ValueError("key belongs to a certificate: add certificate=FILE")
        if self.ca_file is not None or self.certificate is not None:
            self.context()

    def context(self) -> ssl.SSLContext | None:
        """Return what to connect with, None without TLS. The certificate of the other side is always checked.

        With `ca_file` only its authorities count, else those of the system. Raises ValueError where a file cannot be
        used.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(
                f"ca_file={self.ca_file}: no certificates (PEM) can be read there: {cause(error)}"
            ) from None
        if self.certificate is not None:
            try:
                # An empty password: OpenSSL would ask the terminal for that of an encrypted key.
                context.load_cert_chain(self.certificate, self.key, password="")
            except OSError as error:
                what = f"certificate={self.certificate}" + (f", key={self.key}" if self.key else "")
                raise ValueError(
                    f"{what}: the certificate (PEM) or its key cannot be used: {cause(error)}; "
                    "the key is unencrypted, in key=FILE or in the same file"
                ) from None
        return context

    @property
    def check_name(self) -> str | None:
        """The name that the certificate must be for, where it is not the host of the URL."""
        return self.server_name or None if self.tls else None


# The options --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """One option as it is read and as a reader of the documentation sees it. `read` raises ValueError with the mend."""

    key: str
    form: str
    meaning: str
    read: Callable[[str], Any]

    @property
    def default(self) -> str:
        """Return the default as it would be written, "" for none."""
        return _DEFAULTS.get(self.key, "")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise ValueError(f"it is a whole number from {least} to {most}")
        return int(text)

    return read


def _one_of(*known: str, what: str = "") -> Callable[[str], Any]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"it is {what or ' or '.join(known)}")
        return text

    return read


def _number_kind(kind: type[Ton] | type[Npi]) -> Callable[[str], int]:
    """Read a type of number or numbering plan; a mistake names them all."""

    def read(text: str) -> int:
        known = {str(member.value): int(member) for member in kind}
        if text not in known:
            every = ", ".join(f"{member.value} {member.name.lower().replace('_', ' ')}" for member in kind)
            raise ValueError(f"it is one of {every}")
        return known[text]

    return read


def _coding(alphabet: Alphabet) -> Callable[[str], int]:
    def read(text: str) -> int:
        coding = _octet(text)
        if alphabet_of(coding) != alphabet:
            known = ", ".join(f"0x{code:02X}" for code in range(256) if _is_usual(code, alphabet))
            raise ValueError(f"that data_coding does not say {alphabet}; those that do: {known}")
        return coding

    return read


def _is_usual(code: int, alphabet: Alphabet) -> bool:
    """Return whether a data_coding names this alphabet by itself, and not as one that nobody assigned."""
    return alphabet_of(code) == alphabet and (code == 0 or alphabet_of(code, "latin-1") == alphabet)


def _octet(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 255:
        raise ValueError("it is a number from 0 to 255, or 0x00 to 0xFF")
    return value


def _statuses(text: str) -> frozenset[int]:
    try:
        found = frozenset(int(one, 0) for one in text.split(","))
    except ValueError:
        found = frozenset((-1,))
    if not all(Status.ROK < one <= 0xFFFFFFFF for one in found):
        raise ValueError("it is statuses with commas between, as in 0x45,0x401")
    return found


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise ValueError("it is submits a second, above 0")
    return rate


def _seconds(least: float, off: bool = False) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not (least <= seconds <= MAX_TIMER_S or (off and seconds == 0)):
            raise ValueError(f"it is seconds from {least:g} to {MAX_TIMER_S}" + (", or 0 for never" if off else ""))
        return seconds

    return read


def _text(what: str, limit: int) -> Callable[[str], str]:
    return lambda text: _octets(what, text, limit)


def _flag(what: str) -> Callable[[str], bool]:
    def read(text: str) -> bool:
        if text not in ("0", "1"):
            raise ValueError(f"it is 1 for {what} or 0")
        return text == "1"

    return read


def _file(text: str) -> Path:
    if not text:
        raise ValueError("it is the path of a file")
    return Path(text)


_ALPHABETS: Final = ("gsm", "ascii", "latin-1", "iso-8859-5", "iso-8859-8")
_BINDS: Final = "trx (one transceiver) or txrx (a transmitter and a receiver)"
_BASES: Final = "opaque (compared as it is), dec or hex"
_TON, _NPI = _number_kind(Ton), _number_kind(Npi)

OPTIONS: Final = {
    option.key: option
    for option in (
        Option("password_file", "FILE", "the password from a file, and none in the URL", str),
        Option(
            "bind", "trx, txrx", "one transceiver, or a transmitter and a receiver", _one_of("trx", "txrx", what=_BINDS)
        ),
        Option(
            "binds", f"1 to {MAX_BINDS}", "how many connections: of transceivers, or of pairs", _whole(1, MAX_BINDS)
        ),
        Option(
            "dialect",
            "NAME or FILE",
            "how this gateway spells USSD: " + ", ".join(shipped()) + ", or a file of your own",
            usable_dialect,
        ),
        Option(
            "window",
            f"1 to {MAX_WINDOW}",
            "how many of our PDUs may wait for their response on a connection; ask the operator",
            _whole(1, MAX_WINDOW),
        ),
        Option(
            "rate", "NUMBER", "submits a second, each part of a long SMS one; without it, as the window allows", _rate
        ),
        Option("system_type", "TEXT", "`system_type` of the bind", _text("it", MAX_SYSTEM_TYPE)),
        Option("address_range", "TEXT", "`address_range` of the bind", _text("it", MAX_ADDRESS_RANGE)),
        Option("address_ton", "0 to 6", "`addr_ton` of the bind", _TON),
        Option("address_npi", "0 to 18", "`addr_npi` of the bind", _NPI),
        Option(
            "source_ton", "0 to 6", "type of number of an SMS's sender that is digits; of a name it is always 5", _TON
        ),
        Option(
            "source_npi", "0 to 18", "numbering plan of an SMS's sender that is digits; of a name it is always 0", _NPI
        ),
        Option("dest_ton", "0 to 6", "type of number of an SMS's recipient", _TON),
        Option("dest_npi", "0 to 18", "numbering plan of an SMS's recipient", _NPI),
        Option(
            "default_alphabet",
            ", ".join(_ALPHABETS),
            "what `data_coding` 0 means at this SMSC, both ways; without it `gsm`, for USSD what the dialect says",
            _one_of(*_ALPHABETS),
        ),
        Option("sms_gsm", "0, 0x0F ...", "`data_coding` of an SMS in the GSM alphabet", _coding("gsm")),
        Option("sms_ucs2", "8, 0x18 ...", "`data_coding` of an SMS in UCS-2", _coding("ucs2")),
        Option(
            "ussd_gsm",
            "0, 0x0F ...",
            "`data_coding` of a screen in the GSM alphabet; without it the dialect's",
            _coding("gsm"),
        ),
        Option(
            "ussd_ucs2", "8, 0x48 ...", "`data_coding` of a screen in UCS-2; without it the dialect's", _coding("ucs2")
        ),
        Option(
            "response_id",
            "opaque, dec, hex",
            "how `submit_sm_resp` writes the message id, where receipts write it otherwise",
            _one_of("opaque", "dec", "hex", what=_BASES),
        ),
        Option("receipt_id", "opaque, dec, hex", "how receipts write it", _one_of("opaque", "dec", "hex", what=_BASES)),
        Option(
            "long",
            ", ".join(STYLES),
            "how an SMS of several parts goes: a header with a reference of 8 or 16 bits, TLVs, or one message_payload",
            _one_of(*STYLES),
        ),
        Option(
            "receipts",
            "0, 1",
            "whether a receipt is asked for with each SMS, so that the journal tells how it ended",
            _flag("receipts"),
        ),
        Option("retry", "0x45,0x401 ...", "more statuses after which the same SMS is tried again later", _statuses),
        Option(
            "enquire_s", "1 to 3600", "after so much silence `enquire_link` asks whether the SMSC is there", _seconds(1)
        ),
        Option("response_s", "1 to 3600", "how long a response may take", _seconds(1)),
        Option("bind_s", "1 to 3600", "how long connecting and binding may take, each", _seconds(1)),
        Option(
            "inactivity_s",
            "0, 1 to 3600",
            "after so long without a message the connection is unbound and bound anew; 0: never",
            _seconds(1, off=True),
        ),
        Option(
            "outbind_password_file",
            "FILE",
            "the SMSC calls us: HOST:PORT is where we listen, and an outbind with the password in FILE gets our bind",
            str,
        ),
        Option("outbind_id", "TEXT", "`system_id` of that outbind; without it any", _text("it", MAX_SYSTEM_ID)),
        Option("tls", "0, 1", "TLS from the first byte, as `smpps://` says as well", _flag("TLS")),
        Option(
            "ca_file", "FILE", "authorities (PEM) that may have signed the SMSC's certificate; else the system's", _file
        ),
        Option("certificate", "FILE", "our own certificate (PEM), where the SMSC asks for one", _file),
        Option("key", "FILE", "its private key (PEM), where it is in a file of its own", _file),
        Option(
            "server_name", "NAME", "the name that the SMSC's certificate is for, where it is not HOST", _text("it", 253)
        ),
    )
}
"""Every option, in the order of the documentation."""


def _written(value: object) -> str:
    match value:
        case None | "" | frozenset():
            return ""
        case bool():
            return str(int(value))
        case float():
            return f"{value:g}"
        case int():
            return str(int(value))
    return str(value)


_DEFAULTS: Final = {field.name: _written(field.default) for field in fields(SmscUrl) if field.default is not MISSING}


def _query(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise ValueError(f"unknown option {key!r} after the ?{nearest(key, OPTIONS)}")
        if key in options:
            raise ValueError(f"{key} is given twice")
        try:
            options[key] = OPTIONS[key].read(value)
        except ValueError as error:
            raise ValueError(f"{key}={value}: {error}") from None
    return options


def _octets(what: str, text: str, limit: int) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{what} has characters outside printable ASCII")
    if len(text) > limit:
        raise ValueError(f"{what} is longer than the {limit} octets that SMPP 3.4 carries")
    return text


def _password(quoted: str | None, file: str | None, key: str = "password_file") -> Secret[str]:
    if quoted is not None and file is not None:
        raise ValueError("give the password or password_file, not both")
    if file is not None:
        try:
            text = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{key} {file} cannot be read: {cause(error)}") from None
    elif quoted is not None:
        text = unquote(quoted)
    else:
        raise ValueError("no password: write SYSTEM_ID:PASSWORD@HOST, or add ?password_file=FILE")
    return Secret(_octets("the password", text, MAX_PASSWORD))
