"""How much of everything so many subscribers need, and what runs out first. Pure but for `main`.

`python -m benchmarks.capacity` prints the tables of docs/scaling.md; with `--write` it puts them and the pictures
there. What was measured is in `MEASURED`, what is assumed of people and networks in `ASSUMED`. Times are seconds, sizes
octets.
"""

import argparse
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
KB, MB, GB, TB = 1e3, 1e6, 1e9, 1e12
DAY_S, HOUR_S = 86_400.0, 3_600.0


@dataclass(frozen=True)
class Measured:
    """Costs of a step and of a subscriber; docs/scaling.md says on what machine and how they were got."""

    wire_s: float
    turn_s: float
    sqlite_step_s: float
    redis_step_s: float
    redis_cpu_s: float
    sms_s: float
    flush_s: float
    smpp_octets: float
    redis_octets: float
    redis_log_octets: float
    sqlite_log_octets: float
    redis_subscriber: float
    redis_disk_subscriber: float
    sqlite_subscriber: float
    session_octets: float
    server_octets: float


@dataclass(frozen=True)
class Assumed:
    """What people do, and what networks and machines are like."""

    dialogues_a_day: float
    busy_hour_share: float
    steps: float
    peak: float
    sms: float
    """SMS answered for each dialogue."""
    session_s: float
    """How long a dialogue stays in memory: until it is over."""
    utilisation: float
    """How full anything may be in the peak."""
    round_trip_s: float
    """To the operator's SMSC and back."""
    window: int
    network: float
    """Octets a second of one machine's network."""
    disk: float
    """Octets a second that a disk writes, forced to it."""
    flushes: float
    """Forced writes a second."""
    redis_memory: float
    """Memory of a Redis node for records: half of 64 GB, the other half is for rewriting its log."""
    machine_memory: float
    disk_space: float
    cores: int
    """Cores of a server machine for server processes."""


MEASURED = Measured(
    wire_s=10e-6,
    turn_s=49e-6,
    sqlite_step_s=70e-6,
    redis_step_s=70e-6,
    redis_cpu_s=20e-6,
    sms_s=155e-6,
    flush_s=0.2e-3,
    smpp_octets=291.0,
    redis_octets=1_760.0,
    redis_log_octets=1_730.0,
    sqlite_log_octets=2_400.0,
    redis_subscriber=608.0,
    redis_disk_subscriber=385.0,
    sqlite_subscriber=222.0,
    session_octets=2_275.0,
    server_octets=88 * MB,
)

ASSUMED = Assumed(
    dialogues_a_day=1.0,
    busy_hour_share=0.12,
    steps=6.0,
    peak=2.0,
    sms=0.2,
    session_s=45.0,
    utilisation=0.6,
    round_trip_s=0.05,
    window=100,
    network=125 * MB,
    disk=200 * MB,
    flushes=1_500.0,
    redis_memory=32 * GB,
    machine_memory=16 * GB,
    disk_space=1 * TB,
    cores=8,
)

SIZES = (100_000, 1_000_000, 10_000_000, 30_000_000, 100_000_000)


# Queues -------------------------------------------------------------------------------------------------------------


def wait_for_core(rate: float, service_s: float, cv2: float = 0.0) -> float:
    """Return the mean wait for one core (Pollaczek and Khinchine); inf where there is more work than it can do.

    Arrivals are Poisson; `cv2` is the squared coefficient of variation of the service time, 0 where it never changes.
    """
    load = rate * service_s
    return math.inf if load >= 1 else load * service_s * (1 + cv2) / (2 * (1 - load))


def group_size(rate: float, flush_s: float) -> float:
    """Return how many commits a flush carries in the mean: those that came during the flush before, but at least one.

    With Poisson arrivals nobody comes during a flush with probability e^-af; then the next flush waits for one commit.
    """
    during = rate * flush_s
    return during + math.exp(-during)


