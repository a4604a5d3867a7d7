"""What an operator reads in docs/operations.md is what the server says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
EVENT = r'\b(?:over=|(?:log\.(?:info|warning|error|exception)|report|say|Outage)\(\s*)"([^"]+)"'
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "ussd_server").rglob("*.py")]


def test_every_event_of_the_log_is_named() -> None:
    events = {event for source in SOURCES for event in re.findall(EVENT, source)}
    assert {"bound", "not bound", "flow reloaded"} <= events
    assert sorted(event for event in events if f"| `{event}` |" not in OPERATIONS) == []


def test_every_reason_for_no_answer_is_named() -> None:
    named = {reason for source in SOURCES for reason in re.findall(r'\.suppressed\["(\w+)"\]', source)}
    assert {"patience"} <= named
    row = next(line for line in OPERATIONS.splitlines() if "`ussd_server_suppressed_total`" in line)
    assert sorted(reason for reason in named if f"`{reason}`" not in row) == []


def test_every_decision_is_listed_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("0*.md"):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert f"[{title}]({path.name})" in listed
