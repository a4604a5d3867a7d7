"""The document's tables; the first row of each is its head."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.capacity import (
    ASSUMED,
    GB,
    MB,
    MEASURED,
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
    slower,
    uses,
)
from benchmarks.scaling.cases import CAPACITY, CROWD, DEPLOYMENTS, NEW, SIZES, SQLITE
from benchmarks.scaling.words import count, ms, octets, us

Rows = list[tuple[str, ...]]

YEARS = (0.0, 1.0, 3.0, 5.0)
LOADS = (0.01, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


def cost_table() -> Rows:
    """Return what was measured."""
    m = MEASURED
    return [
        ("what", "a step, a subscriber or an SMS"),
        ("server on SQLite, W=256, with the kernel's part", us(m.sqlite[-1].cpu_s)),
        ("server on Redis, W=256", us(m.redis[-1].cpu_s)),
        ("the same with others on its Redis, at most", f"{m.sharing:g} times"),
        ("Redis, `appendfsync always`", us(m.redis_cpu_s)),
        ("an SMS answered, on SQLite, without receipt", us(m.sms_s)),
        ("Redis for an SMS with its receipt", us(m.sms_redis_cpu_s)),
        ("what a crowd gets of a closed loop's steps/s", f"{m.crowd:g}"),
        ("a slow core takes", f"{m.slow:.2f} times as long"),
        ("SMPP, both ways", octets(m.smpp_octets)),
        ("between server and Redis, both ways", octets(m.redis_octets)),
        ("the same for an SMS", octets(m.sms_redis_octets)),
        ("log of Redis", octets(m.redis_log_octets)),
        ("the same for an SMS", octets(m.sms_redis_log_octets)),
        ("written by SQLite, log and checkpoints, 64 under way", octets(m.sqlite_log_octets)),
        ("a new subscriber in the memory of Redis", octets(m.redis_subscriber)),
        ("a journal in it, beside its entries", octets(m.redis_journal)),
        ("an SMS in the journal; an order", f"{m.redis_sms_entry:,.0f}; {octets(m.redis_order_entries)}"),
        ("a new subscriber in the log of Redis", octets(m.redis_disk_subscriber)),
        ("a new subscriber in the file of SQLite", octets(m.sqlite_subscriber)),
        ("an SMS in the journal there; an order", f"{m.sqlite_sms_entry:,.0f}; {octets(m.sqlite_order_entries)}"),
        ("an open dialogue in a server's memory", octets(m.session_octets)),
        ("a server before them, and the records it may remember", f"{m.server_octets / MB:,.0f} MB"),
    ]


def fit_table() -> Rows:
    """Return what the model of a group says beside what was measured; of Redis the CPU time alone."""
    rows: Rows = [
        ("on", "W", "CPU a step", "by the model", "steps/s", "by the model", "p50", "mean by the model"),
    ]
    for name, runs in (("SQLite", MEASURED.sqlite), ("Redis", MEASURED.redis)):
        group = fitted(runs)
        for run in runs:
            rows.append((name, str(run.width), us(run.cpu_s), us(group.cpu_s(run.width)), *_loop(run, name)))
    return rows


def _loop(run: Run, name: str) -> tuple[str, ...]:
    if name != "SQLite":
        return (f"{run.rate:,.0f}", "", ms(run.p50_s), "")
    rate = closed_loop(run.width, SQLITE)
    return (f"{run.rate:,.0f}", f"{rate:,.0f}", ms(run.p50_s), ms(run.width / rate))


def assumed_table() -> Rows:
    """Return what is assumed."""
    a = ASSUMED
    return [
        ("assumed", "value"),
        ("dialogues a subscriber and day", f"{a.dialogues_a_day:g}"),
        ("of them in the busy hour", f"{a.busy_hour_share:.0%}"),
        ("its worst minutes, of its mean", f"{a.peak:g} times"),
        ("steps a dialogue", f"{a.steps:g}"),
        ("SMS a dialogue, each with a receipt", f"{a.sms:g}"),
        ("orders a subscriber and year", f"{a.orders_a_year:g}"),
        ("how long a subscriber has used it", f"{a.years:g} years"),
        ("SMS kept in the journal (`journal_entries`)", f"{a.journal_entries}"),
        ("a dialogue lasts", f"{a.session_s:g} s"),
        ("how full cores, networks, windows and the rate of disks may be in the peak", f"{a.utilisation:.0%}"),
        ("how full memory and disks may get", f"{a.filling:.0%}"),
        ("round trip to the SMSC; window of a bind", f"{a.round_trip_s * 1000:g} ms; {a.window}"),
        ("network of a machine", f"{a.network * 8 / GB:g} Gbit/s"),
        ("a disk writes", f"{a.disk / MB:g} MB/s"),
        ("memory of a Redis node for records", f"{a.redis_memory / GB:g} GB, as much again for rewriting its log"),
        ("cores of a server machine", f"{a.cores}"),
    ]


def demand_table() -> Rows:
    """Return what so many subscribers ask for."""
    rows: Rows = [("subscribers", "dialogues/s", "steps/s", "SMS/s", "open dialogues", "SMPP Mbit/s")]
    for asked in map(demand, SIZES):
        octets = (asked.steps + 2 * asked.sms) * MEASURED.smpp_octets * 8 / MB
        figures = (asked.dialogues, asked.steps, asked.sms, asked.sessions)
        rows.append((count(asked.subscribers), *(f"{each:,.0f}" for each in figures), f"{octets:,.1f}"))
    return rows


def years_table() -> Rows:
    """Return what a subscriber becomes in a store, and what a hundred million of them need."""
    most = SIZES[-1]
    rows: Rows = [
        ("used for", "SMS kept", "orders kept", "in Redis", "in the file of SQLite", f"masters for {count(most)}"),
    ]
    for years in YEARS:
        each = kept(years)
        masters = fitting(most, assumed=replace(ASSUMED, years=years)).masters
        age = {0.0: "a day", 1.0: "a year"}.get(years, f"{years:g} years")
        rows.append(
            (age, f"{each.sms:.0f}", f"{each.orders:.0f}", octets(each.redis), octets(each.sqlite), str(masters))
        )
    return rows


def breaking_table() -> Rows:
    """Return how far each deployment goes, and what ends it."""
    rows: Rows = [
        (
            "deployment",
            "machines",
            "room for",
            "steps/s then",
            "breaks first",
            "then",
            "on a slow core",
            "on the first day",
        )
    ]
    for on in DEPLOYMENTS:
        most = most_subscribers(on)
        first, second = uses(demand(most), on)[:2]
        new = most_subscribers(on, assumed=NEW)
        ends = uses(demand(new, NEW), on, assumed=NEW)[0].resource
        rows.append(
            (
                on.name,
                str(on.machines),
                count(most),
                f"{demand(most).steps:,.0f}",
                first.resource,
                f"{second.resource} ({second.used:.0%})",
                count(most_subscribers(on, slower())),
                f"{count(new)}, {ends}",
            )
        )
    return rows


def size_table() -> Rows:
    """Return what each size needs on Redis with a replica a master."""
    rows: Rows = [
        (
            "subscribers",
            "servers",
            "on slow cores",
            "Redis masters",
            "on the first day",
            "memory of Redis",
            "its log MB/s",
            "to Redis Mbit/s",
            "binds",
            "breaks first",
        )
    ]
    m = MEASURED
    for asked in map(demand, SIZES):
        on = fitting(asked.subscribers)
        log = asked.steps * m.redis_log_octets + asked.sms * m.sms_redis_log_octets
        network = asked.steps * m.redis_octets + asked.sms * m.sms_redis_octets
        rows.append(
            (
                count(asked.subscribers),
                str(on.servers),
                str(fitting(asked.subscribers, measured=slower()).servers),
                str(on.masters),
                str(fitting(asked.subscribers, assumed=NEW).masters),
                f"{asked.subscribers * kept(ASSUMED.years).redis / GB:,.1f} GB",
                f"{log / MB:,.1f}",
                f"{network * 8 / MB:,.0f}",
                str(max(on.servers, binds(asked))),
                uses(asked, on)[0].resource,
            )
        )
    return rows


def window_table() -> Rows:
    """Return messages a second of a bind, by window and round trip, the server as full as it may be."""
    trips = (0.001, 0.01, 0.05, 0.2)
    rows: Rows = [("window", *(f"{trip * 1000:g} ms" for trip in trips))]
    for window in (1, 10, 100, 1000):
        rates = (most_with_window(window, trip, in_peak().latency_s) for trip in trips)
        rows.append((str(window), *(f"{rate:,.0f}" for rate in rates)))
    return rows


def latency_table() -> Rows:
    """Return the latency of a server on SQLite by how much of what it can do is asked."""
    rows: Rows = [("of its capacity", "steps/s", "wait", "in all", "inputs a group", "core busy")]
    for load in LOADS:
        seen = passing(load * CAPACITY, CROWD)
        rows.append(
            (
                f"{load:.0%}",
                f"{load * CAPACITY:,.0f}",
                ms(seen.wait_s),
                ms(seen.latency_s),
                f"{seen.size:.1f}",
                f"{seen.busy:.0%}",
            )
        )
    return rows


def cluster_table() -> Rows:
    """Return what a step costs on a Cluster."""
    rows: Rows = [("masters", "the server, of its time on one Redis", "all masters, of the one's")]
    rows += [(str(one.masters), f"{one.server:.2f}", f"{one.redis:.2f}") for one in MEASURED.clusters]
    return rows


TABLES: Mapping[str, Callable[[], Rows]] = {
    "costs": cost_table,
    "fit": fit_table,
    "clusters": cluster_table,
    "assumed": assumed_table,
    "demand": demand_table,
    "years": years_table,
    "breaking": breaking_table,
    "sizes": size_table,
    "windows": window_table,
    "latency": latency_table,
}


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
