"""Quiet hours end when the wall clock says so: over midnight, and on days on which it is put forward or back."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ussd_server.turns.quiet import MINUTE_MS, NO_QUIET_HOURS, QuietHours

BERLIN = ZoneInfo("Europe/Berlin")
"""Forward on 29 March 2026 at 02:00 to 03:00, back on 25 October 2026 at 03:00 to 02:00."""
ZONES = ("UTC", "Europe/Moscow", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu")
DAY_MS = 24 * 60 * MINUTE_MS
YEAR_2026 = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1000


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()) * 1000


def wall(ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).strftime("%H:%M")


def quiet(wall: str, written: str) -> bool:
    """Judge by the letters alone: HH:MM compare as times do."""
    first, last = written.split("-")
    return first <= wall < last if first < last else wall >= first or wall < last


@pytest.mark.parametrize(
    ("written", "now", "end"),
    [
        ("21:00-09:00", "2026-06-10T23:30", "2026-06-11T09:00"),
        ("21:00-09:00", "2026-06-10T03:30", "2026-06-10T09:00"),
        ("21:00-09:00", "2026-06-10T21:00", "2026-06-11T09:00"),
        ("21:00-09:00", "2026-06-10T09:00", None),
        ("21:00-09:00", "2026-06-10T20:59:59", None),
        ("13:00-14:30", "2026-06-10T13:15:20", "2026-06-10T14:30"),
        ("13:00-14:30", "2026-06-10T14:30", None),
        ("21:00-09:00", "2026-03-28T22:00", "2026-03-29T09:00"),  # a night of 11 hours
        ("21:00-09:00", "2026-10-24T22:00", "2026-10-25T09:00"),  # and one of 13
        ("21:00-02:30", "2026-03-28T22:00", "2026-03-29T03:00"),  # there is no 02:30 in that night
    ],
)
def test_they_end_by_the_wall_clock(written: str, now: str, end: str | None) -> None:
    assert QuietHours.parse(written, BERLIN).end(at(now)) == (None if end is None else at(end))


def test_an_hour_that_comes_twice_may_be_quiet_twice() -> None:
    hours = QuietHours.parse("21:00-02:30", BERLIN)
    first, second = at("2026-10-25T02:30"), at("2026-10-25T02:30", fold=1)
    assert hours.end(at("2026-10-24T22:00")) == first
    assert hours.end(first) is None
    assert hours.end(first + 30 * MINUTE_MS) == second


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    now=st.integers(YEAR_2026, YEAR_2026 + 365 * DAY_MS),
    first=st.integers(0, 1439),
    last=st.integers(0, 1439),
    inside=st.floats(0, 1, exclude_max=True),
)
@example(BERLIN, at("2026-03-28T22:00"), 21 * 60, 150, 0.9)
@example(BERLIN, at("2026-10-24T22:00"), 21 * 60, 150, 0.9)
def test_until_the_end_it_is_quiet_and_at_the_end_it_is_not(
    zone: ZoneInfo, now: int, first: int, last: int, inside: float
) -> None:
    if first == last:
        last = (first + 1) % 1440
    written = f"{first // 60:02}:{first % 60:02}-{last // 60:02}:{last % 60:02}"
    end = QuietHours.parse(written, zone).end(now)
    assert (end is not None) == quiet(wall(now, zone), written)
    if end is not None:
        assert now < end <= now + DAY_MS + 2 * 60 * MINUTE_MS
        assert not quiet(wall(end, zone), written)
        assert quiet(wall(end - 1, zone), written)
        assert quiet(wall(now + int((end - now) * inside), zone), written)


@given(now=st.integers(0, 2**43))
def test_without_quiet_hours_it_is_never_quiet(now: int) -> None:
    assert NO_QUIET_HOURS.end(now) is None
    assert QuietHours.parse("", BERLIN).end(now) is None


@pytest.mark.parametrize("text", ["21-9", "24:00-09:00", "21:00-09:60", "9:00-21:00", "21:00 - 09:00", "08:00-08:00"])
def test_what_is_no_time_of_day_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"quiet hours are written|they end when they begin"):
        QuietHours.parse(text, BERLIN)
