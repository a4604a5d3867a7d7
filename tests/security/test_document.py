"""What docs/security.md says is shown by a test is shown by a test that there is."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", DOCUMENT)
    assert len(named) > 50
    missing = [f"{path}::{name}" for path, name in named if not _exists(ROOT / path, name)]
    assert missing == []


def test_every_threat_names_a_test() -> None:
    threats = DOCUMENT.partition("## Threats")[2].partition("## Accepted")[0]
    numbers = re.findall(r"^\| ([A-Z]\d+) \| ", threats, flags=re.MULTILINE)
    assert len(numbers) > 30
    assert re.findall(r"^- ([A-Z]\d+)\n  - `tests/", threats, flags=re.MULTILINE) == numbers


def test_it_is_found_from_the_index() -> None:
    assert "(security.md)" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


def _exists(path: Path, name: str) -> bool:
    if not path.is_file() or not name:
        return path.is_file()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
        for node in tree.body
    )
