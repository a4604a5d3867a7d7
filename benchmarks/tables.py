"""The tables of a report: on a terminal, of which 80 columns are enough, and as Markdown."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Sheet:
    """A table as texts. What a column without a name says is plain from its cells."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def show(self, console: Console) -> None:
        """Print it. Only between words is anything wrapped; figures stand whole, at the right of their column."""
        console.print(f"\n[bold]{self.title}[/]", highlight=False)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for name, *cells in zip(self.head, *self.rows, strict=True):
            if all(map(_is_figure, cells)):
                width = max(map(len, (*cells, *name.split())))
                table.add_column("\n".join(textwrap.wrap(name, width)), justify="right", no_wrap=True)
            else:
                table.add_column(name)
        for row in self.rows:
            table.add_row(*row)
        console.print(table)

    def markdown(self) -> list[str]:
        """Return its lines, without the title."""
        return [_line(self.head), _line(["---"] * len(self.head)), *map(_line, self.rows)]


def _is_figure(cell: str) -> bool:
    return not cell or (cell[0].isdecimal() and " " not in cell)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