def wait_for_disk(rate: float, flush_s: float) -> float:
    """Return the mean time from a commit to the end of the flush that carries it.

    Who finds the disk idle waits for one flush; who finds it busy waits for the rest of that one, half of it in the
    mean, and for one more. The disk is busy for f of every f + e^-af/a.
    """
    if rate == 0:
        return flush_s
    idle = math.exp(-rate * flush_s) / rate
    busy = flush_s / (flush_s + idle)
    return flush_s * (1 + busy / 2)


def latency(rate: float, service_s: float, flush_s: float) -> float:
    """Return the mean time of a step at this rate: wait for the core, its work, and the disk."""
    return wait_for_core(rate, service_s) + service_s + wait_for_disk(rate, flush_s)


def most_with_window(window: int, round_trip_s: float, service_s: float) -> float:
    """Return how many messages a second pass a bind (Little: what is under way = rate times time)."""
    return window / (round_trip_s + service_s)


def closed_loop(width: int, service_s: float, flush_s: float) -> tuple[float, float]:
    """Return the least and the most steps a second with `width` dialogues always under way.

    At most a step waits for nobody; at least every step waits for all others at the core and for two flushes.
    """
    return width / (width * service_s + 2 * flush_s), min(1 / service_s, width / (service_s + flush_s))


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


