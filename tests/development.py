"""What development needs beside ussd-server itself: programs that lack it say so, and how it is had."""

import sys
from importlib.util import find_spec


def require(program: str, *modules: str) -> None:
    """End with 2 and one line where a package is missing that `make run` does not install."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        mend = "install what tests and measurements need with: make .venv/.dev"
        print(f"{program}: {', '.join(missing)} is not installed; {mend}", file=sys.stderr)
        sys.exit(2)
