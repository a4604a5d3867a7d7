"""A discrete-event simulation of a server's queues, to check the formulas of `benchmarks.capacity` against.

What is simulated is what the server does: one core that handles inputs in the order they come, and a store that writes
together whatever was committed while the disk was busy. Arrivals are Poisson, or come from a fixed number of dialogues
that each send the next input when the last is answered. Times are seconds; the same seed gives the same run.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

Steps = Generator[simpy.Event, Any, None]


@dataclass
class Seen:
    """What a run showed: latencies of the steps that were answered, sizes of the groups, inputs that were refused."""

    latencies: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """For the disk: from the commit to the end of the flush that carries it."""
    groups: list[int] = field(default_factory=list)
    refused: int = 0
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
        """Return the mean time that the disk took."""
        return sum(self.waits) / len(self.waits)

    @property
    def group(self) -> float:
        """Return how many commits a flush carried in the mean."""
        return sum(self.groups) / len(self.groups)

    def share(self, part: float) -> float:
        """Return the latency below which this part of all is."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Server:
    """A core and a disk. `limit` bounds what may be under way, 0 for no limit; what is more is refused."""

    def __init__(self, service_s: float, flush_s: float, seed: int, limit: int = 0) -> None:
        self.clock = simpy.Environment()
        self.random = Random(seed)
        self.seen = Seen()
        self._service_s = service_s
        self._flush_s = flush_s
        self._limit = limit
        self._core = simpy.Resource(self.clock, 1)
        self._waiting: list[simpy.Event] = []
        self._flushing = False
        self._under_way = 0

    def step(self) -> Steps:
        """Handle one input: the core's work, the commit, the flush."""
        began = self.clock.now
        if self._limit and self._under_way >= self._limit:
            self.seen.refused += 1
            return
        self._under_way += 1
        with self._core.request() as turn:
            yield turn
            yield self.clock.timeout(self._service_s)
        committed = self.clock.now
        yield self._committed()
        self._under_way -= 1
        self.seen.waits.append(self.clock.now - committed)
        self.seen.latencies.append(self.clock.now - began)

    def _committed(self) -> simpy.Event:
        durable = self.clock.event()
        self._waiting.append(durable)
        if not self._flushing:
            self._flushing = True
            self.clock.process(self._flush())
        return durable

    def _flush(self) -> Steps:
        while self._waiting:
            group, self._waiting = self._waiting, []
            self.seen.groups.append(len(group))
            yield self.clock.timeout(self._flush_s)
            for durable in group:
                durable.succeed()
        self._flushing = False

    def run(self, seconds: float) -> Seen:
        """Let so much time pass, and return what was seen."""
        self.clock.run(until=seconds)
        self.seen.seconds = seconds
        return self.seen


def poisson(rate: float, service_s: float, flush_s: float, seconds: float, seed: int = 1, limit: int = 0) -> Seen:
    """Simulate inputs that come at random, so many a second in the mean."""
    server = Server(service_s, flush_s, seed, limit)

    def arrivals() -> Steps:
        while True:
            yield server.clock.timeout(server.random.expovariate(rate))
            server.clock.process(server.step())

    server.clock.process(arrivals())
    return server.run(seconds)


def closed(
    width: int, service_s: float, flush_s: float, seconds: float, round_trip_s: float = 0.0, seed: int = 1
) -> Seen:
    """Simulate `width` dialogues that are always under way, the SMSC so far away."""
    server = Server(service_s, flush_s, seed)

    def dialogue() -> Steps:
        while True:
            yield server.clock.timeout(round_trip_s)
            yield server.clock.process(server.step())

    for _ in range(width):
        server.clock.process(dialogue())
    return server.run(seconds)
