"""The report of a run, for people and for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.chaos.round import Outcome


def as_text(outcomes: Sequence[Outcome]) -> str:
    """Return the report as Markdown."""
    lines = ["# Crash tests", ""]
    killed = sum(outcome.killed for outcome in outcomes)
    violations = [violation for outcome in outcomes for violation in outcome.violations]
    lines += [f"{killed} processes killed, {len(violations)} violations.", ""]
    heads = [f"{outcome.wanted.store}, seed {outcome.wanted.seed}" for outcome in outcomes]
    lines += [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    rows = {
        "servers": [outcome.wanted.servers for outcome in outcomes],
        "load, s": [round(outcome.load_s) for outcome in outcomes],
        "people at once": [outcome.wanted.people for outcome in outcomes],
    }
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.figures):
        rows[name] = [outcome.figures.get(name, 0) for outcome in outcomes]
    for kind in dict.fromkeys(kind for outcome in outcomes for kind in outcome.faults):
        rows[f"fault: {kind}"] = [outcome.faults.get(kind, 0) for outcome in outcomes]
    rows["settled after the last fault, s"] = [round(outcome.settled_s) for outcome in outcomes]
    rows["violations"] = [len(outcome.violations) for outcome in outcomes]
    lines += [f"| {name} | {' | '.join(f'{value:,}' for value in values)} |" for name, values in rows.items()]
    for kind, why in {kind: why for outcome in outcomes for kind, why in outcome.missing.items()}.items():
        lines += ["", f"Not done here: {kind}, because {why}."]
    if violations:
        lines += ["", "## Violations", "", *(f"- {violation}" for violation in violations)]
    return "\n".join(lines) + "\n"


def write(outcomes: Sequence[Outcome], directory: Path) -> Path:
    """Write report.md and report.json into the directory, and return the first."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "report.md"
    path.write_text(as_text(outcomes), encoding="utf-8")
    content = [asdict(outcome) for outcome in outcomes]
    (directory / "report.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
