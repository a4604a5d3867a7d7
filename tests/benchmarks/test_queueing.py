"""The formulas of the capacity model agree with a simulation of the queues that they are about."""

import pytest

from benchmarks.capacity import closed_loop, group_size, latency, most_with_window, wait_for_core, wait_for_disk
from benchmarks.queueing import closed, poisson

SERVICE_S, FLUSH_S = 70e-6, 0.6e-3
TINY_S = 1e-9
"""Where a stage is to play no part."""


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_the_wait_for_the_core_is_that_of_pollaczek_and_khinchine(load: float) -> None:
    rate = load / SERVICE_S
    seen = poisson(rate, SERVICE_S, TINY_S, seconds=15_000 / rate)
    assert seen.latency - SERVICE_S == pytest.approx(wait_for_core(rate, SERVICE_S), rel=0.10)


@pytest.mark.parametrize("commits", [0.05, 0.5, 2, 10])
def test_a_flush_carries_what_came_during_the_one_before(commits: float) -> None:
    rate = commits / FLUSH_S
    seen = poisson(rate, TINY_S, FLUSH_S, seconds=8_000 / rate)
    assert seen.group == pytest.approx(group_size(rate, FLUSH_S), rel=0.05)
    assert seen.wait == pytest.approx(wait_for_disk(rate, FLUSH_S), rel=0.05)


@pytest.mark.parametrize("load", [0.2, 0.6, 0.8])
@pytest.mark.parametrize("flush_s", [0.1e-3, FLUSH_S, 8e-3])
def test_the_latency_of_a_step_is_that_of_core_and_disk(load: float, flush_s: float) -> None:
    rate = load / SERVICE_S
    seen = poisson(rate, SERVICE_S, flush_s, seconds=8_000 / rate)
    assert seen.latency == pytest.approx(latency(rate, SERVICE_S, flush_s), rel=0.10)


@pytest.mark.parametrize("width", [1, 8, 64, 256])
def test_dialogues_under_way_make_a_rate_between_the_bounds(width: int) -> None:
    seen = closed(width, SERVICE_S, FLUSH_S, seconds=0.3)
    least, most = closed_loop(width, SERVICE_S, FLUSH_S)
    assert least * 0.98 <= seen.rate <= most * 1.02
    assert seen.rate * seen.latency == pytest.approx(width, rel=0.05)  # Little; the ends of the run are not full


@pytest.mark.parametrize("window", [1, 10, 50])
@pytest.mark.parametrize("round_trip_s", [0.01, 0.05])
def test_a_window_lets_through_what_littles_law_says(window: int, round_trip_s: float) -> None:
    seen = closed(window, SERVICE_S, TINY_S, seconds=2.0, round_trip_s=round_trip_s)
    assert seen.rate == pytest.approx(most_with_window(window, round_trip_s, SERVICE_S), rel=0.08)


def test_what_is_admitted_beyond_capacity_has_a_bounded_latency_and_nothing_is_wasted() -> None:
    limit = round(0.02 / SERVICE_S)  # what is completed in so long
    seen = poisson(1.2 / SERVICE_S, SERVICE_S, FLUSH_S, seconds=0.5, limit=limit)
    assert seen.rate * SERVICE_S > 0.95  # the beginning and the end of the run are not full
    assert max(seen.latencies) < limit * SERVICE_S + 2 * FLUSH_S
    assert seen.refused / (seen.refused + len(seen.latencies)) == pytest.approx(1 - 1 / 1.2, rel=0.3)
    free = poisson(1.2 / SERVICE_S, SERVICE_S, FLUSH_S, seconds=0.5)
    assert max(free.latencies) > 2 * max(seen.latencies)  # without a limit the queue only grows


def test_a_seed_gives_the_same_run() -> None:
    runs = [poisson(5_000, SERVICE_S, FLUSH_S, seconds=0.2, seed=seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0].latencies != runs[2].latencies
