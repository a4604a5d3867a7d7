"""Print the tables and sentences of docs/scaling.md, as the capacity model says.

With `--write` they and the pictures are put there.
"""

import argparse
import sys

from benchmarks.scaling.document import DOCS, filled, picture_path
from benchmarks.scaling.pictures import PICTURES
from benchmarks.scaling.sentences import TEXTS
from benchmarks.scaling.tables import TABLES, markdown


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