def uses(asked: Demand, on: Deployment, measured: Measured = MEASURED, assumed: Assumed = ASSUMED) -> list[Use]:
    """Return the use of everything that can run out, the fullest first."""
    part, steps, cores = assumed.utilisation, asked.steps, on.servers
    step_s = measured.redis_step_s if on.masters else measured.sqlite_step_s
    found = [
        Use("cores of the servers", (steps * step_s + asked.sms * measured.sms_s) / cores / part),
        Use("memory of the servers", (measured.server_octets + asked.sessions / cores * measured.session_octets)
            * min(cores, assumed.cores) / assumed.machine_memory / part),
        Use("network to the SMSC", steps * measured.smpp_octets / math.ceil(cores / assumed.cores)
            / assumed.network / part),
    ]  # fmt: skip
    if on.masters:
        each = 1 / on.masters
        found += [
            Use("core of a Redis", steps * each * measured.redis_cpu_s / part),
            Use("memory of a Redis", asked.subscribers * each * measured.redis_subscriber / assumed.redis_memory),
            Use("disk of a Redis", steps * each * measured.redis_log_octets / assumed.disk / part),
            Use("network of a Redis", steps * each
                * (measured.redis_octets + on.replicas * measured.redis_log_octets) / assumed.network / part),
        ]  # fmt: skip
    else:
        found += [
            Use("the disk's rate", steps * measured.sqlite_log_octets / assumed.disk / part),
            Use("the disk's space", asked.subscribers * measured.sqlite_subscriber / assumed.disk_space / part),
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


def fitting(asked: Demand, replicas: int, measured: Measured = MEASURED, assumed: Assumed = ASSUMED) -> Deployment:
    """Return the smallest deployment on Redis that has room for a demand; a Cluster has three masters or more."""
    on = Deployment("fitting", 1, 1, replicas)
    while (fullest := uses(asked, on, measured, assumed)[0]).used > 1:
        grown = math.ceil(fullest.used * (on.masters if "Redis" in fullest.resource else on.servers))
        if "Redis" in fullest.resource:
            on = replace(on, masters=max(3, grown))
        else:
            on = replace(on, servers=max(on.servers + 1, grown))
    return on


# Tables of docs/scaling.md ------------------------------------------------------------------------------------------

DEPLOYMENTS = (
    Deployment("1 machine, SQLite", 1, 0),
    Deployment("2 servers, 1 Redis", 2, 1),
    Deployment("8 servers, 1 Redis with Sentinel", 8, 1, 1),
    Deployment("16 servers, Cluster of 3 + 3", 16, 3, 1),
    Deployment("48 servers, Cluster of 6 + 6", 48, 6, 1),
)


def demand_table() -> list[tuple[str, ...]]:
    """Return what so many subscribers ask for."""
    rows: list[tuple[str, ...]] = [("subscribers", "dialogues/s", "steps/s", "SMS/s", "open dialogues", "SMPP Mbit/s")]
    for asked in map(demand, SIZES):
        octets = asked.steps * MEASURED.smpp_octets * 8 / MB
        figures = (asked.dialogues, asked.steps, asked.sms, asked.sessions)
        rows.append((_count(asked.subscribers), *(f"{each:,.0f}" for each in figures), f"{octets:,.1f}"))
    return rows


def breaking_table() -> list[tuple[str, ...]]:
    """Return how far each deployment goes, and what ends it."""
    rows: list[tuple[str, ...]] = [("deployment", "machines", "room for", "steps/s then", "breaks first", "then")]
    for on in DEPLOYMENTS:
        most = most_subscribers(on)
        first, second = uses(demand(most), on)[:2]
        steps = f"{demand(most).steps:,.0f}"
        second_text = f"{second.resource} ({second.used:.0%})"
        rows.append((on.name, str(on.machines), _count(most), steps, first.resource, second_text))
    return rows


def size_table() -> list[tuple[str, ...]]:
    """Return what each size needs on Redis with a replica a master."""
    rows: list[tuple[str, ...]] = [
        (
            "subscribers",
            "servers",
            "Redis masters",
            "memory of Redis",
            "its log MB/s",
            "to Redis Mbit/s",
            "binds",
            "breaks first",
        )
    ]
    for asked in map(demand, SIZES):
        on = fitting(asked, replicas=1)
        memory = asked.subscribers * MEASURED.redis_subscriber / GB
        log, network = asked.steps * MEASURED.redis_log_octets / MB, asked.steps * MEASURED.redis_octets * 8 / MB
        rows.append(
            (
                _count(asked.subscribers),
                str(on.servers),
                str(on.masters),
                f"{memory:,.1f} GB",
                f"{log:,.1f}",
                f"{network:,.0f}",
                str(max(on.servers, binds(asked))),
                uses(asked, on)[0].resource,
            )
        )
    return rows


def binds(asked: Demand, assumed: Assumed = ASSUMED) -> int:
    """Return how many binds carry the answers and SMS, each with its window, as full as anything may be."""
    each = most_with_window(assumed.window, assumed.round_trip_s, MEASURED.redis_step_s) * assumed.utilisation
    return math.ceil((asked.steps + asked.sms) / each)


def window_table() -> list[tuple[str, ...]]:
    """Return messages a second of a bind, by window and round trip."""
    trips = (0.001, 0.01, 0.05, 0.2)
    rows: list[tuple[str, ...]] = [("window", *(f"{trip * 1000:g} ms" for trip in trips))]
    for window in (1, 10, 100, 1000):
        rates = (most_with_window(window, trip, MEASURED.sqlite_step_s) for trip in trips)
        rows.append((str(window), *(f"{rate:,.0f}" for rate in rates)))
    return rows


LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)


def latency_table() -> list[tuple[str, ...]]:
    """Return the latency of a server on SQLite by how busy its core is."""
    rows: list[tuple[str, ...]] = [
        ("core", "steps/s", "wait for the core", "work", "disk", "in all", "commits a flush")
    ]
    service, flush = MEASURED.sqlite_step_s, MEASURED.flush_s
    for load in LOADS:
        rate = load / service
        times = (wait_for_core(rate, service), service, wait_for_disk(rate, flush), latency(rate, service, flush))
        shown = (f"{each * 1000:.2f} ms" for each in times)
        rows.append((f"{load:.0%}", f"{rate:,.0f}", *shown, f"{group_size(rate, flush):.1f}"))
    return rows


