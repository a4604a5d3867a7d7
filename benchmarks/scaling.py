"""docs/scaling.md: its tables, the sentences with figures in them, and its pictures, all of the capacity model.

`python -m benchmarks.scaling` prints them; with `--write` it puts them and the pictures there.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.capacity import (
    ASSUMED,
    GB,
    MB,
    MEASURED,
    Deployment,
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
from benchmarks.chart import Axis, chart
from ussd_server.channels.intake import TOGETHER

DOCS = Path(__file__).parents[1] / "docs"
Rows = list[tuple[str, ...]]

SIZES = (100_000, 1_000_000, 10_000_000, 30_000_000, 100_000_000)
YEARS = (0.0, 1.0, 3.0, 5.0)
LOADS = (0.01, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
DEPLOYMENTS = (
    Deployment("1 machine, SQLite", 1, 0),
    Deployment("2 servers, 1 Redis", 2, 1),
    Deployment("2 servers, 1 Redis with Sentinel", 2, 1, 1),
    Deployment("2 servers, Cluster of 3 + 3", 2, 3, 1),
    Deployment("4 servers, Cluster of 6 + 6", 4, 6, 1),
    Deployment("16 servers, Cluster of 24 + 24", 16, 24, 1),
)
NEW = replace(ASSUMED, years=0.0)
"""Subscribers on their first day, who have no journal."""
SQLITE = fitted(MEASURED.sqlite)
CROWD = SQLITE.crowd(MEASURED.crowd)
CAPACITY = 1 / CROWD.cpu_s()
"""Steps/s of a crowd on SQLite in full groups, on a core of its own."""


# Tables -------------------------------------------------------------------------------------------------------------


def cost_table() -> Rows:
    """Return what was measured."""
    m = MEASURED
    return [
        ("what", "a step, a subscriber or an SMS"),
        ("server on SQLite, W=256, with the kernel's part", _us(m.sqlite[-1].cpu_s)),
        ("server on Redis, W=256", _us(m.redis[-1].cpu_s)),
        ("the same with others on its Redis, at most", f"{m.sharing:g} times"),
        ("Redis, `appendfsync always`", _us(m.redis_cpu_s)),
        ("an SMS answered, on SQLite, without receipt", _us(m.sms_s)),
        ("Redis for an SMS with its receipt", _us(m.sms_redis_cpu_s)),
        ("what a crowd gets of a closed loop's steps/s", f"{m.crowd:g}"),
        ("a slow core takes", f"{m.slow:.2f} times as long"),
        ("SMPP, both ways", _octets(m.smpp_octets)),
        ("between server and Redis, both ways", _octets(m.redis_octets)),
        ("the same for an SMS", _octets(m.sms_redis_octets)),
        ("log of Redis", _octets(m.redis_log_octets)),
        ("the same for an SMS", _octets(m.sms_redis_log_octets)),
        ("written by SQLite, log and checkpoints, 64 under way", _octets(m.sqlite_log_octets)),
        ("a new subscriber in the memory of Redis", _octets(m.redis_subscriber)),
        ("a journal in it, beside its entries", _octets(m.redis_journal)),
        ("an SMS in the journal; an order", f"{m.redis_sms_entry:,.0f}; {_octets(m.redis_order_entries)}"),
        ("a new subscriber in the log of Redis", _octets(m.redis_disk_subscriber)),
        ("a new subscriber in the file of SQLite", _octets(m.sqlite_subscriber)),
        ("an SMS in the journal there; an order", f"{m.sqlite_sms_entry:,.0f}; {_octets(m.sqlite_order_entries)}"),
        ("an open dialogue in a server's memory", _octets(m.session_octets)),
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
            rows.append((name, str(run.width), _us(run.cpu_s), _us(group.cpu_s(run.width)), *_loop(run, name)))
    return rows


def _loop(run: Run, name: str) -> tuple[str, ...]:
    if name != "SQLite":
        return (f"{run.rate:,.0f}", "", _ms(run.p50_s), "")
    rate = closed_loop(run.width, SQLITE)
    return (f"{run.rate:,.0f}", f"{rate:,.0f}", _ms(run.p50_s), _ms(run.width / rate))


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
        rows.append((_count(asked.subscribers), *(f"{each:,.0f}" for each in figures), f"{octets:,.1f}"))
    return rows


def years_table() -> Rows:
    """Return what a subscriber becomes in a store, and what a hundred million of them need."""
    most = SIZES[-1]
    rows: Rows = [
        ("used for", "SMS kept", "orders kept", "in Redis", "in the file of SQLite", f"masters for {_count(most)}"),
    ]
    for years in YEARS:
        each = kept(years)
        masters = fitting(most, assumed=replace(ASSUMED, years=years)).masters
        age = {0.0: "a day", 1.0: "a year"}.get(years, f"{years:g} years")
        rows.append(
            (age, f"{each.sms:.0f}", f"{each.orders:.0f}", _octets(each.redis), _octets(each.sqlite), str(masters))
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
                _count(most),
                f"{demand(most).steps:,.0f}",
                first.resource,
                f"{second.resource} ({second.used:.0%})",
                _count(most_subscribers(on, slower())),
                f"{_count(new)}, {ends}",
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
                _count(asked.subscribers),
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
                _ms(seen.wait_s),
                _ms(seen.latency_s),
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


def _count(number: int) -> str:
    return f"{number / 1e6:.3g} million" if number >= 10**6 else f"{number:,}"


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _octets(number: float) -> str:
    return f"{number:,.0f} octets"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


# Sentences with figures ---------------------------------------------------------------------------------------------


def in_short() -> str:
    """Return what it all comes to."""
    alone, most = DEPLOYMENTS[0], SIZES[-1]
    on, slow, new = fitting(most), fitting(most, measured=slower()), fitting(most, assumed=NEW)
    fullest = uses(demand(most, NEW), new, assumed=NEW)[0].resource
    return wrapped(f"""
        In short: one process with a SQLite file has room for {_count(most_subscribers(alone))} subscribers on a quick
        core and for {_count(most_subscribers(alone, slower()))} on a slow one; the core ends first. On Redis, with
        servers enough, its memory ends first: after {ASSUMED.years:g} years of use a subscriber takes
        {_octets(kept(ASSUMED.years).redis)} there, so a master has room for {_count(most_subscribers(DEPLOYMENTS[1]))}.
        For {_count(most)} it takes {on.masters} masters, each with a replica, and {on.servers} server processes
        ({slow.servers} on slow cores). On their first day {new.masters} masters would do, and first to be full would be
        the {fullest}.""")


def of_which_machine() -> str:
    """Return where the costs are from."""
    quick = MEASURED.sqlite[-1].cpu_s
    return wrapped(f"""
        The costs are of one run on 29 November 2026: commit 31504c4, a virtual Intel Xeon with two cores, Debian 12,
        CPython 3.11.2, Redis 7.0. It was a quick machine: a step took {_us(quick)} at W=256, where a commit hardly
        older took {_us(quick * MEASURED.slow)} on another host the same morning. So what depends on a core is given for
        both: a slow core takes {MEASURED.slow:.2f} times as long for everything, Redis's part too.""")


