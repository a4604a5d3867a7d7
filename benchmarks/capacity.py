"""How much of everything so many subscribers need, and what runs out first. Pure.

What was measured is in `MEASURED`, what is assumed of people, networks and machines in `ASSUMED`; `benchmarks.scaling`
makes docs/scaling.md of it. Times are seconds, sizes octets.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ussd_server.channels.intake import TOGETHER
from ussd_server.stores.base import EVIDENCE_ENTRIES, JOURNAL_ENTRIES

MB, GB, TB = 1e6, 1e9, 1e12
HOUR_S, DAYS_A_YEAR = 3_600.0, 365.0


@dataclass(frozen=True)
class Run:
    """One row of a measured table: dialogues under way, CPU time a step, steps a second, the median latency."""

    width: int
    cpu_s: float
    rate: float
    p50_s: float


@dataclass(frozen=True)
class Group:
    """What inputs cost that are handled together: once for the group, for each of them, and of the disk."""

    fixed_s: float
    each_s: float
    flush_s: float

    def cpu_s(self, size: float = TOGETHER) -> float:
        """Return the CPU time a step in groups of this size; more than `TOGETHER` are not handed in at once."""
        return self.fixed_s / min(size, TOGETHER) + self.each_s

    def crowd(self, factor: float) -> "Group":
        """Return the costs of a crowd, for whom full groups do this part of a closed loop's: each step costs more."""
        return replace(self, each_s=self.cpu_s() / factor - self.fixed_s / TOGETHER)

    def slower(self, times: float) -> "Group":
        """Return the costs on a core that takes so many times as long; the disk is the same."""
        return replace(self, fixed_s=self.fixed_s * times, each_s=self.each_s * times)


def fitted(runs: Iterable[Run]) -> Group:
    """Return the costs of which the measured CPU times differ least, relative to each (least squares).

    What is left of the latency of one dialogue alone, beside its CPU time, is the disk's.
    """
    runs = list(runs)
    shares = [(1 / min(run.width, TOGETHER) / run.cpu_s, 1 / run.cpu_s) for run in runs]
    uu, uv, vv = (sum(products) for products in zip(*((u * u, u * v, v * v) for u, v in shares), strict=True))
    u1, v1 = (sum(each) for each in zip(*shares, strict=True))
    whole = uu * vv - uv * uv
    alone = min(runs, key=lambda run: run.width)
    return Group((u1 * vv - v1 * uv) / whole, (v1 * uu - u1 * uv) / whole, alone.p50_s - alone.cpu_s)


@dataclass(frozen=True)
class OnCluster:
    """What a step costs on a Cluster of so many masters, of what it costs in the same minutes on one Redis.

    `server` is the server's CPU time, `redis` that of all masters together.
    """

    masters: int
    server: float
    redis: float


@dataclass(frozen=True)
class Measured:
    """Costs of a step and of a subscriber; docs/scaling.md says on what machine and how they were got."""

    sqlite: tuple[Run, ...]
    redis: tuple[Run, ...]
    crowd: float
    """Of a closed loop's steps/s, those that a crowd gets of whom each thinks before it answers."""
    sharing: float
    """What a step costs a server with others on its Redis, of what it costs it alone."""
    clusters: tuple[OnCluster, ...]
    """By masters; more than the last of them cost a step what the last one does."""
    slow: float
    """How many times as long a slow core takes for all of it."""
    redis_cpu_s: float
    sms_s: float
    """Of the server on SQLite, without the receipt."""
    sms_redis_cpu_s: float
    """With the receipt, as the two below."""
    sms_redis_octets: float
    sms_redis_log_octets: float
    smpp_octets: float
    redis_octets: float
    redis_log_octets: float
    sqlite_log_octets: float
    redis_subscriber: float
    redis_disk_subscriber: float
    redis_journal: float
    """What the first entry of a journal takes beside itself."""
    redis_sms_entry: float
    redis_order_entries: float
    sqlite_subscriber: float
    sqlite_sms_entry: float
    sqlite_order_entries: float
    session_octets: float
    server_octets: float


