"""A server whose clock is not the store's says so once, and once when it is again."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from ussd_server.stores.base import ClockReading
from ussd_server.stores.clock import LIMIT_MS, Clock
from ussd_server.stores.sqlite.store import SqliteStore


class Told(SqliteStore):
    """A store that says of the clock what it is given."""

    def __init__(self, *readings: ClockReading | None) -> None:
        self.readings = iter(readings)

    async def read_clock(self, now: Callable[[], int]) -> ClockReading | None:
        return next(self.readings)


def looked(*readings: ClockReading | None) -> tuple[list[tuple[str, str]], list[str], list[float]]:
    """Look at each of these, and return what the log says, what is wrong after each look, and what it returned."""
    wrong, returned = [], []

    async def body() -> None:
        clock = Clock(Told(*readings), "redis://one", lambda: 0)
        for _ in readings:
            returned.append(await clock.look())
            wrong.append(clock.wrong)

    with capture_logs() as logs:
        asyncio.run(body())
    return [(line["log_level"], line["event"]) for line in logs], wrong, returned


def test_a_clock_that_is_wrong_is_said_once_and_once_when_it_is_right_again() -> None:
    far, near = ClockReading(60_000, 2), ClockReading(40, 2)
    logs, wrong, returned = looked(near, far, far, near, near)
    assert logs == [("warning", "clock differs from the store's"), ("info", "clock is the store's again")]
    assert wrong == ["", *["60.0 s ahead of the store's: see to NTP"] * 2, "", ""]
    assert returned == [0.04, 60.0, 60.0, 0.04, 0.04]


def test_a_clock_that_is_behind_is_wrong_too() -> None:
    _, wrong, returned = looked(ClockReading(-7_500, 2))
    assert (wrong, returned) == (["7.5 s behind the store's: see to NTP"], [-7.5])


@pytest.mark.parametrize("ahead", [LIMIT_MS + 10, LIMIT_MS - 10])
def test_an_answer_that_took_too_long_to_tell_changes_nothing(ahead: int) -> None:
    slow = ClockReading(ahead, 20)
    assert looked(slow) == ([], [""], [0.0])
    _, wrong, returned = looked(ClockReading(9_000, 1), slow)
    assert [bool(each) for each in wrong] == [True, True]
    assert returned == [9.0, 9.0]


def test_a_store_without_a_clock_of_its_own_has_this_one() -> None:
    assert looked(None) == ([], [""], [0.0])
