"""An outage is told when it begins, then seldom, and when it is over; however often something fails."""

from structlog.testing import capture_logs

from ussd_server.outage import AGAIN_MS, Outage

SECOND = 1_000
T0 = 1_790_000_000_000


def told(outage: Outage, failures: list[int], end: int | None = None) -> list[dict[str, object]]:
    """Return the lines of failures at these times (ms from T0), and of what works at the end."""
    with capture_logs() as logs:
        for at in failures:
            outage.failed(T0 + at, cause=f"at {at}")
        if end is not None:
            outage.worked(T0 + end)
    return [dict(line) for line in logs]


def test_it_is_told_at_the_beginning_once_a_minute_and_at_the_end() -> None:
    outage = Outage("store away", over="store back")
    each_second = [second * SECOND for second in range(125)]
    assert told(outage, each_second, 125 * SECOND) == [
        {"event": "store away", "log_level": "error", "cause": "at 0"},
        {"event": "store away", "log_level": "error", "cause": "at 60000", "lasts_seconds": 60, "times": 60},
        {"event": "store away", "log_level": "error", "cause": "at 120000", "lasts_seconds": 120, "times": 60},
        {"event": "store back", "log_level": "info", "lasted_seconds": 125},
    ]


def test_what_works_is_no_news_and_the_next_outage_is_told_at_once() -> None:
    outage = Outage("store away", over="store back")
    assert told(outage, [], 0) == []
    assert len(told(outage, [1, 2], 3)) == 2
    assert [line["cause"] for line in told(outage, [4, 5])] == ["at 4"]


def test_without_an_end_a_minute_of_quiet_is_one() -> None:
    outage = Outage("input refused")
    assert len(told(outage, [0, 1, 2], 3)) == 1
    assert [line["cause"] for line in told(outage, [4, 5, 5 + AGAIN_MS + 1])] == ["at 4", f"at {6 + AGAIN_MS}"]


def test_failures_out_of_order_are_one_outage() -> None:
    crossed = [at for second in range(20) for at in (second * SECOND + 5 * SECOND, second * SECOND)]
    assert [line["cause"] for line in told(Outage("input refused"), crossed)] == ["at 5000"]
    lines = told(Outage("store away"), [5 * SECOND, 0, 65 * SECOND, 64 * SECOND])
    assert [line["cause"] for line in lines] == ["at 5000", "at 65000"]


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    outage = Outage("store away", over="store back")
    hour = 3_600_000
    assert [line["cause"] for line in told(outage, [hour, 0, 1])] == [f"at {hour}", "at 0"]
    assert told(outage, [], -hour) == [{"event": "store back", "log_level": "info", "lasted_seconds": 0}]
