"""The head of a flow file: its languages, currency and time zone, and for whom the service is there."""

from datetime import date, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

from menus import schema
from menus.availability import Availability
from menus.compiler.report import Report
from menus.compiler.wordings import Wordings
from menus.source import Path
from menus.style import Currency, Languages, Style


def read_style(head: schema.Head, report: Report) -> Style:
    """Read languages, currency and time zone."""
    languages = Languages(tuple(head.languages))
    written = head.currency
    if written is None:
        amounts = dict.fromkeys(languages.written, "{amount}")
        currency = Currency("XXX", 2, amounts, dict.fromkeys(languages.written, "0"))
    else:
        words = {key: str(value) for key, value in written.others.items()}
        currency = Currency(written.code, written.digits, words, written.free)
        for key in written.others:
            if key not in languages.declared and not languages.problems():
                report.unknown_key(("currency", key), [*schema.keys_of(schema.Currency), *languages.declared])
    style = Style(languages, currency, head.timezone)
    for problem in languages.problems() or style.problems():
        place: Path = ("currency",) if "currency" in problem.message else ("languages",)
        report.at_value(("timezone",) if "time zone" in problem.message else place, problem.message, problem.hint)
    return style


def read_availability(
    written: schema.Availability | None, timezone: str, wordings: Wordings, report: Report
) -> Availability | None:
    """Read on which days and for which numbers the service is there, and what others read."""
    if written is None:
        return None
    first = _midnight(("availability", "from"), written.first, 0, timezone, report, -inf)
    until = _midnight(("availability", "until"), written.until, 1, timezone, report, inf)
    if first >= until:
        report.at_value(("availability", "until"), "the service ends before it begins")
    outside = wordings.wording(("availability", "outside"), written.outside, {})
    numbers = ["*"] if written.numbers is None else written.numbers
    prefixes = tuple(number[:-1] for number in numbers if number.endswith("*"))
    exact = frozenset(number for number in numbers if not number.endswith("*"))
    return Availability(first, until, prefixes, exact, outside)


def _midnight(path: Path, day: str | None, later: int, timezone: str, report: Report, unbounded: float) -> float:
    """Return when a day, or the one `later` days after it, begins, in milliseconds; `unbounded` where there is none."""
    if day is None:
        return unbounded
    try:
        start = date.fromisoformat(day) + timedelta(days=later)
        zone = ZoneInfo(timezone)
    except (ValueError, OverflowError):
        report.at_value(path, f"{day!r} is no day", "as 2009-11-16")
        return unbounded
    except (KeyError, OSError):
        return unbounded  # said already of the time zone itself
    return int(datetime(start.year, start.month, start.day, tzinfo=zone).timestamp()) * 1000
