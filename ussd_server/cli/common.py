"""What the commands share: where they print, how they fail, and the options that several of them have."""

import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer
from rich.console import Console

from ussd_server.settings import Settings, SettingsError, meaning
from ussd_server.subscribers.msisdn import NotSubscriber, parse

EXIT_FAILED = 1
EXIT_USAGE = 2

_SPAN: Final = re.compile(r"([1-9][0-9]{0,4}) ?(s|min|h|d)")
_UNITS_MS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class Failure(Exception):
    """The work failed for a reason that the operator can mend. The text is one line: what and where, and the mend."""


class Interrupted(Exception):
    """A signal has ended the work before it was done. The text says what becomes of it."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.exit_code = 128 + number


def console() -> Console:
    """Return where results go. Colours and the terminal's width only where it is one."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def complain(text: str) -> None:
    """Write an error as one line, whatever the terminal's width."""
    _say("[bold red]error:[/]", text)


def warn(text: str) -> None:
    """Write a warning likewise; the work goes on."""
    _say("[bold yellow]warning:[/]", text)


def _say(what: str, text: str) -> None:
    place = Console(stderr=True, highlight=False, soft_wrap=True)
    place.print(what, end=" ")
    place.print(" ".join(text.split()), markup=False)


def confirmed(question: str) -> bool:
    """Ask a person. Raises SettingsError where nobody is there to answer; who breaks off has said no."""
    try:
        return typer.confirm(question)
    except typer.Abort:
        if sys.stdin.isatty():
            print(file=sys.stderr)
            return False
        raise SettingsError("nobody has answered, so nothing was done; --yes does it without asking") from None


def now() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def moment(at: int) -> str:
    """Return a time (ms) as every command prints one: `2026-11-24 07:00:00Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(option: str, written: str) -> int:
    """Return a time that a person wrote, as `10 min`, in ms. Raises SettingsError that names the option."""
    found = _SPAN.fullmatch(written.strip())
    if found is None:
        raise SettingsError(f"{option} {written}: a time is written as 30 s, 10 min, 2 h or 1 d")
    return int(found[1]) * _UNITS_MS[found[2]]


def subscriber_number(text: str, settings: Settings) -> str:
    """Return the MSISDN that a person wrote. Raises SettingsError where it is no subscriber's number."""
    number = parse(text, country=settings.country)
    if isinstance(number, NotSubscriber):
        raise SettingsError(f"MSISDN {text!r}: not a subscriber's number ({number.reason}); write it as 79101234567")
    return number


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with the cells under each other."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


SettingsFile: TypeAlias = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help=meaning("settings"), show_default=False)
]
# A text, not a path: an empty one, as of a shell variable that is not set, would be the working directory.
Data: TypeAlias = Annotated[str | None, typer.Option("--data", metavar="DIR", help=meaning("data") + " [./var]")]
Store: TypeAlias = Annotated[str | None, typer.Option("--store", metavar="URL", help=meaning("store"))]
Http: TypeAlias = Annotated[
    str | None, typer.Option("--http", metavar="HOST:PORT", help=meaning("http") + " [127.0.0.1:8080]")
]
Smpp: TypeAlias = Annotated[
    str | None, typer.Option("--smpp", metavar="HOST:PORT", help=meaning("smpp") + " [127.0.0.1:2775]")
]
Dialect: TypeAlias = Annotated[
    str | None, typer.Option("--dialect", metavar="NAME|FILE", help=meaning("dialect") + " [standard]")
]
SimulatorReceipts: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--simulator-receipts",
        metavar="END",
        help=meaning("simulator_receipts") + ": delivered, failed or expired [delivered]",
    ),
]
SimulatorLong: TypeAlias = Annotated[
    str | None, typer.Option("--simulator-long", metavar="STYLE", help=meaning("simulator_long") + " [udh8]")
]
Flows: TypeAlias = Annotated[Path | None, typer.Option("--flows", metavar="FILE", help=meaning("flows"))]
Catalogue: TypeAlias = Annotated[Path | None, typer.Option("--catalogue", metavar="FILE", help=meaning("catalogue"))]
LogFormat: TypeAlias = Annotated[
    str | None, typer.Option("--log-format", metavar="FORMAT", help=meaning("log_format") + " [auto]")
]
LogLevel: TypeAlias = Annotated[
    str | None,
    typer.Option("--log-level", metavar="LEVEL", help=meaning("log_level") + ": debug, info, warning or error [info]"),
]
Msisdn: TypeAlias = Annotated[str, typer.Argument(metavar="MSISDN", help="A subscriber's number, as 79101234567")]