def cost_table() -> list[tuple[str, ...]]:
    """Return what was measured."""
    m = MEASURED
    return [
        ("what", "a step or a subscriber"),
        ("the wire: PDUs in and out, link, window (in process)", f"{m.wire_s * 1e6:.0f} µs"),
        ("the turn: engine, operator, record, commit to SQLite (in process)", f"{m.turn_s * 1e6:.0f} µs"),
        ("server on SQLite, all of it, with the kernel's part", f"{m.sqlite_step_s * 1e6:.0f} µs"),
        ("server on Redis, all of it", f"{m.redis_step_s * 1e6:.0f} µs"),
        ("Redis, `appendfsync always`", f"{m.redis_cpu_s * 1e6:.0f} µs"),
        ("an SMS answered, on SQLite", f"{m.sms_s * 1e6:.0f} µs"),
        ("a flush of the disk", f"{m.flush_s * 1e3:.1f} ms"),
        ("SMPP, both ways", f"{m.smpp_octets:,.0f} octets"),
        ("between server and Redis, both ways", f"{m.redis_octets:,.0f} octets"),
        ("log of Redis", f"{m.redis_log_octets:,.0f} octets"),
        ("written by SQLite, log and checkpoints, 64 under way", f"{m.sqlite_log_octets:,.0f} octets"),
        ("a subscriber in the memory of Redis", f"{m.redis_subscriber:,.0f} octets"),
        ("a subscriber in the file of SQLite", f"{m.sqlite_subscriber:,.0f} octets"),
        ("a subscriber in the log of Redis", f"{m.redis_disk_subscriber:,.0f} octets"),
        ("an open dialogue in a server's memory", f"{m.session_octets:,.0f} octets"),
    ]


def assumed_table() -> list[tuple[str, ...]]:
    """Return what is assumed."""
    a = ASSUMED
    return [
        ("assumed", "value"),
        ("dialogues a subscriber and day", f"{a.dialogues_a_day:g}"),
        ("of them in the busy hour", f"{a.busy_hour_share:.0%}"),
        ("its worst minutes, of its mean", f"{a.peak:g} times"),
        ("steps a dialogue", f"{a.steps:g}"),
        ("SMS a dialogue", f"{a.sms:g}"),
        ("a dialogue lasts", f"{a.session_s:g} s"),
        ("how full anything may be in the peak", f"{a.utilisation:.0%}"),
        ("round trip to the SMSC; window of a bind", f"{a.round_trip_s * 1000:g} ms; {a.window}"),
        ("network of a machine", f"{a.network * 8 / GB:g} Gbit/s"),
        ("a disk writes", f"{a.disk / MB:g} MB/s"),
        ("memory of a Redis node for records", f"{a.redis_memory / GB:g} GB, as much again for rewriting its log"),
        ("cores of a server machine", f"{a.cores}"),
    ]


TABLES: Mapping[str, Callable[[], list[tuple[str, ...]]]] = {
    "costs": cost_table,
    "assumed": assumed_table,
    "demand": demand_table,
    "breaking": breaking_table,
    "sizes": size_table,
    "windows": window_table,
    "latency": latency_table,
}


def _count(number: int) -> str:
    if number >= 10**6:
        return f"{number / 1e6:g} million"
    return f"{number:,}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


# Pictures -----------------------------------------------------------------------------------------------------------

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 360, 80, 50, 40, 200
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93")


