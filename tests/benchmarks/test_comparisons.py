"""What the benchmarks conclude from runs of two contenders."""

from dataclasses import replace

import pytest

from benchmarks.on_redis import OnRedis, sharing
from benchmarks.peers import KANNEL, OURS, SPOOLED, Run, goals, middle

RUN = Run(OURS, 64, 9_000.0, 1.0, 2.0, {"server": 100.0}, 10.0)
OTHER = Run(KANNEL, 64, 700.0, 88.0, 95.0, {"bearerbox": 140.0, "smsbox": 170.0, "page": 20.0}, 10.0)
ONE = OnRedis("one", 256, 12_000.0, 20.0, 40.0, server_us=80.0, redis_us=20.0, log_octets=1.0, network_octets=1.0)


def test_of_several_runs_the_one_with_the_middle_rate_counts() -> None:
    rates = (9_000.0, 1_000.0, 8_000.0)
    runs = [replace(RUN, rate=rate) for rate in rates] + [OTHER, replace(RUN, width=1, rate=5.0)]
    assert [(run.who, run.width, run.rate) for run in middle(runs)] == [
        (OURS, 64, 8_000.0),
        (KANNEL, 64, 700.0),
        (OURS, 1, 5.0),
    ]


def test_each_contender_is_judged_at_its_best_and_without_the_page() -> None:
    wide = replace(OTHER, width=768, rate=3_000.0)
    rate, cpu = goals([RUN, OTHER, wide, replace(RUN, width=1, rate=900.0)])
    assert rate.reached
    assert rate.measured.startswith("3.00 times")
    assert cpu.reached
    assert cpu.measured.startswith("0.32: 100 and 310")
    rate, cpu = goals([replace(RUN, rate=8_900.0, cpu_us={"server": 104.0}), wide])
    assert not rate.reached
    assert not cpu.reached


def test_the_server_is_judged_beside_each_way_to_run_kannel() -> None:
    spooled = replace(OTHER, who=SPOOLED, rate=1_000.0, cpu_us={"bearerbox": 600.0, "smsbox": 200.0, "page": 20.0})
    judged = goals([RUN, replace(OTHER, rate=4_500.0), spooled])
    assert [(goal.what.rpartition(" beside ")[2], goal.reached) for goal in judged] == [
        (KANNEL, False),
        (KANNEL, True),
        (SPOOLED, True),
        (SPOOLED, True),
    ]


def test_without_the_peer_there_is_nothing_to_judge() -> None:
    assert goals([RUN]) == []


@pytest.mark.parametrize(
    ("server_us", "redis_us", "times"),
    [
        (80.0, 20.0, 2.0),  # sharing costs nothing
        (100.0, 20.0, 1.6),
        (80.0, 64.0, 1.25),  # Redis has no room for two
    ],
)
def test_two_servers_on_one_core_tell_what_they_would_make_on_two(
    server_us: float, redis_us: float, times: float
) -> None:
    two = replace(ONE, rate=11_000.0, server_us=server_us, redis_us=redis_us)
    computed = sharing(ONE, two, cores=2)
    assert computed.computed
    assert computed.times == pytest.approx(times)
    measured = sharing(ONE, two, cores=4)
    assert not measured.computed
    assert measured.times == pytest.approx(11 / 12)