def of_groups() -> str:
    """Return what a step costs in its group."""
    redis = fitted(MEASURED.redis)
    return wrapped(f"""
        Inputs that come together share a turn of the loop and a sync. So a group costs {_us(SQLITE.fixed_s)} once and
        {_us(SQLITE.each_s)} for each step on SQLite, {_us(redis.fixed_s)} and {_us(redis.each_s)} on Redis, fitted to
        the measured widths; at most {TOGETHER} share one. What the latency of one dialogue alone has beside its CPU
        time, {_us(SQLITE.flush_s)} on SQLite, is taken to be the disk's. In the model each group waits for the one
        before, where the server reads on while the disk writes: it errs on the safe side where a disk is slow.""")


def of_a_crowd() -> str:
    """Return what a crowd costs."""
    alone, shared = DEPLOYMENTS[:2]
    sqlite, one, beside = (server_costs(on).step_s for on in (alone, replace(shared, servers=1), shared))
    return wrapped(f"""
        In a crowd each thinks before the next answer: it comes in smaller groups, and fewer of its records are still in
        memory. So it gets
        {MEASURED.crowd:g} of the steps/s of a closed loop (14,855 of 23,440 in the soak of that day): full
        groups cost {_us(sqlite)} a step on SQLite and {_us(one)} on Redis, {_us(beside)} with other servers on it. One
        server on SQLite does {CAPACITY:,.0f} steps/s of a crowd at most, {CAPACITY / MEASURED.slow:,.0f} on a slow
        core, and {ASSUMED.utilisation:.0%} of that is what the tables count on.""")


def of_sharing() -> str:
    """Return what several servers on one store cost."""
    return wrapped(f"""
        Two servers on one Redis were measured beside one, in turn. In this run a step cost them 49 µs where it cost one
        53, which is noise; in an older one it cost {MEASURED.sharing - 1:.0%} more. The worse is in the model. A Redis
        spends {_us(MEASURED.redis_cpu_s)} on a step, and {_us(MEASURED.sms_redis_cpu_s)} on an SMS with its receipt,
        which is several commits.""")


def of_a_cluster() -> str:
    """Return what is computed of a Cluster."""
    most = MEASURED.clusters[-1]
    on = Deployment("a Cluster", 1_000, most.masters, 1)
    ample = replace(ASSUMED, redis_memory=1e15, network=1e12, disk=1e12)
    steps = demand(most_subscribers(on, assumed=ample)).steps / ASSUMED.utilisation
    return wrapped(f"""
        So a Cluster pays for its masters: a step costs a server {most.server:g} times what it costs on one Redis, and
        its {most.masters} masters together {most.redis:g} times. Three masters, each with a core, do
        {steps:,.0f} steps/s, with their SMS, where one alone does
        {demand(most_subscribers(replace(on, masters=1), assumed=ample)).steps / ASSUMED.utilisation:,.0f}; more masters
        were not measured, and are taken to cost a step what {most.masters} do.""")


