"""What is counted, kept as plain ints that cost nothing to bump, and shown to Prometheus when it asks.

The hot path touches dicts and lists of ints only; all of Prometheus' objects are made at scrape time.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

TURN_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 15.0)
"""Upper bounds of the buckets of a turn: from a step of the engine alone to the gateway's timer."""


LOOP_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the buckets of the event loop's lag; above 0.02 subscribers begin to notice."""


class Histogram:
    """Counts of observed seconds by bucket; a bucket holds what is at most its bound, the last one the rest."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return the buckets as Prometheus wants them: upper bound, and how many were at most that."""
        sums: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            running += count
            sums.append((bound, running))
        return sums


def _counts() -> "defaultdict[Any, int]":
    return defaultdict(int)


@dataclass(slots=True, eq=False, repr=False)
class Metrics:
    """The server's numbers. Whoever does the work bumps them: `metrics.turns["ussd", "answered"] += 1`.

    Counters start at zero by themselves. Whoever knows sets `links` to what is now, and puts what returns it into
    `outbox_under_way`, `turns_under_way` and the like, which are asked at scrape time.
    """

    turns: defaultdict[tuple[str, str], int] = field(default_factory=_counts)
    """Turns by channel and result (`answered`, `repeated`, `late`, `failed` ...)."""
    turn_seconds: defaultdict[str, Histogram] = field(
        default_factory=lambda: defaultdict(lambda: Histogram(TURN_SECONDS))
    )
    """How long a turn took from the read of its octets to the answer, by channel."""
    pdus: defaultdict[tuple[str, str], int] = field(default_factory=_counts)
    """PDUs by direction (`in`, `out`) and command."""
    pdu_errors: defaultdict[tuple[str, str], int] = field(default_factory=_counts)
    """PDUs that could not be read or were refused, by direction and reason."""
    suppressed: defaultdict[str, int] = field(default_factory=_counts)
    """Inputs that were left without an answer on purpose, by reason."""
    letters: defaultdict[str, int] = field(default_factory=_counts)
    """Long SMS that came in parts, by result: `whole`, or why what came of them was given up."""
    receipts: defaultdict[str, int] = field(default_factory=_counts)
    """Receipts that came in, by the state that they tell, `unreadable` where they tell none."""
    deliveries: defaultdict[str, int] = field(default_factory=_counts)
    """SMS of ours by how they ended; `unmatched` are final receipts of no SMS that is awaited."""
    outbox: defaultdict[tuple[str, str], int] = field(default_factory=_counts)
    """Outbox entries that were performed, by kind and result."""
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    """How many entries of each kind were given up and wait for a person, as last asked of the store."""
    clock_offset: float = 0.0
    """By how many seconds this server's clock was ahead of the store's when they were compared last."""
    store_reached: int = 1
    """Whether the store answered when it was asked last, every 15 s."""
    store_risks: int = 0
    """In how many ways the store could lose what it acknowledged, as it was set up when that was looked at last."""
    pushes: defaultdict[tuple[str, str], int] = field(default_factory=_counts)
    """Pushes that ended, by kind (`notify`, `ask`, "" not known yet) and result (`turns/pushes.py` names them)."""
    terminal_requests: defaultdict[tuple[str, str], int] = field(default_factory=_counts)
    """Terminals' requests by operation and result (`ok`, or the name of the problem)."""
    checks: defaultdict[str, int] = field(default_factory=_counts)
    """Entries of access codes that were evaluated, by verdict (`accepted`, `wrong`, `locked`, `expired`)."""
    checks_waiting: Callable[[], int] = int
    """Returns how many entries wait for their evaluation."""
    housekeeping_failed: defaultdict[str, int] = field(default_factory=_counts)
    """Defects in what is done from time to time, by what it was."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(LOOP_LAG_SECONDS))
    """How late the event loop was when it was to wake at a given time."""
    links: dict[str, bool] = field(default_factory=dict)
    """Whether messages flow both ways between us and each SMSC, by its name."""
    binds: dict[str, int] = field(default_factory=dict)
    """How many connections to each SMSC are bound."""
    throttled: defaultdict[str, int] = field(default_factory=_counts)
    """Messages that an SMSC refused because we were too fast, by its name."""
    sms_waiting: dict[str, Callable[[], int]] = field(default_factory=dict)
    """Return how many parts of SMS wait for each SMSC, or for its response."""
    screens_waiting: dict[str, Callable[[], int]] = field(default_factory=dict)
    """Return how many screens wait for each SMSC's window."""
    turned_away: defaultdict[str, int] = field(default_factory=_counts)
    """New dialogues that each SMSC was told to keep, for there was no room for a text either."""
    sms_limit: dict[str, Callable[[], float]] = field(default_factory=dict)
    """Return how many parts of SMS a second each SMSC gets at most, 0 for no limit."""
    outbox_under_way: Callable[[], int] = int
    """Returns how many outbox entries this server performs now."""
    turns_under_way: Callable[[], int] = int
    """Returns how many turns have begun and have no answer yet."""
    turns_waiting: Callable[[], int] = int
    """Returns how many of these wait for their commit."""
    turns_limit: Callable[[], int] = int
    """Returns how many may, before new dialogues are refused."""
    standing_delay: Callable[[], float] = float
    """Returns the least delay that turns of the last moment had, seconds."""
    shed: Callable[[], Mapping[str, int]] = dict
    """Returns what was refused for too much to do, by kind."""

    def registry(self) -> CollectorRegistry:
        """Return a registry of its own that reads these numbers, and the process's, whenever it is scraped."""
        registry = CollectorRegistry()
        registry.register(_Reader(self))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        return registry


