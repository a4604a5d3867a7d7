"""The formulas of the capacity model agree with a simulation of the queues that they are about."""

from dataclasses import replace

import pytest

from benchmarks.capacity import MEASURED, Group, Run, closed_loop, fitted, most_with_window, passing
from benchmarks.queueing import closed, poisson

ALONE = fitted(MEASURED.sqlite)
CROWD = ALONE.crowd(MEASURED.crowd)


@pytest.mark.parametrize("load", [0.01, 0.1, 0.3, 0.6, 0.8, 0.9])
@pytest.mark.parametrize("group", [ALONE, CROWD, CROWD.slower(2), replace(CROWD, flush_s=1e-3)])
def test_inputs_that_come_at_random_pass_as_computed(load: float, group: Group) -> None:
    rate = load / group.cpu_s()
    computed = passing(rate, group)
    seen = poisson(rate, group, seconds=max(12_000 / rate, 1_000 * computed.group_s))
    assert seen.size == pytest.approx(computed.size, rel=0.05)
    assert seen.wait == pytest.approx(computed.wait_s, rel=0.10)
    assert seen.latency == pytest.approx(computed.latency_s, rel=0.05)
    assert seen.busy == pytest.approx(computed.busy, rel=0.03)


@pytest.mark.parametrize("run", MEASURED.sqlite, ids=lambda run: f"W={run.width}")
def test_the_simulated_loop_and_the_computed_one_have_the_measured_latency(run: Run) -> None:
    seen = closed(run.width, ALONE, seconds=0.3)
    assert seen.rate == pytest.approx(closed_loop(run.width, ALONE), rel=0.03)
    assert seen.latency == pytest.approx(run.p50_s, rel=0.02 if run.width == 1 else 0.15)


@pytest.mark.parametrize("window", [1, 10, 50])
@pytest.mark.parametrize("round_trip_s", [0.01, 0.05])
def test_a_window_lets_through_what_littles_law_says(window: int, round_trip_s: float) -> None:
    seen = closed(window, CROWD, seconds=2.0, round_trip_s=round_trip_s)
    assert seen.rate == pytest.approx(most_with_window(window, round_trip_s, seen.latency), rel=0.08)


def test_what_is_admitted_beyond_capacity_has_a_bounded_latency_and_nothing_is_wasted() -> None:
    limit = round(0.02 / CROWD.each_s)  # what is completed in so long
    seen = poisson(1.2 / CROWD.each_s, CROWD, seconds=0.5, limit=limit)
    assert seen.rate * CROWD.each_s > 0.93  # the beginning and the end of the run are not full
    assert max(seen.latencies) < 2 * (limit * CROWD.each_s + CROWD.fixed_s + CROWD.flush_s)
    free = poisson(1.2 / CROWD.each_s, CROWD, seconds=0.5)
    assert seen.refused > 0 == free.refused
    assert max(free.latencies) > 2 * max(seen.latencies)  # without a limit the queue only grows


def test_a_seed_gives_the_same_run() -> None:
    runs = [poisson(5_000, CROWD, seconds=0.2, seed=seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0].latencies != runs[2].latencies