# One run of `make bench` and `python -m benchmarks --only redis`: 29 November 2026, commit 31504c4, a virtual Intel
# Xeon with two cores, Debian 12, CPython 3.11.2, Redis 7.0. What is not of that run has a remark.
MEASURED = Measured(
    sqlite=(
        Run(1, 176.9e-6, 3_907, 0.24e-3),
        Run(16, 46.5e-6, 17_453, 0.85e-3),
        Run(64, 34.4e-6, 23_782, 2.50e-3),
        Run(256, 35.6e-6, 27_712, 8.59e-3),
    ),
    redis=(
        Run(1, 187.6e-6, 3_056, 0.30e-3),
        Run(16, 61.9e-6, 11_994, 1.10e-3),
        Run(64, 51.7e-6, 13_734, 3.93e-3),
        Run(256, 46.3e-6, 20_249, 11.16e-3),
    ),
    # `make soak` of commit d9f8bfc on this machine: 14,855 steps/s in the mean of the ten minutes of its peak, where a
    # closed loop had 23,440. To be replaced by what `make soak` says of another machine.
    # `of_a_crowd` of benchmarks/scaling/sentences.py says where it is from, too.
    crowd=0.63,
    # An older run had 122 and 109 µs; this one 49.4 beside 52.5, which is noise. The worse of both.
    sharing=1.12,
    # `python -m benchmarks --quick --only cluster` of 196b430: W=256, all masters on the generator's core.
    clusters=(OnCluster(1, 1.18, 1.68), OnCluster(2, 1.31, 2.01), OnCluster(3, 1.36, 2.29)),
    # Commit 0f74dcb, hardly older, took 70 µs at W=256 on another host that morning, for 35.6 here.
    slow=70 / 35.6,
    redis_cpu_s=17.0e-6,  # with two servers, W=256
    sms_s=145e-6,  # `make bench-peers`, W=768
    sms_redis_cpu_s=135e-6,  # commits of SMS alone, 256 at once: 129 µs, and 6 to look whether the journal is too long
    sms_redis_octets=3_620.0,
    sms_redis_log_octets=2_495.0,
    smpp_octets=291.0,
    redis_octets=1_796.0,
    redis_log_octets=1_733.0,
    sqlite_log_octets=2_400.0,  # of an older run
    redis_subscriber=608.0,
    redis_disk_subscriber=385.0,
    redis_journal=232.0,  # this and all of journals: `python -m benchmarks.years`
    redis_sms_entry=82.0,
    redis_order_entries=810.0,
    sqlite_subscriber=222.0,  # of an older run, 50,000 in a file
    sqlite_sms_entry=134.0,
    sqlite_order_entries=1_128.0,
    session_octets=470.0,  # 136 MB with 100,000 open dialogues, 89 MB before them
    server_octets=89 * MB + 64 * 2**20,  # and the records that it may remember
)


@dataclass(frozen=True)
class Assumed:
    """What people do, and what networks and machines are like."""

    dialogues_a_day: float
    busy_hour_share: float
    steps: float
    peak: float
    sms: float
    """SMS answered for each dialogue."""
    orders_a_year: float
    """Orders that a subscriber agrees to."""
    years: float
    """How long a subscriber has used it."""
    journal_entries: int
    """Of SMS in the journal, the setting of that name; of orders a thousand are kept."""
    session_s: float
    """How long a dialogue stays in memory: until it is over."""
    utilisation: float
    """How full what serves may be in the peak: cores, networks, the rate of disks, windows."""
    filling: float
    """How full what only fills may get: memory of Redis and the space of disks."""
    round_trip_s: float
    """To the operator's SMSC and back."""
    window: int
    network: float
    """Octets a second of one machine's network."""
    disk: float
    """Octets a second that a disk writes, forced to it."""
    redis_memory: float
    """Memory of a Redis node for records: half of 64 GB, the other half is for rewriting its log."""
    machine_memory: float
    disk_space: float
    cores: int
    """Cores of a server machine for server processes."""


ASSUMED = Assumed(
    dialogues_a_day=1.0,
    busy_hour_share=0.12,
    steps=6.0,
    peak=2.0,
    sms=0.2,
    orders_a_year=1.0,
    years=3.0,
    journal_entries=JOURNAL_ENTRIES,
    session_s=45.0,
    utilisation=0.6,
    filling=0.8,
    round_trip_s=0.05,
    window=100,
    network=125 * MB,
    disk=200 * MB,
    redis_memory=32 * GB,
    machine_memory=16 * GB,
    disk_space=1 * TB,
    cores=8,
)


# Queues -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passing:
    """The mean of what happens at a rate of inputs: how many a group has, how long a group and a step take.

    `busy` is the part of the time in which the core works, for the disk it waits.
    """

    size: float
    group_s: float
    wait_s: float
    latency_s: float
    busy: float


