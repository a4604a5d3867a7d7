"""The command line. Each module is one group of commands; `main` is what `ussd-server` runs."""

from ussd_server.cli.program import main

__all__ = ["main"]
