"""How far a walk over all subscribers is: a bar where somebody watches, else a line every few seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ussd_server.stores.copying import Moved

TELL_S: Final = 5.0
"""Between two lines that say how far it is, where nobody watches a bar."""


@contextmanager
def progress(total: int) -> Iterator[Moved]:
    """Show how far each walk over so many subscribers is, beside the output."""
    out = Console(stderr=True)
    if out.is_terminal:
        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*parts, console=out, transient=True) as bar:
            yield _bars(bar, total)
    else:
        yield _lines(out, total)


def _bars(bar: Progress, total: int) -> Moved:
    task = bar.add_task("", total=total)

    def moved(what: str, more: int) -> None:
        if bar.tasks[task].description != what:
            bar.reset(task, description=what, total=total)
        bar.advance(task, more)

    return moved


def _lines(out: Console, total: int) -> Moved:
    done, doing, told = 0, "", time.monotonic()

    def moved(what: str, more: int) -> None:
        nonlocal done, doing, told
        done = more if what != doing else done + more
        doing = what
        if time.monotonic() - told >= TELL_S:
            told = time.monotonic()
            out.print(f"{what}: {done} of {total} subscribers", highlight=False)

    return moved
