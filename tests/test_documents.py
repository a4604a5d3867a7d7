"""What an operator reads in docs/ is what the server says, and every link there leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOGS = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EVENT = r'\b(?:over=|(?:log\.(?:info|warning|error|exception)|report|say|Outage)\(\s*)"([^"]+)"'
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "ussd_server").rglob("*.py")]


def test_every_event_of_the_log_is_named() -> None:
    events = {event for source in SOURCES for event in re.findall(EVENT, source)}
    assert {"bound", "not bound", "flow reloaded"} <= events
    assert sorted(event for event in events if f"| `{event}` |" not in LOGS) == []


def test_every_reason_for_no_answer_is_named() -> None:
    named = {reason for source in SOURCES for reason in re.findall(r'\.suppressed\["(\w+)"\]', source)}
    assert {"patience"} <= named
    table = METRICS.partition("### Why there is no answer")[2].partition("\n#")[0]
    assert sorted(reason for reason in named if f"`{reason}`" not in table) == []


def test_every_decision_is_listed_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("0*.md"):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert f"[{title}]({path.name})" in listed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", prose(document))
    targets = [((document.parent / path) if path else document, anchor) for path, anchor in links]
    assert [str(path) for path, _ in targets if not path.exists()] == []
    assert [(path.name, anchor) for path, anchor in targets if anchor and anchor not in anchors(path)] == []


def anchors(document: Path) -> set[str]:
    """Return the names that a link to a heading of the document may have, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def prose(document: Path) -> str:
    """Return the document without its blocks of code."""
    return re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