def passing(rate: float, group: Group) -> Passing:
    """Return how inputs pass that come at random; inf where there are more than the core can do.

    A group takes whatever came during the one before, and its S + cn seconds are over when all of it is durable. With
    arrivals at a rate a its mean is T = S + c (aT + q), q being the part of groups in which nobody comes, so that the
    next one waits for its first input. Who comes during a group waits for what is left of it, and then for a group that
    is larger than others, for a long group brings many: both follow from T's variance, which is c² times that of n.
    """
    at, each, fixed = rate, group.each_s, group.fixed_s + group.flush_s
    if at * each >= 1:
        return Passing(math.inf, math.inf, math.inf, math.inf, 1.0)
    low, high = 0.0, 1.0
    for _ in range(60):  # q = e^-aT, and T grows with q: halved until it is found
        quiet = (low + high) / 2
        mean = (fixed + each * quiet) / (1 - at * each)
        low, high = (quiet, high) if math.exp(-at * mean) > quiet else (low, quiet)
    variance = each**2 * at * mean * (1 - quiet) / (1 - (at * each) ** 2)
    seen = mean + variance / mean  # by who comes: the longer, the more come
    taken = mean / (mean + quiet / at)
    wait = taken * seen / 2
    size = at * mean + quiet
    own = fixed + each * (1 + taken * at * seen)
    return Passing(size, mean, wait, wait + own, at * each + group.fixed_s * at / size)


def most_with_window(window: int, round_trip_s: float, latency_s: float) -> float:
    """Return how many messages a second pass a bind (Little: what is under way = rate times time)."""
    return window / (round_trip_s + latency_s)


def closed_loop(width: int, group: Group) -> float:
    """Return the steps a second with `width` dialogues always under way: each group has all of them."""
    return width / (group.fixed_s + group.flush_s + width * group.each_s)


# Demand -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Demand:
    """What so many subscribers ask for in the peak of the busy hour, each a second; `sessions` are open dialogues."""

    subscribers: int
    steps: float
    sms: float
    dialogues: float
    sessions: float


def demand(subscribers: int, assumed: Assumed = ASSUMED) -> Demand:
    """Return the peak of the busy hour."""
    dialogues = subscribers * assumed.dialogues_a_day * assumed.busy_hour_share / HOUR_S * assumed.peak
    return Demand(
        subscribers,
        steps=dialogues * assumed.steps,
        sms=dialogues * assumed.sms,
        dialogues=dialogues,
        sessions=dialogues * assumed.session_s,
    )


@dataclass(frozen=True)
class Kept:
    """What a subscriber has in the store after so long: entries of SMS, orders, octets in Redis and in the file."""

    sms: float
    orders: float
    redis: float
    sqlite: float


def kept(years: float, measured: Measured = MEASURED, assumed: Assumed = ASSUMED) -> Kept:
    """Return what a subscriber has become; of SMS the newest are kept, of orders all (a thousand)."""
    sms = min(years * DAYS_A_YEAR * assumed.dialogues_a_day * assumed.sms, assumed.journal_entries)
    orders = min(years * assumed.orders_a_year, EVIDENCE_ENTRIES)
    begun = measured.redis_journal if sms + orders else 0.0
    return Kept(
        sms,
        orders,
        redis=measured.redis_subscriber
        + begun
        + sms * measured.redis_sms_entry
        + orders * measured.redis_order_entries,
        sqlite=measured.sqlite_subscriber + sms * measured.sqlite_sms_entry + orders * measured.sqlite_order_entries,
    )


# What a deployment has ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deployment:
    """A way to run it: so many server processes with a core each, on so many Redis masters; 0: one SQLite file."""

    name: str
    servers: int
    masters: int
    replicas: int = 0

    @property
    def machines(self) -> int:
        """Return the machines: of servers, and one for each Redis node."""
        return math.ceil(self.servers / ASSUMED.cores) + self.masters * (1 + self.replicas)


@dataclass(frozen=True)
class Use:
    """How much of a resource is used in the peak, 1 being all that may be."""

    resource: str
    used: float


@dataclass(frozen=True)
class ServerCosts:
    """CPU time of a server for a step of a crowd, in full groups, and for an SMS with its receipt."""

    step_s: float
    sms_s: float


def server_costs(on: Deployment, measured: Measured = MEASURED) -> ServerCosts:
    """Return what a server of this deployment spends.

    An SMS on Redis is taken to cost as many times what it costs on SQLite as a step does, its receipt a step.
    """
    sqlite = fitted(measured.sqlite).crowd(measured.crowd).cpu_s()
    if not on.masters:
        return ServerCosts(sqlite, measured.sms_s + sqlite)
    step = fitted(measured.redis).crowd(measured.crowd).cpu_s() * (measured.sharing if on.servers > 1 else 1)
    if on.masters > 1:
        step *= measured.clusters[-1].server
    return ServerCosts(step, measured.sms_s * step / sqlite + step)


