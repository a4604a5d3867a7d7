"""The capacity model adds up, and docs/scaling.md says what it says."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import (
    ASSUMED,
    DEPLOYMENTS,
    DOCS,
    MEASURED,
    PICTURES,
    Deployment,
    binds,
    closed_loop,
    demand,
    filled,
    fitting,
    group_size,
    latency,
    most_subscribers,
    most_with_window,
    picture_path,
    uses,
    wait_for_core,
    wait_for_disk,
)

SIZES = st.integers(1_000, 200_000_000)
RATES = st.floats(0.1, 50_000)
MENDED = "run python -m benchmarks.capacity --write"


def test_the_document_and_its_pictures_are_as_the_model_says() -> None:
    document = (DOCS / "scaling.md").read_text(encoding="utf-8")
    assert document.count("<!-- table ") == document.count("<!-- end -->") == 7
    assert filled(document) == document, MENDED
    for name, picture in PICTURES.items():
        assert picture_path(name).read_text(encoding="utf-8") == picture(), MENDED
        assert f"images/{picture_path(name).name}" in document


def test_a_million_subscribers_ask_for_what_their_habits_make() -> None:
    asked = demand(1_000_000)
    a_second = 1_000_000 * ASSUMED.dialogues_a_day * ASSUMED.busy_hour_share / 3600 * ASSUMED.peak
    assert asked.dialogues == pytest.approx(a_second)
    assert asked.steps == pytest.approx(asked.dialogues * ASSUMED.steps)
    assert asked.sessions == pytest.approx(asked.dialogues * ASSUMED.session_s)


def test_without_load_a_step_waits_for_one_flush_and_at_full_load_without_end() -> None:
    assert latency(1e-6, 50e-6, 1e-3) == pytest.approx(50e-6 + 1e-3, rel=1e-3)
    assert wait_for_disk(0, 1e-3) == 1e-3
    assert wait_for_core(20_000, 50e-6) == math.inf
    assert group_size(1e-6, 1e-3) == pytest.approx(1)
    assert group_size(50_000, 1e-3) == pytest.approx(50)


@given(RATES, st.floats(1e-5, 1e-2))
def test_the_disk_costs_one_flush_to_one_and_a_half(rate: float, flush_s: float) -> None:
    assert flush_s <= wait_for_disk(rate, flush_s) <= 1.5 * flush_s
    assert group_size(rate, flush_s) >= 1
    assert group_size(rate, flush_s) >= rate * flush_s  # flushes back to back carry all that comes


@given(st.integers(1, 4096), st.floats(1e-6, 1e-3), st.floats(1e-6, 1e-1))
def test_more_dialogues_under_way_are_never_slower_and_never_beyond_the_core(
    width: int, service_s: float, flush_s: float
) -> None:
    least, most = closed_loop(width, service_s, flush_s)
    more_least, more_most = closed_loop(width + 1, service_s, flush_s)
    assert least <= most * 1.000001 <= 1.000002 / service_s
    assert (least, most) <= (more_least * 1.000001, more_most * 1.000001)


@given(SIZES, st.integers(0, 2))
def test_what_fits_has_room_and_one_server_less_has_not(subscribers: int, replicas: int) -> None:
    asked = demand(subscribers)
    on = fitting(asked, replicas)
    assert uses(asked, on)[0].used <= 1
    assert on.masters == 1 or on.masters >= 3  # a Cluster has three
    if on.servers > 1:
        less = uses(asked, replace(on, servers=on.servers - 1))
        assert less[0].used > 1


@pytest.mark.parametrize("on", DEPLOYMENTS, ids=lambda on: on.name)
def test_a_deployment_is_full_at_the_most_that_it_has_room_for(on: Deployment) -> None:
    most = most_subscribers(on)
    assert 0.98 < uses(demand(most), on)[0].used <= 1
    assert uses(demand(round(most * 1.02)), on)[0].used > 1


def test_a_costlier_step_or_a_smaller_redis_has_room_for_fewer() -> None:
    on = Deployment("some", 8, 1, 1)
    here = most_subscribers(on)
    assert most_subscribers(on, replace(MEASURED, redis_subscriber=10_000.0)) < here
    assert most_subscribers(on, assumed=replace(ASSUMED, dialogues_a_day=30)) < here
    assert most_subscribers(replace(on, servers=1)) < here


def test_binds_carry_what_is_sent_within_their_windows() -> None:
    asked = demand(100_000_000)
    carried = binds(asked) * most_with_window(ASSUMED.window, ASSUMED.round_trip_s, MEASURED.redis_step_s)
    assert (asked.steps + asked.sms) / carried <= ASSUMED.utilisation