@dataclass(frozen=True)
class Axis:
    """One axis of a picture: its name, its marks (value and text), and whether it is logarithmic."""

    name: str
    marks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value is, 0 at the first mark and 1 at the last."""
        scale = math.log if self.logarithmic else float
        low, high = scale(self.marks[0][0]), scale(self.marks[-1][0])
        return (scale(value) - low) / (high - low)


def chart(title: str, across: Axis, up: Axis, lines: Mapping[str, Points]) -> str:
    """Return a picture of lines as SVG; what lies above the last mark of `up` is cut off."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> str:
        return f"{LEFT + across.place(value) * wide:.1f}"

    def y(value: float) -> str:
        return f"{TOP + (1 - up.place(value)) * high:.1f}"

    style = "text{font:13px sans-serif;fill:#222}.g{stroke:#ddd}.l{fill:none;stroke-width:2.5}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">',
        f'<style>{style}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-weight="bold">{title}</text>',
    ]
    for value, text in across.marks:
        parts.append(f'<line class="g" x1="{x(value)}" y1="{TOP}" x2="{x(value)}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x(value)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')
    for value, text in up.marks:
        parts.append(f'<line class="g" x1="{LEFT}" y1="{y(value)}" x2="{WIDTH - RIGHT}" y2="{y(value)}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{float(y(value)) + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(f'<text x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{across.name}</text>')
    parts.append(f'<text x="16" y="{TOP - 8}">{up.name}</text>')
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        inside = [(x(at), y(value)) for at, value in points if 0 <= up.place(value) <= 1]
        path = " ".join(f"{left},{top}" for left, top in inside)
        parts.append(f'<polyline class="l" stroke="{colour}" points="{path}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 14 + 20 * number}" style="fill:{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def latency_picture() -> str:
    """Return latency by how busy the core is, for four disks."""
    service = MEASURED.sqlite_step_s
    loads = [step / 100 for step in range(2, 99)]
    lines = {
        f"flush {flush * 1000:g} ms": [(load * 100, latency(load / service, service, flush) * 1000) for load in loads]
        for flush in (MEASURED.flush_s, 1e-3, 3e-3, 8e-3)
    }
    across = Axis("of the core in use", [(value, f"{value} %") for value in range(0, 101, 20)])
    up = Axis("ms a step", [(0.1, "0.1"), (1, "1"), (10, "10"), (20, "20")], logarithmic=True)
    return chart("Mean latency of a step, one server on SQLite", across, up, lines)


def size_picture() -> str:
    """Return servers and Redis masters by subscribers."""
    sizes = [10 ** (5 + step / 20) for step in range(61)]
    fits = [(size, fitting(demand(round(size)), replicas=1)) for size in sizes]
    across = Axis(
        "subscribers",
        [(1e5, "100,000"), (1e6, "1 million"), (1e7, "10 million"), (1e8, "100 million")],
        logarithmic=True,
    )
    up = Axis("how many", [(1, "1"), (3, "3"), (10, "10"), (30, "30")], logarithmic=True)
    lines = {
        "server processes": [(size, float(on.servers)) for size, on in fits],
        "Redis masters": [(size, float(on.masters)) for size, on in fits],
    }
    return chart("What the peak of the busy hour needs", across, up, lines)


PICTURES: Mapping[str, Callable[[], str]] = {"latency": latency_picture, "sizes": size_picture}


# The document -------------------------------------------------------------------------------------------------------


def filled(document: str) -> str:
    """Return docs/scaling.md with every table between its marks as it is now; KeyError for a mark of no table."""

    def table(found: "re.Match[str]") -> str:
        return f"<!-- table {found[1]} -->\n{markdown(TABLES[found[1]]())}\n<!-- end -->"

    return re.sub(r"<!-- table (\w+) -->\n.*?<!-- end -->", table, document, flags=re.DOTALL)


def picture_path(name: str) -> Path:
    """Return where a picture is kept."""
    return DOCS / "images" / f"scaling-{name}.svg"


def main() -> int:
    """Print the tables, or write them and the pictures into docs/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put tables and pictures into docs/")
    if not parser.parse_args().write:
        print("\n\n".join(f"{name}\n{markdown(table())}" for name, table in TABLES.items()))
        return 0
    document = DOCS / "scaling.md"
    document.write_text(filled(document.read_text(encoding="utf-8")), encoding="utf-8")
    for name, picture in PICTURES.items():
        picture_path(name).write_text(picture(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