def slower(measured: Measured = MEASURED) -> Measured:
    """Return the costs on a slow core: all CPU times, those of Redis too."""

    def runs(found: Sequence[Run]) -> tuple[Run, ...]:
        return tuple(replace(run, cpu_s=run.cpu_s * times, p50_s=run.p50_s + run.cpu_s * (times - 1)) for run in found)

    times = measured.slow
    return replace(
        measured,
        sqlite=runs(measured.sqlite),
        redis=runs(measured.redis),
        redis_cpu_s=measured.redis_cpu_s * times,
        sms_s=measured.sms_s * times,
        sms_redis_cpu_s=measured.sms_redis_cpu_s * times,
    )


def uses(asked: Demand, on: Deployment, measured: Measured = MEASURED, assumed: Assumed = ASSUMED) -> list[Use]:
    """Return the use of everything that can run out, the fullest first."""
    part, filling, steps, sms, cores = assumed.utilisation, assumed.filling, asked.steps, asked.sms, on.servers
    cost, each = server_costs(on, measured), kept(assumed.years, measured, assumed)
    messages = steps + 2 * sms  # an answer each; of an SMS its receipt, too
    found = [
        Use("cores of the servers", (steps * cost.step_s + sms * cost.sms_s) / cores / part),
        Use("memory of the servers", (measured.server_octets + asked.sessions / cores * measured.session_octets)
            * min(cores, assumed.cores) / assumed.machine_memory / filling),
        Use("network to the SMSC", messages * measured.smpp_octets / math.ceil(cores / assumed.cores)
            / assumed.network / part),
    ]  # fmt: skip
    if on.masters:
        log = steps * measured.redis_log_octets + sms * measured.sms_redis_log_octets
        sent = steps * measured.redis_octets + sms * measured.sms_redis_octets + on.replicas * log
        apart = measured.clusters[-1].redis if on.masters > 1 else 1  # an SMS's commits go apart everywhere
        work = steps * measured.redis_cpu_s * apart + sms * measured.sms_redis_cpu_s
        found += [
            Use("core of a Redis", work / on.masters / part),
            Use("memory of a Redis", asked.subscribers * each.redis / on.masters / assumed.redis_memory / filling),
            Use("disk of a Redis", log / on.masters / assumed.disk / part),
            Use("network of a Redis", sent / on.masters / assumed.network / part),
        ]
    else:
        commits = steps + 3 * sms  # the answer, that it was sent, the receipt
        found += [
            Use("the disk's rate", commits * measured.sqlite_log_octets / assumed.disk / part),
            Use("the disk's space", asked.subscribers * each.sqlite / assumed.disk_space / filling),
        ]
    return sorted(found, key=lambda use: use.used, reverse=True)


def most_subscribers(on: Deployment, measured: Measured = MEASURED, assumed: Assumed = ASSUMED) -> int:
    """Return how many subscribers a deployment has room for in the peak, to three digits."""
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        full = uses(demand(middle, assumed), on, measured, assumed)[0].used > 1
        low, high = (low, middle) if full else (middle, high)
    step: int = 10 ** max(0, len(str(low)) - 3)
    return low // step * step


def fitting(
    subscribers: int, replicas: int = 1, measured: Measured = MEASURED, assumed: Assumed = ASSUMED
) -> Deployment:
    """Return the smallest deployment on Redis that has room for so many; a Cluster has three masters or more."""
    asked = demand(subscribers, assumed)
    on = Deployment("fitting", 1, 1, replicas)
    while (fullest := uses(asked, on, measured, assumed)[0]).used > 1:
        grown = math.ceil(fullest.used * (on.masters if "Redis" in fullest.resource else on.servers))
        if "Redis" in fullest.resource:
            on = replace(on, masters=max(3, grown))
        else:
            on = replace(on, servers=max(on.servers + 1, grown))
    return on


def in_peak(measured: Measured = MEASURED, assumed: Assumed = ASSUMED) -> Passing:
    """Return how a step of a crowd passes a server on SQLite that is as full as it may be."""
    group = fitted(measured.sqlite).crowd(measured.crowd)
    return passing(assumed.utilisation / group.cpu_s(), group)


def binds(asked: Demand, assumed: Assumed = ASSUMED) -> int:
    """Return how many binds carry the answers and SMS, each with its window, as full as anything may be."""
    each = most_with_window(assumed.window, assumed.round_trip_s, in_peak().latency_s) * assumed.utilisation
    return math.ceil((asked.steps + asked.sms) / each)
