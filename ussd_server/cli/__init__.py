"""The command line. Each module is one group of commands; `main` is what `ussd-server` runs."""

import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final

from ussd_server.secrecy import memory

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT

LASTING: Final = {"demo", "run", "smsc", "kiosk"}
"""Commands that run until they are stopped. SIGHUP never ends them; a server reads its flows and keys again at it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0, 1 where the work failed, 2 for wrong usage or a setting, 130 where it was interrupted.

    The commands are loaded here, which takes most of a second: Ctrl-C meanwhile is no trace of imports.
    """
    memory.keep_to_itself()
    _show_every_character()
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in LASTING:
        # Held back until it has started. One that came a moment too early ended the server.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from ussd_server.cli.program import outcome

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = outcome(words)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    sys.exit(code)


def _show_every_character() -> None:
    """Let no text fail for a locale from before UTF-8: a terminal of it shows "?", all else gets UTF-8."""
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper):
        return
    if out.isatty():
        out.reconfigure(errors="replace")
    else:
        out.reconfigure(encoding="utf-8", errors=out.errors)


def _leave(*_: Any) -> None:
    """End at once: nothing has begun, and an exception could be swallowed, or printed, by what is being loaded."""
    os._exit(EXIT_INTERRUPTED)


__all__ = ["main"]
