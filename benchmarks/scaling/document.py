"""The document, of which the model fills what is between marks."""

import re
from pathlib import Path

from benchmarks.scaling.sentences import TEXTS
from benchmarks.scaling.tables import TABLES, markdown

DOCS = Path(__file__).parents[2] / "docs"

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
