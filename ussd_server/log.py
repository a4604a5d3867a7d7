"""Logging: one line an event, as JSON or for a person's eyes, without secrets and without whole subscriber numbers.

Ours goes through structlog, that of aiohttp and other libraries through the standard library's logging; both end in
the same processors. No logger is bound to a request: what a line needs is said where it is logged.
"""

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal, TextIO, TypeAlias, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ussd_server.secrecy.secrets import Secret

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Format: TypeAlias = Literal["auto", "json", "console"]

NUMBER_KEYS: Final = frozenset(
    {"msisdn", "source", "destination", "source_addr", "destination_addr", "sender", "recipient", "subscriber"}
)
"""Names of fields that hold a subscriber's number, where it is masked even if it is short."""
SECRET_KEYS: Final = frozenset({"password", "passwd", "secret", "token", "pin", "access_code", "authorization"})
"""Names of fields that are dropped whatever they hold."""
SERVICE_NUMBER: Final = 6
"""Digits of the longest short code, which is a service and nobody's number."""
FULL_NUMBER: Final = 11
"""Digits from which eight of a number may be shown; shorter ones show four."""
DEPTH: Final = 8
"""How deep values are looked into; what lies deeper is not shown."""

# E.164 numbers have at most 15 digits. Letters around it make it an id; a `*` is what masking left.
_NUMBER_IN_TEXT: Final = re.compile(r"(?<![0-9A-Za-z*])\+?\d{11,15}(?![0-9A-Za-z*])")


def mask(msisdn: str) -> str:
    """Return the number as a log may show it, `7910***4567`; short codes and names of senders stay as they are."""
    digits = msisdn.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return _NUMBER_IN_TEXT.sub(lambda found: mask(found[0]), msisdn)
    if len(digits) <= SERVICE_NUMBER:
        return msisdn
    shown = 4 if len(digits) >= FULL_NUMBER else 2
    return f"{digits[:shown]}***{digits[-shown:]}"


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop secrets and mask numbers: by type, by the field's name, and wherever a text holds a whole number."""
    return {key: _clean(key, value, DEPTH) for key, value in event.items() if not _secret(key, value)}


def _one_line(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Escape what is no character in the message; the console's renderer does it for the fields."""
    message = str(event.get("event", ""))
    if not message.isprintable():
        event["event"] = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in message)
    return event


class _Unfailing:
    """A stream that may be gone (its reader ended, the disk is full): then a line is lost, and never a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure(
    level: Level = "info", style: Format = "auto", stream: TextIO | None = None, colours: bool = True
) -> None:
    """Set up all logging of the process, to standard error by default.

    `auto` is for a person on a terminal and JSON elsewhere; `colours` are for a terminal alone. May be called again.
    """
    stream = sys.stderr if stream is None else stream
    terminal = stream.isatty()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        # To plain text without variables, before the redaction, so that it is looked through as well.
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = structlog.processors.JSONRenderer()
    if style == "console" or (style == "auto" and terminal):
        shared.append(_one_line)
        renderer = structlog.dev.ConsoleRenderer(
            colors=terminal and colours,
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,
        )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Unfailing(stream))),
        cache_logger_on_first_use=False,
    )
    _route_standard_logging(stream, threshold, [structlog.stdlib.add_logger_name, *shared], renderer)


def _route_standard_logging(stream: TextIO, threshold: int, shared: list[Processor], renderer: Processor) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    # A request's path may name a subscriber, and we count requests elsewhere.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # It tells every transition, several lines a step.
    logging.getLogger("transitions").setLevel(logging.WARNING)


def _secret(key: Any, value: Any) -> bool:
    return isinstance(value, Secret) or (isinstance(key, str) and key.lower() in SECRET_KEYS)


def _clean(key: Any, value: Any, depth: int) -> Any:
    """Return the value as it may be shown."""
    match value:
        case str():
            return mask(value) if key in NUMBER_KEYS else _NUMBER_IN_TEXT.sub(lambda found: mask(found[0]), value)
        case int() if key in NUMBER_KEYS:
            return mask(str(value))
        case None | bool() | int() | float():
            return value
        case _ if depth == 0:
            return "..."
        case Mapping():
            return {name: _clean(name, each, depth - 1) for name, each in value.items() if not _secret(name, each)}
        case list() | tuple() | set() | frozenset():
            return [_clean(key, each, depth - 1) for each in value if not _secret(key, each)]
        case _:
            return _clean(key, repr(value), depth)