def of_a_full_store() -> str:
    """Return what a full store costs."""
    return wrapped("""
        With a million subscribers a step cost 99% of the CPU time on SQLite that it cost where only those who dial were
        there (the median of five pairs), and 60 µs beside 58 on Redis. So nothing is added for it.""")


def of_years() -> str:
    """Return what the journal does to memory."""
    new, old = kept(0), kept(ASSUMED.years)
    days = ASSUMED.journal_entries / (ASSUMED.dialogues_a_day * ASSUMED.sms)
    orders = old.orders * MEASURED.redis_order_entries
    sms = MEASURED.redis_journal + old.sms * MEASURED.redis_sms_entry
    fewer = (replace(ASSUMED, orders_a_year=0.0), replace(ASSUMED, journal_entries=5))
    without, short = (fitting(SIZES[-1], assumed=each).masters for each in fewer)
    return wrapped(f"""
        A subscriber's journal grows with use, until {ASSUMED.journal_entries} SMS are in it after {days:.0f} days; of
        orders a thousand are kept, with what was read and agreed to. After {ASSUMED.years:g} years it is
        {old.redis / new.redis:.1f} times the subscriber of the first day: {_octets(sms)} are SMS, {_octets(orders)}
        orders. Without orders {without} masters carry {_count(SIZES[-1])}, with `journal_entries` of 5 it takes
        {short}.""")


def of_the_fullest() -> str:
    """Return what is next to end on Redis, where its memory is larger."""
    on = Deployment("a master and a replica", 1_000, 1, 1)
    ample = replace(ASSUMED, redis_memory=1e15)
    quick, slow = ((most_subscribers(on, each, ample), each) for each in (MEASURED, slower()))
    first, then = (uses(demand(most, ample), on, each, ample)[0].resource for most, each in (quick, slow))
    return wrapped(f"""
        With memory without end and servers enough, one master with its replica would go on to {_count(quick[0])}, where
        the {first} is full; on slow cores to {_count(slow[0])}, where the {then} is.""")


def of_binds() -> str:
    """Return what a small window is enough for."""
    carried = most_with_window(10, ASSUMED.round_trip_s, in_peak().latency_s)
    a_million = demand(1_000_000)
    enough = carried * ASSUMED.utilisation / (a_million.steps + a_million.sms) * 1e6
    return wrapped(f"""
        A window of 10, which many operators give at first, is {carried:,.0f} messages a second at
        {ASSUMED.round_trip_s * 1000:g} ms: {ASSUMED.utilisation:.0%} of that is enough for {round(enough, -4):,.0f}
        subscribers as assumed here.""")


def of_busy_cores() -> str:
    """Return how busy a core looks."""
    peak = in_peak()
    return wrapped(f"""
        **A busy core is not a full one.** Small groups cost more a step: at {ASSUMED.utilisation:.0%} of what it can do
        the core is busy for {peak.busy:.0%} of the time, with {peak.size:.1f} inputs a group. So look at steps/s and at
        the loop's lag, not at CPU time alone. One dialogue alone takes {_ms(1 / closed_loop(1, SQLITE))} by the model,
        and {_ms(MEASURED.sqlite[0].p50_s)} were measured.""")


def wrapped(text: str) -> str:
    """Return a paragraph in the document's lines."""
    return textwrap.fill(" ".join(text.split()), 150, break_on_hyphens=False)


TEXTS: Mapping[str, Callable[[], str]] = {
    "short": in_short,
    "machine": of_which_machine,
    "groups": of_groups,
    "crowd": of_a_crowd,
    "sharing": of_sharing,
    "cluster": of_a_cluster,
    "full": of_a_full_store,
    "years": of_years,
    "fullest": of_the_fullest,
    "binds": of_binds,
    "busy": of_busy_cores,
}


# Pictures -----------------------------------------------------------------------------------------------------------


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


# The document -------------------------------------------------------------------------------------------------------

BLOCK = re.compile(r"<!-- (table|text) (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def filled(document: str) -> str:
    """Return docs/scaling.md with what is between its marks as it is now; KeyError for a mark that nothing fills."""

    def block(found: re.Match[str]) -> str:
        made = markdown(TABLES[found[2]]()) if found[1] == "table" else TEXTS[found[2]]()
        return f"<!-- {found[1]} {found[2]} -->\n{made}\n<!-- end -->"

    return BLOCK.sub(block, document)


def picture_path(name: str) -> Path:
    """Return where a picture is kept."""
    return DOCS / "images" / f"scaling-{name}.svg"


def main() -> int:
    """Print tables and sentences, or write them and the pictures into docs/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put them and the pictures into docs/")
    if not parser.parse_args().write:
        print("\n\n".join(text() for text in TEXTS.values()))
        print("\n\n".join(f"\n{name}\n{markdown(table())}" for name, table in TABLES.items()))
        return 0
    document = DOCS / "scaling.md"
    document.write_text(filled(document.read_text(encoding="utf-8")), encoding="utf-8")
    for name, picture in PICTURES.items():
        picture_path(name).write_text(picture(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
