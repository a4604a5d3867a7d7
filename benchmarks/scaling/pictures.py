"""The document's pictures, as SVG."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from benchmarks.capacity import fitting, passing, slower
from benchmarks.chart import Axis, chart
from benchmarks.scaling.cases import CAPACITY, CROWD, NEW


def latency_picture() -> str:
    """Return latency by load, for four disks."""
    loads = [step / 100 for step in range(2, 98)]
    lines = {
        f"disk {round(flush * 1000, 2):g} ms": [
            (load * 100, passing(load * CAPACITY, replace(CROWD, flush_s=flush)).latency_s * 1000) for load in loads
        ]
        for flush in (CROWD.flush_s, 1e-3, 3e-3, 8e-3)
    }
    across = Axis("of what the core can do", [(value, f"{value} %") for value in range(0, 101, 20)])
    up = Axis("ms a step", [(0.1, "0.1"), (1, "1"), (10, "10"), (100, "100")], logarithmic=True)
    return chart("Mean latency of a step, one server on SQLite", across, up, lines)


def size_picture() -> str:
    """Return servers and Redis masters by subscribers."""
    sizes = [10 ** (5 + step / 20) for step in range(61)]
    fits = [(size, fitting(round(size))) for size in sizes]
    across = Axis(
        "subscribers",
        [(1e5, "100,000"), (1e6, "1 million"), (1e7, "10 million"), (1e8, "100 million")],
        logarithmic=True,
    )
    up = Axis("how many", [(1, "1"), (3, "3"), (10, "10"), (30, "30")], logarithmic=True)
    lines = {
        "server processes": [(size, float(on.servers)) for size, on in fits],
        "on slow cores": [(size, float(fitting(round(size), measured=slower()).servers)) for size in sizes],
        "Redis masters": [(size, float(on.masters)) for size, on in fits],
        "on the first day": [(size, float(fitting(round(size), assumed=NEW).masters)) for size in sizes],
    }
    return chart("What the peak of the busy hour needs", across, up, lines)


PICTURES: Mapping[str, Callable[[], str]] = {"latency": latency_picture, "sizes": size_picture}
