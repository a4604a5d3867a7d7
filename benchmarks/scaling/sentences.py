"""The document's paragraphs that have figures in them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from benchmarks.capacity import (
    ASSUMED,
    MEASURED,
    Deployment,
    closed_loop,
    demand,
    fitted,
    fitting,
    in_peak,
    kept,
    most_subscribers,
    most_with_window,
    server_costs,
    slower,
    uses,
)
from benchmarks.scaling.cases import CAPACITY, DEPLOYMENTS, NEW, SIZES, SQLITE
from benchmarks.scaling.words import count, ms, octets, us, wrapped
from ussd_server.channels.intake import TOGETHER


def in_short() -> str:
    """Return what it all comes to."""
    alone, most = DEPLOYMENTS[0], SIZES[-1]
    on, slow, new = fitting(most), fitting(most, measured=slower()), fitting(most, assumed=NEW)
    fullest = uses(demand(most, NEW), new, assumed=NEW)[0].resource
    return wrapped(f"""
        In short: one process with a SQLite file has room for {count(most_subscribers(alone))} subscribers on a quick
        core and for {count(most_subscribers(alone, slower()))} on a slow one; the core ends first. On Redis, with
        servers enough, its memory ends first: after {ASSUMED.years:g} years of use a subscriber takes
        {octets(kept(ASSUMED.years).redis)} there, so a master has room for {count(most_subscribers(DEPLOYMENTS[1]))}.
        For {count(most)} it takes {on.masters} masters, each with a replica, and {on.servers} server processes
        ({slow.servers} on slow cores). On their first day {new.masters} masters would do, and first to be full would be
        the {fullest}.""")


def of_which_machine() -> str:
    """Return where the costs are from."""
    quick = MEASURED.sqlite[-1].cpu_s
    return wrapped(f"""
        The costs are of one run on 29 November 2026: commit 31504c4, a virtual Intel Xeon with two cores, Debian 12,
        CPython 3.11.2, Redis 7.0. It was a quick machine: a step took {us(quick)} at W=256, where a commit hardly
        older took {us(quick * MEASURED.slow)} on another host the same morning. So what depends on a core is given for
        both: a slow core takes {MEASURED.slow:.2f} times as long for everything, Redis's part too.""")


def of_groups() -> str:
    """Return what a step costs in its group."""
    redis = fitted(MEASURED.redis)
    return wrapped(f"""
        Inputs that come together share a turn of the loop and a sync. So a group costs {us(SQLITE.fixed_s)} once and
        {us(SQLITE.each_s)} for each step on SQLite, {us(redis.fixed_s)} and {us(redis.each_s)} on Redis, fitted to
        the measured widths; at most {TOGETHER} share one. What the latency of one dialogue alone has beside its CPU
        time, {us(SQLITE.flush_s)} on SQLite, is taken to be the disk's. In the model each group waits for the one
        before, where the server reads on while the disk writes: it errs on the safe side where a disk is slow.""")


def of_a_crowd() -> str:
    """Return what a crowd costs."""
    alone, shared = DEPLOYMENTS[:2]
    sqlite, one, beside = (server_costs(on).step_s for on in (alone, replace(shared, servers=1), shared))
    return wrapped(f"""
        In a crowd each thinks before the next answer: it comes in smaller groups, and fewer of its records are still in
        memory. So it gets
        {MEASURED.crowd:g} of the steps/s of a closed loop (14,855 of 23,440 in the soak of that day): full
        groups cost {us(sqlite)} a step on SQLite and {us(one)} on Redis, {us(beside)} with other servers on it. One
        server on SQLite does {CAPACITY:,.0f} steps/s of a crowd at most, {CAPACITY / MEASURED.slow:,.0f} on a slow
        core, and {ASSUMED.utilisation:.0%} of that is what the tables count on.""")


def of_sharing() -> str:
    """Return what several servers on one store cost."""
    return wrapped(f"""
        Two servers on one Redis were measured beside one, in turn. In this run a step cost them 49 µs where it cost one
        53, which is noise; in an older one it cost {MEASURED.sharing - 1:.0%} more. The worse is in the model. A Redis
        spends {us(MEASURED.redis_cpu_s)} on a step, and {us(MEASURED.sms_redis_cpu_s)} on an SMS with its receipt,
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
        {old.redis / new.redis:.1f} times the subscriber of the first day: {octets(sms)} are SMS, {octets(orders)}
        orders. Without orders {without} masters carry {count(SIZES[-1])}, with `journal_entries` of 5 it takes
        {short}.""")


def of_the_fullest() -> str:
    """Return what is next to end on Redis, where its memory is larger."""
    on = Deployment("a master and a replica", 1_000, 1, 1)
    ample = replace(ASSUMED, redis_memory=1e15)
    quick, slow = ((most_subscribers(on, each, ample), each) for each in (MEASURED, slower()))
    first, then = (uses(demand(most, ample), on, each, ample)[0].resource for most, each in (quick, slow))
    return wrapped(f"""
        With memory without end and servers enough, one master with its replica would go on to {count(quick[0])}, where
        the {first} is full; on slow cores to {count(slow[0])}, where the {then} is.""")


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
        the loop's lag, not at CPU time alone. One dialogue alone takes {ms(1 / closed_loop(1, SQLITE))} by the model,
        and {ms(MEASURED.sqlite[0].p50_s)} were measured.""")


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