class _Reader(Collector):
    """Shows `Metrics` as Prometheus' families."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Make every family from the numbers as they are now."""
        metrics = self._metrics
        yield _counter("turns", "Inputs handled to the end", ("channel", "result"), metrics.turns.items())
        yield _histogram("turn_seconds", "From an input to its answer", ("channel",), metrics.turn_seconds)
        yield _counter("pdus", "PDUs", ("direction", "command"), metrics.pdus.items())
        yield _counter("pdu_errors", "PDUs unreadable or refused", ("direction", "reason"), metrics.pdu_errors.items())
        yield _counter("suppressed", "Inputs left without an answer on purpose", ("reason",), _each(metrics.suppressed))
        yield _counter(
            "long_sms", "Long SMS that came in parts, whole or given up", ("result",), _each(metrics.letters)
        )
        yield _counter("receipts", "Receipts of SMS by what they tell", ("state",), _each(metrics.receipts))
        yield _counter("sms_ended", "SMS of ours by how they ended", ("outcome",), _each(metrics.deliveries))
        yield _counter("outbox_performed", "Outbox entries performed", ("kind", "result"), metrics.outbox.items())
        yield _gauge("dead_letters", "Work given up that waits for a person", "kind", metrics.dead_letters)
        yield _now("store_reached", "Whether the store answered when it was asked last", metrics.store_reached)
        yield _now("store_risks", "Ways to lose what was acknowledged, as the store is set up", metrics.store_risks)
        yield _now(
            "clock_offset_seconds", "By how much this server's clock is ahead of the store's", metrics.clock_offset
        )
        yield _counter("pushes", "Pushes that ended", ("kind", "result"), metrics.pushes.items())
        requests = metrics.terminal_requests.items()
        yield _counter("terminal_requests", "Terminals' requests", ("operation", "result"), requests)
        yield _counter("code_checks", "Access codes evaluated", ("verdict",), _each(metrics.checks))
        yield _now("code_checks_waiting", "Access codes that wait for their evaluation", metrics.checks_waiting())
        yield _counter(
            "housekeeping_failed",
            "Defects in what is done from time to time",
            ("work",),
            _each(metrics.housekeeping_failed),
        )
        yield _histogram("loop_lag_seconds", "How late the event loop wakes", (), {"": metrics.loop_lag})
        yield _gauge("link_bound", "Whether messages flow both ways between us and an SMSC", "link", metrics.links)
        yield _gauge("binds", "Connections to an SMSC that are bound", "link", metrics.binds)
        yield _counter(
            "throttled", "Messages that an SMSC refused as too fast", ("link",), self._by_link(metrics.throttled)
        )
        yield _gauge(
            "screens_waiting", "Screens that wait for the SMSC's window", "link", _asked(metrics.screens_waiting)
        )
        yield _counter(
            "turned_away", "New dialogues refused without a text", ("link",), self._by_link(metrics.turned_away)
        )
        yield _gauge(
            "sms_waiting", "Parts of SMS that wait for their turn or a response", "link", _asked(metrics.sms_waiting)
        )
        yield _gauge("sms_limit", "Parts of SMS a second at most, 0 for no limit", "link", _asked(metrics.sms_limit))
        yield _now("outbox_under_way", "Outbox entries that this server performs now", metrics.outbox_under_way())
        yield _now("turns_under_way", "Turns begun and not answered yet", metrics.turns_under_way())
        waiting_turns, limit = metrics.turns_waiting(), metrics.turns_limit()
        yield _now("turns_waiting", "Turns that wait for their commit", waiting_turns)
        yield _now("turns_limit", "How many may, before what is new is refused", limit)
        yield _now("standing_delay_seconds", "The least delay that turns of late had", metrics.standing_delay())
        yield _counter("shed", "What was refused for too much to do", ("kind",), _each(metrics.shed()))

    def _by_link(self, counts: Mapping[str, int]) -> Iterable[tuple[Sequence[str], int]]:
        """Return the counts of every link, also of one that has counted none: a rise from nothing would be missed."""
        return _each({**dict.fromkeys(self._metrics.links, 0), **counts})


def _counter(name: str, about: str, labels: Sequence[str], counts: Iterable[tuple[Sequence[str], int]]) -> Metric:
    family = CounterMetricFamily(f"ussd_server_{name}", about, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _each(counts: Mapping[str, int]) -> Iterable[tuple[Sequence[str], int]]:
    """Return what is counted by one label as `_counter` takes it."""
    return (((value,), count) for value, count in counts.items())


def _histogram(name: str, about: str, labels: Sequence[str], by_label: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"ussd_server_{name}", about, labels=labels)
    for value, histogram in by_label.items():
        family.add_metric((value,) if labels else (), histogram.cumulative(), histogram.total)
    return family


def _gauge(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"ussd_server_{name}", about, labels=(label,))
    for of, value in values.items():
        family.add_metric((of,), value)
    return family


def _asked(values: Mapping[str, Callable[[], float]]) -> Mapping[str, float]:
    """Return what each says now."""
    return {of: value() for of, value in values.items()}


def _now(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"ussd_server_{name}", about, value)
