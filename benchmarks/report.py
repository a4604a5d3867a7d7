"""The report as it is shown and kept: its tables as texts, on a terminal, as Markdown and as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.access import CHECKS_BESIDE
from benchmarks.measured import Report
from benchmarks.million import ACTIVE
from benchmarks.million import WIDTH as FULL_WIDTH
from benchmarks.tables import Sheet
from benchmarks.targets import doubts, goals

REDIS_HEAD = ("", "W", "steps/s", "p50 ms", "p99 ms", "server µs/step", "Redis µs", "log octets", "network octets")


def redis_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of what runs on Redis as texts."""
    return [
        (
            run.who,
            str(run.width),
            f"{run.rate:,.0f}",
            f"{run.p50_ms:.2f}",
            f"{run.p99_ms:.2f}",
            f"{run.server_us:.1f}",
            f"{run.redis_us:.1f}",
            f"{run.log_octets:,.0f}",
            f"{run.network_octets:,.0f}",
        )
        for run in report.on_redis
    ]


FOOTPRINT_HEAD = ("subscribers", "memory, octets each", "of the process", "in the log", "the record alone")


def footprint_rows(report: Report) -> list[tuple[str, ...]]:
    """Return what subscribers take in Redis as texts."""
    one = report.footprint
    if one is None:
        return []
    return [(f"{one.subscribers:,}", *(f"{octets:,.0f}" for octets in (one.memory, one.resident, one.log, one.record)))]


RATE_HEAD = ("", "W", "steps/s", "p50 ms", "p99 ms", "CPU µs/step", "of its core", "of the yardstick")


def rate_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of rates as texts."""
    rows: list[tuple[str, ...]] = []
    for rate in report.rates:
        bare = report.rate("yardstick", rate.width)
        share = f"{rate.rate / bare.rate:.1%}" if bare and rate.who != "yardstick" else ""
        rows.append(
            (
                rate.who,
                str(rate.width),
                f"{rate.rate:,.0f}",
                f"{rate.p50_ms:.2f}",
                f"{rate.p99_ms:.2f}",
                f"{rate.cpu_us:.1f}",
                f"{rate.core:.0%}",
                share,
            )
        )
    return rows


FULL_HEAD = ("pair", "steps/s, those alone", "CPU µs/step", "steps/s, full store", "CPU µs/step", "of it")


def full_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of the full store as texts."""
    return [
        (
            str(number),
            f"{few.rate:,.0f}",
            f"{few.cpu_us:.1f}",
            f"{full.rate:,.0f}",
            f"{full.cpu_us:.1f}",
            f"{full.rate / few.rate:.0%}",
        )
        for number, (few, full) in enumerate(report.full.pairs if report.full else (), 1)
    ]


GOAL_HEAD = ("", "target", "measured", "")


def goal_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of targets as texts."""
    return [(goal.what, goal.target, goal.measured, "reached" if goal.reached else "missed") for goal in goals(report)]


CHECKS_HEAD = ("at once", "checks/s", "p50 ms", "p99 ms", "bare argon2id/s", "of it", "loop lag p99 ms")


def checks_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of code checks as texts."""
    return [
        (
            str(one.width),
            f"{one.rate:.1f}",
            f"{one.p50_ms:.0f}",
            f"{one.p99_ms:.0f}",
            f"{one.bare:.1f}",
            f"{one.share:.0%}",
            f"{one.lag.p99_ms:g} ({one.lag.samples})",
        )
        for one in report.access.checks
    ]


BESIDE_HEAD = ("asked for", "steps/s alone", "p99 ms", "under checks", "p99 ms", "of it", "checks/s", "loop lag p99 ms")


def beside_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of USSD beside code checks as texts."""
    return [
        (
            f"{one.pace:,.0f}/s" if one.pace else "all it can",
            f"{one.alone:,.0f}",
            f"{one.alone_p99_ms:.2f}",
            f"{one.under_checks:,.0f}",
            f"{one.under_checks_p99_ms:.2f}",
            f"{one.share:.0%}",
            f"{one.checks:.1f}",
            f"{one.lag.p99_ms:g} ({one.lag.samples})",
        )
        for one in report.access.beside
    ]


REQUESTS_HEAD = ("", "W", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "of its core", "generator µs")


def requests_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of signed requests as texts."""
    return [
        (
            one.path,
            str(one.width),
            f"{one.rate:,.0f}",
            f"{one.p50_ms:.2f}",
            f"{one.p99_ms:.2f}",
            f"{one.cpu_us:.0f}",
            f"{one.core:.0%}",
            f"{one.generator_us:.0f}",
        )
        for one in report.access.requests
    ]


MICRO_HEAD = ("", "µs", "note")


def micro_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the table of single operations as texts."""
    return [(micro.what, f"{micro.us:.2f}", micro.note) for micro in report.micro]


def tables(report: Report) -> list[Sheet]:
    """Return every table that has rows."""
    every = [
        Sheet("Steps answered, state durable before each answer", RATE_HEAD, rate_rows(report)),
        Sheet(
            f"{ACTIVE:,} subscribers who dial, alone and in a full store, W={FULL_WIDTH}", FULL_HEAD, full_rows(report)
        ),
        Sheet("Steps on Redis, in its log on the disk before each answer", REDIS_HEAD, redis_rows(report)),
        Sheet("Subscribers in Redis", FOOTPRINT_HEAD, footprint_rows(report)),
        Sheet("Code checks, beside bare argon2id of the same seconds", CHECKS_HEAD, checks_rows(report)),
        Sheet(f"USSD with {CHECKS_BESIDE} code checks always under way", BESIDE_HEAD, beside_rows(report)),
        Sheet("Signed requests of terminals, connections kept", REQUESTS_HEAD, requests_rows(report)),
        Sheet("Single operations", MICRO_HEAD, micro_rows(report)),
        Sheet("Targets", GOAL_HEAD, goal_rows(report)),
    ]
    return [sheet for sheet in every if sheet.rows]


def show(report: Report, console: Console) -> None:
    """Print the report."""
    for name, value in report.machine.items():
        console.print(f"[dim]{name}:[/] {value}", highlight=False)
    for sheet in tables(report):
        sheet.show(console)
    for doubt in doubts(report):
        console.print(f"[yellow]Note:[/] {doubt}", highlight=False)


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    lines = ["# Benchmark", ""]
    lines += [f"- {name}: {value}" for name, value in report.machine.items()]
    for sheet in tables(report):
        lines += ["", f"## {sheet.title}", "", *sheet.markdown()]
    lines += ["", *(f"Note: {doubt}" for doubt in doubts(report))]
    return "\n".join(lines).rstrip() + "\n"


def write(report: Report, directory: Path) -> None:
    """Keep the report as JSON and Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = asdict(report)
    (directory / "report.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / "report.md").write_text(markdown(report), encoding="utf-8")
