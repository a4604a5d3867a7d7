"""The plan of faults."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos import plan
from tests.chaos.plan import Scene

SCENES = st.builds(
    Scene,
    servers=st.integers(1, 3),
    stores=st.integers(0, 3),
    people=st.integers(1, 40),
    without=st.frozensets(st.sampled_from(["pause", "slow disk", "full disk", "clock step", "forget", "copy"])),
    even=st.booleans(),
)


@given(st.integers(0, 10**6), SCENES)
def test_a_seed_gives_the_same_plan(seed: int, scene: Scene) -> None:
    """The same seed makes the same faults at the same times, within the time, none of those that cannot be done."""
    faults = plan.make(seed, 60, 50, scene)
    assert faults == plan.make(seed, 60, 50, scene)
    assert len(faults) == 50
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(0 <= fault.at < 60_000 for fault in faults)
    processes, people = max(scene.servers, scene.stores), plan.FORGOTTEN * scene.people
    assert all(fault.which < (people if fault.kind == "forget" else processes) for fault in faults)
    assert not {fault.kind for fault in faults} & scene.without


def test_another_seed_gives_another_plan() -> None:
    """Two seeds differ, and most faults kill."""
    scene = Scene(2, stores=1)
    first, second = plan.make(1, 600, 300, scene), plan.make(2, 600, 300, scene)
    assert first != second
    assert sum(plan.killed(fault, scene) for fault in first) > 200
    assert {fault.target for fault in first if fault.kind == "kill"} == {"server", "smsc", "store"}
