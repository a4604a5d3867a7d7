"""A discrete-event simulation of a server's queues, to check the formulas of `benchmarks.capacity` against.

What is simulated is what the server does: whatever came while a group was worked on and written becomes the next group,
which takes its fixed time, that of each input and that of the disk. Arrivals are Poisson, or come from a fixed number
of dialogues that each send the next input when the last is answered. Times are seconds; the same seed gives the same
run.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

from benchmarks.capacity import Group

Steps = Generator[simpy.Event, Any, None]


@dataclass
class Seen:
    """What a run showed: latencies of the steps that were answered, sizes of the groups, inputs that were refused."""

    latencies: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """For the group to begin."""
    groups: list[int] = field(default_factory=list)
    refused: int = 0
    busy_s: float = 0.0
    """How long the core worked."""
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Return the steps answered a second."""
        return len(self.latencies) / self.seconds

    @property
    def latency(self) -> float:
        """Return the mean latency."""
        return sum(self.latencies) / len(self.latencies)

    @property
    def wait(self) -> float:
        """Return the mean wait for a group to begin."""
        return sum(self.waits) / len(self.waits)

    @property
    def size(self) -> float:
        """Return how many steps a group had in the mean."""
        return sum(self.groups) / len(self.groups)

    @property
    def busy(self) -> float:
        """Return the part of the time in which the core worked."""
        return self.busy_s / self.seconds


class Server:
    """A core and a disk. `limit` bounds what may be under way, 0 for no limit; what is more is refused."""

    def __init__(self, group: Group, seed: int, limit: int = 0) -> None:
        self.clock = simpy.Environment()
        self.random = Random(seed)
        self.seen = Seen()
        self._costs = group
        self._limit = limit
        self._line: list[tuple[float, simpy.Event]] = []
        self._working = False
        self._under_way = 0

    def step(self) -> Steps:
        """Handle one input, from its arrival until it is answered."""
        began = self.clock.now
        if self._limit and self._under_way >= self._limit:
            self.seen.refused += 1
            return
        self._under_way += 1
        durable = self.clock.event()
        self._line.append((began, durable))
        if not self._working:
            self._working = True
            self.clock.process(self._work())
        yield durable
        self._under_way -= 1
        self.seen.latencies.append(self.clock.now - began)

    def _work(self) -> Steps:
        yield self.clock.timeout(0)  # so that what comes at the same moment is one group
        while self._line:
            group, self._line = self._line, []
            self.seen.groups.append(len(group))
            self.seen.waits += [self.clock.now - came for came, _ in group]
            work_s = self._costs.fixed_s + len(group) * self._costs.each_s
            yield self.clock.timeout(work_s)
            self.seen.busy_s += work_s
            yield self.clock.timeout(self._costs.flush_s)
            for _, durable in group:
                durable.succeed()
            yield self.clock.timeout(0)  # who was answered may send the next at once
        self._working = False

    def run(self, seconds: float) -> Seen:
        """Let so much time pass, and return what was seen."""
        self.clock.run(until=seconds)
        self.seen.seconds = seconds
        return self.seen


def poisson(rate: float, group: Group, seconds: float, seed: int = 1, limit: int = 0) -> Seen:
    """Simulate inputs that come at random, so many a second in the mean."""
    server = Server(group, seed, limit)

    def arrivals() -> Steps:
        while True:
            yield server.clock.timeout(server.random.expovariate(rate))
            server.clock.process(server.step())

    server.clock.process(arrivals())
    return server.run(seconds)


def closed(width: int, group: Group, seconds: float, round_trip_s: float = 0.0, seed: int = 1) -> Seen:
    """Simulate `width` dialogues that are always under way, the SMSC so far away."""
    server = Server(group, seed)

    def dialogue() -> Steps:
        while True:
            yield server.clock.timeout(round_trip_s)
            yield server.clock.process(server.step())

    for _ in range(width):
        server.clock.process(dialogue())
    return server.run(seconds)
