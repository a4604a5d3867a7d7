"""Plain ints are bumped by whoever works, and become Prometheus' families when they are read."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.metrics import TURN_SECONDS, Histogram, Metrics


def test_a_fresh_server_shows_its_gauges_at_zero() -> None:
    registry = Metrics().registry()
    assert registry.get_sample_value("ussd_server_outbox_under_way") == 0
    assert registry.get_sample_value("ussd_server_turns_under_way") == 0


def test_what_was_bumped_is_what_is_read() -> None:
    metrics = Metrics()
    registry = metrics.registry()
    metrics.turns["ussd", "answered"] += 2
    metrics.turns["sms", "late"] += 1
    metrics.pdus["in", "deliver_sm"] += 7
    metrics.pdu_errors["in", "truncated"] += 1
    metrics.suppressed["sms_limit"] += 4
    metrics.outbox["sms", "done"] += 5
    metrics.pushes["ask", "answered"] += 6
    metrics.dead_letters = {"sms": 2}
    metrics.terminal_requests["open_visit", "code-rejected"] += 3
    metrics.checks["wrong"] += 3
    metrics.checks_waiting = lambda: 2
    metrics.outbox_under_way = lambda: 9
    metrics.turns_under_way = lambda: 8
    metrics.clock_offset = -0.5
    metrics.links.update({"a": True, "b": False})

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"ussd_server_{name}", labels)

    assert value("turns_total", channel="ussd", result="answered") == 2
    assert value("turns_total", channel="sms", result="late") == 1
    assert value("pdus_total", direction="in", command="deliver_sm") == 7
    assert value("pdu_errors_total", direction="in", reason="truncated") == 1
    assert value("suppressed_total", reason="sms_limit") == 4
    assert value("outbox_performed_total", kind="sms", result="done") == 5
    assert value("dead_letters", kind="sms") == 2
    assert value("pushes_total", kind="ask", result="answered") == 6
    assert value("terminal_requests_total", operation="open_visit", result="code-rejected") == 3
    assert (value("code_checks_total", verdict="wrong"), value("code_checks_waiting")) == (3, 2)
    assert (value("outbox_under_way"), value("turns_under_way")) == (9, 8)
    assert value("clock_offset_seconds") == -0.5
    assert (value("link_bound", link="a"), value("link_bound", link="b")) == (1, 0)
    metrics.turned_away["b"] += 1
    assert (value("turned_away_total", link="a"), value("turned_away_total", link="b")) == (0, 1)
    assert (value("throttled_total", link="a"), value("store_reached")) == (0, 1)
    metrics.turns["ussd", "answered"] += 1
    assert value("turns_total", channel="ussd", result="answered") == 3


def test_a_turn_is_counted_in_every_bucket_that_it_fits() -> None:
    metrics = Metrics()
    registry = metrics.registry()
    metrics.turn_seconds["ussd"].observe(0.001)
    metrics.turn_seconds["ussd"].observe(60.0)

    def bucket(bound: str) -> float | None:
        return registry.get_sample_value("ussd_server_turn_seconds_bucket", {"channel": "ussd", "le": bound})

    assert (bucket("0.0005"), bucket("0.001"), bucket("15.0"), bucket("+Inf")) == (0, 1, 1, 2)
    assert registry.get_sample_value("ussd_server_turn_seconds_sum", {"channel": "ussd"}) == 60.001
    assert registry.get_sample_value("ussd_server_turn_seconds_count", {"channel": "ussd"}) == 2


@given(st.lists(st.floats(0, 100, allow_nan=False)))
def test_a_histogram_counts_like_the_definition(durations: list[float]) -> None:
    histogram = Histogram(TURN_SECONDS)
    for duration in durations:
        histogram.observe(duration)
    expected = [(str(bound), sum(duration <= bound for duration in durations)) for bound in TURN_SECONDS]
    assert histogram.cumulative() == [*expected, ("+Inf", len(durations))]
