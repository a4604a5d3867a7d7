"""The ends of help texts: examples that can be copied, and lists of what may be written, in 80 columns."""

import re
import textwrap
from collections.abc import Iterable
from typing import Final

from ussd_server.store_url import FORMS, OPTIONS

WIDTH: Final = 78
"""What a terminal of 80 columns has within the margins of a help text."""

_WORD: Final = re.compile(r"""(?:--[\w-]+ (?!-))?(?:[^\s"']|"[^"]*"|'[^']*')+""")
"""A word as the shell has it, spaces within quotes belong to it; an option's value stays with it."""


def examples(*commands: str) -> str:
    """Return the end of a help text: each command can be copied, a long one over several lines."""
    return _block("Examples", map(_folded, commands))


def options(title: str, written: Iterable[tuple[str, str, str]]) -> str:
    """Return a list of options under a title: each one's key, the form of its value, and what it means."""
    return _block(title, (_explained(*each) for each in written))


def store_options() -> str:
    """Return how a store's URL is written, and what may stand in a Redis URL, for the end of a help text."""
    of_redis = options(
        "Options of a Redis URL", ((key, option.form, option.meaning) for key, option in OPTIONS.items())
    )
    tls = _wrapped("rediss:// in place of redis:// is TLS; quote a URL with & or ? for the shell.")
    return _block("Stores, for --store", (f"  {form}" for form in FORMS.split(", "))) + of_redis + "\n" + tls


def _block(title: str, lines: Iterable[str]) -> str:
    # The empty line in front keeps what follows indented: of a text that begins with it nothing is cut.
    return "\n\n" + "\n".join((f"[bold]{title}[/]", *lines))


def _explained(key: str, form: str, meaning: str) -> str:
    return _wrapped(f"{key}={form}: {meaning}").replace(key, f"[bold]{key}[/]", 1)


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent="  ", subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False
    )


def _folded(command: str) -> str:
    """Return a command as a shell takes it, folded between its words where it is too long."""
    lines, line = [], " "
    for word in _WORD.findall(command):
        if len(line) + len(word) + len("  \\") > WIDTH and line.strip():
            lines.append(f"{line} \\")
            line = " " * 5
        line += f" {word}"
    return "\n".join([*lines, line])
