"""What a process has in its memory, keys and codes, is written to no file and read by no other process of its user."""

import ctypes
import resource
import sys
from contextlib import suppress
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""prctl(2)."""


def keep_to_itself() -> None:
    """Let this process leave no core dump, and on Linux let none but root attach to it or read its memory.

    The limit is for systems without the second, and for what the process starts. A sandbox that refuses either has
    limits of its own, and no command fails for it.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
