"""The capacity model adds up."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import (
    ASSUMED,
    MEASURED,
    Deployment,
    Group,
    Run,
    binds,
    closed_loop,
    demand,
    fitted,
    fitting,
    in_peak,
    kept,
    most_subscribers,
    most_with_window,
    passing,
    server_costs,
    slower,
    uses,
)
from benchmarks.scaling.cases import DEPLOYMENTS

SIZES = st.integers(1_000, 200_000_000)
COSTS = st.floats(1e-6, 1e-3)


def test_a_million_subscribers_ask_for_what_their_habits_make() -> None:
    asked = demand(1_000_000)
    a_second = 1_000_000 * ASSUMED.dialogues_a_day * ASSUMED.busy_hour_share / 3600 * ASSUMED.peak
    assert asked.dialogues == pytest.approx(a_second)
    assert asked.steps == pytest.approx(asked.dialogues * ASSUMED.steps)
    assert asked.sessions == pytest.approx(asked.dialogues * ASSUMED.session_s)


@pytest.mark.parametrize("runs", [MEASURED.sqlite, MEASURED.redis])
def test_the_fitted_costs_are_near_what_was_measured_and_next_to_it_when_alone(runs: tuple[Run, ...]) -> None:
    group = fitted(runs)
    for run in runs:
        assert group.cpu_s(run.width) == pytest.approx(run.cpu_s, rel=0.02 if run.width == 1 else 0.10)
    assert 1 / closed_loop(1, group) == pytest.approx(runs[0].p50_s, rel=0.02)


@given(COSTS, COSTS)
def test_costs_that_are_just_so_are_found(fixed_s: float, each_s: float) -> None:
    group = Group(fixed_s, each_s, 1e-4)
    runs = [Run(width, group.cpu_s(width), 1.0, group.cpu_s(width) + 1e-4) for width in (1, 16, 64, 256)]
    found = fitted(runs)
    assert (found.fixed_s, found.each_s, found.flush_s) == pytest.approx((fixed_s, each_s, 1e-4), rel=1e-5)


def test_a_crowd_gets_its_part_of_the_steps() -> None:
    group = fitted(MEASURED.sqlite)
    assert group.cpu_s() / group.crowd(0.5).cpu_s() == pytest.approx(0.5)
    assert group.crowd(1.0) == pytest.approx(group)
    assert group.slower(2).cpu_s(7) == pytest.approx(2 * group.cpu_s(7))


@given(st.floats(0.001, 0.98), COSTS, COSTS, st.floats(0, 1e-2))
def test_more_inputs_make_larger_groups_and_wait_longer(
    load: float, fixed_s: float, each_s: float, flush_s: float
) -> None:
    group = Group(fixed_s, each_s, flush_s)
    seen, more = (passing(part * load / each_s, group) for part in (1, 1.01))
    assert 1 <= seen.size <= more.size * 1.000001
    assert fixed_s + each_s + flush_s <= seen.latency_s <= more.latency_s * 1.000001
    assert load <= seen.busy <= 1.000001


def test_a_step_alone_waits_for_nobody_and_with_more_than_a_core_can_do_there_is_no_end() -> None:
    group = Group(1e-4, 5e-5, 1e-3)
    assert passing(1e-6, group).latency_s == pytest.approx(1e-4 + 5e-5 + 1e-3)
    assert passing(20_000, group).latency_s == math.inf


def test_the_journal_grows_until_its_bound_and_by_each_order() -> None:
    days = ASSUMED.journal_entries / ASSUMED.sms / ASSUMED.dialogues_a_day
    assert kept(0).redis == MEASURED.redis_subscriber
    assert kept(days / 365 / 2).sms == pytest.approx(ASSUMED.journal_entries / 2)
    year, more = kept(1), kept(2)
    assert more.sms == year.sms == ASSUMED.journal_entries
    assert more.redis - year.redis == pytest.approx(ASSUMED.orders_a_year * MEASURED.redis_order_entries)
    assert more.sqlite - year.sqlite == pytest.approx(ASSUMED.orders_a_year * MEASURED.sqlite_order_entries)


def test_sms_are_charged_to_redis() -> None:
    on, none = Deployment("some", 2, 3, 1), replace(ASSUMED, sms=0.0)
    asked = demand(10_000_000)
    for part in ("core", "network", "disk"):
        with_sms, without = (
            next(
                use.used
                for use in uses(demand(10_000_000, each), on, assumed=each)
                if use.resource == f"{part} of a Redis"
            )
            for each in (ASSUMED, none)
        )
        assert with_sms > without
    core = next(use.used for use in uses(asked, on) if use.resource == "core of a Redis")
    apart = MEASURED.clusters[-1].redis
    work = asked.steps * MEASURED.redis_cpu_s * apart + asked.sms * MEASURED.sms_redis_cpu_s
    assert core == pytest.approx(work / 3 / ASSUMED.utilisation)


def test_a_step_costs_servers_and_masters_more_on_a_cluster_than_on_one_redis() -> None:
    alone, most = Deployment("one", 2, 1), MEASURED.clusters[-1]
    cluster = Deployment("Cluster", 2, most.masters)
    assert server_costs(cluster).step_s == pytest.approx(server_costs(alone).step_s * most.server)
    bare = replace(ASSUMED, sms=0.0)
    asked = demand(1_000_000, bare)
    cores = [
        next(use.used for use in uses(asked, on, assumed=bare) if use.resource == "core of a Redis")
        for on in (cluster, alone)
    ]
    assert cores[0] == pytest.approx(cores[1] * most.redis / most.masters)


@given(SIZES, st.integers(0, 2))
def test_what_fits_has_room_and_one_server_less_has_not(subscribers: int, replicas: int) -> None:
    asked = demand(subscribers)
    on = fitting(subscribers, replicas)
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
    assert most_subscribers(DEPLOYMENTS[0], slower()) < most_subscribers(DEPLOYMENTS[0])
    assert most_subscribers(on, replace(MEASURED, redis_subscriber=10_000.0)) < here
    assert most_subscribers(on, assumed=replace(ASSUMED, dialogues_a_day=30)) < here
    assert most_subscribers(on, assumed=replace(ASSUMED, years=0.0)) > here


def test_binds_carry_what_is_sent_within_their_windows() -> None:
    asked = demand(100_000_000)
    carried = binds(asked) * most_with_window(ASSUMED.window, ASSUMED.round_trip_s, in_peak().latency_s)
    assert (asked.steps + asked.sms) / carried <= ASSUMED.utilisation
